"""The gradient check of the models: each loss and each estimator beside finite differences."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from minivae.classical.linear_autoencoder import LinearAutoencoder
from minivae.classical.subspaces import covariance
from minivae.core.arrays import Array
from minivae.distributions.families import POSTERIORS, PRIORS
from minivae.distributions.likelihoods import LIKELIHOODS, Bernoulli
from minivae.estimators.baselines import LearnedBaseline
from minivae.estimators.k_sample import KSampleBound, objective_of
from minivae.estimators.objectives import Elbo
from minivae.estimators.second_pass import SecondPass
from minivae.estimators.weights import ESTIMATORS, KL_MODES, Draws, Estimator, KlMode
from minivae.models.annealing import Joint
from minivae.models.autoencoder import Autoencoder
from minivae.models.belief import belief_network
from minivae.models.code_costs import CodeCost
from minivae.models.contraction import Contraction
from minivae.models.corruptions import CORRUPTIONS, GaussianNoise
from minivae.models.coupling import coupling_terms, regularised_autoencoder
from minivae.models.penalties import SPARSITIES
from minivae.models.vae import VAE
from minivae.nn.activations import ACTIVATIONS
from minivae.studies.gradient_rows import BATCH, DRAWS, N_LATENT, N_X, GradientRow, Part, compare
from minivae.studies.gradients_contract import jitter


def elbo_rows(rng: np.random.Generator) -> Iterator[GradientRow]:
    """Yield the rows of the ELBO: of each posterior and each likelihood that has a name."""
    for name in POSTERIORS:
        model = VAE.mlp(N_X, N_LATENT, [5], "tanh", posterior=name)
        modes = [kl for kl in KL_MODES if kl == "sampled" or model.closed_kl is not None]
        if model.posterior.has_path:
            for kl in modes:
                for n_draws in (1, DRAWS):
                    for beta in (1.0, 4.0):
                        title = f"ELBO {name}, {kl} KL, K={n_draws}, beta={beta:g}"
                        yield _elbo(title, model, Elbo("pathwise", beta, kl), n_draws, rng)
        elif model.posterior.n_states is not None:
            for kl in modes:
                for beta in (1.0, 4.0):
                    title = f"ELBO {name} by enumeration, {kl} KL, beta={beta:g}"
                    yield _elbo(title, model, Elbo("exact", beta, kl), 1, rng)
    for name in LIKELIHOODS:
        model = VAE.mlp(N_X, N_LATENT, [5], "tanh", likelihood=name)
        yield _elbo(f"ELBO, likelihood {name}", model, Elbo("pathwise", kl="sampled"), 2, rng)
    for name in PRIORS:
        for likelihood in ("bernoulli", "gaussian"):
            model = VAE.mlp(N_X, N_LATENT, [5], "tanh", likelihood, prior=name)
            title = f"ELBO, prior {name}, {likelihood}, beta=4"
            yield _elbo(title, model, Elbo("pathwise", 4.0, "sampled"), DRAWS, rng)
    for name in POSTERIORS:
        model = VAE.mlp(N_X, N_LATENT, [5], "tanh", posterior=name)
        if model.closed_kl is not None:
            yield from _free_bits(name, model, rng)
    weights = np.array([0.2, 0.5, 0.3])
    model = VAE.mlp(N_X, N_LATENT, [5], "tanh")
    yield _elbo("ELBO, draws of unequal weight", model, Elbo("pathwise", kl="sampled"), 3, rng, weights=weights)
    # a network of real size, with kinks, along random directions
    model = VAE.mlp(64, 2, [128], "relu")
    title = f"ELBO 64-128-2-128-64 ReLU, {model.n_params} parameters, random directions"
    yield _elbo(title, model, Elbo("pathwise", kl="closed"), 1, rng, n_batch=8, n_directions=10)


def bound_rows(rng: np.random.Generator) -> Iterator[GradientRow]:
    """Yield the rows of the K-sample bound: its total derivative, of each posterior that has a path."""
    for name in POSTERIORS:
        model = VAE.mlp(N_X, N_LATENT, [5], "tanh", posterior=name)
        if model.posterior.has_path:
            for n_draws in (1, DRAWS):
                yield _bound(f"K-sample bound {name}, K={n_draws}", model, n_draws, rng)
    model = VAE.mlp(N_X, N_LATENT, [5], "tanh", likelihood="gaussian-learned")
    yield _bound("K-sample bound, draws of unequal weight", model, 3, rng, np.array([0.2, 0.5, 0.3]))


def _bound(name: str, model: VAE, n_draws: int, rng: np.random.Generator, weights: Array | None = None) -> GradientRow:
    params, x = jitter(model.init(rng), rng), _data(model, BATCH, rng)
    eps = model.draw_noise(rng, n_draws, BATCH, params.dtype)
    grads = np.full_like(params, np.nan)
    model.loss_and_grad(params, x, eps, grads, KSampleBound("iwae"), weights=weights)
    w = np.full(n_draws, 1 / n_draws) if weights is None else weights

    def loss(theta: Array) -> float:
        """Put the loss together anew: -mean over x of log E_w [p(x, z) / q(z|x)]."""
        _, _, draws = model.draw(theta, x, eps)
        log_w = draws.log_lik + cast(Array, draws.log_prior) - draws.log_q
        return -float(np.mean(np.log(w @ np.exp(log_w))))

    whole = [_all("the gradient", model, params, grads)]
    return compare(name, loss, whole, n_directions=_directions(model, 80), rng=rng)


def joint_rows(rng: np.random.Generator) -> Iterator[GradientRow]:
    """Yield the rows of the slope in z that annealing follows, of each likelihood that has a name."""
    for name in LIKELIHOODS:
        model = VAE.mlp(N_X, N_LATENT, [5], "tanh", likelihood=name)
        joint = Joint(model, jitter(model.init(rng), rng), _data(model, BATCH, rng))
        z, b = rng.standard_normal((DRAWS, BATCH, N_LATENT)), 0.3

        def value(z: Array, joint: Joint = joint, b: float = b) -> float:
            return float(np.sum(joint.at(z).log_f(b)))

        yield compare(f"annealed density, likelihood {name}", value, [Part("dz", z, joint.at(z).slope(b))])


def _elbo(
    name: str,
    model: VAE,
    objective: Elbo,
    n_draws: int,
    rng: np.random.Generator,
    n_batch: int = BATCH,
    weights: Array | None = None,
    n_directions: int | None = None,
) -> GradientRow:
    params, x = jitter(model.init(rng), rng), _data(model, n_batch, rng)
    objective = _with_free_bits_between(objective, model, params, x)
    eps = None if objective.row.enumerates else model.draw_noise(rng, n_draws, n_batch, params.dtype)
    grads = np.full_like(params, np.nan)
    model.loss_and_grad(params, x, eps, grads, objective, weights=weights)
    w = np.full(n_draws, 1 / n_draws) if weights is None else weights

    def loss(theta: Array) -> float:
        """Put the loss together anew: mean over x of E_w [beta KL - log p(x|z)]."""
        head, _, draws = model.draw(theta, x, eps)
        each = np.exp(draws.log_q) if eps is None else w[:, None]
        kl = np.sum(each * (draws.log_q - cast(Array, draws.log_prior)), axis=0)
        if objective.kl == "closed" and model.closed_kl is not None:
            kl = model.closed_kl.value(model.prior_params(theta), head)
        if objective.free_bits:
            kl = np.maximum(np.mean(_kl_per_latent(model, theta, head), axis=0), objective.free_bits).sum()
        return float(np.mean(objective.final_beta * kl - np.sum(each * draws.log_lik, axis=0)))

    n_directions = n_directions or _directions(model, 500 if n_draws == 1 and objective.final_beta == 1 else 80)
    return compare(name, loss, [_all("the gradient", model, params, grads)], n_directions=n_directions, rng=rng)


def _kl_per_latent(model: Any, params: Array, head: Array) -> Array:
    return model.closed_kl.per_latent(model.prior_params(params), head)


def _free_bits(name: str, model: VAE, rng: np.random.Generator) -> Iterator[GradientRow]:
    """Yield rows in which one of two latents is below its free bits, and one above."""
    for beta in (1.0, 4.0):
        objective = Elbo("pathwise" if model.posterior.has_path else "exact", beta, free_bits=1.0)
        yield _elbo(f"ELBO {name}, free bits, beta={beta:g}", model, objective, 1, rng)


def _with_free_bits_between(objective: Elbo, model: VAE, params: Array, x: Array) -> Elbo:
    """Return the objective with free bits half-way between the least and the largest mean KL of a latent."""
    if not objective.free_bits:
        return objective
    means = np.mean(_kl_per_latent(model, params, model.encode(params, x)), axis=0)
    return replace(objective, free_bits=float(means.min() + means.max()) / 2)


def _directions(model: VAE, most: int) -> int | None:
    """Return few where there are more parameters, and other rows have looked at every coordinate; else None."""
    return 5 if model.n_params > most else None


def estimator_rows(rng: np.random.Generator) -> Iterator[GradientRow]:
    """Yield a row for each estimator that draws, with each posterior and KL that suits it."""
    for posterior in POSTERIORS:
        model = VAE.mlp(N_X, N_LATENT, [5], "tanh", posterior=posterior)
        seen: list[Callable[..., Any]] = []
        for name, row in ESTIMATORS.items():
            kind = row.own or row.weights
            if row.enumerates or not row.suits(model.posterior) or kind in seen:
                continue  # what differs in its baseline only has the same weights
            seen.append(kind)
            for kl in row.kl:
                if kl == "sampled" or model.closed_kl is not None:
                    yield _estimator(f"estimator {name}, {posterior}, {kl} KL", model, name, row, kl, rng)
    for prior in PRIORS:
        model = VAE.mlp(N_X, N_LATENT, [5], "tanh", prior=prior)
        if model.closed_kl is None:
            for name in ("path-derivative", "score-leave-one-out", "iwae-dreg"):
                yield _estimator(f"estimator {name}, prior {prior}", model, name, ESTIMATORS[name], "sampled", rng)


def _estimator(
    name: str, model: VAE, estimator: str, row: Estimator, kl: KlMode, rng: np.random.Generator
) -> GradientRow:
    """Check one step's gradient, noise and weights frozen, beside that of the sum whose derivative it is.

    sum_k a_k [log p(x|z_k) + beta log p(z_k)]              in decoder, likelihood and prior
          + p_k [log p(x|z) + beta log p(z) - beta log q(z|x)]   in encoder and posterior through z = z_k alone
          + s_k log q(z_k|x)                                     in encoder and posterior at fixed z_k
          + a_k g_k . head                                       in the encoder, where it gives g_k of its own
    """
    params, x, beta = jitter(model.init(rng), rng), _data(model, BATCH, rng), 2.0
    eps = model.draw_noise(rng, max(DRAWS, row.least_draws), BATCH, params.dtype)
    objective, baseline = objective_of(estimator, kl, beta), 0.3
    beta = objective.final_beta
    grads = np.full_like(params, np.nan)
    model.loss_and_grad(params, x, eps, grads, objective, baseline=baseline)

    head, z, known = model.draw(params, x, eps)
    log_prior = known.log_prior if kl == "sampled" else None
    share = np.full(known.log_q.shape, -1 / known.log_q.size)
    counts = objective.weights(Draws(known.log_lik, known.log_q, log_prior, share, beta), baseline)
    beta_drawn = beta if kl == "sampled" else 0.0
    path = np.zeros_like(share) if counts.path is None else counts.path
    score = -beta_drawn * path if counts.score is None else counts.score
    own = np.zeros_like(head)
    if counts.own is not None:
        cost = CodeCost(model, model.unpack(params)[-2:], x)
        own = np.einsum(
            "kb,kbh->bh", share, counts.own(SecondPass(cast(Any, model.posterior), head, eps, z, known.log_lik, cost))
        )
    _, q, _, decoder, likelihood = model.unpack(params)
    p = model.prior_params(params)

    def log_lik(decoder: Array, likelihood: Array, z: Array) -> Array:
        out, _ = model.decoder.forward(decoder, z.reshape(-1, z.shape[-1]))
        return model.likelihood.log_prob(likelihood, out, x).reshape(share.shape)

    def surrogate(theta: Array) -> float:
        encoder_, q_, _, decoder_, likelihood_ = model.unpack(theta)
        p_ = model.prior_params(theta)
        head_, _ = model.encoder.forward(encoder_, x)
        z_ = model.posterior.sample(q_, head_, eps)[0]
        by_decoder = log_lik(decoder_, likelihood_, z) + beta_drawn * model.prior.log_prob(p_, z)
        log_ratio = model.prior.log_prob(p, z_) - model.posterior.log_prob(q, head, z_)
        by_path = log_lik(decoder, likelihood, z_) + beta_drawn * log_ratio
        by_score = model.posterior.log_prob(q_, head_, z)
        total = np.sum(counts.decoder * by_decoder + path * by_path + score * by_score) + np.sum(own * head_)
        if kl == "closed" and model.closed_kl is not None:
            total += beta * np.mean(model.closed_kl.value(p_, head_))
        return float(total)

    whole = [_all("the gradient", model, params, grads)]
    return compare(name, surrogate, whole, n_directions=_directions(model, 80), rng=rng)


def belief_rows(rng: np.random.Generator) -> Iterator[GradientRow]:
    """Yield the rows of a belief network: its ELBO over all states, and what draws give."""
    model = belief_network(N_X, N_LATENT, N_LATENT + 1, [5])
    for beta in (1.0, 4.0):
        name = f"belief network by enumeration, beta={beta:g}"
        yield _elbo(name, model, Elbo("exact", beta, "sampled"), 1, rng)
    for estimator in ("score-leave-one-out", "iwae-vimco"):
        yield _estimator(f"belief network, {estimator}", model, estimator, ESTIMATORS[estimator], "sampled", rng)


def autoencoder_rows(rng: np.random.Generator) -> Iterator[GradientRow]:
    """Yield the rows of the autoencoders: plain, denoising, sparse, contractive, with noise in the code."""
    yield _autoencoder("MSE", rng)
    yield _autoencoder("BCE", rng, likelihood=Bernoulli())
    for name, corrupts in CORRUPTIONS.items():
        yield _autoencoder(f"denoising, {name}, K=2", rng, corruption=corrupts(**{corrupts.level: 0.5}))
    for name, sparsity in SPARSITIES.items():
        yield _autoencoder(f"sparse, {name}", rng, penalty=sparsity(weight=2.0))
    yield _autoencoder("contractive, one layer", rng, [], penalty=Contraction(2.0))
    for name, layer in ACTIVATIONS.items():
        if hasattr(layer, "curvature"):
            title = f"contractive, three layers, {name}"
            yield _autoencoder(title, rng, [6, 5], name, penalty=Contraction(2.0))
    both: dict[str, Any] = {"corruption": GaussianNoise(0.5), "penalty": Contraction(2.0)}
    yield _autoencoder("denoising and contractive, K=2", rng, **both)
    yield _regularised(rng)


def _autoencoder(
    name: str, rng: np.random.Generator, n_hidden: Sequence[int] = (5,), activation: str = "tanh", **boxes: Any
) -> GradientRow:
    model = Autoencoder.mlp(N_X, N_LATENT, n_hidden, activation, **boxes)
    params, x = jitter(model.init(rng), rng), _data(model, BATCH, rng)
    eps = model.draw_noise(rng, 2, BATCH, params.dtype)
    grads = np.full_like(params, np.nan)
    model.loss_and_grad(params, x, eps, grads)

    def loss(theta: Array) -> float:
        return model.terms(theta, x, eps=eps).loss()

    return compare(f"autoencoder {name}", loss, [_all("the gradient", model, params, grads)])


def _regularised(rng: np.random.Generator) -> GradientRow:
    """Check the VAE of two fixed noises beside the KL of the two couplings, written out from encoder and decoder."""
    model = regularised_autoencoder(N_X, N_LATENT, 0.6, 0.4, [5], "tanh")
    params, x = jitter(model.init(rng), rng), _data(model, BATCH, rng)
    eps = model.draw_noise(rng, DRAWS, BATCH, params.dtype)
    grads = np.full_like(params, np.nan)
    model.loss_and_grad(params, x, eps, grads)

    def loss(theta: Array) -> float:
        return float(coupling_terms(model, theta, x, eps).loss.mean())

    return compare("autoencoder with noise in the code, K=5", loss, [_all("the gradient", model, params, grads)])


def linear_rows(rng: np.random.Generator) -> Iterator[GradientRow]:
    """Yield the rows of the linear autoencoder."""
    for name, l2 in (("linear autoencoder", 0.0), ("linear autoencoder, L2", 0.5)):
        model = LinearAutoencoder(N_X, N_LATENT, l2)
        params, S = model.init(rng), covariance(rng.standard_normal((9, N_X)))
        grads = np.full_like(params, np.nan)
        model.loss_and_grad(params, S, grads)
        yield compare(name, lambda theta, m=model, S=S: m.loss(theta, S), [Part("the gradient", params, grads)])


def baseline_row(rng: np.random.Generator) -> GradientRow:
    """Return the row of the learned baseline's regression."""
    rule = LearnedBaseline.mlp(N_X, [5])
    params = jitter(rule.network.init(rng), rng)
    x, target = rng.standard_normal((BATCH, N_X)), rng.standard_normal(BATCH)
    grads = np.full_like(params, np.nan)
    rule.loss_and_grad(params, x, target, grads)

    def loss(theta: Array) -> float:
        return float(np.mean((target - rule.network.forward(theta, x)[0][:, 0]) ** 2)) / 2

    return compare("learned baseline, regression", loss, [_all("the gradient", rule.network, params, grads)])


def _all(name: str, box: Any, params: Array, grads: Array) -> Part:
    return Part(name, params, grads, box.named)


def _data(model: Any, n_batch: int, rng: np.random.Generator) -> Array:
    """Return pixels, grey where the likelihood takes any number."""
    x = rng.random((n_batch, model.n_x))
    return x if model.likelihood.is_density(x) else np.round(x)
