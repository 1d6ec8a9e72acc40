"""Solutions to the exercises of "What can be reparameterized"."""

import numpy as np

__all__ = ["dirichlet_path", "implicit_path", "uniform_gradient", "weibull"]


def weibull(u, scale, shape):
    z = scale * (-np.log(u)) ** (1 / shape)  # u = P(Z > z)
    log_ratio = np.log(-np.log(u)) / shape  # log(z / scale)
    return z, z / scale, -z * log_ratio / shape


def implicit_path(cdf, density, z, theta, h):
    dcdf = (cdf(z, theta + h) - cdf(z, theta - h)) / (2 * h)
    return -dcdf / density(z, theta)


def dirichlet_path(g, dlog_g):
    z = g / g.sum(axis=1, keepdims=True)  # (n, D)
    mine = np.eye(z.shape[1]) - z[:, :, None]  # n, i, j: delta_ij - z_i
    return z, mine * z[:, None, :] * dlog_g[:, :, None]


def uniform_gradient(f, high, u):
    score = -1 / high
    flux = f(high + 0 * u) / high  # f(high) p(high)
    return f(high * u) * score + flux
