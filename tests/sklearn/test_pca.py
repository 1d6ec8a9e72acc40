"""PCA as a transformer is scikit-learn's, in one pass or in many, and has the density of probabilistic PCA."""

import numpy as np
import pytest
from sklearn import decomposition

from minivae.sklearn import PCA
from tests.support import assert_within_standard_errors


@pytest.fixture
def x(rng):
    return rng.normal(size=(60, 3)) @ rng.normal(size=(3, 5)) + 0.3 * rng.normal(size=(60, 5)) + 2.0


@pytest.mark.parametrize("k", [1, 3, 5, None])
def test_all_is_scikit_learns(k, x):
    ours, peer = PCA(k).fit(x), decomposition.PCA(k).fit(x)
    signs = np.sign(np.sum(ours.components_ * peer.components_, axis=1))
    np.testing.assert_allclose(ours.transform(x), peer.transform(x) * signs, atol=1e-12)
    np.testing.assert_allclose(ours.inverse_transform(ours.transform(x)), peer.inverse_transform(peer.transform(x)))
    np.testing.assert_allclose(ours.score_samples(x), peer.score_samples(x), rtol=1e-9)
    assert ours.noise_variance_ == pytest.approx(peer.noise_variance_, abs=1e-14)


def test_many_passes_are_one(x):
    whole, parts = PCA(2).fit(x), PCA(2)
    for rows in (x[:2], x[2:3], x[3:40], x[40:]):
        parts.partial_fit(rows)
    assert parts.n_samples_seen_ == 60
    for name in ("components_", "explained_variance_", "explained_variance_ratio_", "mean_", "noise_variance_"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-10, atol=1e-12)
    on = PCA(2).fit(x[:30]).partial_fit(x[30:])
    np.testing.assert_allclose(on.transform(x), whole.transform(x), atol=1e-10)


def test_samples_have_the_fitted_moments(x):
    pca = PCA(2, random_state=0).fit(x)
    draws = pca.sample(20_000)
    assert_within_standard_errors(draws, pca.mean_)
    U = pca.components_
    C = U.T @ np.diag(pca.explained_variance_ - pca.noise_variance_) @ U + pca.noise_variance_ * np.eye(5)
    d = draws - pca.mean_
    assert_within_standard_errors(d[:, :, None] * d[:, None, :], C)
    np.testing.assert_array_equal(draws, pca.sample(20_000))
    assert not np.array_equal(draws[:5], pca.sample(5, random_state=1))


def test_a_density_without_width_is_refused(rng):
    with pytest.raises(ValueError, match="n_components must leave a density with a width in every direction, got 3"):
        PCA().fit(rng.normal(size=(3, 5)) + 1.0).score(rng.normal(size=(3, 5)))
