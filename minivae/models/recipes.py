"""The models that a user chooses by name, each with the options that are its own, and how it is built for data."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.registry import Table
from minivae.distributions.categorical import Categorical
from minivae.distributions.families import POSTERIORS, PRIORS
from minivae.distributions.fixed import FixedGaussian
from minivae.distributions.mixtures import MixtureOfGaussians
from minivae.models.autoencoder import Autoencoder
from minivae.models.base import Model
from minivae.models.belief import belief_network
from minivae.models.contraction import Contraction
from minivae.models.corruptions import CORRUPTIONS
from minivae.models.penalties import SPARSITIES, KLSparsity, L1Sparsity
from minivae.models.vae import VAE


def default_of(function: Callable[..., Any], name: str) -> Any:
    """Return the default of an argument, so that it stands in one place.

    >>> default_of(VAE.mlp, "activation")
    'relu'
    """
    return inspect.signature(function).parameters[name].default


@dataclass(frozen=True)
class Option:
    """A choice that some models have, as the command line and a grid of settings offer it."""

    name: str
    kind: type
    help: str


@dataclass(frozen=True)
class Recipe:
    """How a model is built.

    Attributes
    ----------
    build : callable
        From the training rows, what all models take (n_x, n_latent, n_hidden, activation, likelihood; those that are
        given) and the options of its own that are given, to the model.
    options : tuple of Option
    n_latent : int
        Dimension of the code unless given.
    takes_networks : bool
        Whether it can be built of networks that are not dense: then ``networks``, as ``VAE.of`` takes it, may come in
        the place of n_x, n_hidden and activation.
    """

    build: Callable[[Array, dict[str, Any], Mapping[str, Any]], Model]
    options: tuple[Option, ...] = ()
    n_latent: int = 2
    takes_networks: bool = False


def _built(cls: Any, common: dict[str, Any], own: Mapping[str, Any]) -> Model:
    """Return a model of the networks that are given, or of dense layers."""
    return (cls.of if "networks" in common else cls.mlp)(**common, **own)


def _vae(x: Array, common: dict[str, Any], own: Mapping[str, Any]) -> Model:  # noqa: ARG001
    own = {"n_components" if name == "components" else name: value for name, value in own.items()}
    if own.get("posterior") == "categorical":
        n_categories = checks.width(own.pop("categories", _CATEGORIES), "categories")
        width = checks.width(common["n_latent"], "n_latent") * n_categories
        return _built(VAE, common | {"n_latent": width}, own | {"posterior": Categorical(width, n_categories)})
    if "categories" in own:
        raise ValueError(
            f"categories must be given with posterior='categorical' only, got it with "
            f"{own.get('posterior', 'diagonal')!r}. Drop it."
        )
    if "variance" not in own:
        return _built(VAE, common, own)
    name, variance = own.get("posterior", "fixed"), own.pop("variance")
    if name != "fixed":
        raise ValueError(f"variance must be given with posterior='fixed' only, got it with {name!r}. Drop it.")
    return _built(VAE, common, own | {"posterior": FixedGaussian(common["n_latent"], variance)})


def _belief(x: Array, common: dict[str, Any], own: Mapping[str, Any]) -> Model:  # noqa: ARG001
    return belief_network(**common, n_upper=own.get("upper"))


def _plain(x: Array, common: dict[str, Any], own: Mapping[str, Any]) -> Model:  # noqa: ARG001
    return _built(Autoencoder, common, {})


def _denoising(x: Array, common: dict[str, Any], own: Mapping[str, Any]) -> Model:
    corruption = CORRUPTIONS.choose(own.get("corruption", "masking"))
    level = {} if "noise" not in own else {corruption.level: own["noise"]}
    return _built(Autoencoder, common, {"corruption": corruption.fitting(x, **level)})


def _sparse(x: Array, common: dict[str, Any], own: Mapping[str, Any]) -> Model:  # noqa: ARG001
    name = own.get("sparsity", "kl")
    penalty = SPARSITIES.choose(name)
    values = {key: own[key] for key in ("target", "weight") if key in own}
    if "target" in values and "target" not in inspect.signature(penalty).parameters:
        raise ValueError(f"target must be given with sparsity='kl' only, got it with {name!r}. Drop it.")
    return _built(Autoencoder, common, {"penalty": penalty(**values)})


def _contractive(x: Array, common: dict[str, Any], own: Mapping[str, Any]) -> Model:  # noqa: ARG001
    return _built(Autoencoder, common, {"penalty": Contraction(**own)})


_WEIGHT = Option(
    "weight",
    float,
    f"sparse, contractive: of the penalty (default kl {KLSparsity.weight:g}, l1 {L1Sparsity.weight:g}, contractive "
    f"{Contraction.weight:g})",
)
_LEVELS = ", ".join(f"{name} {getattr(cls, cls.level):g}" for name, cls in CORRUPTIONS.items())

_CATEGORIES = 10

RECIPES: Table[Recipe] = Table("model")
_POSTERIORS = (
    f"q(z|x): {', '.join(POSTERIORS)} (default diagonal); full, symmetric: correlations; iaf, planar: flows; fixed: a "
    f"given variance; bits, categorical: discrete codes"
)
RECIPES.add(
    "vae",
    Recipe(
        _vae,
        (
            Option("posterior", str, _POSTERIORS),
            Option("variance", float, f"of q(z|x), posterior fixed (default {FixedGaussian.variance:g})"),
            Option("categories", int, f"of each latent, posterior categorical (default {_CATEGORIES})"),
            Option("prior", str, f"p(z): {', '.join(PRIORS)} (default: the posterior's own)"),
            Option("components", int, f"of a prior that is a mixture (default {MixtureOfGaussians.n_components})"),
        ),
        takes_networks=True,
    ),
)
RECIPES.add(
    "belief",
    Recipe(
        _belief,
        (Option("upper", int, "belief: bits of the upper of its two layers (default: as many as --latent)"),),
        n_latent=8,
    ),
)
RECIPES.add("ae", Recipe(_plain, takes_networks=True))
RECIPES.add(
    "denoising",
    Recipe(
        _denoising,
        (
            Option("corruption", str, f"denoising: {', '.join(CORRUPTIONS)} (default masking)"),
            Option("noise", float, f"denoising: standard deviation, or fraction of pixels (default {_LEVELS})"),
        ),
        takes_networks=True,
    ),
)
RECIPES.add(
    "sparse",
    Recipe(
        _sparse,
        (
            Option("sparsity", str, "sparse: kl (to a mean activation) or l1 (default kl)"),
            Option("target", float, f"sparse, kl: mean activation of each unit (default {KLSparsity.target:g})"),
            _WEIGHT,
        ),
        n_latent=32,
        takes_networks=True,
    ),
)
RECIPES.add("contractive", Recipe(_contractive, (_WEIGHT,), takes_networks=True))
