"""Exercises of the lecture "Find the bugs": where they are in ``buggy_vae``, and what its lines stand for."""

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from minivae.core.arrays import Array
from minivae.exercises import buggy_vae
from minivae.exercises.framework import Exercise, Law, Mistake, mistakes_of
from minivae.exercises.laws import BrokenLawError, array, close, shown, sizes
from minivae.models.vae import VAE

Rng = np.random.Generator
_SOURCE = inspect.getsource(buggy_vae)


def listing() -> str:
    """Return the source of the buggy VAE with the line numbers that the exercises mean.

    >>> listing().splitlines()[2]
    '  3  import numpy as np'
    """
    return "\n".join(f"{i:3d}  {line}".rstrip() for i, line in enumerate(_SOURCE.splitlines(), start=1))


def _line(text: str) -> int:
    """Return the number of the one line that holds the text."""
    (number,) = (i for i, line in enumerate(_SOURCE.splitlines(), start=1) if text in line)
    return number


@dataclass(frozen=True)
class _Bug:
    """A planted bug: what it is, the tool that shows it, and the repair; ``after`` is what has to follow."""

    name: str
    explanation: str
    tool: str
    wrong: str
    right: str
    after: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> str:
        return re.sub(r"\W+", "_", self.name)

    def repaired(self, source: str) -> str:
        for wrong, right in ((self.wrong, self.right), *self.after):
            source = source.replace(wrong, right)
        return source


_BUGS = (
    _Bug(
        "sampler",
        "the draw is still mu + exp(log_var) eps: a variance where a standard deviation belongs.",
        "a gradient check does not see it; the variance of the draws does",
        "mu + np.exp(log_var) * eps",
        "mu + np.exp(log_var / 2) * eps",
        (("dz * np.exp(log_var) * eps", "dz * 0.5 * np.exp(log_var / 2) * eps"),),
    ),
    _Bug(
        "likelihood",
        "log p(x|z) is still a mean over the pixels.",
        "a gradient check does not see it; the sum of p(x|z) over all images does",
        "np.mean(x * logits",
        "np.sum(x * logits",
        ((" / (n_draws * n_batch * n_x)", " / (n_draws * n_batch)"),),
    ),
    _Bug(
        "KL",
        "the KL still has +1 for -1: it is too large by one nat for each latent.",
        "a gradient check does not see it, for a constant has no slope; the KL where q is the prior does",
        "np.exp(log_var) + 1 - log_var",
        "np.exp(log_var) - 1 - log_var",
    ),
    _Bug(
        "slope of the KL",
        "the slope of the KL in log_var still lacks its half.",
        "a gradient check sees it: look which arrays are wrong, and which are right",
        "+= (np.exp(log_var) - 1)",
        "+= 0.5 * (np.exp(log_var) - 1)",
    ),
    _Bug(
        "encoder's tanh",
        "the way back still skips the tanh of the encoder.",
        "a gradient check sees it: look which arrays are wrong, and which are right",
        'dlog_var @ w["Wv"].T\n',
        'dlog_var @ w["Wv"].T\n    dh *= 1 - h**2\n',
    ),
)


def _repaired(w: buggy_vae.Weights, x: Array, eps: Array, **left: bool) -> Any:
    """loss_and_gradient of the buggy VAE with all bugs repaired but those that are left."""
    return _variant(frozenset(left))(w, x, eps)


@functools.cache
def _variant(left: frozenset[str]) -> Callable[..., Any]:
    source = _SOURCE
    for bug in _BUGS:
        source = source if bug.key in left else bug.repaired(source)
    names: dict[str, Any] = {}
    exec(compile(source, "a repaired buggy_vae", "exec"), names)  # our own text
    return cast("Callable[..., Any]", names["loss_and_gradient"])


_bug_left = mistakes_of(_repaired)


# -------------------------------------------------------------------------------------- buggy_lines


def _whole(value: Any) -> int | None:
    """Return a number that is whole, however it is written: 2, 2.0, np.int64(2)."""
    if isinstance(value, (bool, np.bool_, str, bytes)):
        return None
    try:
        number = float(value)
        return int(number) if number == int(number) else None
    except Exception:  # no number, not finite, too large, or a class of the student's own
        return None


