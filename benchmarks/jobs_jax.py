"""The whole jobs of ``benchmarks.jobs`` as a plain jax script: python -m benchmarks.jobs_jax JOB DATA.npz."""

import json
import math
import sys
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def start(widths: tuple[int, int, int], key: Any) -> list[Any]:
    """Return weights of a VAE with one hidden layer each way."""
    n_x, n_hidden, n_latent = widths
    shapes = ((n_x, n_hidden), (n_hidden, 2 * n_latent), (n_latent, n_hidden), (n_hidden, n_x))
    keys = jax.random.split(key, 4)
    return [
        (jax.random.normal(k, shape) * math.sqrt(2 / sum(shape)), jnp.zeros(shape[1]))
        for k, shape in zip(keys, shapes, strict=True)
    ]


def encode(weights: Any, x: Any, act: Any) -> Any:
    (W1, b1), (W2, b2), *_ = weights
    return jnp.split(act(x @ W1 + b1) @ W2 + b2, 2, axis=1)


def log_lik(weights: Any, z: Any, x: Any, act: Any) -> Any:
    *_, (W3, b3), (W4, b4) = weights
    out = act(z @ W3 + b3) @ W4 + b4
    return jnp.sum(x * out - jax.nn.softplus(out), axis=-1)


def elbo(weights: Any, x: Any, key: Any, act: Any, n_draws: int) -> Any:
    mu, log_var = encode(weights, x, act)
    z = mu + jnp.exp(log_var / 2) * jax.random.normal(key, (n_draws, *mu.shape))
    kl = 0.5 * jnp.sum(mu**2 + jnp.exp(log_var) - 1 - log_var, axis=1)
    return log_lik(weights, z, x, act).mean(axis=0) - kl


@partial(jax.jit, static_argnames=("act", "binarize"), donate_argnums=(0, 1, 2))
def step(weights: Any, m: Any, v: Any, t: Any, x: Any, key: Any, rate: Any, *, act: Any, binarize: bool) -> Any:
    own, other = jax.random.split(key)
    x = jax.random.bernoulli(own, x).astype(x.dtype) if binarize else x
    g = jax.grad(lambda w: -elbo(w, x, other, act, 1).mean())(weights)
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
    scale = rate * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    return jax.tree.map(lambda p, m, v: p - scale * m / (jnp.sqrt(v) + 1e-8), weights, m, v), m, v


def train(weights: Any, x_train: Any, x_valid: Any, how: dict[str, Any], act: Any) -> Any:
    """Train by Adam, and return the weights of the best epoch on the validation set."""
    rng, key, t = np.random.default_rng(0), jax.random.key(1), 0
    m, v = jax.tree.map(jnp.zeros_like, weights), jax.tree.map(jnp.zeros_like, weights)
    value_of = jax.jit(lambda w, x, key: elbo(w, x, key, act, 1).mean())
    best, kept, batch = -math.inf, weights, how["batch"]
    if how["binarize"]:
        x_valid = (rng.random(x_valid.shape) < x_valid).astype(np.float32)
    for _ in range(how["epochs"]):
        order = rng.permutation(len(x_train))
        for i in range(0, len(order), batch):
            t += 1
            x = x_train[order[i : i + batch]]
            key, own = jax.random.split(key)
            weights, m, v = step(weights, m, v, t, x, own, how["rate"], act=act, binarize=how["binarize"])
        value = float(value_of(weights, x_valid, key))
        if value > best:
            best, kept = value, jax.tree.map(jnp.copy, weights)
    return kept


def test_elbo(weights: Any, x: Any, act: Any) -> float:
    """Return the test ELBO with 16 draws, 500 examples at a time."""
    part = jax.jit(lambda x, key: elbo(weights, x, key, act, 16))
    pieces = [part(x[i : i + 500], jax.random.key(i)) for i in range(0, len(x), 500)]
    return float(jnp.concatenate(pieces).mean())


