"""The VAE on models whose answers are known, and the laws that every VAE obeys."""

import warnings

import numpy as np
import pytest
from scipy import optimize, stats

from minivae.classical.probabilistic_pca import ppca_optimum
from minivae.core.errors import NonFiniteError
from minivae.core.seeds import Stream, stream
from minivae.distributions.diagonal import DiagonalGaussian
from minivae.distributions.likelihoods import Bernoulli, Gaussian, GaussianPerPixel, NotALikelihoodWarning
from minivae.distributions.linear_gaussian import LinearGaussian
from minivae.distributions.nodes import gauss_hermite
from minivae.estimators.objectives import Elbo, Reconstruction
from minivae.models.bounds import log_marginal
from minivae.models.vae import VAE
from minivae.nn.activations import Tanh
from minivae.nn.dense import Dense
from minivae.nn.optim import Adam, StepDecay
from minivae.nn.sequential import Sequential, mlp
from tests.support import (
    CORNERS,
    DELTA,
    S2,
    V,
    W,
    Y,
    assert_within_standard_errors,
    binary,
    exact_covariance_data,
    linear_vae,
    small_vae,
)


@pytest.fixture
def known():
    return linear_vae(W, np.zeros(3), S2, V, DELTA)


@pytest.mark.parametrize("kl", ["closed", "sampled"])
def test_elbo_of_the_known_instance(known, kl):
    model, params = known
    eps, w = gauss_hermite(12, 2)
    np.testing.assert_allclose(
        model.elbo(params, Y, eps=eps, weights=w, objective=Elbo(kl=kl)), -3.8177879682, atol=1e-10
    )


