"""The Jacobian of an encoder, and the penalty on its norm, whose gradient backpropagates through backpropagation."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from minivae.core import checks, errors
from minivae.core.arrays import Array
from minivae.core.registry import saved
from minivae.nn.sequential import Sequential


@saved
@dataclass(frozen=True)
class Contraction:
    """weight ||dz/dx||_F^2, its mean over the batch: of the whole encoder, exact at any depth.

    The Jacobian's rows are carried from the code to the data, R <- R W^T through a dense layer y = x W + b and
    R <- R f'(x) through an activation y = f(x). The gradient goes the same way back, and then once more from the code
    to the data, because each f'(x) depends on all layers before it, by f''(x).

    Notes
    -----
    The decoder is free to undo a smaller code, so that scaling the code by c and the decoder's first weights by 1 / c
    costs nothing and lessens the penalty by c^2. What it adds beside that shows in ||J||_F^2 over the variance of the
    codes, which no scale changes; [1]_ ties the decoder's weights to the encoder's instead.

    Parameters
    ----------
    weight : float

    Raises
    ------
    ValueError
        If the encoder has layers other than dense ones and activations.

    References
    ----------
    .. [1] S. Rifai, P. Vincent, X. Muller, X. Glorot, Y. Bengio, "Contractive auto-encoders: explicit invariance
       during feature extraction", 2011.

    Examples
    --------
    >>> import numpy as np
    >>> from minivae.nn import Dense, Sequential
    >>> net = Sequential([Dense(3, 2)])
    >>> params = np.array([1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0])  # W = [[1, 0], [0, 2], [0, 0]]
    >>> z, caches = net.forward(params, np.ones((4, 3)))
    >>> Contraction().forward(net, params, z, caches)[0].T
    array([[5., 5., 5., 5.]])
    """

    weight: float = 0.1
    last_layer = None

    def __post_init__(self) -> None:
        checks.number(self.weight, "weight", low=0, closed=True)

    def check(self, encoder: Sequential) -> None:
        """Refuse layers whose second derivative is not known."""
        checks.has(encoder, ("flat_layers",), "encoder", "a Sequential", "mlp([4, 8, 2])")
        for layer in encoder.flat_layers():
            if not hasattr(layer, "curvature") and not hasattr(layer, "matrix"):
                raise ValueError(
                    f"encoder must hold Dense layers and activations with a curvature for Contraction, got "
                    f"{type(layer).__name__}. Give it a curvature, or leave the penalty out."
                )

    def forward(self, encoder: Sequential, params: Array, z: Array, caches: list[Any]) -> tuple[Array, list[Array]]:
        """Return ||J||_F^2 of each example, shape (B, 1), and the rows before each layer, J first.

        Above the last activation the rows are those of all examples, of shape (1, L, n); below it (B, L, n).
        """
        rows = [np.eye(z.shape[1], dtype=z.dtype)[None]]  # dz/dz
        for layer, cache, (theta,) in reversed(list(encoder.steps(caches, params))):
            if hasattr(layer, "matrix"):
                rows.append(_times(rows[-1], layer.matrix(theta).T))
            else:
                rows.append(rows[-1] * layer.slope(cache)[:, None])
        rows.reverse()
        squares = np.einsum("bli,bli->b", rows[0], rows[0])
        return np.broadcast_to(squares[:, None], (len(z), 1)), rows

    def value(self, mean: Array) -> float:
        """Return weight times the mean."""
        mean = checks.look(mean, "mean", (None,))
        return float(self.weight * mean[0])

    def slope(self, mean: Array) -> Array:
        """Return the weight."""
        mean = checks.look(mean, "mean", (None,))
        return np.full_like(mean, self.weight)

    def backward(
        self, encoder: Sequential, params: Array, caches: list[Any], cache: list[Array], dstatistics: Array
    ) -> tuple[None, Array]:
        """Return the gradient for the encoder's parameters: drows from the data to the code, then dx the way back."""
        grads = np.zeros_like(params)
        steps = list(encoder.steps(caches, params, grads))
        drows: Array = 2 * dstatistics[:, :, None] * cache[0]  # (B, L, n_x)
        dxs: list[Array | None] = []
        for (layer, x, (theta, dtheta)), rows in zip(steps, cache[1:], strict=True):
            if hasattr(layer, "matrix"):
                W, dW = layer.matrix(theta), layer.matrix(dtheta)
                drows = drows if len(drows) == len(rows) else drows.sum(axis=0, keepdims=True)
                np.dot(drows.reshape(-1, layer.n_in).T, rows.reshape(-1, layer.n_out), out=dW)
                drows = _times(drows, W)
                dxs.append(None)
            else:
                dxs.append(layer.curvature(x) * np.einsum("bli,bli->bi", drows, rows))
                drows = drows * layer.slope(x)[:, None]
        d: Array = np.zeros((len(dstatistics), drows.shape[1]), drows.dtype)  # nothing comes through the code itself
        for (layer, x, (theta, dtheta)), dx in zip(reversed(steps), reversed(dxs), strict=True):
            own = np.empty_like(dtheta)
            d = cast(Array, layer.backward(theta, x, d, own))
            dtheta += own
            if dx is not None:
                d = d + dx
        return None, grads


@errors.spoken("dz/dx")
def jacobian(encoder: Sequential, params: Array, x: Array) -> Array:
    """Return dz/dx of each example, shape (B, L, n_x), of dense layers and activations.

    Parameters
    ----------
    encoder : Sequential
    params : array of shape (encoder.n_params,)
    x : array of shape (B, n_x)

    Examples
    --------
    >>> import numpy as np
    >>> from minivae.nn import Dense, Sequential
    >>> jacobian(Sequential([Dense(1, 1)]), np.array([3.0, 0.0]), np.ones((2, 1))).ravel()
    array([3., 3.])
    """
    contraction = Contraction()
    contraction.check(encoder)
    checks.parameters_of(encoder, params)
    x = checks.data(x, encoder.n_in, params.dtype)
    z, caches = encoder.forward(params, x)
    rows = contraction.forward(encoder, params, z, caches)[1][0]
    return np.broadcast_to(rows, (len(x), *rows.shape[1:]))


def _times(rows: Array, matrix: Array) -> Array:
    """Return rows (B, L, n) times a matrix (n, m) by one product."""
    return (rows.reshape(-1, len(matrix)) @ matrix).reshape(*rows.shape[:2], -1)
