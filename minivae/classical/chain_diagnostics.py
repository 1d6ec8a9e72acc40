"""What draws of Markov chains are worth: split R-hat, and the effective sample size.

References
----------
A. Vehtari et al., "Rank-normalization, folding, and localization: an improved R-hat", 2021, sections 2 and 3;
C. J. Geyer, "Practical Markov chain Monte Carlo", 1992.
"""

from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array


def split_r_hat(draws: Any) -> Array:
    """Return split R-hat: each chain cut in halves, the variance of all over that within a half, its square root.

        B = n Var(means of the halves),   W = mean variance within,   R = sqrt((n - 1) / n + B / (n W))

    Near 1, at most 1.01 say, once the chains agree and no longer drift.

    Parameters
    ----------
    draws : array of shape (n, C) or (n, C, d)
        At least 4 draws of each chain, as ``Chains.draws``.

    Returns
    -------
    array of shape () or (d,)
        1 where nothing varies.

    Examples
    --------
    >>> apart = np.random.default_rng(0).standard_normal((100, 2)) + [0.0, 5.0]
    >>> float(split_r_hat(apart).round(2))
    3.25
    """
    halves = _halves(draws)
    n = len(halves)
    within, between = halves.var(axis=0, ddof=1).mean(axis=0), halves.mean(axis=0).var(axis=0, ddof=1)
    still = within <= 0
    ratio = between / np.where(still, 1, within)
    alike = np.where(between > 0, np.inf, 1.0)
    return np.where(still, alike, np.sqrt((n - 1) / n + ratio))


def effective_sample_size(draws: Any) -> Array:
    """Return how many independent draws would give a mean of the same variance.

        ESS = n C / tau,   tau = -1 + 2 sum_k P_k,   P_k = rho_2k + rho_2k+1

    rho_t are autocorrelations of the halved chains together, taken about the common mean, so that chains that disagree
    lower it. The sum ends where a pair P_k is negative, and a pair counts no more than the one before (Geyer's initial
    monotone sequence).

    Parameters
    ----------
    draws : array of shape (n, C) or (n, C, d)
        At least 8 draws of each chain.

    Returns
    -------
    array of shape () or (d,)
        At most n C log10(n C); n C where nothing varies.

    Examples
    --------
    >>> rng, x = np.random.default_rng(0), np.zeros((20_000, 2))
    >>> for t in range(1, len(x)):
    ...     x[t] = 0.5 * x[t - 1] + rng.standard_normal(2)
    >>> round(float(effective_sample_size(x) / x.size), 1)  # (1 - 0.5) / (1 + 0.5)
    0.3
    """
    halves = _halves(draws, 8)
    if halves.ndim == 2:
        return np.array(_ess(halves))
    return np.array([_ess(halves[:, :, j]) for j in range(halves.shape[2])])


def _ess(halves: Array) -> float:
    n, m = halves.shape
    centred = halves - halves.mean(axis=0)
    if not np.ptp(halves) > 0:
        return float(n * m)
    power = np.abs(np.fft.rfft(centred, 2 * n, axis=0)) ** 2
    autocovariance = (np.fft.irfft(power, axis=0)[:n] / n).mean(axis=1)
    within = autocovariance[0] * n / (n - 1)
    total = autocovariance[0] + (halves.mean(axis=0).var(ddof=1) if m > 1 else 0.0)
    rho = 1 - (within - autocovariance) / total
    rho[0] = 1.0
    usable = 2 * ((n - 1) // 2)
    pairs = rho[0:usable:2] + rho[1:usable:2]
    ends = np.flatnonzero(pairs <= 0)
    k = int(ends[0]) if len(ends) else len(pairs) - 1
    tau = -1 + 2 * float(np.minimum.accumulate(pairs[:k]).sum())
    tau += max(0.0, float(rho[2 * k]))  # half of the pair that ends it
    return n * m / max(tau, 1 / np.log10(n * m))


def _halves(draws: Any, least: int = 4) -> Array:
    """Return the chains cut in halves, shape (n // 2, 2 C, ...); of an odd number the middle goes."""
    x = checks.real(draws, "draws")
    if x.ndim not in (2, 3) or len(x) < least or not x.size:
        raise ValueError(
            f"draws must have shape (n, C) or (n, C, d) with n at least {least}, got {x.shape}. Run the chains longer."
        )
    half = len(x) // 2
    return np.concatenate([x[:half], x[len(x) - half :]], axis=1)
