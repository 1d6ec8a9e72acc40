"""A folder of submissions: one student after the other, each in a process and a folder of its own."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from minivae.core import checks
from minivae.core.errors import FileError
from minivae.core.reading import words
from minivae.exercises.framework import SECONDS, Exercise
from minivae.exercises.outcome import Outcome

_SUFFIXES = (".py", ".ipynb")
_ORDER = ("right", "wrong", "not yet")
_START = 60.0  # seconds that a process may take to begin, on a busy machine


@dataclass(frozen=True)
class Graded:
    """What came of one student's files.

    Attributes
    ----------
    student : str
        Name of the file, without its ending, or of the folder.
    outcomes : dict of Outcome by exercise
    problem : str
        Why some or all of it could not be checked; empty where it could.
    """

    student: str
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    problem: str = ""

    @property
    def n_right(self) -> int:
        """How many answers are right."""
        return sum(outcome.ok for outcome in self.outcomes.values())

    def row(self, exercises: Sequence[str]) -> dict[str, str | int]:
        """Return the row of a table: the student, how many are right, the state of each exercise, the problem."""
        states = {name: self.outcomes[name].state if name in self.outcomes else "" for name in exercises}
        counts = {"right": self.n_right, "answered": len(self.outcomes), "of": len(exercises)}
        return {"student": self.student, **counts, **states, "problem": self.problem}


def check_folder(
    folder: str | Path, exercises: dict[str, Exercise], seconds: float = SECONDS, processes: int | None = None
) -> list[Graded]:
    """Check the answers of every student: each file of a folder, or the files of each folder in it.

    All files are read before any of them is run. Then each student has a process of their own, which runs a copy in an
    empty folder, is given no other's files or results, and is ended with all that it started when its time is up. What
    one student's code does, be it ``exit``, an endless loop or a change to this package, changes no other's row. It is
    their code all the same: where you do not trust it, run the command in a container.

    Parameters
    ----------
    folder : path
        With a ``.py`` or ``.ipynb`` for each student, or a folder of such files for each.
    exercises : dict of Exercise by id
    seconds : float
        Time limit for each answer.
    processes : int, optional
        How many students are checked at a time; as many as there are processors unless given.

    Returns
    -------
    list of Graded
        One a student, by name.

    Raises
    ------
    FileError
        If the folder holds no submissions, or cannot be read.
    """
    checks.number(seconds, "seconds", low=0)
    submissions = _read(Path(folder))
    limit = _START + 2 * seconds * len(exercises)
    workers = checks.width(processes, "processes") if processes is not None else min(os.cpu_count() or 1, 8)

    def grade(student: str) -> Graded:
        return _grade(student, submissions[student], exercises, seconds, limit)

    with ThreadPoolExecutor(max_workers=workers) as pool:
        return list(pool.map(grade, submissions))


def table(graded: Sequence[Graded], exercises: Sequence[str]) -> str:
    """Return the table as CSV, one row a student; a name that a spreadsheet would take for a formula is quoted.

    >>> print(table([Graded("=ada")], ["vae.kl"]), end="")
    student,right,answered,of,vae.kl,problem
    '=ada,0,0,1,,
    """
    text = io.StringIO()
    rows = [one.row(exercises) for one in graded]
    writer = csv.DictWriter(text, ["student", "right", "answered", "of", *exercises, "problem"], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: f"'{v}" if str(v).startswith(("=", "+", "-", "@")) else v for k, v in row.items()})
    return text.getvalue()


def _read(folder: Path) -> dict[str, list[tuple[str, bytes]]]:
    """Return by student the names and contents of their files."""
    try:
        places = sorted(path for path in folder.iterdir() if not path.name.startswith((".", "__")))
        groups = {path: sorted(path.iterdir()) if path.is_dir() else [path] for path in places}
        found = {
            place: [(file.name, file.read_bytes()) for file in files if file.suffix in _SUFFIXES and file.is_file()]
            for place, files in groups.items()
        }
    except OSError as error:
        raise FileError(
            f"file must be a script, a notebook or a folder of them that can be read, got {folder} ({words(error)}). "
            f"See who may read it."
        ) from error
    found = {place: files for place, files in found.items() if files}
    if not found:
        raise FileError(
            f"file must be a folder that holds .py or .ipynb files, or a folder of them a student, got {folder}, "
            f"which holds none. Put the submissions into it."
        )
    stems = [place.stem for place in found]
    return {p.stem if p.is_file() and stems.count(p.stem) == 1 else p.name: files for p, files in found.items()}


def _grade(
    student: str, files: list[tuple[str, bytes]], exercises: dict[str, Exercise], seconds: float, limit: float
) -> Graded:
    """Run a student's files in a process of their own, one after the other; of two answers the better one counts."""
    outcomes: dict[str, Outcome] = {}
    problems = []
    for name, content in files:
        found, problem = _run(name, content, seconds, limit)
        for outcome in found:
            before = outcomes.get(outcome.id)
            known = outcome.id in exercises and outcome.state in _ORDER
            if known and (before is None or _ORDER.index(outcome.state) < _ORDER.index(before.state)):
                outcomes[outcome.id] = outcome
        problems += [problem] if problem else []
    return Graded(student, outcomes, " ".join(problems))


def _run(name: str, content: bytes, seconds: float, limit: float) -> tuple[list[Outcome], str]:
    """Return what a process says of a file, and why it says no more."""
    with tempfile.TemporaryDirectory(prefix="minivae-", ignore_cleanup_errors=True) as home:
        work = Path(home, "work")
        work.mkdir()
        (work / name).write_bytes(content)
        said = Path(home, "outcomes")
        # -P: a numpy.py among the submissions is not taken for NumPy. Without the JIT there is no cache to share.
        command = [sys.executable, "-P", "-m", "minivae.exercises.submission", name, str(said), repr(seconds)]
        environment = os.environ | {"HOME": str(work), "TMPDIR": str(work), "NUMBA_DISABLE_JIT": "1"}
        environment["PYTHONPATH"] = os.pathsep.join(str(Path(path).resolve()) for path in sys.path if path)
        process = subprocess.Popen(
            command,
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        problem = ""
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            problem = f"{name} took more than {limit:g} seconds in all and was stopped."
        finally:
            _end(process)
        return _said(said, problem or f"{name} ended the process that checked it (exit, or a crash).")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a process and all that it has started."""
    try:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:  # Windows knows no groups of this kind
            process.kill()
    except (ProcessLookupError, PermissionError):
        pass
    process.wait()


def _said(path: Path, unless_finished: str) -> tuple[list[Outcome], str]:
    """Read the lines that a process has written: an outcome each, and at the end that it has finished, and how."""
    outcomes: list[Outcome] = []
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            said = json.loads(line)
            if "finished" in said:
                return outcomes, str(said["finished"])
            outcomes.append(Outcome(str(said["id"]), said["state"], str(said["message"]), said["mistake"]))
    except (OSError, ValueError, TypeError, KeyError):  # nothing written, or half a line
        pass
    return outcomes, unless_finished
