"""The table of estimators: every row has the expectation of the pathwise gradient, by nodes and by enumeration."""

import itertools
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import special

from minivae.core.registry import Table
from minivae.distributions.bits import all_states
from minivae.distributions.likelihoods import Bernoulli, Gaussian, GaussianPerPixel
from minivae.distributions.nodes import gauss_hermite, normal_nodes
from minivae.estimators.baselines import Centred
from minivae.estimators.objectives import Elbo
from minivae.estimators.weights import ESTIMATORS, Draws, Estimator, Weights, even_share
from minivae.models.vae import VAE
from minivae.nn.dense import Dense
from minivae.nn.gradcheck import check_gradient
from minivae.nn.sequential import Sequential
from tests.own_boxes import owning_bits, owning_vae
from tests.support import binary

BETAS = [1.0, 1.7]
WAYS = [
    ("pathwise", "sampled"),
    ("path-derivative", "sampled"),
    ("score", "closed"),
    ("score", "sampled"),
    ("score-moving-average", "closed"),
    ("score-moving-average", "sampled"),
    ("score-learned", "closed"),
    ("score-learned", "sampled"),
    ("nvil", "sampled"),
    ("score-leave-one-out", "closed"),
    ("score-leave-one-out", "sampled"),
]
# those of the K-sample bound are in test_k_sample, those with a gradient of their own in models/test_second_pass
OF_THE_ELBO = [name for name, row in ESTIMATORS.items() if row.bound == "elbo" and row.own is None]
ONE_BY_ONE = [way for way in WAYS if way[0] != "score-leave-one-out"]


def with_params(model, rng, scale=0.3):
    params = model.init(rng)
    return model, params + scale * rng.standard_normal(params.shape)


def tanh_vae(rng, likelihood=None):
    """Return a VAE of one latent, so that nodes on a line integrate against its noise."""
    return with_params(VAE.mlp(3, 1, [4], "tanh", likelihood), rng)


def bits_vae(rng, likelihood=None):
    return with_params(VAE.mlp(3, 2, [4], "tanh", likelihood, "bits"), rng)


def gradient(model, params, x, eps, objective, **how):
    """Return the loss and its gradient, every entry of which is written."""
    grads = np.full_like(params, np.nan)
    loss, _ = model.loss_and_grad(params, x, eps, grads, objective, **how)
    assert np.isfinite(grads).all()
    return loss, grads


def by_nodes(model, params, x, objective, **how):
    """Return the expected loss and gradient of one draw: the nodes stand for every draw that there can be."""
    nodes, w = normal_nodes()
    return gradient(model, params, x, nodes, objective, weights=w, **how)


def by_pairs(model, params, x, objective, n_draws, nodes, w):
    """Return the expected loss and gradient of groups of draws, by the product of the nodes of each."""
    loss, grads = 0.0, np.zeros_like(params)
    for group in itertools.product(range(len(w)), repeat=n_draws):
        weight, chosen = np.prod(w[list(group)]), list(group)
        one, g = gradient(model, params, x, nodes[chosen], objective)
        loss, grads = loss + weight * one, grads + weight * g
    return loss, grads


def by_cells(model, params, x, objective, n_draws, **how):
    """Return the expected loss and gradient of groups of bits: every tuple of codes, with its probability.

    The noise of x alone is a point in [0, 1)^(K L), cut by 1 - theta into cells in which nothing changes.
    """
    loss, grads = 0.0, np.zeros_like(params)
    theta = model.embed(params, x)[0]
    for codes in itertools.product(all_states(len(theta)), repeat=n_draws):
        z = np.array(codes)
        weight = np.prod(np.where(z == 1, theta, 1 - theta))
        u = np.where(z == 1, 1 - theta / 2, (1 - theta) / 2)  # the middle of the cell
        one, g = gradient(model, params, x, u[:, None], objective, **how)
        loss, grads = loss + weight * one, grads + weight * g
    return loss, grads


def test_every_row_of_the_table_is_tested_here():
    ways = {(name, kl) for name in OF_THE_ELBO for kl in ESTIMATORS[name].kl if not ESTIMATORS[name].enumerates}
    assert ways == {("pathwise", "closed"), *WAYS}
    assert {name for name, row in ESTIMATORS.items() if row.enumerates} == {"exact"}


# ------------------------------------------------------------------------------------- a path, by nodes


