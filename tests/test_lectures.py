"""The lectures: each runs from top to bottom, with and without solutions, and is stored as one fresh run left it."""

import csv
import itertools
import os
import re
from collections import Counter
from pathlib import Path

import nbclient
import nbformat
import pytest

from minivae.exercises import EXERCISES, LECTURES
from minivae.exercises.student_file import check_file

FOLDER = Path(__file__).parent.parent / "lectures"
COURSE = (FOLDER / "course.md").read_text()
TOPICS = {
    "01_autoencoders": "autoencoders",
    "02_pca": "pca",
    "03_backprop": "backprop",
    "04_gradient_of_an_expectation": "estimators",
    "05_vae_from_scratch": "vae",
    "06_find_the_bugs": "bugs",
    "07_latent_variables": "latent_variables",
    "08_inference": "inference",
    "09_what_can_be_reparameterized": "families",
    "10_beyond_the_diagonal": "beyond_the_diagonal",
    "11_how_good_is_the_model": "how_good_is_the_model",
    "12_collapse_and_blur": "collapse_and_blur",
    "13_generation": "generation",
    "14_discrete_latents": "discrete_latents",
    "15_images_and_sequences": "images_and_sequences",
}
NOTES = {  # the sections of the five sets of source notes
    "000": {
        "AE + VAE - Rough Overview",
        "PCA Example",
        "VAEs",
        "Latent Variables",
        "Variational Autoencoders",
        "The Evidence Lower Bound",
        "Estimating the gradient",
        "Reparametrization Trick",
        "Computation of the ELBO",
        "An Example",
        "Estimation of the Marginal likelihood",
        "Generative Modelling",
    },
    "001": {
        "Variational autoencoders (VAEs)",
        "VAE architecture: encoder",
        "VAE architecture: decoder",
        "NN implementations",
        "Likelihood models & loss functions",
        "Jensen's inequality",
        "ELBO",
        "Solution",
        "Avoiding Posterior Collapse",
        "Group exercise",
    },
    "002": {"Auto Encoder", "VAE", "VAE loss", "Reparameterization Trick", "Solution of KL"},
    "003": {
        "1 From Maximum Likelihood to Kullback-Leibler",
        "2 Latent Modeling",
        "3 Variational Inference",
        "4 Autoencoders",
        "5 ELBO Loss Autoencoders",
        "5.1 Score Matching (Optional)",
        "5.2 Reparametrization trick",
        "6 Parametric Families",
        "7 Applications",
    },
    "004": {"Autoencoder", "Variational Bayesian Inference", "Variational Autoencoder"},
}
QUICKEST = "03_backprop"
UNBROKEN = re.compile(r"\S+$|\$[^$]+\$\S*( \S+)?$|!\[[^]]+\]\(\S+\)$")  # a link, a long formula, an image with its text
A_TASK = "\N{BLACK SQUARE}"
CHECK = re.compile(r'^mv\.check\("(.+)", (\w+)\)$', re.MULTILINE)


def read(slug):
    return nbformat.read(FOLDER / f"{slug}.ipynb", as_version=4)


def text_and_exercises(notebook):
    """Return a notebook's text, with a mark where an exercise's cell stands."""
    return "\n".join(
        A_TASK if is_exercise(cell) else cell.source
        for cell in notebook.cells
        if cell.cell_type == "markdown" or is_exercise(cell)
    )


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def is_exercise(cell):
    return "exercise" in cell.metadata.get("tags", [])


def is_heading(cell):
    return cell.cell_type == "markdown" and re.search(r"^#", cell.source, re.MULTILINE) is not None


def is_folded(cell):
    return "hide-input" in cell.metadata.get("tags", [])


def pictures(cell):
    return [output for output in cell.outputs if "image/png" in output.get("data", {})]


def sliders(cell):
    return [output for output in cell.outputs if "minivae-slider" in output.get("data", {}).get("text/html", "")]


def text(notebook):
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def test_every_notebook_is_a_known_lecture():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(TOPICS)


def test_the_book_has_every_lecture():
    pages = (FOLDER / "index.md").read_text()
    assert re.findall(r"^(\d\d_\w+)$", pages, re.MULTILINE) == list(TOPICS)


def coverage():
    with (FOLDER / "coverage.csv").open(newline="") as table:
        return list(csv.DictReader(table))


def test_the_table_of_coverage_names_cells_that_there_are():
    cells = {slug: {cell.id for cell in read(slug).cells} for slug in TOPICS}
    for row in coverage():
        assert list(row) == ["notes", "section", "lecture", "cell"]
        assert row["section"] in NOTES[row["notes"]]
        assert row["cell"] in cells[row["lecture"]]