def _lines(name: str, value: Any) -> set[int]:
    collection = isinstance(value, (set, frozenset, list, tuple, range)) or (
        isinstance(value, np.ndarray) and value.ndim == 1
    )
    given = [_whole(i) for i in value] if collection else [None]
    if None in given:
        raise BrokenLawError(f"{name} must be a set of line numbers, such as {{12, 34}}, got {shown(value)}.")
    if not given:
        raise BrokenLawError(f"{name} must name at least one line, got none.")
    return {i for i in given if i is not None}


def _all_bugs(buggy_lines: Any, rng: Rng) -> None:  # noqa: ARG001
    given = _lines("buggy_lines", buggy_lines)
    causes = {_line(bug.wrong.splitlines()[0]): bug for bug in _BUGS}
    followers = {_line(wrong): bug for bug in _BUGS for wrong, _ in bug.after}
    innocent = sorted(given - set(causes) - set(followers))
    found = len(given & set(causes))
    if innocent:
        raise BrokenLawError(
            f"{found} of the {len(_BUGS)} bugs are among your lines, but also lines without a bug: "
            f"{', '.join(map(str, innocent))}."
        )
    only_follower = [bug for line, bug in followers.items() if line in given and _line(bug.wrong) not in given]
    if only_follower:
        raise BrokenLawError(
            f"{found} of the {len(_BUGS)} bugs are among your lines, and a line that is only wrong because another is.",
            "a line of the backward pass that differentiates a wrong forward line rightly. Look for the cause: "
            f"{only_follower[0].tool}.",
        )
    left = [bug for line, bug in causes.items() if line not in given]
    if left:
        raise BrokenLawError(
            f"{found} of the {len(_BUGS)} bugs are found. A hint for one that is left: {left[0].tool}."
        )


BUGGY_LINES = Exercise(
    id="bugs.buggy-lines",
    task="the set of the line numbers that hold a bug, {12, 34} say",
    arguments="",
    laws=(Law("all five bugs are found, and no innocent line is accused", _all_bugs),),
    zoo=(),
)


# --------------------------------------------------------------------------------------- elbo_lines

# for each question: the lines that must be named, and those that may be
_ELBO = {
    "reconstruction": (
        ["z = sample(mu", "g, logits = decode(w, z)", "reconstruction = log_likelihood"],
        ["return mu + np.exp", "g = np.tanh", "return g, g @", "return np.mean(x * logits", "eps = rng"],
    ),
    "kl": (["return 0.5 * np.sum(mu**2"], ["kl = kl_divergence"]),
    "kl_inputs": (
        ["mu = h @ w", "log_var = h @ w"],
        ["h = np.tanh(x @", "return h, mu, log_var", "h, mu, log_var = encode(w, x)"],
    ),
}


def _terms(elbo_lines: Any, rng: Rng) -> None:  # noqa: ARG001
    if not isinstance(elbo_lines, dict) or set(elbo_lines) != set(_ELBO):
        raise BrokenLawError(
            f"elbo_lines must be a dictionary with the keys {', '.join(_ELBO)}, got {shown(elbo_lines)}."
        )
    for key, (must, may) in _ELBO.items():
        given, core = _lines(f"elbo_lines[{key!r}]", elbo_lines[key]), {_line(text) for text in must}
        strangers = sorted(given - core - {_line(text) for text in may})
        if strangers:
            raise BrokenLawError(
                f"{key}: line(s) {', '.join(map(str, strangers))} do something else.", _hint(key, given)
            )
        if not core <= given:
            reason = " An expectation needs draws, something to average, and the average." * (key == "reconstruction")
            raise BrokenLawError(
                f"{key}: {len(core & given)} of {len(core)} lines are named.{reason}", _hint(key, given)
            )


def _hint(key: str, given: set[int]) -> str | None:
    if key == "kl_inputs" and _line("return 0.5 * np.sum(mu**2") in given:
        return "that line uses mu and log_var; the question is where they are computed: the last layer of the encoder."
    if key == "reconstruction" and _line("return 0.5 * np.sum(mu**2") in given:
        return "that line is the KL, the other term of the ELBO."
    if key == "reconstruction" and _line("loss = float") in given:
        return "the mean in the loss is over the batch; the expectation is over the draws of z."
    if key == "reconstruction":
        return (
            "an expectation over z needs the draws, what is averaged (log p(x|z), from the decoder), and the average."
        )
    return None


ELBO_LINES = Exercise(
    id="bugs.elbo-lines",
    task="which lines are E_q[log p(x|z)] (reconstruction: drawing, decoding, averaging), which are the "
    "formula of the KL "
    "(kl), and where the KL's inputs are computed (kl_inputs): a dictionary of three sets of line numbers",
    arguments="",
    laws=(Law("each term of the ELBO is found in the code", _terms),),
    zoo=(),
)


