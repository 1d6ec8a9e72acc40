"""EM for mixtures: the worked instance, its laws, another program's numbers, and the solutions that are none."""

import itertools
import warnings

import numpy as np
import pytest
from scipy import stats

from minivae.classical.gaussian_mixture import GaussianMixture
from minivae.classical.mixture_em import em, fit_mixture, k_means_plus_plus, m_step
from tests.support import assert_within_standard_errors

# worked out apart from this package
X = np.array([-2, -1.5, 0, 1, 2.5, 3])[:, None]
START = GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], [[1.0], [1.0]])


def after(x, start, n, floor=None):
    return next(itertools.islice(em(x, start, floor), n, None))


def spread(rng, K=3, d=2, diagonal=False):
    roots = 0.4 * rng.standard_normal((K, d, d)) + np.eye(d)
    S = roots @ roots.transpose(0, 2, 1)
    w = rng.dirichlet(np.full(K, 5.0))
    return GaussianMixture(w, 2 * rng.standard_normal((K, d)), np.einsum("kii->ki", S) if diagonal else S)


@pytest.mark.parametrize("start", [START, GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], [[[1.0]], [[1.0]]])])
def test_the_worked_instance(start):
    zero, one, last = after(X, start, 0), after(X, start, 1), after(X, start, 200)
    assert abs(zero.log_lik + 13.0265107779) < 1e-10
    r1 = [0.9820137900, 0.9525741268, 0.5, 0.1192029220, 0.0066928509, 0.0024726232]
    np.testing.assert_allclose(zero.r[:, 0], r1, rtol=0, atol=1e-10)
    assert abs(one.mixture.weights[0] - 0.4271593855) < 1e-10
    np.testing.assert_allclose(one.mixture.means.ravel(), [-1.2678857751, 1.8182881629], rtol=0, atol=1e-10)
    np.testing.assert_allclose(one.mixture.covariances.ravel(), [0.8328637915, 1.4203803000], rtol=0, atol=1e-10)
    assert abs(one.log_lik + 11.5032230057) < 1e-10
    assert abs(last.log_lik + 10.2312183574) < 1e-10
    np.testing.assert_allclose(last.mixture.means.ravel(), [-1.7524098215, 1.5948198736], rtol=0, atol=1e-10)


@pytest.mark.parametrize("diagonal", [False, True])
def test_densities_and_responsibilities_are_scipys(rng, diagonal):
    mix, x = spread(rng, diagonal=diagonal), rng.standard_normal((7, 2))
    S = [np.diag(s) if diagonal else s for s in mix.covariances]
    parts = zip(mix.weights, mix.means, S, strict=True)
    each = np.array([w * stats.multivariate_normal(m, s).pdf(x) for w, m, s in parts]).T
    np.testing.assert_allclose(mix.log_prob(x), np.log(each.sum(axis=1)), rtol=1e-12)
    np.testing.assert_allclose(mix.responsibilities(x), each / each.sum(axis=1, keepdims=True), rtol=1e-11)


def test_far_away_no_density_underflows():
    assert np.isfinite(START.log_prob([[1e6]])).all()
    np.testing.assert_array_equal(START.responsibilities([[-400.0], [400.0]]), [[1, 0], [0, 1]])


@pytest.mark.parametrize("diagonal", [False, True])
def test_samples_have_the_moments_of_the_mixture(rng, diagonal):
    mix = spread(rng, diagonal=diagonal)
    z = mix.sample(40_000, rng)
    S = np.array([np.diag(s) for s in mix.covariances]) if diagonal else mix.covariances
    mean = mix.weights @ mix.means
    second = np.einsum("k,kij->ij", mix.weights, S + np.einsum("ki,kj->kij", mix.means, mix.means))
    assert_within_standard_errors(z, mean)
    assert_within_standard_errors(np.einsum("ni,nj->nij", z, z), second)


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_em_is_coordinate_ascent_on_the_elbo(seed, diagonal):
    """The gap is 0 after an E-step; an M-step raises the ELBO at fixed r; so the log-likelihood never falls."""
    rng = np.random.default_rng(seed)
    x, start = spread(rng).sample(60, rng), spread(rng, diagonal=diagonal)
    steps = list(itertools.islice(em(x, start), 40))
    for a, b in itertools.pairwise(steps):
        gap = a.log_lik - a.mixture.free_energy(x, a.r)
        assert abs(gap) < 1e-9
        raised = b.mixture.free_energy(x, a.r)
        assert a.log_lik - 1e-9 <= raised <= b.log_lik + 1e-9
        np.testing.assert_allclose(a.r, a.mixture.responsibilities(x), atol=1e-14)
    assert steps[-1].log_lik > steps[0].log_lik + 1


def test_the_gap_of_other_responsibilities_is_their_kl(rng):
    mix, x = spread(rng), rng.standard_normal((9, 2))
    r, exact = rng.dirichlet(np.ones(3), 9), mix.responsibilities(x)
    kl = (r * np.log(r / exact)).sum()
    assert mix.log_prob(x).sum() - mix.free_energy(x, r) == pytest.approx(kl, rel=1e-10)
    hard = np.eye(3)[exact.argmax(axis=1)]
    assert mix.free_energy(x, hard) == pytest.approx((hard * mix.log_joint(x)).sum(), rel=1e-12)


