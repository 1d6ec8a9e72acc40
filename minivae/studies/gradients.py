"""One gradient check for each hand-written gradient of the package: what ``minivae gradcheck`` prints."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import numpy as np

from minivae.classical.linear_autoencoder import LinearAutoencoder
from minivae.classical.subspaces import covariance
from minivae.core.arrays import Array
from minivae.distributions.diagonal import DiagonalGaussian
from minivae.distributions.likelihoods import Bernoulli, Gaussian, GaussianPerPixel
from minivae.distributions.protocols import Likelihood
from minivae.estimators.baselines import LearnedBaseline
from minivae.estimators.costs import Cosine, Exponential, Linear, Quadratic, SeparableCost
from minivae.estimators.elbo_gradients import KlMode
from minivae.models.autoencoder import Autoencoder
from minivae.models.contraction import Contraction
from minivae.models.corruptions import GaussianNoise, MaskingNoise, SaltAndPepperNoise
from minivae.models.discrete import BernoulliVAE
from minivae.models.penalties import KLSparsity, L1Sparsity
from minivae.models.vae import VAE
from minivae.nn.activations import ACTIVATIONS, Tanh
from minivae.nn.dense import Dense
from minivae.nn.gradcheck import GradCheck, check_gradient
from minivae.nn.layer import Layer
from minivae.nn.sequential import Sequential, mlp

# the kernel that a row checks along with its layer or likelihood
_KERNELS = {
    "Dense": ", kernel dense",
    "Tanh": ", kernel tanh_backward",
    "ReLU": ", kernel relu_backward",
    "Bernoulli": ", kernel bernoulli_backward",
    "Bernoulli, grey x": ", kernel bernoulli_backward",
    "Gaussian, fixed variance": ", kernel gaussian_shared",
    "Gaussian, one learned variance": ", kernel gaussian_shared",
    "Gaussian, variance per pixel": ", kernel gaussian_per_pixel",
}


_BATCH, _N_X, _N_LATENT = 3, 4, 2


def gradient_checks(seed: int = 0) -> Iterator[GradCheck]:
    """Yield the check of every layer, posterior, likelihood and model, each on random float64 inputs.

    Parameters
    ----------
    seed : int
        Another seed is another set of random inputs; every one passes.

    Examples
    --------
    >>> next(iter(gradient_checks())).name
    'layer Dense, kernel dense'
    """
    rng = np.random.default_rng(seed)
    layers: list[Layer] = [Dense(5, 4), *ACTIVATIONS.values(), mlp([5, 4, 3], "tanh")]
    for layer in layers:
        yield _layer(layer, rng)
    yield from _posterior(rng)
    for name, likelihood, x in _likelihoods(rng):
        yield _likelihood(f"likelihood {name}{_KERNELS[name]}", likelihood, x, rng)
    for kl in ("closed", "sampled"):
        for n_draws in (1, 5):
            for beta in (1.0, 4.0):
                yield _elbo(f"ELBO {kl} KL, K={n_draws}, beta={beta:g}", Bernoulli(), kl, n_draws, beta, rng)
    for name, likelihood, _ in _likelihoods(rng):
        if name != "Bernoulli":
            yield _elbo(f"ELBO {name}", likelihood, "closed", 2, 1.0, rng)
    yield from _autoencoders(rng)
    yield _linear("linear autoencoder", 0.0, rng)
    yield _linear("linear autoencoder, L2", 0.5, rng)
    yield _digits_network(rng)
    costs: list[SeparableCost] = [Linear(), Quadratic(0.7), Exponential(0.7), Cosine(0.7)]
    for cost in costs:
        yield _cost(cost, rng)
    yield _learned_baseline(rng)
    yield _bernoulli_vae(rng)


def _layer(layer: Layer, rng: np.random.Generator) -> GradCheck:
    n_in = layer.n_in or 5
    params = _jitter(layer.init(rng), rng)
    x = rng.standard_normal((_BATCH, n_in))
    y, cache = layer.forward(params, x)
    dy = rng.standard_normal(y.shape)
    grads = np.full_like(params, np.nan)
    dx = cast(Array, layer.backward(params, cache, dy, grads))

    def value(theta: Array) -> Any:
        x = theta[params.size :].reshape(_BATCH, n_in)
        return np.sum(dy * layer.forward(theta[: params.size], x)[0])

    analytic = isinstance(layer, Dense | Tanh | Sequential)
    return check_gradient(
        value,
        np.concatenate([grads, dx.ravel()]),
        np.concatenate([params, x.ravel()]),
        name=f"layer {type(layer).__name__}{_KERNELS.get(type(layer).__name__, '')}",
        method="complex" if analytic else "central",
    )


def _posterior(rng: np.random.Generator) -> Iterator[GradCheck]:
    q = DiagonalGaussian(_N_LATENT)
    head = rng.standard_normal((_BATCH, q.n_head))
    eps = rng.standard_normal((5, _BATCH, _N_LATENT))
    dz, dlog_q = rng.standard_normal(eps.shape), rng.standard_normal(eps.shape[:2])

    def path(theta: Array) -> float:
        z, log_q, _ = q.sample(theta.reshape(head.shape), eps)
        return float(np.sum(dz * z) + np.sum(dlog_q * log_q))

    _, _, cache = q.sample(head, eps)
    yield check_gradient(
        path, q.backward(cache, dz, dlog_q).ravel(), head.ravel(), name="posterior sample, kernel reparameterize"
    )

    dkl = rng.standard_normal(_BATCH)
    yield check_gradient(
        lambda theta: float(dkl @ q.kl(theta.reshape(head.shape))),
        q.kl_backward(head, dkl).ravel(),
        head.ravel(),
        name="posterior KL, kernel diagonal_kl",
    )

    z = rng.standard_normal(eps.shape)

    def density(theta: Array) -> float:
        return float(np.sum(dlog_q * q.log_prob(theta[: head.size].reshape(head.shape), _like(theta[head.size :], z))))

    dhead, dz_fixed = q.log_prob_backward(head, z, dlog_q)
    gradient = np.concatenate([dhead.ravel(), dz_fixed.ravel()])
    theta = np.concatenate([head.ravel(), z.ravel()])
    yield check_gradient(density, gradient, theta, name="posterior log q(z|x), kernel diagonal_log_prob")


def _likelihoods(rng: np.random.Generator) -> Iterator[tuple[str, Likelihood, Array]]:
    binary = (rng.random((_BATCH, _N_X)) < 0.5).astype(float)
    real = rng.standard_normal((_BATCH, _N_X))
    yield "Bernoulli", Bernoulli(), binary
    yield "Bernoulli, grey x", Bernoulli(), rng.random((_BATCH, _N_X))
    yield "Gaussian, fixed variance", Gaussian(0.5), real
    yield "Gaussian, one learned variance", Gaussian(0.5, learned=True), real
    yield "Gaussian, variance per pixel", GaussianPerPixel(), real


def _likelihood(name: str, likelihood: Likelihood, x: Array, rng: np.random.Generator) -> GradCheck:
    params = _jitter(likelihood.init(), rng)
    out = rng.standard_normal((2 * _BATCH, likelihood.n_out(_N_X)))  # two draws of each example
    dlog_prob = rng.standard_normal(len(out))

    def value(theta: Array) -> float:
        log_prob, _ = likelihood.forward(theta[: params.size], _like(theta[params.size :], out), x)
        return float(dlog_prob @ log_prob)

    grads = np.full_like(params, np.nan)
    dout = likelihood.backward(params, likelihood.forward(params, out, x)[1], dlog_prob, grads)
    gradient, theta = np.concatenate([grads, dout.ravel()]), np.concatenate([params, out.ravel()])
    return check_gradient(value, gradient, theta, name=name)


def _elbo(
    name: str,
    likelihood: Likelihood,
    kl: KlMode,
    n_draws: int,
    beta: float,
    rng: np.random.Generator,
) -> GradCheck:
    model = VAE.mlp(_N_X, _N_LATENT, [5], "tanh", likelihood)
    params = _jitter(model.init(rng), rng)
    x = rng.random((_BATCH, _N_X))
    if "grey" not in name and isinstance(likelihood, Bernoulli):
        x = np.round(x)
    eps = rng.standard_normal((n_draws, _BATCH, _N_LATENT))
    grads = np.full_like(params, np.nan)
    model.loss_and_grad(params, x, eps, grads, beta=beta, kl=kl)
    return check_gradient(_vae_loss(model, x, eps, kl, beta), grads, params, name=name)


def _digits_network(rng: np.random.Generator) -> GradCheck:
    """Check a network of real size, with kinks, along random directions."""
    model = VAE.mlp(64, 2, [128], "relu")
    params = _jitter(model.init(rng), rng)
    x = np.round(rng.random((8, 64)))
    eps = rng.standard_normal((1, 8, 2))
    grads = np.full_like(params, np.nan)
    model.loss_and_grad(params, x, eps, grads)
    name = f"ELBO 64-128-2-128-64 ReLU, {model.n_params} parameters, random directions"
    return check_gradient(_vae_loss(model, x, eps, "closed", 1.0), grads, params, name=name, n_directions=10, rng=rng)


def _vae_loss(model: VAE, x: Array, eps: Array, kl: KlMode, beta: float) -> Callable[[Array], float]:
    n_draws, n_batch = eps.shape[:2]

    def value(theta: Array) -> float:
        head, z, log_q, log_p = model.draw(theta, x, eps)
        if kl == "closed":
            divergence = model.posterior.kl(head).sum()
        else:
            log_prior = -0.5 * np.sum(z**2 + np.log(2 * np.pi), axis=-1)
            divergence = np.sum(log_q - log_prior) / n_draws
        return float(beta * divergence - log_p.sum() / n_draws) / n_batch

    return value


def _autoencoders(rng: np.random.Generator) -> Iterator[GradCheck]:
    yield _autoencoder("MSE", rng)
    yield _autoencoder("BCE", rng, likelihood=Bernoulli())
    for corruption in (GaussianNoise(0.5), MaskingNoise(0.5), SaltAndPepperNoise(0.5)):
        yield _autoencoder(f"denoising, {type(corruption).__name__}, K=2", rng, corruption=corruption)
    yield _autoencoder("sparse, KL to a target", rng, penalty=KLSparsity(0.2, 2.0))
    yield _autoencoder("sparse, L1", rng, penalty=L1Sparsity(2.0))
    yield _autoencoder("contractive, one layer", rng, [], penalty=Contraction(2.0))
    for name in ACTIVATIONS:
        yield _autoencoder(f"contractive, three layers, {name}", rng, [6, 5], name, penalty=Contraction(2.0))
    yield _autoencoder("denoising and contractive, K=2", rng, corruption=GaussianNoise(0.5), penalty=Contraction(2.0))


def _autoencoder(
    name: str, rng: np.random.Generator, n_hidden: Sequence[int] = (5,), activation: str = "tanh", **boxes: Any
) -> GradCheck:
    model = Autoencoder.mlp(_N_X, _N_LATENT, n_hidden, activation, **boxes)
    params = _jitter(model.init(rng), rng)
    x = np.round(rng.random((_BATCH, _N_X)))
    eps = model.draw_noise(rng, 2, _BATCH, params.dtype)
    grads = np.full_like(params, np.nan)
    model.loss_and_grad(params, x, eps, grads)
    return check_gradient(
        lambda theta: model.terms(theta, x, eps=eps).loss(), grads, params, name=f"autoencoder {name}"
    )


def _linear(name: str, l2: float, rng: np.random.Generator) -> GradCheck:
    model = LinearAutoencoder(_N_X, _N_LATENT, l2)
    params, S = model.init(rng), covariance(rng.standard_normal((9, _N_X)))
    grads = np.full_like(params, np.nan)
    model.loss_and_grad(params, S, grads)
    return check_gradient(lambda theta: model.loss(theta, S), grads, params, name=name)


def _cost(cost: SeparableCost, rng: np.random.Generator) -> GradCheck:
    z, df = rng.standard_normal((_BATCH, _N_LATENT)), rng.standard_normal(_BATCH)
    gradient = (df[:, None] * cost.gradient(z)).ravel()
    name = f"cost {type(cost).__name__}"
    return check_gradient(lambda theta: np.sum(df * cost.value(_like(theta, z))), gradient, z.ravel(), name=name)


def _learned_baseline(rng: np.random.Generator) -> GradCheck:
    rule = LearnedBaseline.mlp(_N_X, [5])
    params = _jitter(rule.network.init(rng), rng)
    x, target, grads = rng.standard_normal((_BATCH, _N_X)), rng.standard_normal(_BATCH), np.full_like(params, np.nan)
    rule.loss_and_grad(params, x, target, grads)

    def value(theta: Array) -> float:
        return float(np.mean((target - rule.network.forward(theta, x)[0][:, 0]) ** 2)) / 2

    return check_gradient(value, grads, params, name="learned baseline, regression")


def _bernoulli_vae(rng: np.random.Generator) -> GradCheck:
    model = BernoulliVAE.mlp(_N_X, 3, [5], "tanh", estimator="exact")
    params = _jitter(model.init(rng), rng)
    x = np.round(rng.random((_BATCH, _N_X)))
    grads = np.full_like(params, np.nan)
    model.loss_and_grad(params, x, None, grads, beta=4.0)
    name = "ELBO Bernoulli latents, by enumeration"
    return check_gradient(lambda theta: model.terms(theta, x).loss(4.0), grads, params, name=name)


def _jitter(params: Array, rng: np.random.Generator) -> Array:
    """Move the parameters off their special initial values, such as zero biases."""
    return params + 0.1 * rng.standard_normal(params.shape)


def _like(flat: Array, array: Array) -> Array:
    return flat.reshape(array.shape)
