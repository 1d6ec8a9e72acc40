# ruff: noqa: ARG005 (an answer takes all arguments of its exercise, whether it uses them or not)
"""Wrong answers of the kinds that once passed, right ones in another style, and what both are told."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy.linalg import subspace_angles
from scipy.special import expit

import minivae as mv
from minivae.exercises import EXERCISES
from tests.exercises.test_exercises import SOLUTIONS


def of(name, change):
    """Return the solution with its result changed by a function of the result and the arguments."""
    solution = SOLUTIONS[EXERCISES[name].answer_name]
    return name, lambda *arguments: change(solution(*arguments), *arguments)


def loop_with(baseline):
    """Return a leave-one-out gradient in which the others are summed up by another rule than their mean."""

    def gradient(f, s):
        return np.mean([(f[i] - baseline(np.delete(f, i), i, f)) * s[i] for i in range(len(f))])

    return gradient


def turned(S, v, n_steps):
    """Return a vector at the right angle to the first component that is not the right vector."""
    right = SOLUTIONS["power_iteration"](S, v, n_steps)
    first = np.linalg.eigh(S)[1][:, -1]
    part = first * (first @ right)
    side = np.cross(first, right - part) if len(S) == 3 else np.roll(right - part, 1)
    side = side - first * (first @ side)
    return part + side * np.linalg.norm(right - part) / max(np.linalg.norm(side), 1e-300)


def by_arccos(A, B):
    cosines = np.linalg.svd(np.linalg.qr(A.T)[0].T @ np.linalg.qr(B.T)[0], compute_uv=False)
    return np.sin(np.arccos(np.clip(cosines.min(), -1, 1)))


def reversed_pathwise(df, mu, sigma, eps):
    return SOLUTIONS["pathwise"](df, mu, sigma, eps[::-1])


def responsibilities_by_one_shift(x, w, m, s2):
    log_joint = np.log(w) - np.sum((x[:, None] - m) ** 2, axis=2) / 2 / s2 - x.shape[1] * np.log(s2) / 2
    r = np.exp(log_joint - log_joint.max())
    return r / r.sum(axis=1, keepdims=True)


def grid_by_its_mean(log_joint, dz):
    log_p = log_joint.mean() + np.log(np.sum(np.exp(log_joint - log_joint.mean())) * dz)
    return log_p, np.exp(log_joint - log_p)


def log_mean_exp(log_w, shift):
    return shift + np.log(np.exp(log_w - shift).mean(axis=0))


def ess(log_w, shift):
    w = np.exp(log_w - shift)
    return w.sum(axis=0) ** 2 / np.sum(w**2, axis=0)


def metropolis_by_densities(log_p, z, eps, u, step):
    new = z + step * eps
    return np.where((u < np.exp(log_p(new)) / np.exp(log_p(z)))[:, None], new, z)


def kl_by_determinants(mu0, cov0, mu1, cov1):
    d, trace = mu1 - mu0, np.trace(np.linalg.solve(cov1, cov0))
    logs = np.log(np.linalg.det(cov1) / np.linalg.det(cov0))
    return 0.5 * (trace + d @ np.linalg.solve(cov1, d) - len(d) + logs)


def undone_in(rounds):
    def undo_step(z_new, A, a, C, c):
        z = np.zeros_like(z_new)
        for _ in range(rounds or z_new.shape[1]):
            z = (z_new - z @ np.tril(A, -1).T - a) / np.exp(z @ np.tril(C, -1).T + c)
        return z

    return undo_step


def shortened_at_the_end(S, v, n_steps):
    v = np.linalg.matrix_power(S, n_steps) @ v
    return v / np.linalg.norm(v)


def coordinate_by_coordinate(f, theta, v, h):
    return sum((f(theta + h * step) - f(theta - h * step)) / (2 * h) for step in np.diag(v))


def cross_entropy_of(log):
    return lambda counts, q: -np.sum(counts / counts.sum() * log(q))


def seen_and_possible(counts, q):
    kept = q > 0
    return -np.sum((counts / counts.sum())[kept] * np.log(q[kept]))


def normalised_where_seen(counts, q):
    seen = counts > 0
    return -np.sum((counts / counts.sum())[seen] * np.log(q[seen] / q[seen].sum()))


FOOLED = {
    "floats that hold on small numbers only": [
        ("pca.power-iteration", shortened_at_the_end),
        ("autoencoders.sparsity", lambda h, rho: SOLUTIONS["sparsity"](np.clip(h.mean(axis=0), 0.01, 0.99)[None], rho)),
        ("latent_variables.cross-entropy", cross_entropy_of(lambda q: np.log(q + 1e-12))),
        ("latent_variables.cross-entropy", cross_entropy_of(lambda q: np.log(np.maximum(q, 1e-300)))),
        ("latent_variables.cross-entropy", seen_and_possible),
        ("latent_variables.cross-entropy", normalised_where_seen),
        ("latent_variables.responsibilities", responsibilities_by_one_shift),
        (
            "latent_variables.free-energy",
            lambda log_joint, r: np.sum(r * (log_joint - np.log(np.maximum(r, 1e-3))), axis=1),
        ),
        ("latent_variables.grid-posterior", grid_by_its_mean),
        ("inference.jensen-gap", lambda w, p: w.mean() + np.log(p @ np.exp(w - w.mean())) - p @ w),
        ("inference.jensen-gap", lambda w, p: w[0] + np.log(p @ np.exp(w - w[0])) - p @ w),
        ("inference.metropolis-step", metropolis_by_densities),
        ("beyond_the_diagonal.general-kl", kl_by_determinants),
        ("how_good_is_the_model.log-mean-weight", lambda log_w: log_mean_exp(log_w, log_w.mean(axis=0))),
        ("how_good_is_the_model.log-mean-weight", lambda log_w: log_mean_exp(log_w, log_w.max())),
        ("how_good_is_the_model.weights-that-count", lambda log_w: ess(log_w, log_w.mean(axis=0))),
        ("how_good_is_the_model.weights-that-count", lambda log_w: ess(log_w, log_w.max())),
    ],
    "a number of rounds for the sizes tried": [
        ("beyond_the_diagonal.undo-step", undone_in(4)),
        ("beyond_the_diagonal.undo-step", undone_in(12)),
        ("backprop.central-slope", coordinate_by_coordinate),
    ],
    "a normaliser for the one size tried": [
        of("autoencoders.squared-error", lambda r, x, x_hat: r * len(x) / 5),
        of("autoencoders.jacobian-penalty", lambda r, W, b, x: r * len(x) / 5),
        of("backprop.two-layer-gradient", lambda r, *a: tuple(p * len(a[-1]) / 5 for p in r)),
        of("backprop.two-layer-gradient", lambda r, *a: tuple(p * a[-1].shape[1] / 2 for p in r)),
        of("pca.linear-gradient", lambda r, W1, W2, x: tuple(p * len(x) / 6 for p in r)),
        of("pca.linear-gradient", lambda r, W1, W2, x: tuple(p * x.shape[1] / 4 for p in r)),
        of("vae.elbo", lambda r, log_lik, kl: log_lik.sum(axis=0) / 4 - kl),
        ("pca.components", lambda x, q: SOLUTIONS["components"](x, 2)),
        ("vae.log-bernoulli", lambda logits, x: SOLUTIONS["log_bernoulli"](logits[:, :3], x[:, :3])),
    ],
    "symmetric laws": [
        ("vae.sample-z", lambda mu, log_var, eps: mu - np.exp(log_var / 2) * eps),
        (
            "vae.sample-z",
            lambda mu, log_var, eps: mu + np.exp(log_var / 2) * np.where(np.arange(len(mu)), 1, -1)[:, None] * eps,
        ),
        ("estimators.pathwise", lambda df, mu, sigma, eps: SOLUTIONS["pathwise"](df, mu, sigma, -eps)),
        ("estimators.pathwise", lambda df, mu, sigma, eps: (df(mu - sigma * eps), eps * df(mu + sigma * eps))),
        ("estimators.pathwise", reversed_pathwise),
        ("estimators.score-function", lambda f, mu, sigma, eps: SOLUTIONS["score_function"](f, mu, sigma, -eps)),
        ("estimators.score-function", lambda f, mu, sigma, eps: SOLUTIONS["score_function"](f, mu, sigma, eps[::-1])),
        ("estimators.standard-error", lambda g: -SOLUTIONS["standard_error"](g)),
    ],
    "too few draws": [
        ("estimators.leave-one-out-gradient", loop_with(lambda others, i, f: np.roll(f, 1)[i])),
        ("estimators.leave-one-out-gradient", loop_with(lambda others, i, f: np.median(others))),
        ("estimators.leave-one-out-gradient", loop_with(lambda others, i, f: others.max())),
        ("estimators.leave-one-out-gradient", loop_with(lambda others, i, f: others[0])),
        ("estimators.standard-error", lambda g: np.ptp(g) / np.sqrt(2 * len(g))),
    ],
    "an inequality for an equality": [
        ("backprop.central-slope", lambda f, theta, v, h: SOLUTIONS["central_slope"](f, theta, v, 1e-3)),
        ("backprop.central-slope", lambda f, theta, v, h: SOLUTIONS["central_slope"](f, theta, v, h / 2)),
    ],
    "a function that is not random": [
        (
            "backprop.central-slope",
            lambda f, theta, v, h: SOLUTIONS["central_slope"](lambda t: np.sum(t**3), theta, v, h),
        ),
        ("estimators.optimal-baseline", lambda f, s: SOLUTIONS["optimal_baseline"]((0.7 * s + 2) ** 2, s)),
        (
            "autoencoders.denoising-loss",
            lambda f, x, noise: 0.5 * np.sum(noise**2) / len(x) * (np.allclose(f(x + noise), x + noise)),
        ),
    ],
    "what is invariant": [
        ("pca.power-iteration", turned),
        ("pca.subspace-distance", by_arccos),
        ("pca.subspace-distance", lambda A, B: np.sin(subspace_angles(A.T, B.T)[-1])),
        (
            "pca.deflate",
            lambda S, u: S - np.outer(S @ u, u) + 1e-3 * np.outer(u, np.roll(u, 1) - u * (u @ np.roll(u, 1))),
        ),
    ],
}
CASES = [pytest.param(*case, id=f"{kind} {i}") for kind, cases in FOOLED.items() for i, case in enumerate(cases)]


@pytest.mark.parametrize(("name", "answer"), CASES)
def test_what_once_passed_is_refused(name, answer):
    for seed in range(3):
        outcome = mv.check(name, answer) if seed == 0 else EXERCISES[name].check(answer, seed)
        assert outcome.state == "wrong", outcome


# --------------------------------------------------------------------------------- right, in another style


def rowwise_denoising(f, x, noise):
    total = 0.0
    for row, shift in zip(x.tolist(), noise.tolist(), strict=True):
        seen = np.array([a + b for a, b in zip(row, shift, strict=True)])
        total += sum((a - b) ** 2 for a, b in zip(row, f(seen), strict=True)) / 2
    return total / len(x)


def loops_kl(mu, log_var):
    return [
        sum(m * m + math.exp(v) - 1 - v for m, v in zip(*rows, strict=True)) / 2
        for rows in zip(mu, log_var, strict=True)
    ]


def one_by_one(df, mu, sigma, eps):
    slopes = [df(mu + sigma * e) for e in eps]
    return [slopes, [slope * e for slope, e in zip(slopes, eps, strict=True)]]


def einsum_dense(x, W, dy):
    return [np.einsum("bm,nm->bn", dy, W), np.einsum("bn,bm->nm", x, dy), np.einsum("bm->m", dy)]


def by_svd(x, q):
    return np.linalg.svd(x - x.mean(0), full_matrices=False)[2][:q].tolist()


def by_projectors(A, B):
    P, Q = (M.T @ np.linalg.solve(M @ M.T, M) for M in (A, B))
    return float(np.linalg.norm(Q - P @ Q, 2))


def half_sums(logits, x):
    return -np.logaddexp(0, np.where(x == 1, -logits, logits)).sum(1)


STYLES = {
    "loops": ("vae.kl", loops_kl),
    "a network called row by row": ("autoencoders.denoising-loss", rowwise_denoising),
    "a list of lists": ("pca.components", by_svd),
    "einsum": ("backprop.dense-backward", einsum_dense),
    "draws one by one": ("estimators.pathwise", one_by_one),
    "projectors": ("pca.subspace-distance", by_projectors),
    "angles": ("pca.subspace-distance", lambda A, B: np.sin(subspace_angles(A.T, B.T).max())),
    "scipy's covariance": ("estimators.leave-one-out-gradient", lambda f, s: np.cov(f, s)[0, 1]),
    "another formula": ("vae.log-bernoulli", half_sums),
    "a list of draws": ("vae.sample-z", lambda mu, log_var, eps: (mu + np.sqrt(np.exp(log_var)) * eps).tolist()),
    "two parts in one array": (
        "estimators.score-function",
        lambda f, mu, sigma, eps: f(mu + sigma * eps) / sigma * np.array([eps, eps**2 - 1]),
    ),
    "two numbers in one array": (
        "collapse_and_blur.water-filling",
        lambda values, level: np.sum([np.log(np.maximum(values / level, 1)) / 2, np.minimum(values, level)], axis=1),
    ),
    "as many rounds as latents": ("beyond_the_diagonal.undo-step", undone_in(None)),
    "a trapezoid": (
        "latent_variables.grid-posterior",
        lambda log_joint, dz: (
            log_p := log_joint.max() + np.log(np.trapezoid(np.exp(log_joint - log_joint.max()), dx=dz)),
            np.exp(log_joint - log_p),
        ),
    ),
    "integers as floats": ("bugs.counts", {"n_draws": 2.0, "n_latent": np.float64(3), "n_layers": np.int64(2)}),
    "an array of lines": ("bugs.buggy-lines", np.array(sorted(SOLUTIONS["buggy_lines"]))),
    "a tuple of lines": ("bugs.buggy-lines", tuple(SOLUTIONS["buggy_lines"])),
    "a range of lines": ("bugs.elbo-lines", SOLUTIONS["elbo_lines"] | {"kl_inputs": range(22, 24), "kl": [41.0]}),
    "capitals": ("bugs.sampled", "Q(z|x)"),
    "parameters": ("bugs.sampled", "q_phi(z | x)"),
    "TeX": ("bugs.sampled", r"$q_\phi(z \mid x)$"),
    "a semicolon": ("bugs.sampled", "Q(z|x; φ)"),
}


@pytest.mark.parametrize("style", STYLES)
def test_a_right_answer_in_another_style_passes(style):
    name, answer = STYLES[style]
    outcome = mv.check(name, answer)
    assert outcome.ok, outcome


@pytest.mark.parametrize("name", [name for name, exercise in EXERCISES.items() if exercise.arguments])
def test_single_precision_is_called_by_its_name(name):
    solution = SOLUTIONS[EXERCISES[name].answer_name]

    def single(a):
        return np.asarray(a, np.float32) if isinstance(a, (np.ndarray, float)) else a

    def answer(*arguments):
        result = solution(*arguments)
        if isinstance(result, tuple) and isinstance(result[1], dict):
            return single(result[0]), {key: single(a) for key, a in result[1].items()}
        return tuple(map(single, result)) if isinstance(result, tuple) else single(result)

    outcome = mv.check(name, answer)
    assert outcome.ok or "float32" in outcome.mistake, outcome
    assert outcome.ok or "the right one" not in outcome.message  # it is the right one, but for its digits


def test_an_axis_too_many_is_named():
    message = mv.check("vae.kl", lambda mu, log_var: SOLUTIONS["kl"](mu, log_var)[:, None]).message
    assert "An axis of length one is too many (keepdims, x[:, None])." in message


def test_a_network_that_sees_something_else_is_told_so():
    message = mv.check(
        "autoencoders.denoising-loss", lambda f, x, noise: 0.5 * np.sum((x - f(x)) ** 2) / len(x)
    ).message
    assert "x + noise" in message or "identity" in message


# --------------------------------------------------------------------------------------- what is said


@pytest.mark.parametrize(
    ("name", "factor", "words"),
    [
        ("vae.sample-z", 3.0, "every entry is 3 times the right one"),
        ("vae.kl", -0.5, "every entry is -1/2 of the right one"),
        ("vae.kl", -1.0, "every entry is minus the right one"),
        ("estimators.standard-error", -0.5, "it is -1/2 of the right one"),
        ("autoencoders.squared-error", 0.7312, "0.7312 times the right one"),
        ("estimators.optimal-baseline", math.pi, "3.14159 times the right one"),
        ("backprop.central-slope", -2.0, "it is minus twice the right one"),
    ],
)
def test_a_constant_ratio_is_named(name, factor, words):
    solution = SOLUTIONS[EXERCISES[name].answer_name]
    for seed in range(4):
        message = EXERCISES[name].check(lambda *a: factor * solution(*a), seed).message
        if "near q = p" not in message and "to one" not in message:  # a bound, which is checked first
            assert words in message, message


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("vae.kl", lambda r, mu, _: r / len(mu), "1 / mu.shape[0] of the right one"),
        ("autoencoders.jacobian-penalty", lambda r, W, b, x: r / x.shape[1], "1 / W.shape[0] of the right one"),
        ("autoencoders.jacobian-penalty", lambda r, W, b, x: -r * len(x), "-x.shape[0] times the right one"),
        ("estimators.standard-error", lambda r, g: r / np.sqrt(len(g)), "1 / sqrt(g.shape[0]) of the right one"),
    ],
)
def test_a_ratio_that_is_a_size_is_named(name, change, words):
    outcome = mv.check(*of(name, change))
    assert words in outcome.message, outcome


def test_a_ratio_that_not_all_entries_have_is_not_named():
    def kl(mu, log_var):
        right = SOLUTIONS["kl"](mu, log_var)
        return np.where(np.arange(len(mu)) == 0, 2 * right, 3 * right)

    assert "every entry" not in mv.check("vae.kl", kl).message


PAIRS = [
    (exercise, one, other)
    for exercise in EXERCISES.values()
    for one, other in combinations(exercise.zoo, 2)
    if one.beside(other) is not None
]


@pytest.mark.parametrize("topic", ["autoencoders", "pca", "backprop", "estimators", "vae"])
def test_the_mistakes_of_these_topics_can_be_made_two_at_a_time(topic):
    assert len(PAIRS) > 150
    functions = {exercise.id for exercise in EXERCISES.values() if exercise.topic == topic and exercise.arguments}
    assert {exercise.id for exercise, *_ in PAIRS if exercise.topic == topic} == functions


@pytest.mark.parametrize("name", sorted({exercise.id for exercise, *_ in PAIRS}))
def test_two_mistakes_at_once_get_both_names(name):
    for exercise, one, other in PAIRS:
        if exercise.id != name:
            continue
        outcome = exercise.check(one.beside(other))
        assert not outcome.ok, (one.name, other.name)
        said = outcome.mistake or ""
        both = one.explanation in said and other.explanation in said
        alone = any(said == m.explanation for m in exercise.zoo)  # one of them hides the other
        assert both or alone or said.startswith("two mistakes at once."), (one.name, other.name, outcome)


def test_two_mistakes_in_a_students_words_get_both_names():
    def kl(mu, log_var):
        return sum(
            (mu[:, j] ** 2 + np.exp(log_var[:, j]) - 1 - log_var[:, j]) / mu.shape[1] for j in range(mu.shape[1])
        )

    mistake = mv.check("vae.kl", kl).mistake
    assert mistake.startswith("two mistakes at once.")
    assert "the factor 1/2 is missing" in mistake
    assert "a hidden beta of 1/L" in mistake


def test_a_mistake_times_a_number_gets_both_names():
    def penalty(W, b, x):
        return 3 * np.sum(((1 - np.tanh(x @ W + b) ** 2).mean(axis=0) * W) ** 2)

    mistake = mv.check("autoencoders.jacobian-penalty", penalty).mistake
    assert "norm of the mean Jacobian" in mistake
    assert "besides, every entry is 3 times that" in mistake


def test_a_mistake_over_a_size_gets_both_names():
    def score(f, mu, sigma, eps):
        return f(mu + sigma * eps) * eps / len(eps), f(mu + sigma * eps) * (eps**2 - 1) / len(eps)

    mistake = mv.check("estimators.score-function", score).mistake
    assert "here it is eps" in mistake
    assert "every entry is 1 / eps.shape[0] of that" in mistake


@pytest.mark.parametrize(
    ("name", "answer"),
    [  # "the 1/2 is missing, and besides it is 1/8 of that" would be no explanation of an answer off by 1/4
        of("autoencoders.jacobian-penalty", lambda r, *_: r / 2),
        of("generation.attribute-vector", lambda r, *_: r / 2),
        of("discrete_latents.arm-gradient", lambda r, *_: 2 * r),
        of("collapse_and_blur.shared-code-cost", lambda r, x, _: r * len(x) / (len(x) - 1)),
        of("how_good_is_the_model.annealed-log-weight", lambda r, log_lik, _: r / len(log_lik)),
        of("beyond_the_diagonal.general-kl", lambda r, mu0, *_: r + (len(mu0) - 3) / 2),
        ("vae.log-bernoulli", lambda logits, x: np.sum(x * logits - np.log1p(np.exp(logits)), axis=1)),
    ],
)
def test_the_right_answer_times_a_number_is_not_said_to_be_two_mistakes(name, answer):
    outcome = mv.check(name, answer)
    assert (outcome.state, outcome.mistake) == ("wrong", None), outcome


def test_a_factor_that_two_examples_share_by_chance_is_not_named():
    def standard_error(g):  # n - 1 where n belongs
        return np.std(g, ddof=1) / np.sqrt(len(g) - 1)

    assert mv.check("estimators.standard-error", standard_error).mistake is None


def test_a_difference_of_large_numbers_is_no_factor():
    def log_mean_weight(log_w):
        return np.logaddexp.reduce(log_w, axis=0) - np.log(len(log_w) - 0.5)

    assert mv.check("how_good_is_the_model.log-mean-weight", log_mean_weight).mistake is None


def test_a_factor_of_hundreds_of_digits_is_shortened():
    def log_bernoulli(logits, x):
        p = expit(logits)
        return np.sum(np.nan_to_num(x * np.log(p)) + np.nan_to_num((1 - x) * np.log(1 - p)), axis=1)

    message = mv.check("vae.log-bernoulli", log_bernoulli).message
    assert "1.79769e+305 times the right one" in message


def test_a_small_number_in_a_formula_is_named():
    outcome = mv.check("images_and_sequences.clip-by-norm", lambda g, m: g * min(1, m / (np.linalg.norm(g) + 1e-6)))
    assert "a small number is in it" in outcome.mistake


def test_an_array_of_no_real_numbers_is_told_its_dtype():
    message = mv.check("vae.kl", lambda mu, log_var: SOLUTIONS["kl"](mu, log_var) + 0j).message
    assert "of dtype complex128" in message


def test_digits_are_shown_until_two_numbers_differ():
    message = mv.check(
        "autoencoders.squared-error", lambda x, x_hat: np.float32(0.5 * np.sum((x - x_hat) ** 2) / len(x))
    ).message
    want, got = message.partition("should be ")[2].split(", got ")
    assert want != got.split(".  ")[0]


def test_sigmoid_by_scipy_is_told_what_it_loses():
    def log_bernoulli(logits, x):
        p = expit(logits)
        return np.sum(x * np.log(p) + (1 - x) * np.log(1 - p), axis=1)

    assert "sigmoid rounds to 0 or 1" in mv.check("vae.log-bernoulli", log_bernoulli).mistake
