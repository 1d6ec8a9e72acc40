"""log p(x|z) as a function of codes anywhere, between the states of a discrete one, too: with slope and bend in z."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np

from minivae.core.arrays import Array


@dataclass
class CodeCost:
    """log p(x|z) of a model's decoder and likelihood, for codes z of shape (K, B, L).

    Parameters
    ----------
    model
        With a decoder and a likelihood.
    params : pair of array
        Of the decoder and of the likelihood.
    x : array of shape (B, n_x)

    Examples
    --------
    >>> from minivae import VAE
    >>> model, rng = VAE.mlp(n_x=4, n_latent=3, posterior="bits"), np.random.default_rng(0)
    >>> cost = CodeCost(model, model.unpack(model.init(rng))[-2:], np.ones((2, 4)))
    >>> at = cost(np.full((5, 2, 3), 0.5))
    >>> at.value.shape, at.slope().shape, at.bend(np.ones((5, 2, 3))).shape
    ((5, 2), (5, 2, 3), (5, 2, 3))
    """

    model: Any
    params: Sequence[Array]
    x: Array

    def __call__(self, z: Array) -> "CodeCostAt":
        """Return the cost at codes."""
        decoder, likelihood = self.params
        out, caches = self.model.decoder.forward(decoder, np.ascontiguousarray(z).reshape(-1, z.shape[2]))
        log_lik, cache = self.model.likelihood.forward(likelihood, out, self.x)
        return CodeCostAt(self, z.shape, log_lik.reshape(z.shape[:2]), out, caches, cache)


@dataclass
class CodeCostAt:
    """log p(x|z) at codes, shape (K, B), and what its derivatives need."""

    cost: CodeCost
    shape: tuple[int, ...]
    value: Array
    out: Array
    caches: list[Any]
    cache: Any

    @cached_property
    def _dout(self) -> Array:
        """d log p / d(decoder's output), a row for each code."""
        likelihood = self.cost.params[1]
        ones = np.ones(self.value.size, self.value.dtype)
        return self.cost.model.likelihood.backward(likelihood, self.cache, ones, np.empty_like(likelihood))

    def slope(self) -> Array:
        """Return d log p(x|z) / dz, shape (K, B, L)."""
        dz = self.cost.model.decoder.backward(self.cost.params[0], self.caches, self._dout, None)
        return cast(Array, dz).reshape(self.shape)

    def bend(self, along: Array) -> Array:
        """Return the derivative of the slope along a direction of z: forward with the tangent, then both back.

        A dense layer passes a tangent t on as t W, an activation as f'(x) t; on the way back dx = f'(x) dy has the
        derivative f'(x) dy' + f''(x) t dy.
        """
        (decoder, likelihood), model = self.cost.params, self.cost.model
        steps = list(model.decoder.steps(self.caches, decoder))
        t, tangents = along.reshape(len(self.out), -1), []
        for layer, cache, (theta,) in steps:
            tangents.append(t)
            t = t @ _matrix(layer, theta) if _is_affine(layer) else layer.slope(cache) * t
        if not hasattr(model.likelihood, "bend"):
            raise ValueError(
                f"likelihood must have a bend for an estimator that learns its temperature, got "
                f"{type(model.likelihood).__name__}. Give it one, or use 'disarm'."
            )
        d, bent = self._dout, model.likelihood.bend(likelihood, self.out, self.cache, t)
        for (layer, cache, (theta,)), t in zip(reversed(steps), reversed(tangents), strict=True):
            if _is_affine(layer):
                W = _matrix(layer, theta)
                d, bent = d @ W.T, bent @ W.T
            else:
                slope = layer.slope(cache)
                d, bent = slope * d, slope * bent + _curvature(layer, cache) * t * d
        return bent.reshape(self.shape)


def _is_affine(layer: Any) -> bool:
    return hasattr(layer, "matrix") or hasattr(layer, "masked")


def _matrix(layer: Any, params: Array) -> Array:
    return layer.matrix(params) if hasattr(layer, "matrix") else layer.masked(params)


def _curvature(layer: Any, cache: Any) -> Array:
    if not hasattr(layer, "curvature"):
        raise ValueError(
            f"decoder must hold Dense layers and activations with a curvature for an estimator that learns its "
            f"temperature, got {type(layer).__name__}. Give it a curvature, or use 'disarm'."
        )
    return layer.curvature(cache)
