"""Per-draw gradients for the encoder: the same as training uses, unbiased, and with the variances they should have."""

import tracemalloc

import numpy as np
import pytest
from scipy import special

from minivae.core.registry import Table
from minivae.distributions.bits import all_states
from minivae.distributions.likelihoods import Bernoulli, Gaussian, GaussianPerPixel
from minivae.distributions.nodes import gauss_hermite, normal_nodes
from minivae.estimators.moments import RunningMoments, summarize
from minivae.estimators.objectives import Elbo
from minivae.estimators.signals import leave_one_out
from minivae.estimators.weights import ESTIMATORS, Estimator, Weights
from minivae.models import draws as draws_module
from minivae.models.draws import EncoderEstimator, encoder_draws, encoder_states, head_moments
from minivae.models.vae import VAE
from tests.support import assert_within_standard_errors, binary, needs_jit, small_vae

WAYS = [
    ("pathwise", "closed"),
    ("pathwise", "sampled"),
    ("path-derivative", "sampled"),
    ("score", "closed"),
    ("score", "sampled"),
    ("score-leave-one-out", "closed"),
    ("score-leave-one-out", "sampled"),
]


def head_bias_gradient(model, params, x, eps, **how):
    """Return the encoder's part of minus the loss's gradient through its last bias: the sum of dhead over the batch."""
    grads = np.full_like(params, np.nan)
    model.loss_and_grad(params, x, eps, grads, **how)
    assert np.isfinite(grads).all()
    last = len(model.encoder.layers) - 1
    return -dict(model.named(grads))[f"encoder.{last}.bias"]


@pytest.mark.parametrize("likelihood", [Bernoulli(), Gaussian(0.5, True), GaussianPerPixel()])
@pytest.mark.parametrize(("estimator", "kl"), WAYS)
def test_training_uses_the_mean_of_the_rows(estimator, kl, likelihood, rng):
    model, params = small_vae(rng, likelihood)
    x, eps = binary(rng, 3), rng.normal(size=(4, 3, 2))
    rows = encoder_draws(model, params, x, eps).rows(Elbo(estimator, kl=kl))
    found = head_bias_gradient(model, params, x, eps, objective=Elbo(estimator, kl=kl))
    np.testing.assert_allclose(found, rows.mean(axis=0).sum(axis=0) / 3, rtol=1e-9, atol=1e-12)


def likelier(draws):
    """Return K share_k exp(f_k) / sum_j exp(f_j): weights that depend on all draws, as those of importance do."""
    return len(draws.f) * draws.share * special.softmax(draws.f, axis=0)


OWN = {
    "both alike": lambda draws, _: Weights(w := likelier(draws), w),
    "decoder alone": lambda draws, _: Weights(likelier(draws), draws.share),
    "path alone": lambda draws, _: Weights(draws.share, likelier(draws)),
    "all three": lambda draws, _: Weights(w := likelier(draws), 0.3 * w, 0.7 * draws.share * draws.f),
}


