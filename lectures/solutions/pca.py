"""Solutions to the exercises of "PCA is a linear autoencoder"."""

import numpy as np

__all__ = ["components", "deflate", "linear_gradient", "power_iteration", "subspace_distance"]


def components(x, q):
    centred = x - x.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred / len(x))  # columns, the smallest eigenvalue first
    return vectors[:, ::-1].T[:q]


def power_iteration(S, v, n_steps):
    for _ in range(n_steps):
        v = S @ v
        v = v / np.linalg.norm(v)
    return v


def deflate(S, u):
    eigenvalue = u @ S @ u  # the Rayleigh quotient
    return S - eigenvalue * np.outer(u, u)


def linear_gradient(W1, W2, x):
    z = x @ W1
    dy = (z @ W2 - x) / len(x)
    return x.T @ (dy @ W2.T), z.T @ dy


def subspace_distance(A, B):
    def projector(basis):
        Q, _ = np.linalg.qr(basis.T)  # an orthonormal basis of the same subspace
        return Q @ Q.T

    return np.linalg.norm(projector(A) - projector(B))
