"""Convolution of images: patches as columns of a matrix, and one product by BLAS for every 16 examples.

A row of x is an image (C, H, W), flat. ``g`` is the geometry (C, H, W, kernel height, kernel width, stride, padding) of
the image that is convolved, to h x w pixels; a transposed convolution has that of its output. Inside, examples are the
last axis, so that a patch is moved 16 numbers at a time, and the borders are there, so that no pixel is a special case.
The columns (C kh kw, h w n) stay in the processor's cache, and are made anew in the backward pass.
"""

from typing import Any

import numpy as np

from minivae.core.kernels.compiled import jit

_BLOCK = 16  # examples in one product


@jit
def _with_borders(rows: Any, image: Any, g: Any) -> None:
    """image[c, padding + y, padding + x, r] = rows[r, c y x]; the borders stay as they are."""
    n_channels, height, width, _, _, _, p = g
    for c in range(n_channels):
        for y in range(height):
            for x in range(width):
                k, target = (c * height + y) * width + x, image[c, p + y, p + x]
                for r in range(len(rows)):
                    target[r] = rows[r, k]


@jit
def _without_borders(image: Any, rows: Any, b: Any, g: Any) -> None:
    """rows[r, c y x] = image[c, padding + y, padding + x, r] + b[c]."""
    n_channels, height, width, _, _, _, p = g
    for r in range(len(rows)):
        row = rows[r]
        for c in range(n_channels):
            for y in range(height):
                at = (c * height + y) * width
                for x in range(width):
                    row[at + x] = image[c, p + y, p + x, r] + b[c]


@jit
def _columns(image: Any, cols: Any, g: Any) -> None:
    """cols[c i j, y x r] = image[c, stride y + i, stride x + j, r]."""
    n_channels, height, width, kh, kw, stride, p = g
    h, w, n = (height + 2 * p - kh) // stride + 1, (width + 2 * p - kw) // stride + 1, image.shape[3]
    for c in range(n_channels):
        for i in range(kh):
            for j in range(kw):
                row = cols[(c * kh + i) * kw + j]
                for y in range(h):
                    for x in range(w):
                        pixel, at = image[c, stride * y + i, stride * x + j], (y * w + x) * n
                        for r in range(n):
                            row[at + r] = pixel[r]


@jit
def _add_columns(cols: Any, image: Any, g: Any) -> None:
    """image[c, stride y + i, stride x + j, r] += cols[c i j, y x r]: the transpose of ``_columns``."""
    n_channels, height, width, kh, kw, stride, p = g
    h, w, n = (height + 2 * p - kh) // stride + 1, (width + 2 * p - kw) // stride + 1, image.shape[3]
    for c in range(n_channels):
        for i in range(kh):
            for j in range(kw):
                row = cols[(c * kh + i) * kw + j]
                for y in range(h):
                    for x in range(w):
                        pixel, at = image[c, stride * y + i, stride * x + j], (y * w + x) * n
                        for r in range(n):
                            pixel[r] += row[at + r]


@jit
def _turned(rows: Any, image: Any) -> None:
    """image[o, k r] = rows[r, o k]: the smaller image, examples last."""
    n_out, n = len(image), len(rows)
    n_pixels = rows.shape[1] // n_out
    for o in range(n_out):
        target = image[o]
        for k in range(n_pixels):
            for r in range(n):
                target[k * n + r] = rows[r, o * n_pixels + k]


@jit
def _turned_back(image: Any, rows: Any, b: Any) -> None:
    """rows[r, o k] = image[o, k r] + b[o]."""
    n_out, n = len(image), len(rows)
    n_pixels = rows.shape[1] // n_out
    for r in range(n):
        row = rows[r]
        for o in range(n_out):
            source = image[o]
            for k in range(n_pixels):
                row[o * n_pixels + k] = source[k * n + r] + b[o]


@jit
def conv(params: Any, x: Any, n_out: int, g: Any) -> Any:
    """y = W columns(x) + b, each example (n_out, h w); params holds W (n_out, C kh kw) row by row, then b (n_out,)."""
    n_channels, height, width, kh, kw, stride, p = g
    h, w = (height + 2 * p - kh) // stride + 1, (width + 2 * p - kw) // stride + 1
    size = n_channels * kh * kw
    W, b = params[: n_out * size].reshape(n_out, size), params[n_out * size :]
    y = np.empty((len(x), n_out * h * w), x.dtype)
    for start in range(0, len(x), _BLOCK):
        n = min(_BLOCK, len(x) - start)
        if start == 0 or n < _BLOCK:
            image = np.zeros((n_channels, height + 2 * p, width + 2 * p, n), x.dtype)
            cols, out = np.empty((size, h * w * n), x.dtype), np.empty((n_out, h * w * n), x.dtype)
        _with_borders(x[start : start + n], image, g)
        _columns(image, cols, g)
        np.dot(W, cols, out)
        _turned_back(out, y[start : start + n], b)
    return y


