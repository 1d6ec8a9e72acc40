"""Exercises of the lecture "Autoencoders"."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.core.arrays import Array
from minivae.distributions.likelihoods import Gaussian
from minivae.exercises.framework import Exercise, Law, Mistake
from minivae.exercises.laws import BrokenLawError, array, close

Rng = np.random.Generator


# ------------------------------------------------------------------------------------- squared_error


def _pair(rng: Rng) -> tuple[Array, Array]:
    return rng.normal(size=(5, 3)), rng.normal(size=(5, 3))


def _is_a_likelihood(squared_error: Callable[..., Any], rng: Rng) -> None:
    x, x_hat = _pair(rng)
    log_lik = Gaussian().log_prob(np.empty(0), x_hat, x)
    want = -log_lik.mean() - 1.5 * np.log(2 * np.pi)
    got = array("The loss", squared_error(x, x_hat), ())
    close("The loss", got, want, "minus the mean of log N(x; x_hat, I), without its constant")


def _repeated(squared_error: Callable[..., Any], rng: Rng) -> None:
    x, x_hat = _pair(rng)
    once = array("The loss", squared_error(x, x_hat), ())
    twice = array("The loss", squared_error(np.tile(x, (2, 1)), np.tile(x_hat, (2, 1))), ())
    close("The loss of every example twice", twice, once, "the loss is a mean over the examples")


SQUARED_ERROR = Exercise(
    id="autoencoders.squared-error",
    task="the loss of a batch: half the squared error, summed over the columns, averaged over the examples",
    arguments="x, x_hat",
    laws=(
        Law("repeating the batch does not change it", _repeated),
        Law("it is minus the log-likelihood of a Gaussian around x_hat, but for a constant", _is_a_likelihood),
    ),
    zoo=(
        Mistake(
            "mean over everything",
            "the columns are averaged too. A sum over them is a log-likelihood; a mean is a loss divided by D.",
            lambda x, x_hat: 0.5 * np.mean((x - x_hat) ** 2),
        ),
        Mistake("no half", "the factor 1/2 is missing.", lambda x, x_hat: np.sum((x - x_hat) ** 2) / len(x)),
        Mistake(
            "sum over everything",
            "the examples are summed; the loss is their mean.",
            lambda x, x_hat: 0.5 * np.sum((x - x_hat) ** 2),
        ),
        Mistake(
            "root",
            "a root was taken: this is a length, not a squared error.",
            lambda x, x_hat: 0.5 * np.mean(np.sqrt(np.sum((x - x_hat) ** 2, axis=1))),
        ),
        Mistake(
            "absolute",
            "these are absolute errors; without the square the noise is taken to be of another kind.",
            lambda x, x_hat: 0.5 * np.sum(np.abs(x - x_hat)) / len(x),
        ),
        Mistake(
            "per example",
            "there is a value for each example; the loss is their mean.",
            lambda x, x_hat: 0.5 * np.sum((x - x_hat) ** 2, axis=1),
        ),
    ),
    example=_pair,
)


# ------------------------------------------------------------------------------------ denoising_loss


def _loss(x: Array, x_hat: Array) -> float:
    return float(0.5 * np.sum((x - x_hat) ** 2) / len(x))


def _identity_pays(denoising_loss: Callable[..., Any], rng: Rng) -> None:
    x, noise = _pair(rng)
    got = array("The loss", denoising_loss(lambda x: x, x, noise), ())
    close(
        "The loss of the identity",
        got,
        _loss(x, x + noise),
        "the identity leaves all the noise in, and pays for it: that is why it is no longer the best map",
    )


def _perfect_is_free(denoising_loss: Callable[..., Any], rng: Rng) -> None:
    x, noise = _pair(rng)

    def clean(noisy: Array) -> Array:
        if not np.allclose(noisy, x + noise):
            raise BrokenLawError(
                "The network must see x + noise, it saw something else. The law: the input is corrupted."
            )
        return x

    got = array("The loss", denoising_loss(clean, x, noise), ())
    close("The loss of a map that removes the noise", got, 0.0, "the target is the clean x")


DENOISING_LOSS = Exercise(
    id="autoencoders.denoising-loss",
    task="the loss of a denoising autoencoder: the network f sees x + noise and should give x; half the squared error, "
    "summed over the columns, averaged over the examples",
    arguments="f, x, noise",
    laws=(
        Law("the identity pays for all the noise", _identity_pays),
        Law("the input is corrupted and the target is clean", _perfect_is_free),
    ),
    zoo=(
        Mistake(
            "noisy target",
            "the target is the noisy x: then the identity is perfect again, and nothing is learnt about the noise.",
            lambda f, x, noise: _loss(x + noise, f(x + noise)),
        ),
        Mistake(
            "clean input",
            "the noise is never added: this is the plain autoencoder.",
            lambda f, x, noise: _loss(x, f(x)),
        ),
        Mistake(
            "noise on the output",
            "the noise is added to the output; the network has to see it.",
            lambda f, x, noise: _loss(x, f(x) + noise),
        ),
        Mistake(
            "clean input, noisy target",
            "input and target are exchanged: the input is corrupted, the target is clean.",
            lambda f, x, noise: _loss(x + noise, f(x)),
        ),
        Mistake(
            "mean over everything",
            "the columns are averaged too; sum over them, and average over the examples.",
            lambda f, x, noise: _loss(x, f(x + noise)) / x.shape[1],
        ),
    ),
    example=lambda rng: (np.tanh, *_pair(rng)),
)


# ------------------------------------------------------------------------------------------ sparsity


def _activations(rng: Rng) -> tuple[Array, float]:
    """Return activations (6, 4) in (0, 1) and a target."""
    return rng.uniform(0.05, 0.95, size=(6, 4)), float(rng.uniform(0.05, 0.3))


def _expected_surprise(sparsity: Callable[..., Any], rng: Rng) -> None:
    h, rho = _activations(rng)
    want = 0.0
    for on in (rho, 1 - rho):  # the two outcomes of a coin
        other = h.mean(axis=0) if on == rho else 1 - h.mean(axis=0)
        want = want + np.sum(on * (np.log(on) - np.log(other)))
    got = array("The penalty", sparsity(h, rho), ())
    close("The penalty", got, want, "the sum over the units of KL(coin rho || coin with the unit's mean activation)")


def _zero_on_target(sparsity: Callable[..., Any], rng: Rng) -> None:
    _, rho = _activations(rng)
    h = np.full((6, 4), rho)
    h[:3] += 0.5 * rho
    h[3:] -= 0.5 * rho
    got = array("The penalty", sparsity(h, rho), ())
    close("The penalty of units that are at rho on average", got, 0.0, "each unit may differ from example to example")


def _coin_kl(rho: Any, p: Any) -> Any:
    return rho * np.log(rho / p) + (1 - rho) * np.log((1 - rho) / (1 - p))


SPARSITY = Exercise(
    id="autoencoders.sparsity",
    task="the sparsity penalty of activations h, shape (batch, units): the sum over the units of the KL from a coin of "
    "probability rho to one of the unit's mean activation in the batch",
    arguments="h, rho",
    laws=(
        Law("it is zero where each unit is at rho on average", _zero_on_target),
        Law("it is the KL between the two coins, summed over the units", _expected_surprise),
    ),
    zoo=(
        Mistake(
            "per element",
            "every single activation is pulled to rho; it is the mean over the batch that should be rho, "
            "so that few fire, "
            "and strongly.",
            lambda h, rho: np.sum(_coin_kl(rho, h)) / len(h),
        ),
        Mistake(
            "per element, summed",
            "every single activation is pulled to rho, and the batch is summed; take the mean over the batch first.",
            lambda h, rho: np.sum(_coin_kl(rho, h)),
        ),
        Mistake(
            "other direction",
            "the KL is taken in the other direction: the target rho comes first.",
            lambda h, rho: np.sum(_coin_kl(h.mean(axis=0), rho)),
        ),
        Mistake(
            "mean over the units",
            "the units are averaged; their penalties add.",
            lambda h, rho: np.mean(_coin_kl(rho, h.mean(axis=0))),
        ),
        Mistake(
            "one mean for all units",
            "the units share one mean here; each unit has its own rho_hat (axis=0), and their penalties add.",
            lambda h, rho: _coin_kl(rho, h.mean()),
        ),
        Mistake(
            "mean over the wrong axis",
            "the mean is over the units of each example; it should be over the examples (axis=0).",
            lambda h, rho: np.sum(_coin_kl(rho, h.mean(axis=1))),
        ),
        Mistake(
            "one side of the coin",
            "half of the KL is missing: the coin has a second side, (1 - rho) log((1 - rho) / (1 - rho_hat)).",
            lambda h, rho: np.sum(rho * np.log(rho / h.mean(axis=0))),
        ),
    ),
    example=_activations,
)


# ---------------------------------------------------------------------------------- jacobian_penalty


def _encoder(rng: Rng) -> tuple[Array, Array, Array]:
    """Return W (4, 3), b (3,), x (5, 4)."""
    return rng.normal(size=(4, 3)), rng.normal(size=3), rng.normal(size=(5, 4))


def _brute_force(jacobian_penalty: Callable[..., Any], rng: Rng) -> None:
    W, b, x = _encoder(rng)
    total, h = 0.0, 1e-5
    for i in range(x.shape[1]):
        step = h * np.eye(x.shape[1])[i]
        total += np.sum(((np.tanh((x + step) @ W + b) - np.tanh((x - step) @ W + b)) / (2 * h)) ** 2)
    got = array("The penalty", jacobian_penalty(W, b, x), ())
    close("The penalty", got, total / len(x), "the squares of all slopes dh_j/dx_i, averaged over the examples", 1e-7)


def _jacobian(W: Array, b: Array, x: Array) -> Array:
    """Slopes dh_j/dx_i, shape (batch, n_x, units)."""
    return (1 - np.tanh(x @ W + b) ** 2)[:, None, :] * W


JACOBIAN_PENALTY = Exercise(
    id="autoencoders.jacobian-penalty",
    task="the contractive penalty of the encoder h = tanh(x W + b): the squared Frobenius norm of its Jacobian dh/dx, "
    "averaged over the examples",
    arguments="W, b, x",
    laws=(Law("it equals the sum of all squared slopes, found by finite differences", _brute_force),),
    zoo=(
        Mistake(
            "weights only",
            "this is weight decay: the slope of tanh, 1 - h^2, is missing. A saturated unit contracts "
            "with large weights too.",
            lambda W, b, x: np.sum(W**2),
        ),
        Mistake(
            "slope not squared",
            "the slope of tanh is not squared, but the weights are.",
            lambda W, b, x: np.sum((1 - np.tanh(x @ W + b) ** 2)[:, None, :] * W**2) / len(x),
        ),
        Mistake(
            "sum over the batch",
            "the examples are summed; the penalty is their mean.",
            lambda W, b, x: np.sum(_jacobian(W, b, x) ** 2),
        ),
        Mistake(
            "norm of the mean",
            "this is the norm of the mean Jacobian, in which opposite slopes cancel; take the norm first, "
            "then the mean.",
            lambda W, b, x: np.sum(_jacobian(W, b, x).mean(axis=0) ** 2),
        ),
        Mistake(
            "norm, not its square",
            "a root was taken: the penalty is the squared norm.",
            lambda W, b, x: np.mean(np.sqrt(np.sum(_jacobian(W, b, x) ** 2, axis=(1, 2)))),
        ),
        Mistake(
            "diagonal",
            "the slopes are added before they are squared; square each entry of the Jacobian.",
            lambda W, b, x: np.sum(_jacobian(W, b, x).sum(axis=1) ** 2) / len(x),
        ),
    ),
    example=_encoder,
)

EXERCISES = (SQUARED_ERROR, DENOISING_LOSS, SPARSITY, JACOBIAN_PENALTY)