@pytest.mark.parametrize("likelihood", [Bernoulli(), Gaussian(0.5, learned=True), GaussianPerPixel()])
@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize(("estimator", "kl"), ONE_BY_ONE)
def test_every_estimator_has_the_expectation_of_the_pathwise_one(estimator, kl, beta, likelihood, rng):
    model, params = tanh_vae(rng, likelihood)
    x = binary(rng, 3, 3) if isinstance(likelihood, Bernoulli) else rng.normal(size=(3, 3))
    expected_loss, expected = by_nodes(model, params, x, Elbo("pathwise", beta, "closed"))
    loss, grads = by_nodes(model, params, x, Elbo(estimator, beta, kl))
    np.testing.assert_allclose(grads, expected, atol=1e-8)
    assert abs(loss - expected_loss) < 1e-10
    # and what the decoder learns is the same at any noise, digit by digit
    decoder = model.slices[3]
    np.testing.assert_array_equal(grads[decoder], expected[decoder])
    assert np.abs(expected[: decoder.start]).max() > 0.01


@pytest.mark.parametrize("baseline", [2.5, np.array([-1.0, 0.0, 30.0])], ids=["one", "one an example"])
@pytest.mark.parametrize(
    ("estimator", "kl"),
    [
        ("score", "closed"),
        ("score", "sampled"),
        ("score-moving-average", "closed"),
        ("score-learned", "sampled"),
        ("nvil", "sampled"),
    ],
)
def test_a_baseline_changes_draws_and_never_the_expectation(estimator, kl, baseline, rng):
    model, params = tanh_vae(rng)
    x = binary(rng, 3, 3)
    for eps, w, alike in ((*normal_nodes(), True), (rng.normal(size=(2, 3, 1)), None, False)):
        plain, shifted = (
            gradient(model, params, x, eps, Elbo(estimator, 1.7, kl), weights=w, baseline=c)[1] for c in (0, baseline)
        )
        assert np.allclose(plain, shifted, atol=1e-8) == alike


def test_nvils_spread_scales_all_that_the_encoder_learns_and_nothing_else(rng):
    # with a closed KL it would leave the KL as it is, and descend another objective: then it is refused
    model, params = tanh_vae(rng)
    x, eps = binary(rng, 3, 3), rng.normal(size=(2, 3, 1))
    plain, divided = (
        gradient(model, params, x, eps, Elbo("nvil", 1.7), baseline=Centred(0.3, spread))[1] for spread in (1.0, 4.0)
    )
    encoder, decoder = model.slices[0], model.slices[3]
    np.testing.assert_allclose(divided[encoder], plain[encoder] / 4, rtol=1e-12)
    np.testing.assert_array_equal(divided[decoder], plain[decoder])
    with pytest.raises(ValueError, match="kl must be 'sampled' for the estimator 'nvil'"):
        Elbo("nvil", kl="closed")


def test_a_baseline_is_taken_off_the_signal_of_its_example(rng):
    # 1/K sum_k c s_k of each example, and nothing else, is what a baseline takes away
    model, params = tanh_vae(rng)
    x, eps, c = binary(rng, 3, 3), rng.normal(size=(4, 3, 1)), rng.normal(size=3)
    plain, shifted = (gradient(model, params, x, eps, Elbo("score"), baseline=b)[1] for b in (0.0, c))
    head = model.encode(params, x)
    score = np.stack([eps / np.exp(head[:, 1:] / 2), (eps**2 - 1) / 2], axis=3)[:, :, 0]  # (K, B, 2)
    found = dict(model.named(shifted - plain))["encoder.2.bias"]
    np.testing.assert_allclose(found, np.mean(c[:, None] * score.mean(axis=0), axis=0), rtol=1e-10)


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("kl", ["closed", "sampled"])
def test_leave_one_out_of_two_has_the_expectation_of_the_pathwise_one(kl, beta, rng):
    model, params = tanh_vae(rng)
    x = binary(rng, 2, 3)
    expected_loss, expected = by_nodes(model, params, x, Elbo("pathwise", beta, "closed"))
    loss, grads = by_pairs(model, params, x, Elbo("score-leave-one-out", beta, kl), 2, *gauss_hermite(36, 1))
    np.testing.assert_allclose(grads, expected, atol=1e-8)
    assert abs(loss - expected_loss) < 1e-8


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("kl", ["closed", "sampled"])
@pytest.mark.parametrize("n_draws", [2, 3])
def test_leave_one_out_has_the_expectation_of_the_score_function(n_draws, kl, beta, rng):
    # under few nodes too, as long as the score has mean zero on them: then to every digit
    model, params = tanh_vae(rng)
    x, (nodes, w) = binary(rng, 2, 3), gauss_hermite(4, 1)
    expected_loss, expected = by_pairs(model, params, x, Elbo("score", beta, kl), 1, nodes, w)
    loss, grads = by_pairs(model, params, x, Elbo("score-leave-one-out", beta, kl), n_draws, nodes, w)
    np.testing.assert_allclose(grads, expected, rtol=1e-11, atol=1e-12)
    assert abs(loss - expected_loss) < 1e-12


