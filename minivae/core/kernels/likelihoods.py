"""Likelihoods: log p(x|z) of each decoder row, and its derivative in the same pass."""

from typing import Any

import numpy as np

from minivae.core.kernels.compiled import LOG_2PI, jit, jit_reassociated
from minivae.core.kernels.exponential import exp

# --------------------------------------------------------------- likelihoods: log p(x|z) and its score


@jit_reassociated
def bernoulli(logits: Any, x: Any) -> Any:
    """log_prob = sum x l - max(l, 0) - log(1 + e), e = exp(-|l|): nothing overflows; and score = x - sigmoid(l).

    sigmoid(l) is 1 / (1 + e) for l > 0, else e / (1 + e). A sum of logs is the log of a product, taken every 64
    factors (each at most 2). A block of fixed length is unrolled, and twice as fast as one that ends where the row
    may; three loops over a row, which stays in the first cache, are twice as fast as one that does it all.
    """
    n_rows, n_x = logits.shape
    zero, one = logits.dtype.type(0), logits.dtype.type(1)
    outside = np.zeros_like(x[:, 0])
    for b in range(len(x)):
        for j in range(n_x):
            outside[b] += one if x[b, j] < zero or x[b, j] > one else zero
    log_prob, scores = np.empty(n_rows, logits.dtype), np.empty_like(logits)
    n_blocked = n_x - n_x % 64
    for r in range(n_rows):
        logit, target, e = logits[r], x[r % len(x)], scores[r]
        for j in range(n_x):
            e[j] = exp(-abs(logit[j]))
        total = zero
        for start in range(0, n_blocked, 64):
            product = one
            for j in range(64):
                product *= one + e[start + j]
            total -= np.log(product)
        product = one
        for j in range(n_blocked, n_x):
            product *= one + e[j]
        total -= np.log(product)
        for j in range(n_x):
            total += target[j] * logit[j] - max(logit[j], zero)
            e[j] = target[j] - (one if logit[j] > zero else e[j]) / (one + e[j])
        log_prob[r] = total if outside[r % len(x)] == zero else -np.inf
    return log_prob, scores


@jit
def weigh_rows(scores: Any, dlog_prob: Any) -> Any:
    """dout = score dlog_prob, a weight a row."""
    dout = np.empty_like(scores)
    for r in range(len(scores)):
        score, row, weight = scores[r], dout[r], dlog_prob[r]
        for j in range(len(score)):
            row[j] = score[j] * weight
    return dout


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
            precision = exp(-log_var)
            d = x[b, j] - out[r, j]
            total -= half * (d * d * precision + log_var + log_2pi)
            score[r, j] = d * precision
            score[r, n_x + j] = half * (d * d * precision - one)
        log_prob[r] = total
    return log_prob, score
