"""Solutions to the exercises of "Inference"."""

import numpy as np

__all__ = [
    "elbo_gradient",
    "jensen_gap",
    "leapfrog_path",
    "mean_field_sweep",
    "metropolis_step",
]


def jensen_gap(log_w, p):
    top = log_w.max()
    log_mean = top + np.log(p @ np.exp(log_w - top))
    return log_mean - p @ log_w


def mean_field_sweep(P, h, m):
    m = m.copy()
    for j in range(len(m)):
        others = P[j] @ m - P[j, j] * m[j]
        m[j] = (h[j] - others) / P[j, j]
    return m


def metropolis_step(log_p, z, eps, u, step):
    proposal = z + step * eps
    accept = np.log(u) < log_p(proposal) - log_p(z)  # one for each chain
    return np.where(accept[:, None], proposal, z)


def leapfrog_path(slope, z, p, step, n_steps):
    for _ in range(n_steps):
        p = p + 0.5 * step * slope(z)
        z = z + step * p
        p = p + 0.5 * step * slope(z)
    return z, p


def elbo_gradient(slope, mu, log_var, eps):
    sigma = np.exp(0.5 * log_var)
    dz = slope(mu + sigma * eps)  # (K, d)
    dmu = dz.mean(axis=0)
    dlog_var = 0.5 + 0.5 * (dz * sigma * eps).mean(
        axis=0
    )  # the entropy is sum(log_var) / 2 + const
    return dmu, dlog_var
