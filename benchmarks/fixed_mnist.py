"""Reproduce published runs on fixed-binarised MNIST, and print published, ours and the difference.

    MINIVAE_DATA=... python -m benchmarks.fixed_mnist --steps 65000
    MINIVAE_DATA=... python -m benchmarks.fixed_mnist --posterior iaf --steps 150000
    MINIVAE_DATA=... python -m benchmarks.fixed_mnist --ours --anneal --steps 40000 --save mf.npz
    MINIVAE_DATA=... python -m benchmarks.fixed_mnist --ours --anneal --steps 20000 --posterior iaf --start mf.npz

Protocol (README of altosaar/variational-autoencoder): MNIST as binarised once by Larochelle and Murray,
50,000 / 10,000 / 10,000; encoder 784-512-512-(2 x 128), decoder 128-512-512-784, ReLU; batch 128; a one-sample ELBO
with sampled KL, summed over the batch; centred RMSprop with learning rate 1e-3, decay 0.99; validation by one sample
every 1,000 steps, which chooses the parameters that are tested; log p(x) by 128 importance samples. beta = 1
throughout. With ``--posterior iaf`` two inverse autoregressive blocks follow the mean field, each a masked network of
512 hidden units that looks at 128 further outputs of the encoder.

What decides the numbers as much as the sizes do, and is easily overlooked: the second half of the encoder's output
is there a standard deviation through a softplus, and weights and biases start uniform in +-1/sqrt(n_in). Both are
rebuilt here on minivae's own pieces; ``--ours`` runs the same network with minivae's defaults instead (a
log-variance, and He weights). With ``--save`` its best parameters are kept, and with ``--start`` the flow goes on
from a mean field that was kept: its blocks start as one scale for all of z, which the encoder takes back, so that the
first step sees the mean field's own posterior. ``--anneal`` lets the rate fall to zero (from
``--rate 3e-4`` for such a flow), which gains more than the flow.
"""

import argparse
import json
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import minivae as mv
from benchmarks.published import Row, UniformVAE, table
from minivae.core.arrays import sigmoid
from minivae.distributions.real import RealPosterior

N_HIDDEN, N_LATENT, BATCH, DRAWS = 512, 128, 128, 128
# (posterior, steps): ELBO and log p(x), of the validation set as that README's log has them, and of the test set
ON_THE_WAY = {
    ("diagonal", 5000): (-112.57, -107.01),
    ("diagonal", 10000): (-108.49, -102.62),
    ("diagonal", 20000): (-106.23, -100.04),
}
TESTED = {("diagonal", 65000): (-103.31, -97.10), ("iaf", 150000): (-101.64, -95.33)}
SAMPLED = mv.Elbo(kl="sampled")


class Softplus:
    """Before a posterior: its sigma is softplus(s) in place of exp(log_var / 2), s the head's second L columns."""

    def _inner(self, head: Any) -> Any:
        """Return the head with log_var = 2 log softplus(s), which goes to the posterior behind this class."""
        inner = head.copy()
        s = self._scale(inner)
        s[:] = 2 * np.log(np.logaddexp(s, s.dtype.type(0)))
        return inner

    def _outer(self, head: Any, dinner: Any) -> Any:
        """Return dhead: d log_var / ds = 2 sigmoid(s) / softplus(s)."""
        s, dhead = self._scale(head), dinner.copy()
        self._scale(dhead)[:] *= 2 * sigmoid(s) / np.logaddexp(s, s.dtype.type(0))
        return dhead

    def _scale(self: Any, head: Any) -> Any:
        return head[:, self.n_latent : 2 * self.n_latent]

    def sample(self, params: Any, head: Any, eps: Any) -> Any:
        z, log_q, cache = super().sample(params, self._inner(head), eps)  # type: ignore[misc]
        return z, log_q, (head, cache)

    def log_prob(self, params: Any, head: Any, z: Any) -> Any:
        return super().log_prob(params, self._inner(head), z)  # type: ignore[misc]

    def backward(self, params: Any, cache: Any, dz: Any, dlog_q: Any, grads: Any) -> Any:
        head, inner = cache
        return self._outer(head, super().backward(params, inner, dz, dlog_q, grads))  # type: ignore[misc]

    def score(self, params: Any, cache: Any, dlog_q: Any, grads: Any) -> Any:
        return RealPosterior.score(self, params, cache, dlog_q, grads)  # type: ignore[arg-type]

    def slope(self, params: Any, cache: Any) -> Any:
        return super().slope(params, cache[1])  # type: ignore[misc]


