"""Gradient estimators side by side: what ``minivae compare`` measures, with the exact value beside each number.

A problem yields rows; a row is one estimator's gradient for one parameter (or the mean over alike parameters), by
single draws. ``z_mean`` and ``z_variance`` are distances from the exact values in standard errors; where those are not
known, they are None. ``exact_mean`` is the estimator's own; ``exact_bias``, where an estimator may have one, what it
is more than the gradient.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from minivae.core import checks
from minivae.core.files import write_atomically
from minivae.core.registry import Table
from minivae.core.seeds import Stream, stream
from minivae.studies.compare_codes import CODES_BITS, CODES_CATEGORICAL
from minivae.studies.compare_costs import COSINE, EXPONENTIAL, QUADRATIC
from minivae.studies.compare_digits import BITS, DIGITS
from minivae.studies.compare_linear import LINEAR_GAUSSIAN
from minivae.studies.compare_rows import Problem, Row, quotient

PROBLEMS: Table[Problem] = Table("problem")  # at the end is where a new one goes: its place is a part of its seed
for _problem in (QUADRATIC, EXPONENTIAL, COSINE, LINEAR_GAUSSIAN, DIGITS, BITS, CODES_BITS, CODES_CATEGORICAL):
    PROBLEMS.add(_problem.name, _problem)

NAMES = tuple(dict.fromkeys(name for problem in PROBLEMS.values() for name in problem.estimators))

ENOUGH = 10_000  # draws from which on a distance in standard errors is a verdict
MOST = 10**6
_OWN = 99  # of the streams: that of problems which are not in the table


def named_problem(problem: Problem | str) -> Problem:
    """Return a problem given as itself or by its name.

    >>> named_problem("quadratic").estimators[:2]
    ('pathwise', 'score')
    """
    return PROBLEMS.choose(problem) if isinstance(problem, str) else problem


def check_request(problem: Problem | str, names: Sequence[str] | None, n_samples: int, seed: int) -> None:
    """Refuse what ``compare`` cannot do, before any work; arguments as there."""
    problem = named_problem(problem)
    for name in names or ():
        checks.choice(name, NAMES, "estimators")
        if name in problem.lacks:
            raise ValueError(
                f"estimators must leave {name} out for {problem.name}, got {', '.join(names or ())}. {name} needs "
                f"{problem.lacks[name]}."
            )
    if checks.width(n_samples, "samples") < problem.fewest:
        raise ValueError(
            f"samples must be at least {problem.fewest} for a variance on {problem.name}, got {n_samples}. "
            f"Use 100000, say."
        )
    if n_samples > MOST:
        raise ValueError(f"samples must be at most 1 million, got {n_samples}. The errors fall as 1 / sqrt(samples).")
    checks.seed(seed)


def compare(
    problem: Problem | str, names: Sequence[str] | None = None, n_samples: int = 100_000, seed: int = 0
) -> Iterator[Row]:
    """Yield the rows of one problem.

    Parameters
    ----------
    problem : str or Problem
        A name in ``PROBLEMS``, or a problem of your own: ``CostProblem`` makes one of a cost.
    names : sequence of str, optional
        Estimators, of ``NAMES``; those that the problem does not know are passed over. All that it has unless given.
    n_samples : int
        Draws for each estimator; on the digits a hundredth of them for each of 100 images.
    seed : int

    Raises
    ------
    ValueError
        If a name is unknown, or needs what the problem lacks, or there are too few draws for a variance.

    Examples
    --------
    >>> row = next(compare("quadratic", ["pathwise"], 1000))
    >>> row["parameter"], row["exact_mean"], row["exact_variance"]
    ('mu', -4.0, 4.0)
    """
    problem = named_problem(problem)
    check_request(problem, names, n_samples, seed)
    number = list(PROBLEMS).index(problem.name) if PROBLEMS.get(problem.name) is problem else _OWN
    chosen = problem.estimators if names is None else names
    for row in problem.rows(chosen, n_samples, seed, stream(seed, Stream.COMPARE, number)):
        snr, ns_per_draw, bias = row.pop("snr"), row.pop("ns_per_draw"), row.pop("exact_bias", None)
        ratio = quotient(row["exact_variance"], row["reference_variance"])
        yield {
            "problem": problem.name,
            **row,
            "exact_bias": bias,
            "variance_ratio": ratio,
            "snr": snr,
            "ns_per_draw": ns_per_draw,
        }


def write_table(path: Path, rows: Sequence[Row]) -> str:
    """Write rows as a CSV file, all digits, what is not known left empty; return its path.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "table.csv"
    >>> _ = write_table(path, [{"estimator": "score", "mean": 0.1, "exact_mean": None}])
    >>> path.read_text().split()
    ['estimator,mean,exact_mean', 'score,0.1,']
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())
    return str(path)
