"""Solutions to the exercises of "Beyond the diagonal"."""

import numpy as np

__all__ = [
    "autoregressive_step",
    "general_kl",
    "log_q_of_draw",
    "masked_factor",
    "undo_step",
]


def general_kl(mu0, cov0, mu1, cov1):
    d, inverse = mu1 - mu0, np.linalg.inv(cov1)
    log_dets = np.linalg.slogdet(cov1)[1] - np.linalg.slogdet(cov0)[1]
    squares = np.trace(inverse @ cov0) + d @ inverse @ d
    return 0.5 * (squares - len(d) + log_dets)


def masked_factor(log_diagonal, raw):
    n = log_diagonal.shape[1]
    L = np.tril(raw, -1)  # zero on the diagonal and above it
    L[:, range(n), range(n)] = np.exp(log_diagonal)
    return L


def log_q_of_draw(eps, J):
    log_p = -0.5 * np.sum(eps**2 + np.log(2 * np.pi), axis=1)
    return log_p - np.linalg.slogdet(J)[1]  # of the absolute value


def autoregressive_step(z, A, a, C, c):
    m = z @ np.tril(A, -1).T + a
    log_s = z @ np.tril(C, -1).T + c
    return np.exp(log_s) * z + m, log_s.sum(axis=1)


def undo_step(z_new, A, a, C, c):
    z = np.zeros_like(z_new)
    for i in range(z_new.shape[1]):  # what stands before i is known by now
        m = z[:, :i] @ A[i, :i] + a[i]
        log_s = z[:, :i] @ C[i, :i] + c[i]
        z[:, i] = (z_new[:, i] - m) / np.exp(log_s)
    return z
