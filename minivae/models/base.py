"""What every encoder-decoder model shares: one flat vector of parameters, names for its parts, a trace."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.distributions.protocols import Likelihood
from minivae.nn.dense import Dense
from minivae.nn.layer import Layer
from minivae.nn.sequential import Sequential, mlp


class EncoderDecoder:
    """Base of the models: [encoder | decoder | likelihood] in one flat vector."""

    encoder: Sequential
    decoder: Sequential
    likelihood: Likelihood

    @cached_property
    def slices(self) -> tuple[slice, slice, slice]:
        """Where encoder, decoder and likelihood stand in the flat vector."""
        a = self.encoder.n_params
        b = a + self.decoder.n_params
        return slice(0, a), slice(a, b), slice(b, b + self.likelihood.n_params)

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

    def unpack(self, params: Array) -> tuple[Array, Array, Array]:
        """Return the views (encoder, decoder, likelihood) of a flat vector of parameters or gradients."""
        encoder, decoder, likelihood = self.slices
        return params[encoder], params[decoder], params[likelihood]

    def init(self, rng: np.random.Generator, dtype: Any = np.float64, x: Array | None = None) -> Array:
        """Return initial parameters, shape (n_params,); float32 and float64 start at the same point.

        Given data x, the last bias of the decoder starts where E[x|z] is their mean: a head start, and without it
        the prior's centre may stay unused when the data lie far from zero.
        """
        dtype = checks.float_dtype(dtype)
        parts = [self.encoder.init(rng, dtype), self.decoder.init(rng, dtype), self.likelihood.init(dtype)]
        last = self.decoder.layers[-1]
        if x is not None and isinstance(last, Dense):
            _, bias = last.unpack(parts[1][self.decoder.slices[-1]])
            bias[:] = self.likelihood.out_at_mean(x)
        return np.concatenate(parts)

    def named(self, params: Array) -> Iterator[tuple[str, Array]]:
        """Yield the name and the view of each parameter array, for example ("encoder.0.weight", W)."""
        checks.flat(params, self.n_params)
        encoder, decoder, likelihood = self.unpack(params)
        for name, view in self.encoder.named(encoder):
            yield f"encoder.{name}", view
        for name, view in self.decoder.named(decoder):
            yield f"decoder.{name}", view
        if likelihood.size:
            yield "likelihood.log_var", likelihood

    def check_data(self, x: Any, name: str = "x", dtype: Any = None) -> Array:
        """Return x as an array that the model takes, or refuse it: shape, dtype, finite, in the support."""
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused
            x = checks.data(x, self.n_x, dtype, name)
        self.likelihood.check(x)
        return x

    def decode(self, params: Array, z: Array) -> Array:
        """Return E[x|z], shape (batch, n_x), for codes z of shape (batch, n_latent)."""
        checks.flat(params, self.n_params)
        z = checks.data(z, self.decoder.n_in, params.dtype, name="z")
        _, decoder, likelihood = self.unpack(params)
        return self.likelihood.mean(likelihood, self.decoder.forward(decoder, z)[0])

    def _head(self, params: Array, x: Any) -> Array:
        checks.flat(params, self.n_params)
        x = checks.data(x, self.n_x, params.dtype)
        return self.encoder.forward(self.unpack(params)[0], x)[0]

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


def mirrored(
    n_x: int, n_head: int, n_latent: int, n_hidden: Sequence[int], activation: Layer | str, likelihood: Likelihood
) -> tuple[Sequential, Sequential]:
    """Return an encoder of dense layers from n_x values to the head, and the decoder that mirrors it.

    >>> from minivae.distributions.likelihoods import Bernoulli
    >>> [net.n_params for net in mirrored(4, 2, 1, [8], "relu", Bernoulli())]
    [58, 52]
    """
    n_x = checks.width(n_x, "n_x")
    hidden = checks.widths(n_hidden, "n_hidden")
    encoder = mlp([n_x, *hidden, n_head], activation)
    return encoder, mlp([n_latent, *hidden[::-1], likelihood.n_out(n_x)], activation)
