"""Solutions to the exercises of "Images and sequences"."""

import numpy as np

__all__ = [
    "clip_by_norm",
    "conv_backward",
    "conv_size",
    "rnn_backward",
]


def conv_size(n, kernel, stride, padding):
    return (n + 2 * padding - kernel) // stride + 1


def conv_backward(x, w, dy, stride):
    dx, dw = np.zeros(len(x)), np.zeros(len(w))
    for i, slope in enumerate(dy):
        patch = slice(stride * i, stride * i + len(w))
        dx[patch] += slope * w  # patches overlap: add
        dw += slope * x[patch]  # w is shared: add
    return dx, dw, dy.sum()


def rnn_backward(x, h, U, dh):
    da = np.zeros(dh.shape)
    late = np.zeros(dh.shape[1])  # what step t + 1 sends back
    for t in reversed(range(len(x))):
        da[t] = (1 - h[t + 1] ** 2) * (dh[t] + late)
        late = da[t] @ U.T
    return x.T @ da, h[:-1].T @ da, da.sum(axis=0)


def clip_by_norm(grads, max_norm):
    norm = np.sqrt(grads @ grads)
    return grads if norm <= max_norm else grads * (max_norm / norm)
