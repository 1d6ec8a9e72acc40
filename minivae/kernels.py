"""Loops on plain arrays, compiled by Numba: reparameterization, KL, likelihoods, optimiser steps, and gradients.

Every kernel knows arrays only: noise comes in as an argument, nothing is checked or printed, and the
result has the dtype of the input (float32 or float64). Shapes: B examples, K draws, L latents,
D data dimensions, R = K * B decoder rows. Row r of the decoder belongs to example r % B.

``head`` is the output of the encoder of a diagonal Gaussian, shape (B, 2 L): the means, then the
log-variances. ``tests/reference.py`` holds one NumPy line for each kernel.
"""

from typing import Any

import numpy as np
from numba import njit

from minivae.tuning import kernel_cache

LOG_2PI = 1.8378770664093453


def _compiled(**options: Any) -> Any:
    """Return a decorator that compiles, and keeps the result on disk where some place can be written to."""

    def decorate(function: Any) -> Any:
        try:
            with kernel_cache():
                return njit(cache=True, **options)(function)
        except RuntimeError:  # no place for a cache: a read-only installation without a home folder
            return njit(**options)(function)

    return decorate


# error_model="numpy": a division gives inf or NaN as in NumPy, without a check in every iteration,
# so the loops vectorise and a non-finite value still reaches the guard of the training loop.
_jit = _compiled(error_model="numpy", nogil=True)
# Sums and products may be taken in any order, so that they vectorise too; NaN and infinities keep their meaning.
_jit_reassociated = _compiled(error_model="numpy", nogil=True, fastmath={"reassoc", "contract", "nsz"})


# ------------------------------------------------------------------------------------- dense layers


@_jit
def dense(params: Any, x: Any, n_out: int) -> Any:
    """y = x W + b, where params holds W (n_in, n_out) row by row, then b."""
    n_in = x.shape[1]
    W, b = params[: n_in * n_out].reshape(n_in, n_out), params[n_in * n_out :]
    y = np.dot(x, W)
    for i in range(len(y)):
        row = y[i]
        for j in range(n_out):
            row[j] += b[j]
    return y


@_jit
def dense_backward(params: Any, x: Any, dy: Any, grads: Any, need_dx: bool) -> Any:
    """dW = x^T dy and db = sum dy into grads, unless grads is empty; dx = dy W^T, without rows if not needed."""
    n_in, n_out = x.shape[1], dy.shape[1]
    if len(grads) > 0:
        dW, db = grads[: n_in * n_out].reshape(n_in, n_out), grads[n_in * n_out :]
        np.dot(x.T, dy, dW)
        db[:] = 0
        for i in range(len(dy)):
            row = dy[i]
            for j in range(n_out):
                db[j] += row[j]
    if not need_dx:
        return np.empty((0, n_in), x.dtype)
    return np.dot(dy, params[: n_in * n_out].reshape(n_in, n_out).T)


@_jit
def tanh_backward(y: Any, dy: Any) -> Any:
    """dx = (1 - y^2) dy."""
    one = y.dtype.type(1)
    dx = np.empty_like(y)
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            dx[i, j] = (one - y[i, j] * y[i, j]) * dy[i, j]
    return dx


@_jit
def relu(x: Any) -> Any:
    """Y = max(x, 0), and NaN where x is NaN."""
    zero = x.dtype.type(0)
    y = np.empty_like(x)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            y[i, j] = zero if x[i, j] <= zero else x[i, j]
    return y


@_jit
def relu_backward(y: Any, dy: Any) -> Any:
    """dx = dy where y > 0, else y dy = 0 (and a NaN in y stays a NaN)."""
    zero = y.dtype.type(0)
    dx = np.empty_like(y)
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            dx[i, j] = dy[i, j] if y[i, j] > zero else y[i, j] * dy[i, j]
    return dx


# --------------------------------------------------------------------------- diagonal Gaussian q(z|x)


