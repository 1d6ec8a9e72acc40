"""The linear autoencoder: its critical points, what training finds and what it does not, with and without L2."""

from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import minimize

from minivae.classical.descent import descend, lbfgs
from minivae.classical.linear_autoencoder import LinearAutoencoder
from minivae.classical.probabilistic_pca import probabilistic_pca
from minivae.classical.subspaces import covariance, subspace_distance
from minivae.core.errors import NonFiniteError
from minivae.distributions.likelihoods import Gaussian
from minivae.distributions.linear_gaussian import LinearGaussian
from minivae.estimators.objectives import Elbo
from minivae.models.autoencoder import Autoencoder
from minivae.models.vae import VAE
from minivae.nn.gradcheck import check_gradient
from minivae.nn.optim import SGD, Adam, StepDecay
from tests.support import CORNERS, exact_covariance_data

EIGENVALUES = np.array([4.0, 2.0, 1.0, 0.5])
LOSSES = {(0, 1): 1.5, (0, 2): 2.5, (0, 3): 3, (1, 2): 4.5, (1, 3): 5, (2, 3): 6}
RANK_ONE = {(0,): 3.5, (1,): 5.5, (2,): 6.5, (3,): 7}
MODEL = LinearAutoencoder(4, 2)


@pytest.fixture
def eigen(rng):
    """Return S with the known eigenvalues, and its eigenvectors as columns."""
    U, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    return U @ np.diag(EIGENVALUES) @ U.T, U


def flat(W1, W2):
    return np.concatenate([W1.ravel(), W2.ravel()])


def gradient(params, S, model=MODEL):
    grads = np.full_like(params, np.nan)
    model.loss_and_grad(params, S, grads)
    return grads


# --------------------------------------------------------------------------------------- loss and gradient


@pytest.mark.parametrize("l2", [0.0, 0.7])
def test_gradient_and_both_forms_of_the_loss(l2, eigen, rng):
    S, _ = eigen
    model = LinearAutoencoder(4, 2, l2)
    params = rng.normal(size=model.n_params)
    assert check_gradient(lambda p: model.loss(p, S), gradient(params, S, model), params).ok
    assert abs(model.loss_and_grad(params, S, np.empty_like(params)) - model.loss(params, S)) < 1e-12


def test_the_loss_is_that_of_the_rows_and_of_the_package_autoencoder(rng):
    # in an Autoencoder with Gaussian() the loss is half the squared error plus a constant, and biases are there to be 0
    x = exact_covariance_data(EIGENVALUES, 30, rng)
    params = rng.normal(size=MODEL.n_params)
    loss = MODEL.loss(params, covariance(x))
    assert abs(loss - np.mean(np.sum((x - MODEL.reconstruct(params, x)) ** 2, axis=1))) < 1e-12
    plain = Autoencoder.mlp(4, 2, [])
    other, grads = np.zeros(plain.n_params), np.empty(plain.n_params)
    W1, W2 = MODEL.unpack(params)
    parts, dparts = dict(plain.named(other)), dict(plain.named(grads))
    parts["encoder.0.weight"][:], parts["decoder.0.weight"][:] = W1.T, W2.T
    half, _ = plain.loss_and_grad(other, x, None, grads)
    assert abs(2 * (half - 2 * np.log(2 * np.pi)) - loss) < 1e-12
    dW1, dW2 = MODEL.unpack(gradient(params, covariance(x)))
    np.testing.assert_allclose(2 * dparts["encoder.0.weight"].T, dW1, atol=1e-12)
    np.testing.assert_allclose(2 * dparts["decoder.0.weight"].T, dW2, atol=1e-12)
    for side in ("encoder", "decoder"):
        np.testing.assert_allclose(dparts[f"{side}.0.bias"], 0, atol=1e-13)


# ---------------------------------------------------------------------------------------- critical points


