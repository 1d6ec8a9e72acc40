"""Corruptions: what they do to x, and how often."""

import numpy as np
import pytest

from minivae.models.autoencoder import Autoencoder
from minivae.models.corruptions import GaussianNoise, MaskingNoise, SaltAndPepperNoise
from tests.support import assert_within_standard_errors

N = 200_000


def corrupted(corruption, x, rng):
    return corruption.apply(x, corruption.draw(rng, x.shape, x.dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gaussian_noise_has_the_stated_mean_and_variance(dtype, rng):
    noise = corrupted(GaussianNoise(0.5), np.full((N, 1), 2, dtype), rng) - 2
    assert noise.dtype == dtype
    assert_within_standard_errors(noise, 0)
    assert_within_standard_errors(noise.astype(float) ** 2, 0.25)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_masking_sets_the_stated_fraction_to_zero_and_leaves_the_rest(dtype, rng):
    x = np.full((N, 1), 2, dtype)
    y = corrupted(MaskingNoise(0.3), x, rng)
    assert y.dtype == dtype
    assert set(np.unique(y)) == {0, 2}
    assert_within_standard_errors(y == 0, 0.3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_salt_and_pepper_are_equally_frequent(dtype, rng):
    y = corrupted(SaltAndPepperNoise(0.3, -1.0, 4.0), np.full((N, 1), 2, dtype), rng)
    assert y.dtype == dtype
    assert set(np.unique(y)) == {-1, 2, 4}
    assert_within_standard_errors(y == -1, 0.15)
    assert_within_standard_errors(y == 4, 0.15)


def test_salt_and_pepper_fit_the_range_of_the_data(rng):
    x = rng.normal(size=(20, 3))
    fitted = SaltAndPepperNoise.fitting(x, fraction=0.4)
    assert (fitted.fraction, fitted.low, fitted.high) == (0.4, x.min(), x.max())


def test_pixels_are_chosen_one_by_one(rng):
    lost = corrupted(MaskingNoise(0.5), np.ones((N, 2)), rng) == 0
    assert_within_standard_errors(lost[:, 0] & lost[:, 1], 0.25)


def test_the_clean_x_is_left_as_it_was(rng):
    x = rng.normal(size=(5, 4))
    before = x.copy()
    for corruption in (GaussianNoise(0.5), MaskingNoise(0.5), SaltAndPepperNoise(0.5)):
        assert (corrupted(corruption, x, rng) != x).any()
        np.testing.assert_array_equal(x, before)


def test_a_level_of_zero_leaves_the_generator_alone(rng):
    state = rng.bit_generator.state
    for corruption in (GaussianNoise(0.0), MaskingNoise(0.0), SaltAndPepperNoise(0.0), None):
        model = Autoencoder.mlp(4, 2, corruption=corruption)
        assert model.draw_noise(rng, 1, 5, float) is None
        np.testing.assert_array_equal(model.seen(np.ones((5, 4)), rng), np.ones((5, 4)))
    assert rng.bit_generator.state == state


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianNoise(-0.1), "std must be a finite number at least 0, got -0.1"),
        (lambda: GaussianNoise(float("nan")), "std must be a finite number"),
        (lambda: MaskingNoise(1.0), "fraction must be a finite number at least 0 and below 1, got 1.0"),
        (lambda: SaltAndPepperNoise(-1), "fraction must be a finite number at least 0 and below 1, got -1"),
        (lambda: SaltAndPepperNoise(0.1, 1.0, 0.0), "high must be a finite number greater than 1, got 0.0"),
    ],
)
def test_impossible_levels_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_corruption_takes_noise_up_to_its_fraction_and_not_the_fraction_itself():
    # u in [0, 1) is below 1/4 with probability 1/4, and not below 0 at all
    x, u = np.full((1, 4), 0.5), np.array([[0.0, 0.25, 0.75, np.nextafter(0.75, 0)]])
    np.testing.assert_array_equal(SaltAndPepperNoise(0.5).apply(x, u), [[0.0, 0.5, 1.0, 0.5]])
    np.testing.assert_array_equal(MaskingNoise(0.25).apply(x, u), [[0.0, 0.5, 0.5, 0.5]])
    for none in (SaltAndPepperNoise(0.0), MaskingNoise(0.0)):
        np.testing.assert_array_equal(none.apply(x, u), x)
