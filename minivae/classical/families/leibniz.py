"""When derivative and integral may change places, and what is missing where they may not.

d/dtheta int p(z; theta) f(z) dz = int dp/dtheta f dz holds where the support stands still, or p f is zero at its ends,
and |dp/dtheta f| stays below one integrable function for all theta near by (dominated convergence). An end that moves
adds the flux through it. The path differentiates f in place of p, and misses likewise what goes over a jump of f:

    d E[f] / dtheta = E[f score] + sum over moving ends of f(end) flux(end)
                    = E[f' path] + sum over jumps of p(c) (dz/dtheta at c) (f(c+) - f(c-))
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from minivae.classical.families.family import Family, rows
from minivae.classical.families.quadrature import uniform_nodes
from minivae.core import checks
from minivae.core.arrays import Array


@dataclass(frozen=True)
class MovingUniform(Family):
    """Uniform on (0, high): the family whose support moves, so that the score function's gradient is wrong.

        z = high u,   dz/dhigh = u,   dlog p/dhigh = -1 / high,   flux at the end p(high) dhigh/dhigh = 1 / high

    E[score] = -1/high, and not 0: what is missing is the flux. The path is right.

    >>> MovingUniform(2.0).moving_ends()
    [(2.0, array([0.5]))]
    """

    high: Any = 1.0

    parameters: ClassVar[tuple[str, ...]] = ("high",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "high", checks.number(self.high, "high", low=0))

    @property
    def support(self) -> tuple[float, float]:
        """(0, high)."""
        return 0.0, self.high

    def moving_ends(self) -> list[tuple[float, Array]]:
        """Return the upper end and 1 / high."""
        return [(self.high, np.array([1 / self.high]))]

    def _sample(self, u: Array) -> Array:
        return self.high * u

    def _log_prob(self, z: Array) -> Array:
        return np.full_like(z, -np.log(self.high))

    def _path(self, u: Array, z: Array) -> Array:
        return rows(z, u)

    def _score(self, z: Array) -> Array:
        return np.full_like(z, -1 / self.high)[None]


@dataclass(frozen=True)
class LeibnizTerms:
    """d E[f] / dtheta in two ways, each with what is missing where the derivative goes under the integral.

    Attributes
    ----------
    mean : float
        E[f].
    score, path : array of shape (n_params,)
        E[f score] and E[f' dz/dtheta]: what Monte Carlo estimates.
    ends : array of shape (n_params,)
        What the score misses: the flux of f p through the ends of the support that move.
    jumps : array of shape (n_params,)
        What the path misses: the flux over the jumps of f.
    """

    mean: float
    score: Array
    path: Array
    ends: Array
    jumps: Array

    @property
    def derivative(self) -> Array:
        """d E[f] / dtheta, by the path and the jumps."""
        return self.path + self.jumps


def leibniz_terms(
    family: Family, f: Callable[[Any], Any], df: Callable[[Any], Any], jumps: Sequence[float] = ()
) -> LeibnizTerms:
    """Return both gradients of E[f(z)] and what each misses, by quadrature over the noise.

    Parameters
    ----------
    family : Family
        Of one real z, made of one uniform number, with numbers as parameters.
    f, df : callable
        A function and its derivative, of arrays.
    jumps : sequence of float
        Points inside the support at which f jumps.

    Raises
    ------
    ValueError
        If the noise is of another kind, a jump lies outside the support, or f is not finite at a node.

    Examples
    --------
    >>> terms = leibniz_terms(MovingUniform(2.0), lambda z: z**2, lambda z: 2 * z)  # E[f] = high^2 / 3
    >>> terms.path.round(10), terms.score.round(10), terms.ends.round(10)  # 4/3, -2/3, 2
    (array([1.33333333]), array([-0.66666667]), array([2.]))
    """
    checks.has(family, ("path", "moving_ends"), "family", "a family", "MovingUniform(2.0)")
    if family.noise_shape or family.theta.size != len(family.parameters):
        raise ValueError(
            f"family must be of one real z from one uniform number, got {checks.shown(family)}. Choose one with an "
            f"inverse CDF, and numbers as parameters."
        )
    f, df = checks.function(f, "f"), checks.function(df, "df")
    points = np.sort(checks.real(jumps, "jumps").ravel())
    levels = [_level(family, c) for c in points.tolist()]
    u, w = uniform_nodes()
    cuts = [0.0, *sorted({0.5, *levels}), 1.0]  # the slope of a density may jump in its middle
    mean, score, path = 0.0, np.zeros(len(family.parameters)), np.zeros(len(family.parameters))
    for low, high in zip(cuts, cuts[1:], strict=False):
        inside = np.minimum(low + (high - low) * u, 1 - 2.0**-53)
        z, weight = family.sample(inside), (high - low) * w
        value, slope = (_values(g, name, z) for g, name in ((f, "f"), (df, "df")))
        mean += float(weight @ value)
        score += family.score(z) @ (weight * value)
        path += family.path(inside) @ (weight * slope)
    over = np.zeros(len(family.parameters))
    for c, level in zip(points.tolist(), levels, strict=True):
        below, above = (float(_values(f, "f", np.array([np.nextafter(c, side)]))[0]) for side in (-np.inf, np.inf))
        over += np.exp(family.log_prob(c)) * family.path(level) * (above - below)
    ends = sum((flux * float(_values(f, "f", np.array([end]))[0]) for end, flux in family.moving_ends()), 0 * over)
    return LeibnizTerms(mean, score, path, ends, over)


def _values(f: Callable[[Any], Any], name: str, z: Array) -> Array:
    """Return f at the nodes, or say at which it is no number."""
    found = checks.array(f(z), f"{name}(z)")
    if found.shape != z.shape or found.dtype.kind not in "fiub" or not np.isfinite(found).all():
        raise ValueError(
            f"{name} must give finite numbers of the shape of z, {z.shape}, got {checks.shown(found)}"
            f"{'' if found.shape != z.shape else ' with others in it'}. Let it work on arrays inside the support."
        )
    return found.astype(np.float64)


def _level(family: Family, c: float) -> float:
    """Return the noise u at which z(u) = c, by bisection."""
    low, high = family.support
    if not low < c < high:
        raise ValueError(f"jumps must lie inside the support ({low:g}, {high:g}), got {c:g}. Leave it away.")
    a, b = 2.0**-54, 1 - 2.0**-53
    rising = family.sample(a) < family.sample(b)
    for _ in range(100):
        middle = 0.5 * (a + b)
        if (family.sample(middle) < c) == rising:
            a = middle
        else:
            b = middle
    return 0.5 * (a + b)
