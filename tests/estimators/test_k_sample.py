"""The K-sample bound and its gradients: closed figures by quadrature over the draws, laws in K, and words."""

import itertools

import numpy as np
import pytest

import minivae as mv
from minivae.core.errors import NonFiniteError
from minivae.core.registry import from_spec, to_spec
from minivae.distributions.bits import all_states
from minivae.distributions.likelihoods import Gaussian
from minivae.distributions.linear_gaussian import LinearGaussian
from minivae.distributions.nodes import gauss_hermite, normal_nodes
from minivae.estimators.k_sample import BOUNDS, KSampleBound, objective_of
from minivae.estimators.objectives import Elbo
from minivae.estimators.terms import ElboTerms
from minivae.estimators.weights import ESTIMATORS, Draws, shares_of_bound
from minivae.models.autoencoder import Autoencoder
from minivae.models.bounds import log_weights
from minivae.models.draws import encoder_draws
from minivae.models.vae import VAE
from minivae.nn.gradcheck import check_gradient
from tests.support import assert_within_standard_errors, binary, linear_vae, needs_jit, small_vae

OF_THE_BOUND = [name for name, row in ESTIMATORS.items() if row.bound == "iwae"]
UNBIASED = ["iwae", "iwae-dreg", "iwae-score", "iwae-vimco"]
X = np.ones((1, 1))


def one_dimensional():
    """Return p(z) = N(0, 1), p(x|z) = N(z, 1), q = N(0.2, 0.8^2), whose figures are known at x = 1."""
    model = VAE.mlp(1, 1, [], likelihood=Gaussian())
    params = np.zeros(model.n_params)
    parts = dict(model.named(params))
    parts["encoder.0.bias"][:] = 0.2, 2 * np.log(0.8)
    parts["decoder.0.weight"][:] = 1.0
    return model, params


def groups_of(eps, w, n_draws):
    """Return every group of n_draws nodes as a column, (K, n^K, 1), and its weight."""
    index = np.array(list(itertools.product(range(len(w)), repeat=n_draws))).T
    return eps[index][:, :, 0], np.prod(w[index], axis=0)


def gradients_of_groups(estimator, model, params, eps):
    """Return the gradient for mu and log sigma by each group of draws, shape (groups, 2)."""
    draws = encoder_draws(model, params, np.ones((eps.shape[1], 1)), eps)
    return draws.rows(KSampleBound(estimator)).mean(axis=0) * [1, 2]


def gradient(model, params, x, eps, objective, **how):
    grads = np.full_like(params, np.nan)
    loss, terms = model.loss_and_grad(params, x, eps, grads, objective, **how)
    assert np.isfinite(grads).all()
    return loss, grads, terms


# ------------------------------------------------------------------------- known figures, by quadrature

# mean and variance of the gradient for mu and log sigma
KNOWN = {
    ("iwae", 1): ([0.6, -0.28], [2.56, 3.5072]),
    ("iwae-stl", 1): ([0.6, -0.28], [0.1225, 0.3872]),
    ("iwae-dreg", 1): ([0.6, -0.28], [0.1225, 0.3872]),
    ("iwae", 2): ([0.2639529608, -0.0458886317], [1.2283546135, 1.1970019558]),
    ("iwae-stl", 2): ([0.5264897102, -0.1500271134], [0.0587786876, 0.0990035114]),
    ("iwae-dreg", 2): ([0.2639529608, -0.0458886317], [0.0201423956, 0.0262249503]),
}


@pytest.mark.parametrize(("estimator", "n_draws"), KNOWN)
def test_gradients_have_the_known_means_and_variances(estimator, n_draws):
    eps, w = groups_of(*gauss_hermite(120, 1), n_draws)
    rows = gradients_of_groups(estimator, *one_dimensional(), eps)
    mean, variance = KNOWN[estimator, n_draws]
    np.testing.assert_allclose(w @ rows, mean, atol=2e-10)
    np.testing.assert_allclose(w @ (rows - w @ rows) ** 2, variance, atol=2e-10)


