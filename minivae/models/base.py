"""What every encoder-decoder model shares: boxes in one flat vector of parameters, names for its parts, data checks."""

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from minivae.core import checks, errors
from minivae.core.arrays import Array
from minivae.core.boxes import Box, slices_of
from minivae.core.trust import looked
from minivae.distributions.protocols import Likelihood, Posterior, Prior
from minivae.estimators.objectives import Objective
from minivae.estimators.weights import Draws
from minivae.nn.layer import Layer
from minivae.nn.sequential import Sequential, mlp

Quantity = dict[str, Any]
Networks = tuple[Sequential, Sequential, Likelihood]  # encoder, decoder, and the likelihood of whole rows


class Model(Protocol):
    """What training, evaluation, storage and the command line ask of a model: they know no more of it.

    ``params`` and ``grads`` are flat vectors, ``eps`` the noise in the shape that ``draw_noise`` gives (None where
    there is none), terms ``ElboTerms`` or ``ReconstructionTerms``.
    """

    @property
    def encoder(self) -> Sequential:
        """From x to the head or the code."""

    @property
    def decoder(self) -> Sequential:
        """From the code to what the likelihood needs."""

    @property
    def likelihood(self) -> Likelihood:
        """p(x|z)."""

    @property
    def variational(self) -> bool:
        """Whether its code is a distribution q(z|x), with a prior from which z can be drawn."""

    @property
    def random(self) -> bool:
        """Whether training it needs noise."""

    @property
    def continuous(self) -> bool:
        """Whether its latents have a prior on the real line, so that there is a plane to decode."""

    @property
    def n_params(self) -> int:
        """Length of the flat parameter vector."""

    @property
    def n_x(self) -> int:
        """Width of the data."""

    @property
    def objective(self) -> Objective:
        """What it is trained for unless said otherwise."""

    def init(self, rng: np.random.Generator, dtype: Any = np.float64, x: Array | None = None) -> Array:
        """Return initial parameters."""

    def named(self, params: Array) -> Iterator[tuple[str, Array]]:
        """Yield the name and the view of each parameter array."""

    def check_data(self, x: Any, name: str = "x", dtype: Any = None) -> Array:
        """Return x as an array that the model takes, or refuse it."""

    def draw_noise(self, rng: np.random.Generator, n_draws: int, n_batch: int, dtype: Any) -> Array | None:
        """Return noise for n_draws draws of n_batch examples."""

    @property
    def loss_and_grad(self) -> Callable[..., tuple[float, Any]]:
        """(params, x, eps, grads, objective=None, ...) -> loss, terms; overwrites ``grads``. May take a baseline."""

    @property
    def terms(self) -> Callable[..., Any]:
        """(params, x, *, eps=None, objective=None, ...) -> the terms of each example; memory stays bounded."""

    def quantities(self, params: Array, x: Any, seed: int, n_draws: int | None = None) -> list[Quantity]:
        """Return what is to be known of the model on data: rows of a table, more of them where n_draws is given."""

    def meaning(self, x: Array) -> str:
        """Say in one sentence what the numbers are for such data."""

    def embed(self, params: Array, x: Any) -> Array:
        """Return the codes of x, shape (B, n_latent)."""

    def decode(self, params: Array, z: Array) -> Array:
        """Return E[x|z]."""

    def reconstruct(self, params: Array, x: Any) -> Array:
        """Return E[x|z] at the code of each example."""

    def says(self, params: Array, x: Any) -> Array:
        """Return how much each latent says of x, shape (n_latent,): the largest is the most worth looking at."""

    def seen(self, x: Any, rng: np.random.Generator) -> Array:
        """Return x as the encoder sees it in training."""


class Variational(Model, Protocol):
    """What the bounds and the gradient studies ask of a model whose code is a distribution."""

    @property
    def posterior(self) -> Posterior:
        """q(z|x)."""

    @property
    def prior(self) -> Prior:
        """p(z)."""

    def sample(self, params: Array, n: int, rng: np.random.Generator, *, mean: bool = False) -> Array:
        """Draw n data points, or their means E[x|z], z from the prior."""

    def prior_params(self, params: Array) -> Array:
        """Return what the prior's density takes of the parameters."""

    def draw(self, params: Array, x: Array, eps: Array | None) -> tuple[Array, Array, Draws]:
        """Return head, z and what is known of the draws."""


