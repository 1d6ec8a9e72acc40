"""Why images are blurry: the mean at a shared code, the price of sharing it, and what a bit gives back."""

import numpy as np
import pytest

from minivae.distributions.likelihoods import Gaussian
from minivae.estimators.objectives import Elbo
from minivae.models.vae import VAE
from minivae.studies import plots
from minivae.studies.blur import (
    _least,
    best_one_bit,
    contrast_figure,
    fit_one_bit,
    fit_shared_code,
    measure_sharpness,
    mixture_cost,
    sharpness,
    two_images_figure,
)
from tests.support import binary, small_vae


def two(rng, n=9):
    return rng.random((2, n))


# ------------------------------------------------------------------------------------------ sharpness


def test_sharpness_is_the_mean_square_of_neighbours_differences(rng):
    images = rng.normal(size=(3, 6))
    expected = []
    for a, b, c, d, e, f in images:  # 2 rows of 3
        pairs = [(a, b), (b, c), (d, e), (e, f), (a, d), (b, e), (c, f)]
        expected.append(np.mean([(x - y) ** 2 for x, y in pairs]))
    np.testing.assert_allclose(sharpness(images, (2, 3)), expected, rtol=1e-13)
    with pytest.raises(ValueError, match="shape must have two pixels at least"):
        sharpness(np.ones((2, 1)), (1, 1))


def test_of_a_mean_image_it_is_the_mean_less_that_of_the_deviations(rng):
    images = rng.normal(size=(7, 12))
    mean = images.mean(axis=0)
    left = sharpness(mean[None], (3, 4)).item()
    assert abs(left - sharpness(images, (3, 4)).mean() + sharpness(images - mean, (3, 4)).mean()) < 1e-13
    assert left < sharpness(images, (3, 4)).mean()


# ------------------------------------------------------------------------------------------ one code


@pytest.mark.parametrize("n", [2, 5])
@pytest.mark.parametrize("name", ["gaussian", "bernoulli", "gaussian-learned", "gaussian-per-pixel"])
def test_where_images_share_a_code_the_best_image_is_their_mean(name, n, rng):
    images = binary(rng, n, 6) if name == "bernoulli" else rng.normal(size=(n, 6))
    found = fit_shared_code(images, name)
    np.testing.assert_allclose(found.image, images.mean(axis=0), atol=1e-6)
    assert found.distance < 1e-6
    assert abs(found.distance - np.abs(found.image - images.mean(axis=0)).max()) < 1e-15
    if n == 2:
        middle = sharpness(found.image[None], (2, 3)).item()
        assert middle < sharpness(images, (2, 3)).mean()


def test_what_one_code_costs_is_as_the_closed_form_says(rng):
    a, b = two(rng)
    known = -0.5 * 9 * np.log(2 * np.pi * 0.3)
    cost = known - fit_shared_code(np.stack([a, b]), Gaussian(0.3)).log_lik
    assert abs(cost - np.sum((a - b) ** 2) / (8 * 0.3)) < 1e-9
    images = np.array([[0, 1, 1, 0, 1, 0.0], [0, 1, 0, 1, 0, 0]])  # three pixels differ
    assert abs(-fit_shared_code(images, "bernoulli").log_lik - 3 * np.log(2)) < 1e-6


# ------------------------------------------------------------------------------------------ one bit


@pytest.mark.parametrize("share", [0.05, 0.4, 0.8, 0.95, 1.05, 2.0])
@pytest.mark.parametrize("variance", [1.0, 0.1])
def test_a_trained_bit_reaches_the_closed_form(share, variance, rng):
    a, b = two(rng)
    beta = share * np.sum((a - b) ** 2) / (4 * variance)
    exact, found = best_one_bit(a, b, variance, beta), fit_one_bit(a, b, variance, beta)
    assert abs(found.loss - exact.loss) < 1e-9 * max(1, exact.loss)
    assert abs(found.contrast - exact.contrast) < 1e-4  # the square root of the loss's
    assert (exact.contrast == 0) == (share > 1)


def test_the_closed_form_is_least_over_all_contrasts_and_solves_its_equation(rng):
    a, b = two(rng)
    c = np.sum((a - b) ** 2) / 8
    u = np.linspace(0, 1 - 1e-9, 20_001)
    for beta in (0.3 * c, c, 1.9 * c, 3 * c):
        told = (1 + u) / 2 * np.log1p(u) + (1 - u) / 2 * np.log1p(-u)
        loss = c * (1 - u**2) + beta * told
        best = best_one_bit(a, b, beta=beta)
        assert best.loss <= loss.min() + 1e-12
        assert abs(best.loss - loss.min()) < 1e-6
        if best.contrast:
            assert abs(2 * c * best.contrast - beta * np.arctanh(best.contrast)) < 1e-9 * c


def test_a_weight_and_a_variance_are_one_thing(rng):
    a, b = two(rng)
    one, other = best_one_bit(a, b, 0.2, 1.0), best_one_bit(a, b, 0.1, 2.0)
    assert abs(one.contrast - other.contrast) < 1e-12
    assert abs(2 * one.loss - other.loss) < 1e-12


