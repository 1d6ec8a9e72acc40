"""Exact means and variances of single-draw gradients of the ELBO on a linear-Gaussian model."""

from typing import Any, Literal

import numpy as np

from minivae.core import checks, errors
from minivae.core.arrays import Array
from minivae.core.kernels.compiled import LOG_2PI
from minivae.distributions.linear_gaussian import LinearGaussian
from minivae.estimators.k_sample import Bound
from minivae.estimators.moments import Moments, leave_one_out_excess
from minivae.estimators.objectives import Elbo, check_bound


def elbo_gradient_moments(
    model: LinearGaussian,
    x: Array,
    mu: Array,
    log_var: Array,
    objective: Bound | None = None,
    baseline: float | Array | Literal["mean", "optimal"] = 0.0,
    n_group: int = 2,
) -> Moments:
    """Return the mean and variance of the ELBO's gradient by one draw, wrt mu and log_var.

    For q(z|x) = N(mu, diag sigma^2), z = mu + sigma eps, G = W^T W / s2, P = I + G and r = x - b - W mu, a pathwise
    gradient is rho - K sigma eps, and a score-function one is (f - c) times the score with f quadratic in eps:

        estimator        kl       what is drawn                         K                   rho
        pathwise         closed   log p(x|z)                            G                   W^T r / s2
        pathwise         sampled  log p(x,z) - log q(z|x)               P                   W^T r / s2 - mu
        path-derivative  sampled  the same, without the score of log q  P - diag 1/sigma^2  W^T r / s2 - mu
        score            closed   f = log p(x|z)
        score            sampled  f = log p(x,z) - log q(z|x)

    The path derivative ("sticking the landing") has no variance at all where q is the exact posterior.

    Parameters
    ----------
    model : LinearGaussian
    x : array of shape (B, p)
    mu, log_var : array of shape (B, q)
    objective : Elbo, optional
        Estimator and KL; pathwise with a closed KL unless given.
    baseline : float, array that broadcasts to (B, 2, q), "mean" or "optimal"
        c of the score function: E f of each example, or c* = E[f s^2] / E[s^2] of each parameter.
    n_group : int
        Draws in a group of "score-leave-one-out", whose variance is n_group times that of a group's mean:
        the mean baseline's, + (Var f E s^2 + g^2) / (n_group - 1) with g the gradient that is drawn.

    Returns
    -------
    Moments
        Of shape (B, 2, q): d/dmu, d/dlog_var.

    References
    ----------
    G. Roeder, Y. Wu, D. Duvenaud, "Sticking the landing", 2017; the variances are derived here.

    Examples
    --------
    >>> import numpy as np
    >>> model, x = LinearGaussian(np.ones((1, 1)), np.zeros(1), 1.0), np.ones((1, 1))
    >>> mu, log_var = np.array([[0.5]]), np.log([[0.5]])  # the exact posterior
    >>> for name in ("pathwise", "path-derivative"):
    ...     print(elbo_gradient_moments(model, x, mu, log_var, Elbo(name, kl="sampled")).variance.ravel().round(12))
    [2.  0.5]
    [0. 0.]
    """
    checks.has(model, ("W", "s2", "precision"), "model", "a LinearGaussian", "LinearGaussian(W, b, s2)")
    objective = Elbo() if objective is None else objective
    checks.has(objective, ("estimator", "row"), "objective", "an Elbo", "Elbo('score')")
    estimator = objective.estimator or "pathwise"
    check_bound(estimator, "elbo")
    kl = objective.kl or objective.row.kl[0]
    if checks.width(n_group, "n_group") < objective.row.least_draws:
        raise ValueError(
            f"n_group must be at least {objective.row.least_draws} for {estimator!r}, got {n_group}. Raise it."
        )
    x = checks.data(x, len(model.W))
    shape = (len(x), model.W.shape[1])
    mu, log_var = checks.real(mu, "mu", shape), checks.real(log_var, "log_var", shape)
    if not isinstance(baseline, str):
        baseline = _numbers(baseline, (len(x), 2, shape[1]))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        moments = _moments(model, x, mu, log_var, (estimator, kl), baseline, n_group)
    for name, values in (("the mean", moments.mean), ("the variance", moments.variance)):
        errors.speak_of(name, values, x=x, mu=mu, log_var=log_var)
    return moments


def _numbers(baseline: Any, shape: tuple[int, ...]) -> Array:
    """Return a baseline of numbers, of this shape."""
    c = checks.real(baseline, "baseline")
    if c.ndim > len(shape) or any(a not in (1, b) for a, b in zip(c.shape[::-1], shape[::-1], strict=False)):
        raise ValueError(
            f"baseline must fit the shape {shape}, got shape {c.shape}. One an example is c[:, None, None]."
        )
    return np.broadcast_to(c, shape)


