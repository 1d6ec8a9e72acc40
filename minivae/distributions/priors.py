"""p(z)."""

import numpy as np

from minivae.core import kernels
from minivae.core.arrays import Array


def prior_log_prob(z: Array) -> Array:
    """Return log N(z; 0, I), shape (K, B), for z of shape (K, B, L); its gradient is -z.

    >>> prior_log_prob(np.zeros((1, 1, 2))).item()  # -log(2 pi)
    -1.8378770664093453
    """
    n_latent = z.shape[-1]
    return -0.5 * (np.einsum("kbl,kbl->kb", z, z) + z.dtype.type(n_latent * kernels.LOG_2PI))