# ------------------------------------------------------------------------------------------- counts

_HINTS = {
    ("n_draws", 1): "K = 1 is usual, but look at the first axis of eps in train_step.",
    ("n_draws", 3): "3 is the last axis of eps, the latents; the draws are the first.",
    ("n_latent", 16): "16 is the width of the hidden layer; z is what the decoder starts from.",
    ("n_latent", 6): "the encoder gives 6 numbers, but they are mu and log_var of 3 latents.",
    ("n_latent", 2): "2 is the first axis of eps, the draws; the latents are the last.",
    ("n_layers", 1): "x passes one linear layer to the hidden values h, and another from h to mu.",
    ("n_layers", 3): "mu and log_var have a layer each, side by side; only one of them is on the way to mu.",
    ("n_layers", 4): "the decoder's layers are not on the way from x to mu.",
}


def _counted(counts: Any, rng: Rng) -> None:
    w = buggy_vae.init(rng)
    right = {"n_draws": 2, "n_latent": w["W2"].shape[0], "n_layers": 2}
    if not isinstance(counts, dict) or set(counts) != set(right):
        raise BrokenLawError(f"counts must be a dictionary with the keys {', '.join(right)}, got {shown(counts)}.")
    for key, value in right.items():
        if counts[key] is None or counts[key] is Ellipsis:
            raise BrokenLawError(f"{key} is still to be counted.")
        given = _whole(counts[key])
        if given != value:
            raise BrokenLawError(f"{key} is not {shown(counts[key])}.", _HINTS.get((key, given)))  # type: ignore[arg-type]


COUNTS = Exercise(
    id="bugs.counts",
    task="over how many draws of z train_step takes the expectation (n_draws), the dimension of z "
    "(n_latent), and how many "
    "linear layers x passes on its way to mu (n_layers): a dictionary of three numbers",
    arguments="",
    laws=(Law("draws, latents and layers are counted", _counted),),
    zoo=(),
)


# ------------------------------------------------------------------------------------------ sampled


def _posterior(sampled: Any, rng: Rng) -> None:  # noqa: ARG001
    if not isinstance(sampled, str):
        raise BrokenLawError(f'sampled must be a text such as "p(z)", got {shown(sampled)}.')
    if _distribution(sampled) not in ("q(z|x)", "p(z)", "p(z|x)", "p(x|z)", "p(x)"):
        raise BrokenLawError(
            f"sample does not draw from {shown(sampled)}. Choose among p(z), q(z|x), p(z|x), p(x|z) and p(x)."
        )
    if _distribution(sampled) != "q(z|x)":
        mistake = next(m.explanation for m in _OTHERS if m.answer == _distribution(sampled))
        raise BrokenLawError(f"sample does not draw from {shown(sampled)}.", mistake)


def _distribution(text: str) -> str:
    r"""Write a distribution without what notations differ in: capitals, spaces, $, the parameters, \mid.

    >>> _distribution(r"$Q_\phi(Z \mid X)$"), _distribution("q(z|x; phi)")
    ('q(z|x)', 'q(z|x)')
    """
    text = text.lower().replace("\\mid", "|").replace("\\vert", "|")
    text = re.sub(r"[\s$\\{}]", "", text)
    text = re.sub(r"_?(phi|theta|φ|ϕ|θ)(?=\()", "", text)  # q_phi(...)
    return re.sub(r"[;,](phi|theta|φ|ϕ|θ)(?=\))", "", text)  # q(...; phi)


_OTHERS = (
    Mistake("prior", "eps is drawn from N(0, I), the prior's shape, but z is moved and scaled by what x says.", "p(z)"),
    Mistake("posterior", "the true posterior p(z|x) is out of reach; q(z|x) stands in for it.", "p(z|x)"),
    Mistake("decoder", "p(x|z) is a distribution over images; sample gives a z.", "p(x|z)"),
    Mistake("marginal", "p(x) is a distribution over images; sample gives a z.", "p(x)"),
)

SAMPLED = Exercise(
    id="bugs.sampled",
    task='what the function sample draws from, as a text: "p(z)", "q(z|x)", "p(z|x)", "p(x|z)" or "p(x)"',
    arguments="",
    laws=(Law("sample draws from q(z|x), the encoder's distribution", _posterior),),
    zoo=_OTHERS,
)


# ------------------------------------------------------------------------------------- repaired_vae


