"""Every public callable meets every hostile value in every argument: it is right, or refuses in our words."""

import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import minivae as mv
from tests import hostile
from tests.bad_values_rows import LEFT_OUT, ROWS, Row

ROOMS = ("nn", "distributions", "estimators", "models", "classical", "classical.families", "datasets", "training")
ROOMS += ("studies", "exercises")


def public() -> Iterator[str]:
    """Yield the name of every public function, class and method, after the class that defines it."""
    things = [getattr(mv, name) for name in mv.__all__]
    for room in ROOMS:
        module = importlib.import_module(f"minivae.{room}")
        things += [getattr(module, name) for name in module.__all__]
    for thing in things:
        if not callable(thing) or getattr(thing, "_is_protocol", False):
            continue
        yield thing.__qualname__
        if not inspect.isclass(thing) or issubclass(thing, Exception):
            continue
        for name in dir(thing):
            found = inspect.getattr_static(thing, name)
            found = found.__func__ if isinstance(found, (classmethod, staticmethod)) else found
            if not name.startswith("_") and inspect.isfunction(found):
                yield found.__qualname__


def test_every_public_callable_has_a_row():
    keys = {row.key for row in ROWS}
    missing = sorted(set(public()) - keys - set(LEFT_OUT))
    assert not missing, f"without a row in tests/bad_values_rows.py: {', '.join(missing)}"
    gone = sorted((keys | set(LEFT_OUT)) - set(public()))
    assert not gone, f"no longer public: {', '.join(gone)}"


def fresh(value: Any) -> Any:
    """Return a value that a call may use up: arrays, generators and dictionaries of them as new ones."""
    if isinstance(value, np.ndarray):
        return value.copy(order="K")
    if isinstance(value, np.random.Generator):
        new = np.random.default_rng(0)
        new.bit_generator.state = value.bit_generator.state
        return new
    return {k: fresh(v) for k, v in value.items()} if isinstance(value, dict) and value else value


def changed(before: Any, after: Any) -> bool:
    if isinstance(after, np.ma.MaskedArray) or after.dtype.kind not in "fciu":
        return False
    return not np.array_equal(before, after, equal_nan=after.dtype.kind in "fc")


EXTREME = ("NaN in it", "inf in it", "1e300 in it")
ALIKE = ("list", "big-endian")  # the right values in another dress: the same answer, or a refusal
VECTORS = ("params", "grads", "state")  # changed in place: a copy would not do


def outcome(row: Row, name: str, label: str, value: Any, right: Any) -> str | None:
    """Return what is wrong with one call, or None."""
    args = {key: fresh(given) for key, given in row.args.items()} | {name: value}
    copies = {key: given.copy() for key, given in args.items() if isinstance(given, np.ndarray)}
    loop = row.inner and label in EXTREME  # the loop has a guard of its own
    try:
        result = hostile.called(row.call, args)
    except BaseException as error:
        if loop and isinstance(error, RuntimeWarning):
            return None  # as below
        if label in hostile.HARMLESS and name not in (*row.writes, *VECTORS):
            return f"refused, and should give what the plain value gives: {type(error).__name__}: {error}"
        return hostile.refusal(error, row.names.get(name, tuple(row.args) if row.inner else (name,)))
    spoiled = [k for k, copy in copies.items() if k not in row.writes and changed(copy, args[k])]
    if spoiled:
        return f"changed {', '.join(spoiled)}"
    if loop or (name in row.writes and name not in row.unused):
        return None if loop or label in (*hostile.HARMLESS, *row.ok.get(name, "").split("|")) else "taken in silence"
    ok = [*row.ok.get(name, "").split("|"), "1e300 in it", *(["other float"] if name == "params" else [])]
    if label in hostile.HARMLESS or name in row.unused or (label in ALIKE and label not in ok):
        return None if hostile.equal(result, right) else "another result than that of the plain value"
    if label not in ok:
        return "taken in silence"
    return None if label in (*EXTREME[:2], "nan", "inf") or hostile.finite(result) else "not finite, in silence"


def failures(row: Row) -> list[str]:
    right = hostile.called(row.call, {key: fresh(given) for key, given in row.args.items()})
    found: dict[str, list[str]] = {}
    for name, given in row.args.items():
        if name in row.asis:
            continue
        for label, value in hostile.values(given):
            itself = type(value) is type(given) and not isinstance(given, np.ndarray) and value == given
            itself |= isinstance(given, bool) and isinstance(value, bool)
            if itself or label in row.skip.get(name, "").split("|"):
                continue
            problem = outcome(row, name, label, value, right)
            if problem is not None:
                found.setdefault(f"{name}: {problem}", []).append(label)
    return [f"{row.key} {problem}  [{' | '.join(labels)}]" for problem, labels in found.items()]


