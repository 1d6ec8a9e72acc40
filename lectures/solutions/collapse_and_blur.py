"""Solutions to the exercises of "Beta, collapse and blur"."""

import numpy as np

__all__ = [
    "one_bit_cost",
    "regularised_loss",
    "shared_code_cost",
    "water_filling",
]


def regularised_loss(x, f, x_hat, sigma_g):
    squares = np.sum((x - x_hat) ** 2, axis=2)  # (K, B)
    code = 0.5 * np.sum(f**2, axis=1)
    return squares.mean(axis=0) / (2 * sigma_g**2) + code


def water_filling(eigenvalues, level):
    error = np.minimum(eigenvalues, level)  # of each direction
    return 0.5 * np.sum(np.log(eigenvalues / error)), np.sum(error)


def one_bit_cost(n, error, beta):
    if error in (0, 1):
        entropy = 0.0
    else:
        right = 1 - error
        entropy = -error * np.log(error) - right * np.log(right)
    # each pixel costs the entropy; the code tells log 2 less the entropy
    return n * entropy + beta * (np.log(2) - entropy)


def shared_code_cost(images, variance):
    away = images - images.mean(axis=0)  # the best E[x|z] is the mean
    return np.mean(np.sum(away**2, axis=1)) / (2 * variance)
