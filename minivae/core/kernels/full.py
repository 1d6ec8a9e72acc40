"""Gaussian q(z|x) = N(mu, L L^T) with L lower triangular: draw, density, slope, and the path's gradient.

A row of the head holds mu, the logarithms of L's diagonal, then L below its diagonal, row by row: L_ij stands at
2 n + i (i - 1) / 2 + j for n latents.
"""

from typing import Any

import numpy as np

from minivae.core.kernels.compiled import LOG_2PI, jit, jit_reassociated
from minivae.core.kernels.exponential import exp


@jit_reassociated
def full_sample(head: Any, eps: Any) -> Any:
    """z = mu + L eps and log q(z|x) = -sum (eps^2 + log 2 pi) / 2 - sum log L_ii."""
    n_draws, n_batch, n = eps.shape
    half, log_2pi = head.dtype.type(0.5), head.dtype.type(LOG_2PI)
    z = np.empty_like(eps)
    log_q = np.zeros((n_draws, n_batch), head.dtype)
    for b in range(n_batch):
        for i in range(n):
            mu, log_diagonal, row = head[b, i], head[b, n + i], 2 * n + i * (i - 1) // 2
            diagonal = exp(log_diagonal)
            for k in range(n_draws):
                e = eps[k, b, i]
                value = mu + diagonal * e
                for j in range(i):
                    value += head[b, row + j] * eps[k, b, j]
                z[k, b, i] = value
                log_q[k, b] -= half * (e * e + log_2pi) + log_diagonal
    return z, log_q


@jit
def full_backward(head: Any, eps: Any, dz: Any, dlog_q: Any) -> Any:
    """dmu = sum_k dz; dlog L_ii = sum_k (L_ii eps_i dz_i - dlog_q); dL_ij = sum_k dz_i eps_j."""
    n_draws, n_batch, n = eps.shape
    dhead = np.zeros_like(head)
    for b in range(n_batch):
        for i in range(n):
            row, diagonal = 2 * n + i * (i - 1) // 2, exp(head[b, n + i])
            for k in range(n_draws):
                d = dz[k, b, i]
                dhead[b, i] += d
                dhead[b, n + i] += diagonal * eps[k, b, i] * d - dlog_q[k, b]
                for j in range(i):
                    dhead[b, row + j] += d * eps[k, b, j]
    return dhead


@jit
def full_slope(head: Any, eps: Any) -> Any:
    """d log q / dz = -L^-T eps, by substitution from the last latent to the first."""
    n_draws, n_batch, n = eps.shape
    slope = np.empty_like(eps)
    for b in range(n_batch):
        for i in range(n - 1, -1, -1):
            inverse = exp(-head[b, n + i])
            for k in range(n_draws):
                value = -eps[k, b, i]
                for j in range(i + 1, n):
                    value -= head[b, 2 * n + j * (j - 1) // 2 + i] * slope[k, b, j]
                slope[k, b, i] = value * inverse
    return slope


@jit_reassociated
def full_log_prob(head: Any, z: Any) -> Any:
    """log N(z; mu, L L^T) = -sum (u^2 + log 2 pi) / 2 - sum log L_ii, u = L^-1 (z - mu) from the first latent on."""
    n_draws, n_batch, n = z.shape
    half, log_2pi = head.dtype.type(0.5), head.dtype.type(LOG_2PI)
    log_prob = np.zeros((n_draws, n_batch), head.dtype)
    u = np.empty((n_draws, n), head.dtype)
    for b in range(n_batch):
        for i in range(n):
            log_diagonal, row = head[b, n + i], 2 * n + i * (i - 1) // 2
            inverse = exp(-log_diagonal)
            for k in range(n_draws):
                value = z[k, b, i] - head[b, i]
                for j in range(i):
                    value -= head[b, row + j] * u[k, j]
                value *= inverse
                u[k, i] = value
                log_prob[k, b] -= half * (value * value + log_2pi) + log_diagonal
    return log_prob