def test_every_section_of_the_notes_is_said_and_every_lecture_is_in_the_table():
    rows = coverage()
    assert {(row["notes"], row["section"]) for row in rows} == {(n, section) for n in NOTES for section in NOTES[n]}
    assert {row["lecture"] for row in rows} == set(TOPICS)
    assert len({tuple(row.values()) for row in rows}) == len(rows)


@pytest.mark.parametrize("slug", TOPICS)
def test_a_lecture_is_stored_as_one_fresh_run_left_it(slug):
    notebook = read(slug)
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    assert not [output for cell in cells for output in cell.outputs if output.get("name") == "stderr"]
    assert set(notebook.metadata) == {"kernelspec", "language_info"}  # nothing of the machine that ran it


@pytest.mark.parametrize("slug", TOPICS)
def test_a_lecture_keeps_to_its_form(slug):
    notebook = read(slug)
    title = text(notebook).splitlines()[0]
    assert title == f"# {LECTURES[TOPICS[slug]]}"
    assert "[glossary](glossary.md)" in text(notebook)
    assert not re.search(r"[Ll]ecture \d", text(notebook))  # by name: others will come in between
    for cell in code_cells(notebook):
        n_lines = sum(bool(line.strip()) for line in cell.source.splitlines())
        assert n_lines <= (45 if is_folded(cell) else 15), cell.source
    assert sum("assert" in cell.source for cell in code_cells(notebook)) >= 4


@pytest.mark.parametrize("slug", TOPICS)
def test_lines_fit_on_a_page(slug):
    for cell in read(slug).cells:
        if cell.cell_type == "markdown":
            prose = re.sub(r"\$\$.+?\$\$", "", cell.source, flags=re.DOTALL)  # a formula is set, not broken
            shown = [line for line in prose.splitlines() if not line.startswith("|") and not UNBROKEN.match(line)]
        else:
            shown = [] if is_folded(cell) else [line for line in cell.source.splitlines() if "alt=" not in line]
            shown += [line for output in cell.outputs for line in output.get("text", "").splitlines()]
        assert not [line for line in shown if len(line) > 80]


@pytest.mark.parametrize("slug", TOPICS)
def test_plotting_is_folded_and_nothing_else(slug):
    for cell in code_cells(read(slug)):
        plots_only = "panels(" in cell.source and "assert" not in cell.source and "print(" not in cell.source
        assert plots_only <= is_folded(cell), cell.source
        if is_folded(cell):
            assert pictures(cell) or sliders(cell)
            assert "assert" not in cell.source


@pytest.mark.parametrize("slug", TOPICS)
def test_a_lecture_says_what_it_asks_for(slug):
    start = read(slug).cells[0].source
    assert "**You need**" in start
    assert re.search(r"\*\*It takes\*\* about \d+ minutes", start)
    assert f"lectures/solutions/{TOPICS[slug]}.py" in start


@pytest.mark.parametrize("slug", TOPICS)
def test_every_figure_has_a_text_for_those_who_cannot_see_it(slug):
    shown = [cell for cell in code_cells(read(slug)) if pictures(cell)]
    assert shown
    for cell in shown:
        (picture,) = pictures(cell)
        alt = picture.metadata["image/png"]["alt"]  # for Jupyter
        assert len(alt) > 20
        assert cell.metadata["mystnb"]["image"]["alt"] == alt  # for the book


@pytest.mark.parametrize("slug", ["04_gradient_of_an_expectation", "05_vae_from_scratch"])
def test_a_slider_is_stored_as_a_few_pictures_with_texts(slug):
    (slider,) = (output for cell in code_cells(read(slug)) for output in sliders(cell))
    assert set(slider.data) == {"text/html", "text/plain"}  # a widget lives with its kernel only
    alts = re.findall(r'<img [^>]*?alt="([^"]+)"', slider.data["text/html"])
    assert 2 <= len(alts) <= 12
    assert all(len(alt) > 20 for alt in alts)


@pytest.mark.parametrize("slug", TOPICS)
def test_every_exercise_of_the_topic_is_set_once(slug):
    cells = [cell for cell in code_cells(read(slug)) if is_exercise(cell)]
    set_here = [CHECK.search(cell.source).groups() for cell in cells]
    wanted = {(e.id, e.answer_name) for e in EXERCISES.values() if e.topic == TOPICS[slug]}
    assert len(set_here) == len(wanted)
    assert set(set_here) == wanted
    for cell, (name, _) in zip(cells, set_here, strict=True):
        exercise = EXERCISES[name]
        if exercise.arguments:
            assert f"def {exercise.signature}:" in cell.source


def course_row(slug):
    """Return a lecture's times in minutes, and its numbers of exercises by stars, as the course has them."""
    *_, reading, exercises, stars, _ = re.search(rf"^.*\]\({slug}\.ipynb\).*$", COURSE, re.MULTILINE)[0].split("|")
    return int(reading), int(exercises), {star: int(n) for star, n in re.findall(r"(★+) (\d+)", stars)}