def _example(rng: Rng) -> tuple[Any, Array, Array]:
    """Return weights, images and noise: as in the lecture, on a few pixels."""
    n_x, n_hidden, n_latent, n_batch, n_draws = sizes(rng, 5)
    shapes = {"W1": (n_x, n_hidden), "b1": (n_hidden,), "Wm": (n_hidden, n_latent), "bm": (n_latent,)}
    shapes |= {"Wv": (n_hidden, n_latent), "bv": (n_latent,), "W2": (n_latent, n_hidden), "b2": (n_hidden,)}
    shapes |= {"W3": (n_hidden, n_x), "b3": (n_x,)}
    w = {name: 0.7 * rng.standard_normal(shape) for name, shape in shapes.items()}
    return w, (rng.random((n_batch, n_x)) < 0.5) * 1.0, rng.standard_normal((n_draws, n_batch, n_latent))


def _ours(w: buggy_vae.Weights, x: Array, eps: Array) -> tuple[float, buggy_vae.Weights]:
    """Return loss and gradient of the same network from the package's VAE."""
    (n_x, n_hidden), n_latent = w["W1"].shape, w["W2"].shape[0]
    model = VAE.mlp(n_x, n_latent, [n_hidden], "tanh")
    params, grads = np.zeros(model.n_params), np.zeros(model.n_params)

    def views(flat: Array) -> buggy_vae.Weights:
        p = dict(model.named(flat))
        W, b = p["encoder.2.weight"], p["encoder.2.bias"]
        heads = {"Wm": W[:, :n_latent], "Wv": W[:, n_latent:], "bm": b[:n_latent], "bv": b[n_latent:]}
        layers = {"W1": "encoder.0.weight", "b1": "encoder.0.bias", "W2": "decoder.0.weight", "b2": "decoder.0.bias"}
        layers |= {"W3": "decoder.2.weight", "b3": "decoder.2.bias"}
        return heads | {ours: p[name] for ours, name in layers.items()}

    for name, view in views(params).items():
        view[:] = w[name]
    loss, _ = model.loss_and_grad(params, x, eps, grads)
    return loss, views(grads)


def _parts(repaired_vae: Callable[..., Any], rng: Rng) -> tuple[Array, dict[str, Any], float, buggy_vae.Weights]:
    w, x, eps = _example(rng)
    right, gradient = _ours(w, x, eps)
    result = repaired_vae({name: a.copy() for name, a in w.items()}, x, eps)
    if not isinstance(result, (tuple, list)) or len(result) != 2 or not isinstance(result[1], dict):
        raise BrokenLawError(f"The function must return the loss and a dictionary of gradients, got {shown(result)}.")
    if set(result[1]) != set(w):
        raise BrokenLawError(f"The gradients must have the keys {', '.join(w)}, got {', '.join(map(str, result[1]))}.")
    return array("loss", result[0], ()), result[1], right, gradient


@functools.cache
def _compile() -> None:
    """Compile what mv.VAE runs on, once, before the time of an answer starts."""
    _ours(*_example(np.random.default_rng(0)))


def _loss_is_right(repaired_vae: Callable[..., Any], rng: Rng) -> None:
    loss, _, right, _ = _parts(repaired_vae, rng)
    close("The loss", loss, right, "the loss is that of minivae.VAE with the same weights and noise")


def _gradient_is_right(repaired_vae: Callable[..., Any], rng: Rng) -> None:
    _, dw, _, right = _parts(repaired_vae, rng)
    for name, want in right.items():
        got = array(f"d{name}", dw[name], want.shape)
        close(f"d{name}", got, want, "the gradient is that of minivae.VAE with the same weights and noise")


REPAIRED_VAE = Exercise(
    id="bugs.repaired-vae",
    task="loss and gradient (a dictionary with the keys of w) of the VAE without its bugs",
    arguments="w, x, eps",
    laws=(
        Law("the loss is that of minivae.VAE with the same weights and noise", _loss_is_right),
        Law("so is every gradient", _gradient_is_right),
    ),
    zoo=(
        *(_bug_left(f"{bug.name} left", bug.explanation, **{bug.key: True}) for bug in _BUGS),
        Mistake("all left", "this is the buggy VAE as it was.", buggy_vae.loss_and_gradient),
    ),
    example=_example,
    prepare=_compile,
)

EXERCISES = (BUGGY_LINES, ELBO_LINES, COUNTS, SAMPLED, REPAIRED_VAE)