@pytest.mark.parametrize("kl", ["closed", "sampled"])
@pytest.mark.parametrize("name", OWN)
def test_training_uses_the_mean_of_the_rows_of_an_estimator_of_ones_own(name, kl, rng, monkeypatch):
    table = Table("estimator")
    table.update({**ESTIMATORS, "own": Estimator(OWN[name], has_path=True)})
    monkeypatch.setattr("minivae.estimators.objectives.ESTIMATORS", table)
    model, params = small_vae(rng)
    x, eps = binary(rng, 3), rng.normal(size=(6, 3, 2))
    objective = Elbo("own", kl=kl)
    found = [encoder_draws(model, params, x, eps).rows(objective, n_group=n) for n in (6, 3, 2)]
    for n, rows in zip((6, 3, 2), found, strict=True):
        groups = [head_bias_gradient(model, params, x, e, objective=objective) for e in np.split(eps, 6 // n)]
        np.testing.assert_allclose(rows.mean(axis=0).sum(axis=0) / 3, np.mean(groups, axis=0), rtol=1e-9, atol=1e-12)
    # weights that look at the whole group change with it; those of the decoder are nothing to the encoder
    assert np.allclose(found[0].mean(axis=0), found[1].mean(axis=0)) == (name == "decoder alone")


@needs_jit
@pytest.mark.parametrize("beta", [0.0, 1.0, 4.0])
@pytest.mark.parametrize(("estimator", "kl"), WAYS[1:5])
def test_every_estimator_has_the_mean_of_the_pathwise_one(estimator, kl, beta, rng):
    model, params = small_vae(rng)
    x = binary(rng, 3)
    nodes, w = normal_nodes(2)  # in place of draws: no sampling error is left
    exact = head_bias_gradient(model, params, x, np.repeat(nodes, 3, axis=1), weights=w, objective=Elbo(beta=beta))
    how = {"objective": Elbo(estimator, beta, kl), "weights": w}
    found = head_bias_gradient(model, params, x, np.repeat(nodes, 3, axis=1), **how)
    np.testing.assert_allclose(found, exact, rtol=1e-9, atol=1e-9)


def test_the_decoder_and_the_loss_do_not_depend_on_the_estimator(rng):
    model, params = small_vae(rng)
    x, eps = binary(rng), rng.normal(size=(3, 5, 2))
    for kl in ("closed", "sampled"):
        seen = []
        for estimator in ("pathwise", "score", "score-leave-one-out"):
            grads = np.empty_like(params)
            loss, _ = model.loss_and_grad(params, x, eps, grads, Elbo(estimator, kl=kl))
            seen.append((loss, model.unpack(grads)[3]))
        for loss, decoder in seen[1:]:
            assert loss == seen[0][0]
            np.testing.assert_array_equal(decoder, seen[0][1])


@needs_jit
@pytest.mark.parametrize("seed", range(3))
def test_sampled_rows_are_unbiased_and_a_biased_one_is_caught(seed):
    rng = np.random.default_rng(seed)
    model, params = small_vae(rng)
    x, (nodes, w) = binary(rng, 2), normal_nodes(2)
    exact = np.tensordot(w, encoder_draws(model, params, x, nodes).rows(), 1)
    draws = encoder_draws(model, params, x, rng.standard_normal((8000, 2, 2)))
    for estimator, kl in WAYS:
        rows = draws.rows(Elbo(estimator, kl=kl), n_group=4)
        assert_within_standard_errors(rows.reshape(-1, 4, 2, 4).mean(axis=1), exact)
    # a baseline that knows its own draw: the mean of all four, the draw itself included
    f = draws.values().reshape(-1, 4, 2)
    own = (f - f.mean(axis=1, keepdims=True)).reshape(8000, 2, 1) * draws.score
    biased = own + (draws.rows(Elbo("score")) - draws.values()[:, :, None] * draws.score)
    with pytest.raises(AssertionError, match="standard errors"):
        assert_within_standard_errors(biased.reshape(-1, 4, 2, 4).mean(axis=1), exact)


def test_leave_one_out_does_not_see_a_constant_and_leaves_its_own_draw_out(rng):
    model, params = small_vae(rng, Gaussian())
    x, eps = rng.normal(size=(3, 4)), rng.normal(size=(4, 3, 2))
    draws = encoder_draws(model, params, x, eps)
    f = draws.values()
    closed = draws.rows(Elbo("score"), baseline=0.0) - f[:, :, None] * draws.score  # what the closed KL gives
    expected = (f - leave_one_out(f))[:, :, None] * draws.score + closed
    np.testing.assert_allclose(draws.rows(Elbo("score-leave-one-out")), expected, rtol=1e-10, atol=1e-12)
    # a constant in the log-density, such as another unit of x, changes f and not the rows
    unit = 8.0
    shifted = small_vae(rng, Gaussian(unit**2))[0]
    scaled = params.copy()
    weight, bias = shifted.decoder.layers[-1].unpack(shifted.unpack(scaled)[3][shifted.decoder.slices[-1]])
    weight *= unit
    bias *= unit
    first, _ = shifted.encoder.layers[0].unpack(shifted.unpack(scaled)[0][shifted.encoder.slices[0]])
    first /= unit
    other = encoder_draws(shifted, scaled, unit * x, eps)
    np.testing.assert_allclose(other.values(), f - 4 * np.log(unit), rtol=1e-10)
    again, rows = other.rows(Elbo("score-leave-one-out")), draws.rows(Elbo("score-leave-one-out"))
    np.testing.assert_allclose(again, rows, rtol=1e-9, atol=1e-10)
    assert np.abs(other.rows(Elbo("score")) - draws.rows(Elbo("score"))).max() > 1


def test_streamed_moments_are_those_of_all_rows_at_once(rng):
    rows = rng.normal(3.0, 2.0, size=(60, 2, 3)) * np.array([1.0, 1e-3, 1e3])
    for n_group in (1, 4):
        running = RunningMoments(n_group)
        for start in range(0, 60, 12):
            running.add(rows[start : start + 12])
        whole = summarize(rows, n_group=n_group)
        np.testing.assert_allclose(running.mean, whole.mean, rtol=1e-12)
        np.testing.assert_allclose(running.variance, whole.variance, rtol=1e-12)
    # a mean a million times the spread does not cost the variance its digits
    running = RunningMoments()
    for block in np.split(1e6 + rows[:, 0, 0], 5):
        running.add(block)
    np.testing.assert_allclose(running.variance, rows[:, 0, 0].var(ddof=1), rtol=1e-9)


@needs_jit
def test_head_moments_agree_with_quadrature(rng):
    model, params = small_vae(rng)
    x, (nodes, w) = binary(rng, 40), normal_nodes(2)
    ways = {
        f"{e} {k}": EncoderEstimator(Elbo(e, kl=k), n_group=4 if e == "score-leave-one-out" else 1) for e, k in WAYS
    }
    moments = head_moments(model, params, x, ways, 4000, rng)
    draws = encoder_draws(model, params, x, nodes)
    for name, how in ways.items():
        assert moments[name].n_draws == 4000
        exact = np.tensordot(w, draws.rows(), 1)
        error = np.sqrt(moments[name].variance / 4000)
        assert (np.abs(moments[name].mean - exact) <= 6 * error).all()  # 160 numbers a way
        if how.n_group > 1:
            continue
        rows = draws.rows(how.objective)
        variance = np.tensordot(w, (rows - exact) ** 2, 1)
        kurtosis = np.tensordot(w, (rows - exact) ** 4, 1) / variance**2
        assert (np.abs(moments[name].variance / variance - 1) <= 6 * np.sqrt((kurtosis - 1) / 4000)).all()


def test_a_baseline_is_taken_off_f(rng):
    model, params = small_vae(rng)
    x, eps, c = binary(rng, 3), rng.normal(size=(5, 3, 2)), rng.normal(size=(3, 4))
    draws = encoder_draws(model, params, x, eps)
    plain = draws.rows(Elbo("score"), n_group=1)
    np.testing.assert_allclose(draws.rows(Elbo("score"), c, n_group=1), plain - c * draws.score, rtol=1e-10, atol=1e-12)


@needs_jit
def test_per_coordinate_baselines_go_with_their_examples(rng):
    model, params = small_vae(rng)
    x, baseline = binary(rng, 40), rng.normal(size=(40, 4))
    nodes, w = normal_nodes(2)
    moments = head_moments(model, params, x, {"score": EncoderEstimator(Elbo("score"), baseline=baseline)}, 4000, rng)[
        "score"
    ]
    rows = encoder_draws(model, params, x, nodes).rows(Elbo("score"), baseline=baseline)
    mean = np.tensordot(w, rows, 1)
    variance = np.tensordot(w, (rows - mean) ** 2, 1)
    kurtosis = np.tensordot(w, (rows - mean) ** 4, 1) / variance**2
    assert (np.abs(moments.variance / variance - 1) <= 6 * np.sqrt((kurtosis - 1) / 4000)).all()


def test_bad_input_is_refused(rng):
    model, params = small_vae(rng)
    x, eps, grads = binary(rng, 3), rng.normal(size=(1, 3, 2)), np.empty_like(params)
    for how, message in [
        ({"objective": Elbo("score-leave-one-out")}, "n_draws must be at least 2 for the estimator 'score-leave"),
        ({"objective": Elbo("score"), "baseline": np.zeros(2)}, r"baseline must be a finite number or one for each"),
        ({"objective": Elbo("score"), "baseline": np.nan}, r"baseline must be a finite number"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.loss_and_grad(params, x, eps, grads, **how)
    with pytest.raises(ValueError, match="estimator must be one of pathwise, path-derivative"):
        Elbo("reparam")
    with pytest.raises(ValueError, match="kl must be 'sampled' for the estimator 'path-derivative'"):
        Elbo("path-derivative", kl="closed")
    with pytest.raises(ValueError, match="n_draws must be at least 2 for a variance, got 1"):
        _ = head_moments(model, params, x, {"pathwise": EncoderEstimator()}, 1, rng)["pathwise"].variance
    with pytest.raises(ValueError, match="n_group must be at least 2 for the estimator 'score-leave-one-out', got 1"):
        EncoderEstimator(Elbo("score-leave-one-out"))
    with pytest.raises(ValueError, match="n_group must be an integer of at least 1, got 0"):
        EncoderEstimator(Elbo("pathwise"), n_group=0)
    draws = encoder_draws(model, params, x, rng.normal(size=(10, 3, 2)))
    with pytest.raises(ValueError, match="n_group must divide the 10 draws, got 3"):
        draws.rows(Elbo("score-leave-one-out"), n_group=3)
    with pytest.raises(ValueError, match="n_group must be an integer of at least 1, got 0"):
        draws.rows(Elbo("score-leave-one-out"), n_group=0)
    with pytest.raises(ValueError, match=r"baseline must broadcast to \(3, 4\), got shape \(3,\)"):
        draws.rows(Elbo("score"), baseline=np.zeros(3))
    with pytest.raises(ValueError, match="baseline must hold finite real numbers"):
        draws.rows(Elbo("score"), baseline=np.nan)
    with pytest.raises(ValueError, match="n_draws must hold whole groups of 4, got 10"):
        head_moments(model, params, x, {"loo": EncoderEstimator(Elbo("score-leave-one-out"), n_group=4)}, 10, rng)
    with pytest.raises(ValueError, match="x must be finite"):
        encoder_draws(model, params, np.full((3, 4), np.nan), eps)


def test_quadrature_makes_the_score_function_exact_on_a_linear_model(rng):
    model = VAE.mlp(3, 2, [], likelihood=Gaussian(0.5))
    params, x = model.init(rng), rng.normal(size=(2, 3))
    eps, w = gauss_hermite(5, 2)
    draws = encoder_draws(model, params, x, eps)
    exact = np.tensordot(w, draws.rows(Elbo("pathwise")), 1)
    for estimator, kl in WAYS[1:5]:
        np.testing.assert_allclose(
            np.tensordot(w, draws.rows(Elbo(estimator, kl=kl)), 1), exact, rtol=1e-10, atol=1e-10
        )


# ------------------------------------------------------------------------- all states in place of draws


@pytest.fixture(params=[Bernoulli(), GaussianPerPixel()], ids=["bernoulli", "gaussian-per-pixel"])
def bits(request, rng):
    model = VAE.mlp(4, 3, [5], "tanh", request.param, posterior="bits")
    return model, model.init(rng) + 0.5 * rng.standard_normal(model.n_params)


def test_the_states_are_the_draws_that_give_them(bits, rng):
    model, params = bits
    x = binary(rng, 3)
    states = encoder_states(model, params, x)
    eps = np.repeat(all_states(3)[:, None], 3, axis=1)  # uniform noise of 1 gives a bit of 1, and 0 gives 0
    draws = encoder_draws(model, params, x, eps)
    for name in ("head", "z", "log_q", "log_lik", "log_prior", "score", "slope"):
        a, b = getattr(states, name), getattr(draws, name)
        assert a.shape == b.shape, name
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13, err_msg=name)
    for kl in ("closed", "sampled"):
        c = rng.normal(size=(3, 3))
        a, b = (d.rows(Elbo("score", kl=kl), c, n_group=1) for d in (states, draws))
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kl", ["closed", "sampled"])
def test_weighted_by_q_the_states_give_the_exact_gradient(bits, kl, rng):
    model, params = bits
    x = binary(rng, 3)
    states = encoder_states(model, params, x)
    q = np.exp(states.log_q)
    np.testing.assert_allclose(q.sum(axis=0), 1, rtol=1e-12)
    exact = head_bias_gradient(model, params, x, None, objective=Elbo("exact"))
    for c in (0.0, rng.normal(size=(3, 1))):  # the score has mean zero
        rows = states.rows(Elbo("score", kl=kl), c, n_group=1)
        np.testing.assert_allclose(np.einsum("kb,kbh->h", q, rows) / 3, exact, rtol=1e-10, atol=1e-12)


def test_only_what_can_be_enumerated_has_states(rng):
    model, params = small_vae(rng)
    with pytest.raises(ValueError, match="posterior must have states that can be enumerated, got DiagonalGaussian"):
        encoder_states(model, params, binary(rng, 3))
    with pytest.raises(ValueError, match="x must be finite"):
        encoder_states(model, params, np.full((3, 4), np.nan))


@needs_jit  # many draws take minutes without it
def test_many_draws_give_what_few_give_in_memory_that_holds_no_cache_of_them(monkeypatch):
    model, rng = VAE.mlp(30, 2, [40], "tanh"), np.random.default_rng(0)
    params, x, eps = model.init(rng), (rng.random((7, 30)) < 0.5).astype(float), rng.standard_normal((3000, 7, 2))
    monkeypatch.setattr(draws_module, "_ROWS_KEPT", 10**9)
    whole = encoder_draws(model, params, x, eps)
    log_lik, slope = whole.log_lik, whole.slope
    monkeypatch.setattr(draws_module, "_ROWS_KEPT", 10)
    tracemalloc.start()
    parts = encoder_draws(model, params, x, eps)
    np.testing.assert_allclose(parts.log_lik, log_lik, rtol=1e-12)
    np.testing.assert_allclose(parts.slope, slope, rtol=1e-9, atol=1e-12)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3000 * 7 * 40 * 8  # one array of hidden units of all draws
