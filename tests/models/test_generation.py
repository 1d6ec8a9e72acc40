"""New x from codes: paths between them, neighbours of an example, attributes added; each with what is known of it."""

import numpy as np
import pytest

from minivae.distributions.likelihoods import Gaussian
from minivae.models.autoencoder import Autoencoder
from minivae.models.generation import attribute_direction, interpolate, near, with_attribute
from minivae.models.vae import VAE
from tests.support import assert_within_standard_errors, binary, small_vae

UNIT = [(1.0, 0.0, 0.0), (0.6, 0.8, 0.0), (0.0, 0.0, -1.0)]


def sphere(rng, n, L, radius=1.0):
    z = rng.normal(size=(n, L))
    return radius * z / np.linalg.norm(z, axis=1, keepdims=True)


# -------------------------------------------------------------------------------------------- paths


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("shape", [(5,), (3, 5), (1, 1)])
def test_a_path_has_its_ends_and_its_shape(shape, spherical, rng):
    a, b = np.abs(rng.normal(size=(2, *shape)))
    path = interpolate(a, b, 7, spherical=spherical)
    assert path.shape == (7, *shape)
    np.testing.assert_array_equal(path[[0, -1]], [a, b])
    back = interpolate(b, a, 7, spherical=spherical)
    np.testing.assert_allclose(path, back[::-1], atol=1e-14)  # the same way back


def test_a_straight_path_is_affine_in_t(rng):
    a, b = rng.normal(size=(2, 4, 3))
    path = interpolate(a, b, 9)
    np.testing.assert_allclose(np.diff(path, axis=0), np.broadcast_to((b - a) / 8, (8, 4, 3)), atol=1e-14)
    np.testing.assert_allclose(path[4], (a + b) / 2, atol=1e-15)


@pytest.mark.parametrize("L", [2, 3, 50])
def test_a_spherical_path_keeps_the_length_and_turns_at_constant_speed(L, rng):
    a, b = sphere(rng, 20, L, 3.0), sphere(rng, 20, L, 3.0)
    path = interpolate(a, b, 11, spherical=True)
    np.testing.assert_allclose(np.linalg.norm(path, axis=-1), 3.0, rtol=1e-12)
    # of steps of angle w the chord is 2 sin(w / 2): equal, and together they make the whole angle
    angle = np.arccos(np.sum(a * b, axis=1) / 9)
    chords = np.linalg.norm(np.diff(path, axis=0), axis=-1) / 3
    np.testing.assert_allclose(2 * np.arcsin(chords / 2), np.broadcast_to(angle / 10, (10, 20)), atol=1e-12)


def test_a_spherical_path_is_slerp_as_shoemake_wrote_it(rng):
    a, b = sphere(rng, 6, 4, 2.0), sphere(rng, 6, 4, 2.0)
    w = np.arccos(np.sum(a * b, axis=1, keepdims=True) / 4)
    expected = [(np.sin((1 - t) * w) * a + np.sin(t * w) * b) / np.sin(w) for t in np.linspace(0, 1, 5)]
    np.testing.assert_allclose(interpolate(a, b, 5, spherical=True), expected, atol=1e-12)


def test_the_length_runs_straight_between_ends_of_two_lengths(rng):
    a, b = sphere(rng, 6, 4, 2.0), sphere(rng, 6, 4, 5.0)
    path = interpolate(a, b, 4, spherical=True)
    np.testing.assert_allclose(np.linalg.norm(path, axis=-1), np.broadcast_to([[2], [3], [4], [5]], (4, 6)), rtol=1e-12)


def test_a_path_lies_in_the_plane_of_its_ends(rng):
    a, b = rng.normal(size=(2, 6))
    assert np.linalg.matrix_rank(np.concatenate([interpolate(a, b, 9, spherical=True), [a, b]]), tol=1e-12) == 2


@pytest.mark.parametrize("u", UNIT)
def test_equal_ends_give_one_point_and_opposite_ones_half_a_circle(u):
    u = 2 * np.array(u)
    np.testing.assert_allclose(interpolate(u, u, 5, spherical=True), np.tile(u, (5, 1)), atol=1e-15)
    path = interpolate(u, -u, 5, spherical=True)
    np.testing.assert_allclose(np.linalg.norm(path, axis=-1), 2, rtol=1e-12)
    np.testing.assert_allclose(path @ u / 4, np.cos(np.linspace(0, np.pi, 5)), atol=1e-12)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("distance", [1e-15, 1e-12, 1e-9, 1e-6])
def test_almost_equal_and_almost_opposite_ends_are_joined_as_well(sign, distance, rng):
    a, b = np.array([1.0, 0.0, 0.0]), np.array([sign, 0.0, distance])
    path = interpolate(a, b, 11, spherical=True)
    np.testing.assert_allclose(np.linalg.norm(path, axis=-1), 1, rtol=1e-12)
    steps = np.linalg.norm(np.diff(path, axis=0), axis=-1)
    np.testing.assert_allclose(steps, steps[0], atol=1e-12)
    assert np.abs(path[:, 1]).max() < 1e-12 or distance == 1e-15  # in the plane of the two ends
    a = sphere(rng, 20, 50)  # where rounding is of the size of what sets the ends apart
    path = interpolate(a, sign * a + distance * sphere(rng, 20, 50), 11, spherical=True)
    assert np.abs(np.linalg.norm(path[1:-1], axis=-1) - 1).max() < max(1e-12, 2 * distance)


