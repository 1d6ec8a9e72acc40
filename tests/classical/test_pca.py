"""PCA by three solvers against one SVD; degenerate data; probabilistic PCA against its own definition."""

import warnings

import numpy as np
import pytest
from scipy import stats

from minivae.classical.pca import PCA
from minivae.classical.probabilistic_pca import ppca_optimum, probabilistic_pca
from minivae.classical.subspaces import covariance, subspace_distance
from minivae.distributions.linear_gaussian import LinearGaussian
from tests.support import assert_within_standard_errors, exact_covariance_data

SOLVERS = ["eigh", "svd", "power"]
SHAPES = {"tall": (200, 6), "square": (8, 8), "wide": (7, 40), "one column": (9, 1)}


def reference(x, k):
    """Return mean, components, variances and shares by the plainest route."""
    mean = x.mean(0)
    _, s, vt = np.linalg.svd(x - mean)
    variances = s**2 / (len(x) - 1)
    vt = np.array([v * np.sign(v[np.argmax(np.abs(v))]) for v in vt])
    return mean, vt[:k], variances[:k], variances[:k] / variances.sum()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("solver", [*SOLVERS, "auto"])
def test_every_solver_gives_the_components_of_the_svd(shape, solver, rng):
    n, d = SHAPES[shape]
    k = min(n - 1, d, 4)
    x = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + rng.normal(size=d)
    pca = PCA(k, solver).fit(x)
    mean, components, variances, shares = reference(x, k)
    np.testing.assert_allclose(pca.mean_, mean, atol=1e-13)
    np.testing.assert_allclose(pca.explained_variance_, variances, rtol=1e-11)
    np.testing.assert_allclose(pca.explained_variance_ratio_, shares, rtol=1e-11)
    np.testing.assert_allclose(pca.components_, components, atol=1e-10)
    assert (pca.n_components_, pca.n_features_in_, pca.n_samples_) == (k, d, n)


@pytest.mark.parametrize("solver", SOLVERS)
def test_components_are_orthonormal_and_scores_uncorrelated(solver, rng):
    x = rng.normal(size=(60, 5)) * [5, 4, 3, 2, 1]
    pca = PCA(solver=solver).fit(x)
    np.testing.assert_allclose(pca.components_ @ pca.components_.T, np.eye(5), atol=1e-13)
    z = pca.transform(x)
    np.testing.assert_allclose(np.cov(z.T), np.diag(pca.explained_variance_), atol=1e-10)
    np.testing.assert_allclose(pca.inverse_transform(z), x, atol=1e-12)  # all components: nothing is lost
    np.testing.assert_allclose(PCA(solver=solver).fit_transform(x), z, atol=1e-12)


@pytest.mark.parametrize("shape", [(5, 8), (8, 5)])
def test_the_noise_variance_is_the_mean_of_those_that_are_left_out(shape, rng):
    x = rng.normal(size=shape)
    every = np.sort(np.linalg.eigvalsh(np.cov(x.T)))[::-1][:5]
    assert PCA(2).fit(x).noise_variance_ == pytest.approx(every[2:].mean(), rel=1e-12)


def test_the_error_of_reconstruction_is_the_sum_of_the_discarded_variances(rng):
    x = rng.normal(size=(60, 5)) * [5, 4, 3, 2, 1]
    every = PCA().fit(x).explained_variance_
    for k in range(1, 6):
        pca = PCA(k).fit(x)
        error = np.sum((x - pca.inverse_transform(pca.transform(x))) ** 2) / 59
        assert abs(error - every[k:].sum()) < 1e-11
        assert abs(pca.noise_variance_ * (5 - k) - every[k:].sum()) < 1e-11


def test_auto_takes_the_covariance_for_tall_data_only(rng, monkeypatch):
    called = []
    for name in ("eigh", "svd"):
        right = getattr(np.linalg, name)
        monkeypatch.setattr(np.linalg, name, lambda *a, _n=name, _f=right, **k: (called.append(_n), _f(*a, **k))[1])
    for n, d in ((100, 10), (99, 10), (5, 100)):
        PCA(2).fit(rng.normal(size=(n, d)))
    assert called == ["eigh", "svd", "svd"]


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_large_mean_changes_nothing(solver, rng):
    x = rng.integers(-50, 50, (300, 4)) * np.array([8.0, 4.0, 2.0, 1.0])
    here, there = PCA(3, solver).fit(x), PCA(3, solver).fit(x + 2.0**40)
    np.testing.assert_allclose(there.components_, here.components_, atol=1e-10)
    np.testing.assert_allclose(there.explained_variance_, here.explained_variance_, rtol=1e-11)


