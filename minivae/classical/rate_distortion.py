"""Rate and distortion of a linear VAE at every beta, in closed form: the rate-distortion curve of a Gaussian."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.kernels.compiled import LOG_2PI


def reverse_water_filling(eigenvalues: Any, level: float) -> tuple[float, float]:
    """Return rate and distortion of a Gaussian source at a water level.

        R = 1/2 sum_j max(0, log(lambda_j / level))   (nats),   D = sum_j min(lambda_j, level)

    No code of N(0, Lambda) has less squared error D at this rate, or a lower rate at this error [1]_.

    References
    ----------
    .. [1] T. M. Cover, J. A. Thomas, "Elements of information theory", 2006, theorem 10.3.3.

    Examples
    --------
    >>> rate, distortion = reverse_water_filling([4.0, 2.0, 1.0, 0.5], 1.4)
    >>> round(rate, 10), round(distortion, 10)
    (0.7032485342, 4.3)
    """
    values = _spectrum(eigenvalues)
    level = checks.number(level, "level", low=0)
    rate = 0.5 * float(np.log(values[values > level] / level).sum())
    return rate, float(np.minimum(values, level).sum())


@dataclass(frozen=True)
class BetaOptimum:
    """The best linear VAE at one beta.

    Attributes
    ----------
    beta, s2 : float
        Weight of the KL, and variance of the decoder.
    n_kept : int
        Latents that say something; the others have collapsed: lambda_j <= beta s2.
    squared_weights : array of shape (q,)
        Squared norms of the decoder's columns, largest first: lambda_j - beta s2, or 0.
    variances : array of shape (q,)
        Of q(z|x): beta s2 / lambda_j, or 1.
    rate : float
        Mean KL, nats per example.
    distortion : float
        Mean squared error of the decoded draw, summed over the dimensions.
    objective : float
        -loss: mean log-likelihood less beta times the rate, nats per example.
    """

    beta: float
    s2: float
    n_kept: int
    squared_weights: Array
    variances: Array
    rate: float
    distortion: float
    objective: float

    @property
    def elbo(self) -> float:
        """The ELBO, in which the KL counts once, nats per example."""
        return self.objective + (self.beta - 1) * self.rate


def beta_vae_optimum(
    eigenvalues: Any, beta: float = 1.0, n_latent: int | None = None, s2: float | None = None
) -> BetaOptimum:
    """Return the best linear VAE with the KL weighted by beta, for data whose covariance has these eigenvalues.

    With theta = beta s2 in place of s2, the optimum is that of probabilistic PCA: latent j keeps lambda_j - theta, and
    collapses if and only if lambda_j <= theta. With a latent for every dimension rate and distortion are those of
    ``reverse_water_filling`` at the level theta. A learned s2 solves

        s2 = (sum of the eigenvalues not kept) / (p - beta k),   k = number of lambda_j > beta s2 among the first q.

    Parameters
    ----------
    eigenvalues : array of shape (p,)
        Of the 1/N covariance.
    beta : float
        Above 0.
    n_latent : int, optional
        q; p unless given.
    s2 : float, optional
        The decoder's variance where it is fixed; learned unless given.

    Raises
    ------
    ValueError
        If a learned s2 has no value at which the objective is highest.

    References
    ----------
    J. Lucas et al., "Don't blame the ELBO!", 2019; A. Alemi et al., "Fixing a broken ELBO", 2018.

    Examples
    --------
    >>> best = beta_vae_optimum([4.0, 2.0, 1.0, 0.5], beta=1.5, n_latent=2)  # here the second latent switches off
    >>> round(best.s2, 10), best.n_kept
    (1.4, 1)
    """
    values = _spectrum(eigenvalues)
    beta, p = checks.number(beta, "beta", low=0), len(values)
    q = p if n_latent is None else checks.width(n_latent, "n_latent")
    if q > p:
        raise ValueError(f"n_latent must be at most the {p} eigenvalues, got {n_latent}. More latents stay unused.")
    if s2 is not None:
        return _at(values, beta, q, checks.number(s2, "s2", low=0))
    found = []
    for k in range(q + 1):
        rest = float(values[k:].sum())
        if p - beta * k <= 0 or rest <= 0:
            continue
        s2 = rest / (p - beta * k)
        if int((values[:q] > beta * s2).sum()) == k:
            found.append(_at(values, beta, q, s2))
    if not found or (values[q:].sum() <= 0 and beta * q < p):
        raise ValueError(
            f"s2 must be given where its best value is 0, got beta={beta:g} and n_latent={q} for {p} eigenvalues, of "
            f"which no variance is left over. Lower n_latent, or give s2."
        )
    return max(found, key=lambda optimum: optimum.objective)


def _at(values: Array, beta: float, q: int, s2: float) -> BetaOptimum:
    """Return the optimum for a variance of the decoder."""
    theta, p = beta * s2, len(values)
    kept = values[:q] > theta
    rate = 0.5 * float(np.log(values[:q][kept] / theta).sum())
    distortion = float(np.where(kept, theta, values[:q]).sum() + values[q:].sum())
    objective = -0.5 * (p * (LOG_2PI + np.log(s2)) + distortion / s2) - beta * rate
    weights, variances = np.where(kept, values[:q] - theta, 0), np.where(kept, theta / values[:q], 1)
    return BetaOptimum(beta, s2, int(kept.sum()), weights, variances, rate, distortion, float(objective))


def _spectrum(eigenvalues: Any) -> Array:
    """Return eigenvalues, largest first, or refuse what are none of a covariance."""
    values = np.sort(checks.real(eigenvalues, "eigenvalues", (None,)))[::-1]
    if values[-1] < 0 or values[0] <= 0:
        raise ValueError(
            f"eigenvalues must be those of a covariance, none negative and not all 0, got {values[-1]:g} as the least. "
            f"Take them of eigenpairs(covariance(x))."
        )
    return np.maximum(values, np.finfo(float).tiny)