def test_with_next_to_no_kl_both_images_are_sharp_and_at_the_threshold_one(rng):
    a, b = two(rng)
    threshold = np.sum((a - b) ** 2) / 4
    assert best_one_bit(a, b, beta=1e-4 * threshold).contrast == 1
    assert best_one_bit(a, b, beta=threshold) == best_one_bit(a, b, beta=9 * threshold)
    # just below it u = sqrt(3 (1 - beta / threshold)): a square root, as artanh(u) = u + u^3 / 3
    assert abs(best_one_bit(a, b, beta=(1 - 1e-6) * threshold).contrast / np.sqrt(3e-6) - 1) < 1e-5


@pytest.mark.parametrize(("beta", "kept"), [(2.0, True), (4.0, False)])
def test_bernoulli_pixels_are_told_apart_if_there_are_more_of_them_than_beta(beta, kept):
    images = np.array([[0, 1, 1, 0, 1, 0.0], [0, 1, 0, 1, 0, 0]])  # three differ
    model = VAE.mlp(6, 1, [], posterior="bits")
    objective = Elbo("exact", beta, "closed")
    params = _least(model, model.init(np.random.default_rng(0)), images, None, objective, None, slice(None))
    zero, one = model.decode(params, np.array([[0.0], [1.0]]))
    loss = model.terms(params, images, objective=objective).loss(beta)
    assert abs(loss - (beta if kept else 3) * np.log(2)) < 1e-4
    np.testing.assert_allclose(np.abs(one - zero), np.abs(images[0] - images[1]) * kept, atol=1e-2)


def test_a_likelihood_of_two_modes_costs_log_2_at_most(rng):
    a, b = two(rng)
    for variance in (0.01, 1.0, 100.0):
        far = np.sum((a - b) ** 2) / (2 * variance)
        exact = -np.log(0.5 + 0.5 * np.exp(-far))
        assert abs(mixture_cost(a, b, variance) - exact) < 1e-12
        assert mixture_cost(a, b, variance) <= np.log(2)
        price = far / 4  # of one code with one mode
        assert (mixture_cost(a, b, variance) < price) == (variance == 0.01)


@pytest.mark.parametrize(
    ("a", "b", "how", "words"),
    [
        (np.ones(3), np.ones(3), {}, "a and b must be two different images of one size, got the same twice"),
        (np.ones(3), np.ones(2), {}, r"got \(3,\) and \(2,\)"),
        (np.ones(3), np.zeros(3), {"beta": 0.0}, "beta must be a finite number greater than 0"),
        (np.ones(3), np.zeros(3), {"variance": -1.0}, "variance must be a finite number greater than 0"),
        (np.ones(3), np.zeros(3), {"variance": 1e-30}, "variance must leave a price that is an ordinary number"),
    ],
)
def test_what_is_no_pair_is_refused(a, b, how, words):
    with pytest.raises(ValueError, match=words):
        best_one_bit(a, b, **how)


# ------------------------------------------------------------------------------------------ models and figures


def test_the_sharpness_of_a_model_is_that_of_its_images(rng):
    model, params = small_vae(rng)
    x = binary(rng, 400)
    found = measure_sharpness(model, params, x, (2, 2), seed=4)
    assert found["originals"] == sharpness(x, (2, 2)).mean()
    assert abs(found["reconstructions E[x|z]"] - sharpness(model.reconstruct(params, x), (2, 2)).mean()) < 1e-15
    # of independent pixels of means p: E (x_i - x_j)^2 = (p_i - p_j)^2 + p_i (1 - p_i) + p_j (1 - p_j)
    assert found["samples x ~ p(x|z)"] > found["samples E[x|z]"]
    sharp = [measure_sharpness(model, params, x, (2, 2), seed=seed)["samples E[x|z]"] for seed in (4, 5)]
    assert sharp[0] == found["samples E[x|z]"] != sharp[1]


def test_the_pictures_show_two_images_and_what_becomes_of_them(monkeypatch):
    seen = {}
    monkeypatch.setattr(plots, "image_rows", lambda rows, *_: seen.update(rows))
    a, b = np.array([[0, 1, 1, 0], [0, 0, 1, 1.0]]) * 1.0
    two_images_figure(a, b, (2, 2))
    np.testing.assert_array_equal(seen["two images"], [a, b])
    for name in ("Gaussian", "Bernoulli"):
        np.testing.assert_allclose(seen[f"one code, {name}"], np.tile((a + b) / 2, (2, 1)), atol=1e-6)
    assert set(np.unique(seen["two draws of that"])) <= {0.0, 1.0}
    price = np.sum((a - b) ** 2) / 8
    u = best_one_bit(a, b, beta=0.5 * price).contrast
    kept = seen[f"one bit, beta = {0.5 * price:.2g}"]
    np.testing.assert_allclose(kept[0] - kept[1], u * (a - b), atol=1e-12)
    np.testing.assert_allclose(kept.mean(axis=0), (a + b) / 2, atol=1e-12)


def test_the_curve_of_the_contrast_has_the_trained_points_on_it(rng):
    left, right = contrast_figure(*two(rng), n_points=3).axes
    for axes in (left, right):
        curve, points = axes.get_lines()[:2]
        on = np.interp(points.get_xdata(), curve.get_xdata(), curve.get_ydata())
        np.testing.assert_allclose(points.get_ydata(), on, atol=0.03)
        assert "beta" in axes.get_xlabel()