@pytest.mark.parametrize("n_draws", [2, 3])
@pytest.mark.parametrize("estimator", UNBIASED)
def test_all_but_one_have_the_slope_of_the_bound_as_their_mean(estimator, n_draws):
    model, params = one_dimensional()
    eps, w = groups_of(*gauss_hermite({2: 120, 3: 40}[n_draws], 1), n_draws)

    def bound(params):
        log_w = log_weights(model, params, np.ones((eps.shape[1], 1)), eps)
        return w @ np.log(np.mean(np.exp(log_w), axis=0))

    bias = model.slices[0].start + 2  # the encoder's: mu and log_var
    numeric = []
    for i, h in ((bias, 1e-5), (bias + 1, 1e-5)):
        up, down = params.copy(), params.copy()
        up[i] += h
        down[i] -= h
        numeric.append((bound(up) - bound(down)) / (2 * h))
    found = w @ gradients_of_groups(estimator, model, params, eps)
    np.testing.assert_allclose(found, np.array(numeric) * [1, 2], atol={2: 1e-8, 3: 1e-5}[n_draws])


def test_sticking_the_landing_is_biased_for_more_than_one_draw():
    model, params = one_dimensional()
    eps, w = groups_of(*gauss_hermite(60, 1), 2)
    both = [w @ gradients_of_groups(name, model, params, eps) for name in ("iwae-stl", "iwae")]
    np.testing.assert_allclose(both[0] - both[1], [0.2625367494, -0.1041384817], atol=1e-9)


# three bits with f = c b + b Q b + .3 as log p(x|b), a fair prior and logits phi
PHI = np.array([0.4, -0.7, 0.1])
LOG_P, BOUNDS_OF_BITS = 0.7006825602, {1: 0.5998630112, 2: 0.6597485116, 3: 0.6748467737}


def bits(n_draws, shift=0.0):
    """Return every group of n_draws codes, what is known of it, and its probability."""
    b = all_states(3)
    f = b @ [1, -2, 0.5] + b[:, 0] * b[:, 1] - 0.5 * b[:, 0] * b[:, 2] + 0.8 * b[:, 1] * b[:, 2] + 0.3 + shift
    log_q = b @ PHI - np.logaddexp(0, PHI).sum()
    index = np.array(list(itertools.product(range(8), repeat=n_draws))).T  # (K, 8^K)
    share = np.full(index.shape, 1 / n_draws)
    draws = Draws(f[index], log_q[index], np.full(index.shape, -3 * np.log(2)), share)
    return b[index], draws, np.exp(log_q[index].sum(axis=0))


@pytest.mark.parametrize("n_draws", BOUNDS_OF_BITS)
def test_bounds_of_bits_by_enumeration(n_draws):
    _, draws, probability = bits(n_draws)
    value, share = shares_of_bound(draws.f, draws.share)
    assert abs(probability @ value - BOUNDS_OF_BITS[n_draws]) < 1e-10
    np.testing.assert_allclose(share.sum(axis=0), 1, rtol=1e-14)


NAIVE = {0.0: (0.0920141122, 0.0772922692, 0.0779302968), -4.0: (7.3686652, 6.6407691, 7.4635823)}
VIMCO = (0.1419527135, 0.1192576675, 0.1299236481)


@pytest.mark.parametrize("shift", NAIVE)
@pytest.mark.parametrize("estimator", ["iwae-score", "iwae-vimco"])
def test_gradients_of_bits_have_the_known_mean_and_variance(estimator, shift):
    z, draws, probability = bits(2, shift)
    counts = ESTIMATORS[estimator].weights(draws, 0.0)
    rows = np.sum(counts.score[:, :, None] * (z - 1 / (1 + np.exp(-PHI))), axis=0)
    mean = probability @ rows
    np.testing.assert_allclose(mean, [0.0704483273, -0.0067798655, 0.0373940189], atol=1e-10)
    known, tolerance = (VIMCO, 1e-10) if estimator == "iwae-vimco" else (NAIVE[shift], 1e-7 if shift else 1e-10)
    np.testing.assert_allclose(probability @ (rows - mean) ** 2, known, atol=tolerance)


def test_vimco_does_not_see_a_constant(rng):
    log_lik, log_q, log_prior = rng.normal(size=(3, 4, 5))
    share = np.full((4, 5), -0.05)
    a, b = (ESTIMATORS["iwae-vimco"].weights(Draws(log_lik + c, log_q, log_prior, share), 0.0) for c in (0, 1000.0))
    np.testing.assert_allclose(a.score, b.score, atol=1e-12)