@pytest.mark.parametrize("kl", ["closed", "sampled"])
def test_every_gradient_of_the_known_instance(known, kl):
    model, params = known
    eps, w = gauss_hermite(12, 2)
    grads = np.full_like(params, np.nan)
    loss, _ = model.loss_and_grad(params, Y, eps, grads, Elbo(kl=kl), weights=w)
    assert abs(loss - 3.8177879682) < 1e-10
    ascent = dict(model.named(-grads))  # gradients of the ELBO
    dW = [[-0.328, -0.794], [0.05038, -1.30276], [0.26172, 0.98856]]
    dV = [[0.5193, -0.1731, 0.2885], [-0.34848, 0.11616, -0.1936]]
    r = Y[0] - W @ V @ Y[0]
    for name, expected in {
        "decoder.0.weight": np.transpose(dW),
        "decoder.0.bias": r / S2,
        "likelihood.log_var": [0.558514 * S2],  # s2 d/ds2
    }.items():
        np.testing.assert_allclose(ascent[name], expected, atol=1e-9, err_msg=name)
    np.testing.assert_allclose(ascent["encoder.0.weight"][:, :2].T, dV, atol=1e-9)
    np.testing.assert_allclose(ascent["encoder.0.bias"], [0.577, -0.3872, -0.1736 / 2, -1.835 / 2], atol=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_elbo_is_the_closed_form_and_below_log_p(seed):
    rng = np.random.default_rng(seed)
    W, b, V = rng.normal(size=(4, 2)), rng.normal(size=4), rng.normal(size=(2, 4))
    s2, delta, x = float(rng.uniform(0.2, 3)), rng.uniform(0.2, 2, 2), rng.normal(size=(6, 4))
    model, params = linear_vae(W, b, s2, V, delta)
    exact = LinearGaussian(W, b, s2)
    eps, w = gauss_hermite(3, 2)
    elbo = model.elbo(params, x, eps=eps, weights=w)
    np.testing.assert_allclose(elbo, exact.elbo(x, x @ V.T, np.tile(2 * np.log(delta), (6, 1))), rtol=1e-11)
    assert (elbo < exact.log_prob(x)).all()

    # its gradients, summed over the examples, from the formulas of the linear-Gaussian model
    grads = np.full_like(params, np.nan)
    model.loss_and_grad(params, x, eps, grads, weights=w)
    found = {name: -6 * g for name, g in model.named(grads)}
    m = x @ V.T
    r = x - b - m @ W.T
    dm = r @ W / s2 - m
    dlog_delta = 1 - delta**2 * np.diag(exact.precision)
    squares = (r**2).sum(1) + (delta**2 * (W**2).sum(0)).sum()
    np.testing.assert_allclose(found["decoder.0.weight"].T, (r.T @ m - 6 * W * delta**2) / s2, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found["decoder.0.bias"], r.sum(0) / s2, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found["encoder.0.weight"][:, :2].T, dm.T @ x, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found["encoder.0.bias"], [*dm.sum(0), *(3 * dlog_delta)], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found["likelihood.log_var"], (squares / s2 - 4).sum() / 2, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kl", ["closed", "sampled"])
def test_log_var_of_a_thousand_is_named_and_of_minus_a_thousand_is_exact(dtype, kl, rng):
    model = VAE.mlp(4, 2, [], likelihood=Gaussian())
    params, x, eps = model.init(rng, dtype), binary(rng), rng.standard_normal((1, 5, 2))
    parts, grads = dict(model.named(params)), np.empty_like(params)
    parts["encoder.0.weight"][:, 2:] = 0
    parts["encoder.0.bias"][2:] = -1000
    _, terms = model.loss_and_grad(params, x, eps, grads, Elbo(kl=kl))
    assert np.isfinite(grads).all()
    if kl == "closed":
        mu = model.embed(params, x)
        np.testing.assert_allclose(terms.kl, 0.5 * (mu**2).sum(1) + 2 * 499.5, rtol=1e-5)
    parts["encoder.0.bias"][2:] = 1000
    with np.errstate(all="ignore"), pytest.raises(NonFiniteError, match="the loss is not finite"):
        model.loss_and_grad(params, x, eps, grads, Elbo(kl=kl))


def test_elbo_of_a_nonlinear_vae_is_below_log_p_by_quadrature():
    # log p(x) = log of the integral of p(x|z) p(z), by 200 Gauss-Hermite nodes in one dimension
    rng = np.random.default_rng(5)
    model = VAE.mlp(4, 1, [6], "tanh")
    params = model.init(rng) + 0.5 * rng.standard_normal(model.n_params)
    x = binary(rng)
    nodes, w = gauss_hermite(200, 1)
    decoder = model.unpack(params)[3]
    out, _ = model.decoder.forward(decoder, nodes[:, 0])
    log_p = [np.log(w @ np.exp(model.likelihood.forward(np.empty(0), out, row[None])[0])) for row in x]
    elbo = model.elbo(params, x, eps=nodes, weights=w)
    assert (elbo <= np.array(log_p) + 1e-9).all()
    assert (np.array(log_p) - elbo).max() > 0.01


@pytest.mark.parametrize("kl", ["closed", "sampled"])
def test_training_a_linear_vae_reaches_probabilistic_pca(kl):
    rng = np.random.default_rng(2)
    x = exact_covariance_data([5, 3, 1.2, 0.6, 0.4], 10, rng)
    best, s2 = ppca_optimum(np.array([5, 3, 1.2, 0.6, 0.4]), 2)
    assert abs(best + 7.9834853741) < 1e-10
    model = VAE.mlp(5, 2, [], likelihood=Gaussian(learned=True))
    params = model.init(rng)
    eps = np.repeat(CORNERS, 10, axis=1)
    optimizer, schedule, grads = Adam(0.03), StepDecay((3000, 3600), 0.1), np.empty_like(params)
    state = optimizer.init(params)
    for step in range(4000):
        loss, _ = model.loss_and_grad(params, x, eps, grads, Elbo(kl=kl))
        optimizer.update(params, grads, state, schedule.scale(step))
    assert -loss <= best + 1e-9  # a bound is never exceeded
    assert -loss >= best - 1e-3
    assert abs(np.exp(params[-1]) - s2) < 1e-3


def test_scipy_finds_the_same_optimum_on_the_flat_vector():
    rng = np.random.default_rng(3)
    x = exact_covariance_data([5, 3, 1.2, 0.6, 0.4], 10, rng)
    model = VAE.mlp(5, 2, [], likelihood=Gaussian(learned=True))
    eps = np.repeat(CORNERS, 10, axis=1)

    def value_and_gradient(params):
        grads = np.empty_like(params)
        return model.loss_and_grad(params, x, eps, grads)[0], grads

    found = optimize.minimize(
        value_and_gradient, model.init(rng), jac=True, method="L-BFGS-B", options={"maxiter": 2000, "ftol": 1e-15}
    )
    assert abs(found.fun - 7.9834853741) < 1e-6
    assert abs(np.exp(found.x[-1]) - 0.7333333333) < 1e-3
    # at the optimum the bound is tight: ELBO = log p(x) for every x, as the columns of W are orthogonal
    *_, decoder, log_var = model.unpack(found.x)
    weight, bias = model.decoder.layers[0].unpack(decoder)
    log_p = LinearGaussian(weight.T, bias, float(np.exp(log_var[0]))).log_prob(x)
    np.testing.assert_allclose(model.elbo(found.x, x, eps=eps), log_p, atol=1e-3)


@pytest.mark.parametrize("likelihood", [Bernoulli(), Gaussian(0.5), Gaussian(0.5, True), GaussianPerPixel()])
def test_sampled_and_closed_kl_agree_in_standard_errors(likelihood, rng):
    model, params = small_vae(rng, likelihood)
    x = binary(rng, 3) if isinstance(likelihood, Bernoulli) else rng.normal(size=(3, 4))
    many = np.repeat(x, 4000, axis=0)
    eps = rng.standard_normal((1, len(many), 2))
    closed, sampled = (model.elbo(params, many, eps=eps, objective=Elbo(kl=kl)) for kl in ("closed", "sampled"))
    difference = (sampled - closed).reshape(3, 4000).T
    assert_within_standard_errors(difference, 0.0)
    assert difference.std() > 0.01


def test_one_draw_and_fifty_have_the_same_mean(rng):
    model, params = small_vae(rng)
    x = binary(rng, 2)
    many = np.repeat(x, 3000, axis=0)
    one, fifty = (model.elbo(params, many, rng=np.random.default_rng(k), n_draws=k).reshape(2, 3000).T for k in (1, 50))
    error = np.hypot(one.std(0), fifty.std(0)) / np.sqrt(3000)
    assert (np.abs(one.mean(0) - fifty.mean(0)) <= 5 * error).all()
    # the variance falls as 1 / K; a variance of n draws has the standard error sqrt((kurtosis - 1) / n), relatively
    relative = [np.sqrt((stats.kurtosis(v, fisher=False) - 1) / len(v)) for v in (one, fifty)]
    assert (np.abs(one.var(0) / fifty.var(0) / 50 - 1) <= 5 * np.hypot(*relative)).all()


def test_beta_changes_the_gradient_and_never_the_elbo(rng):
    model, params = small_vae(rng)
    x, eps = binary(rng), rng.standard_normal((2, 5, 2))
    grads = {beta: np.empty_like(params) for beta in (0.0, 1.0, 4.0)}
    terms = {}
    for beta, g in grads.items():
        loss, terms[beta] = model.loss_and_grad(params, x, eps, g, Elbo(beta=beta))
        assert abs(loss - (beta * terms[beta].kl.mean() - terms[beta].log_lik.mean())) < 1e-12
    np.testing.assert_array_equal(terms[4.0].elbo, terms[1.0].elbo)
    np.testing.assert_array_equal(terms[0.0].elbo, model.elbo(params, x, eps=eps))
    # the loss is linear in beta, so its gradient is too
    np.testing.assert_allclose(grads[4.0] - grads[0.0], 4 * (grads[1.0] - grads[0.0]), atol=1e-12)
    assert np.abs(grads[4.0] - grads[1.0]).max() > 0.01


def test_beta_leaves_the_decoder_gradient_alone(rng):
    model, params = small_vae(rng)
    x, eps, a, b = binary(rng), rng.standard_normal((2, 5, 2)), np.empty_like(params), np.empty_like(params)
    for kl in ("closed", "sampled"):
        model.loss_and_grad(params, x, eps, a, Elbo(beta=1.0, kl=kl))
        model.loss_and_grad(params, x, eps, b, Elbo(beta=7.0, kl=kl))
        np.testing.assert_array_equal(model.unpack(a)[3], model.unpack(b)[3])


@pytest.mark.parametrize("kl", ["closed", "sampled"])
@pytest.mark.parametrize("likelihood", [Bernoulli(), Gaussian(0.5), Gaussian(0.5, True), GaussianPerPixel()])
def test_float32_gradients_agree_with_float64(likelihood, kl, rng):
    model = VAE.mlp(16, 3, [20, 10], "tanh", likelihood)
    params, x, eps = model.init(rng), binary(rng, 8, 16), rng.standard_normal((2, 8, 3))
    exact, single = np.empty_like(params), np.empty(params.shape, np.float32)
    loss64, _ = model.loss_and_grad(params, x, eps, exact, Elbo(kl=kl))
    loss32, terms = model.loss_and_grad(params.astype(np.float32), x, eps, single, Elbo(kl=kl))
    assert terms.log_lik.dtype == terms.kl.dtype == np.float32
    assert abs(loss32 - loss64) <= 1e-5 * (1 + abs(loss64))
    for (name, a), (_, b) in zip(model.named(single), model.named(exact), strict=True):
        assert np.abs(a - b).max() <= 1e-4 * np.abs(b).max(), name


def test_results_do_not_depend_on_the_order_in_memory(rng):
    model, params = small_vae(rng)
    x, eps = binary(rng, 40), rng.standard_normal((2, 40, 2))
    a, b = np.empty_like(params), np.empty_like(params)
    loss_c, _ = model.loss_and_grad(params, x, eps, a)
    loss_f, _ = model.loss_and_grad(params, np.asfortranarray(x), np.asfortranarray(eps), b)
    assert loss_c == loss_f
    np.testing.assert_array_equal(a, b)


def test_gradient_does_not_depend_on_what_grads_held(rng):
    model, params = small_vae(rng, Gaussian(0.5, learned=True))
    x, eps = binary(rng), rng.standard_normal((2, 5, 2))
    a, b = np.full_like(params, np.nan), np.full_like(params, 1e9)
    model.loss_and_grad(params, x, eps, a)
    model.loss_and_grad(params, x, eps, b)
    assert np.isfinite(a).all()
    np.testing.assert_array_equal(a, b)


def test_equal_weights_are_the_default(rng):
    model, params = small_vae(rng)
    x, eps = binary(rng), rng.standard_normal((4, 5, 2))
    np.testing.assert_allclose(
        model.elbo(params, x, eps=eps, weights=np.full(4, 0.25)), model.elbo(params, x, eps=eps), rtol=1e-14
    )


def test_evaluation_in_chunks_is_evaluation_at_once(rng, monkeypatch):
    model, params = small_vae(rng)
    x, eps = binary(rng, 30), rng.standard_normal((3, 30, 2))
    whole = model.elbo(params, x, eps=eps)
    monkeypatch.setattr("minivae.core.parallel._ROWS_AT_ONCE", 12)  # four examples at a time
    np.testing.assert_allclose(model.elbo(params, x, eps=eps), whole, rtol=1e-13)


@pytest.mark.parametrize(
    ("posterior", "how", "per_example"),
    [
        ("diagonal", {"rng": np.random.default_rng(0), "n_draws": 3}, 3),
        ("bits", {"rng": np.random.default_rng(0), "n_draws": 3}, 3),
        ("bits", {"eps": np.full((3, 30, 2), 0.5)}, 3),
        ("bits", {"objective": Elbo("exact")}, 4),
    ],
)
def test_no_pass_of_an_evaluation_is_larger_than_the_limit(posterior, how, per_example, rng, monkeypatch):
    model = VAE.mlp(4, 2, [3], posterior=posterior)
    params, x, passes = model.init(rng), binary(rng, 30), []

    def spy(self, own, out, x):
        passes.append(len(out))
        return Bernoulli.forward(self, own, out, x)[0]

    monkeypatch.setattr(Bernoulli, "log_prob", spy)
    monkeypatch.setattr("minivae.core.parallel._ROWS_AT_ONCE", 12)
    model.terms(params, x, **how)
    assert max(passes) <= 12
    assert sum(passes) == 30 * per_example


def test_what_is_to_be_known_of_it_is_what_its_names_say(rng):
    model, params = small_vae(rng)
    parts, x = dict(model.named(params)), binary(rng, 9)
    parts["encoder.2.weight"][:, 1] *= 1e-2  # the second posterior mean moves, but by less than counts
    rows = {row["quantity"]: row for row in model.quantities(params, x, 0, n_draws=20)}
    draws = stream(0, Stream.IMPORTANCE)
    bound, estimate = (log_marginal(model, params, x, k, draws) for k in (5, 20))
    per_latent = model.closed_kl.per_latent(np.empty(0), model.encode(params, x))
    expected = {
        "IWAE bound, K=5": bound.log_p.mean(),
        "log p(x) estimate, K=20": estimate.log_p.mean(),
        "effective sample size, mean": estimate.ess.mean(),
        "effective sample size, smallest": estimate.ess.min(),
        "kl": per_latent.sum(axis=1).mean(),
        "KL of latent 1": per_latent[:, 0].mean(),
        "KL of latent 2": per_latent[:, 1].mean(),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(rows[name]["value"], value, rtol=1e-12, err_msg=name)
    np.testing.assert_allclose(model.says(params, x), per_latent.mean(axis=0), rtol=1e-12)
    variances = model.embed(params, x).var(axis=0)
    assert variances[0] > 0.01 > variances[1] > 0
    assert rows["active latents"]["value"] == 1


def test_a_single_example_is_a_batch(rng):
    model, params = small_vae(rng)
    x, eps = binary(rng), rng.standard_normal((2, 5, 2))
    alone = [model.elbo(params, x[i : i + 1], eps=eps[:, i : i + 1]).item() for i in range(5)]
    np.testing.assert_allclose(alone, model.elbo(params, x, eps=eps), rtol=1e-13)


def test_samples_follow_the_model(rng):
    # linear-Gaussian: x ~ N(b, W W^T + s2 I)
    b = np.array([0.1, -0.2, 0.3])
    model, params = linear_vae(W, b, S2, V, DELTA)
    x = model.sample(params, 100_000, rng)
    C = W @ W.T + S2 * np.eye(3)
    assert_within_standard_errors(x, b)
    for i in range(3):
        for j in range(i + 1):
            assert_within_standard_errors((x[:, i] - b[i]) * (x[:, j] - b[j]), C[i, j])


def by_hand(model, params, x):
    """Return mu of each example, and what the decoder gives for codes, of a model with one hidden layer of tanh."""
    parts = dict(model.named(params))

    def net(box, h):
        h = np.tanh(h @ parts[f"{box}.0.weight"] + parts[f"{box}.0.bias"])
        return h @ parts[f"{box}.2.weight"] + parts[f"{box}.2.bias"]

    return net("encoder", x)[:, :2], lambda z: net("decoder", z)


@pytest.mark.parametrize(
    ("likelihood", "mean"),
    [
        (Bernoulli(), lambda out: 1 / (1 + np.exp(-out))),
        (Gaussian(0.5), lambda out: out),
        (Gaussian(0.5, True), lambda out: out),
        (GaussianPerPixel(), lambda out: out[:, :4]),
    ],
)
def test_a_reconstruction_is_the_mean_of_x_at_the_mean_of_the_code(likelihood, mean, rng):
    model, params = small_vae(rng, likelihood)
    x = binary(rng, 7)
    mu, decoder = by_hand(model, params, x)
    np.testing.assert_allclose(model.embed(params, x), mu, rtol=1e-12)
    np.testing.assert_allclose(model.decode(params, mu), mean(decoder(mu)), rtol=1e-12)
    np.testing.assert_allclose(model.reconstruct(params, x), mean(decoder(mu)), rtol=1e-12)


@pytest.mark.parametrize("posterior", ["diagonal", "bits"])
@pytest.mark.parametrize("likelihood", [Bernoulli(), Gaussian(0.3), Gaussian(0.3, True), GaussianPerPixel()])
def test_a_sample_is_drawn_from_the_prior_and_then_at_what_the_decoder_makes_of_it(posterior, likelihood, rng):
    model = VAE.mlp(4, 2, [6], "tanh", likelihood, posterior)
    params = model.init(rng) + 0.3 * rng.standard_normal(model.n_params)
    again = np.random.default_rng(5)  # the order of the draws: z, then x
    z = again.standard_normal((50, 2)) if posterior == "diagonal" else again.integers(0, 2, (50, 2)).astype(float)
    out = by_hand(model, params, np.zeros((1, 4)))[1](z)
    if isinstance(likelihood, Bernoulli):
        mean = 1 / (1 + np.exp(-out))
        x = again.random((50, 4)) < mean
    else:
        log_var = (
            out[:, 4:] if isinstance(likelihood, GaussianPerPixel) else likelihood.log_var(model.unpack(params)[4])
        )
        mean = out[:, :4]
        x = mean + np.exp(log_var / 2) * again.standard_normal((50, 4))
    means, draws = (model.sample(params, 50, np.random.default_rng(5), mean=mean) for mean in (True, False))
    np.testing.assert_allclose(means, mean, rtol=1e-12)
    np.testing.assert_allclose(means, model.decode(params, z), rtol=1e-12)
    np.testing.assert_allclose(draws, x, rtol=1e-12)


@pytest.mark.parametrize("likelihood", [Bernoulli(), Gaussian(), GaussianPerPixel()])
def test_init_can_start_at_the_mean_of_the_data(likelihood, rng):
    model, x = VAE.mlp(4, 2, likelihood=likelihood), binary(rng, 200)
    plain, started = model.init(np.random.default_rng(1)), model.init(np.random.default_rng(1), x=x)
    shrunk = (x.sum(0) + 1) / 202 if isinstance(likelihood, Bernoulli) else x.mean(0)
    np.testing.assert_allclose(model.decode(started, np.zeros((1, 2)))[0], shrunk, rtol=1e-12)
    changed = {name for name, view in model.named((plain != started).astype(float)) if view.any()}
    assert changed == {"decoder.2.bias"}


def test_of_grey_values_no_number_is_called_a_log_likelihood(rng):
    model, params = small_vae(rng)
    for x, bound in ((binary(rng, 6), "IWAE bound"), (np.full((6, 4), 0.5), "cross-entropy K-sample bound")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotALikelihoodWarning)
            names = [row["quantity"] for row in model.quantities(params, x, 0, 60)]
        last = "log p(x) estimate" if bound == "IWAE bound" else bound
        assert names[3:6] == [f"{bound}, K=5", f"{bound}, K=50", f"{last}, K=60"]
        assert any("log p" in name for name in names) == (bound == "IWAE bound")


@pytest.mark.parametrize(("variance", "active"), [(0.009, 1), (0.011, 2)])
def test_a_latent_is_active_where_the_variance_of_its_mean_exceeds_a_hundredth(variance, active, rng):
    V = np.array([[np.sqrt(variance), 0.0, 0.0], [0.0, 1.0, 0.0]])
    model, params = linear_vae(W, np.zeros(3), S2, V, DELTA)
    x = exact_covariance_data([1.0, 1.0, 1.0], 20, rng)  # so that V x has the covariance V V^T
    rows = {row["quantity"]: row["value"] for row in model.quantities(params, x, 0, 2)}
    assert rows["active latents"] == active


def test_boxes_of_any_layers_fit_together(rng):
    model = VAE(
        encoder=Sequential([Dense(4, 8), Tanh(), Dense(8, 6)]),
        posterior=DiagonalGaussian(3),
        decoder=mlp([3, 5, 8]),
        likelihood=GaussianPerPixel(),
    )
    params = model.init(rng)
    assert model.sample(params, 7, rng).shape == (7, 4)
    assert model.encode(params, np.ones((2, 4))).shape == (2, 6)
    assert model.embed(params, np.ones((2, 4))).shape == (2, 3)
    assert model.reconstruct(params, np.ones((2, 4))).shape == (2, 4)


def test_trace_names_every_array_on_the_way(rng):
    model, params = small_vae(rng)
    trace = dict(model.trace(params, binary(rng), rng.standard_normal((2, 5, 2))))
    assert list(trace)[:4] == ["encoder.0.weight", "encoder.0.bias", "encoder.2.weight", "encoder.2.bias"]
    assert trace["encoder layer 2 (Dense) output"].shape == (5, 4)
    assert trace["z"].shape == (2, 5, 2)
    assert trace["log p(x|z)"].shape == (10,)


@pytest.mark.parametrize("kl", ["closed", "sampled"])
def test_what_trace_shows_is_what_the_terms_are_made_of(kl, rng):
    model, params = small_vae(rng)
    x, eps, objective = binary(rng), rng.standard_normal((2, 5, 2)), Elbo(kl=kl)
    trace, terms = dict(model.trace(params, x, eps, objective)), model.terms(params, x, eps=eps, objective=objective)
    np.testing.assert_allclose(trace["log p(x|z)"].reshape(2, 5).mean(axis=0), terms.log_lik, rtol=1e-13)
    assert trace["KL"].shape == ((5,) if kl == "closed" else (2, 5))
    np.testing.assert_allclose(trace["KL"] if kl == "closed" else trace["KL"].mean(axis=0), terms.kl, rtol=1e-12)


def test_the_sampled_kl_of_trace_is_the_log_ratio_of_two_normal_densities(rng):
    model, params = small_vae(rng)
    x, eps = binary(rng), rng.standard_normal((3, 5, 2))
    trace = dict(model.trace(params, x, eps, Elbo(kl="sampled")))
    head = trace["encoder layer 2 (Dense) output"]
    mu, sigma = head[:, :2], np.exp(head[:, 2:] / 2)
    np.testing.assert_allclose(trace["z"], mu + sigma * eps, rtol=1e-12)
    ratio = stats.norm.logpdf(mu + sigma * eps, mu, sigma) - stats.norm.logpdf(mu + sigma * eps)
    np.testing.assert_allclose(trace["KL"], ratio.sum(axis=-1), rtol=1e-11, atol=1e-12)


# ------------------------------------------------------------------------------------------ bad input


def test_widths_that_disagree_are_refused():
    with pytest.raises(ValueError, match=r"encoder must give 4 values for a latent of dimension 2, got 3"):
        VAE(mlp([4, 3]), DiagonalGaussian(2), mlp([2, 4]), Bernoulli())
    with pytest.raises(ValueError, match=r"decoder must take 2 values for a latent of dimension 2, got 3"):
        VAE(mlp([4, 4]), DiagonalGaussian(2), mlp([3, 4]), Bernoulli())
    with pytest.raises(ValueError, match=r"decoder must give 8 values for 4 data dimensions under GaussianPerPixel"):
        VAE(mlp([4, 4]), DiagonalGaussian(2), mlp([2, 4]), GaussianPerPixel())
    with pytest.raises(ValueError, match="n_hidden must be an integer of at least 1, got 0"):
        VAE.mlp(4, 2, [0])
    with pytest.raises(ValueError, match="n_latent must be an integer of at least 1, got 0"):
        VAE.mlp(4, 0)
    with pytest.raises(
        ValueError, match=r"n_hidden must be a list of integers, got 128. One hidden layer is n_hidden="
    ):
        VAE.mlp(4, 2, 128)
    with pytest.raises(
        ValueError, match=r"likelihood must be a likelihood, got the class Gaussian. For example Bernoulli\(\)"
    ):
        VAE.mlp(4, 2, likelihood=Gaussian)
    with pytest.raises(ValueError, match="Did you mean 'gaussian'"):
        VAE.mlp(4, 2, likelihood="gausian")


def test_generators_are_asked_for_by_name(rng):
    model, params = small_vae(rng)
    for call in (lambda: model.sample(params, 3, 0), lambda: log_marginal(model, params, binary(rng), 3, 0)):
        with pytest.raises(ValueError, match="rng must be a numpy.random.Generator, got 'int'"):
            call()


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.full((2, 4), np.nan), r"x must be finite, got 8 NaN or infinite values, the first \(nan\) in row 0, col"),
        (np.array([[0, 0, 0, np.inf]]), r"the first \(inf\) in row 0, column 3. Drop or fill them first"),
        (np.ones((2, 5)), r"x must have shape \(batch, 4\), got \(2, 5\). Build the model with n_x=5"),
        (np.ones((2, 2, 2)), r"got \(2, 2, 2\). Flatten images with x.reshape\(len\(x\), -1\)"),
        (np.ones(4), r"got \(4,\). A single example is x\[None, :\]"),
        (np.ones((2, 4), int), "x must be a floating-point array, got dtype int64. Convert it with .astype"),
        (np.ones((2, 4), object), "x must be a floating-point array, got dtype object"),
        (np.empty((0, 4)), r"x must hold at least one value, got shape \(0, 4\)"),
        (np.full((2, 4), 2.0), r"x must lie in \[0, 1\] for a Bernoulli likelihood, got values from 2 to 2"),
    ],
)
def test_bad_data_are_refused_by_every_evaluation(x, message, rng):
    model, params = small_vae(rng)
    with pytest.raises(ValueError, match=message):
        model.elbo(params, x, rng=rng)
    if "lie in" not in message:
        for method in (model.encode, model.embed, model.reconstruct):
            with pytest.raises(ValueError, match=message):
                method(params, x)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"params": np.zeros(3)}, r"params must have shape \(\d+,\), got \(3,\)"),
        ({"params": [0.0]}, "params must be a float32 or float64 array, got 'list'"),
        ({"grads": np.zeros(3)}, r"grads must have shape"),
        (
            {"eps": np.zeros((5, 2))},
            r"eps must have shape \(draws, batch, n_latent\) = \(K, 5, 2\).*One draw each is eps",
        ),
        ({"eps": np.zeros((0, 5, 2))}, "eps must have shape"),
        ({"eps": np.zeros((1, 5, 2), int)}, "eps must be a floating-point array"),
        ({"objective": Reconstruction()}, r"objective must be Elbo\(\) for VAE"),
        ({"objective": Elbo("exact")}, "estimator must be one that draws for DiagonalGaussian with 2 latents"),
        ({"weights": np.array([0.5, 0.6])}, r"weights must have shape \(2,\), one a draw, and sum to 1"),
        ({"x": np.ones((5, 4), int)}, "x must be a floating-point array"),
    ],
)
def test_bad_arguments_of_the_gradient_are_refused(change, message, rng):
    model, params = small_vae(rng)
    given = {"params": params, "x": binary(rng), "eps": np.zeros((2, 5, 2)), "grads": np.empty_like(params), **change}
    with pytest.raises(ValueError, match=message):
        model.loss_and_grad(**given)


