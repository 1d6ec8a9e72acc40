"""The one backward pass from the draws to the encoder's head, for every estimator."""

from collections.abc import Callable

import numpy as np

from minivae.core.arrays import Array
from minivae.distributions.protocols import Posterior, Prior
from minivae.estimators.second_pass import SecondPass
from minivae.estimators.weights import Draws, Weights


def head_gradient(
    counts: Weights,
    draws: Draws,
    boxes: tuple[Posterior, Prior],
    params: tuple[Array, Array],
    grads: tuple[Array, Array],
    z: Array,
    cache: object,
    dz: Array | None,
    seen: Callable[[], SecondPass] | None = None,
) -> Array:
    """Return dhead, shape (B, n_head), and overwrite the gradients of posterior and prior; a closed KL is not in it.

    With weights a (decoder), p (path), s (score), and beta the weight of a sampled KL,

        dhead = sum_k p_k (d log p(x|z_k) / dz + beta d [log p(z) - log q(z|x)] / dz) dz/dhead + s_k d log q / dhead

    where the part of log q is the total derivative, -beta p_k, less what that takes at fixed z: s_k + beta p_k.

    Parameters
    ----------
    counts : Weights
    draws : Draws
    boxes, params, grads : pair
        Of posterior and prior.
    z : array of shape (K, B, L)
    cache : object
        Of ``posterior.sample`` or ``posterior.states``.
    dz : array of shape (K, B, L), or None
        a_k d log p(x|z_k) / dz_k, as the decoder's backward gives it; None where no path is followed.
    seen : callable, optional
        Makes what an estimator with a gradient of its own looks at; its rows are counted as the decoder counts them.
    """
    (posterior, prior), (q, p), (dq, dp), beta = boxes, params, grads, draws.kl_weight
    dp[:] = 0
    if counts.own is not None:
        assert seen is not None
        return np.einsum("kb,kbh->bh", counts.decoder, counts.own(seen()))
    dprior = prior.backward(p, z, beta * counts.decoder, dp) if beta and (dz is not None or dp.size) else None
    if counts.path is None or dz is None:
        assert counts.score is not None
        return posterior.score(q, cache, counts.score, dq)
    dz = dz if dprior is None else dz + dprior
    if counts.path is not counts.decoder:
        ratio = np.divide(counts.path, counts.decoder, out=np.zeros_like(counts.path), where=counts.decoder != 0)
        dz = dz * ratio[:, :, None]
    dhead = posterior.backward(q, cache, dz, -beta * counts.path, dq)
    if counts.score is not None:
        own = np.empty_like(dq)
        dhead = dhead + posterior.score(q, cache, counts.score + beta * counts.path, own)
        dq += own
    return dhead