# -------------------------------------------------------------------------------------- the table's rows


@pytest.mark.parametrize("even", [True, False])
@pytest.mark.parametrize("name", OF_THE_BOUND)
def test_the_weights_are_those_of_the_table(name, even, rng):
    log_lik, log_q, log_prior = 3 * rng.normal(size=(3, 4, 5))
    w = np.full((4, 5), 0.25) if even else rng.dirichlet(np.ones(4), size=5).T
    total, c = -0.2, rng.normal(size=5)
    found = ESTIMATORS[name].weights(Draws(log_lik, log_q, log_prior, total * w), c)
    f = log_lik + log_prior - log_q
    bound = np.log(np.sum(w * np.exp(f), axis=0))
    v = w * np.exp(f - bound)
    without = np.empty((4, 5))
    for k in range(4):
        g = f.copy()
        g[k] = np.delete(f, k, axis=0).mean(axis=0)
        without[k] = np.log(np.sum(w * np.exp(g), axis=0))
    expected = {
        "iwae": (v, None),
        "iwae-stl": (v, 0 * v),
        "iwae-dreg": (v**2, 0 * v),
        "iwae-score": (None, bound - c - v),
        "iwae-vimco": (None, bound - without - v),
    }[name]
    np.testing.assert_allclose(found.decoder, total * v, rtol=1e-12)
    for got, want in zip((found.path, found.score), expected, strict=True):
        if want is None:
            assert got is None
        else:
            np.testing.assert_allclose(got, total * want, rtol=1e-12, atol=1e-14)


def test_log_weights_of_any_size_neither_overflow_nor_underflow(rng):
    f = 5 * rng.normal(size=(6, 3))
    w = np.full(6, 1 / 6)
    value, share = shares_of_bound(f, w)
    for shift in (-1e4, 1e4):
        moved, same = shares_of_bound(f + shift, w)
        np.testing.assert_allclose(moved - shift, value, rtol=1e-11)
        np.testing.assert_allclose(same, share, rtol=1e-9)


def test_a_draw_without_weight_counts_for_nothing():
    f = np.array([[-np.inf, 0.0], [1.0, 1e4]])
    value, share = shares_of_bound(f, np.array([[0.5, 1.0], [0.5, 0.0]]))
    np.testing.assert_allclose(share, [[0, 1], [1, 0]])
    np.testing.assert_allclose(value, [1 + np.log(0.5), 0], atol=1e-15)


def test_where_no_draw_has_any_weight_it_is_said():
    f = np.array([[-np.inf, 0.0], [-np.inf, 1.0]])
    with pytest.raises(NonFiniteError, match="no draw of 1 of 2 examples has any weight: log w is -inf for each of th"):
        shares_of_bound(f, np.array([0.5, 0.5]))
    for name in OF_THE_BOUND:
        with pytest.raises(NonFiniteError, match="no draw of 1 of 2 examples"):
            ESTIMATORS[name].weights(Draws(f, np.zeros((2, 2)), np.zeros((2, 2)), np.full((2, 2), 0.5)), 0.0)
    with pytest.raises(NonFiniteError, match=r"log w is NaN or \+inf for 1 of 1 examples"):
        shares_of_bound(np.array([[np.nan]]), np.ones(1))


def test_a_loss_of_impossible_data_is_refused_in_words(rng):
    model = VAE.mlp(3, 2, [4], likelihood=Gaussian(1e-38))
    params, x = model.init(rng, np.float32), np.full((2, 3), 10, np.float32)
    eps = model.draw_noise(rng, 5, 2, np.float32)
    with pytest.raises(NonFiniteError, match=r"the loss is not finite: log p\(x\|z\) holds 10 NaN or infinite value"):
        model.loss_and_grad(params, x, eps, np.empty_like(params), KSampleBound())


# ----------------------------------------------------------------------------------- the loss and its slope


