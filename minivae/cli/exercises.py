"""``minivae exercises``: the lectures' exercises, the answers in a student's file, and those of a whole class."""

import argparse
from pathlib import Path

from minivae import exercises
from minivae.cli.tables import Rows, print_table
from minivae.cli.verbs import Outcome, Verb
from minivae.core import checks
from minivae.core.errors import FileError
from minivae.core.files import write_atomically
from minivae.exercises.sheet import answer_sheet
from minivae.exercises.student_file import check_file
from minivae.exercises.submissions import check_folder, table


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="a student's .py or .ipynb (its answers are run), or a folder of submissions, a file a student",
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="time limit of an answer (default 10)")
    parser.add_argument("--csv", metavar="CSV", help="for a folder: write the table there, one row a student")
    parser.add_argument("--sheet", metavar="MD", help="write an answer sheet for teachers there: laws and mistakes")
    parser.add_argument("--solutions", metavar="DIR", help="for the sheet: answers, from lectures/solutions")


def _run(options: argparse.Namespace) -> Outcome:
    """List the exercises, write an answer sheet, or check the answers in a file or a folder."""
    is_folder = bool(options.file) and Path(options.file).is_dir()
    if options.csv is not None and not is_folder:
        raise FileError(f"--csv must stand beside a folder of submissions, got {options.file}. Give the folder.")
    if options.solutions is not None and options.sheet is None:
        raise FileError(f"--solutions must stand beside --sheet, got {options.solutions} alone. Add --sheet FILE.")
    if options.sheet is not None:
        sheet = answer_sheet(exercises.EXERCISES.values(), options.solutions)
        write_atomically(Path(options.sheet), sheet.encode())
        if not options.json:
            print(f"answer sheet: {options.sheet}")
        if options.file is None:
            return 0, [], {"sheet": options.sheet}
    if options.file is None:
        rows: Rows = [
            {
                "exercise": exercise.id,
                "answer": exercise.signature,
                "lecture": exercises.LECTURES[exercise.topic],
                "task": exercise.task,
            }
            for exercise in exercises.EXERCISES.values()
        ]
        if not options.json:
            print_table([{key: value for key, value in row.items() if key != "task"} for row in rows])
            print("\nIn a lecture: mv.check(EXERCISE, your function). A whole file: minivae exercises FILE.")
        return 0, rows, {}
    if is_folder:
        return _folder(options)
    outcomes = check_file(options.file, exercises.EXERCISES, checks.number(options.seconds, "seconds", low=0))
    rows = [
        {"exercise": o.id, "state": o.state, "ok": o.ok, "message": o.message, "mistake": o.mistake} for o in outcomes
    ]
    n_right = sum(outcome.ok for outcome in outcomes)
    if not options.json:
        print(*outcomes, sep="\n")
        print(f"\n{n_right} of {len(outcomes)} answers in {options.file} are right")
    return int(n_right < len(outcomes)), rows, {"file": options.file, "seconds": options.seconds}


def _folder(options: argparse.Namespace) -> Outcome:
    """Check a folder of submissions: a table with one row a student; the exit code does not judge them."""
    names = list(exercises.EXERCISES)
    graded = check_folder(options.file, exercises.EXERCISES, checks.number(options.seconds, "seconds", low=0))
    if options.csv is not None:
        write_atomically(Path(options.csv), table(graded, names).encode())
    rows: Rows = [
        {
            "student": one.student,
            "right": one.n_right,
            "answered": len(one.outcomes),
            "problem": one.problem,
            "answers": {
                o.id: {"state": o.state, "message": o.message, "mistake": o.mistake} for o in one.outcomes.values()
            },
        }
        for one in graded
    ]
    if not options.json:
        print_table([{key: value for key, value in row.items() if key != "answers"} for row in rows])
        print(
            f"\n{len(graded)} student(s), {len(names)} exercises" + (f"; table: {options.csv}" if options.csv else "")
        )
    return 0, rows, {"file": options.file, "seconds": options.seconds, "csv": options.csv}


VERB = Verb(
    "exercises",
    "list the lectures' exercises, or check the answers in a file or in a folder of submissions",
    _options,
    _run,
    seeded=False,
)
