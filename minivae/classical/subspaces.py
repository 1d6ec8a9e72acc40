"""Centred data, their covariance, and how far apart two subspaces are."""

from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array


def centrable(x: Any) -> Array:
    """Return x in float64, or refuse it: NaN, too few rows, values whose squares overflow."""
    x = checks.data(x, dtype=np.float64)
    if len(x) < 2:
        raise ValueError(f"x must have at least 2 rows to vary at all, got {len(x)}. Add data.")
    return checks.squarable(x)


def centre(x: Array) -> tuple[Array, Array]:
    """Return x less its column means, in float64, and the means.

    The rounding error of the mean is taken out by centring twice: where the mean is 1e8 times the spread, as of time
    stamps, one pass leaves an error of 1e-8 spreads, and the formula E[x x^T] - m m^T leaves nothing that is right.

    >>> centre(np.array([[1e8], [1e8 + 1], [1e8 + 2]]))[0].ravel()
    array([-1.,  0.,  1.])
    """
    mean = x.mean(axis=0, dtype=np.float64)
    centred = x - mean
    rest = centred.mean(axis=0)
    return centred - rest, mean + rest


def covariance(x: Any) -> Array:
    """Return the covariance of the rows of x with the divisor n, shape (d, d), in float64.

    >>> covariance(np.array([[0.0], [2.0]]))
    array([[1.]])
    """
    centred, _ = centre(centrable(x))
    return centred.T @ centred / len(centred)


def eigenpairs(S: Array) -> tuple[Array, Array]:
    """Return the eigenvalues (d,) of a covariance, falling, and the eigenvectors (d, d) as rows, of either sign.

    Rounding may leave -1e-18 where an eigenvalue is zero: it is 0 here.

    >>> eigenpairs(np.diag([1.0, 0.0, 4.0]))[0]
    array([4., 1., 0.])
    """
    values, columns = np.linalg.eigh(checks.covariance(S))
    return np.maximum(values[::-1], 0), columns[:, ::-1].T


def with_signs(vectors: Array) -> Array:
    """Return the rows with the sign that makes the entry of largest absolute value in each positive.

    Of entries that are equal to rounding, the first counts, so that the sign does not depend on rounding.

    >>> with_signs(np.array([[0.6, -0.8]]))
    array([[-0.6,  0.8]])
    """
    size = np.abs(vectors)
    first = np.argmax(size >= (1 - 1e-9) * size.max(axis=1, keepdims=True), axis=1)
    return vectors * np.where(vectors[np.arange(len(vectors)), first] < 0, -1.0, 1.0)[:, None]


def subspace_distance(a: Any, b: Any) -> float:
    """Return the sine of the largest angle between the spans of the rows of a and of b; 1 where their ranks differ.

        || (I - P_a) P_b ||_2,   P_a and P_b the orthogonal projectors

    The residual of a projection is exact to rounding; an angle by arccos is not below 1e-8.

    Parameters
    ----------
    a, b : array of shape (k, d)

    Examples
    --------
    >>> subspace_distance(np.array([[1.0, 0.0]]), np.array([[2.0, 0.0]]))
    0.0
    >>> round(subspace_distance(np.array([[1.0, 0.0]]), np.array([[1.0, 1e-12]])), 18)
    1e-12
    """
    a, b = checks.data(a, name="a"), checks.data(b, name="b")
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            f"a and b must have rows of one length, got {a.shape[1]} and {b.shape[1]}. Compare like spaces."
        )
    p, q = _orthonormal(a), _orthonormal(b)
    if len(p) != len(q):
        return 1.0
    if len(p) == 0:
        return 0.0
    return min(1.0, float(np.linalg.norm(q - (q @ p.T) @ p, 2)))


def _orthonormal(rows: Array) -> Array:
    """Return an orthonormal basis of the span of the rows, as rows."""
    _, singular, vectors = np.linalg.svd(np.asarray(rows, np.float64), full_matrices=False)
    return vectors[singular > max(rows.shape) * np.finfo(float).eps * singular[0]]