@_jit
def reparameterize(head: Any, eps: Any) -> Any:
    """Z = mu + sigma eps and log q(z|x) = -sum (eps^2 + log_var + log 2 pi) / 2, sigma = exp(log_var / 2)."""
    n_draws, n_batch, n_latent = eps.shape
    half = head.dtype.type(0.5)
    log_2pi = head.dtype.type(LOG_2PI)
    z = np.empty_like(eps)
    log_q = np.zeros((n_draws, n_batch), head.dtype)
    for b in range(n_batch):
        for j in range(n_latent):
            mu, log_var = head[b, j], head[b, n_latent + j]
            sigma = np.exp(half * log_var)
            for k in range(n_draws):
                e = eps[k, b, j]
                z[k, b, j] = mu + sigma * e
                log_q[k, b] -= half * (e * e + log_var + log_2pi)
    return z, log_q


@_jit
def reparameterize_backward(head: Any, eps: Any, dz: Any, dlog_q: Any) -> Any:
    """Dmu = sum_k dz; dlog_var = sum_k (sigma eps dz - dlog_q) / 2: the path through z and log q."""
    n_draws, n_batch, n_latent = eps.shape
    half = head.dtype.type(0.5)
    dhead = np.zeros_like(head)
    for b in range(n_batch):
        for j in range(n_latent):
            sigma = np.exp(half * head[b, n_latent + j])
            for k in range(n_draws):
                dhead[b, j] += dz[k, b, j]
                dhead[b, n_latent + j] += half * (sigma * eps[k, b, j] * dz[k, b, j] - dlog_q[k, b])
    return dhead


@_jit
def diagonal_kl(head: Any) -> Any:
    """KL(N(mu, diag sigma^2) || N(0, I)) = sum (mu^2 + expm1(log_var) - log_var) / 2."""
    n_batch, n_latent = head.shape[0], head.shape[1] // 2
    half = head.dtype.type(0.5)
    kl = np.zeros(n_batch, head.dtype)
    for b in range(n_batch):
        for j in range(n_latent):
            mu, log_var = head[b, j], head[b, n_latent + j]
            # expm1: near log_var = 0 the difference exp(log_var) - 1 - log_var would cancel
            kl[b] += half * (mu * mu + (np.expm1(log_var) - log_var))
    return kl


@_jit
def diagonal_kl_backward(head: Any, dkl: Any) -> Any:
    """Dmu = mu dkl; dlog_var = expm1(log_var) dkl / 2."""
    n_batch, n_latent = head.shape[0], head.shape[1] // 2
    half = head.dtype.type(0.5)
    dhead = np.empty_like(head)
    for b in range(n_batch):
        for j in range(n_latent):
            dhead[b, j] = head[b, j] * dkl[b]
            dhead[b, n_latent + j] = half * np.expm1(head[b, n_latent + j]) * dkl[b]
    return dhead


@_jit
def diagonal_log_prob(head: Any, z: Any) -> Any:
    """Log N(z; mu, diag sigma^2) = -sum (u^2 + log_var + log 2 pi) / 2, u = (z - mu) / sigma."""
    n_draws, n_batch, n_latent = z.shape
    half = head.dtype.type(0.5)
    log_2pi = head.dtype.type(LOG_2PI)
    log_prob = np.zeros((n_draws, n_batch), head.dtype)
    for b in range(n_batch):
        for j in range(n_latent):
            mu, log_var = head[b, j], head[b, n_latent + j]
            inverse_sigma = np.exp(-half * log_var)
            for k in range(n_draws):
                u = (z[k, b, j] - mu) * inverse_sigma
                log_prob[k, b] -= half * (u * u + log_var + log_2pi)
    return log_prob


@_jit
def diagonal_log_prob_backward(head: Any, z: Any, dlog_prob: Any) -> Any:
    """At fixed z: dmu = (z - mu) / sigma^2, dlog_var = (u^2 - 1) / 2; and dz = -dmu; times dlog_prob."""
    n_draws, n_batch, n_latent = z.shape
    half = head.dtype.type(0.5)
    one = head.dtype.type(1)
    dhead = np.zeros_like(head)
    dz = np.empty_like(z)
    for b in range(n_batch):
        for j in range(n_latent):
            mu = head[b, j]
            inverse_sigma = np.exp(-half * head[b, n_latent + j])
            for k in range(n_draws):
                u = (z[k, b, j] - mu) * inverse_sigma
                dmu = u * inverse_sigma * dlog_prob[k, b]
                dz[k, b, j] = -dmu
                dhead[b, j] += dmu
                dhead[b, n_latent + j] += half * (u * u - one) * dlog_prob[k, b]
    return dhead, dz


