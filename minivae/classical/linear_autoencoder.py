"""The linear autoencoder x -> W2 W1 x on centred data: it finds the span of the principal components, and no more."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from minivae.classical.subspaces import eigenpairs, with_signs
from minivae.core import checks, errors
from minivae.core.arrays import Array


@dataclass(frozen=True)
class LinearAutoencoder:
    """W1 (q, d) encodes and W2 (d, q) decodes, without biases; the data enter through their covariance S alone.

        loss = mean ||x - W2 W1 x||^2 + l2 (||W1||_F^2 + ||W2||_F^2)
             = tr[E S E^T] + l2 (...),   E = I - W2 W1
        dW2 = -2 E S W1^T + 2 l2 W2,   dW1 = -2 W2^T E S + 2 l2 W1

    Without l2 the minimum is the sum of the discarded eigenvalues and W2 = U_q C, W1 = C^-1 U_q^T with *any* invertible
    C: the span of the components, mixed [1]_. With l2, W1 = W2^T = O^T (I - l2 / Lambda)_+^{1/2} U_q^T with any
    orthogonal O: the left singular vectors of W2 are the components, its singular values sqrt(1 - l2 / lambda) [2]_.

    Parameters
    ----------
    n_x, n_latent : int
        d and q <= d.
    l2 : float
        In the units of the eigenvalues of S. For a loss that sums over n examples it is n times as large.

    Raises
    ------
    ValueError
        If a value is out of range.

    References
    ----------
    .. [1] P. Baldi, K. Hornik, "Neural networks and principal component analysis: learning from examples without
       local minima", 1989.
    .. [2] D. Kunin, J. Bloom, A. Goeva, C. Seed, "Loss landscapes of regularized linear autoencoders", 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from minivae.classical import descend
    >>> model, S = LinearAutoencoder(n_x=2, n_latent=1), np.diag([4.0, 1.0])
    >>> params = model.init(np.random.default_rng(0))
    >>> round(descend(model, params, S).loss, 12)  # the discarded eigenvalue
    1.0
    """

    n_x: int
    n_latent: int
    l2: float = 0.0

    def __post_init__(self) -> None:
        checks.width(self.n_x, "n_x")
        if checks.width(self.n_latent, "n_latent") > self.n_x:
            raise ValueError(f"n_latent must be at most n_x = {self.n_x}, got {self.n_latent}. Lower it.")
        checks.number(self.l2, "l2", low=0, closed=True)
        checks.size(self.n_params, "n_x and n_latent", (self.n_x, self.n_latent))

    @property
    def n_params(self) -> int:
        """Two matrices of q d weights."""
        return 2 * self.n_x * self.n_latent

    @property
    def limit(self) -> float:
        """Largest initial weight, sqrt(6 / (d + q))."""
        return math.sqrt(6 / (self.n_x + self.n_latent))

    def unpack(self, params: Array) -> tuple[Array, Array]:
        """Return W1 (q, d) and W2 (d, q) as views of a flat vector of parameters or gradients."""
        checks.parameters(params, self.n_params)
        half = self.n_x * self.n_latent
        return params[:half].reshape(self.n_latent, self.n_x), params[half:].reshape(self.n_x, self.n_latent)

    def init(self, rng: np.random.Generator) -> Array:
        """Draw weights uniform in +-limit, in float64; zero would be a saddle, with no way to leave it."""
        return checks.generator(rng).uniform(-self.limit, self.limit, self.n_params)

    def loss(self, params: Array, S: Array) -> float:
        """Return the loss for data of covariance S, shape (d, d)."""
        checks.flat(params, self.n_params)
        S = checks.square(S, self.n_x)
        W1, W2 = self.unpack(params)
        E = np.eye(self.n_x) - W2 @ W1
        return float(np.vdot(E @ S, E) + self.l2 * params @ params)

    def loss_and_grad(self, params: Array, S: Array, grads: Array) -> float:
        """Return the loss, and overwrite ``grads`` with its gradient."""
        checks.gradient(params, grads, self.n_params)
        S = checks.square(S, self.n_x)
        W1, W2 = self.unpack(params)
        dW1, dW2 = self.unpack(grads)
        # multiplied out, so that nothing larger than (q, d) is made
        W1S, gram = W1 @ S, W2.T @ W2
        codes = W1S @ W1.T  # the covariance of the codes
        dW2[:] = -2 * (W1S.T - W2 @ codes - self.l2 * W2)
        dW1[:] = -2 * (W2.T @ S - gram @ W1S - self.l2 * W1)
        return float(np.trace(S) - 2 * np.vdot(W1S, W2.T) + np.vdot(gram, codes) + self.l2 * params @ params)

    def optimum(self, eigenvalues: Any) -> tuple[float, Array]:
        """Return the lowest loss, and the squared singular values of W2 there (all 1 where they are free).

            l2 = 0:  sum of the discarded eigenvalues
            l2 > 0:  sum_kept (2 l2 - l2^2 / lambda) + sum_rest lambda,   sv^2 = (1 - l2 / lambda)_+

        Examples
        --------
        >>> LinearAutoencoder(4, 2, l2=0.3).optimum([4.0, 2.0, 1.0, 0.5])
        (2.6325, array([0.925, 0.85 ]))
        """
        values = np.sort(checks.real(eigenvalues, "eigenvalues", (self.n_x,)))[::-1]
        kept = values[: self.n_latent]
        kept = kept[kept > self.l2]
        loss = float(np.sum(2 * self.l2 - self.l2**2 / kept) + values[len(kept) :].sum())
        squares = np.zeros(self.n_latent)
        squares[: len(kept)] = 1 - self.l2 / kept
        return loss, squares

    @errors.spoken("the reconstruction")
    def reconstruct(self, params: Array, centred: Array) -> Array:
        """Return W2 W1 x of centred rows, shape (B, d)."""
        checks.parameters_of(self, params)
        centred = checks.data(centred, self.n_x, name="centred")
        W1, W2 = self.unpack(params)
        return centred @ W1.T @ W2.T

    def decoder_directions(self, params: Array) -> Array:
        """Return the left singular vectors of W2 as rows, by falling singular value, shape (q, d).

        Only with l2 are these the principal components.
        """
        checks.parameters_of(self, params)
        _, W2 = self.unpack(params)
        return with_signs(np.linalg.svd(W2, full_matrices=False)[0].T)

    @errors.spoken("the components")
    def components(self, params: Array, S: Array) -> tuple[Array, Array]:
        """Return the eigenvalues (q,) and eigenvectors (q, d) of the covariance of the reconstructions.

            W2 W1 S (W2 W1)^T

        Once the subspace is right these are the principal components and their variances, however mixed the codes are.
        """
        checks.squarable(checks.parameters_of(self, params), "params", 4)
        S = checks.covariance(S, self.n_x)
        W1, W2 = self.unpack(params)
        basis, R = np.linalg.qr(W2)  # W2 = basis R
        inside = R @ W1 @ S @ W1.T @ R.T
        values, vectors = eigenpairs((inside + inside.T) / 2)
        return values, with_signs(vectors @ basis.T)
