"""No wrong answer passes: hundreds made by rule from each solution, and every kind that once did."""

from itertools import combinations

import numpy as np
import pytest

from minivae.core.seeds import Stream, stream
from minivae.exercises import EXERCISES
from minivae.exercises.framework import TRIALS
from minivae.exercises.laws import BrokenLawError
from tests.exercises.mutants import mutations
from tests.exercises.right_in_fact import RIGHT
from tests.exercises.test_exercises import SOLUTIONS

FUNCTIONS = [name for name, exercise in EXERCISES.items() if exercise.arguments]
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the wrong answers: the mean of nothing


def example_of(exercise, seed):
    return exercise.example(np.random.default_rng(seed))


def mutations_of(name):
    exercise = EXERCISES[name]
    arguments = example_of(exercise, 0)
    return dict(mutations(arguments, SOLUTIONS[exercise.answer_name](*arguments)))


def passes(exercise, answer):
    """Say whether all laws hold in all trials: what ``check`` asks, without threads and diagnoses."""
    try:
        for trial in range(TRIALS):
            for law in exercise.laws:
                law.holds(answer, stream(0, Stream.EXERCISES, trial))
    except (BrokenLawError, ArithmeticError, ValueError, IndexError, TypeError):
        return False
    return True


def is_right(exercise, answer):
    """Say whether an answer equals the solution on fresh examples: then it is another way to write it."""
    solution = SOLUTIONS[exercise.answer_name]
    for seed in range(100, 112):
        arguments = example_of(exercise, seed)
        want, got = (np.asarray(flat(exercise.compare(f(*arguments)))) for f in (solution, answer))
        if want.shape != got.shape or not np.allclose(want, got, rtol=1e-7, atol=1e-9):
            return False
    return True


def flat(result):
    if isinstance(result, dict):
        result = [result[key] for key in sorted(result)]
    if isinstance(result, (tuple, list)):
        return np.concatenate([np.ravel(flat(part)) for part in result])
    return result


@pytest.fixture(autouse=True)
def _quiet():
    with np.errstate(all="ignore"):
        yield


LONGEST = ("bugs.repaired-vae", "backprop.two-layer-gradient")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long) if name in LONGEST else name for name in FUNCTIONS]
)
def test_no_single_change_passes_unless_it_is_right_in_fact(name):
    exercise, changes = EXERCISES[name], mutations_of(name)
    solution = SOLUTIONS[exercise.answer_name]
    survivors = {which for which, change in changes.items() if passes(exercise, change(solution))}
    assert survivors == set(RIGHT.get(name, {}))
    for which in survivors:
        assert is_right(exercise, changes[which](solution)), which


@pytest.mark.long
@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_two_changes_at_once_pass_unless_they_are_right_in_fact(name):
    exercise, changes = EXERCISES[name], mutations_of(name)
    solution = SOLUTIONS[exercise.answer_name]
    pairs = list(combinations(changes, 2))
    for i in np.random.default_rng(0).permutation(len(pairs))[:800]:
        one, other = pairs[i]
        both = changes[other](changes[one](solution))
        assert not passes(exercise, both) or is_right(exercise, both), (one, other)  # they undo each other
