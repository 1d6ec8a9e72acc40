"""A model as the page holds it: its layers by kind, its weights as float32 in base 64, and what its codes look like."""

import base64
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.seeds import Stream, stream
from minivae.distributions.diagonal import DiagonalGaussian
from minivae.distributions.fixed import FixedGaussian
from minivae.distributions.full import FullGaussian
from minivae.distributions.likelihoods import Bernoulli, Gaussian, GaussianPerPixel
from minivae.distributions.priors import StandardNormal
from minivae.estimators.objectives import Elbo
from minivae.models.autoencoder import Autoencoder
from minivae.models.vae import VAE
from minivae.nn.activations import ELU, ReLU, Sigmoid, Softplus, Tanh
from minivae.nn.dense import Dense
from minivae.nn.sequential import Sequential

Spec = dict[str, Any]

_LAYERS: dict[type, Callable[[Any], Spec]] = {
    Dense: lambda layer: {"kind": "dense", "n_in": layer.n_in, "n_out": layer.n_out},
    **{cls: lambda layer: {"kind": type(layer).__name__.lower()} for cls in (ELU, ReLU, Sigmoid, Softplus, Tanh)},
}
_POSTERIORS: dict[type, Callable[[Any], Spec]] = {
    DiagonalGaussian: lambda q: {"kind": "diagonal", "n_latent": q.n_latent},
    FullGaussian: lambda q: {"kind": "full", "n_latent": q.n_latent},
    FixedGaussian: lambda q: {"kind": "fixed", "n_latent": q.n_latent, "variance": q.variance},
}
_LIKELIHOODS: dict[type, str] = {
    Bernoulli: "bernoulli",
    Gaussian: "gaussian",
    GaussianPerPixel: "gaussian-per-pixel",
}
_DRAWS = 256  # of the prior, as many as a page is likely to be asked for
_SPREAD = 3.0  # standard deviations of N(0, 1) that a slider goes to


def packed(values: Any, name: str) -> str:
    """Return numbers as the text that the page reads: float32, least byte first, in base 64.

    >>> packed([1.0], "x")
    'AACAPw=='
    """
    with np.errstate(over="ignore"):
        small = np.ascontiguousarray(values, "<f4")
    if not np.isfinite(small).all():
        raise ValueError(
            f"{name} must hold in float32, as the page keeps it, got up to {np.abs(values).max():g}. Rescale the "
            f"data, and train again."
        )
    return base64.b64encode(small.tobytes()).decode()


def layer_specs(net: Sequential, name: str) -> list[Spec]:
    """Return the kind and the widths of each layer, those inside others too, or say which the page cannot run.

    >>> from minivae.nn import mlp
    >>> layer_specs(mlp([4, 2, 1], "tanh"), "encoder")[1]
    {'kind': 'tanh'}
    """
    rule = f"{name} must be made of layers that the page can run"
    return [_known(layer, _LAYERS, rule) for layer in net.flat_layers()]


def _known(thing: Any, table: dict[type, Callable[[Any], Spec]], rule: str) -> Spec:
    """Return how the page names a box, or refuse what it does not know."""
    if type(thing) not in table:
        known = ", ".join(cls.__name__ for cls in table)
        raise ValueError(f"{rule}, {known}; got {type(thing).__name__}. Explore another model.")
    return table[type(thing)](thing)


