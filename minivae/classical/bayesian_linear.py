"""Bayesian linear regression: y = Phi w + noise with a normal prior on w; posterior and log p(y) in closed form."""

from dataclasses import dataclass

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.kernels.compiled import LOG_2PI


@dataclass(frozen=True)
class BayesianLinear:
    """y ~ N(Phi w, I / noise), w ~ N(0, I / prior): a joint density of y and z = w, solved exactly.

        P = noise Phi^T Phi + prior I,   m = noise P^-1 Phi^T y,   p(w | y) = N(m, P^-1)

    Parameters
    ----------
    features : array of shape (n, d)
        Phi; a column of ones is the intercept.
    y : array of shape (n,)
    noise, prior : float
        Precisions, above 0.

    References
    ----------
    C. M. Bishop, "Pattern recognition and machine learning", 2006, section 3.3.

    Examples
    --------
    >>> x = np.array([0.5, 1.5, 2.0, 3.0])
    >>> model = BayesianLinear(np.stack([np.ones(4), x], axis=1), [1.0, 2.0, 2.2, 3.5], 4.0, 0.5)
    >>> model.mean.round(10), round(model.log_evidence, 10)
    (array([0.46188069, 0.97067745]), -4.7738583802)
    """

    features: Array
    y: Array
    noise: float
    prior: float

    def __post_init__(self) -> None:
        features = checks.squarable(checks.real(self.features, "features", (None, None)), "features", 4)
        y = checks.squarable(checks.real(self.y, "y", (None,)), "y", 4)
        if len(y) != len(features):
            raise ValueError(
                f"y must have one value for each of the {len(features)} rows, got {len(y)}. Make them fit."
            )
        checks.number(self.noise, "noise", low=0, high=1e100)
        checks.number(self.prior, "prior", low=0, high=1e100)
        checks.size(features.shape[1] ** 2, "features", features)
        P = self.noise * (features.T @ features) + self.prior * np.eye(features.shape[1])
        values = np.linalg.eigvalsh(P)
        if not values[0] > len(P) * np.finfo(float).eps * values[-1]:
            raise ValueError(
                f"prior must leave a precision that can be inverted, got {self.prior:g} beside columns of features "
                f"that depend on each other, to rounding. Raise it, or leave columns out."
            )
        mean = self.noise * np.linalg.solve(P, features.T @ y)
        for name, value in (("features", features), ("y", y), ("_P", P), ("_mean", mean)):
            object.__setattr__(self, name, value)

    @property
    def n_latent(self) -> int:
        """The number of weights, d."""
        return self.features.shape[1]

    @property
    def precision(self) -> Array:
        """P of the posterior, shape (d, d)."""
        return self._P  # type: ignore[attr-defined]

    @property
    def mean(self) -> Array:
        """m of the posterior, shape (d,)."""
        return self._mean  # type: ignore[attr-defined]

    @property
    def moments(self) -> tuple[Array, Array]:
        """Exact posterior means and variances of the weights."""
        return self.mean, np.diag(np.linalg.inv(self.precision)).copy()

    @property
    def log_evidence(self) -> float:
        """log p(y), nats.

        d/2 log prior + n/2 log(noise / 2 pi) - 1/2 log det P - noise/2 |y - Phi m|^2 - prior/2 |m|^2
        """
        d = self.n_latent
        at_mean = float(self.log_joint(self.mean[None])[0])  # log p(y, m), and p(m | y) is (2 pi)^-d/2 det P^1/2
        return at_mean + 0.5 * (d * LOG_2PI - float(np.linalg.slogdet(self.precision)[1]))

    def log_joint(self, z: Array) -> Array:
        """Return log p(y, w), shape (n,), for weights of shape (n, d), nats."""
        z = checks.look(z, "z", (None, self.n_latent), np.dtype(np.float64))
        errors = self.y - z @ self.features.T
        n, d = self.features.shape
        constant = 0.5 * (n * (np.log(self.noise) - LOG_2PI) + d * (np.log(self.prior) - LOG_2PI))
        return constant - 0.5 * (self.noise * np.square(errors).sum(axis=1) + self.prior * np.square(z).sum(axis=1))

    def slope(self, z: Array) -> Array:
        """Return d log p(y, w) / dw = noise Phi^T (y - Phi w) - prior w, shape (n, d)."""
        z = checks.look(z, "z", (None, self.n_latent), np.dtype(np.float64))
        return self.noise * (self.y - z @ self.features.T) @ self.features - self.prior * z

    def curvature(self, z: Array) -> Array:
        """Return d^2 log p(y, w) / dw dw^T = -P, shape (n, d, d)."""
        z = checks.look(z, "z", (None, self.n_latent), np.dtype(np.float64))
        return np.broadcast_to(-self.precision, (len(z), *self.precision.shape)).copy()
