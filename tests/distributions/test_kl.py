"""The closed KLs: each is the expected log-ratio, its gradient the derivative; and the table of pairs."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats

from minivae.distributions import kl as kl_module
from minivae.distributions.bits import Bits
from minivae.distributions.diagonal import DiagonalGaussian
from minivae.distributions.full import FullGaussian
from minivae.distributions.kl import closed_kl, closes, gaussian_kl, gaussian_kl_backward
from minivae.distributions.nodes import gauss_hermite
from minivae.distributions.priors import FairBits, StandardNormal
from minivae.distributions.symmetric import SymmetricGaussian
from minivae.nn.gradcheck import check_gradient
from tests.own_boxes import MovedNormal, OffsetGaussian

NONE = np.empty(0)
NORMAL = closed_kl(DiagonalGaussian(1), StandardNormal(1))
BITS = closed_kl(Bits(1), FairBits(1))
PAIRS = {"normal": (DiagonalGaussian, StandardNormal), "bits": (Bits, FairBits)}
ALL = PAIRS | {"full": (FullGaussian, StandardNormal), "symmetric": (SymmetricGaussian, StandardNormal)}


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


@pytest.mark.parametrize("kind", ALL)
def test_kl_is_zero_at_the_prior_and_positive_elsewhere(kind, rng):
    q, p = (box(2) for box in ALL[kind])
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


@pytest.mark.parametrize("kind", ALL)
def test_backward_is_the_derivative_of_the_value(kind, rng):
    q, p = (box(3) for box in ALL[kind])
    closed, head, dkl = closed_kl(q, p), rng.normal(size=(5, q.n_head)), rng.normal(size=5)

    def value(theta):
        return float(dkl @ closed.value(NONE, theta.reshape(head.shape)))

    assert check_gradient(value, closed.backward(NONE, head, dkl, NONE).ravel(), head.ravel()).ok


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ALL)
def test_dtype_follows_the_head(kind, dtype, rng):
    q, p = (box(3) for box in ALL[kind])
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


# ---------------------------------------------------------------------------------- Gaussians with correlations

INSTANCE = tuple(np.array(a) for a in ([0.3, -0.2], [[1.2, 0], [0.4, 0.7]], [-0.1, 0.5], [[0.9, 0], [-0.3, 1.1]]))


def test_kl_of_two_gaussians_to_ten_digits():
    mu0, L0, mu1, L1 = INSTANCE
    assert abs(gaussian_kl(*INSTANCE) - 0.7515900628) < 5e-11
    assert abs(gaussian_kl(mu1, L1, mu0, L0) - 1.4831601006) < 5e-11
    assert abs(gaussian_kl(mu0, L0, np.zeros(2), np.eye(2)) - 0.2843533871) < 5e-11
    assert gaussian_kl(mu0, L0, mu0, L0) == 0
    dmu0, dL0, dmu1, dL1 = gaussian_kl_backward(*INSTANCE, np.ones(()))
    np.testing.assert_allclose(dmu0, [0.3377206408, -0.4683195592], atol=5e-11)
    np.testing.assert_allclose(dL0, [[0.8685338231, 0], [0.6611570248, -0.8500590319]], atol=5e-11)
    np.testing.assert_allclose(dmu1, [-0.3377206408, 0.4683195592], atol=5e-11)
    np.testing.assert_allclose(dL1, [[-1.3081431600, 0], [-0.6734006734, -0.1811503464]], atol=5e-11)
    # through the logarithm of the diagonal, and through its softplus
    diagonal = np.diag(L0)
    np.testing.assert_allclose(np.diag(dL0) * diagonal, [1.0422405877, -0.5950413223], atol=5e-11)
    np.testing.assert_allclose(np.diag(dL0) * -np.expm1(-diagonal), [0.6069364627, -0.4279322092], atol=5e-11)


def test_the_closed_kl_of_a_full_gaussian_is_that_of_the_two_and_has_its_entropy():
    mu0, L0, _, _ = INSTANCE
    head = np.array([[*mu0, *np.log(np.diag(L0)), L0[1, 0]]])
    closed = closed_kl(FullGaussian(2), StandardNormal(2))
    assert abs(closed.value(NONE, head).item() - 0.2843533871) < 5e-11
    entropy = np.log(2 * np.pi * np.e) + np.log(np.diag(L0)).sum()
    assert abs(entropy - 2.6635236793) < 5e-11
    cross = np.log(2 * np.pi) + 0.5 * (mu0 @ mu0 + np.sum(L0**2))
    np.testing.assert_allclose(closed.value(NONE, head), cross - entropy, rtol=1e-13)


def test_gradient_of_the_kl_of_two_gaussians_is_its_derivative(rng):
    mu = rng.normal(size=(2, 5, 3))
    L = np.tril(rng.normal(size=(2, 5, 3, 3)), -1) + np.eye(3) * np.exp(rng.normal(size=(2, 5, 3)))[..., None]
    at, dkl, low = (mu[0], L[0], mu[1], L[1]), rng.normal(size=5), np.tril_indices(3)

    def packed(mu0, L0, mu1, L1):
        return np.concatenate([a.ravel() for a in (mu0, L0[:, *low], mu1, L1[:, *low])])

    def value(theta):
        mu0, l0, mu1, l1 = np.split(theta, [15, 45, 60])
        L = np.zeros((2, 5, 3, 3))
        L[0][:, *low], L[1][:, *low] = l0.reshape(5, 6), l1.reshape(5, 6)
        return float(dkl @ gaussian_kl(mu0.reshape(5, 3), L[0], mu1.reshape(5, 3), L[1]))

    grads = gaussian_kl_backward(*at, dkl)
    assert [g.shape for g in grads] == [a.shape for a in at]
    assert not np.triu(grads[1], 1).any()
    assert not np.triu(grads[3], 1).any()
    assert check_gradient(value, packed(*grads), packed(*at)).ok


def test_kl_of_two_gaussians_is_the_expected_log_ratio(rng):
    eps, w = gauss_hermite(3, 2)
    mu0, L0, mu1, L1 = INSTANCE
    z = mu0 + eps[:, 0] @ L0.T
    p, q = (stats.multivariate_normal(mu, L @ L.T) for mu, L in ((mu0, L0), (mu1, L1)))
    np.testing.assert_allclose(gaussian_kl(*INSTANCE), w @ (p.logpdf(z) - q.logpdf(z)), rtol=1e-12)
    head = rng.normal(size=(6, 5))
    for kind in (FullGaussian, SymmetricGaussian):
        q, p = kind(2), StandardNormal(2)
        z, log_q, _ = q.sample(NONE, head, np.repeat(eps, 6, axis=1))
        expected = w @ (log_q - p.log_prob(NONE, z))
        np.testing.assert_allclose(closed_kl(q, p).value(NONE, head), expected, rtol=1e-11)


def test_kl_per_latent_of_correlated_gaussians(rng):
    # full: by the chain rule, latent by latent given those before; symmetric: at least that of A's diagonal alone
    head, p = rng.normal(size=(5, 9)), StandardNormal(3)
    full, symmetric = (closed_kl(q, p).per_latent(NONE, head) for q in (FullGaussian(3), SymmetricGaussian(3)))
    for kind, rows in ((FullGaussian, full), (SymmetricGaussian, symmetric)):
        np.testing.assert_allclose(rows.sum(1), closed_kl(kind(3), p).value(NONE, head), rtol=1e-12)
        assert rows.shape == (5, 3)
        assert (rows > 0).all()
    eps, w = gauss_hermite(3, 3)
    L = FullGaussian(3).factor(head)
    for b in range(5):
        for i in range(3):
            m = head[b, i] + eps[:, 0, :i] @ L[b, i, :i]  # of z_i given those before
            each = 0.5 * (m**2 + L[b, i, i] ** 2 - 1) - np.log(L[b, i, i])
            np.testing.assert_allclose(full[b, i], w @ each, rtol=1e-11)
    diagonal = head[:, 3:6]
    alone = 0.5 * (head[:, :3] ** 2 + np.expm1(2 * diagonal)) - diagonal
    assert (symmetric >= alone - 1e-12).all()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("L0", np.ones((2, 2)), "L0 must be lower triangular, got 1 above the diagonal"),
        ("L1", np.diag([1.0, 0.0]), "L1 must have a positive diagonal, got 0 on it"),
        ("L1", np.diag([1.0, -2.0]), "L1 must have a positive diagonal, got -2 on it"),
        ("L0", np.eye(3), r"L0 must have shape \(2, 2\), got \(3, 3\)"),
        ("mu1", np.zeros(3), r"mu0 and mu1 must have one shape, got \(2,\) and \(3,\)"),
        ("mu0", np.zeros((1, 1, 2)), r"mu0 must have shape \(n,\) or \(B, n\), got \(1, 1, 2\)"),
        ("mu0", np.array([0.0, np.nan]), "mu0 must hold finite real numbers, got nan"),
    ],
)
def test_what_is_no_gaussian_is_refused(name, value, message):
    with pytest.raises(ValueError, match=message):
        gaussian_kl(**dict(zip(("mu0", "L0", "mu1", "L1"), INSTANCE, strict=True)) | {name: value})
    with pytest.raises(ValueError, match=r"dkl must have shape \(\), one for each KL, got \(3,\)"):
        gaussian_kl_backward(*INSTANCE, np.ones(3))