# --------------------------------------------------------------- likelihoods: log p(x|z) and its score


def exp_minus_abs(logits: Any) -> Any:
    """e = exp(-|l|). NumPy's exp works on many numbers at once, Numba's on one."""
    e = np.abs(logits)
    np.negative(e, out=e)
    return np.exp(e, out=e)


@_jit_reassociated
def bernoulli_log_prob(logits: Any, x: Any, e: Any) -> Any:
    """log_prob = sum x l - max(l, 0) - log(1 + e), e = exp(-|l|): nothing overflows for any l.

    A sum of logs is the log of a product, taken every 64 factors (each at most 2). A block of fixed length is
    unrolled, and twice as fast as one that ends where the row may.
    """
    n_rows, n_x = logits.shape
    zero, one = logits.dtype.type(0), logits.dtype.type(1)
    outside = np.zeros_like(x[:, 0])
    for b in range(len(x)):
        for j in range(n_x):
            outside[b] += one if x[b, j] < zero or x[b, j] > one else zero
    log_prob = np.empty(n_rows, logits.dtype)
    n_blocked = n_x - n_x % 64
    for r in range(n_rows):
        logit, target, s = logits[r], x[r % len(x)], e[r]
        total = zero
        for j in range(n_x):
            total += target[j] * logit[j] - max(logit[j], zero)
        for start in range(0, n_blocked, 64):
            product = one
            for j in range(64):
                product *= one + s[start + j]
            total -= np.log(product)
        product = one
        for j in range(n_blocked, n_x):
            product *= one + s[j]
        total -= np.log(product)
        log_prob[r] = total if outside[r % len(x)] == zero else -np.inf
    return log_prob


@_jit
def bernoulli_backward(logits: Any, x: Any, e: Any, dlog_prob: Any) -> Any:
    """dl = (x - sigmoid(l)) dlog_prob; with e = exp(-|l|) sigmoid(l) is 1 / (1 + e) for l > 0, else e / (1 + e)."""
    one, zero = logits.dtype.type(1), logits.dtype.type(0)
    dlogits = np.empty_like(logits)
    for r in range(len(logits)):
        logit, target, s, d = logits[r], x[r % len(x)], e[r], dlogits[r]
        for j in range(len(s)):
            d[j] = (target[j] - (one if logit[j] > zero else s[j]) / (one + s[j])) * dlog_prob[r]
    return dlogits


@_jit
def gaussian_shared(mean: Any, log_var: Any, x: Any) -> Any:
    """log_prob = -sum ((x - m)^2 / v + log v + log 2 pi) / 2 with one v = exp(log_var[0]); score = (x - m) / v."""
    n_rows, n_x = mean.shape
    n_batch = x.shape[0]
    half = mean.dtype.type(0.5)
    constant = n_x * (log_var[0] + mean.dtype.type(LOG_2PI))
    precision = np.exp(-log_var[0])
    log_prob = np.empty(n_rows, mean.dtype)
    score = np.empty_like(mean)
    for r in range(n_rows):
        b = r % n_batch
        squares = mean.dtype.type(0)
        for j in range(n_x):
            d = x[b, j] - mean[r, j]
            squares += d * d
            score[r, j] = d * precision
        log_prob[r] = -half * (squares * precision + constant)
    return log_prob, score