@jit
def conv_backward(params: Any, x: Any, dy: Any, grads: Any, g: Any, need_dx: bool) -> Any:
    """dW = sum dy columns(x)^T and db = sum dy into grads, unless grads is empty; dx gathers W^T dy, if needed."""
    n_channels, height, width, kh, kw, stride, p = g
    h, w = (height + 2 * p - kh) // stride + 1, (width + 2 * p - kw) // stride + 1
    size = n_channels * kh * kw
    n_out = dy.shape[1] // (h * w)
    W, zero = params[: n_out * size].reshape(n_out, size), np.zeros(n_channels, x.dtype)
    dx, part = np.empty((len(x) if need_dx else 0, x.shape[1]), x.dtype), np.empty((n_out, size), x.dtype)
    grads[:] = 0
    for start in range(0, len(x), _BLOCK):
        n = min(_BLOCK, len(x) - start)
        if start == 0 or n < _BLOCK:
            image = np.zeros((n_channels, height + 2 * p, width + 2 * p, n), x.dtype)
            dimage = np.empty_like(image)
            cols, dout = np.empty((size, h * w * n), x.dtype), np.empty((n_out, h * w * n), x.dtype)
        _turned(dy[start : start + n], dout)
        if len(grads) > 0:
            _with_borders(x[start : start + n], image, g)
            _columns(image, cols, g)
            np.dot(dout, cols.T, part)
            for o in range(n_out):
                for k in range(size):
                    grads[o * size + k] += part[o, k]
                grads[n_out * size + o] += np.sum(dout[o])
        if need_dx:
            np.dot(W.T, dout, cols)
            dimage[:] = 0
            _add_columns(cols, dimage, g)
            _without_borders(dimage, dx[start : start + n], zero, g)
    return dx


@jit
def conv_transpose(params: Any, x: Any, g: Any) -> Any:
    """y gathers W^T x, plus b in each channel: ``conv`` backwards; params holds W (n_in, C kh kw), then b (C,)."""
    n_channels, height, width, kh, kw, stride, p = g
    h, w = (height + 2 * p - kh) // stride + 1, (width + 2 * p - kw) // stride + 1
    size, n_in = n_channels * kh * kw, x.shape[1] // (h * w)
    W, b = params[: n_in * size].reshape(n_in, size), params[n_in * size :]
    y = np.empty((len(x), n_channels * height * width), x.dtype)
    for start in range(0, len(x), _BLOCK):
        n = min(_BLOCK, len(x) - start)
        if start == 0 or n < _BLOCK:
            image = np.empty((n_channels, height + 2 * p, width + 2 * p, n), x.dtype)
            cols, small = np.empty((size, h * w * n), x.dtype), np.empty((n_in, h * w * n), x.dtype)
        _turned(x[start : start + n], small)
        np.dot(W.T, small, cols)
        image[:] = 0
        _add_columns(cols, image, g)
        _without_borders(image, y[start : start + n], b, g)
    return y


@jit
def conv_transpose_backward(params: Any, x: Any, dy: Any, grads: Any, g: Any, need_dx: bool) -> Any:
    """dW = sum x columns(dy)^T and db = sum dy into grads, unless grads is empty; dx = W columns(dy), if needed."""
    n_channels, height, width, kh, kw, stride, p = g
    h, w = (height + 2 * p - kh) // stride + 1, (width + 2 * p - kw) // stride + 1
    size, n_in = n_channels * kh * kw, x.shape[1] // (h * w)
    W, zero = params[: n_in * size].reshape(n_in, size), np.zeros(n_in, x.dtype)
    dx, part = np.empty((len(x) if need_dx else 0, x.shape[1]), x.dtype), np.empty((n_in, size), x.dtype)
    grads[:] = 0
    for start in range(0, len(x), _BLOCK):
        n = min(_BLOCK, len(x) - start)
        if start == 0 or n < _BLOCK:
            image = np.zeros((n_channels, height + 2 * p, width + 2 * p, n), x.dtype)
            cols, small = np.empty((size, h * w * n), x.dtype), np.empty((n_in, h * w * n), x.dtype)
        _with_borders(dy[start : start + n], image, g)
        _columns(image, cols, g)
        if len(grads) > 0:
            _turned(x[start : start + n], small)
            np.dot(small, cols.T, part)
            for o in range(n_in):
                for k in range(size):
                    grads[o * size + k] += part[o, k]
            for c in range(n_channels):
                grads[n_in * size + c] += np.sum(image[c])  # the borders are zero
        if need_dx:
            np.dot(W, cols, small)
            _turned_back(small, dx[start : start + n], zero)
    return dx