class SoftplusGaussian(Softplus, mv.distributions.DiagonalGaussian):
    """N(mu, diag softplus(s)^2)."""


class SoftplusFlow(Softplus, mv.distributions.InverseAutoregressiveFlow):
    """The flow from N(mu, diag softplus(s)^2)."""


def model_of(posterior: str, ours: bool) -> mv.VAE:
    """Return the network, with the published posterior or with minivae's own."""
    boxes: dict[str, tuple[type, type]] = {
        "diagonal": (SoftplusGaussian, mv.distributions.DiagonalGaussian),
        "iaf": (SoftplusFlow, mv.distributions.InverseAutoregressiveFlow),
    }
    flow = {} if posterior == "diagonal" else {"n_blocks": 2, "n_hidden": (N_HIDDEN,), "n_context": N_LATENT}
    q = boxes[posterior][ours](N_LATENT, **flow)
    return (mv.VAE if ours else UniformVAE).mlp(784, N_LATENT, [N_HIDDEN, N_HIDDEN], "relu", mv.Bernoulli(), q)


def flow_from(start: str | Path, model: mv.VAE, rng: np.random.Generator) -> Any:
    """Return float32 parameters of the flow's model, whose q and decoder are those of the mean field in the file.

    The last layer of each block is zero but for the gate's bias, so that a block multiplies z by s and adds nothing;
    mu and sigma are divided by the product of s.
    """
    mean_field, old, _ = mv.training.load_model(start)
    if mean_field != model_of("diagonal", ours=True):
        raise ValueError(f"--start must hold the mean field that --ours --save wrote, got another model in {start}.")
    params = model.init(rng, np.float32)
    new, given = dict(model.named(params)), dict(mean_field.named(old))
    last = f"encoder.{len(model.encoder.layers) - 1}."
    for name, view in given.items():
        wide = name.startswith(last)
        (new[name][..., : 2 * N_LATENT] if wide else new[name])[...] = view
    own = params[dict(zip(model.boxes, model.slices, strict=True))["posterior"]]
    shrunk = 1.0
    for net, part in zip(model.posterior.nets, model.posterior.slices, strict=True):
        bias = net.out_bias(own[part])
        opening = bias[N_LATENT:].copy()
        own[part][net.slices[-1]] = 0
        bias[N_LATENT:] = opening
        shrunk *= float(sigmoid(opening[:1].astype(float))[0])
    new[last + "weight"][:, :N_LATENT] /= shrunk
    new[last + "bias"][:N_LATENT] /= shrunk
    new[last + "bias"][N_LATENT : 2 * N_LATENT] -= 2 * np.log(shrunk)
    return params