def test_grads_must_be_a_contiguous_vector_of_the_same_dtype(rng):
    model, params = small_vae(rng)
    x, eps = binary(rng), np.zeros((2, 5, 2))
    with pytest.raises(ValueError, match="grads must be contiguous"):
        model.loss_and_grad(params, x, eps, np.empty(2 * params.size)[::2])
    with pytest.raises(ValueError, match="grads must have the dtype of params, float64, got float32"):
        model.loss_and_grad(params, x, eps, np.empty_like(params, dtype=np.float32))


def test_noise_or_generator_but_not_both_nor_neither(rng):
    model, params = small_vae(rng)
    for how, what in (({}, "neither"), ({"rng": rng, "eps": np.zeros((1, 5, 2))}, "both")):
        with pytest.raises(ValueError, match=rf"give either eps .* or rng .*, got {what}"):
            model.elbo(params, binary(rng), **how)
    with pytest.raises(ValueError, match="rng must be a numpy.random.Generator"):
        model.elbo(params, binary(rng), rng=0)


def test_grey_values_under_a_bernoulli_warn_that_this_is_no_likelihood(rng):
    model, params = small_vae(rng)
    with pytest.warns(NotALikelihoodWarning):
        model.elbo(params, np.full((2, 4), 0.5), rng=rng)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda a: a["x"].__setitem__((2, 1), np.nan), "x holds 1 NaN"),
        (lambda a: a["eps"].__setitem__((0, 1, 1), np.nan), "eps holds 1 NaN"),
        (lambda a: a["params"].__setitem__(0, np.nan), "encoder.0.weight holds 1 NaN"),
        (lambda a: a["x"].__setitem__((2, 1), 255.0), r"log p\(x\|z\) holds 1 NaN or infinite"),
        (
            lambda a: dict(a["model"].named(a["params"]))["encoder.2.bias"].__setitem__(3, 1e4),
            "z holds 5 NaN",
        ),
    ],
)
def test_a_loss_that_is_not_finite_names_the_first_array(spoil, named, rng):
    model, params = small_vae(rng)
    x, eps = binary(rng), rng.standard_normal((1, 5, 2))
    spoil({"model": model, "params": params, "x": x, "eps": eps})
    with np.errstate(all="ignore"), pytest.raises(NonFiniteError, match=f"the loss is not finite: {named}"):
        model.loss_and_grad(params, x, eps, np.empty_like(params))
