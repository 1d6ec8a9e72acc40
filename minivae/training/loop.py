"""The training loop: minibatches, validation on fixed noise, early stopping, a guard."""

import contextlib
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from minivae.core.arrays import Array
from minivae.core.errors import FileError, NonFiniteError, first_non_finite
from minivae.core.files import writable
from minivae.core.registry import to_spec
from minivae.distributions.likelihoods import NotALikelihoodWarning
from minivae.models.autoencoder import Autoencoder
from minivae.models.discrete import BernoulliVAE
from minivae.models.vae import VAE
from minivae.nn.optim import clip_by_norm
from minivae.training.binarize import binarize
from minivae.training.checkpoints import Row, State, fingerprint, restore
from minivae.training.guards import check_epoch, guard, warn_if_diverging
from minivae.training.interrupts import Interrupt
from minivae.training.settings import Settings, check_estimator_of
from minivae.training.threads import blas_threads
from minivae.training.validation import Validation


@dataclass
class Result:
    """What training left.

    Attributes
    ----------
    model : VAE, Autoencoder or BernoulliVAE
    params : array
        The parameters with the best validation loss (the last ones where there is no validation set).
    history : list of dict
        One row an epoch: epoch, step, learning_rate, train_* and valid_* in nats per example.
    best_epoch : int
        Epoch that ``params`` are from, counted from 1.
    stopped : {"finished", "early", "interrupted"}
    seconds : float
        Time spent training, that before a resume included.
    examples_per_second : float
    """

    model: Any
    params: Array
    history: list[Row]
    best_epoch: int
    stopped: str
    seconds: float
    examples_per_second: float


