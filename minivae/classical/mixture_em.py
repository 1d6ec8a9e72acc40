"""EM for mixtures of Gaussians: coordinate ascent on the ELBO, first in the responsibilities, then in the parameters.

    E-step   r_nk = p(component k | x_n)                       the ELBO's best r: it then equals log p(x)
    M-step   n_k = sum_n r_nk,   w_k = n_k / n,   m_k = sum_n r_nk x_n / n_k,
             S_k = sum_n r_nk (x_n - m_k)(x_n - m_k)^T / n_k   the ELBO's best parameters at these r

Neither step lowers the ELBO, and after each E-step it is log p(x): so log p(x) never falls. It has no upper bound,
though: a component on a single point gains without end as its variance falls. So variances have a floor. The best S_k
whose eigenvalues are at least the floor is S_k with its eigenvalues raised to it; the step stays an exact M-step.

References
----------
A. P. Dempster, N. M. Laird, D. B. Rubin, "Maximum likelihood from incomplete data via the EM algorithm", 1977;
R. M. Neal, G. E. Hinton, "A view of the EM algorithm", 1998; R. J. Hathaway, "A constrained formulation of
maximum-likelihood estimation for normal mixture distributions", 1985; D. Arthur, S. Vassilvitskii, "k-means++", 2007.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minivae.classical.gaussian_mixture import GaussianMixture, shares
from minivae.core import checks
from minivae.core.arrays import Array

_FLOOR = 1e-6  # of the data's mean variance


@dataclass(frozen=True)
class EmStep:
    """One iterate of EM.

    Attributes
    ----------
    mixture : GaussianMixture
    log_lik : float
        sum_n log p(x_n) under it, nats.
    r : array of shape (n, K)
        Its responsibilities.
    at_floor : list of int
        Components with a variance at the floor: on one point, or on a plane, where the likelihood has no upper bound.
    """

    mixture: GaussianMixture
    log_lik: float
    r: Array
    at_floor: list[int]


def m_step(x: Any, r: Any, covariance: str = "full", floor: float | None = None) -> GaussianMixture:
    """Return the mixture with the highest ELBO at these responsibilities.

    Parameters
    ----------
    x : array of shape (n, d)
    r : array of shape (n, K)
    covariance : str
        "full" or "diagonal".
    floor : float, optional
        The least variance in any direction; 1e-6 of the data's mean variance unless given. 0 leaves it free.

    Raises
    ------
    ValueError
        If x does not vary, or a component has no responsibility left, or, at the floor 0, no variance.

    Examples
    --------
    >>> m_step(np.array([[0.0], [2.0], [7.0]]), [[1, 0], [1, 0], [0, 1]], floor=0.25).covariances.ravel()
    array([1.  , 0.25])
    """
    x = _varying(x)
    r = checks.real(r, "r", (None, None))
    return _m_step(
        x,
        shares(r, (len(x), r.shape[1])),
        checks.choice(covariance, ("full", "diagonal"), "covariance"),
        _floor(x, floor),
    )


def _m_step(x: Array, r: Array, covariance: str, floor: float) -> GaussianMixture:
    n_k = r.sum(axis=0)
    if not (n_k > 0).all():
        raise ValueError(
            f"r must give every component a share, got none for component {int(np.argmin(n_k))}: it is far from all "
            f"rows. Start with fewer components, or nearer to the data."
        )
    means = r.T @ x / n_k[:, None]
    apart = x[None] - means[:, None]  # (K, n, d)
    if covariance == "diagonal":
        found = np.maximum(np.einsum("nk,knd->kd", r, np.square(apart)) / n_k[:, None], floor)
        least = found.min(axis=1)
    else:
        found = np.einsum("nk,kni,knj->kij", r, apart, apart) / n_k[:, None, None]
        found = 0.5 * (found + found.transpose(0, 2, 1))
        values, vectors = np.linalg.eigh(found)
        least = np.maximum(values, floor).min(axis=1)
        for k in np.flatnonzero(values.min(axis=1) < floor):
            found[k] = (vectors[k] * np.maximum(values[k], floor)) @ vectors[k].T
            found[k] = 0.5 * (found[k] + found[k].T)
    if not (least > 1e-14 * np.square(apart).mean()).all():
        raise ValueError(
            f"floor must keep every variance above 0, got {floor:g} and component {int(np.argmin(least))} without "
            f"variance in some direction: there the likelihood has no upper bound. Raise it."
        )
    return GaussianMixture(n_k / n_k.sum(), means, found)


def em(x: Any, start: GaussianMixture, floor: float | None = None) -> Iterator[EmStep]:
    """Yield the iterates of EM, the start first, for as long as they are asked for; log_lik never falls.

    Parameters
    ----------
    x : array of shape (n, d)
    start : GaussianMixture
        Its covariances, full or diagonal, say which are fitted.
    floor : float, optional
        As in ``m_step``. A start below it may lose likelihood in the first step.

    Examples
    --------
    >>> x = np.array([[-2.0], [-1.5], [0.0], [1.0], [2.5], [3.0]])
    >>> steps = em(x, GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], [[1.0], [1.0]]))
    >>> [round(next(steps).log_lik, 10) for _ in range(2)]
    [-13.0265107779, -11.5032230057]
    """
    x, mixture = _varying(x), _mixture(start)
    covariance, floor = "full" if mixture.covariances.ndim == 3 else "diagonal", _floor(x, floor)
    while True:
        joint = mixture.log_joint(x)
        log_p = np.logaddexp.reduce(joint, axis=1)
        r = np.exp(joint - log_p[:, None])
        yield EmStep(mixture, float(log_p.sum()), r, _at(mixture, floor))
        mixture = _m_step(x, r, covariance, floor)


def fit_mixture(
    x: Any,
    n_components: int,
    rng: np.random.Generator,
    covariance: str = "full",
    *,
    n_starts: int = 5,
    n_steps: int = 1000,
    tolerance: float = 1e-9,
    floor: float | None = None,
) -> EmStep:
    """Return the best end of EM from several k-means++ starts.

    Parameters
    ----------
    x : array of shape (n, d)
    n_components : int
        K, at most as many as there are different rows.
    rng : numpy.random.Generator
    covariance : str
        "full" or "diagonal".
    n_starts, n_steps : int
        Starts, and steps from each at most.
    tolerance : float
        A start ends where log p(x) per row rises by no more in a step.
    floor : float, optional
        As in ``m_step``.

    Returns
    -------
    EmStep
        An end without a variance at the floor, where there is one, before those with one; then by likelihood.

    Examples
    --------
    >>> x = np.concatenate([np.linspace(-3, -2, 20), np.linspace(2, 4, 30)])[:, None]
    >>> found = fit_mixture(x, 2, np.random.default_rng(0))
    >>> sorted(found.mixture.means.ravel().round(6).tolist()), sorted(found.mixture.weights.round(6).tolist())
    ([-2.5, 3.0], [0.4, 0.6])
    """
    x, rng = _varying(x), checks.generator(rng)
    covariance = checks.choice(covariance, ("full", "diagonal"), "covariance")
    n_starts, n_steps = checks.width(n_starts, "n_starts"), checks.width(n_steps, "n_steps")
    tolerance, floor = checks.number(tolerance, "tolerance", low=0, closed=True), _floor(x, floor)
    ends = []
    for _ in range(n_starts):
        centres = k_means_plus_plus(x, n_components, rng)
        nearest = np.square(x[:, None] - centres[None]).sum(axis=2).argmin(axis=1)
        start = _m_step(x, np.eye(len(centres))[nearest], covariance, floor)
        before = -np.inf
        for t, step in enumerate(em(x, start, floor)):
            if step.log_lik - before <= tolerance * len(x) or t == n_steps:
                break
            before = step.log_lik
        ends.append(step)
    return max(ends, key=lambda end: (not end.at_floor, end.log_lik))


def k_means_plus_plus(x: Any, n_components: int, rng: np.random.Generator) -> Array:
    """Return rows of x far apart, shape (K, d): each next one with a probability like its squared distance to the last.

    Raises
    ------
    ValueError
        If there are fewer different rows than centres.

    Examples
    --------
    >>> centres = k_means_plus_plus(np.array([[0.0], [0.0], [5.0]]), 2, np.random.default_rng(0))
    >>> sorted(centres.ravel().tolist())  # never the same row twice
    [0.0, 5.0]
    """
    x = checks.squarable(checks.data(x, dtype=np.dtype(np.float64)))
    n_components, rng = checks.width(n_components, "n_components"), checks.generator(rng)
    distinct = len(np.unique(x, axis=0))
    if n_components > distinct:
        raise ValueError(
            f"n_components must be at most the {distinct} different rows of x, got {n_components}. Use fewer, or "
            f"more data."
        )
    chosen = [int(rng.integers(len(x)))]
    squares = np.full(len(x), np.inf)
    while len(chosen) < n_components:
        squares = np.minimum(squares, np.square(x - x[chosen[-1]]).sum(axis=1))
        edges = np.cumsum(squares)
        chosen.append(int(np.searchsorted(edges, rng.random() * edges[-1], side="right")))
    return x[chosen]


def _varying(x: Any) -> Array:
    x = checks.squarable(checks.data(x, dtype=np.dtype(np.float64)))
    if not (x != x[0]).any():
        raise ValueError(
            f"x must hold different rows, got {len(x)} alike: a mixture has nothing to fit. Check the data."
        )
    return x


def _floor(x: Array, floor: float | None) -> float:
    return _FLOOR * float(x.var(axis=0).mean()) if floor is None else checks.number(floor, "floor", low=0, closed=True)


def _mixture(start: Any) -> GaussianMixture:
    if not isinstance(start, GaussianMixture):
        raise ValueError(f"start must be a GaussianMixture, got {checks.shown(start)}. Make one with m_step.")
    return start


def _at(mixture: GaussianMixture, floor: float) -> list[int]:
    S = mixture.covariances
    least = S.min(axis=1) if S.ndim == 2 else np.linalg.eigvalsh(S).min(axis=1)
    return np.flatnonzero(least <= floor * (1 + 1e-6)).tolist()
