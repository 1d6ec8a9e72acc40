"""The names by which a user chooses a posterior, and the rule by which one is made."""

from collections.abc import Callable

from minivae.core import checks
from minivae.core.registry import Table
from minivae.distributions.autoregressive import InverseAutoregressiveFlow
from minivae.distributions.bits import Bits
from minivae.distributions.diagonal import DiagonalGaussian
from minivae.distributions.full import FullGaussian
from minivae.distributions.planar import PlanarFlow
from minivae.distributions.protocols import Posterior
from minivae.distributions.symmetric import SymmetricGaussian

POSTERIORS: Table[Callable[[int], Posterior]] = Table("posterior")  # each from the number of latents
POSTERIORS.add("diagonal", DiagonalGaussian)
POSTERIORS.add("full", FullGaussian)
POSTERIORS.add("symmetric", SymmetricGaussian)
POSTERIORS.add("iaf", InverseAutoregressiveFlow)
POSTERIORS.add("planar", PlanarFlow)
POSTERIORS.add("bits", Bits)


def named_posterior(posterior: Posterior | str, n_latent: int) -> Posterior:
    """Return a posterior given as itself or by its name.

    >>> named_posterior("bits", 3)
    Bits(n_latent=3)
    """
    checks.width(n_latent, "n_latent")
    if isinstance(posterior, str):
        return POSTERIORS.choose(posterior)(n_latent)
    if isinstance(posterior, type) or not hasattr(posterior, "n_head"):
        raise ValueError(
            f"posterior must be a posterior or its name, got {checks.shown(posterior)}. For example 'diagonal'."
        )
    if posterior.n_latent != n_latent:
        raise ValueError(
            f"posterior must have n_latent={n_latent} latents, got {posterior.n_latent}. Make the two numbers agree."
        )
    return posterior