class EncoderDecoder:
    """Base of the models: their boxes in one flat vector, encoder first and likelihood last."""

    encoder: Sequential
    decoder: Sequential
    likelihood: Likelihood

    @cached_property
    def boxes(self) -> dict[str, Box]:
        """The boxes by name, in the order of their parameters."""
        return {"encoder": self.encoder, "decoder": self.decoder, "likelihood": self.likelihood}

    @cached_property
    def slices(self) -> tuple[slice, ...]:
        """Where each box stands in the flat vector."""
        return slices_of(list(self.boxes.values()))

    @property
    def n_params(self) -> int:
        """Length of the flat parameter vector."""
        return self.slices[-1].stop

    @cached_property
    def n_x(self) -> int:
        """Width of the data."""
        if self.encoder.n_in is None:
            raise ValueError("encoder must have a known input width, got none. Put a Dense layer in it.")
        return self.encoder.n_in

    @property
    def n_latent(self) -> int | None:
        """Width of the code."""
        return self.decoder.n_in

    @cached_property
    def own_boxes(self) -> bool:
        """Whether every box and layer is one of this package, which keep the shapes that they promise."""
        parts: list[Any] = [self, *self.boxes.values(), *self.encoder.flat_layers(), *self.decoder.flat_layers()]
        parts += [value for value in vars(self).values() if dataclasses.is_dataclass(value)]
        return all(type(part).__module__.startswith("minivae.") for part in parts)

    def unpack(self, params: Array) -> tuple[Array, ...]:
        """Return the view of each box, in the order of ``boxes``, of a flat vector of parameters or gradients."""
        if not looked.already:
            checks.parameters(params, self.n_params)
        return tuple(map(params.__getitem__, self.slices))

    def init(self, rng: np.random.Generator, dtype: Any = np.float64, x: Array | None = None) -> Array:
        """Return initial parameters, shape (n_params,); float32 and float64 start at the same point.

        Given data x, the last bias of the decoder starts where E[x|z] is their mean: a head start, and without it
        the prior's centre may stay unused when the data lie far from zero. A box with ``init_at`` starts at the data.
        """
        dtype, rng = checks.float_dtype(dtype), checks.generator(rng)
        x = None if x is None else checks.data(x, self.n_x)
        parts = {name: box.init(rng, dtype) for name, box in self.boxes.items()}
        bias = None if x is None else self.decoder.out_bias(parts["decoder"])
        if x is not None and bias is not None:
            with np.errstate(over="ignore"):
                bias[:] = self.likelihood.out_at_mean(x)
            if not np.isfinite(bias).all():
                raise ValueError(f"x must have means that {dtype} holds, got infinite ones. Rescale x, or use float64.")
        for name, box in self.boxes.items():
            if x is not None and hasattr(box, "init_at"):
                box.init_at(parts[name], x, rng)
        return np.concatenate(list(parts.values()))

    def named(self, params: Array) -> Iterator[tuple[str, Array]]:
        """Yield the name and the view of each parameter array, for example ("encoder.0.weight", W)."""
        checks.flat(params, self.n_params)
        for (box_name, box), part in zip(self.boxes.items(), self.slices, strict=True):
            for name, view in box.named(params[part]):
                yield f"{box_name}.{name}", view

    def check_data(self, x: Any, name: str = "x", dtype: Any = None) -> Array:
        """Return x as an array that the model takes, or refuse it: shape, dtype, finite, in the support."""
        x = checks.data(x, self.n_x, None if dtype is None else checks.float_dtype(dtype), name)
        self.likelihood.check(x)
        return x

    @errors.spoken("E[x|z]")
    def decode(self, params: Array, z: Array) -> Array:
        """Return E[x|z], shape (batch, n_x), for codes z of shape (batch, n_latent)."""
        checks.parameters_of(self, params)
        z = checks.data(z, self.decoder.n_in, params.dtype, name="z")
        decoder, likelihood = self.unpack(params)[-2:]
        return self.likelihood.mean(likelihood, self.decoder.forward(decoder, z)[0])

    def _head(self, params: Array, x: Any) -> Array:
        checks.parameters_of(self, params)
        x = checks.data(x, self.n_x, params.dtype)
        return self.encoder.forward(self.unpack(params)[0], x)[0]

    def _check_boxes(self) -> None:
        """Refuse what is no box, each of its kind."""
        for name in ("encoder", "decoder"):
            checks.has(
                getattr(self, name), ("forward", "out_bias", "flat_layers"), name, "a Sequential", "mlp([4, 8, 2])"
            )
        methods = ("n_out", "log_prob", "backward", "is_density")
        checks.has(self.likelihood, methods, "likelihood", "a likelihood", "Bernoulli()")

    def _check_widths(self, n_head: int, n_latent: int) -> None:
        for name, value, want in (
            ("encoder", self.encoder.n_out, n_head),
            ("decoder", self.decoder.n_in, n_latent),
        ):
            if value != want:
                raise ValueError(
                    f"{name} must {'give' if name == 'encoder' else 'take'} {want} values for a latent of "
                    f"dimension {n_latent}, got {value}. Change its {'last' if name == 'encoder' else 'first'} Dense."
                )
        if self.decoder.n_out != self.likelihood.n_out(self.n_x):
            raise ValueError(
                f"decoder must give {self.likelihood.n_out(self.n_x)} values for {self.n_x} data dimensions under "
                f"{type(self.likelihood).__name__}, got {self.decoder.n_out}. Change its last Dense."
            )


