"""A step of a gated recurrent unit beside its products, there and back.

Rows of a and hU hold r, u and n side by side, (B, 3H); sigmoid(x) = tanh(x / 2) / 2 + 1/2.
"""

from typing import Any

import numpy as np

from minivae.core.kernels.compiled import jit
from minivae.core.kernels.exponential import tanh


@jit
def gru_step(a: Any, hU: Any, h: Any) -> Any:
    """(ru, n, h'): ru = sigmoid(a + hU) for r and u, (B, 2H), n = tanh(a + r hU), h' = n + u (h - n)."""
    n_batch, H = h.shape
    half, one = a.dtype.type(0.5), a.dtype.type(1)
    ru, n, after = np.empty((n_batch, 2 * H), a.dtype), np.empty_like(h), np.empty_like(h)
    for i in range(n_batch):
        for j in range(2 * H):
            ru[i, j] = half * (tanh(half * (a[i, j] + hU[i, j])) + one)
        for j in range(H):
            n[i, j] = tanh(a[i, 2 * H + j] + ru[i, j] * hU[i, 2 * H + j])
        for j in range(H):
            after[i, j] = n[i, j] + ru[i, H + j] * (h[i, j] - n[i, j])
    return ru, n, after


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
