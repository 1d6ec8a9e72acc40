"""Noise nodes that integrate against N(0, I): fed as noise, they make an estimate the exact value."""

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array


def gauss_hermite(n_nodes: int, n_latent: int) -> tuple[Array, Array]:
    """Return noise nodes (K, 1, n_latent) and weights (K,) that integrate against N(0, I), K = n_nodes^n_latent.

        sum_k w_k f(eps_k) = E[f(eps)]   for polynomials of degree up to 2 n_nodes - 1 in each coordinate

    Feed them as ``eps`` and ``weights`` in place of random draws, and an estimate becomes the exact value.

    Examples
    --------
    >>> eps, w = gauss_hermite(3, 1)
    >>> round(float(w @ eps[:, 0, 0] ** 4), 12)  # the fourth moment of N(0, 1)
    3.0
    """
    x, w = np.polynomial.hermite_e.hermegauss(checks.width(n_nodes, "n_nodes"))
    return _product_rule(x, w / w.sum(), n_latent)


def normal_nodes(n_latent: int = 1, step: float = 0.1, far: float = 9.0) -> tuple[Array, Array]:
    """Return noise nodes (K, 1, n_latent) and weights (K,) of the trapezoidal rule against N(0, I).

    For smooth functions its error falls faster than any power of the step, where Gauss-Hermite nodes are exact for
    polynomials only. K = (2 far / step + 1)^n_latent.

    Examples
    --------
    >>> eps, w = normal_nodes()
    >>> round(float(w @ np.cos(eps[:, 0, 0])), 12) == round(float(np.exp(-0.5)), 12)
    True
    """
    half = int(checks.number(far, "far", low=0) / checks.number(step, "step", low=0))
    x = step * np.arange(-half, half + 1)
    w = np.exp(-(x**2) / 2)
    return _product_rule(x, w / w.sum(), n_latent)


def _product_rule(x: Array, w: Array, n_latent: int) -> tuple[Array, Array]:
    grid = np.stack(np.meshgrid(*[x] * checks.width(n_latent, "n_latent"), indexing="ij"), axis=-1)
    weights = np.ones(1)
    for _ in range(n_latent):
        weights = np.multiply.outer(weights, w).ravel()
    return grid.reshape(-1, 1, n_latent), weights