def test_a_zero_end_has_no_direction_and_the_path_is_straight():
    b = np.array([3.0, 4.0])
    for ends in ((np.zeros(2), b), (b, np.zeros(2)), (np.zeros(2), np.zeros(2))):
        np.testing.assert_array_equal(interpolate(*ends, 4, spherical=True), interpolate(*ends, 4))


def test_each_pair_has_its_own_path(rng):
    a, b = rng.normal(size=(2, 4, 3))
    a[1], b[1] = [1, 0, 0], [-2, 0, 0]  # opposite
    a[2] = 0
    path = interpolate(a, b, 6, spherical=True)
    for i in range(4):
        np.testing.assert_allclose(path[:, i], interpolate(a[i], b[i], 6, spherical=True), atol=1e-15)


def test_the_middle_of_a_straight_line_leaves_the_shell_and_that_of_the_arc_does_not(rng):
    # z ~ N(0, I_L): E||z||^2 = L, and of the middle of two independent ones L / 2
    L = 200
    a, b = rng.standard_normal((2, 4000, L))
    assert_within_standard_errors(np.sum(interpolate(a, b, 3)[1] ** 2, axis=1), L / 2)
    arc = np.linalg.norm(interpolate(a, b, 3, spherical=True)[1], axis=1)
    np.testing.assert_allclose(arc, (np.linalg.norm(a, axis=1) + np.linalg.norm(b, axis=1)) / 2, rtol=1e-12)


@pytest.mark.parametrize(
    ("a", "b", "how", "words"),
    [
        (np.ones(2), np.ones(3), {}, r"a and b must have one shape, .*got \(2,\) and \(3,\)"),
        (np.ones((2, 3)), np.ones(3), {}, "a and b must have one shape"),
        (np.ones((1, 2, 3)), np.ones((1, 2, 3)), {}, "a and b must have one shape"),
        (np.ones(2), np.ones(2), {"n": 1}, "n must be at least 2, got 1"),
        (np.ones(1), -np.ones(1), {"spherical": True}, "a and b must have at least two dimensions"),
    ],
)
def test_what_cannot_be_joined_is_refused(a, b, how, words):
    with pytest.raises(ValueError, match=words):
        interpolate(a, b, **how)


# -------------------------------------------------------------------------------------------- neighbours


def test_near_without_noise_is_the_reconstruction(rng):
    for likelihood in (None, Gaussian(0.3), "gaussian-per-pixel"):
        model, params = small_vae(rng, likelihood)
        x = binary(rng)
        np.testing.assert_allclose(
            near(model, params, x, eps=np.zeros((2, 5, 2))),
            np.tile(model.reconstruct(params, x), (2, 1, 1)),
            rtol=1e-12,
        )


def test_near_is_the_posteriors_draw_decoded_each_draw_with_its_example(rng):
    model, params = small_vae(rng)
    x, eps = binary(rng), rng.normal(size=(3, 5, 2))
    head = model.encode(params, x)
    mu, sigma = head[:, :2], np.exp(head[:, 2:] / 2)
    found = near(model, params, x, eps=eps)
    assert found.shape == (3, 5, 4)
    for k in range(3):
        np.testing.assert_allclose(found[k], model.decode(params, mu + sigma * eps[k]), rtol=1e-12)


def test_near_draws_the_noise_of_the_posterior(rng):
    # a linear decoder with one latent: E[x|z] of a draw is normal, with the posterior's mean and variance
    model = VAE.mlp(1, 1, [], likelihood=Gaussian(0.01))
    params = np.zeros(model.n_params)
    parts = dict(model.named(params))
    parts["encoder.0.bias"][:] = 0.7, np.log(0.25)
    parts["decoder.0.weight"][:] = 2.0
    means = near(model, params, np.zeros((1, 1)), 20_000, rng=rng)[:, 0, 0]
    assert_within_standard_errors(means, 1.4)
    assert_within_standard_errors((means - 1.4) ** 2, 4 * 0.25)
    draws = near(model, params, np.zeros((1, 1)), 20_000, rng=rng, mean=False)[:, 0, 0]
    assert_within_standard_errors((draws - 1.4) ** 2, 4 * 0.25 + 0.01)
    x = near(model, params, np.zeros((1, 1)), rng=rng, eps=np.zeros((20_000, 1, 1)), mean=False)[:, 0, 0]
    assert_within_standard_errors((x - 1.4) ** 2, 0.01)


