"""Dense layers and their activations: products by BLAS, and the loops around them."""

from typing import Any

import numpy as np

from minivae.core.kernels.compiled import jit
from minivae.core.kernels.exponential import tanh as _tanh

# ------------------------------------------------------------------------------------- dense layers


@jit
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


@jit
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


@jit
def tanh(x: Any) -> Any:
    """y = tanh(x)."""
    y = np.empty_like(x)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            y[i, j] = _tanh(x[i, j])
    return y


@jit
def tanh_backward(y: Any, dy: Any) -> Any:
    """dx = (1 - y^2) dy."""
    one = y.dtype.type(1)
    dx = np.empty_like(y)
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            dx[i, j] = (one - y[i, j] * y[i, j]) * dy[i, j]
    return dx


@jit
def relu(x: Any) -> Any:
    """y = max(x, 0), and NaN where x is NaN."""
    zero = x.dtype.type(0)
    y = np.empty_like(x)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            y[i, j] = zero if x[i, j] <= zero else x[i, j]
    return y


@jit
def relu_backward(y: Any, dy: Any) -> Any:
    """dx = dy where y > 0, else y dy = 0 (and a NaN in y stays a NaN)."""
    zero = y.dtype.type(0)
    dx = np.empty_like(y)
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            dx[i, j] = dy[i, j] if y[i, j] > zero else y[i, j] * dy[i, j]
    return dx
