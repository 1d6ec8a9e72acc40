"""Solutions to the exercises of "How good is the model?"."""

import numpy as np

__all__ = [
    "annealed_log_weight",
    "draws_needed",
    "log_mean_weight",
    "weights_that_count",
]


def log_mean_weight(log_w):
    top = log_w.max(axis=0)  # taken out, so that exp does not underflow
    return top + np.log(np.mean(np.exp(log_w - top), axis=0))


def weights_that_count(log_w):
    w = np.exp(log_w - log_w.max(axis=0))  # a common factor cancels
    return w.sum(axis=0) ** 2 / np.sum(w**2, axis=0)


def draws_needed(W, s2, relative_error):
    twice_the_information = np.linalg.slogdet(
        np.eye(W.shape[1]) + W.T @ W / s2
    )[1]
    return np.expm1(twice_the_information) / relative_error**2


def annealed_log_weight(log_lik, b):
    return np.diff(b) @ log_lik
