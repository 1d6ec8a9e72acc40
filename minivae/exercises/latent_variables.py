"""Exercises of the lecture "Latent variables and maximum likelihood"."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.classical.gaussian_mixture import GaussianMixture
from minivae.core.arrays import Array
from minivae.exercises.framework import Exercise, Law, Mistake
from minivae.exercises.laws import BrokenLawError, array, close, parts, shown

Rng = np.random.Generator
_SIZES = ((7, 3, 2), (5, 2, 4), (11, 4, 1), (3, 5, 7))  # n, K, d: never two alike


def _shares(rng: Rng, n: int, K: int) -> Array:
    return rng.dirichlet(np.ones(K), size=n)


def _log(p: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.log(p)


# ------------------------------------------------------------------------------------- cross_entropy


def _counted(rng: Rng, n_values: int) -> tuple[Any, Array]:
    return rng.integers(1, 9, size=n_values), rng.dirichlet(np.ones(n_values))


def _mean_log_likelihood(cross_entropy: Callable[..., Any], rng: Rng) -> None:
    for n_values in (2, 5, 9):
        counts, q = _counted(rng, n_values)
        x = np.repeat(np.arange(n_values), counts)  # the observations themselves
        got = array("The cross-entropy", cross_entropy(counts, q), ())
        close("The cross-entropy", got, -np.log(q[x]).mean(), "minus the mean of log q(x) over the observations")


def _uniform(cross_entropy: Callable[..., Any], rng: Rng) -> None:
    for n_values in (3, 8):
        counts, _ = _counted(rng, n_values)
        got = array("The cross-entropy", cross_entropy(counts, np.full(n_values, 1 / n_values)), ())
        close("The cross-entropy from a uniform q", got, np.log(n_values), "log V: all values are equally dear")


def _rare(cross_entropy: Callable[..., Any], rng: Rng) -> None:
    counts, q = _counted(rng, 5)
    q[:2] = 1e-250, 1e-9
    q[2:] /= q[2:].sum()
    x = np.repeat(np.arange(5), counts)
    why = "a value that was seen costs -log q, however large that is: nothing is added to q, and q is not clipped"
    got = array("The cross-entropy, with values seen that have q = 1e-250 and 1e-9", cross_entropy(counts, q), ())
    close("The cross-entropy, with values seen that have q = 1e-250 and 1e-9", got, -np.log(q[x]).mean(), why)
    q[0] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        got = np.asarray(cross_entropy(counts, q))
    if not (got.shape == () and got == np.inf):
        raise BrokenLawError(
            f"The cross-entropy, with a value that was seen and q = 0, should be infinite, got {shown(got.item())}. "
            "The law: what the model holds for impossible has come, so its log-likelihood is -infinity."
            if got.size == 1
            else "The cross-entropy must be one number."
        )


def _unseen(cross_entropy: Callable[..., Any], rng: Rng) -> None:
    counts, q = _counted(rng, 4)
    unseen = np.where(np.arange(4) == rng.integers(4), 0, counts)
    x = np.repeat(np.arange(4), unseen)
    got = array("The cross-entropy, with a value of no count", cross_entropy(unseen, q), ())
    close(
        "The cross-entropy, with a value of no count",
        got,
        -np.log(q[x]).mean(),
        "q stays as it is: it holds its own share",
    )
    longer = np.append(counts, 0), np.append(q, 0.0)
    got = array("The cross-entropy, with a value of no count and q = 0", cross_entropy(*longer), ())
    x = np.repeat(np.arange(4), counts)
    close("The cross-entropy, with a value of no count and q = 0", got, -np.log(q[x]).mean(), "0 log 0 counts as 0")


CROSS_ENTROPY = Exercise(
    id="latent_variables.cross-entropy",
    task="H(p^, q) in nats, one number: p^ is the empirical distribution of V values seen counts times, q the model's "
    "probabilities, both of shape (V,); a value that was never seen costs nothing, even where q is 0, and one that was "
    "seen there costs infinitely much",
    arguments="counts, q",
    laws=(
        Law("it is log V where q is uniform", _uniform),
        Law("it is minus the mean log-likelihood of the observations", _mean_log_likelihood),
        Law("a value that was never seen costs nothing", _unseen),
        Law("a value that was seen costs -log q, however small q is", _rare),
    ),
    zoo=(
        Mistake(
            "sum over the observations",
            "the counts were not divided by their sum: this is the sum over the observations, not their mean.",
            lambda counts, q: -np.sum(counts * _log(q), where=counts > 0),
        ),
        Mistake(
            "sign",
            "the sign is turned: log q is negative, and an entropy is not.",
            lambda counts, q: np.sum(counts / counts.sum() * _log(q), where=counts > 0),
        ),
        Mistake(
            "bits",
            "this is in bits (log2); the course counts in nats (log).",
            lambda counts, q: -np.sum(counts / counts.sum() * _log(q), where=counts > 0) / np.log(2),
        ),
        Mistake(
            "the other way round",
            "p^ and q have changed places: the logarithm is taken of the model, the weights are the data's.",
            lambda counts, q: -np.sum(q * _log(counts / counts.sum()), where=counts > 0),
        ),
        Mistake(
            "entropy",
            "this is the entropy of p^, which does not know the model.",
            lambda counts, q: -np.sum(counts / counts.sum() * _log(counts / counts.sum()), where=counts > 0) + 0 * q[0],
        ),
        Mistake(
            "KL",
            "this is KL(p^ || q): the cross-entropy less the entropy of p^.",
            lambda counts, q: np.sum(counts / counts.sum() * (_log(counts / counts.sum()) - _log(q)), where=counts > 0),
        ),
        Mistake(
            "mean over the values",
            "every value has the weight 1 / V here; the weight is how often it was seen.",
            lambda counts, q: -np.sum(_log(q), where=counts > 0) / len(q),
        ),
    ),
    example=lambda rng: _counted(rng, 6),
)


# ---------------------------------------------------------------------------------- responsibilities


def _mixture(rng: Rng, n: int, K: int, d: int) -> tuple[Array, Array, Array, Array]:
    """Return x, w, m, s2."""
    weights = rng.dirichlet(np.full(K, 3.0))
    return rng.normal(size=(n, d)), weights, rng.normal(size=(K, d)), rng.uniform(0.3, 2.0, K)


def _posterior(x: Array, w: Array, m: Array, s2: Array) -> Array:
    return GaussianMixture(w, m, np.repeat(s2[:, None], m.shape[1], axis=1)).responsibilities(x)


def _distributions(responsibilities: Callable[..., Any], rng: Rng) -> None:
    for n, K, d in _SIZES:
        r = array("r", responsibilities(*_mixture(rng, n, K, d)), (n, K))
        close("The sum of r over the components", r.sum(axis=1), 1.0, "each row is a distribution over the components")


def _bayes(responsibilities: Callable[..., Any], rng: Rng) -> None:
    for n, K, d in _SIZES:
        problem = _mixture(rng, n, K, d)
        r = array("r", responsibilities(*problem), (n, K))
        close("r", r, _posterior(*problem), "Bayes: p(k | x) = w_k N(x; m_k, s2_k I) / sum_j w_j N(x; m_j, s2_j I)")


def _far_away(responsibilities: Callable[..., Any], rng: Rng) -> None:
    x, w, m, s2 = _mixture(rng, 4, 3, 2)
    x = x + np.array([[0.0], [100.0], [1000.0], [-300.0]])  # each row with a largest logarithm of its own
    with np.errstate(divide="ignore", invalid="ignore", under="ignore"):
        r = array("r of rows that are far from all components", responsibilities(x, w, m, s2), (4, 3))
    close(
        "r of rows that are far from all components",
        r,
        _posterior(x, w, m, s2),
        "Bayes, where every density underflows: subtract the largest logarithm of each row before exp",
    )


def _joint(x: Array, w: Array, m: Array, s2: Array, power: float = 0.5, width: float = 1.0) -> Array:
    """Return log w + log N, with a choice of wrong normalisers and widths."""
    d = x.shape[1]
    distance = np.square(x[:, None] - m).sum(axis=2)
    return np.log(w) - 0.5 * distance / s2**width - power * d * np.log(s2)


def _softmax(a: Array, axis: int = 1) -> Array:
    a = np.exp(a - a.max(axis=axis, keepdims=True))
    return a / a.sum(axis=axis, keepdims=True)


RESPONSIBILITIES = Exercise(
    id="latent_variables.responsibilities",
    task="r_nk = p(k | x_n), shape (n, K), under the mixture of N(m_k, s2_k I) with weights w; x has shape (n, d), "
    "w and s2 (K,), m (K, d); right also for rows far away from all components",
    arguments="x, w, m, s2",
    laws=(
        Law("each row is a distribution over the components", _distributions),
        Law("it is Bayes' rule", _bayes),
        Law("far rows, whose densities underflow, have responsibilities too", _far_away),
    ),
    zoo=(
        Mistake(
            "no weights",
            "the weights w are missing: a component that is rare beforehand is less likely afterwards, too.",
            lambda x, w, m, s2: _softmax(_joint(x, w, m, s2) - np.log(w)),
        ),
        Mistake(
            "over the rows",
            "each column sums to 1 here: normalise over the components (axis=1), for each row of x.",
            lambda x, w, m, s2: _softmax(_joint(x, w, m, s2), axis=0),
        ),
        Mistake(
            "no normaliser",
            "the density's own normaliser, s2 to the power -d/2, is missing: wide components are too likely.",
            lambda x, w, m, s2: _softmax(_joint(x, w, m, s2, power=0.0)),
        ),
        Mistake(
            "normaliser of one dimension",
            "the normaliser is s2^(-1/2) for each of the d dimensions, so s2^(-d/2) together.",
            lambda x, w, m, s2: _softmax(_joint(x, w, m, s2, power=0.5 / x.shape[1])),
        ),
        Mistake(
            "s2 as a standard deviation",
            "s2 is the variance; here it was taken for the standard deviation.",
            lambda x, w, m, s2: _softmax(_joint(x, w, m, s2, power=1.0, width=2.0)),
        ),
        Mistake(
            "nearest only",
            "each row goes to its likeliest component whole: that is k-means' hard choice, not a posterior.",
            lambda x, w, m, s2: np.eye(len(w))[_joint(x, w, m, s2).argmax(axis=1)],
        ),
        Mistake(
            "the joint",
            "this is w_k N(x; m_k, s2_k I) itself: divide by its sum over k, which is p(x).",
            lambda x, w, m, s2: np.exp(_joint(x, w, m, s2) - 0.5 * x.shape[1] * np.log(2 * np.pi)),
        ),
    ),
    example=lambda rng: _mixture(rng, 6, 3, 4),
)


# -------------------------------------------------------------------------------------------- m_step


def _data(rng: Rng, n: int, K: int, d: int) -> tuple[Array, Array]:
    return rng.normal(size=(n, d)) + rng.normal(size=d), _shares(rng, n, K)


def _best(x: Array, r: Array) -> tuple[Array, Array, Array]:
    """Return w, m, s2, component by component."""
    w, m, s2 = [], [], []
    for share in r.T:
        w.append(np.mean(share))
        m.append(np.average(x, axis=0, weights=share))
        s2.append(np.average(np.square(x - m[-1]).mean(axis=1), weights=share))
    return np.array(w), np.array(m), np.array(s2)


def _parameters(m_step: Callable[..., Any], x: Array, r: Array) -> list[Array]:
    K, d = r.shape[1], x.shape[1]
    return parts("w, m, s2", m_step(x, r), (K,), (K, d), (K,))


def _part(i: int, name: str, why: str) -> Callable[..., None]:
    def holds(m_step: Callable[..., Any], rng: Rng) -> None:
        for n, K, d in _SIZES:
            x, r = _data(rng, n, K, d)
            close(name, _parameters(m_step, x, r)[i], _best(x, r)[i], why)

    return holds


def _fitted(centre: Callable[[Array, Array, Array], Array], divide: Callable[..., Any]) -> Callable[..., Any]:
    """Return an M-step whose variance is taken around ``centre(x, r, m)``, divided by ``divide(n_k, d)``."""

    def m_step(x: Array, r: Array) -> tuple[Array, Array, Array]:
        n_k = r.sum(axis=0)
        m = r.T @ x / n_k[:, None]
        distance = np.square(x[:, None] - centre(x, r, m)).sum(axis=2)
        return n_k / len(x), m, (r * distance).sum(axis=0) / divide(n_k, x.shape[1])

    return m_step


def _own(x: Array, r: Array, m: Array) -> Array:  # noqa: ARG001
    return m


M_STEP = Exercise(
    id="latent_variables.m-step",
    task="w (K,), m (K, d) and s2 (K,) of a mixture of N(m_k, s2_k I) that maximise sum_nk r_nk log[w_k N(x_n; m_k, "
    "s2_k I)]; x has shape (n, d), r (n, K)",
    arguments="x, r",
    laws=(
        Law("w is each component's share of the rows", _part(0, "w", "w_k = n_k / n with n_k = sum_n r_nk")),
        Law("m is the mean of the rows, weighted by r", _part(1, "m", "m_k = sum_n r_nk x_n / n_k")),
        Law(
            "s2 is the weighted mean square distance to m, for each dimension",
            _part(2, "s2", "s2_k = sum_n r_nk |x_n - m_k|^2 / (d n_k)"),
        ),
    ),
    zoo=(
        Mistake(
            "n_k as weights",
            "w has to sum to 1: divide n_k by the number of rows.",
            lambda x, r: (r.sum(axis=0), *_fitted(_own, lambda n_k, d: d * n_k)(x, r)[1:]),
        ),
        Mistake(
            "sum over the dimensions",
            "s2 is the variance of one dimension; the squared distance adds up d of them, so divide by d.",
            _fitted(_own, lambda n_k, d: n_k),
        ),
        Mistake(
            "around the mean of all",
            "s2 is measured around the mean of all rows; each component's variance is around its own mean.",
            _fitted(lambda x, r, m: x.mean(axis=0) + 0 * m, lambda n_k, d: d * n_k),
        ),
        Mistake(
            "divided by n_k - 1",
            "n_k - 1 makes a variance unbiased; the likelihood is highest with n_k.",
            _fitted(_own, lambda n_k, d: d * (n_k - 1)),
        ),
        Mistake(
            "divided by n",
            "m and s2 are divided by n; divide by n_k, the rows that the component has.",
            lambda x, r: (
                r.mean(axis=0),
                r.T @ x / len(x),
                (r * np.square(x[:, None] - r.T @ x / len(x)).sum(axis=2)).sum(axis=0) / (len(x) * x.shape[1]),
            ),
        ),
        Mistake(
            "hard",
            "each row counts for its likeliest component alone: that is k-means; here a row counts for all, by r.",
            lambda x, r: _fitted(_own, lambda n_k, d: d * n_k)(x, np.eye(r.shape[1])[r.argmax(axis=1)] + 1e-12),
        ),
        Mistake(
            "r not used",
            "r is ignored: every component gets the mean and variance of all rows.",
            lambda x, r: _fitted(_own, lambda n_k, d: d * n_k)(x, np.full_like(r, 1 / r.shape[1])),
        ),
    ),
    example=lambda rng: _data(rng, 8, 3, 2),
)


# --------------------------------------------------------------------------------------- free_energy


def _joint_and_shares(rng: Rng, n: int, K: int) -> tuple[Array, Array]:
    return rng.normal(size=(n, K)) - 2, _shares(rng, n, K)


def _bound(log_joint: Array, r: Array) -> Array:
    """Return log p(x) - KL(r || posterior), row by row."""
    log_p = np.logaddexp.reduce(log_joint, axis=1)
    log_posterior = log_joint - log_p[:, None]
    return log_p - np.sum(r * (np.log(r) - log_posterior), axis=1)


def _small_shares(rng: Rng) -> Array:
    """Return rows of three shares, of which two are 1e-1, 1e-2, ... 1e-9 and a part of that."""
    small = 10.0 ** -np.arange(1, 10)[:, None] * rng.uniform(0.2, 0.8, (9, 2))
    return np.hstack([small, 1 - small.sum(axis=1, keepdims=True)])


def _touches(free_energy: Callable[..., Any], rng: Rng) -> None:
    for n, K, _ in _SIZES:
        log_joint, _ = _joint_and_shares(rng, n, K)
        log_p = np.logaddexp.reduce(log_joint, axis=1)
        got = array("F", free_energy(log_joint, np.exp(log_joint - log_p[:, None])), (n,))
        close("F at the posterior", got, log_p, "at r = p(k | x) the bound is log p(x)")


def _gap(free_energy: Callable[..., Any], rng: Rng) -> None:
    for n, K, _ in _SIZES:
        log_joint, r = _joint_and_shares(rng, n, K)
        got = array("F", free_energy(log_joint, r), (n,))
        close("F", got, _bound(log_joint, r), "F = log p(x) - KL(r || p(k | x)), one value for each row")
    r = _small_shares(rng)
    log_joint, _ = _joint_and_shares(rng, *r.shape)
    got = array("F", free_energy(log_joint, r), (len(r),))
    close("F of small shares", got, _bound(log_joint, r), "a small share r has -r log r, too: r is not clipped")


def _certain(free_energy: Callable[..., Any], rng: Rng) -> None:
    n, K = 5, 3
    log_joint, _ = _joint_and_shares(rng, n, K)
    chosen = rng.integers(K, size=n)
    with np.errstate(divide="ignore", invalid="ignore"):
        got = array("F of an r of zeros and ones", free_energy(log_joint, np.eye(K)[chosen]), (n,))
    close("F of an r of zeros and ones", got, log_joint[np.arange(n), chosen], "0 log 0 = 0: no entropy is left")


def _entropy(r: Array) -> Array:
    return -np.sum(r * np.log(r, where=r > 0, out=np.zeros_like(r)), axis=1)


FREE_ENERGY = Exercise(
    id="latent_variables.free-energy",
    task="the ELBO of each row, shape (n,): sum_k r_nk [log p(x_n, k) - log r_nk], with 0 log 0 = 0; log_joint and r "
    "have shape (n, K)",
    arguments="log_joint, r",
    laws=(
        Law("at the posterior it is log p(x)", _touches),
        Law("elsewhere it lies below by the KL to the posterior", _gap),
        Law("an r of zeros and ones has no entropy", _certain),
    ),
    zoo=(
        Mistake(
            "no entropy",
            "the entropy of r, -sum r log r, is missing: without it r would put all its weight on one component.",
            lambda log_joint, r: np.sum(r * log_joint, axis=1),
        ),
        Mistake(
            "entropy subtracted",
            "the entropy -sum r log r is added to the bound; here its sign is turned.",
            lambda log_joint, r: np.sum(r * log_joint, axis=1) - _entropy(r),
        ),
        Mistake(
            "log of the mean",
            "this is log sum_k r_k p(x, k): the logarithm belongs inside the sum, that is Jensen's step.",
            lambda log_joint, r: np.log(np.sum(r * np.exp(log_joint), axis=1)),
        ),
        Mistake(
            "log p(x)",
            "this is log p(x), whatever r is; the bound touches it only where r is the posterior.",
            lambda log_joint, r: np.logaddexp.reduce(log_joint, axis=1),
        ),
        Mistake(
            "sum over the rows",
            "one number comes back for all rows; sum over the components only (axis=1).",
            lambda log_joint, r: np.sum(r * log_joint) + _entropy(r).sum(),
        ),
        Mistake(
            "mean over the components",
            "the weights r already sum to 1: add the components up, do not average them again.",
            lambda log_joint, r: (np.sum(r * log_joint, axis=1) + _entropy(r)) / r.shape[1],
        ),
        Mistake(
            "0 log 0",
            "where r is 0 this gives NaN: 0 log 0 counts as 0. Leave those terms out, or use scipy.special.xlogy.",
            lambda log_joint, r: np.sum(r * (log_joint - _log(r)) + (0 * r) * _log(r), axis=1),
        ),
    ),
    example=lambda rng: (_joint_and_shares(rng, 4, 3)[0], np.vstack([_shares(rng, 3, 3), [0.0, 1.0, 0.0]])),
)


# ------------------------------------------------------------------------------------ grid_posterior


def _on_grid(rng: Rng, n: int) -> tuple[Array, float]:
    z = np.linspace(-8.0, 9.0, n)
    first, second = rng.uniform(-2, 2, size=2)  # far from both ends, where a trapezoid counts half
    two = np.logaddexp(-0.5 * (z - first) ** 2 / 0.3, rng.normal() - 0.5 * (z - 2 - second) ** 2 / 0.6)
    return two + rng.normal() - 4, float(z[1] - z[0])


def _log_evidence(log_joint: Array, dz: float) -> float:
    return float(np.logaddexp.reduce(log_joint) + np.log(dz))


def _answer(grid_posterior: Callable[..., Any], log_joint: Array, dz: float) -> list[Array]:
    return parts("log_p, density", grid_posterior(log_joint, dz), (), log_joint.shape)


def _integrates(grid_posterior: Callable[..., Any], rng: Rng) -> None:
    for n in (173, 401):
        log_joint, dz = _on_grid(rng, n)
        _, density = _answer(grid_posterior, log_joint, dz)
        close("The sum of density times dz", np.array(density.sum() * dz), 1.0, "a density integrates to 1")


def _is_bayes(grid_posterior: Callable[..., Any], rng: Rng) -> None:
    for n in (173, 401):
        log_joint, dz = _on_grid(rng, n)
        log_p, density = _answer(grid_posterior, log_joint, dz)
        close("log_p", log_p, _log_evidence(log_joint, dz), "p(x) = sum of p(x, z) dz over the grid")
        want = np.exp(log_joint - _log_evidence(log_joint, dz))
        close("density", density, want, "p(z | x) = p(x, z) / p(x)")
        far = want > 1e-250
        close("density over p(x, z) / p(x)", (density / want)[far], 1.0, "the same, where it is small, too", 1e-6)


def _small(grid_posterior: Callable[..., Any], rng: Rng) -> None:
    why = "p(x, z) of an image is far below the smallest float: subtract the largest logarithm before exp"
    for times in (1, 40):  # at the second, log p(x, z) at the ends of the grid is lower by thousands
        log_joint, dz = _on_grid(rng, 211)
        log_joint = times * log_joint
        with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
            log_p, density = _answer(grid_posterior, log_joint - 5000, dz)
        log_evidence = _log_evidence(log_joint, dz)
        close("log_p, where log p(x, z) is near -5000", log_p, log_evidence - 5000, why)
        close("density, where log p(x, z) is near -5000", density, np.exp(log_joint - log_evidence), why)


def _plain(log_joint: Array, cell: float = 1.0) -> tuple[Array, Array]:
    log_p = np.logaddexp.reduce(log_joint) + np.log(cell)
    return log_p, np.exp(log_joint - log_p)


GRID_POSTERIOR = Exercise(
    id="latent_variables.grid-posterior",
    task="log_p, the number log p(x), and density, p(z | x) at the points of an even grid of step dz, from log p(x, z) "
    "at those points, shape (n,); right also where p(x, z) is too small for a float",
    arguments="log_joint, dz",
    laws=(
        Law("the density integrates to one", _integrates),
        Law("it is Bayes' rule, with a sum in place of the integral", _is_bayes),
        Law("log p(x, z) near -5000 does no harm", _small),
    ),
    zoo=(
        Mistake(
            "no dz",
            "dz is missing: the integral is a sum of p(x, z) dz. This density sums to 1, it does not integrate to 1.",
            lambda log_joint, dz: _plain(log_joint),
        ),
        Mistake(
            "no dz in log_p",
            "the density is right, but log_p lacks log dz.",
            lambda log_joint, dz: (_plain(log_joint)[0], _plain(log_joint, dz)[1]),
        ),
        Mistake(
            "p(x) for its logarithm",
            "log_p is p(x) itself; give its logarithm.",
            lambda log_joint, dz: (np.exp(_plain(log_joint, dz)[0]), _plain(log_joint, dz)[1]),
        ),
        Mistake(
            "logarithm of the density",
            "the second value is log p(z | x); give the density.",
            lambda log_joint, dz: (_plain(log_joint, dz)[0], log_joint - _plain(log_joint, dz)[0]),
        ),
        Mistake(
            "the joint",
            "the second value is p(x, z): divide it by p(x).",
            lambda log_joint, dz: (_plain(log_joint, dz)[0], np.exp(log_joint)),
        ),
        Mistake(
            "divided by its maximum",
            "the density is 1 at its highest point; it should integrate to 1.",
            lambda log_joint, dz: (_plain(log_joint, dz)[0], np.exp(log_joint - log_joint.max())),
        ),
        Mistake(
            "divided by dz",
            "dz is divided by where it should be multiplied with.",
            lambda log_joint, dz: _plain(log_joint, 1 / dz),
        ),
    ),
    example=lambda rng: _on_grid(rng, 97),
)

EXERCISES = (CROSS_ENTROPY, RESPONSIBILITIES, M_STEP, FREE_ENERGY, GRID_POSTERIOR)
