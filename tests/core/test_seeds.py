"""Each random thing of a run has a stream of its own, and keeps it."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

import minivae
from minivae.core.seeds import Stream, stream

# a number that was given once stays: a run of an older version can be repeated from its seed
GIVEN = {
    "TRAINING": 0,
    "VALIDATION": 1,
    "TEST_BITS": 2,
    "BASELINE": 3,
    "IMPORTANCE": 4,
    "SAMPLES": 5,
    "TEST_NOISE": 6,
    "COMPARE": 7,
    "COMPARE_FIGURES": 8,
    "LINEAR": 9,
    "POWER": 10,
    "CORRUPTION": 11,
}


def draws(rng):
    return rng.random(4).tobytes()


def test_numbers_are_distinct_and_those_given_stay():
    numbers = {name: member.value for name, member in Stream.__members__.items()}  # aliases too
    assert len(set(numbers.values())) == len(numbers) == len(list(Stream))
    assert {name: numbers[name] for name in GIVEN} == GIVEN


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_no_two_streams_of_a_seed_share_their_numbers(seed):
    made = [(name, *more) for name in Stream for more in ((), (1,), (2,), (0, 1))]  # a last 0 is as good as none
    found = {key: draws(stream(seed, *key)) for key in made}
    for a, b in itertools.combinations(made, 2):
        assert found[a] != found[b], (a, b)


def test_a_stream_is_repeated_by_its_seed_and_changed_by_another():
    for name in Stream:
        assert draws(stream(3, name)) == draws(stream(3, name)) == draws(np.random.default_rng([3, int(name)]))
        assert draws(stream(3, name)) != draws(stream(4, name))
    assert draws(stream(3, Stream.TRAINING)) == draws(np.random.default_rng(3))


@pytest.mark.parametrize("seed", [-1, 1.5, 2**63, True, None])
def test_what_is_no_seed_is_refused(seed):
    with pytest.raises(ValueError, match=r"seed must be an integer from 0 to 2\^63 - 1, got"):
        stream(seed, Stream.TRAINING)


def test_no_other_module_makes_streams_by_hand():
    root = Path(minivae.__file__).parent
    by_hand = re.compile(r"default_rng\(\s*[\[(]|SeedSequence|RandomState\(")
    found = {str(path.relative_to(root)) for path in root.rglob("*.py") if by_hand.search(path.read_text())}
    assert found == {"core/seeds.py"}
