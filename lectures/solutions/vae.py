"""Solutions to the exercises of "The VAE from scratch"."""

import numpy as np

__all__ = ["elbo", "kl", "kl_backward", "log_bernoulli", "sample_z"]


def sample_z(mu, log_var, eps):
    sigma = np.exp(0.5 * log_var)  # log_var = 2 log sigma
    return mu + sigma * eps


def kl(mu, log_var):
    # log q - log p = log p's normaliser - log q's + (z^2 - u^2) / 2, and E[z^2] = mu^2 + sigma^2, E[u^2] = 1
    return 0.5 * np.sum(mu**2 + np.exp(log_var) - 1 - log_var, axis=1)


def kl_backward(mu, log_var, dkl):
    dmu = mu * dkl[:, None]
    dlog_var = 0.5 * (np.exp(log_var) - 1) * dkl[:, None]
    return dmu, dlog_var


def log_bernoulli(logits, x):
    # x log p + (1 - x) log(1 - p) with p = sigmoid(l): log p = l - softplus(l), log(1 - p) = -softplus(l)
    return np.sum(x * logits - np.logaddexp(0, logits), axis=1)


def elbo(log_lik, kl):
    return log_lik.mean(axis=0) - kl
