"""Priors that are mixtures of Gaussians: of components that are learnt, or of the model's own posteriors.

With r_c = p(component c | z) and s_c the variances of component c,

    log p(z) = log sum_c w_c N(z; m_c, diag s_c),
    d/dz = -sum_c r_c (z - m_c) / s_c,   d/dm_c = r_c (z - m_c) / s_c,   d/dlog s_c = r_c ((z - m_c)^2 / s_c - 1) / 2,
    d/dlogit_c = r_c - w_c   where w = softmax(logits).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from minivae.core import checks, errors, kernels
from minivae.core.arrays import Array, sigmoid
from minivae.core.registry import saved
from minivae.distributions.diagonal import DiagonalGaussian
from minivae.distributions.protocols import Posterior


def _of_components(z: Array, log_w: Array, means: Array, log_vars: Array) -> tuple[Array, Array]:
    """Return log p(z) and log r, shapes (K, B) and (C, K, B)."""
    each = np.empty((len(means), *z.shape[:2]), z.dtype)
    for c, (m, log_var) in enumerate(zip(means, log_vars, strict=True)):  # one at a time: memory of one component
        scaled = (z - m) * np.exp(-0.5 * log_var)
        each[c] = log_w[c] - 0.5 * (np.einsum("kbl,kbl->kb", scaled, scaled) + log_var.sum())
    each -= z.dtype.type(0.5 * z.shape[-1] * kernels.LOG_2PI)
    top = each.max(axis=0)
    shift = np.where(np.isfinite(top), top, z.dtype.type(0))  # far outside of float32 all components may be -inf
    with np.errstate(divide="ignore"):
        log_p = shift + np.log(np.exp(each - shift).sum(axis=0))
    with np.errstate(invalid="ignore"):
        return log_p, each - log_p


def _components_backward(
    z: Array, log_r: Array, means: Array, log_vars: Array, dlog_prob: Array
) -> tuple[Array, Array, Array, Array]:
    """Return dz, the sums of r_c dlog_prob, dmeans and dlog_vars."""
    dz = np.zeros_like(z)
    shares, dmeans, dlog_vars = np.empty(len(means), z.dtype), np.empty_like(means), np.empty_like(log_vars)
    for c, (m, log_var) in enumerate(zip(means, log_vars, strict=True)):
        weight = np.exp(log_r[c]) * dlog_prob
        apart = z - m
        pull = apart * np.exp(-log_var) * weight[:, :, None]  # r (z - m) / s
        dz -= pull
        shares[c] = weight.sum()
        dmeans[c] = pull.sum(axis=(0, 1))
        dlog_vars[c] = 0.5 * (np.einsum("kbl,kbl->l", pull, apart) - shares[c])
    return dz, shares, dmeans, dlog_vars


def _draw(w: Array, means: Array, log_vars: Array, n: int, rng: np.random.Generator) -> Array:
    """Draw n values of z: a component, then z in it."""
    edges = np.cumsum(w, dtype=np.float64)
    chosen = np.searchsorted(edges[:-1] / edges[-1], rng.random(n), side="right")
    return means[chosen] + np.exp(0.5 * log_vars[chosen]) * rng.standard_normal((n, means.shape[1]), dtype=means.dtype)


def _softmax(logits: Array) -> tuple[Array, Array]:
    """Return log w and w."""
    shifted = logits - logits.max()
    log_w = shifted - np.log(np.exp(shifted).sum())
    return log_w, np.exp(log_w)


@saved
@dataclass(frozen=True)
class MixtureOfGaussians:
    """p(z) = sum_c w_c N(z; m_c, diag(s_c)), its weights, means and variances learnt along with the model.

    The parameters are the logits of w, the means, and the log-variances, in this order. The means are first drawn from
    N(0, I / 2) and the variances are 1 / 2, so that the mixture is N(0, I) in mean and covariance, on average; a
    single component starts as N(0, I) itself. Its KL from a Gaussian has no formula and is sampled.

    Parameters
    ----------
    n_latent : int
        Dimension L of z.
    n_components : int
        C; 1 + 2 L parameters each.

    Examples
    --------
    >>> p = MixtureOfGaussians(1, 2)
    >>> params = np.array([0.0, 0.0, -3.0, 3.0, 0.0, 0.0])  # logits, means, log-variances
    >>> round(p.log_prob(params, np.full((1, 1, 1), 3.0)).item(), 6)  # log(1/2 N(0; 0, 1))
    -1.612086
    """

    n_latent: int
    n_components: int = 10

    def __post_init__(self) -> None:
        for name in ("n_latent", "n_components"):
            checks.width(getattr(self, name), name)
        checks.size(self.n_params, "n_components", self.n_components)

    @property
    def formula(self) -> str:
        """What z is drawn from."""
        return f"z ~ mixture of {self.n_components} Gaussians"

    @property
    def n_params(self) -> int:
        """C (1 + 2 L)."""
        return self.n_components * (1 + 2 * self.n_latent)

    def _split(self, params: Array) -> tuple[Array, Array, Array]:
        """Return the views of logits (C,), means (C, L) and log-variances (C, L)."""
        n, shape = self.n_components, (self.n_components, self.n_latent)
        means, log_vars = np.split(params[n:], 2)
        return params[:n], means.reshape(shape), log_vars.reshape(shape)

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> Array:
        """Return equal weights, means from N(0, I / 2) and variances 1 / 2; a single component is N(0, I)."""
        params = np.zeros(self.n_params, checks.float_dtype(dtype))
        _, means, log_vars = self._split(params)
        noise = checks.generator(rng).standard_normal(means.shape)
        if self.n_components > 1:
            means[:], log_vars[:] = math.sqrt(0.5) * noise, math.log(0.5)
        return params

    def named(self, params: Array) -> Iterator[tuple[str, Array]]:
        """Yield logits, means and log_vars."""
        checks.parameters(params, self.n_params)
        yield from zip(("logits", "means", "log_vars"), self._split(params), strict=True)

    def _checked(self, params: Array, z: Array) -> tuple[Array, tuple[Array, Array, Array]]:
        params = checks.ready(params, self.n_params)
        return checks.look(z, "z", (None, None, self.n_latent), params.dtype), self._split(params)

    @errors.spoken("log p(z)")
    def log_prob(self, params: Array, z: Array) -> Array:
        """Return log p(z), shape (K, B)."""
        z, (logits, means, log_vars) = self._checked(params, z)
        return _of_components(z, _softmax(logits)[0], means, log_vars)[0]

    @errors.spoken("the slope of log p(z)")
    def backward(self, params: Array, z: Array, dlog_prob: Array, grads: Array) -> Array:
        """Overwrite the gradients of logits, means and log-variances, and return dz."""
        z, (logits, means, log_vars) = self._checked(params, z)
        dlog_prob = checks.look(dlog_prob, "dlog_prob", z.shape[:2], z.dtype)
        checks.place(grads, self.n_params, z.dtype)
        log_w, w = _softmax(logits)
        _, log_r = _of_components(z, log_w, means, log_vars)
        dlogits, dmeans, dlog_vars = self._split(grads)
        dz, shares, dmeans[:], dlog_vars[:] = _components_backward(z, log_r, means, log_vars, dlog_prob)
        dlogits[:] = shares - w * dlog_prob.sum()
        return dz

    @errors.spoken("z")
    def sample(self, params: Array, n: int, rng: np.random.Generator) -> Array:
        """Draw n values of z, shape (n, L)."""
        checks.dtype_of(params)
        logits, means, log_vars = self._split(checks.ready(params, self.n_params))
        checks.size(checks.width(n, "n") * self.n_latent, "n", n)
        return _draw(_softmax(logits)[1], means, log_vars, n, checks.generator(rng))


@runtime_checkable
class AsksTheEncoder(Protocol):
    """What a prior has beside the protocol's methods where its density is made of heads that the encoder gives.

    The model runs the prior's pseudo-inputs through its encoder. ``log_prob``, ``backward`` and ``sample`` then take
    these heads, flat, in place of the prior's own parameters, and what ``backward`` writes goes back through the
    encoder: to the encoder's parameters, and by ``inputs_backward`` to the prior's own.
    """

    @property
    def heads_shape(self) -> tuple[int, int]:
        """The number of pseudo-inputs, and the width of a head."""

    def check_model(self, posterior: Posterior, n_x: int) -> None:
        """Refuse a posterior whose heads cannot be used, and data of another width."""

    def init_at(self, params: Array, x: Array, rng: np.random.Generator) -> None:
        """Move the initial parameters to where the training rows x are."""

    def inputs(self, params: Array) -> Array:
        """Return the pseudo-inputs, shape (C, n_x)."""

    def inputs_backward(self, params: Array, inputs: Array, dinputs: Array, grads: Array) -> None:
        """Overwrite the gradient of the prior's own parameters, given that of the pseudo-inputs."""