def description(model: Any) -> Spec:
    """Return a model without its numbers: layers, posterior, likelihood; what the page cannot run is refused in words.

    Raises
    ------
    ValueError
        If a layer, the posterior or the likelihood is none of those that the page knows.

    Examples
    --------
    >>> found = description(VAE.mlp(n_x=4, n_latent=2))
    >>> found["posterior"], found["likelihood"]
    ({'kind': 'diagonal', 'n_latent': 2}, 'bernoulli')
    """
    if type(model) not in (VAE, Autoencoder):
        what = checks.shown(model)
        raise ValueError(f"model must be a VAE or an Autoencoder, got {what}. Give result.model, or a run.")
    spec: Spec = {"posterior": {"kind": "point", "n_latent": model.decoder.n_in}, "normal": False}
    if isinstance(model, VAE):
        spec["posterior"] = _known(model.posterior, _POSTERIORS, "posterior must be one that the page can draw")
        spec["normal"] = isinstance(model.prior, StandardNormal)
    spec |= {name: layer_specs(getattr(model, name), name) for name in ("encoder", "decoder")}
    if type(model.likelihood) not in _LIKELIHOODS:
        known, got = ", ".join(cls.__name__ for cls in _LIKELIHOODS), type(model.likelihood).__name__
        raise ValueError(
            f"likelihood must be one whose mean the page knows, {known}; got {got}. Explore another model."
        )
    return spec | {"likelihood": _LIKELIHOODS[type(model.likelihood)]}


def exported(model: Any, params: Array, x: Array, n_codes: int = 600, seed: int = 0) -> Spec:
    """Return a model as the page holds it, with the codes of x that its plane shows.

    Parameters
    ----------
    model, params
        A ``VAE`` with a Gaussian posterior, or an ``Autoencoder``, of dense layers, and its flat parameters.
    x : array of shape (B, n_x)
        Rows that the model was not trained on: they say how far the sliders go, and which latents are worth one.
    n_codes : int
        Codes of x that are shown, at most.
    seed : int
        Of the draws of the prior.

    Returns
    -------
    dict
        JSON values only.

    Examples
    --------
    >>> import numpy as np
    >>> model = VAE.mlp(n_x=4, n_latent=2)
    >>> found = exported(model, model.init(np.random.default_rng(0)), np.eye(4))
    >>> found["order"], found["normal"]
    ([1, 0], True)
    """
    spec = description(model)
    params = checks.parameters_of(model, params)
    x, n_codes = model.check_data(x, dtype=params.dtype), checks.width(n_codes, "n_codes")
    boxes = dict(zip(model.boxes, model.unpack(params), strict=True))
    weights = packed(np.concatenate([boxes["encoder"], boxes["decoder"]]), "params")
    codes, says = model.embed(params, x), model.says(params, x)
    middle, reach = _ranges(codes, spec["normal"])
    spec |= {
        "weights": weights,
        "codes": packed(codes[:n_codes], "the code of x"),
        "middle": middle,
        "reach": reach,
        "order": np.argsort(-says, kind="stable").tolist(),
        "says": [round(float(value), 4) for value in says],
        "draws": "",
        "rate": None,
        "distortion": None,
    }
    if isinstance(model, VAE):
        draws = model.prior.sample(model.prior_params(params), _DRAWS, stream(seed, Stream.SAMPLES))
        terms = model.terms(params, x, rng=stream(seed, Stream.TEST_NOISE), n_draws=4)
        spec |= {
            "draws": packed(draws, "a draw of the prior"),
            "rate": float(terms.kl.mean()),
            "distortion": -float(terms.log_lik.mean()),
        }
    return spec


def _ranges(codes: Array, normal: bool) -> tuple[list[float], list[float]]:
    """Return the middle and the half width of each slider: what the codes reach, and 3 each way of a normal prior."""
    low, high = codes.min(axis=0).astype(float), codes.max(axis=0).astype(float)
    if normal:
        reach = np.maximum(np.maximum(-low, high), _SPREAD)
        return [0.0] * len(reach), [_rounded(value) for value in reach]
    return ((low + high) / 2).tolist(), [_rounded(value) for value in (high - low) / 2]


def _rounded(value: float) -> float:
    """Return the next number of two digits that is not smaller, and 1 for none.

    >>> _rounded(3.14), _rounded(0.0)
    (3.2, 1.0)
    """
    if value <= 0:
        return 1.0
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / step - 1e-9) * step:.6g}")


def beta_of(objective: Any) -> float | None:
    """Return the beta that a model was trained with, or None where its objective has none.

    >>> beta_of(Elbo(beta=4.0)), beta_of(None)
    (4.0, None)
    """
    return float(objective.final_beta) if isinstance(objective, Elbo) else None
