"""A normal distribution of unknown mean and precision: the conjugate prior, the exact posterior, log p(x)."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.kernels.compiled import LOG_2PI


@dataclass(frozen=True)
class NormalGamma:
    """tau ~ Gamma(shape, rate), mu | tau ~ N(mean, 1 / (count tau)).

    Densities are those of z = (mu, log tau), which may be any real numbers: the Jacobian tau is in them.

    Parameters
    ----------
    mean, count, shape, rate : float
        mu_0, lambda_0, a_0 and b_0, the last three above 0.

    References
    ----------
    C. M. Bishop, "Pattern recognition and machine learning", 2006, section 2.3.6.

    Examples
    --------
    >>> posterior = NormalGamma(0.0, 1.0, 2.0, 1.0).given([1.2, -0.4, 0.7, 2.1, 0.3])
    >>> posterior.shape, round(posterior.rate, 10)
    (4.5, 3.0275)
    """

    mean: float
    count: float
    shape: float
    rate: float

    def __post_init__(self) -> None:
        checks.number(self.mean, "mean", low=-1e100, high=1e100)
        for name in ("count", "shape", "rate"):
            checks.number(getattr(self, name), name, low=0, high=1e100)

    def given(self, x: Any) -> "NormalGamma":
        """Return the posterior after the observations x, of shape (n,).

        lambda = lambda_0 + n,   m = (lambda_0 mu_0 + n mean(x)) / lambda,   a = a_0 + n / 2,
        b = b_0 + 1/2 sum (x - mean(x))^2 + 1/2 lambda_0 n (mean(x) - mu_0)^2 / lambda
        """
        n, centre, squares = _statistics(x)
        count = self.count + n
        rate = self.rate + 0.5 * squares + 0.5 * self.count * n * (centre - self.mean) ** 2 / count
        return NormalGamma((self.count * self.mean + n * centre) / count, count, self.shape + 0.5 * n, rate)

    def log_prob(self, z: Array) -> Array:
        """Return log p(mu, log tau), shape (n,), for z of shape (n, 2), nats.

        1/2 log(lambda / 2 pi) + a log b - log Gamma(a) + (a + 1/2) log tau - tau [b + lambda (mu - m)^2 / 2]
        """
        mu, log_tau, tau = _split(z)
        constant = 0.5 * (math.log(self.count) - LOG_2PI) + self.shape * math.log(self.rate) - math.lgamma(self.shape)
        with np.errstate(over="ignore", invalid="ignore"):
            return constant + (self.shape + 0.5) * log_tau - tau * self._energy(mu)

    def slope(self, z: Array) -> Array:
        """Return d log p / dz, shape (n, 2): -lambda tau (mu - m), and a + 1/2 - tau [b + lambda (mu - m)^2 / 2]."""
        mu, _, tau = _split(z)
        with np.errstate(over="ignore", invalid="ignore"):
            return np.stack(
                [-self.count * tau * (mu - self.mean), self.shape + 0.5 - tau * self._energy(mu)],
                axis=1,
            )

    def curvature(self, z: Array) -> Array:
        """Return d^2 log p / dz dz^T, shape (n, 2, 2)."""
        mu, _, tau = _split(z)
        with np.errstate(over="ignore", invalid="ignore"):
            cross = -self.count * tau * (mu - self.mean)
            rows = [[-self.count * tau, cross], [cross, -tau * self._energy(mu)]]
        return np.array(rows).transpose(2, 0, 1)

    def _energy(self, mu: Array) -> Array:
        return self.rate + 0.5 * self.count * np.square(mu - self.mean)

    @property
    def moments(self) -> tuple[Array, Array]:
        """Means and variances of mu and log tau.

        E mu = m,   Var mu = b / (lambda (a - 1)) for a > 1, else infinite,
        E log tau = psi(a) - log b,   Var log tau = psi'(a)
        """
        from scipy.special import digamma, polygamma  # a tenth of a second that only this needs

        spread = self.rate / (self.count * (self.shape - 1)) if self.shape > 1 else math.inf
        mean = np.array([self.mean, digamma(self.shape) - math.log(self.rate)])
        return mean, np.array([spread, float(polygamma(1, self.shape))])

    @property
    def laplace_moments(self) -> tuple[Array, Array]:
        """Means and variances of mu and log tau by Laplace's approximation, which has no correlation here.

        log tau = log((a + 1/2) / b) with the variance 1 / (a + 1/2);  mu = m with the variance b / (lambda (a + 1/2))
        """
        a = self.shape + 0.5
        return np.array([self.mean, math.log(a / self.rate)]), np.array([self.rate / (self.count * a), 1 / a])

    @property
    def best_gaussian(self) -> tuple[Array, Array]:
        """Means and variances of the Gaussian in mu and log tau with the least KL to this, which has no correlation.

        log tau = log(a / b) - v / 2 with the variance v = 1 / (a + 1/2), so that E tau is exact;
        mu = m with the variance b / (lambda a)
        """
        v = 1 / (self.shape + 0.5)
        mean = np.array([self.mean, math.log(self.shape / self.rate) - v / 2])
        return mean, np.array([self.rate / (self.count * self.shape), v])


@dataclass(frozen=True)
class UnknownNormal:
    """x_i ~ N(mu, 1 / tau), (mu, tau) ~ NormalGamma: a joint density of x and z = (mu, log tau), solved exactly.

    Parameters
    ----------
    x : array of shape (n,)
    prior : NormalGamma

    Examples
    --------
    >>> model = UnknownNormal([1.2, -0.4, 0.7, 2.1, 0.3], NormalGamma(0.0, 1.0, 2.0, 1.0))
    >>> round(model.log_evidence, 10)
    -8.0216532138
    >>> z = np.array([[0.3, -0.2]])
    >>> gap = model.log_joint(z) - model.posterior.log_prob(z) - model.log_evidence  # p(x, z) = p(z | x) p(x)
    >>> bool(abs(gap.item()) < 1e-12)
    True
    """

    x: Array
    prior: NormalGamma

    def __post_init__(self) -> None:
        if not isinstance(self.prior, NormalGamma):
            raise ValueError(
                f"prior must be a NormalGamma, got {checks.shown(self.prior)}. Use NormalGamma(0.0, 1.0, 1.0, 1.0)."
            )
        object.__setattr__(self, "x", checks.real(self.x, "x", (None,)))
        object.__setattr__(self, "_sums", _statistics(self.x))

    @property
    def n_latent(self) -> int:
        """2: mu and log tau."""
        return 2

    @property
    def posterior(self) -> NormalGamma:
        """p(mu, tau | x)."""
        return self.prior.given(self.x)

    @property
    def log_evidence(self) -> float:
        """log p(x), nats.

        log Gamma(a) - log Gamma(a_0) + a_0 log b_0 - a log b + 1/2 log(lambda_0 / lambda) - n/2 log 2 pi
        """
        p, q = self.prior, self.posterior
        log_z = math.lgamma(q.shape) - math.lgamma(p.shape) + p.shape * math.log(p.rate) - q.shape * math.log(q.rate)
        return log_z + 0.5 * (math.log(p.count / q.count) - len(self.x) * LOG_2PI)

    @property
    def moments(self) -> tuple[Array, Array]:
        """Exact posterior means and variances of mu and log tau."""
        return self.posterior.moments

    def log_joint(self, z: Array) -> Array:
        """Return log p(x, mu, log tau), shape (n,), for z of shape (n, 2), nats."""
        mu, log_tau, tau = _split(z)
        n, centre, squares = self._sums  # type: ignore[attr-defined]
        with np.errstate(over="ignore", invalid="ignore"):
            distance = squares + n * np.square(mu - centre)
            return self.prior.log_prob(z) + 0.5 * (n * (log_tau - LOG_2PI) - tau * distance)

    def slope(self, z: Array) -> Array:
        """Return d log p(x, z) / dz, shape (n, 2)."""
        mu, _, tau = _split(z)
        n, centre, squares = self._sums  # type: ignore[attr-defined]
        with np.errstate(over="ignore", invalid="ignore"):
            down = n * tau * (mu - centre)
            return self.prior.slope(z) - np.stack(
                [down, 0.5 * tau * (squares + n * np.square(mu - centre)) - 0.5 * n], axis=1
            )

    def curvature(self, z: Array) -> Array:
        """Return d^2 log p(x, z) / dz dz^T, shape (n, 2, 2)."""
        mu, _, tau = _split(z)
        n, centre, squares = self._sums  # type: ignore[attr-defined]
        with np.errstate(over="ignore", invalid="ignore"):
            cross = n * tau * (mu - centre)
            rows = [[n * tau, cross], [cross, 0.5 * tau * (squares + n * np.square(mu - centre))]]
        return self.prior.curvature(z) - np.array(rows).transpose(2, 0, 1)


def _statistics(x: Any) -> tuple[int, float, float]:
    """Return n, the mean, and the sum of squares about it."""
    x = checks.squarable(checks.real(x, "x", (None,)), "x", 4)
    centre = float(x.mean())
    return len(x), centre, float(np.square(x - centre).sum())


def _split(z: Array) -> tuple[Array, Array, Array]:
    """Return mu, log tau and tau, each of shape (n,)."""
    z = checks.look(z, "z", (None, 2), np.dtype(np.float64))
    with np.errstate(over="ignore"):
        return z[:, 0], z[:, 1], np.exp(z[:, 1])