@pytest.mark.parametrize("slug", TOPICS)
def test_exercises_are_graded_and_timed_as_in_the_course(slug):
    notebook = read(slug)
    reading, exercises, graded = course_row(slug)
    headings = [line for line in text(notebook).splitlines() if re.match(r"#+ Exercise", line)]
    stars = [re.match(r"#+ Exercise (★{1,3}): \S", heading)[1] for heading in headings]
    assert Counter(stars) == graded
    parts = re.split(r"^#+ Exercise ", text_and_exercises(notebook), flags=re.MULTILINE)
    assert [part.count(A_TASK) for part in parts] == [0] + [1] * len(headings)  # a heading above each
    assert re.search(rf"about {reading} minutes to read and {exercises} (for|to)\s", notebook.cells[0].source)


@pytest.mark.parametrize("slug", TOPICS)
def test_hints_and_a_solution_are_folded_below_each_exercise(slug):
    cells = read(slug).cells
    for cell, below in itertools.pairwise(cells):
        if is_exercise(cell):
            folded = re.findall(r"^`{3,}\{dropdown\} (Hint \d|A solution)", below.source, re.MULTILINE)
            assert folded == [*(f"Hint {i}" for i in range(1, len(folded))), "A solution"]
            assert 2 <= len(folded) <= 4
            _, answer = CHECK.search(cell.source).groups()
            path, how = re.search(r"\{literalinclude\} (\S+)\n((?::.+\n)+)```\n````$", below.source).groups()
            assert path == f"solutions/{TOPICS[slug]}.py"
            options = dict(re.findall(r"^:([\w-]+): (.+)$", how, re.MULTILINE))
            if options.get("pyobject") != answer:  # no function: lines of the file, from the first that holds a text
                solution = (FOLDER / path).read_text()
                shown = solution[solution.index(options["start-at"]) :]
                assert f"{answer} =" in shown[: shown.index(options.get("end-before") or options["end-at"]) + 20]


@pytest.mark.parametrize("slug", TOPICS)
def test_a_lecture_asks_for_predictions_before_the_cells_that_answer(slug):
    cells = read(slug).cells
    asked = [i for i, cell in enumerate(cells) for _ in range(cell.source.count("**Predict, then run.**"))]
    assert len(asked) >= 3
    for i in asked:
        chapter = itertools.takewhile(lambda cell: not is_heading(cell), cells[i + 1 :])
        assert any(cell.cell_type == "code" and not is_exercise(cell) for cell in chapter), cells[i].source


@pytest.mark.parametrize("slug", TOPICS)
def test_an_unsolved_notebook_is_not_yet_for_a_teacher(slug):
    outcomes = check_file(FOLDER / f"{slug}.ipynb", EXERCISES)
    assert [outcome.id for outcome in outcomes] == [e.id for e in EXERCISES.values() if e.topic == TOPICS[slug]]
    assert {outcome.state for outcome in outcomes} == {"not yet"}


def solved(cell, topic):
    """Return, for an exercise's cell, one more with the solution in place of the student's lines, and an assert."""
    if not is_exercise(cell):
        return []
    name, answer = CHECK.search(cell.source).groups()
    path = FOLDER / "solutions" / f"{topic}.py"
    source = (
        f"import runpy\n{answer} = runpy.run_path({str(path)!r})[{answer!r}]\n"
        f"outcome = mv.check({name!r}, {answer})\nassert outcome.ok, outcome\noutcome"
    )
    return [nbformat.v4.new_code_cell(source, metadata={"tags": ["exercise"]})]


def run(notebook):
    nbclient.NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(FOLDER)}},
        coalesce_streams=True,
    ).execute()


def words(notebook):
    """Return what cells but exercises said and showed, without numbers, whose last digits may differ elsewhere."""
    said = []
    for cell in code_cells(notebook):
        for output in [] if is_exercise(cell) else cell.outputs:
            plain = output.get("text") or output.data.get("text/plain", "")
            said.append(re.sub(r"[\d.+\-e ]+", "#", plain))
    return said


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="the lectures train, with compiled kernels")
@pytest.mark.parametrize(
    "slug", [slug if slug == QUICKEST else pytest.param(slug, marks=pytest.mark.long) for slug in TOPICS]
)
def test_a_lecture_runs_from_top_to_bottom(slug):
    """Each exercise as it stands, and then again as its solution has it."""
    notebook = read(slug)
    stored = words(notebook)
    notebook.cells = [each for cell in notebook.cells for each in (cell, *solved(cell, TOPICS[slug]))]
    run(notebook)
    assert words(notebook) == stored
