"""Training of the linear autoencoder on the whole gradient: gradient descent, and L-BFGS as a check by other means."""

from dataclasses import dataclass

import numpy as np

from minivae.classical.linear_autoencoder import LinearAutoencoder
from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.errors import NonFiniteError
from minivae.nn.optim import Adam, Optimizer, StepDecay


@dataclass(frozen=True)
class Descent:
    """Where training ended.

    Attributes
    ----------
    params : array
    loss : float
    gradient : float
        Largest absolute entry of the gradient.
    n_steps : int
        Gradients taken.
    """

    params: Array
    loss: float
    gradient: float
    n_steps: int


def descend(
    model: LinearAutoencoder,
    params: Array,
    S: Array,
    optimizer: Optimizer | None = None,
    schedule: StepDecay | None = None,
    *,
    n_steps: int = 20_000,
    tolerance: float = 1e-11,
) -> Descent:
    """Train by one of the package's optimisers on the whole gradient, from ``params``, which stay as they are.

    Parameters
    ----------
    model : LinearAutoencoder
    params : array of shape (n_params,)
        Where to start.
    S : array of shape (d, d)
        Covariance of the data.
    optimizer : Optimizer
        Adam with a step of 4 % of the initial weights unless given. It sees gradients divided by tr S, so that the
        units of the data do not matter.
    schedule : StepDecay
        By the step: a tenth of the rate from step 8,000 on, a hundredth from 14,000 on, unless given.
    n_steps : int
        At most.
    tolerance : float
        Stop where every entry of the gradient is at most this times tr S.

    Raises
    ------
    ValueError
        If S has another shape, or is not finite.
    NonFiniteError
        If the steps are so large that the loss overflows.
    """
    checks.has(model, ("n_params", "limit", "loss_and_grad"), "model", "a LinearAutoencoder", "LinearAutoencoder(4, 2)")
    S = checks.covariance(S, model.n_x)
    checks.squarable(checks.parameters_of(model, params), "params", 4)
    checks.number(tolerance, "tolerance", low=0, closed=True)
    optimizer = Adam(0.04 * model.limit) if optimizer is None else optimizer
    schedule = StepDecay((8_000, 14_000)) if schedule is None else schedule
    checks.has(optimizer, ("init", "update", "learning_rate"), "optimizer", "an optimiser", "Adam(1e-3)")
    checks.has(schedule, ("scale",), "schedule", "a schedule", "StepDecay((8_000,))")
    scale = float(np.trace(S)) or 1.0
    params, grads = params.copy(), np.empty_like(params)
    state = optimizer.init(params)
    with np.errstate(over="ignore", invalid="ignore"):  # the guard speaks of these
        for step in range(checks.width(n_steps, "n_steps")):
            loss = model.loss_and_grad(params, S, grads)
            if not loss < 1e100 * scale:  # also true for a NaN
                rate = optimizer.learning_rate * schedule.scale(step)
                raise NonFiniteError(f"the loss grew to {loss:.0e} at step {step + 1}", f"Lower the rate {rate:g}.")
            if np.abs(grads).max() <= tolerance * scale:
                break
            optimizer.update(params, grads / scale, state, schedule.scale(step))
    loss = model.loss_and_grad(params, S, grads)
    return Descent(params, loss, float(np.abs(grads).max()), step + 1)


def lbfgs(model: LinearAutoencoder, params: Array, S: Array, *, tolerance: float = 1e-11) -> Descent:
    """Train as ``descend`` does, by scipy's L-BFGS on the same flat vector and gradient: a check by other means."""
    checks.has(model, ("n_params", "limit", "loss_and_grad"), "model", "a LinearAutoencoder", "LinearAutoencoder(4, 2)")
    S = checks.covariance(S, model.n_x)
    checks.squarable(checks.parameters_of(model, params), "params", 4)
    checks.number(tolerance, "tolerance", low=0, closed=True)
    from scipy.optimize import minimize  # a sixth of a second that only this needs

    scale = float(np.trace(S)) or 1.0

    def value_and_gradient(theta: Array) -> tuple[float, Array]:
        grads = np.empty_like(theta)
        loss = model.loss_and_grad(theta, S, grads)
        if not abs(loss) < 1e100 * scale:  # also true for a NaN
            where = f"the loss left the finite numbers at {loss:.0e}, as if an eigenvalue of S were negative"
            raise NonFiniteError(where, "Use covariance(x).")
        return loss / scale, grads / scale

    options = {"maxiter": 20_000, "maxfun": 40_000, "maxcor": 10, "ftol": 0.0, "gtol": tolerance}
    with np.errstate(over="ignore", invalid="ignore"):  # value_and_gradient speaks of these
        found = minimize(value_and_gradient, params, jac=True, method="L-BFGS-B", options=options)
    return Descent(found.x, scale * float(found.fun), scale * float(np.abs(found.jac).max()), int(found.nfev))