@pytest.mark.parametrize("kept", LOSSES)
def test_every_pair_of_components_is_a_critical_point_and_only_the_best_a_minimum(kept, eigen, rng):
    S, U = eigen
    C = rng.normal(size=(2, 2))
    W1, W2 = np.linalg.inv(C) @ U[:, kept].T, U[:, kept] @ C
    params = flat(W1, W2)
    assert np.abs(gradient(params, S)).max() < 1e-12
    assert abs(MODEL.loss(params, S) - LOSSES[kept]) < 1e-12
    # turn a kept component i towards a better one j that is left out: loss - (lambda_j - lambda_i) sin^2 t
    ways_out = [(i, j) for i in kept for j in range(4) if j not in kept and j < i]
    assert bool(ways_out) == (kept != (0, 1))
    for i, j in ways_out:
        for t in (1e-3, 0.5):
            turned = U[:, kept].copy()
            turned[:, kept.index(i)] = np.cos(t) * U[:, i] + np.sin(t) * U[:, j]
            lower = MODEL.loss(flat(np.linalg.inv(C) @ turned.T, turned @ C), S)
            assert abs(LOSSES[kept] - lower - (EIGENVALUES[j] - EIGENVALUES[i]) * np.sin(t) ** 2) < 1e-12


def test_no_direction_leads_down_from_the_minimum(eigen):
    # the Hessian, by central differences of the exact gradient, has no negative eigenvalue
    S, U = eigen
    for kept in ((0, 1), (0, 2)):
        params = flat(U[:, kept].T, U[:, kept])
        h = 1e-5
        columns = [gradient(params + h * e, S) - gradient(params - h * e, S) for e in np.eye(len(params))]
        lowest = np.linalg.eigvalsh(np.array(columns) / (2 * h))[0]
        assert (lowest > -1e-8) if kept == (0, 1) else (lowest < -0.1)


@pytest.mark.parametrize("kept", RANK_ONE)
def test_critical_points_of_rank_one_and_what_is_not_one(kept, eigen, rng):
    S, U = eigen
    i = kept[0]
    C = rng.normal(size=(2, 2))
    W2 = np.column_stack([U[:, i], np.zeros(4)]) @ C
    inside = flat(np.linalg.inv(C) @ np.vstack([U[:, i], 0.7 * U[:, i]]), W2)  # K in the span of what is kept
    assert np.abs(gradient(inside, S)).max() < 1e-12
    assert abs(MODEL.loss(inside, S) - RANK_ONE[kept]) < 1e-12
    outside = flat(np.linalg.inv(C) @ np.vstack([U[:, i], U[:, (i + 1) % 4]]), W2)
    dW1, dW2 = MODEL.unpack(gradient(outside, S))
    assert np.abs(dW1).max() < 1e-12
    assert np.abs(dW2).max() > 0.1
    # the unused unit takes up another component: loss - lambda_j (1 - (1 - t^2)^2)
    j, t = (i + 1) % 4, 1e-2
    free = flat(np.vstack([U[:, i], t * U[:, j]]), np.column_stack([U[:, i], t * U[:, j]]))
    assert abs(RANK_ONE[kept] - MODEL.loss(free, S) - EIGENVALUES[j] * (1 - (1 - t**2) ** 2)) < 1e-12


def test_the_origin_is_a_saddle(eigen):
    S, U = eigen
    assert not gradient(np.zeros(16), S).any()
    assert abs(MODEL.loss(np.zeros(16), S) - 7.5) < 1e-12
    step = flat(np.vstack([U[:, 0], 0 * U[:, 0]]), np.column_stack([U[:, 0], 0 * U[:, 0]]))
    assert MODEL.loss(0.1 * step, S) < 7.5 < MODEL.loss(0.1 * step * np.repeat([1, -1], 8), S)


# ----------------------------------------------------------------------------------------------- training


def trained(how, model, params, S):
    if how == "SGD":
        return descend(model, params, S, SGD(0.05, momentum=0.9), StepDecay(()), n_steps=20_000)
    return descend(model, params, S) if how == "Adam" else lbfgs(model, params, S)


