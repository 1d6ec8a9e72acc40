"""Diagonal Gaussian q(z|x): reparameterization, KL, density, and their gradients."""

from typing import Any

import numpy as np

from minivae.core.kernels.compiled import LOG_2PI, jit, jit_reassociated
from minivae.core.kernels.exponential import exp, expm1

# --------------------------------------------------------------------------- diagonal Gaussian q(z|x)


@jit_reassociated
def reparameterize(head: Any, eps: Any) -> Any:
    """z = mu + sigma eps and log q(z|x) = -sum (eps^2 + log_var + log 2 pi) / 2, sigma = exp(log_var / 2)."""
    n_draws, n_batch, n_latent = eps.shape
    half = head.dtype.type(0.5)
    log_2pi = head.dtype.type(LOG_2PI)
    z, log_q = np.empty_like(eps), np.empty((n_draws, n_batch), head.dtype)
    sigma = np.empty(n_latent, head.dtype)
    for b in range(n_batch):
        for j in range(n_latent):
            sigma[j] = exp(half * head[b, n_latent + j])
        for k in range(n_draws):
            total = head.dtype.type(0)
            for j in range(n_latent):
                e = eps[k, b, j]
                z[k, b, j] = head[b, j] + sigma[j] * e
                total += e * e + head[b, n_latent + j] + log_2pi
            log_q[k, b] = -half * total
    return z, log_q


@jit
def reparameterize_backward(head: Any, eps: Any, dz: Any, dlog_q: Any) -> Any:
    """dmu = sum_k dz; dlog_var = sum_k (sigma eps dz - dlog_q) / 2: the path through z and log q."""
    n_draws, n_batch, n_latent = eps.shape
    half = head.dtype.type(0.5)
    dhead = np.zeros_like(head)
    sigma = np.empty(n_latent, head.dtype)
    for b in range(n_batch):
        for j in range(n_latent):
            sigma[j] = exp(half * head[b, n_latent + j])
        for k in range(n_draws):
            for j in range(n_latent):
                dhead[b, j] += dz[k, b, j]
                dhead[b, n_latent + j] += half * (sigma[j] * eps[k, b, j] * dz[k, b, j] - dlog_q[k, b])
    return dhead


@jit
def reparameterize_score(head: Any, eps: Any, dlog_q: Any) -> Any:
    """At fixed z: dmu = sum_k eps / sigma dlog_q, dlog_var = sum_k (eps^2 - 1) / 2 dlog_q."""
    n_draws, n_batch, n_latent = eps.shape
    half, one = head.dtype.type(0.5), head.dtype.type(1)
    dhead = np.zeros_like(head)
    inverse_sigma = np.empty(n_latent, head.dtype)
    for b in range(n_batch):
        for j in range(n_latent):
            inverse_sigma[j] = exp(-half * head[b, n_latent + j])
        for k in range(n_draws):
            for j in range(n_latent):
                e = eps[k, b, j]
                dhead[b, j] += e * inverse_sigma[j] * dlog_q[k, b]
                dhead[b, n_latent + j] += half * (e * e - one) * dlog_q[k, b]
    return dhead


@jit_reassociated
def diagonal_kl(head: Any) -> Any:
    """KL(N(mu, diag sigma^2) || N(0, I)) = sum (mu^2 + expm1(log_var) - log_var) / 2."""
    n_batch, n_latent = head.shape[0], head.shape[1] // 2
    half = head.dtype.type(0.5)
    kl = np.empty(n_batch, head.dtype)
    excess = np.empty(n_latent, head.dtype)
    for b in range(n_batch):
        for j in range(n_latent):  # near log_var = 0 the difference exp(log_var) - 1 - log_var would cancel
            excess[j] = expm1(head[b, n_latent + j]) - head[b, n_latent + j]
        total = head.dtype.type(0)
        for j in range(n_latent):
            total += head[b, j] * head[b, j] + excess[j]
        kl[b] = half * total
    return kl


@jit
def diagonal_kl_backward(head: Any, dkl: Any) -> Any:
    """dmu = mu dkl; dlog_var = expm1(log_var) dkl / 2."""
    n_batch, n_latent = head.shape[0], head.shape[1] // 2
    half = head.dtype.type(0.5)
    dhead = np.empty_like(head)
    for b in range(n_batch):
        for j in range(n_latent):
            dhead[b, j] = head[b, j] * dkl[b]
        for j in range(n_latent):
            dhead[b, n_latent + j] = half * expm1(head[b, n_latent + j]) * dkl[b]
    return dhead


@jit_reassociated
def diagonal_log_prob(head: Any, z: Any) -> Any:
    """log N(z; mu, diag sigma^2) = -sum (u^2 + log_var + log 2 pi) / 2, u = (z - mu) / sigma."""
    n_draws, n_batch, n_latent = z.shape
    half = head.dtype.type(0.5)
    log_2pi = head.dtype.type(LOG_2PI)
    log_prob = np.empty((n_draws, n_batch), head.dtype)
    inverse_sigma = np.empty(n_latent, head.dtype)
    for b in range(n_batch):
        for j in range(n_latent):
            inverse_sigma[j] = exp(-half * head[b, n_latent + j])
        for k in range(n_draws):
            total = head.dtype.type(0)
            for j in range(n_latent):
                u = (z[k, b, j] - head[b, j]) * inverse_sigma[j]
                total += u * u + head[b, n_latent + j] + log_2pi
            log_prob[k, b] = -half * total
    return log_prob
