"""The VAE of two fixed noises as a regularised autoencoder: what it asks for, term by term.

Data u ~ gamma and codes z ~ N(0, I) have many couplings: joint densities with these two marginals. The encoder and
the decoder each approximate one, from its own side:

    pi_f(u, z) = gamma(u) N(z; f(u), sigma_f^2 I),      pi_g(u, z) = N(z; 0, I) N(u; g(z), sigma_g^2 I).

Asking the two to agree, KL(pi_f || pi_g), is training this VAE: the integrals over z and u part the KL into

    E_u [ E_xi ||u - g(f(u) + sigma_f xi)||^2 / (2 sigma_g^2)  +  ||f(u)||^2 / 2 ]
      + D/2 log(2 pi sigma_g^2) + L/2 (sigma_f^2 - 1 - log sigma_f^2) - H(gamma),     xi ~ N(0, I_L).

The first line is an autoencoder's squared error, with noise in its code, and a penalty on the length of the code. The
second does not move with the parameters. All but the entropy H(gamma) is the VAE's loss, minus the ELBO.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minivae.core import checks, errors
from minivae.core.arrays import Array
from minivae.core.kernels.compiled import LOG_2PI
from minivae.distributions.fixed import FixedGaussian
from minivae.distributions.likelihoods import Gaussian
from minivae.distributions.priors import StandardNormal
from minivae.models.vae import VAE
from minivae.nn.layer import Layer


def regularised_autoencoder(
    n_x: int,
    n_latent: int,
    sigma_f: float = 1.0,
    sigma_g: float = 1.0,
    n_hidden: Sequence[int] = (128,),
    activation: Layer | str = "relu",
) -> VAE:
    """Return the VAE whose encoder adds noise sigma_f to its code, and whose decoder adds noise sigma_g to x.

    Its flat parameters are those of ``Autoencoder.mlp`` of the same sizes, in the same order.

    Parameters
    ----------
    n_x, n_latent, n_hidden, activation
        As for ``VAE.mlp``.
    sigma_f, sigma_g : float
        Standard deviations, positive.

    Examples
    --------
    >>> model = regularised_autoencoder(4, 2, sigma_f=0.5, sigma_g=0.1)
    >>> model.posterior, model.likelihood.learned
    (FixedGaussian(n_latent=2, variance=0.25), False)
    """
    sigma_f, sigma_g = checks.number(sigma_f, "sigma_f", low=0), checks.number(sigma_g, "sigma_g", low=0)
    for name, sigma in (("sigma_f", sigma_f), ("sigma_g", sigma_g)):
        if not 1e-150 < sigma < 1e150:
            raise ValueError(f"{name} must have a square that is an ordinary number, got {sigma:g}. Rescale the data.")
    posterior = FixedGaussian(checks.width(n_latent, "n_latent"), sigma_f**2)
    return VAE.mlp(n_x, n_latent, n_hidden, activation, Gaussian(sigma_g**2), posterior)


@dataclass(frozen=True)
class CouplingTerms:
    """The parts of the KL of the two couplings, in nats; all but the entropy of the data.

    Attributes
    ----------
    reconstruction : array of shape (B,)
        E ||x - g(f(x) + sigma_f xi)||^2 / (2 sigma_g^2).
    code : array of shape (B,)
        ||f(x)||^2 / 2.
    constant : float
        D/2 log(2 pi sigma_g^2) + L/2 (sigma_f^2 - 1 - log sigma_f^2).
    """

    reconstruction: Array
    code: Array
    constant: float

    @property
    def loss(self) -> Array:
        """Their sum, minus the ELBO, shape (B,): its mean over the data is KL(pi_f || pi_g) plus their entropy."""
        return self.reconstruction + self.code + self.constant


@errors.spoken("a term of the coupling")
def coupling_terms(model: VAE, params: Array, x: Array, eps: Array, weights: Array | None = None) -> CouplingTerms:
    """Return the terms of the KL of the two couplings for each example, from encoder and decoder alone.

    Parameters
    ----------
    model : VAE
        With a ``FixedGaussian`` posterior, the N(0, I) prior and a ``Gaussian`` likelihood of fixed variance.
    params : array of shape (n_params,)
    x : array of shape (B, n_x)
    eps : array of shape (K, B, n_latent) or (K, 1, n_latent)
        The noise xi: draws of N(0, I), or quadrature nodes.
    weights : array of shape (K,), optional
        Of the draws; 1 / K unless given.

    Raises
    ------
    ValueError
        If the model has other boxes, or an argument another shape.

    Examples
    --------
    >>> import numpy as np
    >>> model = regularised_autoencoder(4, 2, sigma_f=0.5, sigma_g=0.1)
    >>> params, x = model.init(np.random.default_rng(0)), np.ones((3, 4))
    >>> eps = np.zeros((1, 3, 2))
    >>> terms = coupling_terms(model, params, x, eps)
    >>> bool(np.allclose(terms.loss, -model.elbo(params, x, eps=eps)))
    True
    """
    boxes = [getattr(model, name, None) for name in ("posterior", "prior", "likelihood")]
    posterior, prior, likelihood = boxes
    if not (
        isinstance(posterior, FixedGaussian)
        and isinstance(prior, StandardNormal)
        and isinstance(likelihood, Gaussian)
        and not likelihood.learned
    ):
        got = ", ".join(type(box).__name__ for box in boxes) if any(boxes) else checks.shown(model)
        got += " of a learned variance" if getattr(likelihood, "learned", False) else ""
        raise ValueError(
            f"model must have a FixedGaussian posterior, the StandardNormal prior and a Gaussian likelihood of fixed "
            f"variance, got {got}. Make it with regularised_autoencoder(n_x, n_latent, sigma_f, sigma_g)."
        )
    checks.parameters_of(model, params)
    x = model.check_data(x, dtype=params.dtype)
    eps = checks.finite(checks.noise(eps, (len(x), posterior.n_latent), params.dtype), "eps")
    w = np.full(len(eps), 1 / len(eps)) if weights is None else checks.draw_weights(weights, len(eps), params.dtype)
    encoder, _, _, decoder, _ = model.unpack(params)
    f, _ = model.encoder.forward(encoder, x)  # (B, L)
    z = f + params.dtype.type(math.sqrt(posterior.variance)) * eps  # (K, B, L)
    g, _ = model.decoder.forward(decoder, z.reshape(-1, z.shape[2]))  # (K B, D)
    squares = np.sum((x - g.reshape(*z.shape[:2], -1)) ** 2, axis=2)  # (K, B)
    constant = model.n_x * (LOG_2PI + math.log(likelihood.variance))
    constant += posterior.n_latent * (posterior.variance - 1 - math.log(posterior.variance))
    return CouplingTerms(w @ squares / (2 * likelihood.variance), 0.5 * np.sum(f**2, axis=1), 0.5 * constant)
