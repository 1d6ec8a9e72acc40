"""exp, expm1 and tanh for the loops of kernels: many numbers at once, where Numba's own call the C library for each.

    exp(x) = 2^n exp(r),   n = floor(x / log 2 + 1/2),   r = x - n log 2,   |r| <= (log 2) / 2

with log 2 in two parts, so that the product with n is exact, and the series of exp(r) as far as the last digit needs.
tanh(x) = -e / (e + 2) with e = expm1(-2 |x|), and the sign of x.

There is no branch and no call in it, so a loop around it works on as many numbers as a register holds. 2^n is made of
its bits, and in two factors, since 2^n alone may lie outside the range where the result does not.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload


def exp(x: Any) -> Any:
    """e^x of one number, within 1.2 units in the last place; 0, infinity and NaN as NumPy has them."""
    return np.exp(x)


def expm1(x: Any) -> Any:
    """e^x - 1 of one number without cancellation near 0, within 2.5 units in the last place."""
    return np.expm1(x)


def tanh(x: Any) -> Any:
    """(e^x - e^-x) / (e^x + e^-x), within 3 units in the last place; of complex numbers too, one at a time."""
    return np.tanh(x)


# Numba lets a function without flags of its own inherit those of whichever caller is compiled first. The order of sums
# and products matters here (x - n part before n rest, a before b), so it is stated: products may be fused, no more.
_ordered = njit(error_model="numpy", fastmath={"contract"})


def _each(real: Any, whole: Any, n_bits: int, log_2: tuple[float, float], ends: tuple[float, float]) -> tuple[Any, ...]:
    """Return exp, expm1 and tanh for one kind of numbers.

    Parameters
    ----------
    real, whole : type
        The kind, and whole numbers of as many bits.
    n_bits : int
        Of its fraction.
    log_2 : pair of float
        Parts that add up to log 2; the first has so few bits that its product with n is exact.
    ends : pair of float
        Below the first e^x is 0, above the second it is infinite.
    """
    low, high = real(ends[0]), real(ends[1])
    part, rest = real(log_2[0]), real(log_2[1])
    per_log_2, half, one, two = real(1 / math.log(2)), real(0.5), real(1), real(2)
    bias, shift = whole(np.finfo(real).maxexp - 1), whole(n_bits)
    # r^n / n!, from the last term that counts: ((log 2) / 2)^n / n! < 2^-(n_bits + 2)
    n_terms = next(n for n in range(30) if (math.log(2) / 2) ** n / math.factorial(n) < 2.0 ** -(n_bits + 2))
    series = tuple(real(1 / math.factorial(n)) for n in range(n_terms, 0, -1))

    @_ordered
    def reduced(x: Any) -> Any:
        """Return expm1(r) and the two factors of 2^n."""
        inside = min(max(x, low), high)
        n = np.floor(inside * per_log_2 + half)
        r = (inside - n * part) - n * rest
        q = real(0)
        for c in series:
            q = (q + c) * r
        whole_n = np.int32(n)
        first = whole_n >> np.int32(1)
        a = whole((whole(first) + bias) << shift).view(real)
        b = whole((whole(whole_n - first) + bias) << shift).view(real)
        return q, a, b

    @_ordered
    def exp_of(x: Any) -> Any:
        q, a, b = reduced(x)
        return x if x != x else (one + q) * a * b

    @_ordered
    def expm1_of(x: Any) -> Any:
        q, a, b = reduced(x)
        return x if x != x else (a * q + (a - one / b)) * b

    @_ordered
    def tanh_of(x: Any) -> Any:
        e = expm1_of(-two * abs(x))
        return np.copysign(e / (e + two), x)

    return exp_of, expm1_of, tanh_of


@_ordered
def _tanh_of_complex(x: Any) -> Any:
    return np.tanh(x)


_OF = {
    types.float32: _each(np.float32, np.int32, 23, (0.693359375, -2.12194440e-4), (-104.0, 89.0)),
    types.float64: _each(np.float64, np.int64, 52, (0.6931471803691238, 1.9082149292705877e-10), (-746.0, 710.0)),
    types.complex128: (None, None, _tanh_of_complex),
}


def _chosen(which: int) -> Callable[[Any], Any]:
    def choose(x):  # type: ignore[no-untyped-def]  # Numba compares the signatures
        kernel = _OF.get(x, (None,) * 3)[which]
        return kernel and (lambda x: kernel(x))

    return choose


overload(exp)(_chosen(0))
overload(expm1)(_chosen(1))
overload(tanh)(_chosen(2))