def train(
    model: VAE | Autoencoder | BernoulliVAE,
    x_train: Any,
    x_valid: Any = None,
    settings: Settings | None = None,
    *,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    progress: bool | None = False,
    on_epoch: Callable[[Row], None] | None = None,
    checkpoint_seconds: float = 5.0,
) -> Result:
    """Minimise the model's loss on x_train, and keep the parameters that do best on x_valid.

    Each epoch goes once through the data in a new random order. The validation loss is taken on the same noise
    every time, so that its changes are the model's. With ``checkpoint`` the whole state is written to that file
    (atomically, at most every ``checkpoint_seconds``, and at the end or an interrupt), and with ``resume`` a run
    goes on from there exactly as if it had never stopped.

    Parameters
    ----------
    model : VAE, Autoencoder or BernoulliVAE
    x_train : array of shape (N, n_x)
    x_valid : array of shape (M, n_x), optional
    settings : Settings
    checkpoint : path, optional
    resume : bool
        Continue from ``checkpoint``; data, model and settings must be the same, but epochs and patience may grow.
    progress : bool or None
        Show a progress bar; None shows it on a terminal only.
    on_epoch : callable, optional
        Called with each new row of the history.
    checkpoint_seconds : float

    Returns
    -------
    Result
        ``stopped`` is "interrupted" after Ctrl-C, with the best parameters so far.

    Raises
    ------
    ValueError
        If the data do not fit the model, or the checkpoint is of another run.
    NonFiniteError
        At the first step whose loss or gradient is not finite; it names the array, the step and the remedy.

    Examples
    --------
    >>> import numpy as np
    >>> from minivae.models.vae import VAE
    >>> x = (np.random.default_rng(0).random((64, 4)) < 0.5).astype(np.float32)
    >>> result = train(VAE.mlp(n_x=4, n_latent=1), x, settings=Settings(epochs=2, batch_size=16))
    >>> [row["step"] for row in result.history]
    [4, 8]
    """
    settings = Settings() if settings is None else settings
    check_estimator_of(model, settings)
    dtype = np.dtype(settings.dtype)
    with warnings.catch_warnings():
        if settings.binarize:  # grey values are then probabilities, and the likelihood sees zeros and ones
            warnings.simplefilter("ignore", NotALikelihoodWarning)
        x_train = model.check_data(x_train, "x_train", dtype)
        model.likelihood.check_training(x_train)
        warnings.simplefilter("ignore", NotALikelihoodWarning)  # said of x_train
        x_valid = None if x_valid is None else model.check_data(x_valid, "x_valid", dtype)
    if settings.binarize:
        for name, x in (("x_train", x_train), ("x_valid", x_valid)):
            if x is not None and (x.min() < 0 or x.max() > 1):
                raise ValueError(
                    f"{name} must lie in [0, 1] to be binarised, got {x.min():g} to {x.max():g}. Divide by the maximum."
                )
    if settings.batch_size > len(x_train):
        warnings.warn(
            f"batch_size should be at most the number of training examples, {len(x_train)}, got {settings.batch_size}: "
            f"each epoch is one step on all of them. Choose a smaller batch_size for more steps.",
            stacklevel=2,
        )

    path = None if checkpoint is None else Path(checkpoint)
    if path is not None:
        writable(path.parent, "checkpoint's folder")
        if path.is_dir():
            raise FileError(f"checkpoint must name a file, got {path}, which is a folder. Add a name, such as c.npz.")
    rng = np.random.default_rng(settings.seed)
    params = model.init(rng, dtype, x_train if settings.start_at_mean else None)
    rule = settings.baseline(model)
    baseline = {} if rule is None else rule.init(np.random.default_rng([settings.seed, 3]), dtype)
    state = State(params, params.copy(), settings.optimizer.init(params), baseline, rng, [])
    spec = {
        "model": to_spec(model),
        "settings": to_spec(settings),
        "data": fingerprint(x_train, x_valid),
    }
    if resume:
        if path is None:
            raise ValueError("checkpoint must name the file to resume from, got None. Pass checkpoint=PATH.")
        restore(state, path, spec, settings)

    n_steps = -(-len(x_train) // settings.batch_size)
    first_epoch, seconds_before = len(state.history), state.seconds
    whole: State | None = None  # as of the last whole epoch
    interrupt = Interrupt()
    bar = tqdm(
        total=settings.epochs * n_steps,
        initial=first_epoch * n_steps,
        unit="step",
        disable=None if progress is None else not progress,
        dynamic_ncols=True,
        desc="loading kernels (the first run ever compiles them)",
    )
    with interrupt:
        _warm_up(model, x_train, settings, params)
        validation = Validation(model, x_valid, settings, params)
    bar.set_description_str("training")
    last_save = start = time.monotonic()
    stopped = "finished"
    try:
        with (
            blas_threads(model, settings.batch_size * settings.n_draws),
            interrupt,
            bar,
            np.errstate(over="ignore", invalid="ignore"),
        ):  # the guard speaks of these
            for epoch in range(first_epoch, settings.epochs):
                if settings.patience is not None and epoch - state.best_epoch >= settings.patience:
                    stopped = "early"
                    break
                row = _epoch(model, x_train, settings, state, epoch, n_steps, bar, interrupt)
                row |= validation(params)
                check_epoch(model, params, row, settings)
                improved = not validation.given or row["valid_loss"] < validation.best(state)
                state.history.append(row)
                if improved:
                    state.best[:] = params
                    state.best_epoch = epoch + 1
                warn_if_diverging(state.history, validation.before, settings)
                state.seconds = seconds_before + time.monotonic() - start
                if path is not None:
                    whole = state.copy()
                    if time.monotonic() - last_save >= checkpoint_seconds:
                        whole.save(path, spec)
                        last_save = time.monotonic()
                if on_epoch is not None:
                    on_epoch(row)
                bar.set_postfix({k: f"{v:.2f}" for k, v in row.items() if k in ("train_loss", "valid_loss")})
    except KeyboardInterrupt:
        stopped = "interrupted"
    finally:
        if path is not None and whole is not None:
            whole.save(path, spec)
    rate = len(state.history) * len(x_train) / max(state.seconds, 1e-9)
    return Result(model, state.best, state.history, state.best_epoch, stopped, state.seconds, rate)


def _warm_up(model: Any, x_train: Array, settings: Settings, params: Array) -> None:
    """Take one step on copies, so that every kernel is compiled or loaded before the clock starts."""
    copy, x = params.copy(), x_train[:2]
    eps = model.draw_noise(np.random.default_rng(0), settings.n_draws, len(x), params.dtype)
    with contextlib.suppress(NonFiniteError), np.errstate(all="ignore"):
        model.loss_and_grad(copy, x, eps, grads := np.zeros_like(copy))
        settings.optimizer.update(copy, grads, settings.optimizer.init(copy))


def _epoch(
    model: Any,
    x_train: Array,
    settings: Settings,
    state: State,
    epoch: int,
    n_steps: int,
    bar: Any,
    interrupt: "Interrupt",
) -> Row:
    """Go once through the data in a new order; return the epoch's row of the history."""
    params, rng = state.params, state.rng
    grads = np.empty_like(params)
    scale = settings.schedule.scale(epoch)
    order = rng.permutation(len(x_train))
    how: dict[str, Any] = {"beta": settings.beta} if isinstance(model, VAE | BernoulliVAE) else {}
    if isinstance(model, VAE):
        how |= {"kl": settings.kl, "estimator": settings.at_each_step}
    rule = settings.baseline(model)
    sums: Row = {}
    for i in range(n_steps):
        interrupt.check()
        rows = order[i * settings.batch_size : (i + 1) * settings.batch_size]
        x = x_train[rows]
        if settings.binarize:
            x = binarize(x, rng)
        eps = model.draw_noise(rng, settings.n_draws, len(x), params.dtype)
        step = epoch * n_steps + i + 1
        if rule is not None:
            how["baseline"] = rule.predict(state.baseline, x)
        try:
            loss, terms = model.loss_and_grad(params, x, eps, grads, **how)
        except NonFiniteError as error:
            raise guard(step, epoch, error.where, settings) from None
        if rule is not None:
            f = terms.log_lik - settings.beta * terms.kl if settings.kl == "sampled" else terms.log_lik
            rule.update(state.baseline, x, f)
        norm = float(np.sqrt(np.dot(grads, grads)))
        if not np.isfinite(norm):  # in float32 the squares may overflow where the norm does not
            norm = float(np.linalg.norm(grads.astype(np.float64)))
        if not np.isfinite(norm):
            where = first_non_finite(model.named(grads)) or "its norm overflows"
            raise guard(step, epoch, f"the gradient is not finite: in it, {where}", settings)
        if settings.clip_norm is not None:
            clip_by_norm(grads, norm, settings.clip_norm)
        settings.optimizer.update(params, grads, state.optimizer, scale)
        for name, value in {"loss": loss, **terms.means()}.items():
            sums[name] = sums.get(name, 0.0) + value * len(x)
        bar.update(1)
    row: Row = {
        "epoch": epoch + 1,
        "step": (epoch + 1) * n_steps,
        "learning_rate": settings.optimizer.learning_rate * scale,
    }
    return row | {f"train_{name}": total / len(x_train) for name, total in sums.items()}