def test_svd_keeps_small_variances_that_the_covariance_loses(rng):
    variances = np.array([1, 1e-6, 1e-22])
    x = exact_covariance_data(variances, 50, rng) * np.sqrt(49 / 50)
    np.testing.assert_allclose(PCA(solver="svd").fit(x).explained_variance_, variances, rtol=1e-4)
    assert abs(PCA(solver="eigh").fit(x).explained_variance_[2] / 1e-22 - 1) > 10


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("sign", [1, -1])
def test_signs_do_not_depend_on_the_solver_or_on_the_data_turned_over(solver, sign, rng):
    x = rng.normal(size=(60, 5)) * [5, 4, 3, 2, 1]
    expected = PCA(3, "svd").fit(x).components_
    np.testing.assert_allclose(PCA(3, solver).fit(sign * x).components_, expected, atol=1e-10)


# --------------------------------------------------------------------------------------- degenerate data


@pytest.mark.parametrize("solver", SOLVERS)
def test_rank_deficient_data_are_reconstructed_and_the_rest_is_called_arbitrary(solver, rng):
    x = rng.normal(size=(30, 2)) @ rng.normal(size=(2, 5))
    exact = PCA(2, solver).fit(x)
    np.testing.assert_allclose(exact.inverse_transform(exact.transform(x)), x, atol=1e-11)
    assert exact.noise_variance_ < 1e-13
    with pytest.warns(UserWarning, match="n_components should be at most the rank of the centred x, 2, got 4"):
        more = PCA(4, solver).fit(x)
    np.testing.assert_allclose(more.explained_variance_[2:], 0, atol=1e-12)
    np.testing.assert_allclose(more.components_ @ more.components_.T, np.eye(4), atol=1e-12)
    PCA(solver=solver).fit(x)  # all that there are: no need to warn


@pytest.mark.parametrize("solver", SOLVERS)
def test_equal_variances_have_the_right_subspace_and_arbitrary_components(solver, rng):
    x = exact_covariance_data([4, 2, 2, 1], 40, rng)
    with pytest.warns(UserWarning, match="components 2, 3 share their variance .* only the subspace"):
        pca = PCA(3, solver).fit(x)
    _, vectors = np.linalg.eigh(covariance(x))
    assert subspace_distance(pca.components_, vectors[:, 1:].T) < 1e-10
    with pytest.warns(UserWarning, match="components 2 share .* which directions are among the first 2 is arbitrary"):
        PCA(2, solver).fit(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PCA(1, solver).fit(x)


@pytest.mark.parametrize("solver", SOLVERS)
def test_constant_columns_have_no_part(solver, rng):
    x = rng.normal(size=(30, 4)) * [3, 2, 1, 0] + 7
    pca = PCA(3, solver).fit(x)
    assert not pca.components_[:, 3].any() or np.abs(pca.components_[:, 3]).max() < 1e-15
    np.testing.assert_allclose(pca.inverse_transform(pca.transform(x)), x, atol=1e-12)


@pytest.mark.parametrize("solver", SOLVERS)
def test_data_that_never_change_have_shares_of_zero(solver):
    pca = PCA(solver=solver).fit(np.full((5, 3), 2.5))
    np.testing.assert_array_equal(pca.explained_variance_ratio_, np.zeros(3))
    np.testing.assert_allclose(pca.components_ @ pca.components_.T, np.eye(3), atol=1e-14)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda x: PCA(5).fit(x), r"n_components must be at most min\(n, d\) = 4 for x of shape \(6, 4\), got 5"),
        (lambda x: PCA(4).fit(x[:3]), r"n_components must be at most min\(n, d\) = 3"),
        (lambda x: PCA(0).fit(x), "n_components must be an integer of at least 1, got 0"),
        (lambda x: PCA(solver="qr").fit(x), "solver must be one of auto, eigh, svd, power; got 'qr'"),
        (lambda x: PCA().fit(x[:1]), "x must have at least 2 rows to vary at all, got 1"),
        (lambda x: PCA().fit(x * np.nan), "x must be finite, got 24 NaN"),
        (lambda x: PCA().fit(x * 1e200), "x must have values whose squares are finite"),
        (lambda x: PCA().transform(x), r"PCA must be fitted before transform, got one that is not. Call fit\(x\)"),
        (lambda x: PCA().inverse_transform(x), "PCA must be fitted before inverse_transform"),
        (lambda x: PCA(2).fit(x).transform(x[:, :3]), r"x must have shape \(batch, 4\), got \(6, 3\)"),
        (lambda x: PCA(2).fit(x).inverse_transform(x), r"z must have shape \(batch, 2\), got \(6, 4\)"),
    ],
)
def test_bad_input_is_refused(use, message, rng):
    with pytest.raises(ValueError, match=message):
        use(rng.normal(size=(6, 4)))


