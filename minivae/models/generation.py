"""New x from a trained model: near an example, between two of them, with an attribute added.

Samples of the prior are ``model.sample``. What is here starts from examples, so from their codes.
"""

from typing import Any, cast

import numpy as np

from minivae.core import checks, errors
from minivae.core.arrays import Array
from minivae.models.base import Model, Variational

_EPS = np.finfo(np.float64).eps


@errors.spoken("what lies near x")
def near(
    model: Variational,
    params: Array,
    x: Any,
    n_draws: int = 8,
    *,
    rng: np.random.Generator | None = None,
    eps: Any = None,
    mean: bool = True,
) -> Array:
    """Draw z from q(z|x) and decode it: images that the model takes for variants of x.

        z_k = z(eps_k) ~ q(z|x),   x_k = E[x|z_k], or a draw of p(x|z_k)

    With noise zero a Gaussian's z is its mean, and x_k the reconstruction.

    Parameters
    ----------
    model, params
        A model whose code is a distribution, and its flat parameters.
    x : array of shape (B, n_x)
    n_draws : int
        K, where the noise is drawn.
    rng : numpy.random.Generator, optional
        Needed unless both ``eps`` and ``mean`` are given.
    eps : array of shape (K, B, n_latent) or (K, 1, n_latent), optional
        The noise itself.
    mean : bool
        Return E[x|z]; else draw each x from p(x|z).

    Returns
    -------
    array of shape (K, B, n_x)

    Raises
    ------
    ValueError
        If the model's code is a point: it has no neighbours of its own.

    Examples
    --------
    >>> import numpy as np
    >>> from minivae import VAE
    >>> model, rng = VAE.mlp(n_x=4, n_latent=2), np.random.default_rng(0)
    >>> params, x = model.init(rng), np.ones((3, 4))
    >>> near(model, params, x, 5, rng=rng).shape
    (5, 3, 4)
    >>> bool(np.allclose(near(model, params, x, eps=np.zeros((1, 3, 2)))[0], model.reconstruct(params, x)))
    True
    """
    what = "a model whose code is a distribution"
    checks.has(model, ("draw", "posterior", "prior"), "model", what, "VAE.mlp(n_x=4, n_latent=2)")
    checks.parameters_of(model, params)
    x = checks.data(x, model.n_x, params.dtype)
    n_draws, mean = checks.width(n_draws, "n_draws"), checks.flag(mean, "mean")
    if eps is None or not mean:
        if rng is None:
            what = "the draws of x" if eps is not None else "the noise"
            give = "rng or eps" if eps is None else "rng"
            raise ValueError(f"{give} must be given for {what}, got None. Use rng=np.random.default_rng(0).")
        checks.generator(rng)
    elif rng is not None:
        raise ValueError("rng must be left out where eps and the mean are given, got one. There is nothing to draw.")
    _, posterior, _, decoder, likelihood = model.unpack(params)  # type: ignore[attr-defined]
    if eps is None:
        checks.size(n_draws * x.size, "n_draws", n_draws)
        eps = model.draw_noise(cast(Any, rng), n_draws, len(x), params.dtype)
    else:
        eps = checks.finite(checks.noise(eps, (len(x), model.posterior.n_latent), params.dtype), "eps")
        model.posterior.check_noise(eps)
    head, _ = model.encoder.forward(model.unpack(params)[0], x)  # type: ignore[attr-defined]
    z, _, _ = model.posterior.sample(posterior, head, eps)  # (K, B, L)
    out, _ = model.decoder.forward(decoder, z.reshape(-1, z.shape[2]))  # (K B, n_out)
    how = model.likelihood
    found = how.mean(likelihood, out) if mean else how.sample(likelihood, out, cast(Any, rng))
    return found.reshape(*z.shape[:2], -1)


def interpolate(a: Any, b: Any, n: int = 10, *, spherical: bool = False) -> Array:
    """Return n codes from a to b at equal steps t = 0, ..., 1, both ends included.

    Straight:   z_t = (1 - t) a + t b.
    Spherical:  z_t = r_t u_t; the direction u_t turns from a / ||a|| to b / ||b|| along the great circle at constant
    speed, and the length r_t = (1 - t) ||a|| + t ||b|| runs straight. Between ends of one length it is slerp.

    Which one? Draws of N(0, I_L) have ||z||^2 = L +- sqrt(2 L): for large L they lie in a thin shell of radius
    sqrt(L). The middle of the straight line between two of them has E ||z||^2 = L / 2, where no training code was and
    the decoder was never asked; the arc stays in the shell. In two dimensions there is no shell, and no reason to
    leave the line.

    Parameters
    ----------
    a, b : array of shape (L,), or (B, L) for B pairs
        Codes.
    n : int
        Number of codes, at least two.
    spherical : bool

    Returns
    -------
    array of shape (n, L) or (n, B, L), float64
        Opposite directions have no shortest arc: then the path bends towards the axis that is most nearly at right
        angles. Where one end is zero, which has no direction, the path is straight.

    Raises
    ------
    ValueError
        If a and b differ in shape, or opposite codes of one dimension are to be joined on a sphere.

    References
    ----------
    K. Shoemake, "Animating rotation with quaternion curves", 1985. T. White, "Sampling generative networks", 2016.

    Examples
    --------
    >>> interpolate([1.0, 0.0], [0.0, 1.0], 3)
    array([[1. , 0. ],
           [0.5, 0.5],
           [0. , 1. ]])
    >>> interpolate([1.0, 0.0], [0.0, 1.0], 3, spherical=True).round(4)
    array([[1.    , 0.    ],
           [0.7071, 0.7071],
           [0.    , 1.    ]])
    """
    a, b = checks.real(a, "a"), checks.real(b, "b")
    if a.shape != b.shape or a.ndim not in (1, 2) or not a.size:
        raise ValueError(
            f"a and b must have one shape, (L,) or (B, L), got {a.shape} and {b.shape}. Give codes of the same model."
        )
    if checks.width(n, "n") < 2:
        raise ValueError("n must be at least 2, got 1. Both ends are among the codes.")
    checks.size(n * a.size, "n", n)
    t = np.linspace(0, 1, n).reshape(-1, *[1] * a.ndim)  # (n, 1) or (n, 1, 1)
    straight = (1 - t) * a + t * b
    if not checks.flag(spherical, "spherical"):
        return straight
    length_a, length_b = (np.linalg.norm(end, axis=-1, keepdims=True) for end in (a, b))
    pointed = (length_a > 0) & (length_b > 0)
    u, v = _over(a, length_a), _over(b, length_b)
    cosine = np.sum(u * v, axis=-1, keepdims=True)
    across, sine = _across(u, v)  # the unit vector at right angles to u on the way to v
    opposite = pointed & (cosine < 0) & (sine < 4 * _EPS)
    if opposite.any():
        if a.shape[-1] == 1:
            raise ValueError(
                "a and b must have at least two dimensions where they point opposite ways, got one: a sphere of two "
                "points has no arc. Use spherical=False."
            )
        axis = np.zeros_like(u)
        np.put_along_axis(axis, np.abs(u).argmin(axis=-1, keepdims=True), 1.0, axis=-1)
        across = np.where(opposite, _across(u, axis)[0], across)
    angle = np.arctan2(sine, cosine)
    arc = ((1 - t) * length_a + t * length_b) * (np.cos(t * angle) * u + np.sin(t * angle) * across)
    path = np.where(pointed, arc, straight)
    path[0], path[-1] = a, b
    return path