@pytest.mark.parametrize("how", ["SGD", "Adam", "L-BFGS"])
def test_training_finds_the_subspace_and_the_sum_of_the_discarded_eigenvalues(how, eigen):
    S, U = eigen
    for seed in range(3):
        found = trained(how, MODEL, MODEL.init(np.random.default_rng(seed)), S)
        assert abs(found.loss - 1.5) < 1e-8
        W1, W2 = MODEL.unpack(found.params)
        assert subspace_distance(W2.T, U[:, :2].T) < 1e-6
        assert np.abs(W2 @ W1 - U[:, :2] @ U[:, :2].T).max() < 1e-6
        # its decoder's singular vectors are not the components: the honest negative
        assert (np.abs(MODEL.decoder_directions(found.params) @ U[:, :2]) < 0.999).all()
        # but the components of what it reconstructs are
        values, vectors = MODEL.components(found.params, S)
        np.testing.assert_allclose(values, [4, 2], atol=1e-6)
        np.testing.assert_allclose(np.abs(vectors @ U[:, :2]), np.eye(2), atol=1e-6)


def test_a_mixing_matrix_leaves_the_loss_and_hides_the_components(eigen):
    S, U = eigen
    C = np.array([[1.0, 2.0], [0.5, -1.0]])
    params = flat(np.linalg.inv(C) @ U[:, :2].T, U[:, :2] @ C)
    assert abs(MODEL.loss(params, S) - 1.5) < 1e-12
    left = np.linalg.svd(C)[0]
    np.testing.assert_allclose(
        np.abs(MODEL.decoder_directions(params) @ U[:, :2]), np.abs(left.T), atol=1e-12
    )  # the singular vectors of C, not the identity
    assert np.abs(left[0, 0]) < 0.99


def test_gradient_flow_conserves_the_balance_of_the_weights(eigen, rng):
    # d/dt (W1 W1^T - W2^T W2) = 0: the gradient along it is zero at any point
    S, _ = eigen
    params = rng.normal(size=16)
    (W1, W2), (dW1, dW2) = MODEL.unpack(params), MODEL.unpack(gradient(params, S))
    change = dW1 @ W1.T + W1 @ dW1.T - dW2.T @ W2 - W2.T @ dW2
    np.testing.assert_allclose(change, 0, atol=1e-12)


@pytest.mark.parametrize("how", ["Adam", "L-BFGS"])
@pytest.mark.parametrize(
    ("l2", "squares", "lowest"),
    [
        (0.3, [0.925, 0.85], 2.6325),
        (0.7, [0.825, 0.65], 3.9325),
        (1.5, [0.625, 0.25], 5.8125),
        (2.5, [0.375, 0], 6.9375),
    ],
)
def test_l2_recovers_the_components_and_shrinks_them_as_predicted(how, l2, squares, lowest, eigen):
    S, U = eigen
    model = LinearAutoencoder(4, 2, l2)
    loss, expected = model.optimum(EIGENVALUES)
    assert abs(loss - lowest) < 1e-12
    np.testing.assert_allclose(expected, squares, atol=1e-12)
    found = trained(how, model, model.init(np.random.default_rng(1)), S)
    W1, W2 = model.unpack(found.params)
    assert abs(found.loss - loss) < 1e-8
    np.testing.assert_allclose(W1, W2.T, atol=1e-6)
    np.testing.assert_allclose(np.linalg.svd(W2)[1] ** 2, squares, atol=1e-6)
    kept = sum(s > 0 for s in squares)
    overlap = np.abs(model.decoder_directions(found.params)[:kept] @ U[:, :kept])
    np.testing.assert_allclose(overlap, np.eye(kept), atol=1e-6)


def test_the_optimum_is_the_best_of_all_choices_of_components(rng):
    # a unit along u_i with squared singular value s costs (1 - s)^2 lambda_i + 2 l2 s; the best s by a fine grid
    grid = np.linspace(0, 1, 20_001)
    values = np.sort(rng.uniform(0.1, 3, 6))[::-1]
    for l2 in (0.0, 0.2, 1.0):
        model = LinearAutoencoder(6, 3, l2)
        gains = np.array([np.min((1 - grid) ** 2 * v + 2 * l2 * grid) - v for v in values])  # of keeping each
        best = min(values.sum() + sum(gains[list(kept)]) for r in range(4) for kept in combinations(range(6), r))
        assert -1e-12 <= best - model.optimum(values)[0] < 1e-7  # the grid's error is of second order


def test_units_of_the_data_do_not_matter(eigen):
    S, U = eigen
    params = MODEL.init(np.random.default_rng(0))
    for scale in (1e-8, 1e8):
        for found in (descend(MODEL, params, scale * S), lbfgs(MODEL, params, scale * S)):
            assert abs(found.loss / scale - 1.5) < 1e-8
            assert subspace_distance(MODEL.unpack(found.params)[1].T, U[:, :2].T) < 1e-6


