"""Gradients of E[f(z)], one row a draw."""

from typing import Any

import numpy as np

from minivae.core.kernels.compiled import jit

# ------------------------------------------------------------------------- gradients of E[f(z)], by draw


@jit
def pathwise_rows(df: Any, eps: Any) -> Any:
    """(d/dmu, d/dsigma) f(mu + sigma eps) = (df, df eps), shape (K, 2, D)."""
    n_draws, n_latent = eps.shape
    rows = np.empty((n_draws, 2, n_latent), eps.dtype)
    for k in range(n_draws):
        for j in range(n_latent):
            rows[k, 0, j] = df[k, j]
            rows[k, 1, j] = df[k, j] * eps[k, j]
    return rows


@jit
def score_rows(f: Any, baseline: Any, eps: Any, sigma: Any) -> Any:
    """(f - c) (eps, eps^2 - 1) / sigma, shape (K, 2, D), with a baseline c of shape (2, D)."""
    n_draws, n_latent = eps.shape
    one = eps.dtype.type(1)
    rows = np.empty((n_draws, 2, n_latent), eps.dtype)
    for k in range(n_draws):
        for j in range(n_latent):
            e, inverse = eps[k, j], one / sigma[j]
            rows[k, 0, j] = (f[k] - baseline[0, j]) * e * inverse
            rows[k, 1, j] = (f[k] - baseline[1, j]) * (e * e - one) * inverse
    return rows


@jit
def earlier_average(f: Any, decay: float) -> Any:
    """c_k = sum_(i<k) decay^(k-1-i) f_i / sum_(i<k) decay^(k-1-i), and c_0 = 0."""
    total = weight = f.dtype.type(0)
    d, one = f.dtype.type(decay), f.dtype.type(1)
    average = np.zeros_like(f)
    for k in range(1, len(f)):
        total = d * total + f[k - 1]
        weight = d * weight + one
        average[k] = total / weight
    return average
