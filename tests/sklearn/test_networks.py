"""VAE and autoencoder as transformers do what minivae does, and what scikit-learn asks of every estimator."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import minivae as mv
from minivae.sklearn import PCA, VAE, Autoencoder
from tests.support import assert_within_standard_errors

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:sklearn")  # of a check that is skipped

SMALL = {"n_hidden": (8,), "epochs": 3, "random_state": 0}


@parametrize_with_checks([PCA(), VAE(n_hidden=(8,), epochs=2, n_draws=2), Autoencoder(n_hidden=(8,), epochs=2)])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


@pytest.fixture
def x(rng):
    return rng.normal(size=(40, 3)) @ rng.normal(size=(3, 5))


def test_fit_is_mv_train(x):
    vae = VAE(n_latent=2, **SMALL).fit(x)
    model = mv.VAE.mlp(5, 2, [8], likelihood=mv.Gaussian(float(x.var(axis=0).mean()), learned=True))
    settings = mv.Settings(epochs=3, batch_size=40, patience=None, dtype="float64", seed=vae.seed_)
    result = mv.train(model, x, settings=settings)
    assert vae.model_ == model
    np.testing.assert_array_equal(vae.params_, result.params)
    np.testing.assert_array_equal(vae.transform(x), model.embed(result.params, x))
    z = np.ones((2, 2))
    np.testing.assert_array_equal(vae.inverse_transform(z), model.decode(result.params, z))


def test_partial_fit_goes_on_as_training_does(x):
    # one pass after the other, of all rows, is fit, but for what early stopping would do
    whole = VAE(n_latent=2, **SMALL).fit(x)
    steps = VAE(n_latent=2, **SMALL)
    for _ in range(3):
        steps.partial_fit(x)
    np.testing.assert_array_equal(steps.params_, whole.params_)
    assert (steps.n_iter_, len(steps.history_)) == (3, 3)
    before = whole.params_.copy()
    whole.partial_fit(x[:7])
    assert not np.array_equal(before, whole.params_)
    assert whole.n_iter_ == 4
    assert not np.array_equal(clone(whole).fit(x).params_, whole.params_)  # fit begins anew


def test_score_samples_is_the_bound_on_log_p_under_shared_noise(x):
    vae = VAE(n_latent=2, n_draws=256, n_hidden=(), epochs=5, random_state=0).fit(x)
    scores = vae.score_samples(x)
    np.testing.assert_allclose(vae.score_samples(x[3:5]), scores[3:5], rtol=1e-12)
    assert vae.score(x) == pytest.approx(scores.mean())
    # a linear VAE has log p(x) in closed form: the bound lies below its mean, and near
    W, b = vae.model_.decoder.layers[0].unpack(vae.model_.unpack(vae.params_)[3])
    s2 = np.exp(vae.params_[-1])
    C = np.atleast_2d(W.T @ W if W.shape[0] == 2 else W @ W.T) + s2 * np.eye(5)
    d = x - b
    exact = -0.5 * (5 * np.log(2 * np.pi) + np.linalg.slogdet(C)[1] + np.sum(d @ np.linalg.inv(C) * d, axis=1))
    elbo = vae.set_params(n_draws=1).score(x)
    assert elbo < scores.mean() < exact.mean() + 0.05
    assert exact.mean() - scores.mean() < exact.mean() - elbo


def test_samples_are_the_models(x):
    vae = VAE(n_latent=2, **SMALL).fit(x)
    assert vae.sample(3).shape == (3, 5)
    np.testing.assert_array_equal(vae.sample(3), vae.sample(3))
    assert not np.array_equal(vae.sample(3), vae.sample(3, random_state=1))
    np.testing.assert_array_equal(vae.sample(3, 1), vae.sample(3, 1))


def test_an_autoencoder_samples_from_the_gaussian_of_its_codes(x):
    model = Autoencoder(n_latent=2, n_hidden=(), epochs=30, random_state=0, learning_rate=0.01).fit(x)
    z = model.transform(x)
    np.testing.assert_allclose(model.code_mean_, z.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(model.code_covariance_, np.cov(z.T, bias=True), rtol=1e-10)
    draws = model.sample(4000)
    # a linear decoder: the mean of the draws is the decoded mean of the codes
    assert_within_standard_errors(draws, model.inverse_transform(model.code_mean_[None])[0])
    variance = np.exp(model.params_[-1])
    error = np.square(x - model.inverse_transform(z)).sum(axis=1)
    exact = -0.5 * (5 * np.log(2 * np.pi * variance) + error / variance)
    np.testing.assert_allclose(model.score_samples(x), exact, rtol=1e-10)


def test_patience_holds_rows_out(x):
    vae = VAE(n_latent=1, n_hidden=(4,), epochs=200, patience=2, learning_rate=0.3, random_state=0).fit(x)
    assert "valid_loss" in vae.history_[0]
    assert vae.n_iter_ < 200
    x_train, x_valid = vae._split(x)
    assert len(x_valid) == 4
    np.testing.assert_array_equal(np.sort(np.concatenate([x_train, x_valid]), axis=0), np.sort(x, axis=0))


def test_float32_stays(x):
    vae = VAE(n_latent=2, **SMALL).fit(x.astype(np.float32))
    assert vae.params_.dtype == np.float32
    assert vae.transform(x.astype(np.float32)).dtype == np.float32
    again = pickle.loads(pickle.dumps(vae))
    np.testing.assert_array_equal(again.transform(x), vae.transform(x))


def test_other_boxes_go_through(rng):
    bits = (rng.random((30, 6)) < 0.5).astype(float)
    vae = VAE(n_latent=3, likelihood="bernoulli", posterior="bits", n_draws=4, **SMALL).fit(bits)
    assert set(np.unique(vae.sample(5))) <= {0.0, 1.0}
    assert np.isfinite(vae.score(bits))
    assert VAE(objective=mv.Elbo(beta=4.0), prior="mixture", prior_components=2, **SMALL).fit(bits).n_iter_ == 3
    with pytest.raises(ValueError, match="Bernoulli"):
        VAE(likelihood="bernoulli", **SMALL).fit(3 * bits)
    with pytest.raises(ValueError, match="Z must have the 3 columns that transform gives, got 2"):
        vae.inverse_transform(np.zeros((1, 2)))
    with pytest.raises(NotFittedError):
        VAE().sample()


def test_a_pipeline_with_a_grid_search():
    x, _ = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), VAE(**SMALL, n_draws=4))
    search = GridSearchCV(pipeline, {"vae__n_latent": [1, 2], "vae__objective": [None, mv.Elbo(beta=4.0)]}, cv=2).fit(x)
    assert len(search.cv_results_["params"]) == 4
    assert search.best_score_ == max(search.cv_results_["mean_test_score"])
    codes = search.transform(x)
    assert codes.shape == (150, search.best_params_["vae__n_latent"])
    assert search.inverse_transform(codes).shape == x.shape
    again = clone(search.best_estimator_).fit(x)
    assert again.score(x) == pytest.approx(search.score(x))


def test_data_frames_come_in_and_go_out():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 3)), columns=["a", "b", "c"])
    vae = VAE(**SMALL).set_output(transform="pandas").fit(frame)
    codes = vae.transform(frame)
    assert list(codes.columns) == ["vae0", "vae1"]
    assert list(vae.feature_names_in_) == ["a", "b", "c"]
