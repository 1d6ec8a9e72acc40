"""``minivae gradcheck``: every hand-written gradient, ours or those of your own file, beside finite differences."""

import argparse
import contextlib
import sys
from dataclasses import asdict

from minivae.cli.tables import Rows, print_table
from minivae.cli.verbs import Outcome, Verb
from minivae.core import checks
from minivae.studies.gradients import gradient_checks
from minivae.studies.gradients_file import check_file

_HELP = "your .py file: its layers, likelihoods, posteriors, priors, penalties and costs are checked (the file is run)"


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", metavar="FILE", help=_HELP)


def _run(options: argparse.Namespace) -> Outcome:
    """Check the gradients; the code is 1 where one is wrong, or none could be checked."""
    seed = checks.seed(options.seed)
    with contextlib.redirect_stdout(sys.stderr):  # what a file prints is not a part of the table
        found = list(gradient_checks(seed) if options.file is None else check_file(options.file, seed))
    rows: Rows = [asdict(row) for row in found]
    failed, checked = [row for row in found if row.ok is False], [row for row in found if row.ok is not None]
    if not options.json:
        print_table([{key: value for key, value in row.items() if key != "message"} for row in rows])
        said = [
            f"{row.name}: {'not checked: ' if row.ok is None else ''}{row.message.rstrip('.')}."
            for row in found
            if row.message
        ]
        print(*(["", *said] if said else []), "", _verdict(len(failed), len(checked), options.file), sep="\n")
    return int(bool(failed) or not checked), rows, {"seed": options.seed, "file": options.file}


def _verdict(n_failed: int, n_checked: int, file: str | None) -> str:
    where = "" if file is None else f" in {file}"
    if not n_checked:
        return f"none of the gradients{where} could be checked"
    if n_failed:
        return f"{n_failed} of {n_checked} gradients{where} failed the check"
    how = "finite differences (central, or complex steps where the tolerance is 1e-12)"
    return f"all {n_checked} gradients{where} agree with {how}"


VERB = Verb("gradcheck", "check hand-written gradients against finite differences, ours or your own", _options, _run)
