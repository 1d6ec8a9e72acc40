"""Solutions to the exercises of "Autoencoders"."""

import numpy as np

__all__ = ["denoising_loss", "jacobian_penalty", "sparsity", "squared_error"]


def squared_error(x, x_hat):
    return 0.5 * np.sum((x - x_hat) ** 2) / len(x)


def denoising_loss(f, x, noise):
    return squared_error(x, f(x + noise))  # corrupted input, clean target


def sparsity(h, rho):
    rho_hat = h.mean(axis=0)  # of each unit, over the batch
    return np.sum(
        rho * np.log(rho / rho_hat)
        + (1 - rho) * np.log((1 - rho) / (1 - rho_hat))
    )


def jacobian_penalty(W, b, x):
    slope = 1 - np.tanh(x @ W + b) ** 2  # (batch, units)
    # dh_j/dx_i = slope_j W_ij, so the squares add up to sum_j slope_j^2 sum_i W_ij^2
    return np.mean(np.sum(slope**2 * np.sum(W**2, axis=0), axis=1))
