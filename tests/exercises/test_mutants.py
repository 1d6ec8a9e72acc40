"""No wrong answer passes: hundreds made by rule from each solution, and every kind that once did."""

from itertools import combinations

import numpy as np
import pytest

from minivae.exercises import EXERCISES
from minivae.exercises.framework import TRIALS
from minivae.exercises.laws import BrokenLawError
from tests.exercises.mutants import mutations
from tests.exercises.test_exercises import SOLUTIONS

FUNCTIONS = [name for name, exercise in EXERCISES.items() if exercise.arguments]

# What changes a solution without making it wrong, and why. A reason stands beside words that the change's name holds.
NOT_NEGATIVE = "the answer is never negative"
ORDER = "the order of the examples, or of the draws, is free where they are added up or averaged"
VECTOR = "a vector is its own transpose"
RIGHT = {
    "autoencoders.squared-error": {
        "part 0 absolute": NOT_NEGATIVE,
        "arguments 0 and 1 exchanged": "x - x_hat is squared, so its sign is free",
    },
    "autoencoders.denoising-loss": {"part 0 absolute": NOT_NEGATIVE},
    "autoencoders.sparsity": {
        "part 0 absolute": NOT_NEGATIVE,
        "argument 0 absolute": "activations lie between 0 and 1",
        "argument 0 clipped": "activations lie between 0 and 1",
        "argument 0 averaged over axis 0": "only the mean activation of each unit counts",
        "argument 0 reversed along axis 0": ORDER,
        "argument 0 rolled along axis 0": ORDER,
        "argument 0 reversed along axis 1": "the units are added up",
        "argument 0 rolled along axis 1": "the units are added up",
    },
    "autoencoders.jacobian-penalty": {
        "part 0 absolute": NOT_NEGATIVE,
        "argument 2 reversed along axis 0": ORDER,
        "argument 2 rolled along axis 0": ORDER,
    },
    "pca.components": {
        "times -1": "the sign of a component is free",
        "part 0 with its sign turned": "the sign of a component is free",
        "argument 0 with its sign turned": "-x varies along the same directions",
        "argument 0 doubled": "2 x varies along the same directions",
        "argument 0 plus 0.1": "the mean is taken away",
        "argument 0 reversed along axis 0": ORDER,
        "argument 0 rolled along axis 0": ORDER,
    },
    "pca.power-iteration": {
        "argument 0 doubled": "v is shortened to length one",
        "argument 0 transposed": "S is symmetric",
        "part 0 transposed": VECTOR,
    },
    "pca.deflate": {
        "argument 0 transposed": "S is symmetric",
        "part 0 transposed": "S is symmetric",
        "argument 1 with its sign turned": "u u^T does not know the sign of u",
        "argument 1 clipped": "no entry of a vector of length one is above one",
    },
    "pca.linear-gradient": {
        "argument 2 with its sign turned": "the error of -x is that of x",
        "argument 2 reversed along axis 0": ORDER,
        "argument 2 rolled along axis 0": ORDER,
    },
    "pca.subspace-distance": {
        "part 0 absolute": NOT_NEGATIVE,
        "arguments 0 and 1 exchanged": "the distance of two subspaces of one dimension is symmetric",
        **{
            f"argument {i} {change}": "another basis of the same subspace"
            for i in (0, 1)
            for change in ("with its sign turned", "doubled", "reversed along axis 0", "rolled along axis 0")
        },
    },
    "backprop.dense-backward": {"part 2 transposed": VECTOR},
    "backprop.tanh-backward": {
        "argument 0 with its sign turned": "only y^2 counts",
        "argument 0 absolute": "only y^2 counts",
        "argument 0 clipped": "y lies between -1 and 1",
    },
    "backprop.two-layer-gradient": {"part 1 transposed": VECTOR, "part 3 transposed": VECTOR},
    "backprop.central-slope": {"argument 3 with its sign turned": "h and -h are the same two points"},
    "estimators.pathwise": {"part 0 transposed": VECTOR, "part 1 transposed": VECTOR},
    "estimators.score-function": {"part 0 transposed": VECTOR, "part 1 transposed": VECTOR},
    "estimators.optimal-baseline": {
        "argument 1 with its sign turned": "only s^2 counts",
        "argument 1 absolute": "only s^2 counts",
        "argument 1 doubled": "the weights s^2 are divided by their sum",
    },
    "estimators.leave-one-out-gradient": {
        "argument 0 plus 0.1": "a constant in f drops out",
        "argument 1 plus 0.1": "the differences f_i - c_i add up to zero, so a constant in s drops out, too",
        "arguments 0 and 1 exchanged": "it is a covariance, which is symmetric",
    },
    "estimators.standard-error": {
        "part 0 absolute": NOT_NEGATIVE,
        "argument 0 with its sign turned": "the spread of -g is that of g",
        "argument 0 plus 0.1": "the spread does not know the mean",
        "argument 0 reversed along axis 0": ORDER,
        "argument 0 rolled along axis 0": ORDER,
    },
    "vae.kl": {
        "part 0 absolute": NOT_NEGATIVE,
        "part 0 transposed": VECTOR,
        "argument 0 with its sign turned": "only mu^2 counts",
        "argument 0 absolute": "only mu^2 counts",
        **{
            f"argument {i} {change} along axis 1": "mu^2 and the function of log_var are added up, each by itself"
            for i in (0, 1)
            for change in ("reversed", "rolled")
        },
    },
    "vae.log-bernoulli": {
        "part 0 transposed": VECTOR,
        "argument 1 absolute": "pixels are 0 or 1",
        "argument 1 clipped": "pixels are 0 or 1",
    },
    "vae.elbo": {
        "part 0 transposed": VECTOR,
        "argument 1 absolute": "a KL is never negative",
        "argument 0 averaged over axis 0": "only the mean over the draws counts",
        "argument 0 reversed along axis 0": ORDER,
        "argument 0 rolled along axis 0": ORDER,
    },
    "bugs.repaired-vae": {
        "part 0 absolute": "minus log p(x|z) of binary pixels and a KL are never negative",
        **{f"part {i} transposed": VECTOR for i in range(6, 11)},
        "argument 1 absolute": "pixels are 0 or 1",
        "argument 1 clipped": "pixels are 0 or 1",
        "argument 2 reversed along axis 0": ORDER,
        "argument 2 rolled along axis 0": ORDER,
    },
    "images_and_sequences.conv-size": {"part 0 absolute": NOT_NEGATIVE},
    "images_and_sequences.conv-backward": {"part 0 transposed": VECTOR, "part 1 transposed": VECTOR},
    "images_and_sequences.rnn-backward": {"part 2 transposed": VECTOR},
    "images_and_sequences.clip-by-norm": {"part 0 transposed": VECTOR},
}


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
                law.holds(answer, np.random.default_rng([0, trial] if trial else 0))
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
