"""A model whose log p(x), ELBO and gradients are known in closed form."""

from dataclasses import dataclass

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.kernels.compiled import LOG_2PI


@dataclass(frozen=True)
class LinearGaussian:
    """z ~ N(0, I_q), x|z ~ N(W z + b, s2 I_p): log p(x) is known, and the ELBO of any Gaussian q too.

    With y = x - b, C = W W^T + s2 I and M = W^T W + s2 I:

        log p(x) = -1/2 [p log 2 pi + log det C + y^T C^-1 y],   z|x ~ N(M^-1 W^T y, s2 M^-1).

    Parameters
    ----------
    W : array of shape (p, q)
    b : array of shape (p,)
    s2 : float
        Variance of the decoder, positive.

    References
    ----------
    M. E. Tipping, C. M. Bishop, "Probabilistic principal component analysis", 1999.

    Examples
    --------
    >>> import numpy as np
    >>> model = LinearGaussian(np.ones((1, 1)), np.zeros(1), 1.0)
    >>> round(model.log_prob(np.array([[1.0]])).item(), 10)  # log N(1; 0, 2)
    -1.5155121235
    """

    W: Array
    b: Array
    s2: float

    def __post_init__(self) -> None:
        checks.number(self.s2, "s2", low=0)
        object.__setattr__(self, "W", checks.real(self.W, "W"))
        object.__setattr__(self, "b", checks.real(self.b, "b"))
        if self.W.ndim != 2 or not self.W.size or self.b.shape != self.W.shape[:1]:
            raise ValueError(
                f"W must have shape (p, q) and b shape (p,), got {self.W.shape} and {self.b.shape}. "
                f"One row of W and one entry of b for each data dimension."
            )

    @property
    def precision(self) -> Array:
        """Posterior precision P = I + W^T W / s2, shape (q, q)."""
        return np.eye(self.W.shape[1]) + self.W.T @ self.W / self.s2

    def log_prob(self, x: Array) -> Array:
        """Return log p(x) in nats, shape (B,)."""
        p = len(self.W)
        x = checks.real(x, "x", (None, p))
        y = x - self.b
        C = self.W @ self.W.T + self.s2 * np.eye(p)
        _, log_det = np.linalg.slogdet(C)
        return -0.5 * (p * LOG_2PI + log_det + np.sum(y * np.linalg.solve(C, y.T).T, axis=1))

    def posterior(self, x: Array) -> tuple[Array, Array]:
        """Return mean (B, q) and covariance (q, q) of p(z|x)."""
        x = checks.real(x, "x", (None, len(self.W)))
        covariance = np.linalg.inv(self.precision)
        return (x - self.b) @ self.W @ covariance / self.s2, covariance

    @property
    def diagonal_gap(self) -> float:
        """log p(x) less the ELBO of the best diagonal q(z|x): 1/2 (sum_j log P_jj - log det P) nats for every x.

        Zero if and only if the columns of W are orthogonal.
        """
        P = self.precision
        return 0.5 * float(np.log(np.diag(P)).sum() - np.linalg.slogdet(P)[1])

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draw n data points x = W z + b + sqrt(s2) eps, shape (n, p)."""
        p, q = self.W.shape
        checks.size(checks.width(n, "n") * (p + q), "n", n)
        z = checks.generator(rng).standard_normal((n, q))
        return z @ self.W.T + self.b + np.sqrt(self.s2) * rng.standard_normal((n, p))

    def elbo(self, x: Array, mu: Array, log_var: Array) -> Array:
        """Return the ELBO of q(z|x) = N(mu, diag exp(log_var)) in nats, shape (B,); mu and log_var are (B, q)."""
        x = checks.real(x, "x", (None, len(self.W)))
        shape = (len(x), self.W.shape[1])
        mu, log_var = checks.real(mu, "mu", shape), checks.real(log_var, "log_var", shape)
        r = x - self.b - mu @ self.W.T
        variance = np.exp(log_var)
        p = len(self.W)
        expected_squares = np.sum(r**2, axis=1) + variance @ np.sum(self.W**2, axis=0)
        log_lik = -0.5 * (p * (LOG_2PI + np.log(self.s2)) + expected_squares / self.s2)
        return log_lik - 0.5 * np.sum(mu**2 + variance - 1 - log_var, axis=1)