@_jit
def gaussian_per_pixel(out: Any, x: Any) -> Any:
    """As gaussian_shared with out = (means, log-variances): score = ((x - m) / v, ((x - m)^2 / v - 1) / 2)."""
    n_rows, n_x = out.shape[0], out.shape[1] // 2
    n_batch = x.shape[0]
    half, one = out.dtype.type(0.5), out.dtype.type(1)
    log_2pi = out.dtype.type(LOG_2PI)
    log_prob = np.empty(n_rows, out.dtype)
    score = np.empty_like(out)
    for r in range(n_rows):
        b = r % n_batch
        total = out.dtype.type(0)
        for j in range(n_x):
            log_var = out[r, n_x + j]
            precision = np.exp(-log_var)
            d = x[b, j] - out[r, j]
            total -= half * (d * d * precision + log_var + log_2pi)
            score[r, j] = d * precision
            score[r, n_x + j] = half * (d * d * precision - one)
        log_prob[r] = total
    return log_prob, score


# ------------------------------------------------------------------------- gradients of E[f(z)], by draw


@_jit
def pathwise_rows(df: Any, eps: Any) -> Any:
    """(d/dmu, d/dsigma) f(mu + sigma eps) = (df, df eps), shape (K, 2, D)."""
    n_draws, n_latent = eps.shape
    rows = np.empty((n_draws, 2, n_latent), eps.dtype)
    for k in range(n_draws):
        for j in range(n_latent):
            rows[k, 0, j] = df[k, j]
            rows[k, 1, j] = df[k, j] * eps[k, j]
    return rows


@_jit
def score_rows(f: Any, baseline: Any, eps: Any, sigma: Any) -> Any:
    """(f - c) (eps, eps^2 - 1) / sigma, shape (K, 2, D), with a baseline c of shape (2, D)."""
    n_draws, n_latent = eps.shape
    one = eps.dtype.type(1)
    rows = np.empty((n_draws, 2, n_latent), eps.dtype)
    for k in range(n_draws):
        for j in range(n_latent):
            e, inverse = eps[k, j], one / sigma[j]
            rows[k, 0, j] = (f[k] - baseline[0, j]) * e * inverse
            rows[k, 1, j] = (f[k] - baseline[1, j]) * (e * e - one) * inverse
    return rows


@_jit
def earlier_average(f: Any, decay: float) -> Any:
    """c_k = sum_(i<k) decay^(k-1-i) f_i / sum_(i<k) decay^(k-1-i), and c_0 = 0."""
    total = weight = f.dtype.type(0)
    d, one = f.dtype.type(decay), f.dtype.type(1)
    average = np.zeros_like(f)
    for k in range(1, len(f)):
        total = d * total + f[k - 1]
        weight = d * weight + one
        average[k] = total / weight
    return average


# ------------------------------------------------------------------------------------------ optimisers


@_jit
def adam(params: Any, grads: Any, m: Any, v: Any, hyper: Any) -> None:
    """m, v: decaying means of g and g^2; params -= step m / (sqrt(v) + eps). hyper = (beta1, beta2, step, eps)."""
    beta1, beta2, step, eps = hyper[0], hyper[1], hyper[2], hyper[3]
    one = params.dtype.type(1)
    for i in range(params.size):
        g = grads[i]
        mean = beta1 * m[i] + (one - beta1) * g  # a local: reading m[i] back can cost three times the loop
        square = beta2 * v[i] + (one - beta2) * g * g
        m[i], v[i] = mean, square
        params[i] -= step * mean / (np.sqrt(square) + eps)


@_jit
def rmsprop(params: Any, grads: Any, mean: Any, square: Any, hyper: Any) -> None:
    """Params -= lr g / (sqrt(E g^2 - (E g)^2) + eps); hyper = (decay, lr, eps, 1 if centred else 0)."""
    decay, lr, eps, centred = hyper[0], hyper[1], hyper[2], hyper[3]
    zero, one = params.dtype.type(0), params.dtype.type(1)
    for i in range(params.size):
        g = grads[i]
        g1 = decay * mean[i] + (one - decay) * g  # locals, as in adam
        g2 = decay * square[i] + (one - decay) * g * g
        mean[i], square[i] = g1, g2
        variance = g2 - centred * g1 * g1
        if variance < zero:  # rounding; a NaN stays a NaN
            variance = zero
        params[i] -= lr * g / (np.sqrt(variance) + eps)
