"""Likelihoods: log p(x|z) of each decoder row, and its derivative in the same pass."""

from typing import Any

import numpy as np

from minivae.core.kernels.compiled import LOG_2PI, jit, jit_reassociated

# --------------------------------------------------------------- likelihoods: log p(x|z) and its score


def exp_minus_abs(logits: Any) -> Any:
    """e = exp(-|l|). NumPy's exp works on many numbers at once, Numba's on one."""
    e = np.abs(logits)
    np.negative(e, out=e)
    return np.exp(e, out=e)


@jit_reassociated
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


@jit
def bernoulli_backward(logits: Any, x: Any, e: Any, dlog_prob: Any) -> Any:
    """dl = (x - sigmoid(l)) dlog_prob; with e = exp(-|l|) sigmoid(l) is 1 / (1 + e) for l > 0, else e / (1 + e)."""
    one, zero = logits.dtype.type(1), logits.dtype.type(0)
    dlogits = np.empty_like(logits)
    for r in range(len(logits)):
        logit, target, s, d = logits[r], x[r % len(x)], e[r], dlogits[r]
        for j in range(len(s)):
            d[j] = (target[j] - (one if logit[j] > zero else s[j]) / (one + s[j])) * dlog_prob[r]
    return dlogits


@jit
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


@jit
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
