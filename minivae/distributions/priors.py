"""p(z): what the latents are drawn from where nothing is known of x."""

import math
from dataclasses import dataclass

import numpy as np

from minivae.core import checks, kernels
from minivae.core.arrays import Array
from minivae.core.boxes import NoParameters
from minivae.core.registry import saved


@saved
@dataclass(frozen=True)
class StandardNormal(NoParameters):
    """p(z) = N(0, I); d log p / dz = -z.

    Examples
    --------
    >>> p = StandardNormal(2)
    >>> p.log_prob(p.init(), np.zeros((1, 1, 2))).item()  # -log(2 pi)
    -1.8378770664093453
    """

    n_latent: int
    formula = "z ~ N(0, I)"

    def __post_init__(self) -> None:
        checks.width(self.n_latent, "n_latent")

    def log_prob(self, params: Array, z: Array) -> Array:  # noqa: ARG002
        """Return log p(z), shape (K, B)."""
        z = checks.look(z, "z", (None, None, self.n_latent))
        return -0.5 * (np.einsum("kbl,kbl->kb", z, z) + z.dtype.type(self.n_latent * kernels.LOG_2PI))

    def backward(self, params: Array, z: Array, dlog_prob: Array, grads: Array) -> Array:  # noqa: ARG002
        """Return dz = -z dlog_prob."""
        z = checks.look(z, "z", (None, None, self.n_latent))
        dlog_prob = checks.look(dlog_prob, "dlog_prob", z.shape[:2], z.dtype)
        return z * -dlog_prob[:, :, None]

    def sample(self, params: Array, n: int, rng: np.random.Generator) -> Array:
        """Draw z ~ N(0, I), shape (n, L)."""
        dtype = checks.dtype_of(params)
        checks.size(checks.width(n, "n") * self.n_latent, "n", n)
        return checks.generator(rng).standard_normal((n, self.n_latent), dtype=dtype)


@saved
@dataclass(frozen=True)
class FairBits(NoParameters):
    """p(z) = 2^-L for every z in {0, 1}^L.

    Examples
    --------
    >>> p = FairBits(3)
    >>> round(p.log_prob(p.init(), np.ones((1, 1, 3))).item() / math.log(0.5), 10)
    3.0
    """

    n_latent: int
    formula = "fair bits z"

    def __post_init__(self) -> None:
        checks.width(self.n_latent, "n_latent")

    def log_prob(self, params: Array, z: Array) -> Array:  # noqa: ARG002
        """Return -L log 2, shape (K, B)."""
        z = checks.look(z, "z", (None, None, self.n_latent))
        return np.full(z.shape[:2], -self.n_latent * math.log(2), z.dtype)

    def backward(self, params: Array, z: Array, dlog_prob: Array, grads: Array) -> Array:  # noqa: ARG002
        """Return zero: every code is as probable as any other."""
        return np.zeros_like(checks.look(z, "z", (None, None, self.n_latent)))

    def sample(self, params: Array, n: int, rng: np.random.Generator) -> Array:
        """Draw fair bits, shape (n, L)."""
        dtype = checks.dtype_of(params)
        checks.size(checks.width(n, "n") * self.n_latent, "n", n)
        return checks.generator(rng).integers(0, 2, (n, self.n_latent)).astype(dtype)


@saved
@dataclass(frozen=True)
class UniformCategories(NoParameters):
    """p(z) = C^-G for every z of G one-hot groups of C entries.

    Examples
    --------
    >>> p = UniformCategories(6, 3)
    >>> round(p.log_prob(p.init(), np.ones((1, 1, 6))).item() / math.log(1 / 3), 10)
    2.0
    """

    n_latent: int
    n_categories: int
    formula = "uniform categories z"

    def __post_init__(self) -> None:
        if checks.width(self.n_latent, "n_latent") % checks.width(self.n_categories, "n_categories"):
            raise ValueError(
                f"n_latent must hold whole groups of {self.n_categories} categories, got {self.n_latent}. Use a "
                f"multiple."
            )

    def log_prob(self, params: Array, z: Array) -> Array:  # noqa: ARG002
        """Return -G log C, shape (K, B)."""
        z = checks.look(z, "z", (None, None, self.n_latent))
        return np.full(z.shape[:2], -self.n_latent // self.n_categories * math.log(self.n_categories), z.dtype)

    def backward(self, params: Array, z: Array, dlog_prob: Array, grads: Array) -> Array:  # noqa: ARG002
        """Return zero: every code is as probable as any other."""
        return np.zeros_like(checks.look(z, "z", (None, None, self.n_latent)))

    def sample(self, params: Array, n: int, rng: np.random.Generator) -> Array:
        """Draw one of the C entries in each group."""
        dtype = checks.dtype_of(params)
        checks.size(checks.width(n, "n") * self.n_latent, "n", n)
        n_groups = self.n_latent // self.n_categories
        which = checks.generator(rng).integers(0, self.n_categories, (n, n_groups))
        return np.eye(self.n_categories, dtype=dtype)[which].reshape(n, self.n_latent)