def test_one_draw_is_the_elbo(rng):
    model, params = small_vae(rng, Gaussian(0.5, learned=True))
    x, eps = rng.normal(size=(5, 4)), rng.normal(size=(1, 5, 2))
    for ours, theirs in (("iwae", "pathwise"), ("iwae-stl", "path-derivative"), ("iwae-dreg", "path-derivative")):
        loss, grads, terms = gradient(model, params, x, eps, KSampleBound(ours))
        expected_loss, expected, _ = gradient(model, params, x, eps, Elbo(theirs, kl="sampled"))
        np.testing.assert_array_equal(grads, expected)
        assert abs(loss - expected_loss) < 1e-13
        np.testing.assert_allclose(terms.iwae_bound, terms.elbo, rtol=1e-13)


@pytest.mark.parametrize("weights", [None, np.array([0.2, 0.5, 0.3])])
def test_the_total_derivative_is_the_slope_of_the_loss(weights, rng):
    model, params = small_vae(rng, Gaussian(0.5, learned=True))
    x, eps = rng.normal(size=(5, 4)), rng.normal(size=(3, 5, 2))
    how = {"weights": weights}
    loss, grads, terms = gradient(model, params, x, eps, KSampleBound("iwae"), **how)
    w = np.full(3, 1 / 3) if weights is None else weights
    bound = np.log(w @ np.exp(log_weights(model, params, x, eps)))
    np.testing.assert_allclose(terms.iwae_bound, bound, rtol=1e-12)
    assert abs(loss + bound.mean()) < 1e-12
    assert check_gradient(lambda p: gradient(model, p, x, eps, KSampleBound("iwae"), **how)[0], grads, params).ok


def test_what_the_decoder_learns_does_not_depend_on_the_estimator(rng):
    model, params = small_vae(rng)
    x, eps = binary(rng), rng.normal(size=(3, 5, 2))
    own = slice(model.slices[2].start, None)  # prior, decoder, likelihood
    found = {name: gradient(model, params, x, eps, KSampleBound(name))[1] for name in OF_THE_BOUND}
    for name in OF_THE_BOUND[1:]:
        np.testing.assert_array_equal(found[name][own], found["iwae"][own])
        assert np.abs(found[name] - found["iwae"]).max() > 1e-3


def test_nodes_as_weighted_draws_give_log_p_and_its_slope(rng):
    # sum_k w_k p(x, z_k) / q(z_k|x) over nodes of q is p(x), so that nothing is left for the encoder to learn
    W, b, s2, x = np.array([[1.0], [-0.5]]), np.array([0.2, 0.1]), 0.5, rng.normal(size=(4, 2))
    model, params = linear_vae(W, b, s2, np.array([[0.4, -0.2]]), np.array([0.7]))
    eps, w = gauss_hermite(80, 1)
    loss, grads, _ = gradient(model, params, x, eps, KSampleBound("iwae"), weights=w)
    assert abs(loss + LinearGaussian(W, b, s2).log_prob(x).mean()) < 1e-9
    assert np.abs(grads[model.slices[0]]).max() < 1e-8
    dW, db, ds2 = np.empty(2), np.empty(2), 0.0
    C = W @ W.T + s2 * np.eye(2)
    P, y = np.linalg.inv(C), x - b
    inner = P @ (y.T @ y / len(y) - C) @ P / 2  # d mean log p / dC
    dW, db, ds2 = 2 * inner @ W, P @ y.mean(axis=0), np.trace(inner)
    parts = dict(model.named(-grads))
    np.testing.assert_allclose(parts["decoder.0.weight"][0], dW[:, 0], atol=1e-8)
    np.testing.assert_allclose(parts["decoder.0.bias"], db, atol=1e-8)
    np.testing.assert_allclose(parts["likelihood.log_var"], ds2 * s2, atol=1e-8)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_bounds_grow_with_the_draws_and_stay_below_log_p(likelihood, seed):
    rng = np.random.default_rng(seed)
    model = VAE.mlp(3, 1, [4], "tanh", likelihood)
    params = model.init(rng) + 0.5 * rng.standard_normal(model.n_params)
    x = binary(rng, 1, 3) if likelihood == "bernoulli" else rng.normal(size=(1, 3))
    nodes, w = normal_nodes(step=0.35, far=8.0)
    bounds = []
    for n_draws in (1, 2, 3):
        eps, weight = groups_of(nodes, w, n_draws)
        value = model.terms(params, np.tile(x, (eps.shape[1], 1)), eps=eps, objective=KSampleBound()).iwae_bound
        bounds.append(weight @ value)
    fine, w = normal_nodes()
    log_p = model.terms(params, x, eps=fine, weights=w, objective=KSampleBound()).iwae_bound.item()
    assert bounds[0] <= bounds[1] <= bounds[2] <= log_p
    assert bounds[0] < log_p - 1e-3


