"""Solutions to the exercises of "Generation"."""

import numpy as np

__all__ = ["arc", "attribute_vector", "pixels_drawn", "variants"]


def pixels_drawn(logits, u):
    return (u < 1 / (1 + np.exp(-logits))) * 1.0


def variants(encode, decode, x, eps):
    mu, log_var = encode(x)
    return decode(mu + np.exp(log_var / 2) * eps)


def arc(a, b, t):
    length_a, length_b = np.linalg.norm(a), np.linalg.norm(b)
    u = a / length_a
    across = b - (b @ u) * u  # what of b is at right angles to a
    across = across - (across @ u) * u  # again: rounding, where it is short
    angle = np.arctan2(np.linalg.norm(across), b @ u)
    v = across / np.linalg.norm(across)
    direction = np.outer(np.cos(t * angle), u) + np.outer(np.sin(t * angle), v)
    return ((1 - t) * length_a + t * length_b)[:, None] * direction


def attribute_vector(z, has):
    return z[has].mean(axis=0) - z[~has].mean(axis=0)
