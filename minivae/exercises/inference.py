"""Exercises of the lecture "Inference"."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.core.arrays import Array
from minivae.distributions.nodes import gauss_hermite
from minivae.exercises.framework import Exercise, Law, Mistake
from minivae.exercises.laws import array, close, parts

Rng = np.random.Generator

# ---------------------------------------------------------------------------------------- jensen_gap


def _weighted(rng: Rng, n: int) -> tuple[Array, Array]:
    return 2 * rng.normal(size=n), rng.dirichlet(np.ones(n))


def _same_everywhere(jensen_gap: Callable[..., Any], rng: Rng) -> None:
    for n in (3, 6):
        _, p = _weighted(rng, n)
        got = array("The gap", jensen_gap(np.full(n, rng.normal()), p), ())
        close("The gap of a w that is the same everywhere", got, 0.0, "equality holds where w does not vary")


def _is_the_gap(jensen_gap: Callable[..., Any], rng: Rng) -> None:
    for n in (2, 5, 9):
        log_w, p = _weighted(rng, n)
        got = array("The gap", jensen_gap(log_w, p), ())
        want = np.log(sum(a * np.exp(b) for a, b in zip(p, log_w, strict=True))) - np.dot(p, log_w)
        close("The gap", got, want, "log E[w] - E[log w], both expectations weighted by p")


def _far_down(jensen_gap: Callable[..., Any], rng: Rng) -> None:
    apart, p = np.array([-3000.0, 0.0, -1500.0]) + rng.normal(size=3), rng.dirichlet(np.ones(3))
    with np.errstate(all="ignore"):
        got = array("The gap, log w spread over 3000", jensen_gap(apart, p), ())
    why = "the largest log w is taken out of the sum: w of the others may vanish, none overflows"
    close("The gap, log w spread over 3000", got, apart[1] + np.log(p[1]) - p @ apart, why)
    log_w, p_of = _weighted(rng, 4)
    want = np.log(p_of @ np.exp(log_w)) - p_of @ log_w
    for shift in (-2000.0, 2000.0):
        with np.errstate(all="ignore"):
            got = array(f"The gap, {shift:g} added to log w", jensen_gap(log_w + shift, p_of), ())
        close(f"The gap, {shift:g} added to log w", got, want, "a factor of w adds to both terms, and cancels", 1e-8)


def _log_mean(log_w: Array, p: Array) -> Any:
    top = log_w.max()
    return top + np.log(p @ np.exp(log_w - top))


JENSEN_GAP = Exercise(
    id="inference.jensen-gap",
    task="log E[w] - E[log w], one number, for a w that takes the values exp(log_w) with the probabilities p, both of "
    "shape (n,); right also where w is too small or too large for a float",
    arguments="log_w, p",
    laws=(
        Law("it is zero where w does not vary", _same_everywhere),
        Law("it is log E[w] - E[log w]", _is_the_gap),
        Law("a common factor of w changes nothing, however large", _far_down),
    ),
    zoo=(
        Mistake(
            "sign",
            "the two terms have changed places: the logarithm of the mean is the larger one.",
            lambda log_w, p: p @ log_w - _log_mean(log_w, p),
        ),
        Mistake(
            "plain means",
            "the n values are averaged alike; each has the probability p.",
            lambda log_w, p: _log_mean(log_w, np.full_like(p, 1 / len(p))) - log_w.mean(),
        ),
        Mistake(
            "weights in one term",
            "p is missing in the second term: both expectations are weighted.",
            lambda log_w, p: _log_mean(log_w, p) - log_w.mean(),
        ),
        Mistake(
            "no logarithm of the mean",
            "the first term is log E[w], the second E[log w]; here w itself was averaged and not logged.",
            lambda log_w, p: p @ np.exp(np.minimum(log_w, 700)) - p @ log_w,
        ),
        Mistake(
            "log_w as w",
            "log_w holds logarithms of w: w is exp(log_w).",
            lambda log_w, p: np.log(abs(p @ log_w)) - p @ np.log(abs(log_w)),
        ),
        Mistake(
            "only the first",
            "this is log E[w] alone, the left side of Jensen's inequality.",
            _log_mean,
        ),
        Mistake(
            "underflow",
            "exp(log_w) has become 0 or infinite: take the largest log_w out of the sum first.",
            lambda log_w, p: _log_mean(log_w, p) - p @ log_w if abs(log_w).max() < 600 else np.inf,
        ),
    ),
    example=lambda rng: _weighted(rng, 5),
)


# ---------------------------------------------------------------------------------- mean_field_sweep


def _gaussian(rng: Rng, d: int) -> tuple[Array, Array, Array]:
    """Return a precision P, h = P times the mean, and means to start from."""
    root = rng.normal(size=(d, d + 2))
    P = root @ root.T + np.eye(d)
    return P, P @ rng.normal(size=d), rng.normal(size=d)


def _rests(mean_field_sweep: Callable[..., Any], rng: Rng) -> None:
    for d in (2, 5):
        P, h, _ = _gaussian(rng, d)
        mean = np.linalg.solve(P, h)
        got = array("m", mean_field_sweep(P, h, mean), (d,))
        close("m after a sweep from the exact mean", got, mean, "the exact mean P^-1 h is where the sweeps end")


def _last_is_exact(mean_field_sweep: Callable[..., Any], rng: Rng) -> None:
    for d in (2, 3, 6):
        P, h, m = _gaussian(rng, d)
        got = array("m", mean_field_sweep(P, h, m), (d,))
        close(
            "P[-1] @ m after a sweep",
            np.array(P[-1] @ got),
            h[-1],
            "the coordinate that moved last solves its own equation, with the others as they are now",
        )


def _is_a_sweep(mean_field_sweep: Callable[..., Any], rng: Rng) -> None:
    for d in (1, 2, 4, 7):
        P, h, m = _gaussian(rng, d)
        got = array("m", mean_field_sweep(P, h, m), (d,))
        lower = np.tril(P)
        want = np.linalg.solve(lower, h - (P - lower) @ m)
        close(
            "m",
            got,
            want,
            "m_j = (h_j - sum of P_jk m_k over k != j) / P_jj for j = 0, 1, ... in turn, with the newest m_k",
        )


def _swept(order: Callable[[int], Any], fresh: bool = True, own: bool = False, divide: bool = True) -> Any:
    """Return a sweep with a choice of mistakes."""

    def sweep(P: Array, h: Array, m: Array) -> Array:
        old, new = m, m.copy()
        for j in order(len(m)):
            seen = new if fresh else old
            others = P[j] @ seen - (0 if own else P[j, j] * seen[j])
            new[j] = (h[j] - others) / (P[j, j] if divide else 1)
        return new

    return sweep


MEAN_FIELD_SWEEP = Exercise(
    id="inference.mean-field-sweep",
    task="the means m, shape (d,), after one sweep of coordinate ascent for the posterior N(P^-1 h, P^-1): for j = 0, "
    "1, ... in turn, m_j becomes the mean of the best factor q_j, given the others as they are by then",
    arguments="P, h, m",
    laws=(
        Law("the exact mean stays where it is", _rests),
        Law("the coordinate that moved last solves its equation", _last_is_exact),
        Law("every coordinate sees those that moved before it", _is_a_sweep),
    ),
    zoo=(
        Mistake(
            "all at once",
            "every coordinate moved by the old values of the others; in a sweep each sees those that moved before it. "
            "(All at once may even move away.)",
            _swept(range, fresh=False),
        ),
        Mistake(
            "backwards",
            "the coordinates moved from the last to the first; start with j = 0.",
            _swept(lambda d: reversed(range(d))),
        ),
        Mistake(
            "own term",
            "the sum runs over the others only: leave P_jj m_j out.",
            _swept(range, own=True),
        ),
        Mistake(
            "not divided",
            "divide by P_jj, the precision of the factor.",
            _swept(range, divide=False),
        ),
        Mistake(
            "sign",
            "the others are subtracted from h_j, not added.",
            lambda P, h, m: _swept(range)(2 * np.diag(np.diag(P)) - P, h, m),
        ),
        Mistake(
            "the end",
            "this is P^-1 h, where the sweeps end; one sweep from m is asked for.",
            lambda P, h, m: np.linalg.solve(P, h) + 0 * m,
        ),
        Mistake(
            "first coordinate only",
            "only the first coordinate has moved; a sweep moves each of them once.",
            _swept(lambda d: range(1)),
        ),
    ),
    example=lambda rng: _gaussian(rng, 4),
)


# ------------------------------------------------------------------------------------ metropolis_step


def _log_p(z: Array) -> Array:
    """Return a log-density that is not even, unnormalised, shape (C,)."""
    return -0.5 * np.square(z - 0.4).sum(axis=1) + np.sin(3 * z[:, 0]) - 7.0


def _chains(rng: Rng, C: int, d: int) -> tuple[Any, Array, Array, Array, float]:
    return _log_p, 2 * rng.normal(size=(C, d)), rng.normal(size=(C, d)), rng.random(C), float(rng.uniform(0.6, 1.6))


def _moved(metropolis_step: Callable[..., Any], problem: tuple[Any, Array, Array, Array, float]) -> Array:
    return array("z", metropolis_step(*problem), problem[1].shape)


def _proposals_or_old(metropolis_step: Callable[..., Any], rng: Rng) -> None:
    for C, d in ((40, 2), (50, 3)):
        problem = _chains(rng, C, d)
        _, z, eps, _, step = problem
        got = _moved(metropolis_step, problem)
        new = z + step * eps
        nearer = np.where(np.abs(got - new).sum(axis=1) < np.abs(got - z).sum(axis=1), 1, 0)[:, None]
        close("z", got, np.where(nearer == 1, new, z), "a chain goes to z + step eps, or stays where it is")


def _surely(metropolis_step: Callable[..., Any], rng: Rng) -> None:
    for C, d in ((60, 2), (70, 3)):
        f, z, eps, _, step = _chains(rng, C, d)
        new = z + step * eps
        up = (f(new) >= f(z))[:, None]
        got = _moved(metropolis_step, (f, z, eps, np.full(C, 1 - 1e-12), step))
        close("z with u near 1", got, np.where(up, new, z), "uphill always, downhill only if u is below the ratio")
        got = _moved(metropolis_step, (f, z, eps, np.full(C, 1e-300), step))
        close("z with u near 0", got, new, "a u near 0 is below every ratio: all move")


def _is_a_step(metropolis_step: Callable[..., Any], rng: Rng) -> None:
    for C, d in ((300, 2), (400, 4), (250, 1)):
        problem = _chains(rng, C, d)
        f, z, eps, u, step = problem
        got, new = _moved(metropolis_step, problem), z + step * eps
        takes = u < np.minimum(1.0, np.exp(f(new) - f(z)))
        close(
            "z", got, np.where(takes[:, None], new, z), "accepted where u < min(1, p(x, z') / p(x, z)), chain by chain"
        )


def _any_size(metropolis_step: Callable[..., Any], rng: Rng) -> None:
    f, z, eps, u, step = _chains(rng, 80, 2)
    new = z + step * eps
    takes = (u < np.minimum(1.0, np.exp(f(new) - f(z))))[:, None]
    for shift in (-3000.0, 3000.0):
        got = _moved(metropolis_step, (lambda a, shift=shift: f(a) + shift, z, eps, u, step))
        why = (
            "a constant in log p cancels: subtract the logarithms first, for p itself is no float where log p is -3000"
        )
        close(f"z, {shift:g} added to log p,", got, np.where(takes, new, z), why)


def _chosen(rule: Callable[..., Array]) -> Any:
    def step_of(log_p: Any, z: Array, eps: Array, u: Array, step: float) -> Array:
        new = z + step * eps
        return np.where(rule(log_p(new) - log_p(z), u)[:, None], new, z)

    return step_of


def _first_refused(problem: tuple[Any, Array, Array, Array, float]) -> tuple[Any, Array, Array, Array, float]:
    """Put a chain that stays where it is first, so that its decision for all is told from a move of all."""
    f, z, eps, u, step = problem
    order = np.argsort(np.log(u) < f(z + step * eps) - f(z), kind="stable")
    return f, z[order], eps[order], u[order], step


METROPOLIS_STEP = Exercise(
    id="inference.metropolis-step",
    task="the states, shape (C, d), of C chains after one move of random-walk Metropolis from z (C, d): normal noise "
    "eps (C, d), one uniform number u (C,) a chain, log_p from (C, d) to (C,), whose values may be near -3000",
    arguments="log_p, z, eps, u, step",
    laws=(
        Law("each chain goes to z + step eps, or stays", _proposals_or_old),
        Law("uphill is always accepted", _surely),
        Law("downhill is accepted with the ratio of the densities", _is_a_step),
        Law("a constant in log p changes nothing, however large", _any_size),
    ),
    zoo=(
        Mistake(
            "everything accepted",
            "every move is made, whatever the density is: that is a random walk, and it never comes to rest.",
            _chosen(lambda gain, u: np.ones(len(u), bool)),
        ),
        Mistake(
            "uphill only",
            "only moves uphill are made: this climbs to the mode, and does not sample.",
            _chosen(lambda gain, u: gain > 0),
        ),
        Mistake(
            "ratio upside down",
            "the ratio is upside down: moves to where the density is lower are favoured here.",
            _chosen(lambda gain, u: np.log(u) < -gain),
        ),
        Mistake(
            "u without its logarithm",
            "u is compared with the difference of the logarithms: take the logarithm of u, or exp of the difference.",
            _chosen(lambda gain, u: u < gain),
        ),
        Mistake(
            "the refused ones",
            "the chains that should stay have moved and the others stayed: accept where u is below the ratio.",
            _chosen(lambda gain, u: np.log(u) >= gain),
        ),
        Mistake(
            "one decision for all",
            "all chains move or stay together here; each decides with its own ratio and its own u.",
            _chosen(lambda gain, u: np.full(len(u), np.log(u[0]) < gain[0])),
        ),
        Mistake(
            "no step",
            "the proposal is z + step eps; the step is missing.",
            lambda log_p, z, eps, u, step: _chosen(lambda gain, u: np.log(u) < gain)(log_p, z, eps, u, 1.0),
        ),
        Mistake(
            "step as a variance",
            "step is the standard deviation of the proposal, not its variance.",
            lambda log_p, z, eps, u, step: _chosen(lambda gain, u: np.log(u) < gain)(log_p, z, eps, u, step**0.5),
        ),
    ),
    example=lambda rng: _first_refused(_chains(rng, 40, 3)),
)


# ------------------------------------------------------------------------------------- leapfrog_path


def _path(rng: Rng, C: int, d: int) -> tuple[Any, Array, Array, float, int]:
    root = rng.normal(size=(d, d))
    P = root @ root.T / d + np.eye(d)

    def slope(z: Array) -> Array:
        return -(z - 0.3) @ P + 0.5 * np.cos(z)

    return slope, rng.normal(size=(C, d)), rng.normal(size=(C, d)), float(rng.uniform(0.05, 0.3)), 5


def _followed(leapfrog_path: Callable[..., Any], problem: tuple[Any, Array, Array, float, int]) -> list[Array]:
    return parts("z, p", leapfrog_path(*problem), problem[1].shape, problem[1].shape)


def _kick_drift_kick(slope: Any, z: Array, p: Array, step: float, n_steps: int) -> tuple[Array, Array]:
    for _ in range(n_steps):
        p = p + 0.5 * step * slope(z)
        z = z + step * p
        p = p + 0.5 * step * slope(z)
    return z, p


def _free(leapfrog_path: Callable[..., Any], rng: Rng) -> None:
    for C, d, n_steps in ((4, 2, 3), (2, 3, 7)):
        _, z, p, step, _ = _path(rng, C, d)
        end, momentum = _followed(leapfrog_path, (np.zeros_like, z, p, step, n_steps))
        close("p where the slope is zero", momentum, p, "without a slope the momentum stays")
        close("z where the slope is zero", end, z + n_steps * step * p, "z drifts by step p, n_steps times")


def _returns(leapfrog_path: Callable[..., Any], rng: Rng) -> None:
    for C, d in ((3, 2), (2, 5)):
        slope, z, p, step, n_steps = _path(rng, C, d)
        end, momentum = _followed(leapfrog_path, (slope, z, p, step, n_steps))
        back, _ = _followed(leapfrog_path, (slope, end, -momentum, step, n_steps))
        close("z after the way back", back, z, "with the momentum turned round the path leads back to its start", 1e-8)


def _is_leapfrog(leapfrog_path: Callable[..., Any], rng: Rng) -> None:
    for C, d, n_steps in ((4, 2, 1), (3, 5, 2), (1, 3, 6)):
        slope, z, p, step, _ = _path(rng, C, d)
        end, momentum = _followed(leapfrog_path, (slope, z, p, step, n_steps))
        z_want, p_want = _kick_drift_kick(slope, z, p, step, n_steps)
        why = "half a kick, a drift, half a kick, n_steps times (two halves between drifts make one whole)"
        close("z", end, z_want, why)
        close("p", momentum, p_want, why)


def _euler(slope: Any, z: Array, p: Array, step: float, n_steps: int) -> tuple[Array, Array]:
    for _ in range(n_steps):
        z, p = z + step * p, p + step * slope(z)
    return z, p


def _whole_kicks(slope: Any, z: Array, p: Array, step: float, n_steps: int) -> tuple[Array, Array]:
    for _ in range(n_steps):
        p = p + step * slope(z)
        z = z + step * p
    return z, p


def _last_kick_whole(slope: Any, z: Array, p: Array, step: float, n_steps: int) -> tuple[Array, Array]:
    p = p + 0.5 * step * slope(z)
    for _ in range(n_steps):
        z = z + step * p
        p = p + step * slope(z)
    return z, p


def _only_first_half(slope: Any, z: Array, p: Array, step: float, n_steps: int) -> tuple[Array, Array]:
    for _ in range(n_steps):
        p = p + 0.5 * step * slope(z)
        z = z + step * p
    return z, p


LEAPFROG_PATH = Exercise(
    id="inference.leapfrog-path",
    task="z and p, both (C, d), after n_steps leapfrog steps of dz/dt = p, dp/dt = slope(z): half a kick of the "
    "momentum, a drift of z, half a kick",
    arguments="slope, z, p, step, n_steps",
    laws=(
        Law("without a slope it is a straight line", _free),
        Law("turned round, the path leads back", _returns),
        Law("it is half a kick, a drift, half a kick", _is_leapfrog),
    ),
    zoo=(
        Mistake(
            "Euler",
            "both moved by the old values: Euler's method, whose energy grows without end and whose path does not "
            "lead back.",
            _euler,
        ),
        Mistake(
            "whole kicks",
            "the kicks are whole from the first one on: that path does not lead back. The first and the last are half.",
            _whole_kicks,
        ),
        Mistake(
            "last kick whole",
            "the last kick is a whole one: after the last drift only half a kick is left.",
            _last_kick_whole,
        ),
        Mistake(
            "second half missing",
            "after the drift the second half of the kick is missing.",
            _only_first_half,
        ),
        Mistake(
            "downhill",
            "the sign of the kick is turned: slope is that of log p(x, z), the momentum grows uphill.",
            lambda slope, z, p, step, n_steps: _kick_drift_kick(lambda a: -slope(a), z, p, step, n_steps),
        ),
        Mistake(
            "one step",
            "only one step was made; make n_steps.",
            lambda slope, z, p, step, n_steps: _kick_drift_kick(slope, z, p, step, 1),
        ),
        Mistake(
            "momentum turned",
            "the momentum comes back with its sign turned; give it as it is at the end of the path.",
            lambda slope, z, p, step, n_steps: (
                (end := _kick_drift_kick(slope, z, p, step, n_steps))[0],
                -end[1],
            ),
        ),
    ),
    example=lambda rng: _path(rng, 3, 2),
)


# ------------------------------------------------------------------------------------- elbo_gradient


def _joint(rng: Rng, d: int) -> tuple[Array, Array, Array, Array]:
    """Return P, mean of a Gaussian posterior, and mu, log_var of q."""
    root = rng.normal(size=(d, d + 1))
    return root @ root.T + np.eye(d), rng.normal(size=d), rng.normal(size=d), 0.5 * rng.normal(size=d)


def _estimate(elbo_gradient: Callable[..., Any], slope: Any, mu: Array, log_var: Array, eps: Array) -> list[Array]:
    return parts("dmu, dlog_var", elbo_gradient(slope, mu, log_var, eps), mu.shape, mu.shape)


def _unbiased(elbo_gradient: Callable[..., Any], rng: Rng) -> None:
    for d in (1, 2, 3):
        P, mean, mu, log_var = _joint(rng, d)
        nodes, weights = gauss_hermite(3, d)  # exact: the estimate is quadratic in eps
        rows = [
            _estimate(elbo_gradient, lambda z, P=P, mean=mean: (mean - z) @ P, mu, log_var, e[None])
            for e in nodes.reshape(-1, d)
        ]
        dmu, dlog_var = (np.tensordot(weights, np.array([row[i] for row in rows]), 1) for i in (0, 1))
        why = "E[log p(x, z)] is quadratic in mu and linear in the variances; the entropy adds sum log_var / 2"
        close("The mean of dmu", dmu, P @ (mean - mu), why)
        close("The mean of dlog_var", dlog_var, 0.5 - 0.5 * np.diag(P) * np.exp(log_var), why)


def _at_the_posterior(elbo_gradient: Callable[..., Any], rng: Rng) -> None:
    for d, K in ((2, 3), (4, 6)):
        precision, mu = rng.uniform(0.5, 3, d), rng.normal(size=d)
        eps = rng.normal(size=(K, d))
        eps = (eps - eps.mean(axis=0)) / eps.std(axis=0)  # first two moments exact
        dmu, dlog_var = _estimate(elbo_gradient, lambda z, a=precision, m=mu: a * (m - z), mu, -np.log(precision), eps)
        close("dmu at the posterior", dmu, 0.0, "at the best q the gradient is zero")
        close("dlog_var at the posterior", dlog_var, 0.0, "at the best q the entropy's pull is balanced")


def _each_draw(elbo_gradient: Callable[..., Any], rng: Rng) -> None:
    for d, K in ((2, 5), (5, 3), (3, 1)):
        mu, log_var, eps = rng.normal(size=d), rng.normal(size=d), rng.normal(size=(K, d))
        got = _estimate(elbo_gradient, lambda z: np.sin(2 * z) - z**3, mu, log_var, eps)
        sigma, dmu, dlog_var = np.exp(log_var / 2), np.zeros(d), np.full(d, 0.5)
        for e in eps:
            slope = np.sin(2 * (mu + sigma * e)) - (mu + sigma * e) ** 3
            dmu, dlog_var = dmu + slope / K, dlog_var + 0.5 * slope * sigma * e / K
        close("dmu", got[0], dmu, "the mean over the draws of the slope at z_k")
        close("dlog_var", got[1], dlog_var, "dz/dlog_var = sigma eps / 2 times the slope, plus 1/2 from the entropy")


def _sloped(slope: Any, mu: Array, log_var: Array, eps: Array) -> tuple[Array, Array]:
    """Return the slopes at the draws and dz/dlog_var."""
    sigma = np.exp(log_var / 2)
    return slope(mu + sigma * eps), 0.5 * sigma * eps


ELBO_GRADIENT = Exercise(
    id="inference.elbo-gradient",
    task="dmu and dlog_var, both (d,), of the ELBO of q = N(mu, diag(exp(log_var))), estimated with K draws z = mu + "
    "sigma eps, eps of shape (K, d), the entropy in closed form; slope is that of log p(x, z), from (K, d) to (K, d)",
    arguments="slope, mu, log_var, eps",
    laws=(
        Law("its mean over the noise is the gradient of the ELBO", _unbiased),
        Law("it is zero at the posterior, for noise of the right moments", _at_the_posterior),
        Law("it is the mean of the slope along the path, draw by draw", _each_draw),
    ),
    zoo=(
        Mistake(
            "no entropy",
            "the entropy's slope, 1/2 for each log_var, is missing: q would shrink to the mode.",
            lambda slope, mu, log_var, eps: (
                (a := _sloped(slope, mu, log_var, eps))[0].mean(axis=0),
                (a[0] * a[1]).mean(axis=0),
            ),
        ),
        Mistake(
            "entropy for log sigma",
            "1 is the entropy's slope for log sigma; for log_var = 2 log sigma it is 1/2.",
            lambda slope, mu, log_var, eps: (
                (a := _sloped(slope, mu, log_var, eps))[0].mean(axis=0),
                1 + (a[0] * a[1]).mean(axis=0),
            ),
        ),
        Mistake(
            "path for log sigma",
            "sigma eps is dz/dlog sigma; dz/dlog_var is half of it.",
            lambda slope, mu, log_var, eps: (
                (a := _sloped(slope, mu, log_var, eps))[0].mean(axis=0),
                0.5 + 2 * (a[0] * a[1]).mean(axis=0),
            ),
        ),
        Mistake(
            "all for log sigma",
            "these are the slopes for log sigma; for log_var = 2 log sigma they are half of that.",
            lambda slope, mu, log_var, eps: (
                (a := _sloped(slope, mu, log_var, eps))[0].mean(axis=0),
                1 + 2 * (a[0] * a[1]).mean(axis=0),
            ),
        ),
        Mistake(
            "sum over the draws",
            "the draws are added up; an estimate of an expectation is their mean.",
            lambda slope, mu, log_var, eps: (
                (a := _sloped(slope, mu, log_var, eps))[0].sum(axis=0),
                0.5 + (a[0] * a[1]).sum(axis=0),
            ),
        ),
        Mistake(
            "no noise in the path",
            "eps is missing in dz/dlog_var.",
            lambda slope, mu, log_var, eps: (
                (a := _sloped(slope, mu, log_var, eps))[0].mean(axis=0),
                0.5 + 0.5 * np.exp(log_var / 2) * a[0].mean(axis=0),
            ),
        ),
        Mistake(
            "slope at the mean",
            "the slope is taken at mu; it belongs at each draw.",
            lambda slope, mu, log_var, eps: (
                slope(mu + 0 * eps).mean(axis=0),
                0.5 + (slope(mu + 0 * eps) * 0.5 * np.exp(log_var / 2) * eps).mean(axis=0),
            ),
        ),
        Mistake(
            "sign",
            "this goes down the ELBO; its gradient points up.",
            lambda slope, mu, log_var, eps: (
                -(a := _sloped(slope, mu, log_var, eps))[0].mean(axis=0),
                -0.5 - (a[0] * a[1]).mean(axis=0),
            ),
        ),
        Mistake(
            "exp(log_var) as a standard deviation",
            "exp(log_var) is the variance; sigma is exp(log_var / 2).",
            lambda slope, mu, log_var, eps: (
                (a := slope(mu + np.exp(log_var) * eps)).mean(axis=0),
                0.5 + (a * 0.5 * np.exp(log_var) * eps).mean(axis=0),
            ),
        ),
    ),
    example=lambda rng: (np.sin, rng.normal(size=3), rng.normal(size=3), rng.normal(size=(5, 3))),
)

EXERCISES = (JENSEN_GAP, MEAN_FIELD_SWEEP, METROPOLIS_STEP, LEAPFROG_PATH, ELBO_GRADIENT)
