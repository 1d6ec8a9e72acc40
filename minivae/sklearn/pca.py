"""Principal components as a transformer, exact in one pass or in many."""

from typing import Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from minivae.classical import pca as components
from minivae.classical.subspaces import eigenpairs, with_signs
from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.kernels.compiled import LOG_2PI
from minivae.sklearn.base import Codes


class PCA(Codes):
    """Principal component analysis, ``mv.PCA`` as a transformer, with the density of probabilistic PCA.

        x ~ N(mean, C),   C = sum_i (variance_i - noise) u_i u_i^T + noise I

    ``partial_fit`` gives after every batch what ``fit`` gives of all rows so far, to rounding: it keeps their mean and
    their scatter, a d x d matrix.

    Parameters
    ----------
    n_components : int, optional
        min(n_samples, n_features) unless given.
    solver : {"auto", "eigh", "svd", "power"}
        Of ``fit``.
    random_state : int, RandomState or None
        Of ``sample``, where it is not given there.

    Attributes
    ----------
    components_, explained_variance_, explained_variance_ratio_, mean_, noise_variance_, n_components_
        As of ``mv.PCA``.
    n_samples_seen_ : int
    n_features_in_ : int

    References
    ----------
    M. E. Tipping, C. M. Bishop, "Probabilistic principal component analysis", 1999.

    Examples
    --------
    >>> import numpy as np
    >>> pca = PCA(1).fit(np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]]))
    >>> pca.transform(np.array([[6.0, 8.0]])).round(6)
    array([[5.]])
    """

    mean_: Array
    scatter_: Array
    n_samples_seen_: int

    def __init__(self, n_components: int | None = None, *, solver: str = "auto", random_state: Any = None) -> None:
        self.n_components = n_components
        self.solver = solver
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> "PCA":  # noqa: ARG002
        """Find the components of the rows; y is ignored. Return self."""
        X = self._rows(X, new=True, least=2)
        pca = components.PCA(self.n_components, self.solver).fit(X)  # type: ignore[arg-type]
        for name in ("components_", "explained_variance_", "explained_variance_ratio_", "mean_", "noise_variance_"):
            setattr(self, name, getattr(pca, name))
        self.n_components_, self.n_samples_seen_ = pca.n_components_, len(X)
        centred = X - pca.mean_
        self.scatter_ = centred.T @ centred
        return self

    def partial_fit(self, X: Any, y: Any = None) -> "PCA":  # noqa: ARG002
        """Take in more rows; y is ignored. Return self.

        The scatter of two groups is the sum of theirs and n m / (n + m) times the square of the means' difference.
        """
        first = not hasattr(self, "scatter_")
        X = self._rows(X, new=first, least=2 if first else 1).astype(np.float64)
        n, mean = len(X), X.mean(axis=0)
        scatter = (X - mean).T @ (X - mean)
        if not first:
            m, apart = self.n_samples_seen_, mean - self.mean_
            scatter += self.scatter_ + n * m / (n + m) * np.outer(apart, apart)
            mean = self.mean_ + n / (n + m) * apart
            n += m
        self.mean_, self.scatter_, self.n_samples_seen_ = mean, scatter, n
        d = len(mean)
        k = components.n_components(self.n_components, n, d)
        variances, vectors = eigenpairs(scatter / (n - 1))
        total = float(np.trace(scatter)) / (n - 1)
        self.components_, self.explained_variance_ = with_signs(vectors[:k]), variances[:k]
        self.explained_variance_ratio_ = variances[:k] / total if total > 0 else np.zeros(k)
        left = min(n, d) - k
        self.noise_variance_ = max(total - float(variances[:k].sum()), 0.0) / left if left else 0.0
        self.n_components_ = k
        return self

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    def transform(self, X: Any) -> Array:
        """Return the scores (x - mean) components^T, shape (n_samples, n_components)."""
        X = self._rows(X)
        return ((X - self.mean_) @ self.components_.T).astype(X.dtype, copy=False)

    def inverse_transform(self, Z: Any) -> Array:
        """Return z components + mean: of scores, the projection of the rows."""
        Z = self._codes(Z)
        return (Z @ self.components_ + self.mean_).astype(Z.dtype, copy=False)

    def score_samples(self, X: Any) -> Array:
        """Return log p(x) of each row under probabilistic PCA, in nats; the divisor of its variances is n - 1.

        Raises
        ------
        ValueError
            If the fitted density has no width in some direction.
        """
        X = self._rows(X).astype(np.float64)
        noise, kept, d = self.noise_variance_, self.explained_variance_, self.n_features_in_
        least = float(min(kept.min(), noise if len(kept) < d else np.inf))
        if least <= d * np.finfo(float).eps * float(kept.max()):
            raise ValueError(
                f"n_components must leave a density with a width in every direction, got {self.n_components_} "
                f"components of {self.n_samples_seen_} rows with {d} columns. Lower it, or drop constant columns."
            )
        centred = X - self.mean_
        along = centred @ self.components_.T
        rest = np.square(centred).sum(axis=1) - np.square(along).sum(axis=1)
        log_det = float(np.log(kept).sum()) + ((d - len(kept)) * float(np.log(noise)) if len(kept) < d else 0.0)
        far = (np.square(along) / kept).sum(axis=1) + (rest / noise if len(kept) < d else 0.0)
        return -0.5 * (d * LOG_2PI + log_det + far)

    def sample(self, n_samples: int = 1, random_state: Any = None) -> Array:
        """Draw rows from the density, shape (n_samples, n_features)."""
        check_is_fitted(self)
        n = checks.width(n_samples, "n_samples")
        rng = check_random_state(self.random_state if random_state is None else random_state)
        z = rng.standard_normal((n, self.n_components_)) * np.sqrt(
            np.maximum(self.explained_variance_ - self.noise_variance_, 0)
        )
        noise = np.sqrt(self.noise_variance_) * rng.standard_normal((n, self.n_features_in_))
        return z @ self.components_ + self.mean_ + noise
