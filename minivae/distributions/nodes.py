"""Noise nodes that integrate against N(0, I): fed as noise, they make an estimate the exact value."""

import math

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array

_MOST_NODES = 370
_MOST_POINTS = 2**26  # of a grid over all latents


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
    if checks.width(n_nodes, "n_nodes") > _MOST_NODES:
        raise ValueError(
            f"n_nodes must be at most {_MOST_NODES}, beyond which their weights cannot be told, got {n_nodes}. Use "
            f"normal_nodes."
        )
    x, w = np.polynomial.hermite_e.hermegauss(n_nodes)
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
    half = int(min(checks.number(far, "far", low=0) / checks.number(step, "step", low=0), 1e12))
    checks.size(8 * half, "far / step", (far, step))
    if not half:
        raise ValueError(f"step must be at most far = {far:g}, got {step:g}. Make it smaller.")
    x = step * np.arange(-half, half + 1)
    w = np.exp(-(x**2) / 2)
    return _product_rule(x, w / w.sum(), n_latent)


def _product_rule(x: Array, w: Array, n_latent: int) -> tuple[Array, Array]:
    if checks.width(n_latent, "n_latent") * math.log(len(x)) > math.log(_MOST_POINTS):
        raise ValueError(
            f"n_latent must leave at most {_MOST_POINTS:,} nodes, got {n_latent} with {len(x)} nodes each. Draw noise "
            f"instead."
        )
    grid = np.stack(np.meshgrid(*[x] * n_latent, indexing="ij"), axis=-1)
    weights = np.ones(1)
    for _ in range(n_latent):
        weights = np.multiply.outer(weights, w).ravel()
    return grid.reshape(-1, 1, n_latent), weights
