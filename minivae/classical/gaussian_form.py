"""A Gaussian q as the third restriction of the calculus of variations, and a decoder whose posterior is none."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minivae.classical.free_form import on_grid
from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.kernels.compiled import LOG_2PI


@dataclass(frozen=True)
class GaussianOnGrid:
    """A Gaussian q on a grid of one variable, and its ELBO in nats.

    Attributes
    ----------
    mean, variance, elbo : float
    dmean, dlog_var : float
        Slopes of the ELBO, by the functional derivative: int d(z) dq(z)/dm dz, and the same for the log-variance.
    """

    mean: float
    variance: float
    elbo: float
    dmean: float
    dlog_var: float


def gaussian_ascent(
    z: Any, log_joint: Any, mean: float = 0.0, variance: float = 1.0, step: float = 1.0
) -> Iterator[GaussianOnGrid]:
    """Yield the iterates of a Gaussian q of one variable, the start first, for as long as they are asked for.

    With u = (z - m) / s the functional derivative is projected on u and u^2 - 1, which q makes orthogonal:

        g_1 = E[u d],   g_2 = E[(u^2 - 1) d],   dF/dm = g_1 / s,   dF/dlog s^2 = g_2 / 2
        log q <- log q + step (g_1 u + g_2 u^2 / 2):   1/s^2 <- (1 - step g_2) / s^2,   m <- m + step g_1 s_new^2 / s

    Where log p(x, z) is quadratic, one step of 1 ends at the posterior.

    Parameters
    ----------
    z, log_joint : array of shape (n,)
        An even grid that covers q, and log p(x, z) on it.
    mean, variance : float
        To start from.
    step : float
        In (0, 2).

    Raises
    ------
    ValueError
        If q leaves the grid, or a step would leave no positive variance.

    Examples
    --------
    >>> z = np.linspace(-10, 14, 801)
    >>> steps = gaussian_ascent(z, -0.5 * (z - 2) ** 2 / 0.5)
    >>> [(round(q.mean, 10), round(q.variance, 10)) for q in (next(steps), next(steps))]
    [(0.0, 1.0), (2.0, 0.5)]
    """
    z = checks.real(z, "z", (None,))
    gaps = np.diff(z)
    if len(z) < 3 or not (gaps > 0).all() or not np.allclose(gaps, gaps[0], rtol=1e-6, atol=0):
        raise ValueError(f"z must be an even, rising grid, got {len(z)} points. Use np.linspace.")
    log_joint, cell = on_grid(log_joint, float(gaps[0]))
    if log_joint.shape != z.shape:
        raise ValueError(
            f"log_joint must have one value for each of the {len(z)} points z, got {log_joint.shape}. Make it fit."
        )
    mean, variance = checks.number(mean, "mean", low=-1e100), checks.number(variance, "variance", low=0)
    step = checks.number(step, "step", low=0, high=2)
    while True:
        s = variance**0.5
        u = (z - mean) / s
        log_q = -0.5 * (np.square(u) + LOG_2PI) - np.log(s)
        q = np.exp(log_q) * cell
        if not abs(q.sum() - 1) < 1e-6:
            raise ValueError(
                f"z must cover q, got a grid from {z[0]:g} to {z[-1]:g} in steps of {cell:.2g}, and N({mean:.3g}, "
                f"{variance:.3g}), of which it holds {q.sum():.6f}. Widen it, refine it, or lower step."
            )
        d = log_joint - log_q - 1
        g1, g2 = float(q @ (u * d)), float(q @ ((np.square(u) - 1) * d))
        yield GaussianOnGrid(mean, variance, float(q @ (d + 1)), g1 / s, 0.5 * g2)
        left = 1 - step * g2
        if not left > 0:
            raise ValueError(
                f"step must leave a positive variance, got {step:g} where log_joint curves upwards over q: 1/s^2 would "
                f"be {left / variance:.3g}. Lower it, or start elsewhere."
            )
        variance /= left
        mean += step * g1 * variance / s


def decoder_joint(decode: Any, x: Any, variance: float, z: Any) -> Array:
    """Return log p(x, z) = log N(z; 0, 1) + log N(x; f(z), variance I) on a grid of a latent of one dimension.

    EM needs p(z | x), which is this normalised. Where f is linear it is a Gaussian, with moments in closed form. Where
    f is a network it has none: here a grid stands in for it, of as many points as a power of the latents.

    Parameters
    ----------
    decode : callable
        f: from z of shape (n, 1) to means of shape (n, d).
    x : array of shape (d,)
    variance : float
    z : array of shape (n,)

    Examples
    --------
    >>> from minivae.classical.free_form import free_form_optimum
    >>> z = np.linspace(-8, 8, 801)
    >>> log_joint = decoder_joint(lambda z: 2 * z + 1, [2.0], 0.5, z)  # p(z | x) = N(4/9, 1/9)
    >>> q = list(zip(range(2), gaussian_ascent(z, log_joint, variance=0.5)))[-1][1]
    >>> round(q.mean, 10), round(q.variance, 10)
    (0.4444444444, 0.1111111111)
    >>> bool(abs(free_form_optimum(log_joint, z[1] - z[0]).elbo - q.elbo) < 1e-12)
    True
    """
    checks.function(decode, "decode")
    x, z = checks.real(x, "x", (None,)), checks.real(z, "z", (None,))
    variance = checks.number(variance, "variance", low=0)
    means = checks.array(decode(z[:, None]), "decode(z)")
    if means.shape != (len(z), len(x)) or means.dtype.kind != "f" or not np.isfinite(means).all():
        raise ValueError(
            f"decode must give finite means of shape ({len(z)}, {len(x)}), got {checks.shown(means)}. Check f and x."
        )
    misfit = np.square(x - means).sum(axis=1) / variance + len(x) * (LOG_2PI + np.log(variance))
    return -0.5 * (np.square(z) + LOG_2PI + misfit)
