"""Sequences: the generated set with its known factors, and files of a user's own with lengths."""

import numpy as np
import pytest
from scipy import stats

from minivae.core.errors import FileError
from minivae.datasets import load, load_file, read_rows, sines


def test_sines_are_made_of_their_factors():
    x, factors = sines(3000, np.random.default_rng(0))
    assert x.shape == (3000, 24)
    t = np.arange(24)
    turns = factors["cycles"][:, None] * t / 24 + factors["phase"][:, None]
    noise = (x - factors["amplitude"][:, None] * np.sin(2 * np.pi * turns)) / 0.1
    assert stats.kstest(noise.ravel(), "norm").pvalue > 1e-4
    for name, low, width in (("amplitude", 0.5, 1), ("cycles", 1, 3), ("phase", 0, 1)):
        assert stats.kstest(factors[name], stats.uniform(low, width).cdf).pvalue > 1e-4
    log_p = stats.norm.logpdf(0.1 * noise, scale=0.1).sum(axis=1)
    assert abs(log_p.mean() - 21.206) <= 5 * log_p.std() / np.sqrt(3000)


def test_ragged_sines_end_in_their_length():
    x, factors = sines(500, np.random.default_rng(0), ragged=True)
    np.testing.assert_array_equal(x[:, -1], factors["length"])
    assert set(x[:, -1]) == set(range(12, 25))
    inside = np.arange(24) < x[:, -1:]
    assert not x[:, :-1][~inside].any()
    assert x[:, :-1][inside].all()


@pytest.mark.parametrize("name", ["sines", "sines-ragged"])
def test_the_sets_are_the_same_for_ever_and_say_what_they_are(name):
    data, again = load(name), load(name)
    np.testing.assert_array_equal(data.x_train, again.x_train)
    assert [len(x) for x in (data.x_train, data.x_valid, data.x_test)] == [2000, 500, 500]
    assert (data.steps, data.ragged, data.image_shape) == ((24, 1), name.endswith("ragged"), None)
    assert not np.array_equal(data.x_valid, data.x_test)
    assert set(data.y_train) == {1, 2, 3}


def write(folder, **arrays):
    path = folder / "own.npz"
    np.savez(path, **arrays)
    return path


def test_a_file_of_sequences_keeps_steps_and_lengths(tmp_path, rng):
    x, lengths = rng.normal(3, 2, size=(40, 6, 2)), rng.integers(1, 7, 40)
    inside = np.arange(6) < lengths[:, None]
    x[~inside] = np.nan  # beyond the lengths anything goes
    data = load_file(write(tmp_path, x=x, lengths=lengths))
    assert (data.steps, data.ragged, data.n_x) == ((6, 2), True, 13)
    rows = np.concatenate([data.x_train, data.x_valid, data.x_test])
    np.testing.assert_array_equal(np.sort(rows[:, -1]), np.sort(lengths))
    steps = data.x_train[:, :-1].reshape(-1, 6, 2)[np.arange(6) < data.x_train[:, -1:]]
    np.testing.assert_allclose(steps.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(steps.std(axis=0), 1, rtol=1e-5)
    again = (read_rows(tmp_path / "own.npz")[0] - data.scale[0]) / data.scale[1]
    np.testing.assert_array_equal(np.sort(again[:, -1]), np.sort(lengths))


def test_few_numbers_a_step_are_a_sequence_and_more_are_an_image(tmp_path, rng):
    np.save(tmp_path / "a.npy", rng.random((20, 8, 4)))
    np.save(tmp_path / "b.npy", rng.random((20, 8, 5)))
    a, b = load_file(tmp_path / "a.npy"), load_file(tmp_path / "b.npy")
    assert (a.steps, a.image_shape, a.ragged) == ((8, 4), None, False)
    assert (b.steps, b.image_shape) == (None, (8, 5))
    with pytest.raises(ValueError, match="image_shape must be left away for sequences, got 8 x 4 with a.npy"):
        load_file(tmp_path / "a.npy", (8, 4))


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        (np.full(20, 0), "must lie between 1 and the 6 steps of x, got 0"),
        (np.full(20, 7), "must lie between 1 and the 6 steps of x, got 7"),
        (np.full(20, 3.0), "must be 20 integers, one for each row of x, got an array of dtype float64"),
        (np.full(19, 3), "must be 20 integers, one for each row of x"),
    ],
)
def test_lengths_that_are_none_are_refused(lengths, message, tmp_path, rng):
    with pytest.raises((ValueError, FileError), match=message):
        load_file(write(tmp_path, x=rng.random((20, 6, 2)), lengths=lengths))


def test_lengths_of_one_number_a_step_need_no_third_axis(tmp_path, rng):
    data = load_file(write(tmp_path, x=rng.random((20, 6)), lengths=np.arange(20) % 6 + 1))
    assert data.steps == (6, 1)
    with pytest.raises(ValueError, match=r"must have shape \(N, T, D\) beside lengths, got \(20, 2, 3, 2\)"):
        load_file(write(tmp_path, x=rng.random((20, 2, 3, 2)), lengths=np.full(20, 2)))
