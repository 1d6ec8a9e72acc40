"""Gradient estimators side by side: what ``minivae compare`` measures, with the exact value beside each number.

A problem yields rows; a row is one estimator's gradient for one parameter (or the mean over alike parameters), by
single draws. ``z_mean`` and ``z_variance`` are distances from the exact values in standard errors.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minivae import datasets
from minivae.core import checks
from minivae.core.arrays import Array
from minivae.distributions.likelihoods import Gaussian
from minivae.distributions.linear_gaussian import LinearGaussian
from minivae.distributions.nodes import normal_nodes
from minivae.estimators.baselines import LearnedBaseline
from minivae.estimators.costs import Cosine, Exponential, Quadratic, SeparableCost
from minivae.estimators.exact.costs import exact_moments
from minivae.estimators.exact.elbo import elbo_gradient_moments
from minivae.estimators.moments import Moments, Summary, leave_one_out_excess, summarize
from minivae.estimators.on_costs import ESTIMATORS
from minivae.estimators.signals import optimal_baseline
from minivae.models.encoder_draws import EncoderDraws, EncoderEstimator, encoder_draws
from minivae.models.vae import VAE
from minivae.nn.optim import Adam
from minivae.training.loop import train
from minivae.training.settings import Settings

Row = dict[str, Any]


COSTS: dict[str, tuple[Callable[[float], SeparableCost], float, float]] = {  # and k, and sigma; mu is 1
    "quadratic": (Quadratic, 3.0, 1.0),
    "exponential": (Exponential, 0.5, 1.5),
    "cosine": (Cosine, 0.8, 1.5),
}


PROBLEMS = {  # and what it is, in words
    "quadratic": "quadratic: d/dmu, d/dsigma of E[(x - 3)^2], x ~ N(1, 1)",
    "exponential": "exponential: d/dmu, d/dsigma of E[exp(-x^2 / 2)], x ~ N(1, 1.5^2)",
    "cosine": "cosine: d/dmu, d/dsigma of E[cos 0.8 x], x ~ N(1, 1.5^2)",
    "linear-gaussian": "linear-gaussian: the ELBO's gradient for q(z|x) = N(mu, exp(log_var)), exact in closed form",
    "digits": "digits: the ELBO's gradient for the encoder of a VAE, mean over 100 images and 2 latents, exact by "
    "quadrature\n(encoder: all its weights at once; its mean is that along the exact gradient)",
}


FAR = 6.0  # standard errors that hundreds of right numbers stay within


ENCODER_ESTIMATORS = (
    "pathwise",
    "pathwise-sampled-kl",
    "path-derivative",
    "score",
    "score-sampled-kl",
    "score-constant",
    "score-mean",
    "score-optimal",
    "score-leave-one-out",
    "score-moving-average",
    "score-learned",
)


NAMES = tuple(dict.fromkeys((*ESTIMATORS, *ENCODER_ESTIMATORS)))


ENOUGH = 10_000  # draws from which on a distance in standard errors is a verdict


_GROUP = ESTIMATORS["score-leave-one-out"].n_group


_PILOT = 500  # draws that baselines are taken from, and nothing else


_EXAMPLES = 100  # test images of the digits problem


_DRAWS_AT_ONCE = 20


def known(problem: str) -> set[str]:
    """Return the names of the estimators that a problem has.

    >>> "score-learned" in known("linear-gaussian")  # with a single x there is nothing to learn
    False
    """
    if problem in COSTS:
        return set(ESTIMATORS)
    return set(ENCODER_ESTIMATORS) - ({"score-learned"} if problem == "linear-gaussian" else set())


def check_request(problem: str, names: Sequence[str], n_samples: int, seed: int) -> None:
    """Refuse what ``compare`` cannot do, before any work."""
    checks.choice(problem, PROBLEMS, "problem")
    for name in names:
        checks.choice(name, NAMES, "estimators")
    lowest = 2 * _GROUP * (_EXAMPLES if problem == "digits" else 1)
    if checks.width(n_samples, "samples") < lowest:
        raise ValueError(
            f"samples must be at least {lowest} for a variance on {problem}, got {n_samples}. Use 100000, say."
        )
    if n_samples > 10**6:
        raise ValueError(f"samples must be at most 1 million, got {n_samples}. The errors fall as 1 / sqrt(samples).")
    checks.seed(seed)


def compare(problem: str, names: Sequence[str], n_samples: int, seed: int = 0) -> Iterator[Row]:
    """Yield the rows of one problem.

    Parameters
    ----------
    problem : {"quadratic", "exponential", "cosine", "linear-gaussian", "digits"}
    names : sequence of str
        Estimators, of ``NAMES``; those that the problem does not know are passed over.
    n_samples : int
        Draws for each estimator; on the digits a hundredth of them for each of 100 images.
    seed : int

    Raises
    ------
    ValueError
        If a name is unknown, or there are too few draws for a variance.

    Examples
    --------
    >>> row = next(compare("quadratic", ["pathwise"], 1000))
    >>> row["parameter"], row["exact_mean"], row["exact_variance"]
    ('mu', -4.0, 4.0)
    """
    check_request(problem, names, n_samples, seed)
    rng = np.random.default_rng([seed, list(PROBLEMS).index(problem)])
    if problem in COSTS:
        rows = _cost(problem, names, n_samples - n_samples % _GROUP, rng)
    elif problem == "linear-gaussian":
        rows = _linear_gaussian(names, n_samples - n_samples % _GROUP, rng)
    else:
        rows = _digits(names, n_samples // _EXAMPLES // _GROUP * _GROUP, seed, rng)
    for row in rows:
        pathwise, snr, ns_per_draw = row.pop("pathwise"), row.pop("snr"), row.pop("ns_per_draw")
        ratio = row["exact_variance"] / pathwise
        yield {"problem": problem, **row, "variance_ratio": ratio, "snr": snr, "ns_per_draw": ns_per_draw}


def _cost(problem: str, names: Sequence[str], n_samples: int, rng: np.random.Generator) -> Iterator[Row]:
    """Compare on a cost of one variable, z ~ N(1, sigma^2)."""
    kind, k, sigma = COSTS[problem]
    cost = kind(k)
    eps, w = normal_nodes()
    pathwise = exact_moments("pathwise", cost, 1.0, sigma)
    assert pathwise is not None
    for name, estimator in ESTIMATORS.items():
        if name not in names:
            continue
        prepared = estimator.prepare(cost, 1.0, sigma, rng)
        prepared.gradients(cost, 1.0, sigma, prepared.draw_noise(rng, _GROUP, 1))  # compiled before the clock starts
        noise = prepared.draw_noise(rng, n_samples, 1)
        start = time.perf_counter()
        rows = prepared.gradients(cost, 1.0, sigma, noise)[:, :, 0]
        seconds = time.perf_counter() - start
        exact = exact_moments(prepared, cost, 1.0, sigma, n_samples)
        assert exact is not None
        exact = Moments(exact.mean[:, 0], exact.variance[:, 0])
        kurtosis = None
        if prepared.n_noise == 1 and prepared.n_group == 1 and name != "score-moving-average":
            kurtosis = _kurtosis(prepared.gradients(cost, 1.0, sigma, eps)[:, :, 0], w, exact)
        found = summarize(rows, exact, n_group=prepared.n_group, kurtosis=kurtosis)
        yield from _rows(name, ("mu", "sigma"), found, exact, pathwise.variance[:, 0], seconds / n_samples)


def _kurtosis(rows: Array, w: Array, exact: Moments) -> Array:
    fourth = w @ (rows - exact.mean) ** 4
    return np.divide(fourth, exact.variance**2, out=np.ones_like(fourth), where=exact.variance > 0)


def _rows(
    name: str, parameters: Sequence[str], found: Summary, exact: Moments, pathwise: Array, seconds: float
) -> Iterator[Row]:
    """Yield a row for each component of what was measured; ``pathwise`` holds the exact variances to compare with."""
    assert found.z_mean is not None
    assert found.z_variance is not None
    for i, parameter in enumerate(parameters):
        yield {
            "estimator": name,
            "parameter": parameter,
            "n_samples": found.n_draws,
            "mean": float(found.mean[i]),
            "exact_mean": float(exact.mean[i]),
            "z_mean": float(found.z_mean[i]),
            "variance": float(found.variance[i]),
            "exact_variance": float(exact.variance[i]),
            "z_variance": float(found.z_variance[i]),
            "pathwise": float(pathwise[i]),
            "snr": float(found.snr[i]),
            "ns_per_draw": 1e9 * seconds,
        }


# ------------------------------------------------------------------------------- the encoder of a VAE


def encoder_estimators(pilot: EncoderDraws) -> dict[str, EncoderEstimator]:
    """Return the estimators of the encoder's gradient by name, their constants from draws made for that alone.

    The constant baseline is log p(x|z) at the mean code; that of the moving average, which is the same for all
    examples, is where it settles: the mean over draws and examples.
    """
    f, score = pilot.values(), pilot.score
    centre = pilot.at(np.zeros((1, *pilot.eps.shape[1:]))).values()
    return {
        "pathwise": EncoderEstimator("pathwise"),
        "pathwise-sampled-kl": EncoderEstimator("pathwise", "sampled"),
        "path-derivative": EncoderEstimator("path-derivative", "sampled"),
        "score": EncoderEstimator("score"),
        "score-sampled-kl": EncoderEstimator("score", "sampled"),
        "score-constant": EncoderEstimator("score", baseline=centre[0][:, None]),
        "score-mean": EncoderEstimator("score", baseline=f.mean(axis=0)[:, None]),
        "score-optimal": EncoderEstimator("score", baseline=optimal_baseline(f, score)),
        "score-leave-one-out": EncoderEstimator("score-leave-one-out", n_group=_GROUP),
        "score-moving-average": EncoderEstimator("score", baseline=f.mean()),
    }


def linear_vae(known: LinearGaussian, V: Array, sigma: Array) -> tuple[VAE, Array]:
    """Return the VAE with decoder W z + b and q(z|x) = N(V (x - b), diag sigma^2), and its parameters.

    >>> model, params = linear_vae(LinearGaussian(np.ones((1, 1)), np.zeros(1), 1.0), np.array([[0.5]]), np.ones(1))
    >>> model.embed(params, np.array([[3.0]]))
    array([[1.5]])
    """
    p, q = known.W.shape
    model = VAE.mlp(p, q, [], likelihood=Gaussian(known.s2))
    params = np.zeros(model.n_params)
    parts = dict(model.named(params))
    parts["encoder.0.weight"][:, :q] = V.T
    parts["encoder.0.bias"][:] = np.concatenate([-V @ known.b, 2 * np.log(sigma)])
    parts["decoder.0.weight"][:] = known.W.T
    parts["decoder.0.bias"][:] = known.b
    return model, params


def _linear_gaussian(names: Sequence[str], n_samples: int, rng: np.random.Generator) -> Iterator[Row]:
    """Compare on one example of a linear-Gaussian VAE with three data dimensions and two latents."""
    known = LinearGaussian(np.array([[1.0, 0.5], [-0.3, 0.8], [0.2, -0.6]]), np.array([0.1, -0.2, 0.3]), 0.5)
    V, sigma = np.array([[0.4, -0.1, 0.2], [0.3, 0.5, -0.2]]), np.array([0.6, 0.9])
    model, params = linear_vae(known, V, sigma)
    x = np.array([[1.0, -0.5, 0.8]])
    mu, log_var = (x - known.b) @ V.T, 2 * np.log(sigma)[None]
    estimators = encoder_estimators(encoder_draws(model, params, x, rng.standard_normal((_PILOT, 1, 2))))
    nodes, w = normal_nodes(2, step=0.25)
    at_nodes = encoder_draws(model, params, x, nodes)
    pathwise = elbo_gradient_moments(known, x, mu, log_var).variance[0] / [[1.0], [4.0]]
    at_nodes.rows("pathwise")  # every kernel is loaded before the clock starts
    for name, how in estimators.items():
        if name not in names:
            continue
        eps = rng.standard_normal((n_samples, 1, 2))
        start = time.perf_counter()
        draws = encoder_draws(model, params, x, eps)
        rows = draws.rows(how.estimator, how.kl, how.baseline, how.n_group)[:, 0]
        seconds = time.perf_counter() - start
        baseline = np.broadcast_to(how.baseline, (1, 4)).reshape(1, 2, 2)
        exact = elbo_gradient_moments(known, x, mu, log_var, how.estimator, how.kl, baseline, _GROUP)
        # d log sigma = 2 d log_var
        exact = Moments(
            (exact.mean / [[1.0], [2.0]])[0].ravel(),
            (exact.variance / [[1.0], [4.0]])[0].ravel(),
        )
        kurtosis = None
        if how.n_group == 1:
            kurtosis = _kurtosis(at_nodes.rows(how.estimator, how.kl, how.baseline)[:, 0], w, exact)
        parameters = ("mu 1", "mu 2", "log_var 1", "log_var 2")
        found = summarize(rows, exact, n_group=how.n_group, kurtosis=kurtosis)
        yield from _rows(name, parameters, found, exact, pathwise.ravel(), seconds / n_samples)


def _digits(names: Sequence[str], n_draws: int, seed: int, rng: np.random.Generator) -> Iterator[Row]:
    """Compare on a VAE trained on the bundled digits: 64-128-2-128-64, tanh, so that quadrature is exact."""
    digits = datasets.load("digits-threshold")
    model = VAE.mlp(digits.n_x, 2, [128], "tanh")
    settings = Settings(epochs=60, optimizer=Adam(3e-3), seed=seed)
    params = train(model, digits.x_train, digits.x_valid, settings).params.astype(np.float64)
    x = digits.x_test[:_EXAMPLES].astype(np.float64)
    estimators = encoder_estimators(encoder_draws(model, params, x, model.draw_noise(rng, _PILOT, len(x), float)))
    if "score-learned" in names:
        c = learned_baseline(model, params, digits.x_train[:2000].astype(np.float64), x, rng)
        estimators["score-learned"] = EncoderEstimator("score", baseline=c[:, None])
    study = _EncoderStudy(model, params, x)
    for name, how in estimators.items():
        if name in names:
            yield from study.rows(name, how, n_draws, rng)


def learned_baseline(model: VAE, params: Array, x_train: Array, x: Array, rng: np.random.Generator) -> Array:
    """Return c(x), shape (B,), of a small network that has learnt f = log p(x|z) from draws on other examples."""
    rule = LearnedBaseline.mlp(model.n_x)
    state = rule.init(rng)
    for _ in range(300):
        batch = x_train[rng.integers(0, len(x_train), 128)]
        _, _, _, f = model.draw(params, batch, model.draw_noise(rng, 1, len(batch), float))
        rule.update(state, batch, f)
    return rule.predict(state, x)


class _EncoderStudy:
    """Exact moments by quadrature over the noise, and measured ones, of the gradient for a VAE's encoder."""

    def __init__(self, model: VAE, params: Array, x: Array) -> None:
        self.model, self.params, self.x = model, params, x
        nodes, self.w = normal_nodes(model.posterior.n_latent, step=0.25, far=7.0)
        self.at_nodes = encoder_draws(model, params, x, nodes)
        self.f = self.at_nodes.values()
        self.eta = np.tensordot(self.w, self.at_nodes.rows(), 1)  # (B, H): the exact gradient for the head
        encoder = model.unpack(params)[0]
        _, self.cache = model.encoder.forward(encoder, x)
        self.encoder = encoder
        self.eta_weights = self._through(self.eta)
        self.grams = self._grams()
        self.pathwise = self._variances(EncoderEstimator())

    def _through(self, dhead: Array) -> Array:
        """Return the encoder's gradient of the batch mean, by its head's gradient of each example."""
        grads = np.empty_like(self.encoder)
        self.model.encoder.backward(self.encoder, self.cache, dhead / len(self.x), grads, need_dx=False)
        return grads

    def _grams(self) -> Array:
        """<d head_i / d weights, d head_j / d weights> of each example, shape (B, H, H)."""
        n_head = self.eta.shape[1]
        grams = np.empty((len(self.x), n_head, n_head))
        slopes = np.empty((n_head, self.encoder.size))
        for b in range(len(self.x)):
            _, cache = self.model.encoder.forward(self.encoder, self.x[b : b + 1])
            for i, unit in enumerate(np.eye(n_head)):
                self.model.encoder.backward(self.encoder, cache, unit[None], slopes[i], need_dx=False)
            grams[b] = slopes @ slopes.T
        return grams

    def covariance(self, how: EncoderEstimator) -> Array:
        """Return the exact covariance of one draw's gradient for the head, shape (B, H, H).

        Leave-one-out: that of the mean as baseline, and what the other draws' noise and the shared draws add,
        (Var f E[s s^T] + E[f s] E[f s]^T) / (n - 1).
        """
        leave_one_out = how.estimator == "score-leave-one-out"
        mean_f = self.w @ self.f
        if leave_one_out:
            rows = self.at_nodes.rows("score", how.kl, mean_f[:, None]) - self.eta
        else:
            rows = self.at_nodes.rows(how.estimator, how.kl, how.baseline) - self.eta
        covariance = np.einsum("k,kbi,kbj->bij", self.w, rows, rows, optimize=True)
        if leave_one_out:
            score = self.at_nodes.score
            variance = self.w @ (self.f - mean_f) ** 2
            fs = np.einsum("k,kb,kbi->bi", self.w, self.f, score)
            ss = np.einsum("k,kbi,kbj->bij", self.w, score, score, optimize=True)
            outer = fs[:, :, None] * fs[:, None, :]
            covariance += leave_one_out_excess(variance[:, None, None], ss, outer, how.n_group)
        return covariance

    def _variances(self, how: EncoderEstimator) -> dict[str, float]:
        """Return the exact variance of a mean and of a log-variance, on average, and of all weights in sum."""
        covariance = self.covariance(how)
        diagonal = np.diagonal(covariance, axis1=1, axis2=2)
        half = diagonal.shape[1] // 2
        total = np.sum(self.grams * covariance) / len(self.x) ** 2
        return {"mu": diagonal[:, :half].mean(), "log_var": diagonal[:, half:].mean(), "encoder": total}

    def rows(self, name: str, how: EncoderEstimator, n_draws: int, rng: np.random.Generator) -> Iterator[Row]:
        """Yield a row for the means mu, for the log-variances, and for all the encoder's weights at once."""
        n_batch, n_head = self.eta.shape
        halves = {"mu": slice(0, n_head // 2), "log_var": slice(n_head // 2, n_head)}
        direction = self.eta_weights / np.linalg.norm(self.eta_weights)
        means: dict[str, list[Array]] = {name: [] for name in (*halves, "encoder")}
        squares: dict[str, list[Array]] = {name: [] for name in (*halves, "encoder")}
        seconds = 0.0
        for start in range(0, n_draws, _DRAWS_AT_ONCE):
            k = min(_DRAWS_AT_ONCE, n_draws - start)
            eps = self.model.draw_noise(rng, k, n_batch, float)
            began = time.perf_counter()
            draws = encoder_draws(self.model, self.params, self.x, eps)
            block = draws.rows(how.estimator, how.kl, how.baseline, how.n_group)
            seconds += time.perf_counter() - began
            groups = block.reshape(-1, how.n_group, n_batch, n_head).mean(axis=1)
            for part, columns in halves.items():
                means[part].append(groups[:, :, columns].mean(axis=(1, 2)))
                squares[part].append(((groups - self.eta)[:, :, columns] ** 2).mean(axis=2))
            weights = np.array([self._through(g) for g in groups])
            means["encoder"].append(weights @ direction)
            squares["encoder"].append(((weights - self.eta_weights) ** 2).sum(axis=1)[:, None])
        exact = self._variances(how)
        for part in means:
            if part == "encoder":  # its mean is that along the exact gradient
                exact_mean = np.linalg.norm(self.eta_weights)
                power = exact_mean**2
            else:
                eta = self.eta[:, halves[part]]
                exact_mean, power = eta.mean(), np.mean(eta**2)
            exact_variance = exact[part]
            mean, square = np.concatenate(means[part]), how.n_group * np.concatenate(squares[part])
            variance = float(square.mean())
            # examples have draws of their own, so the errors of their variances add in squares
            error = np.sqrt(square.var(axis=0, ddof=1).sum() / len(square)) / square.shape[1]
            yield {
                "estimator": name,
                "parameter": part,
                "n_samples": n_draws,
                "mean": float(mean.mean()),
                "exact_mean": float(exact_mean),
                "z_mean": float((mean.mean() - exact_mean) / (mean.std(ddof=1) / np.sqrt(len(mean)))),
                "variance": variance,
                "exact_variance": float(exact_variance),
                "z_variance": float((variance - exact_variance) / error),
                "pathwise": float(self.pathwise[part]),
                "snr": float(np.sqrt(power / variance)),
                "ns_per_draw": 1e9 * seconds / (n_draws * n_batch),
            }