@pytest.mark.parametrize("kl", ["closed", "sampled"])
def test_leave_one_out_takes_no_other_baseline(kl, rng):
    model, params = tanh_vae(rng)
    x, eps = binary(rng, 3, 3), rng.normal(size=(4, 3, 1))
    objective = Elbo("score-leave-one-out", 1.7, kl)
    (_, a), (_, b) = (gradient(model, params, x, eps, objective, baseline=c) for c in (0.0, np.arange(3.0)))
    np.testing.assert_array_equal(a, b)


def test_the_score_function_asks_for_no_derivative_of_the_decoder_by_z(rng):
    @dataclass(frozen=True)
    class Blind(Dense):
        def backward(self, params, cache, dy, grads, need_dx=True):
            if need_dx:
                raise NotImplementedError("this layer does not know its dx")
            return super().backward(params, cache, dy, grads, need_dx=False)

    sighted = VAE.mlp(3, 1, [4], "tanh")
    model = replace(sighted, decoder=Sequential([Blind(1, 3)]))
    params, x, eps = model.init(rng), binary(rng, 3, 3), rng.normal(size=(2, 3, 1))
    for estimator in ("score", "score-leave-one-out"):
        gradient(model, params, x, eps, Elbo(estimator, kl="sampled"))
    for estimator in ("pathwise", "path-derivative"):
        with pytest.raises(NotImplementedError, match="does not know its dx"):
            gradient(model, params, x, eps, Elbo(estimator, kl="sampled"))


@pytest.mark.parametrize("beta", [0.0, *BETAS])
@pytest.mark.parametrize("kl", ["closed", "sampled"])
def test_pathwise_is_the_derivative_of_the_loss(kl, beta, rng):
    model, params = tanh_vae(rng, Gaussian(0.5, learned=True))
    x, eps, w = rng.normal(size=(3, 3)), rng.normal(size=(2, 3, 1)), np.array([0.3, 0.7])
    objective = Elbo("pathwise", beta, kl)
    _, grads = gradient(model, params, x, eps, objective, weights=w)
    assert check_gradient(lambda p: gradient(model, p, x, eps, objective, weights=w)[0], grads, params).ok


def test_path_derivative_is_the_pathwise_gradient_less_the_score_of_q(rng):
    # and the score at one draw is what a score-function estimator of a constant would be
    model, params = tanh_vae(rng)
    x, eps, beta = binary(rng, 3, 3), rng.normal(size=(2, 3, 1)), 1.7
    ways = [Elbo(name, beta, "sampled") for name in ("pathwise", "path-derivative")]
    total, path = (gradient(model, params, x, eps, objective)[1] for objective in ways)
    plain, shifted = (gradient(model, params, x, eps, Elbo("score"), baseline=c)[1] for c in (0.0, 1.0))
    np.testing.assert_allclose(total - path, beta * (shifted - plain), atol=1e-13)


@pytest.mark.parametrize(("estimator", "kl"), [("pathwise", "closed"), *ONE_BY_ONE])
def test_a_draw_given_twice_with_its_weight_split_is_that_draw(estimator, kl, rng):
    model, params = tanh_vae(rng)
    x, eps, objective = binary(rng, 3, 3), rng.normal(size=(2, 3, 1)), Elbo(estimator, 1.7, kl)
    loss, grads = gradient(model, params, x, eps, objective, weights=np.array([0.2, 0.8]))
    again, doubled = gradient(model, params, x, eps[[0, 1, 1]], objective, weights=np.array([0.2, 0.5, 0.3]))
    np.testing.assert_allclose(doubled, grads, rtol=1e-10, atol=1e-13)
    assert abs(loss - again) < 1e-13


# ----------------------------------------------------------------------- a row of one's own in the table


def mixture(share):
    """Return an estimator that goes a part of the way along the path, and the rest by the score function."""

    def weights(draws, baseline):  # noqa: ARG001
        # the score of log q at fixed z has mean zero, so that the path may leave it out: s = (1 - share) f
        return Weights(draws.share, share * draws.share, (1 - share) * draws.share * draws.f)

    return Estimator(weights, has_path=True)


