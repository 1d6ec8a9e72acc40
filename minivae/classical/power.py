"""Power iteration with deflation: principal components one after the other, from products with the covariance alone."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array

_STEPS, _TOLERANCE = 100_000, 1e-13


@dataclass(frozen=True)
class PowerStep:
    """One iterate of the power iteration.

    Attributes
    ----------
    vector : array of shape (d,)
        Of length one.
    value : float
        Its Rayleigh quotient v^T S v.
    residual : float
        ||S v - value v||.
    """

    vector: Array
    value: float
    residual: float


def power_iteration(product: Callable[[Array], Array], start: Array) -> Iterator[PowerStep]:
    """Yield the iterates v <- S v / ||S v||, the start among them, for as long as they are asked for.

    With start = sum_i c_i u_i and eigenvalues |lambda_1| > |lambda_2| >= ...,

        tan angle(v_t, u_1) <= (lambda_2 / lambda_1)^t tan angle(v_0, u_1),

    and the error of the Rayleigh quotient falls as the square of that.

    Parameters
    ----------
    product : callable
        v -> S v, S symmetric and positive semidefinite.
    start : array of shape (d,)
        Not orthogonal to u_1.

    Raises
    ------
    ValueError
        If the start is zero or not finite.

    References
    ----------
    G. H. Golub, C. F. Van Loan, "Matrix computations", section 8.2.

    Examples
    --------
    >>> S = np.diag([4.0, 2.0, 1.0])
    >>> steps = power_iteration(lambda v: S @ v, np.ones(3))
    >>> [round(next(steps).value, 4) for _ in range(4)]  # (4^(2t+1) + 2^(2t+1) + 1) / (4^(2t) + 2^(2t) + 1)
    [2.3333, 3.4762, 3.8718, 3.9685]
    """
    checks.function(product, "product")
    start = checks.real(start, "start", (None,))
    length = float(np.linalg.norm(start))
    if not 0 < length < np.inf:  # a NaN is not
        raise ValueError(f"start must have a finite length above 0, got {length}. Use rng.standard_normal(d).")
    v = start / length
    while True:
        w = _applied(product, v)
        value = float(v @ w)
        yield PowerStep(v, value, float(np.linalg.norm(w - value * v)))
        length = float(np.linalg.norm(w))
        if length == 0:  # v is in the null space, and stays there
            return
        v = w / length


def deflate(product: Callable[[Array], Array], values: Array, vectors: Array) -> Callable[[Array], Array]:
    """Return v -> (S - sum_i lambda_i u_i u_i^T) v, u_i the rows of ``vectors``: what is left to be found.

    >>> left = deflate(lambda v: np.diag([4.0, 2.0]) @ v, np.array([4.0]), np.array([[1.0, 0.0]]))
    >>> left(np.ones(2))
    array([0., 2.])
    """
    checks.function(product, "product")
    values, vectors = checks.real(values, "values"), checks.real(vectors, "vectors")
    if values.ndim != 1 or vectors.ndim != 2 or len(values) != len(vectors):
        raise ValueError(
            f"values and vectors must have shapes (k,) and (k, d), got {values.shape} and {vectors.shape}. One row of "
            f"vectors for each value."
        )
    return lambda v: _applied(product, v) - vectors.T @ (values * (vectors @ v))


def power_components(
    product: Callable[[Array], Array], d: int, k: int, rng: np.random.Generator | None = None
) -> tuple[Array, Array, Array]:
    """Return the k largest eigenvalues, their eigenvectors as rows, and residuals: power iteration with deflation.

    The rate for component j is lambda_{j+1} / lambda_j. The iteration stops where the residual ||S v - lambda v|| is
    1e-13 of the largest eigenvalue, or after 100,000 steps; the error of v is the residual over the gap between
    lambda and its neighbours.

    Parameters
    ----------
    product : callable
        v -> S v, S symmetric and positive semidefinite, of shape (d, d).
    d, k : int
    rng : numpy.random.Generator, optional
        For the starting vectors; seeded with 0 unless given.

    Raises
    ------
    ValueError
        If k exceeds d.

    Examples
    --------
    >>> values, vectors, residuals = power_components(lambda v: np.diag([4.0, 2.0, 1.0]) @ v, 3, 2)
    >>> values.round(12), np.abs(vectors).round(6) + 0.0
    (array([4., 2.]), array([[1., 0., 0.],
           [0., 1., 0.]]))
    >>> bool((residuals < 1e-12).all())
    True
    """
    if checks.width(k, "k") > checks.width(d, "d"):
        raise ValueError(f"k must be at most d = {d}, got {k}: there are no more components. Lower it.")
    checks.function(product, "product")
    checks.size(d * k, "d and k", (d, k))
    rng = np.random.default_rng(0) if rng is None else checks.generator(rng)
    values, vectors, residuals = np.empty(0), np.empty((0, d)), np.empty(0)
    for j in range(k):
        left = deflate(product, values, vectors)
        scale = float(values[0]) if j else 0.0
        for t, step in enumerate(power_iteration(left, _orthogonal(rng.standard_normal(d), vectors))):
            scale = max(scale, step.value)
            if step.residual <= _TOLERANCE * scale or t == _STEPS:
                break
        vector = _orthogonal(step.vector, vectors)
        image = _applied(product, vector)  # by S itself: what is left after a bad component would seem good
        value = float(vector @ image)
        values = np.append(values, max(value, 0.0))
        vectors = np.vstack([vectors, vector])
        residuals = np.append(residuals, np.linalg.norm(image - value * vector))
    order = np.argsort(-values, kind="stable")  # equal ones may come out of order by rounding
    return values[order], vectors[order], residuals[order]


def _applied(product: Callable[[Array], Array], v: Array) -> Array:
    """Return S v, or refuse a product that gives no finite vector like v."""
    w = product(v)
    if not isinstance(w, np.ndarray) or w.shape != v.shape or w.dtype.kind != "f" or not np.isfinite(w).all():
        got = checks.shown(w) if not isinstance(w, np.ndarray) or w.shape != v.shape else "one that is not"
        raise ValueError(f"product must give a finite vector of shape {v.shape}, got {got}. Use lambda v: S @ v.")
    return w


def _orthogonal(v: Array, vectors: Array) -> Array:
    """Return v less its part in the span of the orthonormal rows, of length one; twice, for the digits."""
    for _ in range(2):
        v = v - vectors.T @ (vectors @ v)
        v = v / np.linalg.norm(v)
    return v
