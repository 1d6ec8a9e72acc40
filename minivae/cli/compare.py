"""``minivae compare``: gradient estimators side by side, each number beside its exact value."""

import argparse
import math
import textwrap

from tqdm import tqdm

from minivae.cli.tables import Rows, print_table
from minivae.cli.verbs import Outcome, Verb, add_quiet
from minivae.studies import compare_summary
from minivae.studies.compare import ENOUGH, NAMES, PROBLEMS, check_request, compare, write_table
from minivae.studies.compare_own import own_problem
from minivae.studies.compare_rows import FAR, Problem, reference_of
from minivae.training import runs

_USUAL = ["quadratic", "linear-gaussian", "digits"]
_WIDTH = 98
_DIGITS = {"z_mean": 1, "z_variance": 1, "variance_ratio": 2, "ns_per_draw": 0}


def _options(parser: argparse.ArgumentParser) -> None:
    problems = f"{', '.join(PROBLEMS)} (default {' '.join(_USUAL)}; with --cost none)"
    parser.add_argument("--problem", nargs="+", metavar="NAME", help=problems)
    own = "a cost of your own: a function of z, shape (K, D) -> (K,), or an object with value(z) and gradient(z)"
    parser.add_argument("--cost", metavar="FILE.py:NAME", help=own)
    beside = "the function in the same file that gives df/dz, (K, D) -> (K, D) (default NAME_gradient or dNAME)"
    parser.add_argument("--derivative", metavar="NAME", help=beside)
    parser.add_argument("--mu", nargs="+", type=float, metavar="M", help="means of z for --cost (default 0)")
    parser.add_argument("--sigma", nargs="+", type=float, metavar="S", help="standard deviations of z (default ones)")
    parser.add_argument("--estimators", nargs="+", metavar="NAME", help=f"{', '.join(NAMES)} (default all)")
    parser.add_argument("--samples", type=int, default=100_000, metavar="N", help="draws an estimator (default 100000)")
    parser.add_argument("--full", action="store_true", help="print every parameter, with means and distances")
    parser.add_argument("--out", metavar="DIR", help="where to write table and figures (default runs/compare-NNN)")
    add_quiet(parser)


def _run(options: argparse.Namespace) -> Outcome:
    """Measure gradient estimators beside their exact values; the code is 1 where a number lies too far off."""
    problems = _problems(options)
    names = options.estimators
    for problem in problems:
        check_request(problem, names, options.samples, options.seed)
    if names and not any(set(problem.estimators) & set(names) for problem in problems):
        raise ValueError(
            f"estimators must hold one that {', '.join(problem.name for problem in problems)} knows, got "
            f"{', '.join(names)}. Leave --estimators away to see all."
        )
    folder = runs.new_folder(options.out, "compare")
    rows: Rows = []
    bar = tqdm(total=2 * len(problems) + 10, disable=True if options.quiet else None, desc="comparing")
    with bar:
        for problem in problems:
            found = list(compare(problem, names, options.samples, options.seed))
            rows += found
            bar.update(1)
            if not options.json and found:
                bar.clear()
                _print_problem(problem, found, options.full)
        table = write_table(folder / "compare.csv", rows)
        from minivae.studies import compare_figures  # half a second for matplotlib that refusals need not wait for

        paths = compare_figures.write(folder, problems, rows, options.seed, bar.update)
    ok, verdict = _verdict(rows, options.samples)
    if not options.json:
        print(verdict)
        print(f"Table: {table}\nFigures: {', '.join(paths)}")
    settings = {"samples": options.samples, "seed": options.seed, "out": str(folder), "table": table, "figures": paths}
    return int(not ok), rows, settings


def _problems(options: argparse.Namespace) -> list[Problem]:
    """Return the problems that are asked for, each once; the cost of one's own is the last."""
    asked = options.problem or ([] if options.cost else _USUAL)
    problems: list[Problem] = [PROBLEMS.choose(name) for name in dict.fromkeys(asked)]
    if options.cost:
        return [*problems, own_problem(options.cost, options.derivative, options.mu, options.sigma)]
    for name in ("derivative", "mu", "sigma"):
        if getattr(options, name) is not None:
            raise ValueError(f"{name} must go with --cost, got it alone. Name a cost: --cost costs.py:f, say.")
    return problems


def _print_problem(problem: Problem, rows: Rows, full: bool) -> None:
    """Print one problem's table, what it shows, and what it would take to have the estimators that it lacks."""
    print(_wrapped(problem.title))
    if full:
        ratio = f"variance_ratio: the exact variance over that of {reference_of(problem.estimators)}"
        print(_wrapped(ratio + (f"; {problem.note}" if problem.note else "")) + "\n")
        hidden = ("problem", "reference_variance")
        print_table([{k: v for k, v in row.items() if k not in hidden} for row in rows], _DIGITS)
    else:
        print(_wrapped(compare_summary.caption(problem, rows)) + "\n")
        lines = compare_summary.short_table(problem, rows)
        print_table(lines, {"exact": _decimals(lines), "measured": _decimals(lines), "ns per draw": 0})
    print("\n" + _wrapped(compare_summary.finding(problem, rows)))
    for name, need in problem.lacks.items():
        print(f"{name} needs {need}.")
    print()


def _wrapped(text: str) -> str:
    return textwrap.fill(text, _WIDTH, break_on_hyphens=False, break_long_words=False)


def _decimals(lines: Rows) -> int:
    """Return as many decimals as show two digits of the smallest ratio, and two at least."""
    ratios = [line[key] for line in lines for key in ("exact", "measured") if line[key]]
    return max([2, *(1 - math.floor(math.log10(ratio)) for ratio in ratios)])


def _verdict(rows: Rows, n_samples: int) -> tuple[bool, str]:
    """Return whether all numbers lie close enough to the exact ones, and say so."""
    distances = [abs(row[z]) for row in rows for z in ("z_mean", "z_variance") if row[z] is not None]
    if not distances:
        return True, "No exact values are known, so the measured ones stand alone."
    worst = max(distances)
    ok = worst < FAR or n_samples < ENOUGH
    verdict = "." if ok else f": beyond {FAR:g} something is wrong."
    if n_samples < ENOUGH:
        verdict = f"; with fewer than {ENOUGH:,} draws those errors are rough, and this is no verdict."
    return ok, f"{len(distances)} means and variances lie within {worst:.1f} standard errors of the exact ones{verdict}"


VERB = Verb(
    "compare", "compare gradient estimators: variances measured and exact, signal to noise, cost", _options, _run
)