@pytest.mark.parametrize("seed", range(5))
def test_the_bound_never_exceeds_log_p_of_linear_models(seed):
    rng = np.random.default_rng(seed)
    W, b, s2 = rng.normal(size=(4, 2)), rng.normal(size=4), 0.3 + rng.random()
    model, params = linear_vae(W, b, s2, 0.3 * rng.normal(size=(2, 4)), 0.5 + rng.random(2))
    x, n = rng.normal(size=(1, 4)), 4000
    exact = LinearGaussian(W, b, s2).log_prob(x).item()
    for k in (1, 3, 10):
        found = model.terms(params, np.tile(x, (n, 1)), rng=rng, n_draws=k, objective=KSampleBound()).iwae_bound
        assert found.mean() <= exact + 5 * found.std() / np.sqrt(n)


# --------------------------------------------------------------------------------- signal and noise in K


@needs_jit
@pytest.mark.parametrize("n_draws", [16, 64])
def test_signal_to_noise_falls_for_the_total_derivative_and_rises_without_the_score(n_draws):
    model, params = one_dimensional()
    rng, n = np.random.default_rng(n_draws), 60_000
    total, dreg, decoder = [], [], []
    for _ in range(6):
        eps = rng.standard_normal((n_draws, n // 6, 1))
        draws = encoder_draws(model, params, np.ones((eps.shape[1], 1)), eps)
        total.append(draws.rows(KSampleBound("iwae"))[:, :, 0].mean(axis=0))
        dreg.append(draws.rows(KSampleBound("iwae-dreg"))[:, :, 0].mean(axis=0))
        _, share = shares_of_bound(log_weights(model, params, np.ones((eps.shape[1], 1)), eps), np.ones(n_draws))
        decoder.append(np.sum(share * (1 - draws.z[:, :, 0]), axis=0))  # of a shift of E[x|z]
    total, dreg, decoder = (np.concatenate(rows) for rows in (total, dreg, decoder))
    assert_within_standard_errors(total, dreg.mean(), 6)  # the mean of both; that of dreg is known far better
    # limits of large K; with 16 draws it is 1 % from them, and standard errors are below 1 % too
    assert abs(dreg.mean() / total.std() * np.sqrt(n_draws) / 0.3083942516 - 1) < 0.03
    assert abs(dreg.mean() / dreg.std() / np.sqrt(n_draws) / 1.1963487070 - 1) < 0.03
    assert abs(abs(decoder.mean()) / decoder.std() / np.sqrt(n_draws) / 0.6971416822 - 1) < 0.03
    # and the signal itself fades as 1 / K
    assert abs(dreg.mean() * n_draws / 0.4423695491 - 1) < 0.05


# ------------------------------------------------------------------------------------------ the objective

NORMAL, BITS = VAE.mlp(4, 2, [3]), VAE.mlp(4, 3, [3], posterior="bits")


def test_the_estimator_is_settled_by_the_posterior():
    assert KSampleBound().resolved(NORMAL) == KSampleBound("iwae")
    assert KSampleBound().resolved(BITS) == KSampleBound("iwae-vimco")
    assert KSampleBound().usual_draws(NORMAL) == 5
    given = KSampleBound("iwae-dreg")
    assert given.resolved(NORMAL) is given
    assert given.at(3) is given
    assert given.rule(NORMAL) is None
    assert from_spec(to_spec(given)) == given
    assert {name: BOUNDS[ESTIMATORS[name].bound] for name in ("iwae", "score")} == {"iwae": KSampleBound, "score": Elbo}
    assert objective_of("score", "closed", 2.0) == Elbo("score", 2.0, "closed")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: KSampleBound("pathwise"),
            r"must be one of iwae, .* got 'pathwise'.* Use Elbo\('pathwise'\)",
        ),
        (lambda: Elbo("iwae"), r"estimator must be one of pathwise, .* got 'iwae'.* Use KSampleBound\('iwae'\)"),
        (lambda: KSampleBound("iwae-dregs"), "Did you mean 'iwae-dreg'"),
        (lambda: KSampleBound("iwae").resolved(BITS), "needs no path for Bits, .* Use one of iwae-score, iwae-vimco"),
        (lambda: KSampleBound().resolved(Autoencoder.mlp(4, 2, [3])), r"objective must be Reconstruction\(\) for Auto"),
        (
            lambda: KSampleBound("iwae-vimco").check(BITS, 1),
            "n_draws must be at least 2 for the estimator 'iwae",
        ),
        (lambda: KSampleBound("iwae").check(NORMAL, 0), "n_draws must be an integer of at least 1, got 0"),
        (lambda: mv.Settings(objective=KSampleBound(), n_draws=0), "n_draws must be an integer of at least 1, got 0"),
        (lambda: KSampleBound().loss(ElboTerms(np.ones(2), np.ones(2))), "terms must be terms of the K-sample bound"),
    ],
)
def test_what_cannot_go_together_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_no_draws_are_refused_by_the_loss(rng):
    params = NORMAL.init(rng)
    with pytest.raises(ValueError, match="eps must have shape"):
        NORMAL.loss_and_grad(params, np.ones((3, 4)), np.empty((0, 3, 2)), np.empty_like(params), KSampleBound())


