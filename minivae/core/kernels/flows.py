"""Flows: the gate of an autoregressive step, and planar steps; draw, log-determinant, and their gradients.

Shapes: R = K B rows, T steps. A planar step is given by w, u (B, T, L), b and c (B, T), where c = 1 + w^T u > 0.
"""

from typing import Any

import numpy as np

from minivae.core.kernels.compiled import jit, jit_reassociated
from minivae.core.kernels.exponential import exp

# --------------------------------------------------------------------------------- autoregressive, z' = s z + ... m


@jit_reassociated
def gate(z: Any, out: Any, blend: bool) -> Any:
    """z' = s z + (1 - s) m, or s z + m, and log det = sum log s. out holds m, then the logits of s.

    With e = exp(-|l|), s is 1 / (1 + e) for l >= 0, else e / (1 + e), and log s = min(l, 0) - log(1 + e). A sum of
    logs is the log of a product, taken every 64 factors (each at most 2).
    """
    n_rows, n = z.shape
    zero, one = z.dtype.type(0), z.dtype.type(1)
    y, log_det = np.empty_like(z), np.empty(n_rows, z.dtype)
    for r in range(n_rows):
        m, logit, before, after = out[r, :n], out[r, n:], z[r], y[r]
        e = after
        for j in range(n):
            e[j] = exp(-abs(logit[j]))
        total = zero
        for start in range(0, n, 64):
            product = one
            for j in range(start, min(n, start + 64)):
                product *= one + e[j]
            total -= np.log(product)
        for j in range(n):
            total += min(logit[j], zero)
            s = (one if logit[j] >= zero else e[j]) / (one + e[j])
            # 1 - s from the other tail: no digits are lost where s is near 1
            rest = (e[j] if logit[j] >= zero else one) / (one + e[j]) if blend else one
            after[j] = s * before[j] + rest * m[j]
        log_det[r] = total
    return y, log_det


@jit
def gate_backward(z: Any, out: Any, blend: bool, dy: Any, dlog_det: Any) -> Any:
    """dz through z alone: s dy. dm = (1 - s) dy, or dy; dlogit = s (1 - s) (z - m) dy + (1 - s) dlog_det."""
    n_rows, n = z.shape
    zero, one = z.dtype.type(0), z.dtype.type(1)
    dz, dout = np.empty_like(z), np.empty_like(out)
    for r in range(n_rows):
        m, logit, before, dafter, weight = out[r, :n], out[r, n:], z[r], dy[r], dlog_det[r]
        dm, dlogit, dbefore = dout[r, :n], dout[r, n:], dz[r]
        e = dbefore
        for j in range(n):
            e[j] = exp(-abs(logit[j]))
        for j in range(n):
            s = (one if logit[j] >= zero else e[j]) / (one + e[j])
            rest = (e[j] if logit[j] >= zero else one) / (one + e[j])
            d = dafter[j]
            moved = before[j] - m[j] if blend else before[j]
            dm[j] = rest * d if blend else d
            dlogit[j] = rest * (s * moved * d + weight)
            dbefore[j] = s * d
    return dz, dout


# ------------------------------------------------------------------------------------- planar, z' = z + u tanh(...)

KAPPA = 0.6321205588285577  # 1 - 1 / e, which is m'(0)
_Q = KAPPA * (1 - KAPPA)
# (m(a) / a)' = sum_n m^(n)(0) (n - 1) / n! a^(n - 2): n = 2 .. 6
_SERIES = (
    _Q / 2,
    _Q * (1 - 2 * KAPPA) / 3,
    _Q * (1 - 6 * KAPPA + 6 * KAPPA**2) / 8,
    _Q * (1 - 14 * KAPPA + 36 * KAPPA**2 - 24 * KAPPA**3) / 30,
    _Q * (1 - 30 * KAPPA + 150 * KAPPA**2 - 240 * KAPPA**3 + 120 * KAPPA**4) / 144,
)


@jit
def planar_bend(w: Any, v: Any) -> Any:
    """u = v m(a) / a and c = 1 + m(a), m(a) = log(1 + kappa (e^a - 1)), a = w^T v: c > 0, c = 1 + w^T u."""
    n_batch, n_steps, n = w.shape
    u, c = np.empty_like(v), np.empty((n_batch, n_steps), v.dtype)
    for i in range(n_batch):
        for t in range(n_steps):
            a = 0.0
            for j in range(n):
                a += w[i, t, j] * v[i, t, j]
            if a < 0:  # from the side on which nothing overflows, and nothing cancels
                m = np.log1p(KAPPA * np.expm1(a))
                c[i, t] = np.log1p(np.exp(a) * KAPPA / (1 - KAPPA))
            else:
                m = a + np.log1p((1 - KAPPA) * np.expm1(-a))
                c[i, t] = 1 + m
            ratio = KAPPA if a == 0 else m / a
            for j in range(n):
                u[i, t, j] = ratio * v[i, t, j]
    return u, c