def run(
    posterior: str,
    steps: int,
    seed: int,
    ours: bool,
    quiet: bool,
    *,
    start_from: str | None = None,
    save: str | None = None,
    rate: float = 1e-3,
    anneal: bool = False,
) -> list[Row]:
    """Train for so many steps; return a row for each published point on the way."""
    data = mv.load("mnist-fixed")
    model = model_of(posterior, ours)
    # the published loss is a sum over the batch, ours a mean: eps is scaled alike, the rest is invariant
    optimizer = mv.nn.RMSprop(rate, decay=0.99, eps=1e-8 / BATCH, centered=True)
    rng = np.random.default_rng(seed)
    params = model.init(rng, np.float32) if start_from is None else flow_from(start_from, model, rng)
    state, grads = optimizer.init(params), np.empty_like(params)
    best, best_elbo = params.copy(), -np.inf
    fixed = np.random.default_rng([seed, 1])
    eps_valid = model.draw_noise(fixed, 1, len(data.x_valid), np.float32)
    rows: list[Row] = []
    order = np.empty(0, int)
    start = time.monotonic()
    for step in tqdm(range(1, steps + 1), unit="step", disable=None if not quiet else True):
        if len(order) < BATCH:
            order = rng.permutation(len(data.x_train))
        chosen, order = order[:BATCH], order[BATCH:]
        eps = model.draw_noise(rng, 1, BATCH, np.float32)
        model.loss_and_grad(params, data.x_train[chosen], eps, grads, SAMPLED)
        scale = (1 + math.cos(math.pi * (step - 1) / steps)) / 2 if anneal else 1.0
        optimizer.update(params, grads, state, scale)
        if step % 1000 == 0 or step == steps:
            elbo = float(model.elbo(params, data.x_valid, eps=eps_valid, objective=SAMPLED).mean())
            if elbo > best_elbo:  # early stopping on the validation ELBO
                best_elbo, best = elbo, params.copy()
                if save is not None:
                    mv.training.save_model(save, model, best, step=step, valid_elbo=elbo)
            if (posterior, step) in ON_THE_WAY:
                log_p = float(mv.log_marginal(model, params, data.x_valid, DRAWS, fixed).log_p.mean())
                published, seconds = ON_THE_WAY[posterior, step], time.monotonic() - start
                rows += _rows(posterior, ours, f"validation, {step:,} steps", published, (elbo, log_p), seconds)
    seconds = time.monotonic() - start
    test_elbo = float(model.elbo(best, data.x_test, rng=fixed, objective=SAMPLED).mean())
    test_log_p = float(mv.log_marginal(model, best, data.x_test, DRAWS, fixed).log_p.mean())
    (published_steps, published), *_ = [(n, pair) for (q, n), pair in TESTED.items() if q == posterior]
    where = f"test, {steps:,} steps" + ("" if steps == published_steps else f" (published: {published_steps:,})")
    where += "" if start_from is None else ", after a mean field"
    where += ", the rate falls to 0" if anneal else ""
    return rows + _rows(posterior, ours, where, published, (test_elbo, test_log_p), seconds)


def _rows(
    posterior: str, ours: bool, where: str, published: tuple[float, float], found: tuple[float, float], seconds: float
) -> list[Row]:
    name = "mean field" if posterior == "diagonal" else "two IAF blocks"
    protocol = f"{name}{', our defaults' if ours else ''}; {where}"
    quantities = ("ELBO", f"log p(x), {DRAWS} draws")
    return [Row("altosaar", protocol, *row, seconds) for row in zip(quantities, published, found, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posterior", choices=["diagonal", "iaf"], default="diagonal")
    parser.add_argument("--steps", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ours", action="store_true", help="minivae's defaults: a log-variance, and He weights")
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate at the start (default 1e-3)")
    parser.add_argument("--anneal", action="store_true", help="let the rate fall to zero by half a cosine")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument("--json", metavar="FILE", help="also write the rows to this file")
    parser.add_argument("--save", metavar="FILE", help="with --ours: keep the best parameters there")
    parser.add_argument("--start", metavar="FILE", help="with --ours and iaf: go on from the mean field kept there")
    options = parser.parse_args()
    if (options.save or options.start) and not options.ours:
        parser.error("--save and --start are for --ours: the published posteriors are this script's own classes")
    if options.start and options.posterior != "iaf":
        parser.error("--start is for --posterior iaf")
    rows = run(
        options.posterior,
        options.steps,
        options.seed,
        options.ours,
        options.quiet,
        start_from=options.start,
        save=options.save,
        rate=options.rate,
        anneal=options.anneal,
    )
    print(table(rows))
    if options.json:
        Path(options.json).write_text(json.dumps([asdict(row) for row in rows], indent=2))


if __name__ == "__main__":
    main()
