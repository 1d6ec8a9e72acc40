"""Every posterior in a VAE: the bound holds, what each family attains, and it is trained, saved and resumed."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize

from minivae.distributions.autoregressive import InverseAutoregressiveFlow
from minivae.distributions.diagonal import DiagonalGaussian
from minivae.distributions.families import POSTERIORS
from minivae.distributions.full import FullGaussian
from minivae.distributions.likelihoods import Gaussian
from minivae.distributions.linear_gaussian import LinearGaussian
from minivae.distributions.nodes import gauss_hermite
from minivae.distributions.symmetric import SymmetricGaussian
from minivae.estimators.objectives import Elbo
from minivae.models.vae import VAE
from minivae.nn.optim import Adam
from minivae.training.loop import train
from minivae.training.settings import Settings
from minivae.training.storage import load_model, save_model
from tests.support import S2, W

REAL = [name for name, make in POSTERIORS.items() if make(2).has_path]
B = np.array([0.1, -0.2, 0.3])


def linear_gaussian_vae(posterior, W, b, s2, n_hidden=()):
    """Return a VAE whose decoder is W z + b with variance s2, its parameters (zero but for the decoder), log p."""
    model = VAE.mlp(len(W), W.shape[1], n_hidden, "tanh", Gaussian(s2), posterior)
    params = model.init(np.random.default_rng(0))
    decoder = model.unpack(params)[3]
    if not n_hidden:
        parts = dict(model.named(params))
        parts["decoder.0.weight"][:], parts["decoder.0.bias"][:] = W.T, b
    assert len(decoder) == model.decoder.n_params
    return model, params, LinearGaussian(W, b, s2)


@pytest.mark.parametrize("name", REAL)
def test_the_elbo_is_never_above_log_p(name, rng):
    # on random models, with random encoders, bad and less bad; a density that were none would soon be above
    for scale in (0.1, 0.5, 1.0):
        W, b, s2 = rng.normal(size=(3, 2)), rng.normal(size=3), 0.3 + rng.random()
        model, params, exact = linear_gaussian_vae(name, W, b, s2)
        for part in model.unpack(params)[:2]:
            part += scale * rng.normal(size=part.shape)
        x = exact.sample(4, rng)
        _, _, draws = model.draw(params, x, model.draw_noise(rng, 20_000, 4, params.dtype))
        error = draws.f.std(axis=0) / np.sqrt(len(draws.f))
        assert (draws.f.mean(axis=0) - 5 * error < exact.log_prob(x)).all()
        # and the mean of p(x, z) / q(z|x) is p(x), where its variance allows to tell
        ratio = np.exp(draws.f - exact.log_prob(x))
        error = ratio.std(axis=0) / np.sqrt(len(ratio))
        tells = ratio.max(axis=0) < 0.02 * ratio.sum(axis=0)
        assert (np.abs(ratio.mean(axis=0) - 1) < 6 * error)[tells].all()


LINEAR_STEP = InverseAutoregressiveFlow(2, 1, [], 0, "affine")
ATTAINED = {  # gap to log p(x) that is left when the decoder is fixed
    "diagonal": (DiagonalGaussian(2), 0.0034474404, "closed"),
    "full": (FullGaussian(2), 0.0, "closed"),
    "full, sampled KL": (FullGaussian(2), 0.0, "sampled"),
    "symmetric": (SymmetricGaussian(2), 0.0, "closed"),
    "one linear autoregressive step": (LINEAR_STEP, 0.0, "sampled"),
}


@pytest.mark.parametrize("what", ATTAINED)
def test_what_a_family_attains_on_the_linear_gaussian_model(what, rng):
    posterior, gap, kl = ATTAINED[what]
    model, params, exact = linear_gaussian_vae(posterior, W, B, S2)
    x, (eps, w) = exact.sample(5, rng), gauss_hermite(5, 2)
    n = sum(len(part) for part in model.unpack(params)[:2])  # encoder and posterior; the decoder is fixed
    eps, objective = np.repeat(eps, len(x), axis=1), Elbo("pathwise", kl=kl)

    def loss(theta):
        grads = np.empty_like(params)
        params[:n] = theta
        value, _ = model.loss_and_grad(params, x, eps, grads, objective, weights=w)
        return value, grads[:n].copy()

    found = optimize.minimize(loss, params[:n].copy(), jac=True, method="BFGS", options={"maxiter": 1000})
    params[:n] = found.x
    gaps = exact.log_prob(x) - model.elbo(params, x, eps=eps, weights=w, objective=objective)
    np.testing.assert_allclose(gaps, gap, atol=1e-6)
    assert abs(exact.diagonal_gap - 0.0034474404) < 5e-11


def gap_after_training(posterior, W, b, s2, rng, n_steps=1500):
    """Return log p(x) less the ELBO after steps of Adam on draws, the decoder fixed, and the exact model."""
    model, params, exact = linear_gaussian_vae(posterior, W, b, s2)
    x, fixed = exact.sample(64, rng), len(model.unpack(params)[3])
    model.unpack(params)[0][:] *= 0.1  # a start near the prior
    rule, grads, objective = Adam(0.02), np.empty_like(params), Elbo("path-derivative", kl="sampled")
    state = rule.init(params)
    for step in range(n_steps):
        eps = model.draw_noise(rng, 2, len(x), params.dtype)
        model.loss_and_grad(params, x, eps, grads, objective)
        grads[len(grads) - fixed :] = 0  # the variance has no parameter
        rule.update(params, grads, state, 0.05 if step > 0.8 * n_steps else 1.0)
    elbo = model.elbo(params, x, rng=rng, n_draws=1000, objective=objective)
    return float(np.mean(exact.log_prob(x) - elbo)), exact


@pytest.mark.parametrize("what", ["full", "symmetric", LINEAR_STEP], ids=["full", "symmetric", "linear step"])
def test_training_by_draws_attains_log_p(what, rng):
    # where q is the exact posterior the path derivative has no variance, so that the steps come to rest
    gap, _ = gap_after_training(what, W, B, S2, rng)
    assert abs(gap) < 1e-3


@pytest.mark.parametrize("name", [name for name in REAL if name != "fixed"])
def test_what_has_correlations_or_bends_comes_nearer_than_the_diagonal(name, rng):
    W = np.array([[1.0, 0.9], [0.8, 1.0], [-0.5, -0.6]])
    gap, exact = gap_after_training(name, W, np.zeros(3), 0.1, rng)
    assert exact.diagonal_gap > 0.5
    if name == "diagonal":
        assert exact.diagonal_gap - 0.05 < gap < exact.diagonal_gap + 0.1
    else:  # four planar steps bend along four lines, which is little
        assert -0.02 < gap < exact.diagonal_gap * (0.95 if name == "planar" else 0.5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", POSTERIORS)
def test_it_is_trained_saved_and_resumed_bit_for_bit(name, dtype, tmp_path, rng):
    model = VAE.mlp(5, 3, [6], "tanh", posterior=name)
    x = (rng.random((60, 5)) < 0.5).astype(float)
    how = Settings(epochs=4, batch_size=16, dtype=dtype, n_draws=2)
    whole = train(model, x[:40], x[40:], how)
    assert np.isfinite([row["valid_elbo"] for row in whole.history]).all()
    file = tmp_path / "checkpoint.npz"
    train(model, x[:40], x[40:], replace(how, epochs=2), checkpoint=file)
    again = train(model, x[:40], x[40:], how, checkpoint=file, resume=True)
    np.testing.assert_array_equal(whole.params, again.params)
    save_model(tmp_path / "model.npz", model, whole.params)
    read, params = load_model(tmp_path / "model.npz")[:2]
    assert read == model
    np.testing.assert_array_equal(params, whole.params)
    assert read.reconstruct(params, x.astype(dtype)).shape == x.shape
    assert read.embed(params, x.astype(dtype)).shape == (60, 3)
    rows = read.quantities(params, x.astype(dtype), 0, 19)
    assert rows[-1]["quantity"] == "active latents"


@pytest.mark.parametrize("name", REAL)
def test_one_latent_is_enough(name, rng):
    model = VAE.mlp(4, 1, [5], "tanh", posterior=name)
    params, x = model.init(rng), np.ones((3, 4))
    grads = np.full_like(params, np.nan)
    loss, _ = model.loss_and_grad(params, x, rng.standard_normal((2, 3, 1)), grads, Elbo(kl="sampled"))
    assert np.isfinite(loss)
    assert np.isfinite(grads).all()


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("estimator", ["score", "path-derivative", "score-leave-one-out"])
def test_every_estimator_has_the_same_expectation(name, estimator, rng):
    # of one example, many groups of draws; in standard errors of their mean
    model = VAE.mlp(3, 2, [], posterior=name)
    params = model.init(rng) + 0.1 * rng.normal(size=model.n_params)
    x = np.repeat([[1.0, 0.0, 1.0]], 300, axis=0)
    n = len(model.unpack(params)[0]) + len(model.unpack(params)[1])
    grads, chunks = np.empty_like(params), {}
    for which in ("pathwise", estimator):
        chunks[which] = []
        for _ in range(12):
            eps = model.draw_noise(rng, 4, len(x), params.dtype)
            model.loss_and_grad(params, x, eps, grads, Elbo(which, kl="sampled"), baseline=0.0)
            chunks[which].append(grads[:n].copy())
    a, b = (np.array(chunks[which]) for which in ("pathwise", estimator))
    error = np.sqrt((a.var(axis=0, ddof=1) + b.var(axis=0, ddof=1)) / 12)
    # 12 groups: Student's t with some 20 degrees of freedom, a few hundred entries
    assert (np.abs(a.mean(axis=0) - b.mean(axis=0)) <= 7 * error + 1e-12).all()
