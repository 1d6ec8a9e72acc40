"""A class's folder: a row for each student, and nothing that one of them does is seen in another's."""

import csv
import io
import json

import pytest

from minivae import cli
from minivae.core.errors import FileError
from minivae.exercises import EXERCISES
from minivae.exercises.sheet import answer_sheet
from minivae.exercises.submissions import Graded, check_folder, table

RIGHT = """
import numpy as np


def sample_z(mu, log_var, eps):
    return mu + np.exp(log_var / 2) * eps
"""
WRONG = RIGHT.replace("log_var / 2", "log_var")
CLASS = {
    "ada.py": RIGHT + "counts = {'n_draws': 1, 'n_latent': 3, 'n_layers': 2}\n",
    "bob.py": WRONG,
    # answers one exercise, and leaves the process in the next
    "exits.py": RIGHT
    + "import os\n\n\ndef kl(mu, log_var):\n    os._exit(0)\n\n\ndef elbo(log_lik, kl):\n    return 0\n",
    "loops.py": RIGHT + "\n\ndef kl(mu, log_var):\n    while True:\n        pass\n",
    # changes the checker, and the files of everyone
    "patches.py": """
from pathlib import Path
import minivae.exercises.framework as f
f.Exercise._judge = lambda *a: (None, None)
for path in FOLDER.rglob("*.py"):
    path.write_text("def sample_z(mu, log_var, eps): return 0")
def sample_z(mu, log_var, eps):
    return Path.cwd(), f, FOLDER
""",
    "numpy.py": "raise RuntimeError('not NumPy')\n" + RIGHT,
    "empty.py": "x = 1\n",
    "zoe/first.py": WRONG,
    "zoe/second.py": RIGHT,
    "zoe/notes.txt": "no answer",
}


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("class")
    for name, text in CLASS.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            f"from pathlib import Path\nFOLDER = Path({str(folder)!r})\n" + text if "FOLDER" in text else text
        )
    few = {name: EXERCISES[name] for name in ("vae.sample-z", "vae.kl", "vae.elbo", "bugs.counts")}
    found = check_folder(folder, few, seconds=2)
    return {one.student: one for one in found}, few


def states(one):
    return {name: outcome.state for name, outcome in one.outcomes.items()}


@pytest.mark.long
def test_each_student_has_a_row(graded):
    found, _ = graded
    assert list(found) == sorted({name.split("/")[0].removesuffix(".py") for name in CLASS})


@pytest.mark.long
def test_right_and_wrong_answers_are_told_apart(graded):
    found, _ = graded
    assert states(found["ada"]) == {"vae.sample-z": "right", "bugs.counts": "wrong"}
    assert states(found["bob"]) == {"vae.sample-z": "wrong"}
    assert "exp(log_var) is the variance" in found["bob"].outcomes["vae.sample-z"].mistake
    assert found["ada"].problem == found["bob"].problem == ""


@pytest.mark.long
def test_who_leaves_the_process_keeps_what_was_answered_before(graded):
    found, _ = graded
    assert states(found["exits"]) == {"vae.sample-z": "right"}
    assert "ended the process" in found["exits"].problem


@pytest.mark.long
def test_an_endless_loop_costs_one_answer(graded):
    found, _ = graded
    assert states(found["loops"]) == {"vae.sample-z": "right", "vae.kl": "wrong"}
    assert "still running after 2 seconds" in found["loops"].outcomes["vae.kl"].message


@pytest.mark.long
def test_no_other_row_is_touched(graded):
    found, _ = graded
    assert states(found["zoe"]) == {"vae.sample-z": "right"}  # read before it was overwritten, the better of two
    assert states(found["numpy"]) == {"vae.sample-z": "right"}  # and its name hides no module
    assert found["empty"].outcomes == {}
    assert "binds the name of none" in found["empty"].problem


@pytest.mark.long
def test_the_table_has_one_row_a_student(graded):
    found, few = graded
    rows = list(csv.DictReader(io.StringIO(table(list(found.values()), list(few)))))
    assert [row["student"] for row in rows] == list(found)
    ada = rows[0]
    assert (ada["right"], ada["answered"], ada["of"]) == ("1", "2", "4")
    assert (ada["vae.sample-z"], ada["bugs.counts"], ada["vae.kl"]) == ("right", "wrong", "")


def test_a_name_is_no_formula():
    rows = table([Graded("=1+1"), Graded("@x", {}, "-1")], [])
    assert rows.splitlines()[1:] == ["'=1+1,0,0,0,", "'@x,0,0,0,'-1"]


def test_a_process_that_never_ends_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr("minivae.exercises.submissions._START", 1.0)
    (tmp_path / "a.py").write_text("import time\ntime.sleep(1000)\nsample_z = time\n")
    (only,) = check_folder(tmp_path, {"vae.sample-z": EXERCISES["vae.sample-z"]}, seconds=0.1)
    assert "was stopped" in only.problem or only.outcomes["vae.sample-z"].state == "wrong"


def test_a_folder_without_submissions_is_refused(tmp_path):
    with pytest.raises(FileError, match="which holds none"):
        check_folder(tmp_path, EXERCISES)
    with pytest.raises(FileError, match="can be read"):
        check_folder(tmp_path / "none", EXERCISES)


def test_two_files_of_one_name_are_two_rows(tmp_path):
    (tmp_path / "a.py").write_text("x = 1")
    (tmp_path / "a.ipynb").write_text("{}")
    assert [one.student for one in check_folder(tmp_path, EXERCISES)] == ["a.ipynb", "a.py"]


def test_the_command_writes_the_table_and_the_sheet(tmp_path, capsys):
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "ada.py").write_text(RIGHT)
    marks, sheet = tmp_path / "marks.csv", tmp_path / "sheet.md"
    assert cli.main(["exercises", str(tmp_path / "class"), "--csv", str(marks), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)["rows"][0]
    assert (row["student"], row["right"], row["answers"]["vae.sample-z"]["state"]) == ("ada", 1, "right")
    assert marks.read_text().splitlines()[1].startswith(f"ada,1,1,{len(EXERCISES)},")
    assert cli.main(["exercises", "--sheet", str(sheet)]) == 0
    assert all(f"## {name}\n" in sheet.read_text() for name in EXERCISES)


@pytest.mark.parametrize(
    "words", [["--csv", "a.csv"], ["--solutions", "x"], ["--sheet", "s.md", "--solutions", "none"]]
)
def test_options_that_stand_alone_are_refused(words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["exercises", *words]) == 1
    assert "got" in capsys.readouterr().err


def test_the_sheet_has_laws_mistakes_and_answers(request):
    sheet = answer_sheet(EXERCISES.values(), request.config.rootpath / "lectures" / "solutions")
    for exercise in EXERCISES.values():
        start = sheet.index(f"## {exercise.id}\n")
        section = sheet[start : sheet.find("\n## ", start + 1)]
        assert f"def {exercise.signature}:" in section or f"{exercise.answer_name} = " in section
        assert all(law.statement in section for law in exercise.laws)
        assert all(mistake.explanation in section for mistake in exercise.zoo)
