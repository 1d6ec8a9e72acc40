"""Exercises of the lecture "What can be reparameterized"."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.core.arrays import Array
from minivae.exercises.framework import Exercise, Law, Mistake
from minivae.exercises.laws import BrokenLawError, array, close, parts

Rng = np.random.Generator

# ------------------------------------------------------------------------------------------- weibull


def _weibull_problem(rng: Rng, n: int) -> tuple[Array, float, float]:
    return rng.uniform(0.02, 0.98, n), float(rng.uniform(0.5, 3)), float(rng.uniform(0.6, 3))


def _weibull_parts(weibull: Callable[..., Any], u: Array, scale: float, shape: float) -> list[Array]:
    return parts("z, dscale, dshape", weibull(u, scale, shape), u.shape, u.shape, u.shape)


def _has_the_law(weibull: Callable[..., Any], rng: Rng) -> None:
    for n in (5, 8):
        u, scale, shape = _weibull_problem(rng, n)
        z, _, _ = _weibull_parts(weibull, u, scale, shape)
        if (z <= 0).any():
            raise BrokenLawError(f"z must be positive, got {z.min():.4g}. The law: P(Z > z) is 1 at z = 0.")
        above = np.exp(-((z / scale) ** shape))
        want = u if abs(above - u).max() < abs(1 - above - u).max() else 1 - u  # either tail may be called u
        close("P(Z > z) at the draws", above, want, "z = F^-1(u): P(Z > z) = exp(-(z / scale)^shape) is u, or 1 - u")


def _quantile_slopes(weibull: Callable[..., Any], rng: Rng) -> None:
    h = 1e-5
    for n in (4, 7, 1):
        u, scale, shape = _weibull_problem(rng, n)
        _, dscale, dshape = _weibull_parts(weibull, u, scale, shape)
        for name, got, up, down in (
            ("dscale", dscale, (scale + h, shape), (scale - h, shape)),
            ("dshape", dshape, (scale, shape + h), (scale, shape - h)),
        ):
            z_up, z_down = (_weibull_parts(weibull, u, *at)[0] for at in (up, down))
            close(name, got, (z_up - z_down) / (2 * h), "the slope of your own z at fixed noise", tolerance=1e-6)


def _weibull_of(level: Callable[[Array], Array], dscale: Any, dshape: Any, power: int = -1) -> Any:
    def weibull(u: Array, scale: float, shape: float) -> tuple[Array, Array, Array]:
        e = level(u)
        z = scale * e ** (shape**power)
        return z, dscale(z, scale, shape), dshape(z, scale, shape)

    return weibull


def _upper(u: Array) -> Array:
    return -np.log(u)


def _by_scale(z: Array, scale: float, shape: float) -> Array:  # noqa: ARG001
    return z / scale


def _by_shape(z: Array, scale: float, shape: float) -> Array:
    return -z * np.log(z / scale) / shape


WEIBULL = Exercise(
    id="families.weibull",
    task="z, dz/dscale and dz/dshape at uniform noise u, each of the shape of u, where P(Z > z) is "
    "exp(-(z / scale)^shape)",
    arguments="u, scale, shape",
    laws=(
        Law("z has the Weibull distribution", _has_the_law),
        Law("dscale and dshape are the slopes of z at fixed noise", _quantile_slopes),
    ),
    zoo=(
        Mistake(
            "power upside down",
            "-log u is raised to the power shape; solving for z gives the power 1 / shape.",
            _weibull_of(_upper, _by_scale, lambda z, scale, shape: z * np.log(z / scale) / shape, power=1),
        ),
        Mistake(
            "sign of dshape",
            "the sign of dshape is turned: the exponent is 1 / shape, whose slope is -1 / shape^2.",
            _weibull_of(_upper, _by_scale, lambda z, scale, shape: z * np.log(z / scale) / shape),
        ),
        Mistake(
            "log z for log(z / scale)",
            "in dshape the logarithm is that of z / scale: the scale stands outside the power.",
            _weibull_of(_upper, _by_scale, lambda z, scale, shape: -z * np.log(z) / shape),
        ),
        Mistake(
            "divided by shape twice",
            "d(1 / shape) = -1 / shape^2, and log(-log u) = shape log(z / scale): one shape cancels.",
            _weibull_of(_upper, _by_scale, lambda z, scale, shape: -z * np.log(z / scale) / shape**2),
        ),
        Mistake(
            "dscale is z",
            "dz/dscale is z / scale: scale is a factor of z.",
            _weibull_of(_upper, lambda z, scale, shape: z, _by_shape),
        ),
        Mistake(
            "score",
            "these are slopes of the log-density at fixed z; the path is the slope of z at fixed u.",
            _weibull_of(
                _upper,
                lambda z, scale, shape: shape / scale * ((z / scale) ** shape - 1),
                lambda z, scale, shape: 1 / shape + np.log(z / scale) * (1 - (z / scale) ** shape),
            ),
        ),
        Mistake(
            "no logarithm of u",
            "z is made of u itself: solve u = exp(-(z / scale)^shape) for z, which takes a logarithm.",
            _weibull_of(lambda u: u, _by_scale, _by_shape),
        ),
    ),
    example=lambda rng: _weibull_problem(rng, 6),
)


# ------------------------------------------------------------------------------------- implicit_path


def _implicit_problem(rng: Rng, n: int) -> tuple[Any, Any, Array, float, float]:
    """Return a distribution function that is smooth and not monotonous in theta, its density, and where to take it."""
    a, b = rng.uniform(0.5, 2), rng.normal()

    def logit(z: Any, theta: Any) -> Any:
        return a * z + theta * z**3 / 3 + b * np.cos(theta) + theta**2 * 0.1

    def cdf(z: Any, theta: Any) -> Any:
        return 1 / (1 + np.exp(-logit(z, theta)))

    def density(z: Any, theta: Any) -> Any:
        return cdf(z, theta) * (1 - cdf(z, theta)) * (a + theta * z**2)

    return cdf, density, rng.normal(size=n), float(rng.uniform(0.3, 1.5)), 1e-4


def _exponential(implicit_path: Callable[..., Any], rng: Rng) -> None:
    for n in (3, 6):
        z, rate = rng.exponential(size=n), float(rng.uniform(0.5, 2))
        got = array(
            "dz/dtheta of the exponential distribution",
            implicit_path(lambda t, r: 1 - np.exp(-r * t), lambda t, r: r * np.exp(-r * t), z, rate, 1e-3),
            (n,),
        )
        why = "z = -log(1 - u) / rate, so dz/drate = -z / rate: the quantile's own slope"
        close("dz/dtheta of the exponential distribution", got, -z / rate, why, tolerance=1e-5)


def _holds_the_level(implicit_path: Callable[..., Any], rng: Rng) -> None:
    for n, h in ((5, 1e-2), (2, 1e-4), (1, 3e-2)):
        cdf, density, z, theta, _ = _implicit_problem(rng, n)
        got = array("dz/dtheta", implicit_path(cdf, density, z, theta, h), (n,))
        want = -(cdf(z, theta + h) - cdf(z, theta - h)) / (2 * h) / density(z, theta)
        why = "-(F(z; theta + h) - F(z; theta - h)) / (2 h) over the density at theta: F(z(theta); theta) stays u"
        close("dz/dtheta", got, want, why)


def _difference(cdf: Any, z: Array, theta: float, h: float) -> Any:
    return (cdf(z, theta + h) - cdf(z, theta - h)) / (2 * h)


IMPLICIT_PATH = Exercise(
    id="families.implicit-path",
    task="dz/dtheta at fixed noise, of the shape of z, from the distribution function cdf(z, theta) and the density(z, "
    "theta) alone; dF/dtheta by a central difference of step h",
    arguments="cdf, density, z, theta, h",
    laws=(
        Law("for the exponential distribution it is the quantile's slope", _exponential),
        Law("F stays at its level", _holds_the_level),
    ),
    zoo=(
        Mistake(
            "sign",
            "the minus is missing: where F grows with theta, z has to move to the left to stay on its level.",
            lambda cdf, density, z, theta, h: _difference(cdf, z, theta, h) / density(z, theta),
        ),
        Mistake(
            "no density",
            "the density is missing: dF/dtheta is a change of probability; divide by p(z) to have one of z.",
            lambda cdf, density, z, theta, h: -_difference(cdf, z, theta, h),
        ),
        Mistake(
            "times the density",
            "the density belongs below: dz = -dF / p.",
            lambda cdf, density, z, theta, h: -_difference(cdf, z, theta, h) * density(z, theta),
        ),
        Mistake(
            "forward difference",
            "this is a forward difference, whose error is proportional to h; the central one's is to h^2.",
            lambda cdf, density, z, theta, h: -(cdf(z, theta + h) - cdf(z, theta)) / h / density(z, theta),
        ),
        Mistake(
            "divided by h",
            "theta + h and theta - h are 2 h apart.",
            lambda cdf, density, z, theta, h: -2 * _difference(cdf, z, theta, h) / density(z, theta),
        ),
        Mistake(
            "slope of the density",
            "the density was differentiated by theta; it is the distribution function that stays at its level.",
            lambda cdf, density, z, theta, h: -_difference(density, z, theta, h) / density(z, theta),
        ),
        Mistake(
            "difference in z",
            "F was differentiated by z, which is the density; the numerator is its slope in theta.",
            lambda cdf, density, z, theta, h: -(cdf(z + h, theta) - cdf(z - h, theta)) / (2 * h) / density(z, theta),
        ),
    ),
    example=lambda rng: (*_implicit_problem(rng, 5)[:4], 0.05),
)


# ------------------------------------------------------------------------------------ dirichlet_path


def _gammas(rng: Rng, n: int, D: int) -> tuple[Array, Array]:
    slopes = rng.uniform(-1, 2, (n, D))  # of both signs: fixed noise of another kind than a quantile's has both
    return rng.gamma(1.5, size=(n, D)) + 0.05, slopes


def _dirichlet(dirichlet_path: Callable[..., Any], g: Array, dlog_g: Array) -> list[Array]:
    n, D = g.shape
    return parts("z, dz", dirichlet_path(g, dlog_g), (n, D), (n, D, D))


def _on_the_simplex(dirichlet_path: Callable[..., Any], rng: Rng) -> None:
    for n, D in ((4, 3), (2, 5)):
        g, dlog_g = _gammas(rng, n, D)
        z, dz = _dirichlet(dirichlet_path, g, dlog_g)
        close("The sum of z over its parts", z.sum(axis=1), 1.0, "a draw lies on the simplex")
        close("The sum of dz[n, i, j] over j", dz.sum(axis=2), 0.0, "the draw stays on the simplex when alpha_i moves")


def _slopes_on_simplex(dirichlet_path: Callable[..., Any], rng: Rng) -> None:
    for n, D in ((5, 3), (3, 2), (2, 4), (1, 6)):
        g, dlog_g = _gammas(rng, n, D)
        z, dz = _dirichlet(dirichlet_path, g, dlog_g)
        close("z", z, g / g.sum(axis=1, keepdims=True), "z_j = g_j / sum g")
        want = np.empty((n, D, D))
        for row, i, j in np.ndindex(n, D, D):
            total = g[row].sum()
            dg = g[row, i] * dlog_g[row, i]  # only g_i moves with alpha_i
            want[row, i, j] = dg * ((i == j) / total - g[row, j] / total**2)
        close("dz", dz, want, "dz_j/dalpha_i = (delta_ij - z_i) z_j dlog g_i/dalpha_i, with alpha_i first")


def _simplex(g: Array) -> Array:
    return g / g.sum(axis=1, keepdims=True)


def _right(z: Array, moves: Array) -> Array:
    return (np.eye(z.shape[1]) - z[:, :, None]) * z[:, None, :] * moves[:, :, None]


DIRICHLET_PATH = Exercise(
    id="families.dirichlet-path",
    task="z, shape (n, D), and dz with dz[n, i, j] = dz_j/dalpha_i, shape (n, D, D): z_j = g_j / sum_k g_k, where g "
    "(n, D) are gamma draws and dlog_g (n, D) holds dlog g_i/dalpha_i at fixed noise; g_i depends on alpha_i alone",
    arguments="g, dlog_g",
    laws=(
        Law("the draws lie and stay on the simplex", _on_the_simplex),
        Law("dz is the chain rule through g", _slopes_on_simplex),
    ),
    zoo=(
        Mistake(
            "transposed",
            "dz[n, i, j] has the parameter alpha_i first and the part z_j last, and the slope is that of g_i; this is "
            "its transpose.",
            lambda g, dlog_g: (_simplex(g), _right(_simplex(g), dlog_g).transpose(0, 2, 1)),
        ),
        Mistake(
            "sum held fixed",
            "the sum of g moves with alpha_i, too, so every part of z does; only the diagonal is filled here.",
            lambda g, dlog_g: (_simplex(g), np.eye(g.shape[1]) * (_simplex(g) * dlog_g)[:, None, :]),
        ),
        Mistake(
            "dlog_g as dg",
            "dlog_g holds slopes of log g: dg_i = g_i dlog g_i.",
            lambda g, dlog_g: (_simplex(g), _right(_simplex(g), dlog_g / g)),
        ),
        Mistake(
            "slope of log z",
            "dz is divided by z here: that is the slope of log z_j.",
            lambda g, dlog_g: (
                _simplex(g),
                (np.eye(g.shape[1]) - _simplex(g)[:, :, None]) * dlog_g[:, :, None] + 0 * g[:, None, :],
            ),
        ),
        Mistake(
            "sign",
            "the sign is turned: a larger alpha_i makes z_i larger.",
            lambda g, dlog_g: (_simplex(g), -_right(_simplex(g), dlog_g)),
        ),
        Mistake(
            "not divided",
            "z is g itself: divide it by its sum over the parts.",
            lambda g, dlog_g: (g, np.eye(g.shape[1]) * (g * dlog_g)[:, None, :]),
        ),
    ),
    example=lambda rng: _gammas(rng, 4, 3),
)


# ---------------------------------------------------------------------------------- uniform_gradient

_X, _W = np.polynomial.legendre.leggauss(12)
_U, _WEIGHTS = (_X + 1) / 2, _W / 2  # exact for polynomials of degree 23 on (0, 1)


def _constant(uniform_gradient: Callable[..., Any], rng: Rng) -> None:
    high, c = float(rng.uniform(0.5, 3)), float(rng.normal()) + 3
    for u in (_U, rng.random(5)):
        got = array("The estimate", uniform_gradient(lambda z: np.full(np.shape(z), c), high, u), u.shape)
        close(
            "The estimate where f is constant",
            got,
            0.0,
            "E[f] does not move: the score's -f / high and the flux cancel",
        )


def _mean_is_right(uniform_gradient: Callable[..., Any], rng: Rng) -> None:
    for power in (1, 2, 3):
        high = float(rng.uniform(0.5, 3))
        got = array("The estimate", uniform_gradient(lambda z, k=power: z**k + 2.0, high, _U), _U.shape)
        want = power * high ** (power - 1) / (power + 1)
        close(
            f"The mean of the estimate for f = z^{power} + 2",
            np.array(_WEIGHTS @ got),
            want,
            f"E[f] = high^{power} / {power + 1} + 2, differentiated",
        )


def _score_and_flux(uniform_gradient: Callable[..., Any], rng: Rng) -> None:
    for n, sign in ((3, 1.0), (8, -1.0), (1, 2.0)):
        high, u = float(rng.uniform(0.5, 3)), rng.random(n)
        got = array("The estimate", uniform_gradient(lambda z, a=sign: a * (np.cos(2 * z) + z), high, u), (n,))
        values = sign * np.array([np.cos(2 * z) + z for z in high * u])
        want = sign * (np.cos(2 * high) + high) / high - values / high
        close("The estimate", got, want, "f(z) times the score -1 / high, plus the flux f(high) / high, draw by draw")


UNIFORM_GRADIENT = Exercise(
    id="families.uniform-gradient",
    task="an unbiased estimate of dE[f(z)]/dhigh for z = high u uniform on (0, high), from values of f alone, one a "
    "draw, of the shape of u: the score's part, and what goes in over the end that moves",
    arguments="f, high, u",
    laws=(
        Law("a constant f has no gradient, draw by draw", _constant),
        Law("its mean is the derivative of E[f]", _mean_is_right),
        Law("it is score and flux, draw by draw", _score_and_flux),
    ),
    zoo=(
        Mistake(
            "score alone",
            "this is f times the score, -f(z) / high. The support moves: f(high) p(high) comes in over its end.",
            lambda f, high, u: -f(high * u) / high,
        ),
        Mistake(
            "flux alone",
            "this is the flux over the end alone; the density inside falls as the interval grows, the score's part.",
            lambda f, high, u: f(np.full_like(u, high)) / high,
        ),
        Mistake(
            "sign of the score",
            "the score of the uniform density is -1 / high: a longer interval has a lower density.",
            lambda f, high, u: (f(np.full_like(u, high)) + f(high * u)) / high,
        ),
        Mistake(
            "sign",
            "the sign is turned: where f is higher at the end than inside, E[f] rises with high.",
            lambda f, high, u: (f(high * u) - f(np.full_like(u, high))) / high,
        ),
        Mistake(
            "f at u",
            "f is taken at u; it belongs at the draw z = high u.",
            lambda f, high, u: (f(np.full_like(u, high)) - f(u)) / high,
        ),
        Mistake(
            "no density at the end",
            "the flux is f(high) times the density there, 1 / high.",
            lambda f, high, u: f(np.full_like(u, high)) - f(high * u) / high,
        ),
        Mistake(
            "not divided",
            "both parts are to be divided by high: the density is 1 / high.",
            lambda f, high, u: f(np.full_like(u, high)) - f(high * u),
        ),
    ),
    example=lambda rng: (lambda z: np.exp(-z) + 0.3 * z, float(rng.uniform(0.5, 3)), rng.random(5)),
)

EXERCISES = (WEIBULL, IMPLICIT_PATH, DIRICHLET_PATH, UNIFORM_GRADIENT)
