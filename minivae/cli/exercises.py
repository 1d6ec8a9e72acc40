"""``minivae exercises``: the lectures' exercises, and the answers in a student's file."""

import argparse

from minivae import exercises
from minivae.cli.tables import Rows, print_table
from minivae.cli.verbs import Outcome, Verb
from minivae.core import checks
from minivae.exercises.student_file import check_file


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", metavar="FILE", help="a student's .py or .ipynb (its answers are run)")
    parser.add_argument("--seconds", type=float, default=10.0, help="time limit of an answer (default 10)")


def _run(options: argparse.Namespace) -> Outcome:
    """List the exercises, or check the answers in a file."""
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
    outcomes = check_file(options.file, exercises.EXERCISES, checks.number(options.seconds, "seconds", low=0))
    rows = [
        {"exercise": o.id, "state": o.state, "ok": o.ok, "message": o.message, "mistake": o.mistake} for o in outcomes
    ]
    n_right = sum(outcome.ok for outcome in outcomes)
    if not options.json:
        print(*outcomes, sep="\n")
        print(f"\n{n_right} of {len(outcomes)} answers in {options.file} are right")
    return int(n_right < len(outcomes)), rows, {"file": options.file, "seconds": options.seconds}


VERB = Verb("exercises", "list the lectures' exercises, or check the answers in a file", _options, _run, seeded=False)
