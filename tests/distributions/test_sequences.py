"""Likelihoods of sequences: sums over steps, lengths, probabilities that add up to one, what a decoder may see."""

import itertools

import numpy as np
import pytest

from minivae.core.registry import from_spec, to_spec
from minivae.distributions import Bernoulli, EachStep, Gaussian, GaussianPerPixel, TeacherForced
from minivae.nn import GRU, LSTM, Dense, Sequential, Steps

T, C = 4, 2
EVERY = np.array(list(itertools.product([0.0, 1.0], repeat=T)))


def forced(likelihood=None, n_features=1, ragged=False, layer=GRU):
    likelihood = likelihood or Bernoulli()
    said = Steps(Sequential([Dense(5, likelihood.n_out(n_features))]), T)
    network = Sequential([layer(T, n_features + C, 5, "all"), said])
    return TeacherForced(network, likelihood, T, n_features, C, ragged)


def started(likelihood, rng):
    params = likelihood.init(rng)
    return params + 0.5 * rng.normal(size=params.shape)


@pytest.mark.parametrize("one", [Bernoulli(), Gaussian(0.5), Gaussian(learned=True), GaussianPerPixel()])
def test_each_step_is_a_sum_over_the_steps_within_the_length(one, rng):
    steps = EachStep(one, T, 2, ragged=True)
    params, lengths = one.init(rng), np.array([3.0, 1.0, 4.0])
    values = (rng.random((3, T * 2)) < 0.5).astype(float)
    x, out = np.concatenate([values, lengths[:, None]], axis=1), rng.normal(size=(6, steps.n_out(9)))
    each = out.reshape(6, T, -1)
    expected = [
        sum(
            one.log_prob(params, each[r, None, t], values.reshape(3, T, 2)[r % 3, None, t])[0]
            for t in range(int(lengths[r % 3]))
        )
        for r in range(6)
    ]
    np.testing.assert_allclose(steps.log_prob(params, out, x), expected, rtol=1e-12)
    mean = steps.mean(params, out)
    assert mean.shape == steps.sample(params, out, rng).shape == (6, 9)
    assert (mean[:, -1] == T).all()
    np.testing.assert_allclose(mean[:, 2:4], one.mean(params, np.ascontiguousarray(each[:, 1])))


def test_all_lengths_at_most_are_the_likelihood_of_flat_rows(rng):
    x, out = (rng.random((3, 8)) < 0.5).astype(float), rng.normal(size=(6, 8))
    steps = EachStep(Bernoulli(), T, 2)
    np.testing.assert_allclose(steps.log_prob(steps.init(), out, x), Bernoulli().log_prob(steps.init(), out, x))


@pytest.mark.parametrize("layer", [GRU, LSTM])
def test_the_probabilities_of_all_sequences_add_up_to_one(layer, rng):
    likelihood = forced(layer=layer)
    params, c = started(likelihood, rng), rng.normal(size=(1, C))
    log_p = likelihood.log_prob(params, np.repeat(c, len(EVERY), axis=0), EVERY)
    assert abs(np.exp(log_p).sum() - 1) < 1e-13
    for length in (1, 3):  # so do those of every shorter length
        short = forced(ragged=True, layer=layer)
        rows = np.unique(np.where(np.arange(T) < length, EVERY, 0), axis=0)
        x = np.concatenate([rows, np.full((len(rows), 1), float(length))], axis=1)
        assert abs(np.exp(short.log_prob(params, np.repeat(c, len(x), axis=0), x)).sum() - 1) < 1e-13


def test_draws_have_the_probabilities_of_the_formula(rng):
    likelihood, n = forced(), 4000
    params, c = started(likelihood, rng), rng.normal(size=(1, C))
    p = np.exp(likelihood.log_prob(params, np.repeat(c, len(EVERY), axis=0), EVERY))
    drawn = likelihood.sample(params, np.repeat(c, n, axis=0), rng)
    counts = np.bincount((drawn @ 2 ** np.arange(T - 1, -1, -1)).astype(int), minlength=len(EVERY))
    assert (np.abs(counts - n * p) <= 5 * np.sqrt(n * p * (1 - p)) + 1).all()


