"""Stochastic gradient variational Bayes (SGVB): a Gaussian q fitted to any joint by draws of the ELBO's gradient.

    path     mean_k d/dhead [log p(x, z_k) - log q(z_k)], through z_k = mu + L eps_k and q
    score    mean_k (f_k - mean of the others) dlog q(z_k) / dhead,  f_k = log p(x, z_k) - log q(z_k)

Both are unbiased; the second needs no slope of log p(x, z), and pays for it in variance. They are two rows of the
table of weights in ``estimators``, on the posterior boxes of ``distributions``.

References
----------
D. P. Kingma, M. Welling, "Auto-encoding variational Bayes", 2014; R. Ranganath, S. Gerrish, D. Blei, "Black box
variational inference", 2014.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minivae.classical.joint import Joint, density, joint_of, slope_of
from minivae.core import checks, errors
from minivae.core.arrays import Array
from minivae.distributions.diagonal import DiagonalGaussian
from minivae.distributions.full import FullGaussian
from minivae.nn.optim import Adam, Optimizer

_NONE = np.empty(0)
_ESTIMATORS = ("path", "score")
_COVARIANCES = ("full", "diagonal")


@dataclass(frozen=True)
class SgvbFit:
    """What SGVB found.

    Attributes
    ----------
    mean : array of shape (d,)
    covariance : array of shape (d, d)
        Of q at the end.
    means, variances : array of shape (n_steps + 1, d)
        Of q on the way, the start first.
    elbos : array of shape (n_steps,)
        Unbiased estimates of the ELBO at the steps, nats.
    n_evaluations : int
        Values of log p(x, z), and of its slope for the path, that were taken.
    """

    mean: Array
    covariance: Array
    means: Array
    variances: Array
    elbos: Array
    n_evaluations: int

    @property
    def moments(self) -> tuple[Array, Array]:
        """Means and variances."""
        return self.mean, np.diag(self.covariance).copy()


def sgvb_gradient(
    joint: Joint, head: Any, eps: Any, estimator: str = "path", covariance: str = "full"
) -> tuple[float, Array]:
    """Return an estimate of the ELBO and one of its gradient, from given noise.

    Parameters
    ----------
    joint : Joint
    head : array of shape (n_head,)
        Parameters of q: mu, log L_ii, L below its diagonal, as in ``FullGaussian``; or mu, log_var.
    eps : array of shape (K, d)
        Noise N(0, I); for the score at least two draws.
    estimator : str
        "path" or "score".
    covariance : str
        "full" or "diagonal".

    Returns
    -------
    elbo : float
        Nats.
    dhead : array of shape (n_head,)

    Examples
    --------
    >>> from minivae.classical.bayesian_linear import BayesianLinear
    >>> model = BayesianLinear([[1.0]], [2.0], 1.0, 1.0)  # N(1, 1/2)
    >>> at_posterior = np.array([1.0, np.log(0.5)])
    >>> elbo, dhead = sgvb_gradient(model, at_posterior, [[-1.0], [1.0]], covariance="diagonal")
    >>> abs(elbo - model.log_evidence) < 1e-12, np.abs(dhead).round(12)  # without noise: q is p(z | x)
    (True, array([0., 0.]))
    """
    q = _posterior(joint, covariance)
    head = checks.real(head, "head", (q.n_head,))
    eps = checks.real(eps, "eps", (None, q.n_latent))
    estimator = checks.choice(estimator, _ESTIMATORS, "estimator")
    joint_of(joint, *(["slope"] if estimator == "path" else []))
    if estimator == "score" and len(eps) < 2:
        raise ValueError(
            f"eps must hold at least 2 draws for the score, whose baseline is the others, got {len(eps)}. Draw more."
        )
    return _gradient(joint, q, head[None], eps[:, None], estimator)


def _gradient(joint: Any, q: Any, head: Array, eps: Array, estimator: str) -> tuple[float, Array]:
    """Return the ELBO and dhead, for a head of shape (1, n_head) and noise of shape (K, 1, d)."""
    z, log_q, cache = q.sample(_NONE, head, eps)
    K = len(eps)
    f = density(joint, z[:, 0])[:, None] - log_q
    if estimator == "path":
        dz, dlog_q = slope_of(joint, z[:, 0])[:, None] / K, np.full((K, 1), -1 / K)
        dhead = q.backward(_NONE, cache, dz, dlog_q, _NONE)
    else:
        weights = (f - (f.sum() - f) / (K - 1)) / K
        dhead = q.score(_NONE, cache, weights, _NONE)
    return float(f.mean()), dhead[0]


def sgvb(
    joint: Joint,
    rng: np.random.Generator,
    estimator: str = "path",
    covariance: str = "full",
    *,
    n_steps: int = 2000,
    n_draws: int = 20,
    optimizer: Optimizer | None = None,
) -> SgvbFit:
    """Fit a Gaussian q to p(z | x), from N(0, I), by n_steps of n_draws each.

    Parameters
    ----------
    joint : Joint
    rng : numpy.random.Generator
    estimator : str
        "path", or "score", which takes no slope.
    covariance : str
        "full" or "diagonal".
    n_steps, n_draws : int
    optimizer : Optimizer, optional
        Adam with a rate of 0.05 unless given. The rate falls in a straight line to 0 at the last step.

    Raises
    ------
    NonFiniteError
        If the ELBO is no longer finite.

    Examples
    --------
    >>> from minivae.classical.bayesian_linear import BayesianLinear
    >>> model = BayesianLinear([[1.0]], [2.0], 1.0, 1.0)  # N(1, 1/2)
    >>> found = sgvb(model, np.random.default_rng(0), n_steps=500)
    >>> found.mean.round(1), found.covariance.round(1)
    (array([1.]), array([[0.5]]))
    """
    q = _posterior(joint, covariance)
    rng, estimator = checks.generator(rng), checks.choice(estimator, _ESTIMATORS, "estimator")
    joint_of(joint, *(["slope"] if estimator == "path" else []))
    n_steps, n_draws = checks.width(n_steps, "n_steps"), checks.width(n_draws, "n_draws")
    if estimator == "score" and n_draws < 2:
        raise ValueError(
            f"n_draws must be at least 2 for the score, whose baseline is the others, got {n_draws}. Raise it."
        )
    checks.size(n_draws * q.n_latent, "n_draws", n_draws)
    checks.size(n_steps * q.n_head, "n_steps", n_steps)
    optimizer = Adam(0.05) if optimizer is None else optimizer
    checks.has(optimizer, ("init", "update"), "optimizer", "an optimiser", "Adam(0.05)")
    head = np.zeros(q.n_head)
    state = optimizer.init(head)
    heads, elbos = np.zeros((n_steps + 1, q.n_head)), np.empty(n_steps)
    for t in range(n_steps):
        eps = rng.standard_normal((n_draws, 1, q.n_latent))
        with np.errstate(over="ignore", invalid="ignore"):
            elbos[t], dhead = _gradient(joint, q, head[None], eps, estimator)
        if not (np.isfinite(elbos[t]) and np.isfinite(dhead).all()):
            errors.raise_non_finite([("the gradient", dhead)], "the ELBO")
        optimizer.update(head, -dhead, state, 1 - t / n_steps)
        heads[t + 1] = head
    cost = n_steps * n_draws * (2 if estimator == "path" else 1)
    means, roots = heads[:, : q.n_latent], _roots(q, heads)
    return SgvbFit(means[-1].copy(), roots[-1].T @ roots[-1], means, np.square(roots).sum(axis=1), elbos, cost)


def _posterior(joint: Any, covariance: str) -> DiagonalGaussian | FullGaussian:
    joint_of(joint)
    full = checks.choice(covariance, _COVARIANCES, "covariance") == "full"
    return FullGaussian(joint.n_latent) if full else DiagonalGaussian(joint.n_latent)


def _roots(q: Any, heads: Array) -> Array:
    """Return L^T of each head, shape (n, d, d): of z = mu + L eps at the unit vectors."""
    d = q.n_latent
    eps = np.repeat(np.eye(d)[:, None], len(heads), axis=1)
    z, _, _ = q.sample(_NONE, heads, eps)
    return (z - heads[:, :d]).transpose(1, 0, 2)
