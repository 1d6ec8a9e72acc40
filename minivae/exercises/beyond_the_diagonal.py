"""Exercises of the lecture "Beyond the diagonal"."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.core.arrays import Array
from minivae.core.kernels.compiled import LOG_2PI
from minivae.distributions.nodes import gauss_hermite
from minivae.exercises.framework import Exercise, Law, Mistake
from minivae.exercises.laws import BrokenLawError, array, close, parts

Rng = np.random.Generator
_SIZES = ((4, 3), (5, 2), (2, 4))  # draws or examples, latents: no two alike


def _covariance(rng: Rng, n: int) -> Array:
    a = rng.normal(size=(n, n))
    return a @ a.T / n + 0.3 * np.eye(n)


def _log_normal(u: Array) -> Array:
    return -0.5 * (np.sum(u**2, axis=-1) + u.shape[-1] * LOG_2PI)


# ------------------------------------------------------------------------------------------ general_kl


def _two_gaussians(rng: Rng, n: int = 3) -> tuple[Array, Array, Array, Array]:
    return rng.normal(size=n), _covariance(rng, n), rng.normal(size=n), _covariance(rng, n)


def _kl_integral(mu0: Array, cov0: Array, mu1: Array, cov1: Array) -> float:
    """E_0[log N_0 - log N_1]: the integrand is quadratic in eps, so three nodes an axis are exact."""
    nodes, weights = gauss_hermite(3, len(mu0))
    eps = nodes[:, 0]
    root0, root1 = np.linalg.cholesky(cov0), np.linalg.cholesky(cov1)
    u = np.linalg.solve(root1, (mu0 + eps @ root0.T - mu1).T).T
    difference = _log_normal(eps) - _log_normal(u)
    logs = np.log(np.diag(root1)).sum() - np.log(np.diag(root0)).sum()
    return float(weights @ difference + logs)


def _is_the_integral(general_kl: Callable[..., Any], rng: Rng) -> None:
    for n in (1, 3, 2, 4):
        both = _two_gaussians(rng, n)
        got = array("general_kl", general_kl(*both), ())
        close(f"The KL of two Gaussians in {n} dimensions", got, _kl_integral(*both), "KL = E_0[log N_0 - log N_1]")


def _zero_where_equal(general_kl: Callable[..., Any], rng: Rng) -> None:
    mu, cov, _, _ = _two_gaussians(rng)
    close(
        "The KL of a Gaussian from itself", array("general_kl", general_kl(mu, cov, mu, cov), ()), 0.0, "KL(p, p) = 0"
    )


def _any_unit(general_kl: Callable[..., Any], rng: Rng) -> None:
    for unit in (1e-55, 1e55):  # determinants of 4 dimensions are no floats then
        mu0, cov0, mu1, cov1 = _two_gaussians(rng, 4)
        name = f"The KL of two Gaussians in 4 dimensions, standard deviations near {unit:g},"
        with np.errstate(all="ignore"):
            got = array(name, general_kl(unit * mu0, unit**2 * cov0, unit * mu1, unit**2 * cov1), ())
        why = "a KL has no unit, but determinants are products of many variances: take their logarithms by slogdet"
        close(name, got, _kl_integral(mu0, cov0, mu1, cov1), why, 1e-8)


def _kl(mu0: Array, cov0: Array, mu1: Array, cov1: Array, **change: float) -> Any:
    """Return what the formula gives with one of its parts changed."""
    d, inverse = mu1 - mu0, np.linalg.inv(cov1)
    trace = np.trace(inverse @ cov0) if change.get("trace", 1) else np.trace(np.linalg.inv(cov0) @ cov1)
    logs = np.linalg.slogdet(cov1)[1] - np.linalg.slogdet(cov0)[1]
    total = trace + change.get("mean", 1) * d @ inverse @ d - change.get("size", 1) * len(mu0)
    return change.get("half", 0.5) * (total + change.get("logs", 1) * logs)


GENERAL_KL = Exercise(
    id="beyond_the_diagonal.general-kl",
    task="KL(N(mu0, cov0) || N(mu1, cov1)) in nats, one number; covariances of any kind and size, shape (n, n)",
    arguments="mu0, cov0, mu1, cov1",
    laws=(
        Law("it is zero for two equal Gaussians", _zero_where_equal),
        Law("it equals the integral E[log N_0 - log N_1] in one, two, three and four dimensions", _is_the_integral),
        Law("it does not change with the unit of z, however small the determinants are", _any_unit),
    ),
    zoo=(
        Mistake("no half", "the factor 1/2 is missing.", lambda *g: _kl(*g, half=1)),
        Mistake(
            "other direction",
            "this is KL(N_1 || N_0). The average is over the first Gaussian, and the inverse is of the second "
            "covariance.",
            lambda mu0, cov0, mu1, cov1: _kl(mu1, cov1, mu0, cov0),
        ),
        Mistake(
            "determinants exchanged",
            "the log-determinants are exchanged: it is log det cov1 - log det cov0, as the second density is divided "
            "by.",
            lambda *g: _kl(*g, logs=-1),
        ),
        Mistake(
            "no determinants",
            "the log-determinants are missing: two widths cost something even where the trace does not see it.",
            lambda *g: _kl(*g, logs=0),
        ),
        Mistake(
            "no dimension",
            "the -n is missing, so that it is not zero for two equal Gaussians: E[u.u] of the first is n.",
            lambda *g: _kl(*g, size=0),
        ),
        Mistake("no means", "the distance of the means is missing.", lambda *g: _kl(*g, mean=0)),
        Mistake(
            "wrong inverse",
            "the trace has the inverse of the wrong covariance: it is tr(inverse of cov1, times cov0).",
            lambda *g: _kl(*g, trace=0),
        ),
    ),
    example=_two_gaussians,
)


# --------------------------------------------------------------------------------------- masked_factor


def _raw(rng: Rng, n_batch: int = 4, n: int = 3) -> tuple[Array, Array]:
    return rng.normal(size=(n_batch, n)), rng.normal(size=(n_batch, n, n))


def _triangle(log_diagonal: Array, raw: Array) -> Array:
    L = np.zeros_like(raw)
    for b, i in np.ndindex(log_diagonal.shape):
        L[b, i, i] = np.exp(log_diagonal[b, i])
        L[b, i, :i] = raw[b, i, :i]
    return L


def _is_masked(masked_factor: Callable[..., Any], rng: Rng) -> None:
    for n_batch, n in _SIZES:
        log_diagonal, raw = _raw(rng, n_batch, n)
        L = array("L", masked_factor(log_diagonal, raw), raw.shape)
        if np.triu(L, 1).any():
            raise BrokenLawError("L should be zero above its diagonal. The law: the mask keeps what is below it.")
        diagonal = np.diagonal(L, axis1=1, axis2=2)
        close("The diagonal of L", diagonal, np.exp(log_diagonal), "L_ii = exp(log_diagonal_i), whatever raw is")
        close("L below its diagonal", np.tril(L, -1), np.tril(raw, -1), "what the mask keeps stays as it is")


_EYE = np.eye  # of any size

MASKED_FACTOR = Exercise(
    id="beyond_the_diagonal.masked-factor",
    task="the lower triangular L, shape (B, n, n), for log_diagonal, shape (B, n), and a matrix raw, shape (B, n, n), "
    "of which only what is below the diagonal is used",
    arguments="log_diagonal, raw",
    laws=(Law("L is raw below its diagonal, exp(log_diagonal) on it and zero above it", _is_masked),),
    zoo=(
        Mistake(
            "diagonal kept",
            "the mask lets raw's own diagonal through: it is zero on the diagonal too (np.tril with k=-1).",
            lambda d, raw: np.tril(raw) + np.exp(d)[:, :, None] * _EYE(d.shape[1]),
        ),
        Mistake(
            "upper triangle",
            "this is upper triangular; the mask keeps what is below the diagonal, where the row is the larger index.",
            lambda d, raw: np.triu(raw, 1) + np.exp(d)[:, :, None] * _EYE(d.shape[1]),
        ),
        Mistake(
            "transposed",
            "this is the right matrix, transposed: L_ij has i > j.",
            lambda d, raw: _triangle(d, raw).transpose(0, 2, 1),
        ),
        Mistake(
            "no exponential",
            "the diagonal is not exponentiated: a network's output may be negative or zero, and L could then not be "
            "inverted.",
            lambda d, raw: np.tril(raw, -1) + d[:, :, None] * _EYE(d.shape[1]),
        ),
        Mistake(
            "half of the logarithm",
            "log_diagonal is the logarithm of L_ii itself, a standard deviation, and not of a variance.",
            lambda d, raw: np.tril(raw, -1) + np.exp(d / 2)[:, :, None] * _EYE(d.shape[1]),
        ),
        Mistake(
            "all exponentiated",
            "what is below the diagonal is exponentiated too; it may have any sign, which is what correlations need.",
            lambda d, raw: np.tril(np.exp(raw), -1) + np.exp(d)[:, :, None] * _EYE(d.shape[1]),
        ),
        Mistake(
            "one on the rest",
            "the exponential was taken after the diagonal matrix was made: exp(0) = 1 stands beside it.",
            lambda d, raw: np.tril(raw, -1) + np.exp(d[:, :, None] * _EYE(d.shape[1])),
        ),
    ),
    example=_raw,
)


# ---------------------------------------------------------------------------------------- log_q_of_draw


def _map(rng: Rng, n_draws: int = 4, n: int = 3) -> tuple[Array, Array]:
    return rng.normal(size=(n_draws, n)), rng.normal(size=(n_draws, n, n)) + np.eye(n)


def _is_the_density(log_q_of_draw: Callable[..., Any], rng: Rng) -> None:
    for n_draws, n in _SIZES:
        eps, J = _map(rng, n_draws, n)
        J[0, 0] *= -np.sign(np.linalg.det(J[0]))  # one that turns the space over
        got = array("log q", log_q_of_draw(eps, J), (n_draws,))
        z = np.einsum("kij,kj->ki", J, eps)
        cov = J @ J.transpose(0, 2, 1)
        squares = np.einsum("ki,ki->k", z, np.linalg.solve(cov, z[..., None])[..., 0])
        want = -0.5 * (squares + np.linalg.slogdet(cov)[1] + n * LOG_2PI)
        close("log q", got, want, "the density of z = J eps is that of N(0, J J^T)", 1e-8)


LOG_Q_OF_DRAW = Exercise(
    id="beyond_the_diagonal.log-q-of-draw",
    task="log q(z) of draws z = g(eps), shape (K,), from the noise eps ~ N(0, I), shape (K, n), and the Jacobians "
    "J = dz/deps at it, shape (K, n, n)",
    arguments="eps, J",
    laws=(Law("for linear maps it is the density of N(0, J J^T), also where J turns the space over", _is_the_density),),
    zoo=(
        Mistake(
            "added",
            "the log-determinant is added: where the map stretches, the same probability lies thinner, so it is "
            "subtracted.",
            lambda eps, J: _log_normal(eps) + np.linalg.slogdet(J)[1],
        ),
        Mistake("no Jacobian", "this is the density of eps, not of z.", lambda eps, J: _log_normal(eps)),
        Mistake(
            "no logarithm",
            "the determinant is subtracted, not its logarithm.",
            lambda eps, J: _log_normal(eps) - np.abs(np.linalg.det(J)),
        ),
        Mistake(
            "diagonal alone",
            "the product of the diagonal is the determinant of triangular matrices only; this map is a general one.",
            lambda eps, J: _log_normal(eps) - np.log(np.abs(np.diagonal(J, axis1=1, axis2=2))).sum(axis=1),
        ),
        Mistake(
            "no constant",
            "the constant of the normal density, n/2 log(2 pi), is missing.",
            lambda eps, J: -0.5 * np.sum(eps**2, axis=1) - np.linalg.slogdet(J)[1],
        ),
        Mistake(
            "half",
            "log |det J| counts once; the half belongs to log det of the covariance J J^T.",
            lambda eps, J: _log_normal(eps) - 0.5 * np.linalg.slogdet(J)[1],
        ),
        Mistake(
            "sum over the draws",
            "one number comes back for all draws; each has its own density (axis=1).",
            lambda eps, J: np.sum(_log_normal(eps) - np.linalg.slogdet(J)[1]),
        ),
    ),
    example=_map,
)


# --------------------------------------------------------------------------------- autoregressive_step


def _step_arguments(rng: Rng, n_draws: int = 4, n: int = 3) -> tuple[Array, ...]:
    z, A, a = rng.normal(size=(n_draws, n)), rng.normal(size=(n, n)), rng.normal(size=n)
    return z, A, a, 0.4 * rng.normal(size=(n, n)), rng.normal(size=n)


def _step(z: Array, A: Array, a: Array, C: Array, c: Array, *, k: int = -1, upper: bool = False) -> tuple[Array, Array]:
    mask = (lambda M: np.triu(M, -k)) if upper else (lambda M: np.tril(M, k))
    m, log_s = z @ mask(A).T + a, z @ mask(C).T + c
    return np.exp(log_s) * z + m, log_s.sum(axis=1)


def _one_by_one(z: Array, A: Array, a: Array, C: Array, c: Array) -> Array:
    new = np.empty_like(z)
    for k, i in np.ndindex(z.shape):
        m, log_s = a[i] + sum(A[i, :i] * z[k, :i]), c[i] + sum(C[i, :i] * z[k, :i])
        new[k, i] = np.exp(log_s) * z[k, i] + m
    return new


def _steps(autoregressive_step: Callable[..., Any], rng: Rng) -> None:
    for n_draws, n in _SIZES:
        z, *rest = _step_arguments(rng, n_draws, n)
        new, log_det = parts("z_new, log_det", autoregressive_step(z, *rest), (n_draws, n), (n_draws,))
        close(
            "z_new",
            new,
            _one_by_one(z, *rest),
            "z_new_i = exp(log_s_i) z_i + m_i, where m_i and log_s_i look at z_1, ..., z_(i-1) alone",
        )
        jacobians = np.empty((n_draws, n, n))
        for j in range(n):
            up, down = z.copy(), z.copy()
            up[:, j] += 1e-5
            down[:, j] -= 1e-5
            jacobians[:, :, j] = (_one_by_one(up, *rest) - _one_by_one(down, *rest)) / 2e-5
        close("log_det", log_det, np.linalg.slogdet(jacobians)[1], "log |det dz_new/dz|, by differences", 1e-6)


def _through_new(z: Array, A: Array, a: Array, C: Array, c: Array) -> tuple[Array, Array]:
    new, log_det = np.zeros_like(z), np.zeros(len(z))
    for i in range(z.shape[1]):
        log_s = new[:, :i] @ C[i, :i] + c[i]
        new[:, i] = np.exp(log_s) * z[:, i] + new[:, :i] @ A[i, :i] + a[i]
        log_det += log_s
    return new, log_det


AUTOREGRESSIVE_STEP = Exercise(
    id="beyond_the_diagonal.autoregressive-step",
    task="z_new = exp(log_s) z + m, shape (K, n), and log |det dz_new/dz|, shape (K,), with m = A z + a and "
    "log_s = C z + c, in which A and C are masked such that entry i looks at z_1, ..., z_(i-1) alone",
    arguments="z, A, a, C, c",
    laws=(Law("z_new is what a loop over the latents gives, and log_det that of its Jacobian", _steps),),
    zoo=(
        Mistake(
            "mask with its diagonal",
            "the mask keeps the diagonal: m_i and s_i then look at z_i itself, and exp(log_s_i) is no longer the "
            "slope.",
            lambda *z: _step(*z, k=0),
        ),
        Mistake(
            "upper mask",
            "the masks keep what is above the diagonal: entry i then looks at the latents after it.",
            lambda *z: _step(*z, upper=True),
        ),
        Mistake(
            "no mask",
            "A and C are not masked: the Jacobian is then full, and its determinant is no product.",
            lambda *z: _step(*z, k=len(z[2])),
        ),
        Mistake(
            "sign",
            "the log-determinant has the wrong sign here: it is that of the step, + sum log_s; log q subtracts it.",
            lambda *z: (_step(*z)[0], -_step(*z)[1]),
        ),
        Mistake(
            "scales added",
            "the log-determinant is the sum of log_s, the logarithm of a product; here the scales themselves are "
            "added.",
            lambda z, A, a, C, c: (
                _step(z, A, a, C, c)[0],
                np.sum(np.exp(z @ np.tril(C, -1).T + c), axis=1),
            ),
        ),
        Mistake(
            "from what is new",
            "m and log_s look at the new latents before i. That is the step the other way round: it goes from latent "
            "to latent, where this one needs a single pass.",
            _through_new,
        ),
        Mistake(
            "transposed",
            "A and C are used transposed: m_i = sum_j A_ij z_j is z @ A.T for rows z.",
            lambda z, A, a, C, c: (
                np.exp(z @ np.tril(C, -1) + c) * z + z @ np.tril(A, -1) + a,
                np.sum(z @ np.tril(C, -1) + c, axis=1),
            ),
        ),
    ),
    example=_step_arguments,
)


# -------------------------------------------------------------------------------------------- undo_step


def _undoes(undo_step: Callable[..., Any], rng: Rng) -> None:
    for n_draws, n in (*_SIZES, (3, 24)):  # as many latents as no fixed number of rounds reaches
        z, A, a, C, c = _step_arguments(rng, n_draws, n)
        rest = (A, a, C, c) if n < 24 else (A / 3, a, C / 40, c / 4)  # so many need a milder step
        got = array("z", undo_step(_one_by_one(z, *rest), *rest), (n_draws, n))
        close("z", got, z, "the step from z leads to z_new again", 1e-8)


def _backwards(new: Array, A: Array, a: Array, C: Array, c: Array, *, order: int = 1, shift: bool = True) -> Array:
    z = np.zeros_like(new)
    for i in range(new.shape[1])[::order]:
        log_s = z @ np.tril(C, -1)[i] + c[i]
        m = z @ np.tril(A, -1)[i] + a[i]
        z[:, i] = (new[:, i] - m) / np.exp(log_s) if shift else new[:, i] / np.exp(log_s) - m
    return z


UNDO_STEP = Exercise(
    id="beyond_the_diagonal.undo-step",
    task="the z from which autoregressive_step makes z_new, shape (K, n)",
    arguments="z_new, A, a, C, c",
    laws=(Law("the step from it leads to z_new again", _undoes),),
    zoo=(
        Mistake(
            "one pass",
            "m and log_s are taken at z_new; they belong to z, which is known only up to the latent before. Go from "
            "latent to latent.",
            lambda new, A, a, C, c: (new - new @ np.tril(A, -1).T - a) / np.exp(new @ np.tril(C, -1).T + c),
        ),
        Mistake(
            "from the last",
            "the latents are gone through from the last: the first is the one that depends on no other.",
            lambda *z: _backwards(*z, order=-1),
        ),
        Mistake(
            "divided first",
            "z_new = s z + m is undone by taking m away first, and dividing by s then.",
            lambda *z: _backwards(*z, shift=False),
        ),
        Mistake(
            "another step",
            "this goes one step further from z_new, not back.",
            lambda *z: _step(*z)[0],
        ),
    ),
    example=_step_arguments,
)

EXERCISES = (GENERAL_KL, MASKED_FACTOR, LOG_Q_OF_DRAW, AUTOREGRESSIVE_STEP, UNDO_STEP)
