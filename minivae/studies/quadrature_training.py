"""Training without noise: the loss under quadrature nodes is an ordinary function, and L-BFGS finds its minimum."""

from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.estimators.objectives import Elbo
from minivae.models.vae import VAE


def axis_nodes(n_latent: int) -> tuple[Array, Array]:
    """Return noise nodes (2 L, 1, L) and weights that integrate every quadratic function of eps exactly.

    They lie at +-sqrt(L) on each axis: the loss of a linear VAE needs no more.

    >>> eps, w = axis_nodes(2)
    >>> round(float(w @ np.sum(eps[:, 0] ** 2, axis=1)), 12), round(float(w @ (eps[:, 0, 0] * eps[:, 0, 1])), 12)
    (2.0, 0.0)
    """
    n = checks.width(n_latent, "n_latent")
    checks.size(2 * n * n, "n_latent", n_latent)
    nodes = np.sqrt(n) * np.concatenate([np.eye(n), -np.eye(n)])
    return nodes[:, None], np.full(2 * n, 0.5 / n)


def minimise(
    model: VAE, params: Array, x: Array, nodes: tuple[Array, Array], objective: Elbo | None = None, n_steps: int = 2000
) -> tuple[Array, float]:
    """Return the parameters at a minimum of the loss on all of x, from ``params`` on, and the loss there.

    Parameters
    ----------
    model : VAE
    params : float64 array of shape (n_params,)
        Where to start; stays as it is.
    x : array of shape (B, n_x)
    nodes : pair of arrays
        Noise (K, 1, L) and weights (K,), as ``gauss_hermite`` gives them.
    objective : Elbo, optional
    n_steps : int
        At most.

    Examples
    --------
    >>> from minivae import Gaussian
    >>> model, x = VAE.mlp(2, 1, [], likelihood=Gaussian()), np.array([[2.0, 0.0], [-2.0, 0.0]])
    >>> _, loss = minimise(model, model.init(np.random.default_rng(0)), x, axis_nodes(1))
    >>> round(loss, 6)  # (2 log 2 pi + log 4 + 1) / 2
    3.031024
    """
    checks.has(model, ("loss_and_grad", "posterior"), "model", "a VAE", "VAE.mlp(n_x=4, n_latent=2)")
    checks.parameters_of(model, params)
    x = model.check_data(x, dtype=params.dtype)
    n_steps = checks.width(n_steps, "n_steps")
    if not isinstance(nodes, tuple) or len(nodes) != 2:
        raise ValueError(f"nodes must be a pair, eps and weights, got {checks.shown(nodes)}. Use gauss_hermite(20, 2).")
    eps, w = (checks.real(part, "nodes") for part in nodes)
    eps = checks.noise(eps, (len(x), model.posterior.n_latent), params.dtype, "nodes")
    from scipy.optimize import minimize  # a sixth of a second that only this needs

    def value_and_gradient(theta: Array) -> tuple[float, Array]:
        grads = np.empty_like(theta)
        return model.loss_and_grad(theta, x, eps, grads, objective, weights=w)[0], grads

    options: Any = {"maxiter": n_steps, "maxfun": 2 * n_steps, "maxcor": 20, "ftol": 1e-15, "gtol": 1e-9}
    found = minimize(value_and_gradient, params.astype(np.float64), jac=True, method="L-BFGS-B", options=options)
    return found.x, float(found.fun)
