"""The closed KLs: each is the expected log-ratio, its gradient the derivative; and the table of pairs."""

from dataclasses import dataclass

import numpy as np
import pytest

from minivae.distributions import kl as kl_module
from minivae.distributions.bits import Bits
from minivae.distributions.diagonal import DiagonalGaussian
from minivae.distributions.kl import closed_kl, closes
from minivae.distributions.nodes import gauss_hermite
from minivae.distributions.priors import FairBits, StandardNormal
from minivae.nn.gradcheck import check_gradient
from tests.own_boxes import MovedNormal, OffsetGaussian

NONE = np.empty(0)
NORMAL = closed_kl(DiagonalGaussian(1), StandardNormal(1))
BITS = closed_kl(Bits(1), FairBits(1))
PAIRS = {"normal": (DiagonalGaussian, StandardNormal), "bits": (Bits, FairBits)}


def head_of(mu, log_sigma):
    return np.concatenate([np.atleast_2d(mu), 2 * np.atleast_2d(log_sigma)], axis=1).astype(float)


def test_normal_kl_in_one_dimension_to_ten_digits():
    # mu = 0.5, log sigma = -0.3: exact values derived by hand, checked by quadrature
    head = head_of(0.5, -0.3)
    np.testing.assert_allclose(NORMAL.value(NONE, head), 0.1994058180, atol=5e-11)
    dmu, dlog_var = NORMAL.backward(NONE, head, np.ones(1), NONE)[0]
    np.testing.assert_allclose(dmu, 0.5, atol=1e-14)
    np.testing.assert_allclose(dlog_var, -0.2255941820, atol=5e-11)
    np.testing.assert_allclose(2 * dlog_var, -0.4511883639, atol=5e-11)  # with respect to log sigma


def test_normal_kl_is_the_expected_log_ratio_by_quadrature(rng):
    q, p, head = DiagonalGaussian(2), StandardNormal(2), rng.normal(size=(6, 4))
    eps, w = gauss_hermite(3, 2)
    z, log_q, _ = q.sample(NONE, head, np.repeat(eps, 6, axis=1))
    np.testing.assert_allclose(w @ (log_q - p.log_prob(NONE, z)), closed_kl(q, p).value(NONE, head), rtol=1e-12)


def test_bits_kl_is_the_expected_log_ratio_over_all_states(rng):
    q, p, head = Bits(4), FairBits(4), 2 * rng.normal(size=(6, 4))
    z, log_q, _ = q.states(NONE, head)
    expected = np.sum(np.exp(log_q) * (log_q - p.log_prob(NONE, z)), axis=0)
    np.testing.assert_allclose(closed_kl(q, p).value(NONE, head), expected, rtol=1e-12)


@pytest.mark.parametrize("kind", PAIRS)
def test_kl_is_zero_at_the_prior_and_positive_elsewhere(kind, rng):
    q, p = (box(2) for box in PAIRS[kind])
    closed, n_head = closed_kl(q, p), q.n_head
    assert closed.value(NONE, np.zeros((1, n_head))).item() == 0
    assert (closed.value(NONE, rng.normal(size=(1000, n_head))) > 0).all()


@pytest.mark.parametrize("kind", PAIRS)
def test_kl_per_latent_sums_to_the_kl_and_is_that_of_each_latent_alone(kind, rng):
    q, p = (box(3) for box in PAIRS[kind])
    closed, head = closed_kl(q, p), rng.normal(size=(5, q.n_head))
    rows = closed.per_latent(NONE, head)
    assert rows.shape == (5, 3)
    np.testing.assert_allclose(rows.sum(1), closed.value(NONE, head), rtol=1e-12)
    alone = closed_kl(*(box(1) for box in PAIRS[kind]))
    for j in range(3):  # a head of three latents holds three of one: (mu, log_var), or the logit
        np.testing.assert_allclose(alone.value(NONE, head[:, j::3].copy()), rows[:, j], rtol=1e-12)


@pytest.mark.parametrize("kind", PAIRS)
def test_backward_is_the_derivative_of_the_value(kind, rng):
    q, p = (box(3) for box in PAIRS[kind])
    closed, head, dkl = closed_kl(q, p), rng.normal(size=(5, q.n_head)), rng.normal(size=5)

    def value(theta):
        return float(dkl @ closed.value(NONE, theta.reshape(head.shape)))

    assert check_gradient(value, closed.backward(NONE, head, dkl, NONE).ravel(), head.ravel()).ok


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", PAIRS)
def test_dtype_follows_the_head(kind, dtype, rng):
    q, p = (box(3) for box in PAIRS[kind])
    closed, head = closed_kl(q, p), rng.normal(size=(5, q.n_head)).astype(dtype)
    value = closed.value(NONE, head)
    assert value.dtype == closed.per_latent(NONE, head).dtype == closed.backward(NONE, head, value, NONE).dtype == dtype


def test_extreme_log_variances():
    # exp(-1000) is zero to every digit: KL = (log_var term) 1000 / 2 - 1 / 2
    np.testing.assert_allclose(NORMAL.value(NONE, np.array([[0.0, -1000.0]])), 499.5, rtol=1e-15)
    with np.errstate(over="ignore"):
        assert NORMAL.value(NONE, np.array([[0.0, 1000.0]])).item() == np.inf


def test_a_bit_that_is_certain_costs_the_log_of_two():
    for head in (1000.0, -1000.0):
        np.testing.assert_allclose(BITS.value(NONE, np.array([[head]])), np.log(2), rtol=1e-14)
        assert BITS.backward(NONE, np.array([[head]]), np.ones(1), NONE).item() == 0


# ------------------------------------------------------------------------------------------ the table


@pytest.fixture
def own_table(monkeypatch):
    """Leave no entry of a test behind."""
    monkeypatch.setattr(kl_module, "_CLOSED", dict(kl_module._CLOSED))


def test_a_pair_is_found_by_its_exact_classes():
    assert type(closed_kl(Bits(3), FairBits(3))) is type(BITS)
    assert closed_kl(DiagonalGaussian(2), FairBits(2)) is None
    assert closed_kl(Bits(2), StandardNormal(2)) is None
    # what inherits from a Gaussian need not have its KL
    assert closed_kl(OffsetGaussian(2), StandardNormal(2)) is None
    assert closed_kl(DiagonalGaussian(2), MovedNormal(2)) is None


@pytest.mark.usefixtures("own_table")
def test_a_pair_can_be_entered_once():
    @dataclass(frozen=True)
    class Own(DiagonalGaussian):
        pass

    @closes(Own, StandardNormal)
    class First:
        pass

    assert type(closed_kl(Own(2), StandardNormal(2))) is First
    for pair in ((Own, StandardNormal), (DiagonalGaussian, StandardNormal)):
        with pytest.raises(ValueError, match=f"{pair[0].__name__} from StandardNormal must be entered once, got Sec"):

            @closes(*pair)
            class Second:
                pass

    assert type(closed_kl(Own(2), StandardNormal(2))) is First
