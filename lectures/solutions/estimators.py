"""Solutions to the exercises of "The gradient of an expectation"."""

import numpy as np

__all__ = [
    "leave_one_out_gradient",
    "optimal_baseline",
    "pathwise",
    "score_function",
    "standard_error",
]


def pathwise(df, mu, sigma, eps):
    slope = df(mu + sigma * eps)
    return slope, slope * eps  # dz/dmu = 1, dz/dsigma = eps


def score_function(f, mu, sigma, eps):
    value = f(mu + sigma * eps)
    return value * eps / sigma, value * (eps**2 - 1) / sigma


def optimal_baseline(f, s):
    return np.sum(f * s**2) / np.sum(s**2)


def leave_one_out_gradient(f, s):
    others = (f.sum() - f) / (len(f) - 1)
    return np.mean((f - others) * s)


def standard_error(g):
    return np.std(g, ddof=1) / np.sqrt(len(g))
