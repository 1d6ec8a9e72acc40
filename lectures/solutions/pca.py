"""Solutions to the exercises of "PCA is a linear autoencoder"."""

import numpy as np

__all__ = [
    "components",
    "deflate",
    "linear_gradient",
    "power_iteration",
    "subspace_distance",
]


def components(x, n_latent):
    centred = x - x.mean(axis=0)
    _, vectors = np.linalg.eigh(
        centred.T @ centred / len(x)
    )  # columns, the smallest eigenvalue first
    return vectors[:, ::-1].T[:n_latent]


def power_iteration(S, v, n_steps):
    for _ in range(n_steps):
        v = S @ v
        v = v / np.linalg.norm(v)
    return v


def deflate(S, u):
    eigenvalue = u @ S @ u  # the Rayleigh quotient
    return S - eigenvalue * np.outer(u, u)


def linear_gradient(W1, W2, x):
    z = x @ W1.T  # (batch, q)
    dy = 2 * (z @ W2.T - x) / len(x)
    return (dy @ W2).T @ x, dy.T @ z


def subspace_distance(A, B):
    P, _ = np.linalg.qr(A.T)  # orthonormal bases, one a column
    Q, _ = np.linalg.qr(B.T)
    return np.linalg.norm(
        Q - P @ (P.T @ Q), 2
    )  # what of Q is left outside the span of P