@pytest.mark.parametrize("diagonal", [False, True])
def test_the_m_step_is_the_best_one(rng, diagonal):
    """No parameters near it have a higher ELBO at the same responsibilities."""
    x, r = rng.standard_normal((30, 2)), rng.dirichlet(np.ones(2), 30)
    best = m_step(x, r, "diagonal" if diagonal else "full")
    top = best.free_energy(x, r)
    for _ in range(60):
        w = best.weights * np.exp(0.01 * rng.standard_normal(2))
        A = np.eye(2) + 0.01 * rng.standard_normal((2, 2))
        S = best.covariances * np.exp(0.01 * rng.standard_normal((2, 2))) if diagonal else A @ best.covariances @ A.T
        near = GaussianMixture(w / w.sum(), best.means + 0.01 * rng.standard_normal((2, 2)), S)
        assert near.free_energy(x, r) < top
    # at a maximum the loss is of second order in the step
    shifted = GaussianMixture(best.weights, best.means + 1e-5, best.covariances)
    assert top - shifted.free_energy(x, r) < 1e-7


@pytest.mark.parametrize("diagonal", [False, True])
def test_it_is_scikit_learns_from_the_same_start(diagonal):
    sklearn = pytest.importorskip("sklearn.mixture")
    rng = np.random.default_rng(3)
    x, start = spread(rng).sample(150, rng), spread(rng, diagonal=diagonal)
    precisions = 1 / start.covariances if diagonal else np.linalg.inv(start.covariances)
    peer = sklearn.GaussianMixture(
        3,
        covariance_type="diag" if diagonal else "full",
        tol=0.0,
        reg_covar=0.0,
        max_iter=25,
        weights_init=start.weights,
        means_init=start.means,
        precisions_init=precisions,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that 25 steps are not the end
        peer.fit(x)
    ours = after(x, start, 25, 0.0)
    np.testing.assert_allclose(ours.mixture.weights, peer.weights_, rtol=0, atol=1e-8)
    np.testing.assert_allclose(ours.mixture.means, peer.means_, rtol=0, atol=1e-8)
    np.testing.assert_allclose(ours.mixture.covariances, peer.covariances_, rtol=0, atol=1e-8)
    np.testing.assert_allclose(ours.log_lik / 150, peer.score(x), rtol=0, atol=1e-8)
    np.testing.assert_allclose(ours.r, peer.predict_proba(x), rtol=0, atol=1e-8)


def test_a_component_on_one_point_is_kept_from_falling_in():
    """With a floor the likelihood has a bound and still never falls; without one the step is refused."""
    x = np.array([-1.0, -0.6, 0.1, 0.4, 1.1, 8.0])[:, None]
    start = GaussianMixture([0.5, 0.5], [[0.0], [8.0]], [[1.0], [0.01]])
    with pytest.raises(ValueError, match=r"floor must keep every variance above 0, got 0 and component 1 .* Raise it"):
        list(itertools.islice(em(x, start, 0.0), 20))
    steps = list(itertools.islice(em(x, start, 0.0025), 30))
    assert all(b.log_lik >= a.log_lik - 1e-9 for a, b in itertools.pairwise(steps))
    assert steps[-1].at_floor == [1]
    assert steps[-1].mixture.covariances[1, 0] == 0.0025


def test_the_floor_is_the_best_step_under_it(rng):
    """On a plane only: the eigenvalue across is raised, and nothing else that obeys the floor does better."""
    flat = rng.standard_normal((20, 1)) @ np.array([[2.0, 1.0]])
    r, floor = np.ones((20, 1)), 0.3
    best = m_step(flat, r, floor=floor)
    values, vectors = np.linalg.eigh(best.covariances[0])
    assert values[0] == pytest.approx(floor, rel=1e-12)
    assert abs(vectors[:, 1] @ [2, 1]) == pytest.approx(np.sqrt(5), rel=1e-12)
    assert values[1] == pytest.approx(np.linalg.eigvalsh(np.cov(flat.T, bias=True))[1], rel=1e-12)
    for _ in range(100):
        A = best.covariances[0] + 0.05 * (B := rng.standard_normal((2, 2))) @ B.T - 0.02 * np.eye(2)
        if np.linalg.eigvalsh(A)[0] >= floor:
            other = GaussianMixture([1.0], best.means, A[None])
            assert other.free_energy(flat, r) < best.free_energy(flat, r)


def test_the_floor_is_in_the_units_of_the_data(rng):
    x = np.concatenate([rng.standard_normal((30, 2)), [[40.0, 40.0]]])
    small = fit_mixture(x, 2, np.random.default_rng(0))
    large = fit_mixture(1000 * x, 2, np.random.default_rng(0))
    np.testing.assert_allclose(large.mixture.covariances, 1e6 * small.mixture.covariances, rtol=1e-6)


def test_fits_find_well_apart_components(rng):
    truth = GaussianMixture([0.3, 0.7], [[-4.0, 0.0], [4.0, 1.0]], [np.diag([1.0, 0.5]), [[1.0, 0.8], [0.8, 1.0]]])
    x = truth.sample(3000, rng)
    found = fit_mixture(x, 2, rng)
    order = np.argsort(found.mixture.means[:, 0])
    np.testing.assert_allclose(found.mixture.weights[order], truth.weights, atol=5 * np.sqrt(0.21 / 3000))
    np.testing.assert_allclose(found.mixture.means[order], truth.means, atol=5 / np.sqrt(900))
    assert found.log_lik >= truth.log_prob(x).sum()
    assert not found.at_floor
    assert found.log_lik > fit_mixture(x, 2, rng, "diagonal").log_lik


def test_centres_are_drawn_by_their_squared_distance():
    x = np.array([0.0, 1.0, 3.0])[:, None]
    counts = np.zeros((3, 3))
    rng = np.random.default_rng(0)
    for _ in range(1500):
        a, b = k_means_plus_plus(x, 2, rng).ravel()
        counts[{0.0: 0, 1.0: 1, 3.0: 2}[a], {0.0: 0, 1.0: 1, 3.0: 2}[b]] += 1
    exact = np.array([[0, 1 / 10, 9 / 10], [1 / 5, 0, 4 / 5], [9 / 13, 4 / 13, 0]]) / 3
    error = np.sqrt(exact * (1 - exact) / 1500)
    assert (np.abs(counts / 1500 - exact) <= 5 * error).all()
    # with a third the nearest centre counts: 0 and 10 taken, 6 is at squared distance 16, 9 at 1
    far = [k_means_plus_plus(np.array([[0.0], [10.0], [6.0], [9.0]]), 4, rng).ravel().tolist() for _ in range(1500)]
    third = [c[2] for c in far if set(c[:2]) == {0.0, 10.0}]
    share = np.mean(np.array(third) == 6.0)
    assert abs(share - 16 / 17) < 5 * np.sqrt(16 / 17**2 / len(third))


def test_what_is_refused():
    g = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"n_components must be at most the 2 different rows of x, got 3"):
        fit_mixture([[0.0], [0.0], [1.0]], 3, g)
    with pytest.raises(ValueError, match="x must hold different rows, got 4 alike"):
        fit_mixture(np.ones((4, 2)), 2, g)
    with pytest.raises(ValueError, match="x must hold at least one value"):
        fit_mixture(np.empty((0, 2)), 2, g)
    with pytest.raises(ValueError, match="x must be finite, got 1 NaN"):
        fit_mixture([[0.0], [np.nan]], 2, g)
    with pytest.raises(ValueError, match="covariances must be positive definite, got a singular one for component 1"):
        GaussianMixture([0.5, 0.5], np.zeros((2, 2)), [np.eye(2), np.ones((2, 2))])
    with pytest.raises(ValueError, match="covariances must be symmetric"):
        GaussianMixture([1.0], np.zeros((1, 2)), [[[1.0, 0.5], [0.0, 1.0]]])
    with pytest.raises(ValueError, match="covariances must be positive definite"):
        GaussianMixture([1.0], np.zeros((1, 2)), [[1.0, 0.0]])
    with pytest.raises(ValueError, match="weights must be positive and sum to 1"):
        GaussianMixture([0.5, 0.6], np.zeros((2, 1)), np.ones((2, 1)))
    with pytest.raises(ValueError, match=r"must have shapes \(K,\), \(K, d\)"):
        GaussianMixture([0.5, 0.5], np.zeros((2, 2)), np.ones((2, 3)))
    with pytest.raises(ValueError, match="r must give every component a share, got none for component 1"):
        m_step([[0.0], [1.0]], [[1.0, 0.0], [1.0, 0.0]])
    with pytest.raises(ValueError, match="r must hold one distribution over components a row"):
        m_step([[0.0], [1.0]], [[1.0, 0.1], [1.0, 0.0]])


def test_of_several_starts_the_best_end_counts_and_ends_on_one_point_come_last():
    g = np.random.default_rng(5)
    x = np.concatenate([g.standard_normal((12, 1)) + centre for centre in (-6, -2, 2, 6)])
    alone = np.random.default_rng(1)
    few = {"n_steps": 200, "floor": 1e-4}
    ends = [fit_mixture(x, 4, alone, n_starts=1, **few) for _ in range(3)]
    best = fit_mixture(x, 4, np.random.default_rng(1), n_starts=3, **few)
    sound = [end.log_lik for end in ends if not end.at_floor]
    assert len({round(value, 3) for value in sound}) > 1
    assert best.log_lik == max(sound)
    spike = np.concatenate([g.standard_normal((20, 1)), np.full((3, 1), 0.25)])  # three rows alike: a likelihood trap
    alone = np.random.default_rng(0)
    ends = [fit_mixture(spike, 2, alone, n_starts=1) for _ in range(3)]
    floored = [end.log_lik for end in ends if end.at_floor]
    sound = [end.log_lik for end in ends if not end.at_floor]
    assert max(floored) > max(sound)  # and yet no model of these rows
    assert fit_mixture(spike, 2, np.random.default_rng(0), n_starts=3).log_lik == max(sound)