@jit
def planar_bend_backward(w: Any, v: Any, du: Any, dc: Any) -> Any:
    """dw = v da and dv = m(a) / a du + w da, where da = (m(a) / a)' v^T du + m'(a) dc."""
    n_batch, n_steps, n = w.shape
    dw, dv = np.empty_like(w), np.empty_like(v)
    for i in range(n_batch):
        for t in range(n_steps):
            a, along = 0.0, 0.0
            for j in range(n):
                a += w[i, t, j] * v[i, t, j]
                along += v[i, t, j] * du[i, t, j]
            m = np.log1p(KAPPA * np.expm1(a)) if a < 0 else a + np.log1p((1 - KAPPA) * np.expm1(-a))
            ratio = KAPPA if a == 0 else m / a
            slope = KAPPA / (KAPPA + (1 - KAPPA) * np.exp(-a))  # m'(a)
            bend = (slope - ratio) / (a if a != 0 else 1.0)
            if abs(a) < 0.02:  # where that cancels
                bend = 0.0
                for coefficient in _SERIES[::-1]:
                    bend = bend * a + coefficient
            da = bend * along + slope * dc[i, t]
            for j in range(n):
                dw[i, t, j] = v[i, t, j] * da
                dv[i, t, j] = ratio * du[i, t, j] + w[i, t, j] * da
    return dw, dv


@jit
def planar(z: Any, w: Any, u: Any, b: Any, c: Any) -> Any:
    """z' = z + u h, h = tanh(w^T z + b), log det = log(h^2 + c (1 - h^2)): every z (T + 1, K, B, L), h, log det."""
    n_draws, n_batch, n = z.shape
    n_steps = w.shape[1]
    one = z.dtype.type(1)
    path = np.empty((n_steps + 1, n_draws, n_batch, n), z.dtype)
    path[0] = z
    h = np.empty((n_steps, n_draws, n_batch), z.dtype)
    log_det = np.zeros((n_draws, n_batch), z.dtype)
    for t in range(n_steps):
        for k in range(n_draws):
            for i in range(n_batch):
                a = b[i, t]
                for j in range(n):
                    a += w[i, t, j] * path[t, k, i, j]
                value = np.tanh(a)
                for j in range(n):
                    path[t + 1, k, i, j] = path[t, k, i, j] + u[i, t, j] * value
                h[t, k, i] = value
                square = value * value
                log_det[k, i] += np.log(square + c[i, t] * (one - square))
    return path, h, log_det


@jit
def planar_backward(path: Any, h: Any, w: Any, u: Any, c: Any, dz: Any, dlog_det: Any) -> Any:
    """dz of the first z, and dw, du, db, dc, each summed over the draws."""
    n_steps, n_draws, n_batch = h.shape
    n = w.shape[2]
    one, two = h.dtype.type(1), h.dtype.type(2)
    d = dz.copy()
    dw, du, db, dc = np.zeros_like(w), np.zeros_like(u), np.zeros_like(c), np.zeros_like(c)
    for t in range(n_steps - 1, -1, -1):
        for k in range(n_draws):
            for i in range(n_batch):
                value = h[t, k, i]
                square = value * value
                ddet = dlog_det[k, i] / (square + c[i, t] * (one - square))
                dh = two * value * (one - c[i, t]) * ddet
                for j in range(n):
                    dh += u[i, t, j] * d[k, i, j]
                    du[i, t, j] += value * d[k, i, j]
                da = dh * (one - square)
                dc[i, t] += ddet * (one - square)
                db[i, t] += da
                for j in range(n):
                    dw[i, t, j] += da * path[t, k, i, j]
                    d[k, i, j] += da * w[i, t, j]
    return d, dw, du, db, dc


@jit
def planar_slope(slope: Any, h: Any, w: Any, u: Any, c: Any) -> Any:
    """d log q / dz' from d log q / dz: J^-T (slope - d log det / dz) with J = I + (1 - h^2) u w^T, step by step."""
    n_steps, n_draws, n_batch = h.shape
    n = w.shape[2]
    one, two = h.dtype.type(1), h.dtype.type(2)
    g = slope.copy()
    for t in range(n_steps):
        for k in range(n_draws):
            for i in range(n_batch):
                value = h[t, k, i]
                square = value * value
                rest = one - square
                det = square + c[i, t] * rest
                bend = two * value * (one - c[i, t]) * rest / det
                along = g.dtype.type(0)
                for j in range(n):
                    g[k, i, j] -= bend * w[i, t, j]
                    along += u[i, t, j] * g[k, i, j]
                for j in range(n):
                    g[k, i, j] -= w[i, t, j] * rest * along / det
    return g


@jit
def planar_inverse(z: Any, w: Any, u: Any, b: Any, c: Any) -> Any:
    """z of the first step from that of the last, and log det; a + (c - 1) tanh(a) = w^T z' + b has one root a."""
    n_draws, n_batch, n = z.shape
    n_steps = w.shape[1]
    one, half = z.dtype.type(1), z.dtype.type(0.5)
    x, log_det = z.copy(), np.zeros((n_draws, n_batch), z.dtype)
    for t in range(n_steps - 1, -1, -1):
        for k in range(n_draws):
            for i in range(n_batch):
                y, slope = b[i, t], c[i, t] - one
                for j in range(n):
                    y += w[i, t, j] * x[k, i, j]
                low, high = y - abs(slope), y + abs(slope)  # tanh lies between -1 and 1
                a = y
                for _ in range(200):
                    value = np.tanh(a)
                    error = a + slope * value - y
                    if error == 0:
                        break
                    if error > 0:
                        high = a
                    else:
                        low = a
                    following = a - error / (value * value + c[i, t] * (one - value * value))
                    if not (low < following and following < high):  # Newton left the bracket: halve it
                        following = half * (low + high)
                    if following == a:
                        break
                    a = following
                value = np.tanh(a)
                for j in range(n):
                    x[k, i, j] -= u[i, t, j] * value
                square = value * value
                log_det[k, i] += np.log(square + c[i, t] * (one - square))
    return x, log_det