def test_descend_leaves_its_start_alone_and_says_where_it_stopped(eigen):
    S, _ = eigen
    params = MODEL.init(np.random.default_rng(0))
    before = params.copy()
    found = descend(MODEL, params, S, Adam(0.01), n_steps=5)
    np.testing.assert_array_equal(params, before)
    assert found.n_steps == 5
    assert abs(found.loss - MODEL.loss(found.params, S)) < 1e-12
    assert found.gradient == np.abs(gradient(found.params, S)).max()


@pytest.mark.parametrize("rule", [SGD, Adam])
def test_a_schedule_multiplies_the_rate(rule, eigen, rng):
    S, _ = eigen
    params = MODEL.init(rng)
    scaled, plain = (
        descend(MODEL, params, S, rule(rate), StepDecay(steps, 0.25), n_steps=20, tolerance=0.0).params
        for rate, steps in ((0.01, (0,)), (0.0025, ()))
    )
    np.testing.assert_allclose(scaled, plain, rtol=1e-14)


def test_the_package_autoencoder_without_hidden_layers_finds_the_same_subspace(rng):
    x = exact_covariance_data(EIGENVALUES, 30, rng) + 3.0
    model, S = Autoencoder.mlp(4, 2, []), covariance(x)
    params = model.init(rng, x=x)
    grads, rule, schedule = np.empty_like(params), Adam(0.03), StepDecay((3000, 5000))
    state = rule.init(params)
    for step in range(6000):
        loss, _ = model.loss_and_grad(params, x, None, grads)
        rule.update(params, grads, state, schedule.scale(step))
    assert abs(2 * (loss - 2 * np.log(2 * np.pi)) - 1.5) < 1e-8
    vectors = np.linalg.eigh(S)[1][:, -2:]
    assert subspace_distance(dict(model.named(params))["decoder.0.weight"], vectors.T) < 1e-6


def test_steps_that_are_too_large_are_named(eigen):
    S, _ = eigen
    with pytest.raises(NonFiniteError, match=r"the loss grew to .* at step \d+. Lower the rate 10\."):
        descend(MODEL, MODEL.init(np.random.default_rng(0)), S, SGD(10.0))


@pytest.mark.parametrize("train", [descend, lbfgs])
def test_a_covariance_that_is_none_is_refused(train, eigen):
    params = MODEL.init(np.random.default_rng(0))
    S = eigen[0].copy()
    S[1, 2] = np.nan
    with pytest.raises(ValueError, match="S must be finite, got nan in row 1, column 2"):
        train(MODEL, params, S)
    for use in (train, lambda *a: MODEL.loss(*a[1:]), lambda *a: MODEL.loss_and_grad(*a[1:], np.empty_like(params))):
        with pytest.raises(ValueError, match=r"S must hold real numbers in shape \(4, 4\), got .* shape \(3, 3\)"):
            use(MODEL, params, np.eye(3))


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="n_latent must be at most n_x = 3, got 4"):
        LinearAutoencoder(3, 4)
    with pytest.raises(ValueError, match="l2 must be a finite number at least 0, got -1"):
        LinearAutoencoder(3, 1, -1)


# ------------------------------------------------------------------------------------- the linear VAE

# eps at the corners of a cube: exact for the ELBO of a linear VAE, which is quadratic in the noise
CUBE = np.array(np.meshgrid(*[[-1.0, 1.0]] * 4)).reshape(4, -1).T[:, None]


def minimised(model, x, nodes, start, beta=1.0):
    eps = np.repeat(nodes, len(x), axis=1)

    def value_and_gradient(params):
        grads = np.empty_like(params)
        return model.loss_and_grad(params, x, eps, grads, Elbo(beta=beta))[0], grads

    options = {"maxiter": 5000, "maxfun": 20_000, "ftol": 1e-15, "gtol": 1e-9}
    return minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", options=options)


