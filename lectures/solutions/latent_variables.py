"""Solutions to the exercises of "Latent variables and maximum likelihood"."""

import numpy as np
from scipy.special import xlogy

__all__ = [
    "cross_entropy",
    "free_energy",
    "grid_posterior",
    "m_step",
    "responsibilities",
]


def cross_entropy(counts, q):
    seen = counts > 0  # 0 log 0 = 0
    return -np.sum(counts[seen] * np.log(q[seen])) / counts.sum()


def responsibilities(x, w, m, s2):
    distance = np.sum((x[:, None] - m) ** 2, axis=2)  # (n, K)
    d = x.shape[1]
    log_joint = (
        np.log(w) - 0.5 * distance / s2 - 0.5 * d * np.log(s2)
    )  # 2 pi cancels
    r = np.exp(
        log_joint - log_joint.max(axis=1, keepdims=True)
    )  # the largest is 1: no underflow
    return r / r.sum(axis=1, keepdims=True)


def m_step(x, r):
    n_k = r.sum(axis=0)  # (K,)
    m = r.T @ x / n_k[:, None]
    distance = np.sum((x[:, None] - m) ** 2, axis=2)  # (n, K)
    s2 = np.sum(r * distance, axis=0) / (x.shape[1] * n_k)
    return n_k / len(x), m, s2


def free_energy(log_joint, r):
    return np.sum(r * log_joint - xlogy(r, r), axis=1)


def grid_posterior(log_joint, dz):
    top = log_joint.max()
    log_p = top + np.log(np.sum(np.exp(log_joint - top)) * dz)
    return log_p, np.exp(log_joint - log_p)
