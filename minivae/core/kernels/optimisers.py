"""Steps of the optimisers: one pass over parameters, gradient and moments."""

from typing import Any

import numpy as np

from minivae.core.kernels.compiled import jit

# ------------------------------------------------------------------------------------------ optimisers


@jit
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


@jit
def rmsprop(params: Any, grads: Any, mean: Any, square: Any, hyper: Any) -> None:
    """params -= lr g / (sqrt(E g^2 - (E g)^2) + eps); hyper = (decay, lr, eps, 1 if centred else 0)."""
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
