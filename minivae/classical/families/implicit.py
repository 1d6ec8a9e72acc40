"""Paths where the quantile has no formula: at fixed noise F(z; theta) stays what it is, so dz/dtheta = -F_theta / p.

Since F_theta is the integral of the score against p from the lower end to z, and the score's whole integral is zero,

    dz/dtheta = -1/p(z) int_low^z p(t) score(t) dt = 1/p(z) int_z^high p(t) score(t) dt.

The score of a shape changes its sign once. Integrated from z to the end on its own side of that point, it has one sign
there: nothing cancels, in either tail.
"""

from typing import Any

import numpy as np
from scipy import special

from minivae.classical.families.quadrature import half_line
from minivae.core.arrays import Array

_TINY = 1e-300


def gamma_log_path(alpha: Any, z: Any, log_z: Any) -> Array:
    """Return dlog z/dalpha at fixed noise, z ~ Gamma(alpha, 1), whose score is log z - psi(alpha).

    Downwards t = z exp(-s), upwards t = z + s, with s > 0:

        dlog z/dalpha = int exp(-alpha s + z (1 - exp(-s))) (psi(alpha) + s - log z) ds
                      = 1/z int (1 + s / z)^(alpha - 1) exp(-s) (log(z + s) - psi(alpha)) ds

    References
    ----------
    M. Figurnov, S. Mohamed, A. Mnih, "Implicit reparameterization gradients", 2018.
    """
    alpha, z, log_z = np.broadcast_arrays(alpha, z, log_z)
    found, psi = np.empty(z.shape), special.digamma(alpha)
    down = z <= np.maximum(np.exp(psi), 1)  # below 1 a small alpha lets the upper integral run over many scales
    a, x, c = alpha[down], z[down], (psi - log_z)[down]
    width = np.where(a < 1, 1 / a, 1 / (np.abs(a - x) + np.sqrt(x)))
    found[down] = half_line(lambda s: np.exp(-a * s - x * np.expm1(-s)) * (c + s), width)
    a, x, c = alpha[~down] - 1, z[~down], (log_z - psi)[~down]
    width = 1 / (np.abs(1 - a / x) + np.sqrt(np.maximum(a, 0)) / x)
    found[~down] = half_line(lambda s: np.exp(a * np.log1p(s / x) - s) * (c + np.log1p(s / x)), width) / x
    return found


def beta_quantiles(a: Any, b: Any, u: Any) -> tuple[Array, Array]:
    """Return z ~ Beta(a, b) at noise u, and 1 - z, each to full relative accuracy."""
    z = special.betaincinv(a, b, u)
    mirrored = (u > 0.01) | (z > 1 - 1e-8)  # else 1 - u has lost more digits of u than 1 - z of z
    return z, np.where(mirrored, special.betaincinv(b, a, 1 - u), 1 - z)


def beta_logit_path(a: Any, b: Any, z: Any, rest: Any) -> Array:
    """Return dlogit(z)/d(a, b) at fixed noise, z ~ Beta(a, b), shape (2, *shape of z).

    z and rest = 1 - z each to full accuracy; of what underflows the logit is not known, and dz = 0.
    """
    return np.stack([_beta_logit_path(a, b, z, rest), -_beta_logit_path(b, a, rest, z)])


def _beta_logit_path(a: Any, b: Any, z: Any, rest: Any) -> Array:
    """Return dlogit(z)/da; the score is log z - psi(a) + psi(a + b).

    Downwards t = z exp(-s), upwards 1 - t = (1 - z) exp(-s):

        dlogit z/da = 1/(1 - z) int exp(-a s) ((1 - t) / (1 - z))^(b - 1) (psi(a) - psi(a + b) - log t) ds
                    = 1/z int exp(-b s) (t / z)^(a - 1) (log t - psi(a) + psi(a + b)) ds
    """
    a, b, z, rest = np.broadcast_arrays(a, b, z, rest)
    found, log_z, turn = np.empty(z.shape), np.log(np.maximum(z, _TINY)), special.digamma(a) - special.digamma(a + b)
    near = np.minimum(0.5, 1 / (a + b))  # so near to an end, a small a or b lets the far integral run over many scales
    down = ((log_z <= turn) | (z < near)) & (rest >= near)
    A, B, x, y, c = a[down], b[down], z[down], rest[down], (turn - log_z)[down]
    width = _width(A, B, x, y)
    found[down] = half_line(lambda s: np.exp(-A * s + (B - 1) * np.log1p(-x * np.expm1(-s) / y)) * (c + s), width) / y
    A, B, x, y, c = a[~down], b[~down], z[~down], rest[~down], (log_z - turn)[~down]
    width = _width(B, A, y, x)

    def upwards(s: Any) -> Any:
        ratio = np.log1p(-y * np.expm1(-s) / x)  # log(t / z)
        return np.exp(-B * s + (A - 1) * ratio) * (c + ratio)

    found[~down] = half_line(upwards, width) / x
    return found


def _width(a: Any, b: Any, z: Any, rest: Any) -> Any:
    """Return the scale on which exp(-a s) ((1 - z exp(-s)) / (1 - z))^(b - 1) falls."""
    slope = np.abs(a - (b - 1) * z / rest) + np.sqrt(np.maximum(b - 1, 0) * z) / rest
    return np.where((a < 1) | (b < 1), 1 / a, 1 / np.maximum(slope, 1e-300))
