"""The exponentials that kernels take: against NumPy's in long double, to units in the last place."""

import os

import numba
import numpy as np
import pytest

from minivae.core import kernels
from minivae.core.kernels import compiled
from minivae.core.kernels.compiled import jit, jit_reassociated
from minivae.core.kernels.exponential import exp, expm1, tanh
from tests.support import needs_jit

UNITS = {"exp": 1.2, "expm1": 2.5, "tanh": 3}
ENDS = {np.float32: 88.7, np.float64: 709.7}
SPECIAL = [np.nan, np.inf, -np.inf, 1e30, -1e30, 0.0, 89.0 + 700.0, -150.0 - 700.0]


def _each(function, decorate):
    def loop(x):
        y = np.empty_like(x)
        for i in range(len(x)):
            y[i] = function(x[i])
        return y

    return decorate(loop)


LOOPS = {
    (name, flags): _each(function, decorate)
    for name, function in (("exp", exp), ("expm1", expm1), ("tanh", tanh))
    # flags that let sums be reordered are the caller's, and must not reach into what needs its order; first, as the
    # flags of whoever is compiled first would stay
    for flags, decorate in (
        ("reassociated", numba.njit(fastmath={"reassoc", "contract", "nsz"})),
        ("strict", numba.njit),
    )
}


def _points(dtype):
    end, rng = ENDS[dtype], np.random.default_rng(0)
    halves = np.arange(-100, 100) * np.log(2) / 2  # where n steps, r is largest
    near = [halves, np.nextafter(halves, np.inf), np.nextafter(halves, -np.inf)]
    some = [rng.uniform(-end, end, 20000), rng.uniform(-1, 1, 20000), rng.normal(size=2000) * 1e-4, *near]
    return np.unique(np.concatenate(some).astype(dtype))


@needs_jit  # without it they are NumPy's, which in float32 are not as near
@pytest.mark.parametrize("dtype", ENDS)
@pytest.mark.parametrize(("name", "flags", "units"), [(*key, UNITS[key[0]]) for key in LOOPS])
def test_every_number_is_right_to_units_in_the_last_place(name, flags, units, dtype):
    x = _points(dtype)
    exact = getattr(np, name)(x.astype(np.longdouble))
    found = LOOPS[name, flags](x)
    assert found.dtype == dtype
    normal = np.abs(exact) > np.finfo(dtype).tiny
    assert (np.abs(found - exact) / np.spacing(np.abs(found)))[normal].max() <= units
    np.testing.assert_allclose(
        found[~normal], exact[~normal].astype(dtype), atol=2 * np.finfo(dtype).smallest_subnormal
    )


@pytest.mark.parametrize("dtype", ENDS)
@pytest.mark.parametrize(("name", "flags"), LOOPS)
def test_the_ends_are_numpys(name, flags, dtype):
    x = np.array(SPECIAL, dtype)
    with np.errstate(over="ignore"):
        expected = getattr(np, name)(x)
    np.testing.assert_array_equal(LOOPS[name, flags](x), expected)


def test_without_the_jit_they_are_numpys():
    assert exp(0.3) == np.exp(0.3)
    assert expm1(1e-9) == np.expm1(1e-9)
    assert tanh(0.3) == np.tanh(0.3)


@needs_jit
@pytest.mark.parametrize("decorate", [jit, jit_reassociated])
def test_compiled_code_is_kept_for_the_exponentials_that_it_was_made_from(decorate, monkeypatch):
    def stamp():
        return decorate(test_without_the_jit_they_are_numpys)._cache._cache_file._source_stamp

    before = stamp()
    own = os.stat(kernels.exponential.__file__)
    assert stamp() == before
    assert before[1] == (own.st_mtime, own.st_size)
    monkeypatch.setattr(compiled, "_stamp_of_exponentials", lambda: (own.st_mtime + 1, own.st_size))
    assert stamp() != before
