"""A step of a gated recurrent unit between its products and its tanh, each a single pass over the batch.

Rows of a and hU hold r, u and n side by side, (B, 3H); NumPy's tanh, which works on many numbers at once, stands
between the kernels: sigmoid(x) = tanh(x / 2) / 2 + 1/2.
"""

from typing import Any

import numpy as np

from minivae.core.kernels.compiled import jit


@jit
def gru_gates(a: Any, hU: Any) -> Any:
    """Half of a + hU for r and u, (B, 2H), whose tanh ``gru_candidate`` takes."""
    n_batch, width = len(a), 2 * (a.shape[1] // 3)
    half = np.empty((n_batch, width), a.dtype)
    for i in range(n_batch):
        for j in range(width):
            half[i, j] = (a[i, j] + hU[i, j]) / 2
    return half


@jit
def gru_candidate(t: Any, a: Any, hU: Any) -> Any:
    """(ru, inner): ru = t / 2 + 1/2, (B, 2H), and a + r hU for n, (B, H), whose tanh is the candidate."""
    n_batch, H = len(a), a.shape[1] // 3
    ru, inner = np.empty((n_batch, 2 * H), a.dtype), np.empty((n_batch, H), a.dtype)
    for i in range(n_batch):
        for j in range(2 * H):
            ru[i, j] = (t[i, j] + 1) / 2
        for j in range(H):
            inner[i, j] = a[i, 2 * H + j] + ru[i, j] * hU[i, 2 * H + j]
    return ru, inner


@jit
def gru_state(ru: Any, n: Any, h: Any) -> Any:
    """h' = n + u (h - n)."""
    n_batch, H = n.shape
    after = np.empty((n_batch, H), n.dtype)
    for i in range(n_batch):
        for j in range(H):
            after[i, j] = n[i, j] + ru[i, H + j] * (h[i, j] - n[i, j])
    return after


@jit
def gru_backward(ru: Any, n: Any, hU: Any, h: Any, dh: Any) -> Any:
    """(da, d(hU), dh u), from dh after the step: all that is element by element."""
    n_batch, H = n.shape
    da, dhU = np.empty((n_batch, 3 * H), n.dtype), np.empty((n_batch, 3 * H), n.dtype)
    stays = np.empty((n_batch, H), n.dtype)
    for i in range(n_batch):
        for j in range(H):
            r, u = ru[i, j], ru[i, H + j]
            dn = dh[i, j] * (1 - u) * (1 - n[i, j] * n[i, j])
            da[i, 2 * H + j], dhU[i, 2 * H + j] = dn, dn * r
            da[i, j] = dhU[i, j] = dn * hU[i, 2 * H + j] * r * (1 - r)
            da[i, H + j] = dhU[i, H + j] = dh[i, j] * (h[i, j] - n[i, j]) * u * (1 - u)
            stays[i, j] = dh[i, j] * u
    return da, dhU, stays
