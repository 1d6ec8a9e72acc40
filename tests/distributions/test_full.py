"""Gaussians with correlations: exact instances, moments, densities, and what a full covariance attains."""

import numpy as np
import pytest
from scipy import linalg, stats

from minivae.core.errors import NonFiniteError
from minivae.distributions.diagonal import DiagonalGaussian
from minivae.distributions.full import FullGaussian, packed_latents, packed_width
from minivae.distributions.kl import closed_kl
from minivae.distributions.linear_gaussian import LinearGaussian
from minivae.distributions.nodes import gauss_hermite
from minivae.distributions.priors import StandardNormal
from minivae.distributions.symmetric import SymmetricGaussian
from minivae.estimators.objectives import Elbo
from minivae.nn.gradcheck import check_gradient
from tests.support import S2, W, Y, assert_within_standard_errors

N = 200_000
NONE = np.empty(0)
KINDS = [FullGaussian, SymmetricGaussian]
B = np.array([0.1, -0.2, 0.3])
LOG_P = -3.3325970840
P = np.eye(2) + W.T @ W / S2
POSTERIOR_MEAN = np.array([0.6777860143, -0.1056514526])


def root(q, head):
    """Return the matrix that the noise is multiplied by, from its definition, shape (B, L, L)."""
    n = q.n_latent
    M = np.zeros((len(head), n, n))
    M[:, *np.tril_indices(n, -1)] = head[:, 2 * n :]
    if isinstance(q, FullGaussian):
        return M + np.eye(n) * np.exp(head[:, n : 2 * n])[:, :, None]
    return np.array([linalg.expm(m + m.T + np.diag(row[n : 2 * n])) for m, row in zip(M, head, strict=True)])


def head_of(q, mu, root):
    """Return the head under which z = mu + root eps."""
    if isinstance(q, FullGaussian):
        return np.concatenate([mu, np.log(np.diag(root)), root[np.tril_indices(len(mu), -1)]])[None]
    A = np.real(linalg.logm(root))
    return np.concatenate([mu, np.diag(A), A[np.tril_indices(len(mu), -1)]])[None]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_latent", [1, 2, 4])
