"""Derivative and integral: exchanged where the support stands, and with what is missing where it moves or f jumps."""

import numpy as np
import pytest

from minivae.classical.families import (
    Beta,
    ChiSquare,
    Exponential,
    Gamma,
    MovingUniform,
    Normal,
    TruncatedNormal,
    leibniz_terms,
)


@pytest.mark.parametrize("theta", [0.7, 1.0, 2.5])
@pytest.mark.parametrize("power", [0, 1, 2, 5])
def test_a_support_that_moves(theta, power):
    # E[z^n] = theta^n / (n + 1): the score's share is -E[f] / theta, the end's f(theta) / theta
    terms = leibniz_terms(MovingUniform(theta), lambda z: z**power, lambda z: power * z ** max(power - 1, 0))
    exact = power * theta ** (power - 1) / (power + 1)
    assert terms.mean == pytest.approx(theta**power / (power + 1), rel=1e-12)
    assert terms.path == pytest.approx([exact], rel=1e-12)
    assert terms.score == pytest.approx([-(theta ** (power - 1)) / (power + 1)], rel=1e-12)
    assert terms.ends == pytest.approx([theta ** (power - 1)], rel=1e-12)
    assert terms.score + terms.ends == pytest.approx([exact], rel=1e-12, abs=1e-12)
    assert terms.derivative == terms.path


def test_the_mean_score_is_not_zero_where_the_support_moves():
    terms = leibniz_terms(MovingUniform(2.0), np.ones_like, np.zeros_like)
    assert (terms.score.item(), terms.ends.item(), terms.path.item()) == pytest.approx((-0.5, 0.5, 0), abs=1e-12)


@pytest.mark.parametrize(
    "family", [Normal(0.4, 0.9), TruncatedNormal(0.4, 0.9, -0.5, 2.0), Gamma(2.0, 0.7), Beta(2.0, 0.7)], ids=repr
)
def test_a_support_that_stands(family):
    terms = leibniz_terms(family, np.tanh, lambda z: 1 / np.cosh(z) ** 2)
    np.testing.assert_allclose(terms.score, terms.path, atol=1e-10)
    np.testing.assert_array_equal(terms.ends, 0)
    np.testing.assert_array_equal(terms.jumps, 0)


@pytest.mark.parametrize("c", [-0.4, 0.2, 1.7])
def test_a_jump_of_f_breaks_the_path_and_not_the_score(c):
    # E[1(z > c)] = Phi((loc - c) / scale)
    terms = leibniz_terms(Normal(0.4, 0.9), lambda z: (z > c).astype(float), np.zeros_like, [c])
    p = np.exp(-0.5 * ((c - 0.4) / 0.9) ** 2) / np.sqrt(2 * np.pi) / 0.9
    np.testing.assert_allclose(terms.score, [p, p * (c - 0.4) / 0.9], atol=1e-10)
    np.testing.assert_allclose(terms.derivative, terms.score, atol=1e-10)
    np.testing.assert_array_equal(terms.path, 0)


def test_jumps_up_and_down_where_z_falls_with_the_noise():
    # f = z on (0.5, 1.5): E[f] = int z rate exp(-rate z)
    rate, a, b = 1.7, 0.5, 1.5
    terms = leibniz_terms(
        Exponential(rate), lambda z: z * ((z > a) & (z < b)), lambda z: ((z > a) & (z < b)).astype(float), [b, a]
    )

    def mean(rate):
        return (a + 1 / rate) * np.exp(-rate * a) - (b + 1 / rate) * np.exp(-rate * b)

    assert terms.mean == pytest.approx(mean(rate), abs=1e-10)
    exact = (mean(rate + 1e-5) - mean(rate - 1e-5)) / 2e-5
    assert terms.score == pytest.approx([exact], abs=1e-9)
    assert terms.derivative == pytest.approx([exact], abs=1e-9)


def test_both_at_once():
    # uniform on (0, 2), f = 1(z > 0.5): E[f] = 1 - 0.5 / theta
    terms = leibniz_terms(MovingUniform(2.0), lambda z: (z > 0.5).astype(float), np.zeros_like, [0.5])
    assert terms.score + terms.ends == pytest.approx([0.125], abs=1e-12)
    assert terms.jumps == pytest.approx([0.125], abs=1e-12)
    assert terms.path == pytest.approx([0])


def test_monte_carlo_with_the_score_goes_wrong_by_what_is_missing():
    one, n = MovingUniform(2.0), 10_000
    z = one.sample(one.noise(np.random.default_rng(0), (n,)))
    estimate = one.score(z)[0] * z
    error = 5 * estimate.std() / np.sqrt(n)
    assert abs(estimate.mean() + 0.5) < error < 0.1  # E[z] = theta / 2, whose slope is 1/2
    assert one.path(z / 2)[0].mean() == pytest.approx(0.5, abs=5 / np.sqrt(12 * n))


def test_what_is_refused():
    with pytest.raises(ValueError, match="family must be of one real z from one uniform number"):
        leibniz_terms(ChiSquare(), np.ones_like, np.zeros_like)
    with pytest.raises(ValueError, match="family must be of one real z from one uniform number"):
        leibniz_terms(Normal(np.zeros(2)), np.ones_like, np.zeros_like)
    with pytest.raises(ValueError, match=r"jumps must lie inside the support \(0, 2\), got 2"):
        leibniz_terms(MovingUniform(2.0), np.ones_like, np.zeros_like, [2.0])
    with pytest.raises(ValueError, match="f must give finite numbers of the shape of z"):
        leibniz_terms(Normal(), np.sum, np.zeros_like)
    with pytest.raises(ValueError, match="df must give finite numbers of the shape of z, .*with others in it"):
        leibniz_terms(Normal(), np.ones_like, lambda z: np.full_like(z, np.inf))