@pytest.mark.parametrize("key", sorted({row.key for row in ROWS}))
def test_is_right_or_refuses_in_our_words(key, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = [line for row in ROWS if row.key == key for line in failures(row)]
    assert not found, "\n" + "\n".join(found)


ALMOST = np.array([[0.5, 0.5, 200.0, -100.0]], np.float32)  # mu, log_var
SINGLE = np.zeros((1, 1, 2), np.float32)
NONE = np.empty(0)
GAUSS, PIXELS = mv.distributions.DiagonalGaussian(2), mv.GaussianPerPixel()
VAE = mv.VAE.mlp(4, 2, [3])
BITS = np.array([[0.0, 1.0, 1.0, 0.0]])


def after_sample():
    return GAUSS.sample(NONE, np.float32([[0, 0, -200, -200]]), SINGLE + np.float32(1e5))[2]


COMBINATIONS = {
    "rng=0": (lambda: VAE.init(0), "rng must be"),
    "a seed as rng of a draw": (lambda: GAUSS.draw_noise(0, (1, 2, 2), np.float32), "rng must be"),
    "StepDecay(100)": (lambda: mv.nn.StepDecay(100), "milestones must be epochs, got 100"),
    "Sequential of one layer": (lambda: mv.Sequential(mv.Dense(2, 2)), "layers must be a list of layers, got Dense"),
    "layers as arguments of mlp": (
        lambda: mv.mlp([[4], [3, 2]]),
        r"widths must be an integer of at least 1, got \[4\]",
    ),
    "ragged rows": (lambda: mv.PCA(1).fit([[1.0], [1.0, 2.0]]), "x must be an array, got rows of different lengths"),
    "masked rows": (lambda: mv.PCA(1).fit(np.ma.masked_less(np.eye(3), 0.5)), "x must be an array without a mask"),
    "dtype=None": (lambda: VAE.init(np.random.default_rng(0), None), "dtype must be float32 or float64, got None"),
    "a width of 10**12": (lambda: mv.VAE.mlp(4, 10**12), "n_latent must be at most 1,000,000,000, got 10000"),
    "two wide widths": (lambda: mv.Dense(10**9, 10**9), "must leave arrays that fit in memory"),
    "many samples": (lambda: VAE.sample(VAE.init(np.random.default_rng(0)), 10**12, None), "n must be at most"),
    "many nodes": (lambda: mv.distributions.gauss_hermite(100, 9), "n_latent must leave at most"),
    "fine nodes": (lambda: mv.distributions.normal_nodes(1, 1e-300), "far / step must leave"),
    "weights that share memory": (
        lambda: (lambda p: VAE.loss_and_grad(p, BITS, np.zeros((1, 1, 2)), p))(VAE.init(np.random.default_rng(0))),
        "grads must be memory of its own",
    ),
    "sigma that overflows": (lambda: GAUSS.sample(NONE, ALMOST, SINGLE + 1), "z is not finite in float32: log_var"),
    "a density that overflows": (
        lambda: GAUSS.log_prob(NONE, np.float32([[0, 0, -200, -200]]), SINGLE + 1),
        "is not finite in float32: log_var",
    ),
    "a score that overflows": (
        lambda: GAUSS.score(NONE, after_sample(), np.ones((1, 1), np.float32), NONE),
        "the score is not finite in float32",
    ),
    "a variance of a pixel that underflows": (
        lambda: PIXELS.forward(NONE, np.float32([[0.0, -100.0]]), np.float32([[1.0]])),
        "is not finite in float32: out",
    ),
    "a shared variance that underflows": (
        lambda: mv.Gaussian(1e-44).forward(NONE, np.float32([[0.0]]), np.float32([[1.0]])),
        "is not finite in float32: out",
    ),
}


@pytest.mark.parametrize("what", COMBINATIONS)
def test_what_was_known_to_break_is_refused_in_our_words(what):
    call, words = COMBINATIONS[what]
    with pytest.raises((ValueError, mv.NonFiniteError), match=words):
        call()


def test_a_caller_that_looks_itself_hears_nothing():
    with np.errstate(over="ignore"):
        z, _, _ = GAUSS.sample(NONE, ALMOST, SINGLE + 1)
    assert np.isinf(z).any()


def test_large_log_variances_that_can_be_told_are_right():
    head = np.array([[0.5, 0.5, 200.0, -100.0]])
    z, log_q, _ = GAUSS.sample(NONE, head, np.ones((1, 1, 2)))
    np.testing.assert_allclose(z[0, 0], [0.5 + np.exp(100.0), 0.5 + np.exp(-50.0)], rtol=1e-15)
    np.testing.assert_allclose(log_q, [[-0.5 * (2 + 100 + 2 * np.log(2 * np.pi))]], rtol=1e-14)
