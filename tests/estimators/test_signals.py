"""What a score function multiplies the score by, beside the plainest route to the same numbers."""

import numpy as np
import pytest

from minivae.estimators.signals import leave_one_out, leave_one_out_signal, optimal_baseline


@pytest.mark.parametrize("shape", [(2,), (5,), (4, 3)])
def test_leave_one_out_is_the_mean_of_the_others(shape, rng):
    f = rng.normal(size=shape)
    others = np.array([np.delete(f, k, axis=0).mean(axis=0) for k in range(len(f))])
    np.testing.assert_allclose(leave_one_out(f), others, rtol=1e-13)
    np.testing.assert_allclose(leave_one_out_signal(f), f - others, rtol=1e-12, atol=1e-15)


def test_no_constant_has_less_second_moment_than_the_optimal_one(rng):
    f, score = rng.normal(2.0, 1.0, size=(50, 3)), rng.normal(size=(50, 3, 2))
    best = optimal_baseline(f, score)

    def second(c):
        return np.mean(((f[:, :, None] - c) * score) ** 2, axis=0)

    for step in (-0.1, 0.1):  # a parabola in c: its least value is exactly there
        np.testing.assert_allclose(second(best + step) - second(best), 0.01 * np.mean(score**2, axis=0), rtol=1e-9)