def test_a_linear_vae_is_probabilistic_pca_with_its_rotation_fixed(rng):
    x = exact_covariance_data([5, 3, 1.2, 0.6, 0.4], 10, rng) + 1.0
    model, exact = VAE.mlp(5, 2, [], likelihood=Gaussian(learned=True)), probabilistic_pca(x, 2)
    found = minimised(model, x, CORNERS, model.init(rng))
    weight, bias = (dict(model.named(found.x))[f"decoder.0.{name}"] for name in ("weight", "bias"))
    order = np.argsort(-np.sum(weight**2, axis=1))
    W = weight[order].T
    np.testing.assert_allclose(np.abs(np.sum(W * exact.W, 0)), np.sum(exact.W**2, 0), atol=1e-3)  # up to a sign
    np.testing.assert_allclose(bias, exact.b, atol=1e-3)
    assert abs(np.exp(found.x[-1]) - exact.s2) < 1e-4
    assert abs(-found.fun - exact.log_prob(x).mean()) < 1e-7


@pytest.mark.parametrize(
    ("beta", "s2", "squares", "objective"),
    [
        (1.0, 0.7, [3.3, 1.3, 0.3, 0], -6.3942802888),
        (2.0, 0.7, [2.6, 0.6, 0, 0], -7.4403298848),
        (4.0, 0.7, [1.2, 0, 0, 0], -8.1757541328),
        (1.0, 1.5, [2.5, 0.5, 0, 0], -6.6209400118),
    ],
)
def test_a_latent_whose_eigenvalue_is_below_beta_s2_is_switched_off(beta, s2, squares, objective, rng):
    x = exact_covariance_data(EIGENVALUES, 10, rng)
    model = VAE.mlp(4, 4, [], likelihood=Gaussian(s2))
    found = minimised(model, x, CUBE, model.init(rng), beta)
    assert abs(-found.fun - objective) < 1e-6
    lengths = np.sort(np.sum(dict(model.named(found.x))["decoder.0.weight"] ** 2, axis=1))[::-1]
    np.testing.assert_allclose(lengths, squares, atol=1e-3)
    kl = np.sort(model.says(found.x, x))[::-1]
    rate = [0.5 * np.log(value / (beta * s2)) if value > beta * s2 else 0 for value in EIGENVALUES]
    np.testing.assert_allclose(kl, rate, atol=1e-3)


def test_the_best_diagonal_posterior_leaves_exactly_the_stated_gap():
    # the decoder of the known instance stays; only the encoder is trained
    W = np.array([[1, 0.5], [-0.3, 0.8], [0.2, -0.6]])
    exact = LinearGaussian(W, np.array([0.1, -0.2, 0.3]), 0.5)
    assert abs(exact.diagonal_gap - 0.0034474404) < 5e-11
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 3))
    model = VAE.mlp(3, 2, [], likelihood=Gaussian(0.5))
    params = model.init(rng)
    parts = dict(model.named(params))
    parts["decoder.0.weight"][:], parts["decoder.0.bias"][:] = W.T, exact.b
    eps, n = np.repeat(CORNERS, 20, axis=1), model.encoder.n_params

    def whole(encoder):
        return np.concatenate([encoder, params[n:]])

    def value_and_gradient(encoder):
        grads = np.empty_like(params)
        return model.loss_and_grad(whole(encoder), x, eps, grads)[0], grads[:n]

    options = {"ftol": 1e-15, "gtol": 1e-9}
    found = minimize(value_and_gradient, params[:n], jac=True, method="L-BFGS-B", options=options)
    gap = exact.log_prob(x) - model.elbo(whole(found.x), x, eps=eps)
    np.testing.assert_allclose(gap, exact.diagonal_gap, atol=1e-7)  # the same for every x


def test_the_gap_is_zero_only_for_orthogonal_columns(rng):
    U, _ = np.linalg.qr(rng.normal(size=(5, 2)))
    assert LinearGaussian(U * [2, 3], np.zeros(5), 0.4).diagonal_gap < 1e-14
    skew = LinearGaussian(U @ [[1, 0.5], [0, 1]], np.zeros(5), 0.4)
    x = rng.normal(size=(3, 5))
    best = skew.elbo(x, skew.posterior(x)[0], np.tile(-np.log(np.diag(skew.precision)), (3, 1)))
    np.testing.assert_allclose(skew.log_prob(x) - best, skew.diagonal_gap, rtol=1e-10)