@pytest.mark.parametrize(("kl", "owner"), [("closed", False), ("sampled", False), ("sampled", True)])
def test_a_new_estimator_is_a_row_of_the_table(kl, owner, rng, monkeypatch):
    table = Table("estimator")
    table.update(ESTIMATORS)
    table.add("mixture", mixture(0.3))
    monkeypatch.setattr("minivae.estimators.objectives.ESTIMATORS", table)
    model, params = with_params(owning_vae(), rng) if owner else tanh_vae(rng)
    x = binary(rng, 3, 3)
    _, expected = by_nodes(model, params, x, Elbo("pathwise", 1.7, kl))
    _, found = by_nodes(model, params, x, Elbo("mixture", 1.7, kl))
    np.testing.assert_allclose(found, expected, atol=1e-8)
    # it is not one of the two of which it is made
    eps = rng.normal(size=(2, 3, 1))
    alone = [gradient(model, params, x, eps, Elbo(e, 1.7, kl))[1] for e in ("pathwise", "score", "mixture")]
    assert np.abs(alone[2] - alone[0]).max() > 1e-3
    assert np.abs(alone[2] - alone[1]).max() > 1e-3


def test_a_draw_that_counts_for_nothing_leaves_no_trace(rng, monkeypatch):
    # the path's weight is a ratio to the decoder's: where both are zero the draw is left out
    def weights(draws, baseline):  # noqa: ARG001
        return Weights(draws.share, 1.0 * draws.share)

    table = Table("estimator")
    table.update({**ESTIMATORS, "copy": Estimator(weights, has_path=True)})
    monkeypatch.setattr("minivae.estimators.objectives.ESTIMATORS", table)
    model, params = tanh_vae(rng)
    x, eps, w = binary(rng, 3, 3), rng.normal(size=(3, 3, 1)), np.array([0.4, 0.0, 0.6])
    for kl in ("closed", "sampled"):
        _, expected = gradient(model, params, x, eps[[0, 2]], Elbo("pathwise", 1.7, kl), weights=w[[0, 2]])
        for name in ("copy", "pathwise"):
            _, found = gradient(model, params, x, eps, Elbo(name, 1.7, kl), weights=w)
            np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-14)


# --------------------------------------------------------------------------- no path, by enumeration

BY_CELLS = [
    ("score", 1, 0.0),
    ("score", 2, -3.0),
    ("score-moving-average", 1, 4.0),
    ("score-learned", 2, 4.0),
    ("score-leave-one-out", 2, 0.0),
    ("score-leave-one-out", 3, 5.0),
]


BITS = {
    "closed": bits_vae,
    "sampled": bits_vae,
    "sampled, Gaussian": lambda rng: bits_vae(rng, Gaussian(0.5, learned=True)),
    "closed, Gaussian": lambda rng: bits_vae(rng, Gaussian(0.5, learned=True)),
    "sampled, a prior with parameters": lambda rng: with_params(owning_bits(), rng),
}


@pytest.mark.parametrize("kind", BITS)
@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize(("estimator", "n_draws", "baseline"), BY_CELLS)
def test_the_mean_over_all_codes_is_the_exact_gradient(estimator, n_draws, baseline, kind, beta, rng):
    model, params = BITS[kind](rng)
    x, kl = np.array([[1.0, 0.0, 1.0]]), kind.split(",")[0]
    expected_loss, expected = gradient(model, params, x, None, Elbo("exact", beta, kl))
    loss, grads = by_cells(model, params, x, Elbo(estimator, beta, kl), n_draws, baseline=baseline)
    np.testing.assert_allclose(grads, expected, rtol=1e-12, atol=1e-13)
    assert abs(loss - expected_loss) < 1e-12


def enumerated_loss(model, params, x, beta):
    """Return the mean over x of sum_z q(z|x) [beta log q(z|x) / p(z) - log p(x|z)], from the boxes one by one."""
    encoder, _, prior, decoder, likelihood = model.unpack(params)
    theta = special.expit(model.encoder.forward(encoder, x)[0])
    total = 0.0
    for z in all_states(theta.shape[1]):
        q = np.prod(np.where(z == 1, theta, 1 - theta), axis=1)
        out = np.tile(model.decoder.forward(decoder, z[None])[0], (len(x), 1))
        log_lik = model.likelihood.log_prob(likelihood, out, x)
        log_p = model.prior.log_prob(prior, z[None, None]).item()
        total += np.mean(q * (beta * (np.log(q) - log_p) - log_lik))
    return total


