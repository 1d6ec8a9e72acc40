"""Reproduce a published run on fixed-binarised MNIST, and print published, ours and the difference.

    MINIVAE_DATA=... python -m benchmarks.fixed_mnist --steps 10000

Protocol (README of altosaar/variational-autoencoder, mean-field variant): MNIST as binarised once by Larochelle
and Murray, 50,000 / 10,000 / 10,000; encoder 784-512-512-(2 x 128), decoder 128-512-512-784, ReLU; batch 128; a
one-sample ELBO with sampled KL, summed over the batch; centred RMSprop with learning rate 1e-3, decay 0.99;
validation by one sample, log p(x) by 128 importance samples. beta = 1 throughout.

What decides the numbers as much as the sizes do, and is easily overlooked: the second half of the encoder's output
is there a standard deviation through a softplus, and weights and biases start uniform in +-1/sqrt(n_in). Both are
rebuilt here on minivae's own pieces; ``--ours`` runs the same network with minivae's defaults instead (a
log-variance, and He weights).
"""

import argparse
import json
import time
from dataclasses import replace
from typing import Any

import numpy as np
from tqdm import tqdm

import minivae as mv
from minivae.core.arrays import sigmoid

N_HIDDEN, N_LATENT, BATCH, DRAWS = 512, 128, 128, 128
# steps: (ELBO, log p(x)) on validation, as that README's log has them
PUBLISHED = {
    5000: (-112.57, -107.01),
    10000: (-108.49, -102.62),
    20000: (-106.23, -100.04),
}
SAMPLED = mv.Elbo(kl="sampled")
PUBLISHED_TEST = {65000: (-103.31, -97.10)}


class SoftplusGaussian(mv.distributions.DiagonalGaussian):
    """N(mu, diag softplus(s)^2): the head holds (mu, s), and log_var = 2 log softplus(s) goes to the usual Gaussian."""

    def _inner(self, head: Any) -> Any:
        mu, s = self.split(head)
        return np.concatenate([mu, 2 * np.log(np.logaddexp(s, s.dtype.type(0)))], axis=1)

    def _outer(self, head: Any, dinner: Any) -> Any:
        """Return dhead: d log_var / ds = 2 sigmoid(s) / softplus(s)."""
        _, s = self.split(head)
        dmu, dlog_var = self.split(dinner)
        return np.concatenate([dmu, dlog_var * 2 * sigmoid(s) / np.logaddexp(s, s.dtype.type(0))], axis=1)

    def sample(self, params: Any, head: Any, eps: Any) -> Any:
        z, log_q, cache = super().sample(params, self._inner(head), eps)
        return z, log_q, (head, cache)

    def log_prob(self, params: Any, head: Any, z: Any) -> Any:
        return super().log_prob(params, self._inner(head), z)

    def backward(self, params: Any, cache: Any, dz: Any, dlog_q: Any, grads: Any) -> Any:
        head, inner = cache
        return self._outer(head, super().backward(params, inner, dz, dlog_q, grads))

    def score(self, params: Any, cache: Any, dlog_q: Any, grads: Any) -> Any:
        head, inner = cache
        return self._outer(head, super().score(params, inner, dlog_q, grads))


def uniform_start(model: mv.VAE, rng: np.random.Generator) -> Any:
    """Return float32 parameters uniform in +-1/sqrt(n_in), biases too."""
    params = np.empty(model.n_params, np.float32)
    parts = dict(zip(model.boxes, model.slices, strict=True))
    for net, part in ((model.encoder, parts["encoder"]), (model.decoder, parts["decoder"])):
        for layer, own in zip(net.layers, net.slices, strict=True):
            if isinstance(layer, mv.Dense):
                params[part][own] = rng.uniform(-1, 1, layer.n_params) / np.sqrt(layer.n_in)
    return params


def run(steps: int, seed: int, ours: bool, quiet: bool) -> list[dict[str, Any]]:
    """Train for so many steps; return a row for each published point on the way."""
    data = mv.load("mnist-fixed")
    model = mv.VAE.mlp(784, N_LATENT, [N_HIDDEN, N_HIDDEN], "relu", mv.Bernoulli())
    if not ours:
        model = replace(model, posterior=SoftplusGaussian(N_LATENT))
    # the published loss is a sum over the batch, ours a mean: eps is scaled alike, the rest is invariant
    optimizer = mv.nn.RMSprop(1e-3, decay=0.99, eps=1e-8 / BATCH, centered=True)
    rng = np.random.default_rng(seed)
    params = model.init(rng, np.float32) if ours else uniform_start(model, rng)
    state, grads = optimizer.init(params), np.empty_like(params)
    best, best_elbo = params.copy(), -np.inf
    fixed = np.random.default_rng([seed, 1])
    eps_valid = model.draw_noise(fixed, 1, len(data.x_valid), np.float32)
    rows: list[dict[str, Any]] = []
    order = np.empty(0, int)
    start = time.monotonic()
    for step in tqdm(range(1, steps + 1), unit="step", disable=None if not quiet else True):
        if len(order) < BATCH:
            order = rng.permutation(len(data.x_train))
        chosen, order = order[:BATCH], order[BATCH:]
        eps = model.draw_noise(rng, 1, BATCH, np.float32)
        model.loss_and_grad(params, data.x_train[chosen], eps, grads, SAMPLED)
        optimizer.update(params, grads, state)
        if step % 1000 == 0 or step == steps:
            elbo = float(model.elbo(params, data.x_valid, eps=eps_valid, objective=SAMPLED).mean())
            if elbo > best_elbo:  # early stopping on the validation ELBO
                best_elbo, best = elbo, params.copy()
            if step in PUBLISHED:
                log_p = mv.log_marginal(model, params, data.x_valid, DRAWS, fixed).log_p.mean()
                rows += _rows(f"validation, {step} steps", PUBLISHED[step], (elbo, float(log_p)))
    test_elbo = float(model.elbo(best, data.x_test, rng=fixed, objective=SAMPLED).mean())
    test_log_p = float(mv.log_marginal(model, best, data.x_test, DRAWS, fixed).log_p.mean())
    rows += _rows(f"test, best of {steps} steps", PUBLISHED_TEST.get(steps), (test_elbo, test_log_p))
    print(f"{steps} steps in {time.monotonic() - start:.0f} s")
    return rows


def _rows(where: str, published: tuple[float, float] | None, ours: tuple[float, float]) -> list[dict[str, Any]]:
    rows = []
    for i, name in enumerate(("ELBO", f"log p(x), {DRAWS} samples")):
        there = None if published is None else published[i]
        difference = None if there is None else ours[i] - there
        rows.append({"quantity": f"{name}; {where}", "published": there, "ours": ours[i], "difference": difference})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ours", action="store_true", help="minivae's defaults: a log-variance, and He weights")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument("--json", metavar="FILE", help="also write the rows to this file")
    options = parser.parse_args()
    rows = run(options.steps, options.seed, options.ours, options.quiet)
    print(f"{'nats per example':<46}{'published':>10}{'ours':>10}{'difference':>12}")
    for row in rows:
        cells = ["-" if row[key] is None else f"{row[key]:.2f}" for key in ("published", "ours", "difference")]
        print(f"{row['quantity']:<46}{cells[0]:>10}{cells[1]:>10}{cells[2]:>12}")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(rows, file, indent=2)


if __name__ == "__main__":
    main()