def test_bits_have_neighbours_and_a_fixed_variance_too(rng):
    x = binary(rng)
    model = VAE.mlp(4, 3, [5], posterior="bits")
    params = model.init(rng)
    found = near(model, params, x, 50, rng=rng).reshape(-1, 4)
    codes = np.array([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)], float)
    eight = model.decode(params, codes)  # all that it can say
    assert np.abs(found[:, None] - eight).max(axis=2).min(axis=1).max() < 1e-12
    model = VAE.mlp(4, 3, [5], posterior="fixed")
    assert near(model, model.init(rng), x, 2, rng=rng).shape == (2, 5, 4)


def test_the_dtype_is_that_of_the_parameters(rng):
    model, params = small_vae(rng, dtype=np.float32)
    x = binary(rng).astype(np.float32)
    assert near(model, params, x, 2, rng=rng).dtype == np.float32
    assert with_attribute(model, params, x, np.ones(2)).dtype == np.float32


def test_points_have_no_neighbours_and_the_noise_is_given_once(rng):
    model, params = small_vae(rng)
    x, eps, plain = binary(rng), np.zeros((1, 5, 2)), Autoencoder.mlp(4, 2)
    with pytest.raises(ValueError, match="model must be a model whose code is a distribution, got Autoencoder"):
        near(plain, plain.init(rng), x, rng=rng)
    with pytest.raises(ValueError, match="rng or eps must be given for the noise, got None"):
        near(model, params, x)
    with pytest.raises(ValueError, match="rng must be given for the draws of x, got None"):
        near(model, params, x, eps=eps, mean=False)
    with pytest.raises(ValueError, match="rng must be left out"):
        near(model, params, x, eps=eps, rng=rng)
    bits = VAE.mlp(4, 2, posterior="bits")
    with pytest.raises(ValueError, match="eps must be uniform noise"):
        near(bits, bits.init(rng), x, eps=np.full((1, 5, 2), -1.0))


# -------------------------------------------------------------------------------------------- attributes


def test_the_direction_is_the_difference_of_the_mean_codes(rng):
    z, has = rng.normal(size=(7, 3)), np.array([1, 0, 0, 1, 1, 0, 0], bool)
    d = attribute_direction(z, has)
    np.testing.assert_allclose(d, z[[0, 3, 4]].mean(0) - z[[1, 2, 5, 6]].mean(0), atol=1e-15)
    np.testing.assert_allclose(attribute_direction(z, ~has), -d, atol=1e-15)
    np.testing.assert_allclose(attribute_direction(z + 5, has), d, atol=1e-14)


@pytest.mark.parametrize("kind", ["ae", "vae"])
def test_on_a_linear_model_the_arithmetic_is_exact(kind, rng):
    # f(x) = A x + c, g(z) = W z + b: adding to the code what x + d has more of decodes to the reconstruction of x + d
    A, W = rng.normal(size=(2, 5)), rng.normal(size=(5, 2))
    model = Autoencoder.mlp(5, 2, []) if kind == "ae" else VAE.mlp(5, 2, [], likelihood=Gaussian())
    params = 0.1 * rng.normal(size=model.n_params)
    parts = dict(model.named(params))
    parts["encoder.0.weight"][:, :2], parts["decoder.0.weight"][:] = A.T, W.T
    x, d = rng.normal(size=(6, 5)), rng.normal(size=5)
    codes = model.embed(params, np.concatenate([x, x + d]))
    direction = attribute_direction(codes, np.arange(12) >= 6)
    np.testing.assert_allclose(direction, A @ d, rtol=1e-12, atol=1e-13)
    for strength in (1.0, -2.0, 0.3):
        found = with_attribute(model, params, x, direction, strength)
        np.testing.assert_allclose(found, model.reconstruct(params, x + strength * d), rtol=1e-12, atol=1e-12)
    # where decoder and encoder are a projection on a subspace that holds d, it is x's projection with d added
    Q, _ = np.linalg.qr(np.stack([d, rng.normal(size=5)], axis=1))
    params[:] = 0
    parts["encoder.0.weight"][:, :2], parts["decoder.0.weight"][:] = Q, Q.T
    direction = attribute_direction(model.embed(params, np.concatenate([x, x + d])), np.arange(12) >= 6)
    np.testing.assert_allclose(with_attribute(model, params, x, direction), x @ Q @ Q.T + d, atol=1e-12)


def test_what_has_no_direction_is_refused(rng):
    z = rng.normal(size=(3, 2))
    for has, words in (
        ([True, True, True], "got only True"),
        ([False, False, False], "got no True"),
        ([1, 0, 1], "has must be an array of bool"),
        ([True, False], r"of shape \(3,\), one for each code"),
    ):
        with pytest.raises(ValueError, match=words):
            attribute_direction(z, has)
    bits = VAE.mlp(4, 2, posterior="bits")
    with pytest.raises(ValueError, match="model must have real codes to add a direction to, got Bits"):
        with_attribute(bits, bits.init(rng), binary(rng), np.ones(2))
    model, params = small_vae(rng)
    with pytest.raises(ValueError, match="direction must have shape"):
        with_attribute(model, params, binary(rng), np.ones(3))
