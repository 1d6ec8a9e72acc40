"""Principal components: by eigendecomposition, by SVD, by power iteration with deflation; and the density with them.

The covariance is x^T x / n of the centred x wherever a loss or a density is meant (then discarded eigenvalues are mean
squared errors), and x^T x / (n - 1) in ``PCA.explained_variance_``, as in scikit-learn.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from minivae.classical.power import power_components
from minivae.classical.subspaces import centrable, centre, eigenpairs, with_signs
from minivae.core import checks
from minivae.core.arrays import Array

Solver = Literal["auto", "eigh", "svd", "power"]


SOLVERS: tuple[Solver, ...] = ("auto", "eigh", "svd", "power")


@dataclass(eq=False)
class PCA:
    """Principal component analysis: the directions in which the data vary most, with scikit-learn's names.

    Parameters
    ----------
    n_components : int, optional
        k; min(n, d) unless given.
    solver : {"auto", "eigh", "svd", "power"}
        The eigenvectors of the covariance; the right singular vectors of the centred data; or power iteration, one
        component after the other, each deflated from what follows. auto takes eigh for tall data, n >= 10 d, where it
        is the fastest, and svd otherwise, which never forms a d x d matrix and keeps small variances to more digits:
        eigh knows them to about 1e-16 of the largest variance, svd to about 1e-32 of it.

    Attributes
    ----------
    components_ : array of shape (k, d)
        Orthonormal rows, by falling variance. The entry of largest absolute value in each is positive.
    explained_variance_ : array of shape (k,)
        Variances along them, with the divisor n - 1.
    explained_variance_ratio_ : array of shape (k,)
        Their shares of the total variance; zeros where the data do not vary.
    mean_ : array of shape (d,)
    noise_variance_ : float
        Mean of the min(n, d) - k variances that are left out; 0 if none are.
    n_components_, n_features_in_, n_samples_ : int

    Raises
    ------
    ValueError
        If x has NaN, fewer than two rows, or fewer rows or columns than n_components.

    Warns
    -----
    UserWarning
        Where rounding cannot tell variances apart: then the components that belong to them are arbitrary.

    Examples
    --------
    >>> import numpy as np
    >>> pca = PCA(1).fit(np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]]))
    >>> pca.components_, pca.explained_variance_
    (array([[0.6, 0.8]]), array([25.]))
    >>> pca.transform(np.array([[3.0, 4.0]])) + 0.0
    array([[0.]])
    """

    n_components: int | None = None
    solver: Solver = "auto"
    components_: Array = field(init=False, repr=False)
    explained_variance_: Array = field(init=False, repr=False)
    explained_variance_ratio_: Array = field(init=False, repr=False)
    mean_: Array = field(init=False, repr=False)
    noise_variance_: float = field(init=False, repr=False)
    n_components_: int = field(init=False, repr=False)
    n_features_in_: int = field(init=False, repr=False)
    n_samples_: int = field(init=False, repr=False)

    def fit(self, x: Any) -> "PCA":
        """Find the components of x, shape (n, d); everything is computed in float64. Return self."""
        checks.choice(self.solver, SOLVERS, "solver")
        x = centrable(x)
        n, d = x.shape
        k = n_components(self.n_components, n, d)
        centred, mean = centre(x)
        solver = self.solver if self.solver != "auto" else ("eigh" if n >= 10 * d else "svd")
        if solver == "svd":
            _, singular, vectors = np.linalg.svd(centred, full_matrices=False)
            variances = singular**2 / (n - 1)
        elif solver == "eigh":
            variances, vectors = eigenpairs(centred.T @ centred / (n - 1))
        else:
            # one more than asked for, to see whether the last component can be told from it
            variances, vectors, residuals = power_components(_covariance_product(centred), d, min(k + 1, n, d))
            _warn_if_not_converged(residuals[:k], float(variances[0]))
        total = float(np.square(centred).sum()) / (n - 1)
        kept = variances[:k]
        self._warn_if_arbitrary(variances[: min(n, d)], k, solver, max(n, d))
        self.components_ = with_signs(vectors[:k])
        self.explained_variance_ = kept.copy()
        self.explained_variance_ratio_ = kept / total if total > 0 else np.zeros(k)
        self.mean_ = mean
        left = min(n, d) - k
        self.noise_variance_ = max(total - float(kept.sum()), 0.0) / left if left else 0.0
        self.n_components_, self.n_features_in_, self.n_samples_ = k, d, n
        return self

    def transform(self, x: Any) -> Array:
        """Return the scores (x - mean) components^T, shape (m, k)."""
        self._check_fitted("transform")
        return (checks.data(x, self.n_features_in_) - self.mean_) @ self.components_.T

    def fit_transform(self, x: Any) -> Array:
        """Fit to x and return its scores."""
        return self.fit(x).transform(x)

    def inverse_transform(self, z: Any) -> Array:
        """Return z components + mean, shape (m, d): of scores, the projection of x on the subspace."""
        self._check_fitted("inverse_transform")
        return checks.data(z, self.n_components_, name="z") @ self.components_ + self.mean_

    def _check_fitted(self, what: str) -> None:
        if not hasattr(self, "components_"):
            raise ValueError(f"PCA must be fitted before {what}, got one that is not. Call fit(x) first.")

    def _warn_if_arbitrary(self, variances: Array, k: int, solver: str, size: int) -> None:
        """Name the components whose variance another shares to rounding, or that have none.

        The variances are all that are known: k of them, and at least one more where there is one. What rounding can
        tell apart is a variance of about size eps times the largest one, and by SVD a singular value of that.
        """
        rounding = 2 * size * np.finfo(float).eps
        scale = float(variances[0])
        zero = variances <= rounding * scale * (rounding if solver == "svd" else 1.0)
        spread = np.sqrt(variances[:-1] * scale) if solver == "svd" else np.full(len(variances) - 1, scale)
        near = (variances[:-1] - variances[1:] <= 2 * rounding * spread) & ~zero[:-1]  # i and i + 1
        tied = [i + 1 for i in range(k) if near[max(i - 1, 0) : i + 1].any() and not zero[i]]
        if tied:
            so = "any rotation among them is as good, and only the subspace that they span is determined."
            if near[k - 1 : k].any():
                so = f"which directions are among the first {k} is arbitrary. Choose another n_components."
            names = checks.listed(tied)
            warnings.warn(f"components {names} share their variance with a neighbour to rounding: {so}", stacklevel=3)
        if self.n_components is not None and zero[:k].any():
            warnings.warn(
                f"n_components should be at most the rank of the centred x, {int(np.argmax(zero))}, got {k}: the "
                f"components after that have no variance and are arbitrary. Lower it.",
                stacklevel=3,
            )


def n_components(value: int | None, n: int, d: int) -> int:
    """Return the number of components, min(n, d) unless given, or refuse it."""
    if value is None:
        return min(n, d)
    if checks.width(value, "n_components") > min(n, d):
        raise ValueError(
            f"n_components must be at most min(n, d) = {min(n, d)} for x of shape ({n}, {d}), got {value}. Lower it."
        )
    return int(value)


def _warn_if_not_converged(residuals: Array, scale: float) -> None:
    left = (1 + np.flatnonzero(residuals > 1e-11 * scale)).tolist()
    if left:
        warnings.warn(
            f"power iteration should converge, got residuals up to {residuals.max() / scale:.0e} of the largest "
            f"variance in components {checks.listed(left)}: their variances are too near the next. Use solver='eigh'.",
            stacklevel=3,
        )


def _covariance_product(centred: Array) -> Callable[[Array], Array]:
    """Return v -> S v, S = x^T x / (n - 1), by whichever way takes fewer multiplications."""
    n, d = centred.shape
    if d < 2 * n:
        S = centred.T @ centred / (n - 1)
        return lambda v: S @ v
    return lambda v: (centred @ v) @ centred / (n - 1)