def test_a_step_sees_what_came_before_it_and_nothing_else(rng):
    likelihood = forced(Gaussian())
    params, c, x = started(likelihood, rng), rng.normal(size=(1, C)), rng.normal(size=(1, T))
    network = params[: likelihood.network.n_params]
    said = likelihood.network.forward(network, likelihood._seen(c, x))[0]
    for t in range(T):
        other = x.copy()
        other[0, t] += 1
        differs = likelihood.network.forward(network, likelihood._seen(c, other))[0] != said
        np.testing.assert_array_equal(differs[0], np.arange(T) > t)


def test_what_runs_by_itself_is_fed_what_it_says(rng):
    likelihood = forced(Gaussian())
    params, c = started(likelihood, rng), rng.normal(size=(3, C))
    mean = likelihood.mean(params, c)
    said = likelihood.network.forward(params, likelihood._seen(c, mean))[0]
    np.testing.assert_allclose(said, mean, atol=1e-15)


def test_dropped_steps_are_not_seen(rng):
    likelihood = forced()
    params, c, x = started(likelihood, rng), rng.normal(size=(6, C)), EVERY[[3, 9, 14]]
    none = likelihood.dropping(np.zeros((6, T)))
    network = params[: likelihood.network.n_params]
    blind = likelihood.network.forward(network, likelihood._seen(c, np.zeros_like(x)))[0]
    np.testing.assert_allclose(none.log_prob(params, c, x), Bernoulli().log_prob(params[:0], blind, x), rtol=1e-13)
    full = likelihood.log_prob(params, c, x)
    np.testing.assert_array_equal(likelihood.dropping(np.ones((6, T))).log_prob(params, c, x), full)
    assert (np.abs(none.log_prob(params, c, x) - full) > 1e-6).all()
    kept = np.ones((6, T))
    kept[:, 1] = 0  # the second step is scored, and the third does not see it
    seen = likelihood.dropping(kept)._seen(c, np.ones((3, T))).reshape(6, T, -1)[:, :, 0]
    np.testing.assert_array_equal(seen, np.tile([0, 1, 0, 1], (6, 1)))


def test_data_are_held_to_the_steps_within_their_lengths():
    steps = EachStep(Bernoulli(), 2, 1, ragged=True)
    x = np.array([[1.0, 7.0, 1.0], [0.0, 1.0, 2.0]])  # the 7 is beyond its length
    steps.check(x)
    assert steps.is_density(x)
    with pytest.raises(ValueError, match=r"x must lie in \[0, 1\]"):
        steps.check(np.array([[1.0, 7.0, 2.0]]))
    for bad in (0.0, 3.0, 1.5):
        with pytest.raises(ValueError, match="lengths must be whole numbers from 1 to the 2 steps"):
            steps.check(np.array([[1.0, 0.0, bad]]))
    learned = EachStep(Gaussian(learned=True), 2, 1, ragged=True)
    data = np.array([[1.0, 99.0, 1.0], [3.0, 2.0, 2.0]])
    assert learned.starting_at(data).likelihood.variance == pytest.approx(2 / 3)  # of 1, 3 and 2
    np.testing.assert_allclose(learned.out_at_mean(data), [2.0, 2.0])


def test_they_are_saved_and_refuse_what_does_not_fit(rng):
    for likelihood in (EachStep(Gaussian(), T, 2, True), forced()):
        assert from_spec(to_spec(likelihood)) == likelihood
    likelihood = forced()
    names = [name for name, _ in likelihood.named(likelihood.init(rng))]
    assert names[0] == "network.0.weight"
    with pytest.raises(ValueError, match="n_x must be 4, the steps of a row"):
        likelihood.n_out(5)
    with pytest.raises(
        ValueError, match="network must take 12 values, a step and its context 4 times, and give 4, got 4"
    ):
        TeacherForced(Sequential([Dense(4, 4)]), Bernoulli(), T, 1, C)
