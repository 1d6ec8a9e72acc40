"""Solutions to the exercises of "Discrete latents"."""

import numpy as np

__all__ = [
    "arm_gradient",
    "enumerated_gradient",
    "relaxed_gradient",
    "straight_through",
]


def enumerated_gradient(phi, states, f):
    theta = 1 / (1 + np.exp(-phi))
    q = np.prod(np.where(states == 1, theta, 1 - theta), axis=1)
    return (q * f) @ (states - theta)  # E[f(z) d log q(z) / dphi]


def straight_through(df, phi, u):
    theta = 1 / (1 + np.exp(-phi))
    z = (u > 1 - theta) * 1.0
    return df(z) * theta * (1 - theta)


def relaxed_gradient(df, phi, u, tau):
    zeta = 1 / (1 + np.exp(-(phi + np.log(u / (1 - u))) / tau))
    return df(zeta) * zeta * (1 - zeta) / tau


def arm_gradient(f, phi, u):
    theta = 1 / (1 + np.exp(-phi))
    b = (u > 1 - theta) * 1.0
    opposite = (1 - u > 1 - theta) * 1.0
    return (f(b) - f(opposite))[:, None] * (u - 0.5)