@pytest.mark.parametrize("beta", [0.0, *BETAS])
@pytest.mark.parametrize("kl", ["closed", "sampled"])
def test_exact_is_the_derivative_of_the_enumerated_loss(kl, beta, rng):
    model, params = bits_vae(rng, Gaussian(0.5, learned=True))
    x = rng.normal(size=(4, 3))
    loss, grads = gradient(model, params, x, None, Elbo("exact", beta, kl))
    assert abs(loss - enumerated_loss(model, params, x, beta)) < 1e-12
    assert check_gradient(lambda p: enumerated_loss(model, p, x, beta), grads, params).ok


@pytest.mark.parametrize("beta", [0.0, *BETAS])
def test_exact_is_so_for_a_prior_with_parameters(beta, rng):
    model, params = with_params(owning_bits(), rng)
    x = binary(rng, 4, 3)
    loss, grads = gradient(model, params, x, None, Elbo("exact", beta))
    assert abs(loss - enumerated_loss(model, params, x, beta)) < 1e-12
    assert check_gradient(lambda p: enumerated_loss(model, p, x, beta), grads, params).ok


def test_exact_with_a_sampled_kl_is_exact_with_the_formula(rng):
    model, params = bits_vae(rng)
    x = binary(rng, 5, 3)
    closed, sampled = (gradient(model, params, x, None, Elbo("exact", 1.7, kl)) for kl in ("closed", "sampled"))
    assert abs(closed[0] - sampled[0]) < 1e-13
    np.testing.assert_allclose(sampled[1], closed[1], rtol=1e-11, atol=1e-14)


def test_the_loss_of_bits_does_not_depend_on_the_estimator_nor_does_what_the_decoder_learns(rng):
    model, params = bits_vae(rng)
    x, u = binary(rng, 5, 3), rng.random((3, 5, 2))
    for kl in ("closed", "sampled"):
        found = [gradient(model, params, x, u, Elbo(name, 1.7, kl)) for name in ("score", "score-leave-one-out")]
        assert found[0][0] == found[1][0]
        np.testing.assert_array_equal(found[0][1][model.slices[3]], found[1][1][model.slices[3]])


# ------------------------------------------------------------------------------------------ the weights


def some_draws(rng, kl, beta=1.7):
    log_lik, log_q, log_prior = rng.normal(size=(3, 4, 5))
    share = rng.normal(size=(4, 5))
    return Draws(log_lik, log_q, None if kl == "closed" else log_prior, share, beta)


def test_f_holds_the_sampled_kl_times_beta(rng):
    draws = some_draws(rng, "sampled")
    np.testing.assert_allclose(draws.f, draws.log_lik + 1.7 * (draws.log_prior - draws.log_q), rtol=1e-14)
    np.testing.assert_array_equal(some_draws(rng, "closed").kl_weight, 0.0)
    closed = some_draws(rng, "closed")
    np.testing.assert_array_equal(closed.f, closed.log_lik)
    # without weight not even an infinite log-ratio counts
    draws.log_q[0, 0], draws.beta = np.inf, 0.0
    np.testing.assert_array_equal(draws.f, draws.log_lik)


@pytest.mark.parametrize("kl", ["closed", "sampled"])
@pytest.mark.parametrize("name", OF_THE_ELBO)
def test_the_weights_are_those_of_the_table(name, kl, rng):
    draws, c = some_draws(rng, kl), rng.normal(size=5)
    found = ESTIMATORS[name].weights(draws, c)
    others = np.array([np.delete(draws.f, k, axis=0).mean(axis=0) for k in range(4)])
    score = {
        "pathwise": None,
        "path-derivative": np.zeros((4, 5)),
        "score-leave-one-out": draws.share * (draws.f - others),
        "exact": draws.share * draws.f,
    }.get(name, draws.share * (draws.f - c))
    assert found.decoder is draws.share
    assert found.path is (draws.share if ESTIMATORS[name].has_path else None)
    if score is None:
        assert found.score is None
    else:
        np.testing.assert_allclose(found.score, score, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("c", [np.nan, np.zeros(3), np.zeros((4, 5))])
def test_a_baseline_is_a_finite_number_or_one_an_example(c, rng):
    with pytest.raises(ValueError, match=r"baseline must be a finite number or one for each example, shape \(5,\)"):
        ESTIMATORS["score"].weights(some_draws(rng, "closed"), c)


def test_an_even_share_is_the_total_shared_among_the_draws():
    share = even_share(4, 3, -0.5, np.dtype(np.float32))
    assert share.shape == (4, 3)
    assert share.dtype == np.float32
    np.testing.assert_array_equal(share, np.float32(-0.125))
