"""The names by which a user chooses a posterior and a prior, and the rules by which they are made."""

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.registry import Table
from minivae.distributions.autoregressive import InverseAutoregressiveFlow
from minivae.distributions.bits import Bits
from minivae.distributions.categorical import Categorical
from minivae.distributions.diagonal import DiagonalGaussian
from minivae.distributions.fixed import FixedGaussian
from minivae.distributions.full import FullGaussian
from minivae.distributions.mixtures import MixtureOfGaussians, VampPrior
from minivae.distributions.planar import PlanarFlow
from minivae.distributions.priors import StandardNormal
from minivae.distributions.protocols import Likelihood, Posterior, Prior
from minivae.distributions.symmetric import SymmetricGaussian

POSTERIORS: Table[Callable[[int], Posterior]] = Table("posterior")  # each from the number of latents
POSTERIORS.add("diagonal", DiagonalGaussian)
POSTERIORS.add("full", FullGaussian)
POSTERIORS.add("symmetric", SymmetricGaussian)
POSTERIORS.add("iaf", InverseAutoregressiveFlow)
POSTERIORS.add("planar", PlanarFlow)
POSTERIORS.add("bits", Bits)
POSTERIORS.add("categorical", Categorical)
POSTERIORS.add("fixed", FixedGaussian)

# each takes n_latent, and what it has of n_components, n_x (width of the data) and pixels (whether they lie in [0, 1])
PRIORS: Table[Callable[..., Prior]] = Table("prior")
PRIORS.add("normal", StandardNormal)
PRIORS.add("mixture", MixtureOfGaussians)
PRIORS.add("vamp", VampPrior)


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


def named_prior(
    prior: Prior | str | None, posterior: Posterior, n_components: int | None, likelihood: Likelihood, n_x: int
) -> Prior | None:
    """Return a prior over real z by its name, as suits posterior and data; one that is given, or None, as it is.

    >>> from minivae.distributions import Bernoulli
    >>> named_prior("mixture", DiagonalGaussian(2), 5, Bernoulli(), 64)
    MixtureOfGaussians(n_latent=2, n_components=5)
    """
    if not isinstance(prior, str):
        if n_components is not None:
            raise ValueError(
                f"n_components must go with the name of a mixture, got {checks.shown(n_components)} and "
                f"prior={checks.shown(prior)}. Use prior='mixture', say."
            )
        return prior
    make = PRIORS.choose(prior)
    if not checks.has(posterior, ("has_path",), "posterior", "a posterior", "DiagonalGaussian(2)").has_path:
        raise ValueError(
            f"prior must be left away for {type(posterior).__name__}, whose z has no density on the real line, got "
            f"{prior!r}. It brings its own."
        )
    takes = inspect.signature(make).parameters
    if n_components is not None and "n_components" not in takes:
        raise ValueError(
            f"n_components must go with a prior that is a mixture, got {checks.shown(n_components)} and {prior!r}. "
            f"Leave it away, or use prior='mixture'."
        )
    n_x = checks.width(n_x, "n_x")
    known: dict[str, Any] = {"n_components": n_components, "n_x": n_x}
    checks.has(likelihood, ("check", "log_prob"), "likelihood", "a likelihood", "Bernoulli()")
    if "pixels" in takes:
        known["pixels"] = _in_unit_interval(likelihood, n_x)
    return make(posterior.n_latent, **{key: known[key] for key in known if key in takes and known[key] is not None})


def _in_unit_interval(likelihood: Likelihood, n_x: int) -> bool:
    """Say whether a likelihood is one of pixels: it refuses values of two."""
    try:
        with warnings.catch_warnings(action="ignore"):
            checks.has(likelihood, ("check",), "likelihood", "a likelihood", "Bernoulli()").check(
                np.full((1, n_x), 2.0)
            )
    except ValueError:
        return True
    return False
