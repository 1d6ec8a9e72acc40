"""The book's pages that are no notebooks: every room and lecture is there; what is stored is what the code makes."""

import re
import runpy
from pathlib import Path

import pytest

from minivae import load
from minivae.estimators import Elbo
from minivae.exercises import EXERCISES, LECTURES
from minivae.studies.explorer import Trained, explorer_page
from minivae.training.storage import load_model

ROOT = Path(__file__).parent.parent
BOOK = ROOT / "lectures"
COURSE = (BOOK / "course.md").read_text()


def test_every_room_has_a_page_of_the_reference():
    rooms = {path.parent.name for path in (ROOT / "minivae").glob("*/__init__.py")}
    assert {path.stem for path in (BOOK / "api").glob("*.md")} == rooms
    assert set(re.findall(r"^api/(\w+)$", (BOOK / "api.md").read_text(), re.MULTILINE)) == rooms
    for room in rooms:
        assert (BOOK / "api" / f"{room}.md").read_text() == f"# {room}\n"  # the rest is appended by conf.py


def test_every_lecture_has_its_row_in_the_course():
    rows = re.findall(r"^\| \[(.+)\]\((\w+)\.ipynb\) \|(.*)\|(.*)\|(.*)\|(.*)\|$", COURSE, re.MULTILINE)
    assert [row[1] for row in rows] == sorted(path.stem for path in BOOK.glob("*.ipynb"))
    for title, _, before, reading, exercises, stars in rows:
        topic = next(topic for topic, name in LECTURES.items() if name == title)
        assert not before.strip() or before.strip() == "all before" or any(before.strip() in r[0] for r in rows)
        assert int(reading) > 0
        assert int(exercises) > 0
        graded = re.findall(r"(★+) (\d+)", stars)
        assert sum(int(n) for _, n in graded) == sum(e.topic == topic for e in EXERCISES.values()), title
        assert [len(star) for star, _ in graded] == sorted({len(star) for star, _ in graded})


@pytest.mark.parametrize("name", ["course", "coverage", "explorer", "index", "which_estimator", "glossary"])
def test_links_of_the_book_lead_somewhere(name):
    text = (BOOK / f"{name}.md").read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", text) + re.findall(r"\{figure\} (\S+)", text):
        assert target.startswith("http") or (BOOK / target).exists(), target


def test_stored_diagrams_are_those_that_the_code_draws():
    drawings = runpy.run_path(str(BOOK / "diagrams" / "draw.py"))["DRAWINGS"]
    assert {path.stem for path in (BOOK / "diagrams").glob("*.svg")} == set(drawings)
    for name, drawing in drawings.items():
        assert (BOOK / "diagrams" / f"{name}.svg").read_text() == drawing.svg


def test_the_books_explorer_is_small_and_shows_four_betas():
    paths = sorted((BOOK / "models").glob("digits_beta_*.npz"))
    assert len(paths) == 4
    models = [Trained(*load_model(path)[:2], Elbo(beta=float(path.stem.split("_")[-1]))) for path in paths]
    page = explorer_page(models, load("digits-threshold"))
    assert len(page) < 300_000
    rates = [float(rate) for rate in re.findall(r'"rate":([\d.e-]+)', page)]
    assert rates == sorted(rates, reverse=True)  # beta pays for the rate
    distortions = [float(value) for value in re.findall(r'"distortion":([\d.]+)', page)]
    assert distortions == sorted(distortions)


def test_the_readme_leads_to_the_first_lecture_and_to_the_explorer_in_a_line_each():
    lines = (ROOT / "README.md").read_text().splitlines()
    for words in ('pip install -e ".[lectures]" && jupyter lab lectures/01_', "minivae explore runs/digits-vae-001"):
        assert any(words in line for line in lines)