def _over(vector: Array, length: Array) -> Array:
    """Return the vector over its length, zero where that is zero."""
    return np.divide(vector, length, out=np.zeros_like(vector), where=length > 0)


def _across(u: Array, v: Array) -> tuple[Array, Array]:
    """Return the part of v at right angles to the unit vector u, made a unit vector, and its length."""
    part = v - np.sum(u * v, axis=-1, keepdims=True) * u
    length = np.linalg.norm(part, axis=-1, keepdims=True)
    part = _over(part, length)
    part = part - np.sum(u * part, axis=-1, keepdims=True) * u  # once more: of a short part rounding is a large share
    return _over(part, np.linalg.norm(part, axis=-1, keepdims=True)), length


def attribute_direction(z: Any, has: Any) -> Array:
    """Return the direction of an attribute in latent space: the mean code with it less the mean code without.

        d = mean of z_i over i with the attribute - mean over those without

    Parameters
    ----------
    z : array of shape (N, L)
        Codes, ``model.embed(params, x)``.
    has : array of bool, shape (N,)
        Which examples have the attribute; some must, and some must not.

    Returns
    -------
    array of shape (L,), float64

    References
    ----------
    A. Larsen et al., "Autoencoding beyond pixels using a learned similarity metric", 2016, section 4.2.

    Examples
    --------
    >>> attribute_direction([[0.0, 1.0], [2.0, 1.0], [4.0, 2.0]], [False, False, True])
    array([3., 1.])
    """
    z = checks.real(z, "z", (None, None))
    has = checks.array(has, "has")
    if has.dtype != np.bool_ or has.shape != z.shape[:1]:
        raise ValueError(
            f"has must be an array of bool of shape ({len(z)},), one for each code of z, got "
            f"{checks.shown(has)}. Use labels == 1."
        )
    if has.all() or not has.any():
        raise ValueError(
            f"has must be True of some examples and False of others, got {'only' if has.all() else 'no'} True. "
            f"Give both groups."
        )
    return cast(Array, z[has].mean(axis=0) - z[~has].mean(axis=0))


@errors.spoken("the image with the attribute")
def with_attribute(model: Model, params: Array, x: Any, direction: Any, strength: float = 1.0) -> Array:
    """Return E[x|z] at z = code of x + strength * direction: x with an attribute added, or taken away by -1.

    Parameters
    ----------
    model, params
        A model with real codes, and its flat parameters.
    x : array of shape (B, n_x)
    direction : array of shape (n_latent,)
        As ``attribute_direction`` gives it.
    strength : float

    Returns
    -------
    array of shape (B, n_x)

    Raises
    ------
    ValueError
        If the codes are bits, to which nothing can be added.

    Examples
    --------
    >>> import numpy as np
    >>> from minivae import Autoencoder
    >>> model = Autoencoder.mlp(n_x=4, n_latent=2)
    >>> params, x = model.init(np.random.default_rng(0)), np.ones((3, 4))
    >>> bool(np.allclose(with_attribute(model, params, x, np.zeros(2)), model.reconstruct(params, x)))
    True
    """
    has_real_codes(model)
    checks.parameters_of(model, params)
    x = checks.data(x, model.n_x, params.dtype)
    z = model.embed(params, x)
    direction = checks.real(direction, "direction", (z.shape[1],))
    strength = checks.number(strength, "strength", low=-1e300)
    return model.decode(params, (z + strength * direction).astype(params.dtype))


def has_real_codes(model: Model) -> Model:
    """Return the model, or refuse one whose codes are bits, or that has none.

    >>> from minivae import VAE
    >>> has_real_codes(VAE.mlp(4, 2)).n_x
    4
    """
    checks.has(model, ("embed", "decode"), "model", "a model with codes", "VAE.mlp(n_x=4, n_latent=2)")
    if model.variational and not model.continuous:
        raise ValueError(
            f"model must have real codes to add a direction to, got "
            f"{type(getattr(model, 'posterior', model)).__name__}. Use a model whose z is real."
        )
    return model
