"""Laplace's approximation: a Gaussian at the mode with the curvature there, found by Newton's method."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minivae.classical.joint import CurvedJoint, density, joint_of, slope_of
from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.errors import NonFiniteError
from minivae.core.kernels.compiled import LOG_2PI


@dataclass(frozen=True)
class Laplace:
    """N(mean, covariance), the mode of p(z | x) and the inverse of minus the curvature there.

    Attributes
    ----------
    mean : array of shape (d,)
    covariance : array of shape (d, d)
    log_evidence : float
        log p(x, mean) + d/2 log 2 pi + 1/2 log det covariance: log p(x), were p(z | x) a Gaussian.
    n_evaluations : int
        Values, slopes and curvatures of log p(x, z) that were taken.
    path : array of shape (n, d)
        Where Newton's method went, the start first.
    """

    mean: Array
    covariance: Array
    log_evidence: float
    n_evaluations: int
    path: Array

    @property
    def moments(self) -> tuple[Array, Array]:
        """Means and variances."""
        return self.mean, np.diag(self.covariance).copy()


def laplace(joint: CurvedJoint, start: Any, *, n_steps: int = 100, tolerance: float = 1e-10) -> Laplace:
    """Return Laplace's approximation to p(z | x) at the mode that Newton's method reaches.

        z <- z + t (-H)^-1 g,   g and H the slope and curvature of log p(x, z)

    t is 1, or halved until log p(x, z) rises; where H has curves upwards, their sign is turned.

    Parameters
    ----------
    joint : CurvedJoint
    start : array of shape (d,)
    n_steps : int
        At most.
    tolerance : float
        Stop where the squared Newton step g^T (-H)^-1 g, in standard deviations, is at most this.

    Raises
    ------
    ValueError
        If the density is 0 at the start.
    NonFiniteError
        If no mode is reached.

    References
    ----------
    C. M. Bishop, "Pattern recognition and machine learning", 2006, section 4.4.

    Examples
    --------
    >>> from minivae.classical.normal_gamma import NormalGamma, UnknownNormal
    >>> model = UnknownNormal([1.2, -0.4, 0.7, 2.1, 0.3], NormalGamma(0.0, 1.0, 2.0, 1.0))
    >>> found = laplace(model, [0.0, 0.0])  # log tau = log((a + 1/2) / b), with the variance 1 / (a + 1/2)
    >>> found.mean.round(6), found.covariance.diagonal().round(6)
    (array([0.65    , 0.501701]), array([0.100917, 0.2     ]))
    """
    joint_of(joint, "slope", "curvature")
    z = checks.real(start, "start", (joint.n_latent,))[None].copy()
    n_steps = checks.width(n_steps, "n_steps")
    tolerance = checks.number(tolerance, "tolerance", low=0)
    value = float(density(joint, z)[0])
    if not np.isfinite(value):
        raise ValueError(f"start must have a finite log p(x, z), got {value}. Start elsewhere.")
    path, n_evaluations = [z[0]], 1
    for _ in range(n_steps):
        slope, down = slope_of(joint, z)[0], -_curvature(joint, z)
        n_evaluations += 2
        values, vectors = np.linalg.eigh(down)
        size = np.maximum(np.abs(values), 1e-12 * np.abs(values).max() + 1e-300)
        step = vectors @ ((vectors.T @ slope) / size)
        if slope @ step <= tolerance and values[0] > 0:
            break
        for halvings in range(60):
            there = z + 0.5**halvings * step
            log_joint = float(density(joint, there)[0])
            n_evaluations += 1
            if log_joint > value:
                break
        else:
            raise NonFiniteError("log p(x, z) does not rise along Newton's step", "Is its slope right?")
        z, value = there, log_joint
        path.append(z[0])
    else:
        raise NonFiniteError(
            f"no finite mode of log p(x, z) in {n_steps} steps of Newton's method",
            "Raise n_steps, or start elsewhere; it may have no mode.",
        )
    covariance = np.linalg.inv(down)
    log_evidence = value + 0.5 * (len(step) * LOG_2PI - float(np.linalg.slogdet(down)[1]))
    return Laplace(z[0].copy(), 0.5 * (covariance + covariance.T), log_evidence, n_evaluations, np.array(path))


def _curvature(joint: Any, z: Array) -> Array:
    found = joint.curvature(z)
    d = z.shape[1]
    if not isinstance(found, np.ndarray) or found.shape != (1, d, d) or not np.isfinite(found).all():
        raise ValueError(
            f"joint must give a finite curvature(z) of shape (1, {d}, {d}), got {checks.shown(found)}. Mend it."
        )
    return found[0]