def test_a_draw_is_the_mean_plus_the_root_times_the_noise(kind, n_latent, rng):
    q = kind(n_latent)
    head, eps = rng.normal(size=(3, q.n_head)), rng.normal(size=(5, 3, n_latent))
    z, log_q, _ = q.sample(NONE, head, eps)
    M = root(q, head)
    np.testing.assert_allclose(z, head[:, :n_latent] + np.einsum("bij,kbj->kbi", M, eps), rtol=1e-10, atol=1e-12)
    for b in range(3):
        density = stats.multivariate_normal(head[b, :n_latent], M[b] @ M[b].T)
        np.testing.assert_allclose(log_q[:, b], density.logpdf(z[:, b]).reshape(5), rtol=1e-8, atol=1e-8)
        other = rng.normal(size=(5, 3, n_latent))
        found = q.log_prob(NONE, head, other)
        np.testing.assert_allclose(found[:, b], density.logpdf(other[:, b]).reshape(5), rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_samples_have_the_mean_and_the_covariance_of_the_head(kind, rng):
    q = kind(2)
    head = np.array([[0.7, -2.0, -0.4, 0.3, 0.6]])
    z, _, _ = q.sample(NONE, head, q.draw_noise(rng, (N, 1, 2), np.float64))
    z = z[:, 0] - head[0, :2]
    M = root(q, head)[0]
    covariance = M @ M.T
    assert_within_standard_errors(z, 0)
    assert_within_standard_errors(z**2, np.diag(covariance))
    assert_within_standard_errors(z[:, 0] * z[:, 1], covariance[0, 1])


@pytest.mark.parametrize("kind", KINDS)
def test_the_density_integrates_to_one(kind):
    q, x = kind(2), np.linspace(-12, 12, 481)
    grid = np.stack(np.meshgrid(x, x, indexing="ij"), -1).reshape(-1, 1, 2)
    density = np.exp(q.log_prob(NONE, np.array([[0.3, -0.4, 0.2, -0.3, 0.5]]), grid))
    assert abs(density.sum() * (x[1] - x[0]) ** 2 - 1) < 1e-10


def test_the_symmetric_root_squares_to_the_covariance_and_is_its_only_one(rng):
    q = SymmetricGaussian(3)
    head, eps = rng.normal(size=(1, q.n_head)), np.eye(3)[:, None]
    S = q.sample(NONE, head, eps)[0][:, 0] - head[:, :3]
    np.testing.assert_allclose(S, S.T, atol=1e-13)
    assert (np.linalg.eigvalsh(S) > 0).all()
    A = np.zeros((3, 3))
    A[np.tril_indices(3, -1)] = head[0, 6:]
    A += A.T + np.diag(head[0, 3:6])
    np.testing.assert_allclose(S, linalg.sqrtm(linalg.expm(2 * A)), rtol=1e-9)
    np.testing.assert_allclose(q.logarithm(head)[0][0], A)


@pytest.mark.parametrize("kind", KINDS)
def test_without_correlations_it_is_the_diagonal_gaussian(kind, rng):
    q, plain = kind(3), DiagonalGaussian(3)
    short, eps = rng.normal(size=(4, 6)), rng.normal(size=(5, 4, 3))
    long = np.concatenate([short[:, :3], short[:, 3:] / 2, np.zeros((4, 3))], axis=1)
    for a, b in zip(q.sample(NONE, long, eps)[:2], plain.sample(NONE, short, eps)[:2], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    p = StandardNormal(3)
    for what in ("value", "per_latent"):
        a, b = (getattr(closed_kl(box, p), what) for box in (q, plain))
        np.testing.assert_allclose(a(NONE, long), b(NONE, short), rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_backward_is_the_total_derivative_and_score_that_at_fixed_z(kind, rng):
    q = kind(3)
    head, eps = rng.normal(size=(4, q.n_head)), rng.normal(size=(5, 4, 3))
    dz, dlog_q = rng.normal(size=eps.shape), rng.normal(size=eps.shape[:2])
    z, _, cache = q.sample(NONE, head, eps)

    def total(theta):
        z, log_q, _ = q.sample(NONE, theta.reshape(head.shape), eps)
        return float(np.sum(dz * z) + np.sum(dlog_q * log_q))

    def fixed(theta):
        return float(np.sum(dlog_q * q.log_prob(NONE, theta.reshape(head.shape), z)))

    assert check_gradient(total, q.backward(NONE, cache, dz, dlog_q, NONE).ravel(), head.ravel()).ok
    assert check_gradient(fixed, q.score(NONE, cache, dlog_q, NONE).ravel(), head.ravel()).ok


@pytest.mark.parametrize("kind", KINDS)
def test_slope_is_the_derivative_of_the_density_in_z(kind, rng):
    q = kind(3)
    head, eps = rng.normal(size=(4, q.n_head)), rng.normal(size=(5, 4, 3))
    z, _, cache = q.sample(NONE, head, eps)

    def value(theta):
        return float(q.log_prob(NONE, head, theta.reshape(z.shape)).sum())

    assert check_gradient(value, q.slope(NONE, cache).ravel(), z.ravel()).ok


@pytest.mark.parametrize("kind", KINDS)
def test_the_score_has_mean_zero(kind):
    q = kind(2)
    nodes, w = gauss_hermite(3, 2)  # the score is quadratic in the noise
    _, _, cache = q.sample(NONE, np.array([[0.4, -1.0, 0.3, -0.6, 0.8]]), nodes)
    np.testing.assert_allclose(q.score(NONE, cache, w[:, None], NONE), 0.0, atol=1e-14)


def test_equal_and_nearly_equal_eigenvalues_have_a_derivative():
    # at A = 0 the root is I + A to first order: dA is the symmetric part of the outer product
    q, n = SymmetricGaussian(2), 2
    for tiny in (0.0, 1e-18, 1e-9, 1e-5):
        head = np.array([[0.0, 0.0, tiny, -tiny, tiny / 2]])
        _, _, cache = q.sample(NONE, head, np.array([[[1.0, 2.0]]]))
        dhead = q.backward(NONE, cache, np.array([[[3.0, 5.0]]]), np.zeros((1, 1)), NONE)
        np.testing.assert_allclose(dhead, [[3.0, 5.0, 3.0, 10.0, 11.0]], rtol=30 * tiny + 1e-15)
    assert n == q.n_latent


# ------------------------------------------------------------------------------- the instances worked out by hand


def expected_elbo(q, head, n_nodes=3):
    """Return the ELBO of model A at its x, by nodes that are exact for it, and the closed KL."""
    eps, w = gauss_hermite(n_nodes, 2)
    z, _, _ = q.sample(NONE, head, eps)
    r = Y[0] - z[:, 0] @ W.T
    log_lik = -0.5 * (3 * np.log(2 * np.pi * S2) + np.sum(r**2, axis=1) / S2)
    return w @ log_lik - closed_kl(q, StandardNormal(2)).value(NONE, head)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_covariance_attains_log_p(kind):
    q, covariance = kind(2), np.linalg.inv(P)
    mean = covariance @ W.T @ Y[0] / S2
    np.testing.assert_allclose(mean, POSTERIOR_MEAN, atol=5e-11)
    M = np.linalg.cholesky(covariance) if kind is FullGaussian else linalg.sqrtm(covariance)
    head = head_of(q, mean, M)
    assert abs(expected_elbo(q, head) - LOG_P) < 1e-9
    assert abs(LinearGaussian(W, B, S2).log_prob(Y + B).item() - LOG_P) < 5e-11
    # log p(x, z) - log q(z|x) is log p(x) at every z, not only on average
    z = np.random.default_rng(0).normal(size=(20, 1, 2))
    r = Y[0] - z[:, 0] @ W.T
    joint = -0.5 * (3 * np.log(2 * np.pi * S2) + np.sum(r**2, axis=1) / S2) + StandardNormal(2).log_prob(NONE, z)[:, 0]
    np.testing.assert_allclose(joint - q.log_prob(NONE, head, z)[:, 0], LOG_P, atol=1e-9)


def test_the_optimal_factor_has_the_digits_worked_out_by_hand():
    expected = [[0.5557614313, 0], [-0.0444609145, 0.5345224838]]
    np.testing.assert_allclose(np.linalg.cholesky(np.linalg.inv(P)), expected, atol=5e-11)
    head = head_of(FullGaussian(2), POSTERIOR_MEAN, np.array(expected))
    np.testing.assert_allclose(FullGaussian(2).factor(head)[0], expected, rtol=1e-12)


def gradients_of_elbo(eps):
    """Return single-draw gradients of log p(x, z) - log q(z|x) for m and L at the instance, rows of draws."""
    q, m, L = FullGaussian(2), np.array([0.2, 0.1]), np.array([[0.8, 0], [0.3, 0.6]])
    heads = np.repeat(head_of(q, m, L), len(eps), axis=0)
    z, _, cache = q.sample(NONE, heads, eps[None])
    dz = (Y[0] - z[0] @ W.T) @ W / S2 - z[0]
    dhead = q.backward(NONE, cache, dz[None], -np.ones((1, len(eps))), NONE)
    return q, head_of(q, m, L), dhead[:, :2], dhead[:, 2:] / [0.8, 0.6, 1]  # from log L_ii to L_ii


def test_elbo_and_gradient_of_the_instance_to_ten_digits():
    eps, w = gauss_hermite(4, 2)
    q, head, dm, dL = gradients_of_elbo(eps[:, 0])
    assert abs(expected_elbo(q, head) + 4.1692640039) < 5e-11
    np.testing.assert_allclose(w @ dm, [1.5, -0.586], atol=1e-12)
    np.testing.assert_allclose(w @ dL, [-1.442, -0.4333333333, -1.274], atol=5e-11)  # L_11, L_22, L_21


def test_variance_of_a_single_draw_is_the_closed_form():
    # Var g_ij = rho_i^2 + |row i of P L|^2 + (P L)_ij^2; the nodes integrate the quartic exactly
    eps, w = gauss_hermite(4, 2)
    _, _, dm, dL = gradients_of_elbo(eps[:, 0])
    variance = w @ dL**2 - (w @ dL) ** 2
    np.testing.assert_allclose(variance, [16.771952, 10.786472, 7.999548], rtol=1e-12)
    L, m = np.array([[0.8, 0], [0.3, 0.6]]), np.array([0.2, 0.1])
    rho, K = P @ (POSTERIOR_MEAN - m), P @ L
    np.testing.assert_allclose(
        variance,
        [rho[i] ** 2 + K[i] @ K[i] + K[i, j] ** 2 for i, j in ((0, 0), (1, 1), (1, 0))],
        rtol=1e-9,
    )
    np.testing.assert_allclose(w @ dm**2 - (w @ dm) ** 2, np.diag(K @ K.T), rtol=1e-12)


def test_path_derivative_has_no_variance_at_the_exact_posterior(rng):
    # log p(x, z) - log q(z|x) is constant in z there, so that nothing comes through the path
    for q in (FullGaussian(2), SymmetricGaussian(2)):
        covariance = np.linalg.inv(P)
        M = np.linalg.cholesky(covariance) if isinstance(q, FullGaussian) else linalg.sqrtm(covariance)
        head = head_of(q, covariance @ W.T @ Y[0] / S2, M)
        z, _, cache = q.sample(NONE, head, rng.normal(size=(7, 1, 2)))
        dz = (Y[0] - z @ W.T) @ W / S2 - z
        np.testing.assert_allclose(q.slope(NONE, cache), dz, rtol=1e-9, atol=1e-10)


# -------------------------------------------------------------------------------------- what is refused, and dtypes


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_of_the_wrong_width_is_refused(kind, rng):
    q = kind(3)
    assert q.n_head == 9
    for width in (8, 10):
        with pytest.raises(ValueError, match=r"head must be an array of shape \(any, 9\) .* got .*"):
            q.sample(NONE, rng.normal(size=(4, width)), rng.normal(size=(1, 4, 3)))
    with pytest.raises(ValueError, match="n_latent must be an integer of at least 1, got 0"):
        kind(0)
    with pytest.raises(ValueError, match=f"states that can be enumerated, got {kind.__name__}"):
        q.states(NONE, rng.normal(size=(4, 9)))


@pytest.mark.parametrize("n", range(1, 60))
def test_the_number_of_latents_is_told_from_the_width_of_the_head(n):
    assert packed_width(n) == n + n * (n + 1) // 2
    assert packed_latents(packed_width(n)) == n


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_that_of_the_head(kind, dtype, rng):
    q, closed = kind(3), closed_kl(kind(3), StandardNormal(3))
    head = rng.normal(size=(4, 9))
    eps = q.draw_noise(rng, (5, 4, 3), dtype)
    z, log_q, cache = q.sample(NONE, head.astype(dtype), eps)
    dkl = closed.value(NONE, head.astype(dtype))
    results = [
        z,
        log_q,
        q.backward(NONE, cache, z, log_q, NONE),
        q.score(NONE, cache, log_q, NONE),
        q.log_prob(NONE, head.astype(dtype), z),
        q.mean(NONE, head.astype(dtype)),
        dkl,
        closed.per_latent(NONE, head.astype(dtype)),
        closed.backward(NONE, head.astype(dtype), dkl, NONE),
    ]
    assert {a.dtype for a in results} == {np.dtype(dtype)}
    if dtype == np.float32:
        exact = q.sample(NONE, head, eps.astype(float))
        np.testing.assert_allclose(z, exact[0], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(log_q, exact[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_mean_and_code_are_mu(kind, rng):
    q, head = kind(2), rng.normal(size=(3, 5))
    np.testing.assert_array_equal(q.mean(NONE, head), head[:, :2])
    np.testing.assert_array_equal(q.code(NONE, head), head[:, :2])


@pytest.mark.parametrize("kind", KINDS)
def test_what_overflows_is_said_and_a_nan_stays_in_its_example(kind, rng):
    q = kind(2)
    head = rng.normal(size=(3, 5))
    head[1, 2] = 2000.0
    with pytest.raises(NonFiniteError, match="z is not finite in float64|a draw of z holds"):
        q.sample(NONE, head, np.ones((1, 3, 2)))
    head[1, 2] = np.nan
    with np.errstate(all="ignore"):
        z, log_q, _ = q.sample(NONE, head, np.ones((1, 3, 2)))
    np.testing.assert_array_equal(np.isnan(log_q[0]), [False, True, False])
    np.testing.assert_array_equal(np.isnan(z[0]).any(axis=1), [False, True, False])


def test_no_factor_and_no_root_is_singular(rng):
    # whatever the head, the diagonal is an exponential, and the determinant positive
    for scale in (1, 20, 150):
        head = scale * rng.normal(size=(50, 9))
        L = FullGaussian(3).factor(head)
        assert (np.diagonal(L, axis1=1, axis2=2) > 0).all()
        assert not np.triu(L, 1).any()
    S = root(SymmetricGaussian(3), rng.normal(size=(50, 9)))
    assert (np.linalg.eigvalsh(S) > 0).all()


@pytest.mark.parametrize("kl", ["closed", "sampled"])
def test_the_closed_kl_is_found_by_the_objective(kl):
    from minivae.models.vae import VAE

    for name in ("full", "symmetric"):
        model = VAE.mlp(4, 2, [3], posterior=name)
        assert Elbo(kl=kl).resolved(model).kl == kl
        assert Elbo().resolved(model).kl == "closed"
