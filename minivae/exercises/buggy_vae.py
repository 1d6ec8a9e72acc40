"""A small VAE with five planted bugs. Do not use it for anything else."""

import numpy as np

from minivae.core.arrays import Array

Rng = np.random.Generator
Weights = dict[str, Array]
Result = tuple[float, Weights]


def init(rng: Rng) -> Weights:
    shapes = {"W1": (64, 16), "b1": (16,)}  # encoder
    shapes |= {"Wm": (16, 3), "bm": (3,), "Wv": (16, 3), "bv": (3,)}
    shapes |= {"W2": (3, 16), "b2": (16,)}  # decoder
    shapes |= {"W3": (16, 64), "b3": (64,)}
    return {k: 0.2 * rng.standard_normal(s) for k, s in shapes.items()}


def encode(w: Weights, x: Array) -> tuple[Array, Array, Array]:
    h = np.tanh(x @ w["W1"] + w["b1"])
    mu = h @ w["Wm"] + w["bm"]
    log_var = h @ w["Wv"] + w["bv"]
    return h, mu, log_var


def sample(mu: Array, log_var: Array, eps: Array) -> Array:
    return mu + np.exp(log_var) * eps


def decode(w: Weights, z: Array) -> tuple[Array, Array]:
    g = np.tanh(z @ w["W2"] + w["b2"])
    return g, g @ w["W3"] + w["b3"]


def log_likelihood(logits: Array, x: Array) -> Array:
    return np.mean(x * logits - np.logaddexp(0, logits), axis=-1)


def kl_divergence(mu: Array, log_var: Array) -> Array:
    return 0.5 * np.sum(mu**2 + np.exp(log_var) + 1 - log_var, axis=-1)


def loss_and_gradient(w: Weights, x: Array, eps: Array) -> Result:
    n_draws, n_batch, n_x = len(eps), len(x), x.shape[1]
    h, mu, log_var = encode(w, x)
    z = sample(mu, log_var, eps)
    g, logits = decode(w, z)
    reconstruction = log_likelihood(logits, x).mean(axis=0)
    kl = kl_divergence(mu, log_var)
    loss = float(np.mean(kl - reconstruction))

    dlogits = (1 / (1 + np.exp(-logits)) - x) / (n_draws * n_batch * n_x)
    dw = {"W3": np.einsum("kbh,kbd->hd", g, dlogits)}
    dw["b3"] = dlogits.sum(axis=(0, 1))
    da = dlogits @ w["W3"].T * (1 - g**2)
    dw["W2"] = np.einsum("kbl,kbh->lh", z, da)
    dw["b2"] = da.sum(axis=(0, 1))
    dz = da @ w["W2"].T
    dmu = dz.sum(axis=0) + mu / n_batch
    dlog_var = np.sum(dz * np.exp(log_var) * eps, axis=0)
    dlog_var += (np.exp(log_var) - 1) / n_batch
    dw |= {"Wm": h.T @ dmu, "bm": dmu.sum(axis=0)}
    dw |= {"Wv": h.T @ dlog_var, "bv": dlog_var.sum(axis=0)}
    dh = dmu @ w["Wm"].T + dlog_var @ w["Wv"].T
    dw |= {"W1": x.T @ dh, "b1": dh.sum(axis=0)}
    return loss, dw


def train_step(w: Weights, x: Array, rng: Rng, rate: float = 0.1) -> float:
    eps = rng.standard_normal((2, len(x), 3))
    loss, dw = loss_and_gradient(w, x, eps)
    for name in w:
        w[name] -= rate * dw[name]
    return loss
