"""Encoders and the decoders that mirror them, by kind: dense, convolutional, recurrent."""

from collections.abc import Sequence
from typing import Any, Literal, cast

from minivae.core import checks
from minivae.core.registry import Table
from minivae.distributions.protocols import Likelihood
from minivae.distributions.sequences import EachStep
from minivae.nn.activations import ACTIVATIONS
from minivae.nn.convolution import Conv2d, ConvTranspose2d
from minivae.nn.dense import Dense
from minivae.nn.layer import Layer
from minivae.nn.looking import Shape, image_shape
from minivae.nn.recurrent import GRU, LSTM, RNN, Recurrent
from minivae.nn.sequential import Sequential
from minivae.nn.steps import Bidirectional, Repeat, Steps

CELLS: Table[type[Any]] = Table("cell")
CELLS.add("gru", GRU)
CELLS.add("lstm", LSTM)
CELLS.add("rnn", RNN)


def convolutional(
    shape: Shape,
    n_head: int,
    n_latent: int,
    likelihood: Likelihood,
    channels: Sequence[int] = (16, 32),
    activation: Layer | str = "relu",
) -> tuple[Sequential, Sequential, Likelihood]:
    """Return an encoder of convolutions that halve the image, the decoder that mirrors it, and the likelihood.

    Convolutions, and transposed ones, have stride 2 and padding 1; a kernel is 4 where a side is even, and 3 where it
    is odd, so that it fits.

    Parameters
    ----------
    shape : (channels, height, width)
        Of the image.
    n_head, n_latent : int
        What the encoder gives, and what the decoder takes.
    likelihood : Likelihood
        It says how many numbers the decoder gives for each pixel: these are its last channels.
    channels : sequence of int
        After each convolution.
    activation : Layer or str

    Examples
    --------
    >>> from minivae import Bernoulli
    >>> encoder, decoder, _ = convolutional((1, 28, 28), 40, 20, Bernoulli())
    >>> encoder.n_in, encoder.n_out, decoder.n_in, decoder.n_out
    (784, 40, 20, 784)
    """
    n_head, n_latent = checks.width(n_head, "n_head"), checks.width(n_latent, "n_latent")
    checks.has(likelihood, ("n_out", "log_prob", "backward"), "likelihood", "a likelihood", "Bernoulli()")
    image = image_shape(shape)
    n_pixels = image[0] * image[1] * image[2]
    n_out, left = divmod(likelihood.n_out(n_pixels), image[1] * image[2])
    if left:
        raise ValueError(
            f"likelihood must ask for whole images of {image[1]} x {image[2]}, got {checks.shown(likelihood)}. For "
            f"example Bernoulli()."
        )
    widths = checks.widths(channels, "channels")
    if isinstance(activation, str):
        activation = ACTIVATIONS.choose(activation)
    checks.has(activation, ("forward", "backward"), "activation", "a layer or its name", "Tanh(), or 'tanh'")
    scheme: Literal["glorot", "he"] = getattr(activation, "initial_weights", "glorot")
    down: list[Layer] = []
    up: list[Layer] = []
    for n in widths:
        kernel = cast(tuple[int, int], tuple(4 if side % 2 == 0 else 3 for side in image[1:]))
        conv = Conv2d(image, n, kernel, 2, 1, scheme)
        outer = ConvTranspose2d(conv.out_shape, image[0] if up else n_out, kernel, 2, 1, scheme if up else "glorot")
        down += [conv, activation]
        up = [outer, *([activation] if up else []), *up]
        image = conv.out_shape
    flat = image[0] * image[1] * image[2]
    start: list[Layer] = [Dense(n_latent, flat, scheme), activation]
    if not up:
        start = [Dense(n_latent, n_out * image[1] * image[2])]
    return Sequential([*down, Dense(flat, n_head)]), Sequential([*start, *up]), likelihood


def recurrent(
    cell: str,
    n_steps: int,
    n_features: int,
    n_head: int,
    n_latent: int,
    likelihood: Likelihood,
    n_units: int = 128,
    ragged: bool = False,
    bidirectional: bool = False,
) -> tuple[Sequential, Sequential, Likelihood]:
    """Return a recurrent encoder, the decoder that mirrors it, and the likelihood of all steps.

    The decoder reads z at every step, and says of each what the likelihood asks for.

    Parameters
    ----------
    cell : str
        gru, lstm or rnn.
    n_steps, n_features : int
        T and D.
    n_head, n_latent : int
        What the encoder gives, and what the decoder takes.
    likelihood : Likelihood
        Of one step.
    n_units : int
    ragged : bool
        Whether rows end in their length.
    bidirectional : bool
        Whether the encoder reads both ways.

    Examples
    --------
    >>> from minivae import Bernoulli
    >>> encoder, decoder, steps = recurrent("gru", 28, 28, 40, 20, Bernoulli())
    >>> encoder.n_in, encoder.n_out, decoder.n_in, decoder.n_out
    (784, 40, 20, 784)
    """
    n_head, n_latent = checks.width(n_head, "n_head"), checks.width(n_latent, "n_latent")
    checks.has(likelihood, ("n_out", "log_prob", "backward"), "likelihood", "a likelihood", "Bernoulli()")
    layer: type[Any] = CELLS.choose(cell)
    own: Recurrent = layer(n_steps, n_features, n_units, ragged=checks.flag(ragged, "ragged"))
    reader: Layer = Bidirectional(own) if checks.flag(bidirectional, "bidirectional") else own
    each = EachStep(likelihood, n_steps, n_features, ragged)
    encoder = Sequential([reader, Dense(cast(int, reader.n_out), n_head)])
    said = Steps(Sequential([Dense(n_units, likelihood.n_out(n_features))]), n_steps)
    decoder = Sequential([Repeat(n_latent, n_steps), layer(n_steps, n_latent, n_units, "all"), said])
    return encoder, decoder, each