@pytest.mark.parametrize("model", [NORMAL, BITS], ids=["normal", "bits"])
def test_training_says_what_its_numbers_are(model, rng):
    x = np.round(rng.random((64, 4)))
    settings = mv.Settings(epochs=3, batch_size=16, objective=KSampleBound(), n_draws=4, patience=None, dtype="float64")
    result = mv.train(model, x[:48], x[48:], settings)
    for row in result.history:
        for part in ("train", "valid"):
            assert abs(row[f"{part}_loss"] + row[f"{part}_iwae_bound"]) < 1e-12
            assert abs(row[f"{part}_elbo"] - row[f"{part}_log_lik"] + row[f"{part}_kl"]) < 1e-12
            assert row[f"{part}_elbo"] < row[f"{part}_iwae_bound"]
    assert result.history[-1]["valid_loss"] < result.history[0]["valid_loss"]


def test_terms_in_chunks_are_those_of_all_at_once(rng, monkeypatch):
    model, params = small_vae(rng)
    x, eps = binary(rng, 7, 4), rng.normal(size=(3, 7, 2))
    whole = model.terms(params, x, eps=eps, objective=KSampleBound())
    monkeypatch.setattr("minivae.core.parallel._ROWS_AT_ONCE", 6)
    parts = model.terms(params, x, eps=eps, objective=KSampleBound())
    for name in ("iwae_bound", "log_lik", "kl"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-13)
    assert list(whole.means()) == ["iwae_bound", "elbo", "log_lik", "kl"]
    assert abs(whole.means()["iwae_bound"] - whole.iwae_bound.mean()) < 1e-14


def test_training_by_the_bound_ends_nearer_to_log_p():
    # q is a diagonal Gaussian and the posterior is not: the ELBO's optimum leaves a gap, and K draws close most of it
    rng = np.random.default_rng(0)
    W = np.array([[1.0, 0.9], [0.2, 1.1]])
    known, x = LinearGaussian(W, np.zeros(2), 0.2), rng.normal(size=(1, 2))
    eps = rng.standard_normal((20, 500, 2))
    gaps = {}
    for objective in (Elbo(), KSampleBound("iwae-dreg")):
        model, params = linear_vae(W, np.zeros(2), 0.2, np.zeros((2, 2)), np.ones(2))
        rule = mv.Adam(0.02)
        state, grads = rule.init(params), np.empty_like(params)
        for step in range(300):
            noise = np.random.default_rng(step).standard_normal((20, 20, 2))
            model.loss_and_grad(params, np.tile(x, (20, 1)), noise, grads, objective)
            grads[model.slices[2].start :] = 0  # the encoder alone
            rule.update(params, grads, state)
        terms = model.terms(params, np.tile(x, (500, 1)), eps=eps, objective=KSampleBound())
        gaps[type(objective).__name__] = known.log_prob(x).item() - terms.iwae_bound.mean()
    assert 0 < gaps["KSampleBound"] < 0.5 * gaps["Elbo"]
