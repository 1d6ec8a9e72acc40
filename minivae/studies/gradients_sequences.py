"""The gradient checks of sequences: layers and likelihoods whose rows end in their length, and models made of them."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np

from minivae.core.arrays import Array
from minivae.distributions.likelihoods import Gaussian
from minivae.distributions.sequences import EachStep, TeacherForced
from minivae.models.networks import CELLS, convolutional, recurrent
from minivae.models.sequence_vae import SequenceVAE
from minivae.models.vae import VAE
from minivae.nn.dense import Dense
from minivae.nn.dropout import Dropout
from minivae.nn.recurrent import GRU
from minivae.nn.sequential import Sequential
from minivae.nn.steps import Bidirectional, Steps
from minivae.studies.gradient_rows import BATCH, GradientRow, Part, compare
from minivae.studies.gradients_contract import jitter
from minivae.studies.gradients_layers import check_layer

_T, _D, _LENGTHS = 4, 2, (3.0, 1.0, 4.0)


class _OfLengths:
    """A ragged layer as one of plain rows, to which the lengths are given once: they have no gradient."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        self.analytic, self.n_params, self.n_out = layer.analytic, layer.n_params, layer.n_out
        self.n_in, self.init, self.named = layer.n_in - 1, layer.init, layer.named

    def forward(self, params: Array, x: Array) -> tuple[Array, Any]:
        return self.layer.forward(params, _with_lengths(x))

    def backward(self, params: Array, cache: Any, dy: Array, grads: Array | None, need_dx: bool = True) -> Array | None:
        dx = self.layer.backward(params, cache, dy, grads, need_dx)
        return None if dx is None else np.ascontiguousarray(dx[:, :-1])


def _with_lengths(x: Array) -> Array:
    return np.concatenate([x, np.array(_LENGTHS, x.dtype)[:, None]], axis=1)


def layer_rows(rng: np.random.Generator) -> Iterator[GradientRow]:
    """Yield the rows of recurrent layers: each cell, both directions, last states and all, with lengths."""
    for cell in CELLS.values():
        name = f"layer {cell.__name__}"
        yield from check_layer(cell(_T, _D, 3), rng=rng)
        yield from check_layer(cell(_T, _D, 3, "all", reverse=True), f"{name}, all states, reversed", rng)
        lengths: Any = _OfLengths(cell(_T, _D, 3, "all", ragged=True))
        yield from check_layer(lengths, f"{name}, lengths", rng)
    yield from check_layer(Dropout(5, 0.4).given(rng.random((BATCH, 5))), "layer Dropout, given noise", rng)
    both: Any = _OfLengths(Bidirectional(GRU(_T, _D, 3, ragged=True)))
    yield from check_layer(both, "layer Bidirectional, lengths", rng)
    yield from check_layer(Bidirectional(GRU(_T, _D, 3, "all")), rng=rng)


def sequence_rows(rng: np.random.Generator) -> Iterator[GradientRow]:
    """Yield the rows of likelihoods of sequences and of models on sequences and images."""
    conv = VAE.of(partial(convolutional, (1, 5, 4), channels=[2, 3], activation="tanh"), 2)
    yield _model("sequence of convolutions, ELBO", conv, (rng.random((BATCH, 20)) < 0.5).astype(float), rng)
    conv = replace(conv, encoder=_thinned(conv.encoder), decoder=_thinned(conv.decoder))
    yield _model("sequence of layers with dropout, ELBO", conv, (rng.random((BATCH, 20)) < 0.5).astype(float), rng)
    network = Sequential([GRU(_T, _D + 3, 4, "all"), Steps(Sequential([Dense(4, _D)]), _T)])
    forced = TeacherForced(network, Gaussian(0.5, learned=True), _T, _D, 3, ragged=True)
    kept = (rng.random((2 * BATCH, _T)) < 0.5).astype(float)
    for name, likelihood in (
        ("each step", EachStep(Gaussian(0.5, learned=True), _T, _D, ragged=True)),
        ("teacher forcing", forced),
        ("teacher forcing, words dropped", forced.dropping(kept)),
    ):
        yield _likelihood(f"sequence likelihood, {name}, lengths", likelihood, rng)
    bits = (rng.random((BATCH, _T * _D)) < 0.5).astype(float)
    dropping = SequenceVAE.recurrent(_T, _D, 2, 2, ragged=True, word_dropout=0.5)
    yield _model("sequence ELBO, teacher forcing, words dropped", dropping, _with_lengths(bits), rng)
    for cell in CELLS:
        model = VAE.of(partial(recurrent, cell, _T, _D, n_units=2, ragged=True, bidirectional=True), 2)
        yield _model(f"sequence ELBO, {cell}, lengths", model, _with_lengths(bits), rng)


def _thinned(net: Sequential) -> Sequential:
    """Return the network with entries dropped after its first layer."""
    first, *others = net.layers
    return Sequential([first, Dropout(cast(int, first.n_out), 0.3), *others])


def _likelihood(name: str, likelihood: Any, rng: np.random.Generator) -> GradientRow:
    params = jitter(likelihood.init(rng), rng)
    x = _with_lengths(rng.standard_normal((BATCH, _T * _D)))
    out = rng.standard_normal((2 * BATCH, likelihood.n_out(x.shape[1])))
    share, grads = rng.standard_normal(len(out)), np.full_like(params, np.nan)
    dout = likelihood.backward(params, likelihood.forward(params, out, x)[1], share, grads)
    parts = [Part("the parameters' gradient", params, grads, likelihood.named), Part("dout", out, dout)]
    return compare(name, lambda params, out: share @ likelihood.log_prob(params, out, x), parts)


def _model(name: str, model: VAE, x: Array, rng: np.random.Generator) -> GradientRow:
    params = jitter(model.init(rng), rng)
    draw = getattr(model, "training_noise", model.draw_noise)
    eps, grads = draw(rng, 2, len(x), np.float64), np.full_like(params, np.nan)
    model.loss_and_grad(params, x, eps, grads)
    again = np.empty_like(grads)
    part = Part("the gradient", params, grads, model.named)
    return compare(name, lambda params: model.loss_and_grad(params, x, eps, again)[0], [part])
