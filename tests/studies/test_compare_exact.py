"""Exact moments of the encoder's gradient: quadrature that has converged, and enumeration beside brute force."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from minivae import datasets
from minivae.distributions.bits import all_states
from minivae.distributions.linear_gaussian import LinearGaussian
from minivae.distributions.nodes import normal_nodes
from minivae.estimators.exact.bits import BernoulliExpectation
from minivae.estimators.exact.elbo import elbo_gradient_moments
from minivae.estimators.objectives import Elbo
from minivae.models.draws import EncoderEstimator, encoder_draws
from minivae.models.vae import VAE
from minivae.studies import compare_digits
from minivae.studies.compare_digits import study_rows
from minivae.studies.compare_encoder import Pilot, learned_baseline, ways
from minivae.studies.compare_exact import EncoderMoments, weighted_nodes
from minivae.studies.compare_rows import FAR
from minivae.training.loop import train
from tests.support import binary, linear_vae, needs_jit, small_vae

pytestmark = needs_jit


def estimators(exact, rng):
    """Return every way that is open, its baseline from a pilot."""
    pilot = Pilot.of(exact.model, exact.params, exact.x, binary(rng, 50), rng)
    return {name: way.settled(pilot) for name, way in ways(path=exact.model.posterior.has_path).items()}


@pytest.fixture
def gaussian(rng):
    model, params = small_vae(rng)
    return EncoderMoments(model, params, binary(rng, 3), ("mu", "log_var"))


@pytest.fixture
def bits(rng):
    model = VAE.mlp(4, 3, [6], "tanh", posterior="bits")
    params = model.init(rng) + 0.5 * rng.standard_normal(model.n_params)
    return EncoderMoments(model, params, binary(rng, 3), ("phi",))


@pytest.fixture(params=["gaussian", "bits"])
def exact(request):
    return request.getfixturevalue(request.param)


def test_the_encoders_exact_variance_is_that_of_its_weights_gradient(exact, rng):
    for name, how in estimators(exact, rng).items():
        if name == "score-leave-one-out":
            continue
        rows = exact.nodes.rows(how.objective, how.baseline, n_group=1)  # (K, B, H)
        total = 0.0
        for b in range(3):  # examples have noise of their own, so their variances add
            alone = np.zeros_like(rows)
            alone[:, b] = rows[:, b] - exact.eta[b]
            total += exact.w[:, b] @ np.array([np.sum(exact.through(dhead) ** 2) for dhead in alone])
        np.testing.assert_allclose(exact.variances(how)["encoder"], total, rtol=1e-9)


def test_the_exact_gradient_is_what_training_would_use(exact):
    model, params, x = exact.model, exact.params, exact.x
    grads = np.empty_like(params)
    if model.posterior.n_states is not None:
        model.loss_and_grad(params, x, None, grads, Elbo("exact"))
    else:
        eps, w = normal_nodes(2, step=0.25)
        model.loss_and_grad(params, x, np.repeat(eps, len(x), axis=1), grads, Elbo("pathwise"), weights=w)
    np.testing.assert_allclose(exact.eta_weights, -model.unpack(grads)[0], rtol=1e-7, atol=1e-9)


def test_every_way_has_the_exact_mean(exact, rng):
    for name, how in estimators(exact, rng).items():
        if how.n_group == 1:
            rows = exact.nodes.rows(how.objective, how.baseline, n_group=1)
            mean = np.einsum("kb,kbh->bh", exact.w, rows)
            np.testing.assert_allclose(mean, exact.eta, rtol=1e-7, atol=1e-8, err_msg=name)


def test_the_nodes_of_the_digits_are_as_good_as_finer_ones():
    digits, problem = datasets.load("digits-threshold"), compare_digits.DIGITS
    model = problem.model(digits.n_x)
    settings = replace(compare_digits._SETTINGS, epochs=20, seed=1)
    params = train(model, digits.x_train, settings=settings, progress=False).params.astype(float)
    x = digits.x_test[:20].astype(float)
    coarse, fine = (
        EncoderMoments(model, params, x, problem.parts, weighted_nodes(model, params, x, step, far))
        for step, far in ((compare_digits._STEP, compare_digits._FAR), (0.25, 8.0))
    )
    np.testing.assert_allclose(coarse.eta, fine.eta, rtol=1e-7, atol=1e-9)
    for objective in (Elbo("pathwise"), Elbo("score")):
        found, expected = (each.variances(EncoderEstimator(objective)) for each in (coarse, fine))
        assert found == pytest.approx(expected, rel=1e-7)


def by_hand(exact, eps):
    """Return the rows of each way, (K, B, 4), from formulas in plain NumPy; of the scores f, s and what is taken off.

    Of a VAE with two latents, one hidden layer of tanh and Bernoulli pixels; eps of shape (K, 1, 2).
    """
    parts, x = dict(exact.model.named(exact.params)), exact.x
    head = np.tanh(x @ parts["encoder.0.weight"] + parts["encoder.0.bias"])
    head = head @ parts["encoder.2.weight"] + parts["encoder.2.bias"]
    mu, sigma = head[:, :2], np.exp(head[:, 2:] / 2)
    z = mu + sigma * eps  # (K, B, 2)
    h = np.tanh(z @ parts["decoder.0.weight"] + parts["decoder.0.bias"])
    logits = h @ parts["decoder.2.weight"] + parts["decoder.2.bias"]
    log_lik = np.sum(x * logits - np.log1p(np.exp(logits)), axis=2)
    dz = (((x - 1 / (1 + np.exp(-logits))) @ parts["decoder.2.weight"].T) * (1 - h**2)) @ parts["decoder.0.weight"].T
    kl = np.sum(z**2 - eps**2 - 2 * np.log(sigma), axis=2) / 2  # log q(z|x) - log p(z)
    score = np.concatenate([np.broadcast_to(eps / sigma, z.shape), (eps**2 - 1 + 0 * z) / 2], axis=2)

    def path(slope):
        return np.concatenate([slope, slope * sigma * eps / 2], axis=2)

    closed = np.concatenate([mu, (sigma**2 - 1) / 2], axis=1)  # the gradient of the closed KL
    return {
        "pathwise": path(dz) - closed,
        "path-derivative": path(dz - z + eps / sigma),
        "pathwise-sampled-kl": path(dz - z)
        + np.repeat([0, 0.5], 2),  # along the path log q is -log sigma, and constants
        "score": (log_lik, score, closed),
        "score-sampled-kl": (log_lik - kl, score, 0.0),
    }


def squared_nodes(n, far=9.0):
    """Return nodes (n^2, 1, 2) and weights after Gauss and Legendre against N(0, I), in place of the trapezoidal."""
    x, w = np.polynomial.legendre.leggauss(n)
    x, w = far * x, far * w * stats.norm.pdf(far * x)
    grid = np.stack(np.meshgrid(x, x, indexing="ij"), axis=-1).reshape(-1, 1, 2)
    return grid, np.outer(w, w).ravel()


def test_quadrature_gives_the_moments_of_formulas_at_other_nodes(gaussian, rng):
    eps, w = squared_nodes(110)
    assert abs(w.sum() - 1) < 1e-12
    found = by_hand(gaussian, eps)
    how = estimators(gaussian, rng)
    for name in set(how) - {"score-leave-one-out"}:
        rows = found.get(name, found["score"])
        if isinstance(rows, tuple):
            f, score, closed = rows
            rows = (f[:, :, None] - how[name].baseline) * score - closed
        mean = np.einsum("k,kbh->bh", w, rows)
        np.testing.assert_allclose(gaussian.eta, mean, rtol=1e-8, atol=1e-9, err_msg=name)
        covariance = np.einsum("k,kbi,kbj->bij", w, rows - mean, rows - mean)
        # far below the standard errors of a million draws
        np.testing.assert_allclose(gaussian.covariance(how[name]), covariance, rtol=1e-6, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("kl", ["closed", "sampled"])
def test_leave_one_out_of_two_draws_by_multiplying_out(gaussian, kl):
    # the mean row is g = (f_1 - f_2) (s_1 - s_2) / 2; its square has 4 x 4 terms, each an expectation over both draws:
    # 4 E g g^T = 2 E f^2 s s^T + 2 E f^2 E s s^T - 4 E f E f s s^T + 4 E f s E f s^T, as E s = 0
    eps, w = squared_nodes(110)
    f, score, _ = by_hand(gaussian, eps)["score" if kl == "closed" else "score-sampled-kl"]
    how = EncoderEstimator(Elbo("score-leave-one-out", kl=kl), n_group=2)

    def mean(power, *scores):
        letters = "ij"[: len(scores)]
        terms = ",".join(["k", "kb", *(f"kb{letter}" for letter in letters)])
        return np.einsum(f"{terms}->b{letters}", w, f**power, *scores, optimize=True)

    fs = mean(1, score)
    square = 2 * mean(2, score, score) + 2 * mean(2)[:, None, None] * mean(0, score, score)
    square += 4 * fs[:, :, None] * fs[:, None] - 4 * mean(1)[:, None, None] * mean(1, score, score)
    expected = 2 * (square / 4 - fs[:, :, None] * fs[:, None])  # twice that of the pair is that of one draw
    np.testing.assert_allclose(gaussian.covariance(how), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_the_covariance_of_a_linear_vae_is_that_of_quadratic_forms(seed):
    # along a path g_mu = rho - K sigma eps and g_log_var = sigma eps g_mu / 2 (and a constant), with A = K sigma:
    #   cov(mu_i, mu_j) = sum_l A_il A_jl                   cov(mu_i, log_var_j) = -A_ij sigma_j rho_j / 2
    #   cov(log_var_i, log_var_j) = sigma_i sigma_j [ (rho_i^2 + sum_l A_il^2) (i = j) + A_ij A_ji ] / 4
    rng = np.random.default_rng(seed)
    W, V, sigma = rng.normal(size=(4, 2)), rng.normal(size=(2, 4)), rng.uniform(0.4, 1.3, 2)
    x, s2, eye = rng.normal(size=(3, 4)), 0.7, np.eye(2)
    model, params = linear_vae(W, np.zeros(4), s2, V, sigma)
    exact = EncoderMoments(model, params, x, ("mu", "log_var"))
    G = W.T @ W / s2
    mu = x @ V.T
    slope = (x - mu @ W.T) @ W / s2
    eta = np.hstack([slope - mu, np.tile((1 - sigma**2 * (1 + np.diag(G))) / 2, (3, 1))])
    np.testing.assert_allclose(exact.eta, eta, rtol=1e-8, atol=1e-9)
    for objective, K, rho in (
        (Elbo("pathwise", kl="closed"), G, slope),
        (Elbo("pathwise", kl="sampled"), G + eye, slope - mu),
        (Elbo("path-derivative", kl="sampled"), G + eye - np.diag(sigma**-2), slope - mu),
    ):
        A, covariance = K * sigma, np.empty((3, 4, 4))
        covariance[:, :2, :2] = A @ A.T
        covariance[:, :2, 2:] = -A * (sigma * rho)[:, None] / 2
        covariance[:, 2:, :2] = covariance[:, :2, 2:].swapaxes(1, 2)
        own = (rho**2 + np.sum(A**2, axis=1))[:, None] * eye
        covariance[:, 2:, 2:] = np.outer(sigma, sigma) * (own + A * A.T) / 4
        how = EncoderEstimator(objective)
        np.testing.assert_allclose(exact.covariance(how), covariance, rtol=1e-8, atol=1e-8)
        # each row of the weights sees (x, 1): |d head_i / d weights|^2 = |x|^2 + 1, and outputs share no weights
        diagonal = np.diagonal(covariance, axis1=1, axis2=2)
        found = exact.variances(how)
        assert found["mu"] == pytest.approx(diagonal[:, :2].mean(), rel=1e-8)
        assert found["log_var"] == pytest.approx(diagonal[:, 2:].mean(), rel=1e-8)
        lengths = np.sum(x**2, axis=1) + 1
        assert found["encoder"] == pytest.approx(np.sum(lengths * diagonal.sum(axis=1)) / 9, rel=1e-8)


@pytest.mark.parametrize("kl", ["closed", "sampled"])
@pytest.mark.parametrize("estimator", ["score", "score-leave-one-out"])
def test_the_scores_variances_of_a_linear_vae_are_the_closed_forms(estimator, kl, rng):
    W, V, sigma, x = rng.normal(size=(4, 2)), rng.normal(size=(2, 4)), np.array([0.5, 0.9]), rng.normal(size=(3, 4))
    model, params = linear_vae(W, np.zeros(4), 0.7, V, sigma)
    c = rng.normal(size=(3, 4)) if estimator == "score" else np.zeros((3, 4))
    how = EncoderEstimator(Elbo(estimator, kl=kl), c, 4)
    found = EncoderMoments(model, params, x, ("mu", "log_var")).covariance(how)
    known, log_var = LinearGaussian(W, np.zeros(4), 0.7), np.tile(2 * np.log(sigma), (3, 1))
    exact = elbo_gradient_moments(known, x, x @ V.T, log_var, how.objective, c.reshape(3, 2, 2), 4)
    np.testing.assert_allclose(np.diagonal(found, axis1=1, axis2=2), exact.variance.reshape(3, 4), rtol=1e-7)


@pytest.mark.parametrize("seed", range(3))
def test_measured_encoder_gradients_lie_within_standard_errors(exact, seed):
    rng = np.random.default_rng(seed)
    reference = dict.fromkeys((*exact.parts, "encoder"), 1.0)
    for name, how in estimators(exact, rng).items():
        for row in study_rows(exact, reference, name, how, 2000, rng):
            assert abs(row["z_mean"]) < FAR, row
            assert abs(row["z_variance"]) < FAR, row
            assert row["ns_per_draw"] > 0


def test_distances_are_of_the_size_of_a_standard_error(exact):
    how, rng = EncoderEstimator(Elbo("score-leave-one-out"), n_group=4), np.random.default_rng(1)
    reference = dict.fromkeys((*exact.parts, "encoder"), 1.0)
    runs = [list(study_rows(exact, reference, "loo", how, 400, rng)) for _ in range(60)]
    for i in range(len(reference)):
        for z in ("z_mean", "z_variance"):
            power = np.mean([rows[i][z] ** 2 for rows in runs])  # 1, give or take sqrt(2 / 60) and what tails add
            assert 0.4 < power < 2.5, (i, z, power)


def test_a_wrong_estimator_is_far_from_the_exact_values(exact, monkeypatch, rng):
    how = EncoderEstimator(Elbo("score-leave-one-out"), n_group=4)
    variances = exact.variances(how)
    for wrong in (lambda rows: 1.3 * rows, lambda rows: rows + 0.3 * np.sign(exact.eta)):
        monkeypatch.setattr(compare_digits, "encoder_draws", lambda *args, wrong=wrong: Wrong(wrong, *args))
        found = {row["parameter"]: row for row in study_rows(exact, variances, "wrong", how, 4000, rng)}
        assert max(abs(row["z_variance"]) for row in found.values()) > FAR
        assert abs(found["encoder"]["z_mean"]) > FAR


class Wrong:
    """Draws whose rows are wrong."""

    def __init__(self, wrong, *args):
        self.wrong, self.draws = wrong, encoder_draws(*args)

    def rows(self, *args):
        return self.wrong(self.draws.rows(*args))


def test_a_signal_to_noise_ratio_is_that_of_the_exact_gradient(exact, rng):
    how = EncoderEstimator(Elbo("score"))
    reference = exact.variances(how)
    for row in study_rows(exact, reference, "score", how, 4000, rng):
        own = exact.eta_weights if row["parameter"] == "encoder" else exact.eta[:, exact.parts[row["parameter"]]]
        power = np.sum(own**2) if row["parameter"] == "encoder" else np.mean(own**2)
        assert row["snr"] == pytest.approx(np.sqrt(power / row["variance"]), rel=1e-10)
        assert row["reference_variance"] == row["exact_variance"]


# --------------------------------------------------------------------- bits, against what is computed apart


def costs_of_states(exact, b):
    """Return log p(x|z) of every state for one x, by hand: a tanh layer, logits, Bernoulli."""
    parts = dict(exact.model.named(exact.params))
    hidden = np.tanh(all_states(3) @ parts["decoder.0.weight"] + parts["decoder.0.bias"])
    logits = hidden @ parts["decoder.2.weight"] + parts["decoder.2.bias"]
    return np.sum(exact.x[b] * logits - np.log1p(np.exp(logits)), axis=1)


def logits_of(exact, b):
    parts = dict(exact.model.named(exact.params))
    hidden = np.tanh(exact.x[b] @ parts["encoder.0.weight"] + parts["encoder.0.bias"])
    return hidden @ parts["encoder.2.weight"] + parts["encoder.2.bias"]


@pytest.mark.parametrize("b", range(3))
def test_enumeration_gives_the_moments_of_an_expectation_over_bits(bits, b, rng):
    phi, f = logits_of(bits, b), costs_of_states(bits, b)
    known = BernoulliExpectation(phi, f)
    theta = 1 / (1 + np.exp(-phi))
    kl = theta * (1 - theta) * phi  # the closed KL's own gradient, without noise
    np.testing.assert_allclose(bits.eta[b], known.gradient - kl, rtol=1e-10, atol=1e-13)
    for c in (0.0, -2.5, known.mean, known.optimal_baseline, rng.normal(size=3)):
        baseline = np.zeros((3, 3))
        baseline[b] = c
        found = np.diag(bits.covariance(EncoderEstimator(Elbo("score"), baseline))[b])
        np.testing.assert_allclose(found, known.score(c).variance, rtol=1e-10, atol=1e-13)
    for n in (2, 4, 7):
        found = np.diag(bits.covariance(EncoderEstimator(Elbo("score-leave-one-out"), n_group=n))[b])
        np.testing.assert_allclose(found, n * known.leave_one_out(n).variance, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("kl", ["closed", "sampled"])
def test_leave_one_out_over_all_pairs_of_states(bits, kl):
    how = EncoderEstimator(Elbo("score-leave-one-out", kl=kl), n_group=2)
    pairs = np.array(list(itertools.product(all_states(3), repeat=2)))  # (64, 2, 3)
    eps = np.repeat(pairs.reshape(-1, 1, 3), 3, axis=1)  # noise of 0 or 1 gives that bit
    draws = encoder_draws(bits.model, bits.params, bits.x, eps)
    w = np.exp(draws.log_q).reshape(64, 2, 3).prod(axis=1)  # (64, B)
    rows = draws.rows(how.objective, n_group=2).reshape(64, 2, 3, 3).mean(axis=1) - bits.eta
    expected = 2 * np.einsum("kb,kbi,kbj->bij", w, rows, rows)
    np.testing.assert_allclose(bits.covariance(how), expected, rtol=1e-9, atol=1e-12)


# ------------------------------------------------------------------------------------------------ baselines


def test_a_learned_baseline_predicts_the_mean_of_f(rng):
    model, params = small_vae(rng)
    parts = dict(model.named(params))
    parts["decoder.2.bias"][:] = [2.0, -2.0, 2.0, -2.0]  # so that f depends on x
    parts["encoder.2.bias"][:2] = 3.0  # and a KL of 9 nats, which is no part of it
    x_train = np.round(rng.random((500, 4)))
    x = np.array([[1.0, 0, 1, 0], [0, 1, 0, 1]])
    c = learned_baseline(model, params, x_train, x, rng)
    nodes, w = normal_nodes(2, step=0.25)
    mean = w @ encoder_draws(model, params, x, nodes).values()
    assert (np.abs(c - mean) < 0.2 * np.ptp(mean)).all()


def test_baselines_are_what_their_names_say(exact, rng):
    how = estimators(exact, rng)
    f, score = exact.nodes.values(), exact.nodes.score
    mean_f = np.sum(exact.w * f, axis=0)
    n_pilot = 500
    error = np.sqrt(np.sum(exact.w * (f - mean_f) ** 2, axis=0) / n_pilot)
    assert (np.abs(how["score-mean"].baseline[:, 0] - mean_f) < 5 * error).all()
    assert abs(how["score-moving-average"].baseline - mean_f.mean()) < 5 * error.max()
    # at the mean, or the mode, of q(z|x)
    model, code = exact.model, exact.model.posterior.code(np.empty(0), exact.nodes.head)
    out, _ = model.decoder.forward(model.unpack(exact.params)[3], code)
    at_code = np.sum(exact.x * out - np.log1p(np.exp(out)), axis=1)
    np.testing.assert_allclose(how["score-constant"].baseline[:, 0], at_code, rtol=1e-12)
    # no constant does better than the optimal one, which the pilot knows but roughly
    best = np.einsum("kb,kbh->bh", exact.w * f, score**2) / np.einsum("kb,kbh->bh", exact.w, score**2)
    diagonals = {
        name: np.diagonal(exact.covariance(EncoderEstimator(Elbo("score"), c)), axis1=1, axis2=2)
        for name, c in {"best": best, "pilot": how["score-optimal"].baseline, "mean": mean_f[:, None]}.items()
    }
    assert (diagonals["best"] <= diagonals["mean"] + 1e-12).all()
    assert (diagonals["best"] <= diagonals["pilot"] + 1e-12).all()
    assert diagonals["pilot"].sum() < diagonals["mean"].sum()