def _moments(
    model: LinearGaussian, x: Array, mu: Array, log_var: Array, how: tuple[str, str], baseline: Any, n_group: int
) -> Moments:
    """Return the moments of arguments that have been looked at."""
    (estimator, kl), shape = how, mu.shape
    sigma = np.exp(0.5 * log_var)
    residual = x - model.b - mu @ model.W.T
    slope = residual @ model.W / model.s2  # W^T r / s2
    mean = np.stack([slope - mu, 1 - sigma**2 * np.diag(model.precision)], axis=1)
    K = model.precision - np.eye(shape[1]) if kl == "closed" else model.precision
    rho = slope if kl == "closed" else slope - mu
    if not estimator.startswith("score"):
        own = 0.0 if estimator == "pathwise" else np.eye(shape[1]) / sigma[:, None, :] ** 2
        return _of_log_var(mean, _pathwise_variance(K - own, rho, sigma))
    p = len(model.W)
    c = -0.5 * (p * (LOG_2PI + np.log(model.s2)) + np.sum(residual**2, axis=1) / model.s2)
    B = sigma[:, :, None] * K * sigma[:, None, :]
    if kl == "sampled":  # log p(z) - log q(z|x) adds to each order in eps
        c = c - 0.5 * np.sum(mu**2, axis=1) + np.log(sigma).sum(axis=1)
        B = B - np.eye(shape[1])
    a = sigma * rho
    if estimator == "score":
        return _of_log_var(mean, _score_variance(c, a, B, sigma, baseline))
    variance = np.sum(a**2, axis=1) + 0.5 * np.sum(B**2, axis=(1, 2))  # of f
    square = np.stack([1 / sigma**2, 2 + 0 * sigma], axis=1)  # E s^2
    drawn = mean if kl == "sampled" else mean - np.stack([-mu, 1 - sigma**2], axis=1)  # the KL's own part is exact
    excess = leave_one_out_excess(variance[:, None, None], square, drawn**2, n_group)
    return _of_log_var(mean, _score_variance(c, a, B, sigma, "mean") + excess)


def _of_log_var(mean: Array, variance: Array) -> Moments:
    """Return the moments wrt mu and log_var of those wrt mu and log sigma = log_var / 2."""
    half = np.array([[1.0], [0.5]])
    return Moments(mean * half, variance * half**2)


def _pathwise_variance(K: Array, rho: Array, sigma: Array) -> Array:
    """Variance of g_mu = rho - K sigma eps and of g_log_sigma = sigma eps g_mu (+ a constant), shape (B, 2, q)."""
    at_mu = np.sum(K**2 * sigma[:, None, :] ** 2, axis=-1) + 0 * sigma
    diagonal = np.diagonal(K, axis1=-2, axis2=-1) ** 2
    return np.stack([at_mu, sigma**2 * (rho**2 + at_mu + diagonal * sigma**2)], axis=1)


def _score_variance(c: Array, a: Array, B: Array, sigma: Array, baseline: Array | Literal["mean", "optimal"]) -> Array:
    """Variance of (f - baseline) s for f = c + a.eps - eps.B eps / 2, shape (B, 2, q)."""
    diagonal = np.diagonal(B, axis1=1, axis2=2)  # (B, q)
    trace = diagonal.sum(axis=1)[:, None]
    rows = np.sum(B**2, axis=2)  # sum_l B_jl^2 = (B^2)_jj
    squares = rows.sum(axis=1)[:, None]  # tr B^2
    mean = c[:, None] - trace / 2
    if isinstance(baseline, str):
        checks.choice(baseline, ("mean", "optimal"), "baseline")
        own = 0.0 if baseline == "mean" else 1.0
        constant = np.stack([mean - own * diagonal, mean - 2 * own * diagonal], axis=1)
    else:
        constant = baseline
    c_mu, c_sigma = (c[:, None] - constant[:, i] for i in range(2))
    length = np.sum(a**2, axis=1)[:, None]
    quartic = trace**2 + 4 * trace * diagonal + 2 * squares + 8 * rows
    at_mu = (c_mu**2 - c_mu * (trace + 2 * diagonal) + length + a**2 + quartic / 4) / sigma**2
    # with coordinate j taken out: the trace, and the trace of the square
    rest, rest_squares = trace - diagonal, squares - 2 * rows + diagonal**2
    quartic = 78 * diagonal**2 + 40 * (rows - diagonal**2) + 2 * (rest**2 + 2 * rest_squares) + 20 * diagonal * rest
    at_sigma = 2 * c_sigma**2 - c_sigma * (2 * trace + 8 * diagonal) + 2 * length + 8 * a**2 + quartic / 4
    return np.stack([at_mu, at_sigma - diagonal**2], axis=1)
