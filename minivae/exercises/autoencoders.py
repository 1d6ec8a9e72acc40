"""Exercises of the lecture "Autoencoders"."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.core.arrays import Array
from minivae.distributions.likelihoods import Gaussian
from minivae.exercises.framework import Exercise, Law, mistakes_of
from minivae.exercises.laws import BrokenLawError, array, close, sizes

Rng = np.random.Generator


# ------------------------------------------------------------------------------------- squared_error


def _pair(rng: Rng) -> tuple[Array, Array]:
    shape = sizes(rng, 2)
    return rng.normal(size=shape), rng.normal(size=shape)


def _is_a_likelihood(squared_error: Callable[..., Any], rng: Rng) -> None:
    x, x_hat = _pair(rng)
    log_lik = Gaussian().log_prob(np.empty(0), x_hat, x)
    want = -log_lik.mean() - 0.5 * x.shape[1] * np.log(2 * np.pi)
    got = array("The loss", squared_error(x, x_hat), ())
    close("The loss", got, want, "minus the mean of log N(x; x_hat, I), without its constant")


def _repeated(squared_error: Callable[..., Any], rng: Rng) -> None:
    x, x_hat = _pair(rng)
    once = array("The loss", squared_error(x, x_hat), ())
    twice = array("The loss", squared_error(np.tile(x, (2, 1)), np.tile(x_hat, (2, 1))), ())
    close("The loss of every example twice", twice, once, "the loss is a mean over the examples")


def _squared(e: Array) -> Array:
    return np.sum(e**2, axis=1)


def _squared_error(
    x: Array,
    x_hat: Array,
    *,
    half: float = 0.5,
    row: Callable[[Array], Array] = _squared,
    columns: Callable[[Array], int] = lambda x: 1,
    over_batch: Callable[[Array], Any] = np.mean,
) -> Any:
    return over_batch(half * row(x - x_hat) / columns(x))


_error_mistake = mistakes_of(_squared_error)

SQUARED_ERROR = Exercise(
    id="autoencoders.squared-error",
    task="the loss of a batch: half the squared error, summed over the columns, averaged over the examples",
    arguments="x, x_hat",
    laws=(
        Law("repeating the batch does not change it", _repeated),
        Law("it is minus the log-likelihood of a Gaussian around x_hat, but for a constant", _is_a_likelihood),
    ),
    zoo=(
        _error_mistake(
            "mean over everything",
            "the columns are averaged too. A sum over them is a log-likelihood; a mean is a loss divided by D.",
            columns=lambda x: x.shape[1],
        ),
        _error_mistake("no half", "the factor 1/2 is missing.", half=1),
        _error_mistake("sum over everything", "the examples are summed; the loss is their mean.", over_batch=np.sum),
        _error_mistake(
            "root",
            "a root was taken: this is a length, not a squared error.",
            row=lambda e: np.sqrt(np.sum(e**2, axis=1)),
        ),
        _error_mistake(
            "absolute",
            "these are absolute errors; without the square the noise is taken to be of another kind.",
            row=lambda e: np.abs(e).sum(axis=1),
        ),
        _error_mistake(
            "per example", "there is a value for each example; the loss is their mean.", over_batch=lambda a: a
        ),
    ),
    example=_pair,
)


# ------------------------------------------------------------------------------------ denoising_loss


def _identity_pays(denoising_loss: Callable[..., Any], rng: Rng) -> None:
    x, noise = _pair(rng)
    got = array("The loss", denoising_loss(lambda x: x, x, noise), ())
    close(
        "The loss of the identity",
        got,
        _squared_error(x, x + noise),
        "the identity leaves all the noise in, and pays for it: that is why it is no longer the best map",
    )


def _perfect_is_free(denoising_loss: Callable[..., Any], rng: Rng) -> None:
    x, noise = _pair(rng)

    def clean(noisy: Any) -> Array:
        rows = [_row_of(x + noise, row) for row in np.atleast_2d(np.asarray(noisy, float))]
        found = x[rows]
        return found if np.ndim(noisy) == 2 else found[0]

    got = array("The loss", denoising_loss(clean, x, noise), ())
    close("The loss of a map that removes the noise", got, 0.0, "the target is the clean x")


def _row_of(seen: Array, row: Array) -> int:
    """Return which of the rows the network was given, all at once or one by one, or break the law that it is one."""
    near: Any = np.flatnonzero(np.abs(seen - row).max(axis=1) < 1e-4) if row.shape == seen.shape[1:] else []
    if len(near) == 0:
        raise BrokenLawError("The network must see rows of x + noise, it saw others. The law: the input is corrupted.")
    return int(near[0])


def _any_network(denoising_loss: Callable[..., Any], rng: Rng) -> None:
    f, x, noise = _network(rng)
    want = _squared_error(x, np.array([f(row) for row in x + noise]))
    got = array("The loss", denoising_loss(f, x, noise), ())
    close("The loss of a network", got, want, "half the squared distance from f(x + noise) to x, a mean over the rows")


def _network(rng: Rng) -> tuple[Callable[[Array], Array], Array, Array]:
    """Return a network of random weights, which takes one example or many, x and noise."""
    x, noise = _pair(rng)
    W, b = rng.normal(size=(x.shape[1], x.shape[1])), rng.normal(size=x.shape[1])
    return lambda a: np.tanh(a @ W + b), x, noise


def _denoising_loss(
    f: Callable[[Array], Array],
    x: Array,
    noise: Array,
    *,
    on_input: float = 1,
    on_target: float = 0,
    on_output: float = 0,
    half: float = 0.5,
    columns: Callable[[Array], int] = lambda x: 1,
    over_batch: Callable[[Array], Any] = np.mean,
) -> Any:
    x_hat = f(x + on_input * noise) + on_output * noise
    return _squared_error(x + on_target * noise, x_hat, half=half, columns=columns, over_batch=over_batch)


_denoising_mistake = mistakes_of(_denoising_loss)

DENOISING_LOSS = Exercise(
    id="autoencoders.denoising-loss",
    task="the loss of a denoising autoencoder: the network f sees x + noise and should give x; half the squared error, "
    "summed over the columns, averaged over the examples",
    arguments="f, x, noise",
    laws=(
        Law("the identity pays for all the noise", _identity_pays),
        Law("the input is corrupted and the target is clean", _perfect_is_free),
        Law("for any network it is half the squared error of f(x + noise), averaged over the examples", _any_network),
    ),
    zoo=(
        _denoising_mistake(
            "noisy target",
            "the target is the noisy x: then the identity is perfect again, and nothing is learnt about the noise.",
            on_target=1,
        ),
        _denoising_mistake("clean input", "the noise is never added: this is the plain autoencoder.", on_input=0),
        _denoising_mistake(
            "noise on the output",
            "the noise is added to the output; the network has to see it.",
            on_input=0,
            on_output=1,
        ),
        _denoising_mistake(
            "clean input, noisy target",
            "input and target are exchanged: the input is corrupted, the target is clean.",
            on_input=0,
            on_target=1,
        ),
        _denoising_mistake("no half", "the factor 1/2 is missing.", half=1),
        _denoising_mistake(
            "mean over everything",
            "the columns are averaged too; sum over them, and average over the examples.",
            columns=lambda x: x.shape[1],
        ),
        _denoising_mistake(
            "sum over everything", "the examples are summed; the loss is their mean.", over_batch=np.sum
        ),
    ),
    example=_network,
)


# ------------------------------------------------------------------------------------------ sparsity


def _activations(rng: Rng) -> tuple[Array, float]:
    """Return activations (B, units) in (0, 1) and a target."""
    return rng.uniform(0.05, 0.95, size=sizes(rng, 2)), float(rng.uniform(0.05, 0.3))


def _expected_surprise(sparsity: Callable[..., Any], rng: Rng) -> None:
    h, rho = _activations(rng)
    want = 0.0
    for on in (rho, 1 - rho):  # the two outcomes of a coin
        other = h.mean(axis=0) if on == rho else 1 - h.mean(axis=0)
        want = want + np.sum(on * (np.log(on) - np.log(other)))
    got = array("The penalty", sparsity(h, rho), ())
    close("The penalty", got, want, "the sum over the units of KL(coin rho || coin with the unit's mean activation)")


def _silent_and_saturated(sparsity: Callable[..., Any], rng: Rng) -> None:
    h, rho = _activations(rng)
    h[:, 0] *= 1e-4
    h[:, 1] = 1 - 1e-4 * h[:, 1]
    p = h.mean(axis=0)
    want = np.sum(rho * np.log(rho) + (1 - rho) * np.log(1 - rho) - rho * np.log(p) - (1 - rho) * np.log1p(-p))
    got = array("The penalty of units that are nearly silent, or nearly always on,", sparsity(h, rho), ())
    close(
        "The penalty of units that are nearly silent, or nearly always on,",
        got,
        want,
        "it is the same KL there, where it is largest: the mean activation is not clipped",
    )


def _zero_on_target(sparsity: Callable[..., Any], rng: Rng) -> None:
    like, rho = _activations(rng)
    h = np.full((2 * len(like), like.shape[1]), rho)
    h[::2] *= 1 + rng.uniform(0.1, 0.9, size=like.shape)
    h[1::2] = 2 * rho - h[::2]
    got = array("The penalty", sparsity(h, rho), ())
    close("The penalty of units that are at rho on average", got, 0.0, "each unit may differ from example to example")


def _coin_kl(rho: Any, p: Any) -> Any:
    return rho * np.log(rho / p) + (1 - rho) * np.log((1 - rho) / (1 - p))


def _sparsity(
    h: Array,
    rho: float,
    *,
    average: Callable[[Array], Any] = lambda h: h.mean(axis=0),
    add: Callable[[Array], Any] = np.sum,
    turned: bool = False,
    other_side: float = 1,
) -> Any:
    target, rho_hat = (average(h), rho) if turned else (rho, average(h))
    off = (1 - target) * np.log((1 - target) / (1 - rho_hat))
    return add(target * np.log(target / rho_hat) + other_side * off)


_sparsity_mistake = mistakes_of(_sparsity)

SPARSITY = Exercise(
    id="autoencoders.sparsity",
    task="the sparsity penalty of activations h, shape (batch, units): the sum over the units of the KL from a coin of "
    "probability rho to one of the unit's mean activation in the batch",
    arguments="h, rho",
    laws=(
        Law("it is zero where each unit is at rho on average", _zero_on_target),
        Law("it is the KL between the two coins, summed over the units", _expected_surprise),
        Law("so it is for units that are nearly silent, or nearly always on", _silent_and_saturated),
    ),
    zoo=(
        _sparsity_mistake(
            "per element",
            "every single activation is pulled to rho; it is the mean over the batch that should be rho, "
            "so that few fire, "
            "and strongly.",
            average=lambda h: h,
            add=lambda a: a.sum() / len(a),
        ),
        _sparsity_mistake(
            "per element, summed",
            "every single activation is pulled to rho, and the batch is summed; take the mean over the batch first.",
            average=lambda h: h,
        ),
        _sparsity_mistake(
            "other direction", "the KL is taken in the other direction: the target rho comes first.", turned=True
        ),
        _sparsity_mistake("mean over the units", "the units are averaged; their penalties add.", add=np.mean),
        _sparsity_mistake(
            "one mean for all units",
            "the units share one mean here; each unit has its own rho_hat (axis=0), and their penalties add.",
            average=np.mean,
        ),
        _sparsity_mistake(
            "mean over the wrong axis",
            "the mean is over the units of each example; it should be over the examples (axis=0).",
            average=lambda h: h.mean(axis=1),
        ),
        _sparsity_mistake(
            "one side of the coin",
            "half of the KL is missing: the coin has a second side, (1 - rho) log((1 - rho) / (1 - rho_hat)).",
            other_side=0,
        ),
    ),
    example=_activations,
)


# ---------------------------------------------------------------------------------- jacobian_penalty


def _encoder(rng: Rng) -> tuple[Array, Array, Array]:
    """Return W (n_x, units), b (units,), x (B, n_x)."""
    n_batch, n_x, n_units = sizes(rng, 3)
    return rng.normal(size=(n_x, n_units)), rng.normal(size=n_units), rng.normal(size=(n_batch, n_x))


def _brute_force(jacobian_penalty: Callable[..., Any], rng: Rng) -> None:
    W, b, x = _encoder(rng)
    total, h = 0.0, 1e-5
    for i in range(x.shape[1]):
        step = h * np.eye(x.shape[1])[i]
        total += np.sum(((np.tanh((x + step) @ W + b) - np.tanh((x - step) @ W + b)) / (2 * h)) ** 2)
    got = array("The penalty", jacobian_penalty(W, b, x), ())
    close("The penalty", got, total / len(x), "the squares of all slopes dh_j/dx_i, averaged over the examples", 1e-7)


def _jacobian_penalty(
    W: Array,
    b: Array,
    x: Array,
    *,
    slope: Callable[[Array], Array] = lambda h: 1 - h**2,
    norm: Callable[[Array], Array] = lambda J: np.sum(J**2, axis=(1, 2)),
    first: Callable[[Array], Array] = lambda J: J,
    over_batch: Callable[[Array], Any] = np.mean,
) -> Any:
    J = slope(np.tanh(x @ W + b))[:, None, :] * W  # dh_j/dx_i, (B, n_x, units)
    return over_batch(norm(first(J)))


_jacobian_mistake = mistakes_of(_jacobian_penalty)

JACOBIAN_PENALTY = Exercise(
    id="autoencoders.jacobian-penalty",
    task="the contractive penalty of the encoder h = tanh(x W + b): the squared Frobenius norm of its Jacobian dh/dx, "
    "averaged over the examples",
    arguments="W, b, x",
    laws=(Law("it equals the sum of all squared slopes, found by finite differences", _brute_force),),
    zoo=(
        _jacobian_mistake(
            "weights only",
            "this is weight decay: the slope of tanh, 1 - h^2, is missing. A saturated unit contracts "
            "with large weights too.",
            slope=np.ones_like,
        ),
        _jacobian_mistake(
            "slope not squared",
            "the slope of tanh is not squared, but the weights are.",
            slope=lambda h: np.sqrt(1 - h**2),
        ),
        _jacobian_mistake(
            "sum over the batch", "the examples are summed; the penalty is their mean.", over_batch=np.sum
        ),
        _jacobian_mistake(
            "norm of the mean",
            "this is the norm of the mean Jacobian, in which opposite slopes cancel; take the norm first, "
            "then the mean.",
            first=lambda J: J.mean(axis=0, keepdims=True),
        ),
        _jacobian_mistake(
            "norm, not its square",
            "a root was taken: the penalty is the squared norm.",
            norm=lambda J: np.sqrt(np.sum(J**2, axis=(1, 2))),
        ),
        _jacobian_mistake(
            "diagonal",
            "the slopes are added before they are squared; square each entry of the Jacobian.",
            norm=lambda J: np.sum(J.sum(axis=1) ** 2, axis=1),
        ),
    ),
    example=_encoder,
)

EXERCISES = (SQUARED_ERROR, DENOISING_LOSS, SPARSITY, JACOBIAN_PENALTY)