@saved
@dataclass(frozen=True)
class VampPrior:
    """p(z) = 1/C sum_c q(z|u_c): the mean of the model's own posteriors at C learnt pseudo-inputs u_c [1]_.

    It comes near the prior that fits a VAE best, the mean of q(z|x) over the data. The model runs the pseudo-inputs
    through its encoder; ``log_prob``, ``backward`` and ``sample`` take the heads that come out, flat, as ``params``,
    and the gradient for the heads goes back through the encoder to its parameters and to the pseudo-inputs.

    For data in [0, 1] the parameters are logits, u = sigmoid(theta): u stays in range with no clipping, so that its
    gradient nowhere stops. For other data u = theta. They start at training rows with a little noise, or at random
    where no rows are known.

    Parameters
    ----------
    n_latent : int
        Dimension L of z; each head holds 2 L values, mu and log_var.
    n_components : int
        C.
    n_x : int
        Width of the data.
    pixels : bool
        Whether data lie in [0, 1].

    References
    ----------
    .. [1] J. M. Tomczak, M. Welling, "VAE with a VampPrior", 2018.

    Examples
    --------
    >>> p = VampPrior(n_latent=1, n_components=2, n_x=3)
    >>> p.inputs(np.zeros(p.n_params))
    array([[0.5, 0.5, 0.5],
           [0.5, 0.5, 0.5]])
    >>> heads = np.array([-3.0, 0.0, 3.0, 0.0])  # of each pseudo-input mu and log_var
    >>> round(p.log_prob(heads, np.full((1, 1, 1), 3.0)).item(), 6)
    -1.612086
    """

    n_latent: int
    n_components: int = 10
    n_x: int = 1
    pixels: bool = True

    def __post_init__(self) -> None:
        for name in ("n_latent", "n_components", "n_x"):
            checks.width(getattr(self, name), name)
        checks.flag(self.pixels, "pixels")
        checks.size(self.n_components * max(self.n_x, 2 * self.n_latent), "n_components", self.n_components)

    @property
    def formula(self) -> str:
        """What z is drawn from."""
        return f"z ~ q(z|u) of {self.n_components} pseudo-inputs u"

    @property
    def n_params(self) -> int:
        """C n_x: the pseudo-inputs."""
        return self.n_components * self.n_x

    @property
    def heads_shape(self) -> tuple[int, int]:
        """(C, 2 L)."""
        return self.n_components, 2 * self.n_latent

    def check_model(self, posterior: Posterior, n_x: int) -> None:
        """Refuse a posterior that is not diagonal, and data of another width."""
        if type(posterior) is not DiagonalGaussian:
            raise ValueError(
                f"prior must be of another kind for {type(posterior).__name__}, got VampPrior, which is a mixture of "
                f"diagonal Gaussians q(z|u). Use posterior='diagonal', or prior='mixture'."
            )
        if checks.width(n_x, "n_x") != self.n_x:
            raise ValueError(
                f"prior must have pseudo-inputs of n_x={n_x} values as the data have, got {self.n_x}. Make them agree."
            )

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> Array:
        """Return random pseudo-inputs: theta ~ N(0, I)."""
        dtype = checks.float_dtype(dtype)
        return checks.generator(rng).standard_normal(self.n_params).astype(dtype)

    def init_at(self, params: Array, x: Array, rng: np.random.Generator) -> None:
        """Move theta to training rows, drawn without repetition where there are enough, with noise of 0.1.

        Pixels are first drawn in from 0 and 1 by a tenth, where a sigmoid still has a slope.
        """
        checks.place(params, self.n_params, checks.dtype_of(params), "params")
        x = checks.data(x, self.n_x).astype(np.float64)
        chosen = checks.generator(rng).choice(len(x), self.n_components, replace=len(x) < self.n_components)
        rows, noise = x[chosen], 0.1 * rng.standard_normal((self.n_components, self.n_x))
        if self.pixels:
            rows = 0.1 + 0.8 * np.clip(rows, 0, 1)
            rows = np.log(rows) - np.log1p(-rows)
        else:
            noise = noise * x.std(axis=0)
        params[:] = (rows + noise).ravel()

    def named(self, params: Array) -> Iterator[tuple[str, Array]]:
        """Yield the pseudo-inputs, as logits where data are pixels."""
        checks.parameters(params, self.n_params)
        yield "pseudo_inputs", params.reshape(self.n_components, self.n_x)

    def inputs(self, params: Array) -> Array:
        """Return u, shape (C, n_x): sigmoid(theta) of pixels, else theta."""
        checks.dtype_of(params)
        theta = checks.ready(params, self.n_params).reshape(self.n_components, self.n_x)
        return sigmoid(theta) if self.pixels else theta

    def inputs_backward(self, params: Array, inputs: Array, dinputs: Array, grads: Array) -> None:  # noqa: ARG002
        """Overwrite dtheta = u (1 - u) du of pixels, else du."""
        u = checks.look(inputs, "inputs", (self.n_components, self.n_x))
        du = checks.look(dinputs, "dinputs", u.shape, u.dtype)
        checks.place(grads, self.n_params, u.dtype)
        grads[:] = (u * (1 - u) * du if self.pixels else du).ravel()

    def _checked(self, params: Array) -> tuple[Array, Array]:
        """Return means and log-variances of the components, shape (C, L)."""
        checks.dtype_of(params)
        heads = checks.ready(params, math.prod(self.heads_shape)).reshape(self.heads_shape)
        return heads[:, : self.n_latent], heads[:, self.n_latent :]

    @errors.spoken("log p(z)")
    def log_prob(self, params: Array, z: Array) -> Array:
        """Return log p(z), shape (K, B), for the heads of the pseudo-inputs, shape (C 2 L,)."""
        means, log_vars = self._checked(params)
        z = checks.look(z, "z", (None, None, self.n_latent), params.dtype)
        return _of_components(z, self._log_w(z.dtype), means, log_vars)[0]

    def _log_w(self, dtype: Any) -> Array:
        return np.full(self.n_components, -math.log(self.n_components), dtype)

    @errors.spoken("the slope of log p(z)")
    def backward(self, params: Array, z: Array, dlog_prob: Array, grads: Array) -> Array:
        """Overwrite the gradient of the heads, shape (C 2 L,), and return dz."""
        means, log_vars = self._checked(params)
        z = checks.look(z, "z", (None, None, self.n_latent), params.dtype)
        dlog_prob = checks.look(dlog_prob, "dlog_prob", z.shape[:2], z.dtype)
        checks.place(grads, len(params), z.dtype)
        _, log_r = _of_components(z, self._log_w(z.dtype), means, log_vars)
        dheads = grads.reshape(self.heads_shape)
        L = self.n_latent
        dz, _, dheads[:, :L], dheads[:, L:] = _components_backward(z, log_r, means, log_vars, dlog_prob)
        return dz

    @errors.spoken("z")
    def sample(self, params: Array, n: int, rng: np.random.Generator) -> Array:
        """Draw n values of z, shape (n, L), given the heads: a pseudo-input each, then its posterior."""
        means, log_vars = self._checked(params)
        checks.size(checks.width(n, "n") * self.n_latent, "n", n)
        even = np.full(self.n_components, 1 / self.n_components)
        return _draw(even, means, log_vars, n, checks.generator(rng))
