"""What a score-function estimator multiplies the score by: f less the other draws' mean, or less the best constant."""

from typing import Any

import numpy as np

from minivae.core import checks, errors
from minivae.core.arrays import Array


def leave_one_out(f: Any) -> Array:
    """Return the mean of the other draws' f for each draw, of the shape of f.

        c_k = 1/(K-1) sum_(j != k) f_j

    Parameters
    ----------
    f : array of shape (K, ...)
        At least two draws along the first axis.

    Raises
    ------
    ValueError
        If there are fewer than two draws.

    References
    ----------
    W. Kool, H. van Hoof, M. Welling, "Buy 4 REINFORCE samples, get a baseline for free!", 2019.

    Examples
    --------
    >>> leave_one_out(np.array([1.0, 2.0, 6.0]))
    array([4. , 3.5, 1.5])
    """
    f = _signal(f)
    return f - leave_one_out_signal(f)


def leave_one_out_signal(f: Any) -> Array:
    """Return f - leave_one_out(f), taken of differences between draws: what multiplies the score.

    Adding a constant to f changes nothing: nothing at all where f + constant is not rounded.

    >>> leave_one_out_signal(np.array([1.0, 2.0, 6.0]) + 1e6)
    array([-3. , -1.5,  4.5])
    """
    f = _signal(f)
    if f.ndim == 0 or len(f) < 2:
        raise ValueError(
            f"f must hold at least 2 draws for a leave-one-out baseline, got shape {f.shape}: a single draw has no "
            f"others. Use n_draws=2 or more, or another baseline."
        )
    difference = f - f[0]
    return difference - (difference.sum(axis=0) - difference) / (len(f) - 1)


def optimal_baseline(f: Any, score: Any) -> Array:
    """Return the constant of least variance for each coordinate of the score, estimated from draws.

        c* = E[f s^2] / E[s^2]

    In general it is not E[f]. Use draws that the baseline is not applied to.

    Parameters
    ----------
    f : array of shape (K, ...)
    score : array of shape (K, ..., H)

    Returns
    -------
    array of shape (..., H)

    References
    ----------
    E. Greensmith, P. Bartlett, J. Baxter, "Variance reduction techniques for gradient estimates in reinforcement
    learning", 2004.

    Examples
    --------
    >>> b = np.array([0.0, 1.0, 1.0])  # a single bit: f is 4 where b = 0, else 1
    >>> optimal_baseline(4 - 3 * b, (b - 0.5)[:, None])
    array([2.])
    """
    f, score = checks.real(f, "f"), checks.real(score, "score")
    if f.ndim == 0 or score.shape[:-1] != f.shape or not len(f):
        raise ValueError(
            f"score must have the shape of f and one more axis, got {score.shape} for f of shape {f.shape}. "
            f"One coordinate is score[..., None]."
        )
    square = score**2
    total = np.sum(square, axis=0)
    with np.errstate(over="ignore", invalid="ignore"):  # where no score moves, any constant is as good as 0
        best = np.divide(np.sum(f[..., None] * square, axis=0), total, out=np.zeros_like(total), where=total > 0)
    errors.speak_of("the baseline", best, f=f, score=score)
    return best


def _signal(f: Any) -> Array:
    """Return f in its own dtype: for the inside of a training loop."""
    return checks.numbers(f, "f", "Give one value a draw.")
