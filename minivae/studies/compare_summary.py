"""What the rows of ``minivae compare`` come down to: one line an estimator, and one sentence on what they show."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from minivae.studies.compare_rows import FAR, Problem, Row, quotient, reference_of

_SURE = 1000  # draws from which on a mean that lies far off is called biased


@dataclass(frozen=True)
class Total:
    """One estimator on one problem, all parameters in one number.

    Attributes
    ----------
    estimator : str
    variance, exact_variance : float, and float or None
        Of one draw: the sum over the parameters (the trace of the covariance), or that of ``Problem.whole``.
    ratio, exact_ratio : float or None
        The same, divided by the variance of ``reference``: its exact one, or where none is known its measured one.
    reference : str or None
        The estimator that all are divided by; None where none has a variance.
    snr : float
        |gradient| / sqrt(variance) of one draw.
    ns_per_draw : float
    bias : float or None
        |exact mean - gradient| / |gradient|; None on problems whose estimators all are unbiased.
    """

    estimator: str
    variance: float
    exact_variance: float | None
    ratio: float | None
    exact_ratio: float | None
    snr: float
    ns_per_draw: float
    reference: str | None
    bias: float | None = None

    @property
    def best_ratio(self) -> float | None:
        """The exact ratio where there is one, else the measured one."""
        return self.ratio if self.exact_ratio is None else self.exact_ratio


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def totals(problem: Problem, rows: Sequence[Row]) -> list[Total]:
    """Return one total an estimator, in the order of the rows of one problem.

    They are related to pathwise, or to leave-one-out where there is none; where that has no variance or was not
    measured and none is known, to leave-one-out, or to the least of those that were measured.

    Examples
    --------
    >>> from minivae.studies.compare import compare, named_problem
    >>> rows = list(compare("quadratic", ["pathwise", "score"], 1000))
    >>> [round(total.exact_ratio, 3) for total in totals(named_problem("quadratic"), rows)]  # (87 + 346) / (4 + 24)
    [1.0, 15.464]
    """
    by_name: dict[str, list[Row]] = {}
    for row in rows:
        if problem.whole in (None, row["parameter"]):
            by_name.setdefault(row["estimator"], []).append(row)
    measured = {name: float(sum(row["variance"] for row in own)) for name, own in by_name.items()}
    exact = {name: _sum([row["exact_variance"] for row in own]) for name, own in by_name.items()}
    usual = reference_of(problem.estimators)
    divisors = {usual: _sum([row["reference_variance"] for row in next(iter(by_name.values()))]) or measured.get(usual)}
    for name in ("score-leave-one-out", *sorted(measured, key=lambda name: measured[name])):
        divisors.setdefault(name, exact.get(name) or measured.get(name))
    reference = next((name for name, divisor in divisors.items() if divisor), None)
    found = []
    for name, own in by_name.items():
        means = [row["mean"] if row["exact_mean"] is None else row["exact_mean"] for row in own]
        snr = sum(mean**2 for mean in means) ** 0.5 / measured[name] ** 0.5 if measured[name] else float("inf")
        ratio, exact_ratio = (quotient(value, divisors.get(reference or "")) for value in (measured[name], exact[name]))
        found.append(
            Total(
                name,
                measured[name],
                exact[name],
                ratio,
                exact_ratio,
                snr,
                own[0]["ns_per_draw"],
                reference,
                _bias_of(own),
            )
        )
    return found


def _bias_of(own: Sequence[Row]) -> float | None:
    """Return |bias| / |gradient| of the rows of one estimator, or None where there is none to be known."""
    known = [row for row in own if row.get("exact_bias") is not None]
    if not known:
        return None
    gradient = math.hypot(*(row["exact_mean"] - row["exact_bias"] for row in known))
    return math.hypot(*(row["exact_bias"] for row in known)) / gradient if gradient else math.inf


def short_table(problem: Problem, rows: Sequence[Row]) -> list[Row]:
    """Return one line an estimator: variances relative to the reference's, signal to noise, nanoseconds a draw.

    Where estimators may be biased those that are say so, and a column has their bias, relative to the gradient.
    """
    return [
        {
            "estimator": total.estimator + (" (biased)" if total.bias else ""),
            "exact": total.exact_ratio,
            "measured": total.ratio,
            **({} if total.bias is None else {"bias": total.bias}),
            "signal/noise": total.snr,
            "ns per draw": total.ns_per_draw,
        }
        for total in totals(problem, rows)
    ]


def caption(problem: Problem, rows: Sequence[Row]) -> str:
    """Return what the columns "exact" and "measured" hold.

    >>> from minivae.studies.compare import compare, named_problem
    >>> problem = named_problem("quadratic")
    >>> caption(problem, list(compare(problem, ["score"], 1000)))
    'variance of one draw, all parameters in sum, relative to pathwise'
    """
    what = f"all weights of the {problem.whole}" if problem.whole else "all parameters in sum"
    reference, usual = totals(problem, rows)[0].reference, reference_of(problem.estimators)
    if reference is None:
        return f"variance of one draw, {what}: there is none"
    why = "" if usual == "pathwise" else " (there is no pathwise)"
    if reference != usual:
        none = _sum([row["reference_variance"] for row in rows]) == 0
        why = f" ({usual} has no variance)" if none else f" ({usual} was left out)"
    return f"variance of one draw, {what}, relative to {reference}{why}"


def finding(problem: Problem, rows: Sequence[Row]) -> str:
    """Return a sentence on which estimator varies least, where the score function beats the path, and what is biased.

    Examples
    --------
    >>> from minivae.studies.compare import compare, named_problem
    >>> rows = list(compare("quadratic", ["pathwise", "score", "score-optimal"], 1000))
    >>> print(finding(named_problem("quadratic"), rows))
    pathwise has the least variance; the best score function, score-optimal, has 7.93 times pathwise's (15.5 times
    without a baseline).
    """
    biased = _biased(rows)
    clauses = [f"{name} is biased: {_bias(row)}" for name, row in biased.items()]
    for total in totals(problem, rows):
        if total.bias:
            biased[total.estimator] = max(
                (row for row in rows if row["estimator"] == total.estimator), key=lambda row: abs(row["exact_bias"])
            )
            clauses.append(f"{total.estimator} is biased, by {total.bias:.2g} of the gradient")
    known = {total.estimator: total.best_ratio for total in totals(problem, rows) if total.estimator not in biased}
    reference = totals(problem, rows)[0].reference
    related = sorted((ratio, name) for name, ratio in known.items() if ratio is not None)
    if reference is None or not related:
        return (
            "; ".join([*clauses, "nothing has a variance" if reference is None else "nothing else was measured"]) + "."
        )
    (least, best), score = related[0], [(ratio, name) for ratio, name in related if name.startswith("score")]
    if len(related) == 1:
        alone = "is what the others are relative to" if best == reference else f"has {_of(least, reference)}"
        return "; ".join([*clauses, f"{best} {alone}"]) + "."
    clauses.append(f"{best} has the least variance" + ("" if best == reference else f", {_of(least, reference)}"))
    if score and score[0][1] != best:
        clauses.append(f"the best score function, {score[0][1]}, has {_of(score[0][0], reference)}")
    if score and score[0][1] != "score" and "score" in known:
        clauses[-1] += f" ({_number(known['score'] or 0.0)} times without a baseline)"
    if "pathwise" not in biased and (beaten := _beaten(rows)):
        clauses.append(f"the score function beats the path for {beaten}")
    return "; ".join(clauses) + "."


def _biased(rows: Sequence[Row]) -> dict[str, Row]:
    """Return the row of each estimator whose mean lies too far off, where there are several the farthest."""
    far = [row for row in rows if row["n_samples"] >= _SURE and abs(row["z_mean"] or 0.0) > FAR]
    return {row["estimator"]: row for row in sorted(far, key=lambda row: abs(row["z_mean"]))}


def _bias(row: Row) -> str:
    far = f", {abs(row['z_mean']):.0f} standard errors away" if math.isfinite(row["z_mean"]) else ""
    why = " (a derivative of another function, or a cost that jumps)" if row["estimator"] == "pathwise" else ""
    return f"its mean for {row['parameter']} is {row['mean']:.4g}, the exact one {row['exact_mean']:.4g}{far}{why}"


def _of(ratio: float, reference: str) -> str:
    return f"{_number(ratio)} of {reference}'s" if ratio < 1 else f"{_number(ratio)} times {reference}'s"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _beaten(rows: Sequence[Row]) -> str:
    """List the parameters for which a score function has less variance than the path, with the best one of each."""
    if not any(row["estimator"] == "pathwise" for row in rows):
        return ""
    found = []
    for parameter in dict.fromkeys(row["parameter"] for row in rows):
        ratios = {
            row["estimator"]: row["variance_ratio"]
            for row in rows
            if row["parameter"] == parameter and row["estimator"].startswith("score") and row["variance_ratio"]
        }
        best = min(ratios, key=lambda name: ratios[name], default=None)
        if best is not None and ratios[best] < 1:
            found.append(f"{parameter} ({best}, {_number(ratios[best])} of its variance)")
    return " and ".join([", ".join(found[:-1]), found[-1]] if len(found) > 1 else found)