# ------------------------------------------------------------------------------------- probabilistic PCA

EIGENVALUES = [5, 3, 1.2, 0.6, 0.4]


def test_an_estimator_equals_itself_alone(rng):
    x = rng.normal(size=(6, 4))
    for one, other in ((PCA(1), PCA(1)), (PCA(1).fit(x), PCA(1).fit(x))):
        assert one == one
        assert one != other


def test_probabilistic_pca_attains_the_closed_form_optimum(rng):
    x = exact_covariance_data(EIGENVALUES, 50, rng) + rng.normal(size=5)
    model = probabilistic_pca(x, 2)
    best, s2 = ppca_optimum(np.array(EIGENVALUES), 2)
    assert abs(best + 7.9834853741) < 5e-11
    assert abs(model.s2 - s2) < 1e-12
    assert abs(model.log_prob(x).mean() - best) < 1e-11
    np.testing.assert_allclose((model.W**2).sum(0), [4.2666666667, 2.2666666667], atol=1e-9)
    assert model.diagonal_gap < 1e-12  # its columns are orthogonal
    for _ in range(20):
        near = LinearGaussian(model.W + 0.05 * rng.normal(size=(5, 2)), model.b, model.s2)
        assert near.log_prob(x).mean() < best


def test_the_model_covariance_keeps_the_leading_part_of_the_data_covariance(rng):
    x = exact_covariance_data(EIGENVALUES, 50, rng)
    model, S = probabilistic_pca(x, 2), covariance(x)
    C = model.W @ model.W.T + model.s2 * np.eye(5)
    _, vectors = np.linalg.eigh(S)
    top = vectors[:, -2:]
    np.testing.assert_allclose(C @ top, S @ top, atol=1e-12)
    assert abs(np.trace(C) - np.trace(S)) < 1e-12


def test_a_given_variance_above_an_eigenvalue_switches_its_latent_off(rng):
    x = exact_covariance_data([4, 2, 1, 0.5], 40, rng)
    np.testing.assert_allclose((probabilistic_pca(x, 3, s2=0.7).W ** 2).sum(0), [3.3, 1.3, 0.3], atol=1e-12)
    np.testing.assert_allclose((probabilistic_pca(x, 3, s2=1.5).W ** 2).sum(0), [2.5, 0.5, 0], atol=1e-12)
    for s2, value in ((0.7, -6.3942802888), (1.5, -6.6209400118)):
        assert abs(probabilistic_pca(x, 3, s2=s2).log_prob(x).mean() - value) < 5e-11


def test_samples_have_the_mean_and_covariance_of_the_model(rng):
    model = probabilistic_pca(exact_covariance_data(EIGENVALUES, 50, rng) + np.arange(5), 2)
    draws = model.sample(100_000, rng)
    assert_within_standard_errors(draws, model.b)
    C = model.W @ model.W.T + model.s2 * np.eye(5)
    y = draws - model.b
    assert_within_standard_errors(y[:, :, None] * y[:, None, :], C)
    assert_within_standard_errors(-model.log_prob(draws), stats.multivariate_normal(model.b, C).entropy())


def test_probabilistic_pca_refuses_what_has_no_optimum(rng):
    x = rng.normal(size=(30, 2)) @ rng.normal(size=(2, 5))
    with pytest.raises(ValueError, match="n_latent must be below the rank .* the likelihood has no upper bound"):
        probabilistic_pca(x, 2)
    with pytest.raises(ValueError, match="n_latent must be at least 1 and below 5, got 5"):
        probabilistic_pca(x, 5)
    with pytest.raises(ValueError, match="s2 must be a finite number greater than 0, got -1"):
        probabilistic_pca(x, 2, s2=-1)
