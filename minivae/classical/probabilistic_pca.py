"""Probabilistic PCA: the linear-Gaussian model with the highest likelihood, in closed form."""

from typing import Any

import numpy as np

from minivae.classical.subspaces import centrable, centre, covariance, eigenpairs, with_signs
from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.kernels.compiled import LOG_2PI
from minivae.distributions.linear_gaussian import LinearGaussian


def probabilistic_pca(x: Any, n_latent: int, s2: float | None = None) -> LinearGaussian:
    """Return the linear-Gaussian model with the highest likelihood, in closed form.

        W = U_q (Lambda_q - s2 I)_+^{1/2},   s2 = the mean of the discarded eigenvalues,   b = mean of x

    Lambda and U are the eigenpairs of the covariance with the divisor n. W is unique up to a rotation on its right;
    this one has orthogonal columns, which is the one that a VAE with a diagonal posterior finds. With a given s2,
    latents whose eigenvalue it exceeds are switched off: their column is zero.

    Parameters
    ----------
    x : array of shape (n, d)
    n_latent : int
        q, at least 1 and below d.
    s2 : float, optional
        Variance of the decoder.

    Raises
    ------
    ValueError
        If the discarded eigenvalues are zero: then the likelihood has no upper bound.

    References
    ----------
    M. E. Tipping, C. M. Bishop, "Probabilistic principal component analysis", 1999, section 3.

    Examples
    --------
    >>> x = np.array([[2.0, 1.0], [2.0, -1.0], [-2.0, 1.0], [-2.0, -1.0]])  # variances 4 and 1
    >>> model = probabilistic_pca(x, 1)
    >>> model.W.ravel().round(6) + 0.0, round(model.s2, 12)
    (array([1.732051, 0.      ]), 1.0)
    """
    x = centrable(x)
    d = x.shape[1]
    if not checks.width(n_latent, "n_latent") < d:
        raise ValueError(f"n_latent must be at least 1 and below {d}, got {n_latent}. Keep fewer components.")
    values, vectors = eigenpairs(covariance(x))
    if s2 is None:
        s2 = float(values[n_latent:].mean())
        if s2 <= d * np.finfo(float).eps * float(values[0]):
            raise ValueError(
                f"n_latent must be below the rank of the centred x, got {n_latent} and no variance outside that many "
                f"components: the likelihood has no upper bound. Lower it, or give s2."
            )
    checks.number(s2, "s2", low=0)
    scale = np.sqrt(np.maximum(values[:n_latent] - s2, 0))
    W = with_signs(vectors[:n_latent]).T * scale
    return LinearGaussian(W, centre(x)[1], float(s2))


def ppca_optimum(eigenvalues: Array, n_latent: int) -> tuple[float, float]:
    """Return the best mean log p(x) and the best s2 of a linear-Gaussian model of data with these eigenvalues.

        s2 = mean of the discarded eigenvalues,
        log p = -1/2 [p log 2 pi + sum_kept log lambda + (p - q) log s2 + p]   (nats per example)

    The eigenvalues are those of the 1/N covariance. A linear VAE with one learned variance attains it.

    References
    ----------
    Tipping and Bishop, 1999; J. Lucas et al., "Don't blame the ELBO!", 2019.

    Examples
    --------
    >>> log_p, s2 = ppca_optimum(np.array([5, 3, 1.2, 0.6, 0.4]), 2)
    >>> round(log_p, 10), round(s2, 10)
    (-7.9834853741, 0.7333333333)
    """
    ordered = np.sort(checks.real(eigenvalues, "eigenvalues", (None,)))[::-1]
    p = len(ordered)
    if not checks.width(n_latent, "n_latent") < p:
        raise ValueError(f"n_latent must be at least 1 and below {p}, got {n_latent}. Keep fewer components.")
    kept, s2 = ordered[:n_latent], float(ordered[n_latent:].mean())
    if not (kept > 0).all() or not s2 > 0:
        raise ValueError(
            f"eigenvalues must be positive, and the mean of the discarded ones, got {ordered[-1]:g} and {s2:g}: the "
            f"likelihood has no upper bound. Lower n_latent."
        )
    return -0.5 * float(p * LOG_2PI + np.log(kept).sum() + (p - n_latent) * np.log(s2) + p), s2