def checked_rows(model: Variational, params: Array, x: Any) -> Array:
    """Return x as the model takes it, or refuse what does not go together."""
    what = "a model whose code is a distribution"
    checks.has(model, ("draw", "posterior", "prior"), "model", what, "VAE.mlp(n_x=4, n_latent=2)")
    checks.parameters_of(model, params)
    return model.check_data(x, dtype=params.dtype)


def mirrored(
    n_x: int, n_head: int, n_latent: int, n_hidden: Sequence[int], activation: Layer | str, likelihood: Likelihood
) -> tuple[Sequential, Sequential]:
    """Return an encoder of dense layers from n_x values to the head, and the decoder that mirrors it.

    >>> from minivae import Bernoulli
    >>> [net.n_params for net in mirrored(4, 2, 1, [8], "relu", Bernoulli())]
    [58, 52]
    """
    n_x = checks.width(n_x, "n_x")
    hidden = checks.widths(n_hidden, "n_hidden")
    encoder = mlp([n_x, *hidden, n_head], activation)
    return encoder, mlp([n_latent, *hidden[::-1], likelihood.n_out(n_x)], activation)


def networks_from(networks: Callable[..., Networks], n_head: int, n_latent: int, likelihood: Likelihood) -> Networks:
    """Return the encoder, the decoder and the likelihood that a function makes, or refuse what is no such function."""
    remedy = "For example partial(convolutional, (1, 28, 28))."
    checks.function(networks, "networks", remedy)
    given = {"n_head": n_head, "n_latent": n_latent, "likelihood": likelihood}
    try:
        inspect.signature(networks).bind(**given)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"networks must take n_head, n_latent and likelihood by name, got {checks.shown(networks)}. {remedy}"
        ) from error
    made = networks(**given)
    if not isinstance(made, tuple) or len(made) != 3:
        raise ValueError(
            f"networks must give an encoder, a decoder and a likelihood, got {checks.shown(networks)}, which gives "
            f"{checks.shown(made)}. {remedy}"
        )
    return made


def quantity(name: str, values: Any, unit: str = "nats per example") -> Quantity:
    """Return a row of a table: the mean of one value an example with its standard error, or one number without.

    >>> quantity("active latents", 2, "latents")["value"]
    2
    """
    row = {"quantity": name, "value": values, "standard_error": None, "unit": unit}
    if np.ndim(values):
        values = np.asarray(values, np.float64)
        error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
        row |= {"value": float(values.mean()), "standard_error": error}
    return row