def variances(weights: Any, x: Any, n_draws: int, n_group: int, act: Any) -> dict[str, list[float]]:
    """Return the variance of five estimators' gradients for mu and for log_var, averaged over examples and latents."""
    mu, log_var = encode(weights, x, act)
    sigma = jnp.exp(log_var / 2)
    closed = jnp.concatenate([mu, (jnp.exp(log_var) - 1) / 2], axis=1)
    baseline = log_lik(weights, mu + sigma * jax.random.normal(jax.random.key(7), (250, *mu.shape)), x, act).mean(0)

    @partial(jax.jit, static_argnames="name")
    def sums(key: Any, name: str) -> Any:
        eps = jax.random.normal(key, (250, *mu.shape))
        z = mu + sigma * eps
        if name in ("pathwise", "path-derivative"):
            dz = jax.grad(lambda z: log_lik(weights, z, x, act).sum())(z)
            if name == "path-derivative":
                dz = dz - z + eps / sigma
            rows = jnp.concatenate([dz, dz * eps * sigma / 2], axis=-1)
            rows = rows if name == "path-derivative" else rows - closed
        else:
            f = log_lik(weights, z, x, act)
            if name == "score-mean":
                f = f - baseline
            if name == "score-leave-one-out":
                groups = f.reshape(-1, n_group, len(x))
                f = ((groups - groups.mean(1, keepdims=True)) * n_group / (n_group - 1)).reshape(f.shape)
            rows = f[..., None] * jnp.concatenate([eps / sigma, (eps**2 - 1) / 2], axis=-1) - closed
        if name == "score-leave-one-out":
            rows = rows.reshape(-1, n_group, *rows.shape[1:]).mean(1)
        return rows.sum(0), (rows**2).sum(0)

    found = {}
    for name in ("pathwise", "path-derivative", "score", "score-mean", "score-leave-one-out"):
        each = n_group if name == "score-leave-one-out" else 1
        seen, total, squares = n_draws // 250 * 250 // each, 0.0, 0.0
        for i in range(n_draws // 250):
            one, two = sums(jax.random.key(i), name)
            total, squares = total + np.asarray(one, np.float64), squares + np.asarray(two, np.float64)
        variance = (squares - total**2 / seen) / (seen - 1) * each
        found[name] = [float(part.mean()) for part in np.split(variance, 2, axis=1)]
    return found


def log_marginal(weights: Any, x: Any, n_draws: int, act: Any) -> float:
    """Return the mean of log p(x) by importance sampling, 50 examples and 10 draws at a time."""

    @jax.jit
    def part(x: Any, key: Any) -> Any:
        mu, log_var = encode(weights, x, act)

        def some(key: Any) -> Any:
            eps = jax.random.normal(key, (10, *mu.shape))
            z = mu + jnp.exp(log_var / 2) * eps
            log_w = log_lik(weights, z, x, act) + 0.5 * jnp.sum(eps**2 + log_var - z**2, axis=-1)
            return jax.nn.logsumexp(log_w, axis=0)

        return jax.nn.logsumexp(jax.lax.map(some, jax.random.split(key, n_draws // 10)), axis=0) - math.log(n_draws)

    return float(jnp.concatenate([part(x[i : i + 50], jax.random.key(i)) for i in range(0, len(x), 50)]).mean())


def main() -> None:
    job, path = sys.argv[1:]
    given = np.load(path)
    how = json.loads(str(given["how"]))
    act = {"tanh": jnp.tanh, "relu": jax.nn.relu}[how["activation"]]
    x_train, x_valid, x_test = (given[name] for name in ("x_train", "x_valid", "x_test"))
    if job == "log p(x)":
        names = ("encoder.0", "encoder.2", "decoder.0", "decoder.2")
        weights = [(jnp.array(given[f"{n}.weight"].T), jnp.array(given[f"{n}.bias"])) for n in names]
        print(json.dumps(log_marginal(weights, x_test, how["draws"], act)))
        return
    weights = start((x_train.shape[1], how["hidden"], how["latent"]), jax.random.key(0))
    weights = train(weights, x_train, x_valid, how, act)
    if job == "variances":
        print(json.dumps(variances(weights, x_test, how["draws"], how["group"], act)))
        return
    if how["binarize"]:
        x_test = (np.random.default_rng(2).random(x_test.shape) < x_test).astype(np.float32)
    print(json.dumps(test_elbo(weights, x_test, act)))


if __name__ == "__main__":
    main()
