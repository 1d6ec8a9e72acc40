"""What inference needs of a model with its data: log p(x, z), up to no constant, and its slope in z."""

from typing import Any, Protocol

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array


class Joint(Protocol):
    """log p(x, z) as a function of z, the data fixed; UnknownNormal and BayesianLinear are two."""

    @property
    def n_latent(self) -> int:
        """Dimension of z."""

    def log_joint(self, z: Array) -> Array:
        """Return log p(x, z), shape (n,), for z of shape (n, n_latent)."""

    def slope(self, z: Array) -> Array:
        """Return d log p(x, z) / dz, shape (n, n_latent)."""


class CurvedJoint(Joint, Protocol):
    """A joint that knows its second derivatives, too."""

    def curvature(self, z: Array) -> Array:
        """Return d^2 log p(x, z) / dz dz^T, shape (n, n_latent, n_latent)."""


def joint_of(joint: Any, *more: str) -> Any:
    """Return a joint, or say what it lacks."""
    names = ("n_latent", "log_joint", *more)
    return checks.has(joint, names, "joint", f"an object with {', '.join(names)}", "UnknownNormal(x, prior)")


def density(joint: Any, z: Array) -> Array:
    """Return log p(x, z), or refuse what is no number for each row; -inf is one, where the density is 0."""
    found = joint.log_joint(z)
    if not isinstance(found, np.ndarray) or found.shape != (len(z),) or found.dtype.kind != "f":
        raise ValueError(
            f"joint must give log_joint(z) of shape ({len(z)},), one for each row, got {checks.shown(found)}. Sum over "
            f"the other axes."
        )
    return found


def slope_of(joint: Any, z: Array) -> Array:
    """Return d log p(x, z) / dz, or refuse what has another shape than z."""
    found = joint.slope(z)
    if not isinstance(found, np.ndarray) or found.shape != z.shape or found.dtype.kind != "f":
        raise ValueError(f"joint must give slope(z) of shape {z.shape}, that of z, got {checks.shown(found)}. Mend it.")
    return found
