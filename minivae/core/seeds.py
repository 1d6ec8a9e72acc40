"""One seed, many streams: everything random in a run has a generator of its own, by name, and none is used twice."""

from enum import IntEnum, unique

import numpy as np

from minivae.core import checks


@unique
class Stream(IntEnum):
    """What the random numbers are for; a number that is given once stays, so that old seeds give the same numbers."""

    TRAINING = 0  # initial parameters, order of the examples, noise
    VALIDATION = 1  # bits and noise of the validation set
    TEST_BITS = 2  # bits of the test set, drawn once
    BASELINE = 3  # initial parameters of a learnt baseline
    IMPORTANCE = 4  # importance samples of the bounds and of log p(x)
    SAMPLES = 5  # draws of the model
    TEST_NOISE = 6  # noise under which the test set is reconstructed
    COMPARE = 7  # draws of ``minivae compare``, one more number for each problem
    COMPARE_FIGURES = 8
    LINEAR = 9  # initial weights of linear autoencoders, one more number for each
    POWER = 10  # starts of the power iteration, one more number for each component
    CORRUPTION = 11  # corrupted images in figures
    WARM_UP = 12  # noise of the step that loads the kernels, on copies
    NEAR = 13  # draws of q(z|x), in figures
    ATTRIBUTE = 14  # bits of the training set whose codes are averaged, and a random direction to compare with
    STROKES = 15  # which images of digits-stroke have the stroke, for ever
    GRADIENTS = 16  # inputs of the gradient checks, one more number for each group of rows
    INFERENCE = 20  # chains and noise of ``minivae infer``, one more number for each problem and method
    TOY_BITS = 30  # draws of the toy problems of one bit, and what learns along there
    SINES = 40  # the sequences of the sines, for ever, one more number for each part
    THROUGH_TIME = 41  # weights and inputs of the study of gradients through time
    EXERCISES = 42  # what the laws of an exercise draw, one more number for each trial
    HELD_OUT = 50  # which rows judge when a transformer of minivae.sklearn stops


def stream(seed: int, name: Stream, *more: int) -> np.random.Generator:
    """Return the generator of a stream; ``more`` numbers tell generators of one stream apart.

    >>> a, b = (stream(0, name).random() for name in (Stream.TRAINING, Stream.VALIDATION))
    >>> a == b
    False
    """
    return np.random.default_rng([checks.seed(seed), int(name), *more])
