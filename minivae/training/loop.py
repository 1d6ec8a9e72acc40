"""The training loop: minibatches, validation on fixed noise, early stopping, a guard."""

import contextlib
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.errors import FileError, NonFiniteError
from minivae.core.files import writable
from minivae.core.registry import to_spec
from minivae.core.seeds import Stream, stream
from minivae.distributions.likelihoods import NotALikelihoodWarning
from minivae.models.base import Model
from minivae.nn.optim import clip_by_norm
from minivae.training.arithmetic import arithmetic, blas_threads, one_thread_is_best, threads_of
from minivae.training.bits import check_probabilities, draw_bits
from minivae.training.checkpoints import Row, State, fingerprint, restore, warn_of_other_arithmetic
from minivae.training.guards import check_update, check_validation, finite_norm, guard, warn_if_diverging
from minivae.training.interrupts import Interrupt, Terminated
from minivae.training.settings import Settings
from minivae.training.validation import Validation


@dataclass
class Result:
    """What training left.

    Attributes
    ----------
    model : Model
    params : array
        The parameters with the best validation loss (the last ones where there is no validation set).
    history : list of dict
        One row an epoch: epoch, step, learning_rate, train_* and valid_* in nats per example.
    best_epoch : int
        Epoch that ``params`` are from, counted from 1.
    stopped : {"finished", "early", "interrupted", "terminated"}
        Why: its epochs or its patience were used up, or Ctrl-C or SIGTERM came.
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
    model: Model,
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
    model : Model
        VAE, Autoencoder, or your own by the same protocol.
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

    Notes
    -----
    "Exactly" means bit for bit, on one kind of processor with the same BLAS kernels, BLAS threads and versions of
    NumPy and Numba. The checkpoint records them, and a resume under others is warned of. A fresh run takes one thread
    where another process keeps a core busy at its start; a resumed one what it was begun with. Inside
    ``reproducible()`` the number of threads is no condition.

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
    settings = _checked_settings(model, settings)
    x_train, x_valid = _checked(model, x_train, x_valid, settings)
    if on_epoch is not None:
        checks.function(on_epoch, "on_epoch")
        # which may write to its caller's arrays
        x_train, x_valid = x_train.copy(), None if x_valid is None else x_valid.copy()
    if progress is not None:
        checks.flag(progress, "progress")
    checks.number(checkpoint_seconds, "checkpoint_seconds", low=0, closed=True)
    path = _checked_path(checkpoint, checks.flag(resume, "resume"))
    state = _start(model, x_train, settings)
    spec = {"model": to_spec(model), "settings": to_spec(settings), "data": fingerprint(x_train, x_valid)}
    rows_a_step = settings.batch_size * (settings.n_draws or 1)
    begun_with = restore(state, path, spec, settings) if resume and path is not None else {}
    # a run goes on with the threads that it was begun with, whatever else is at work by then
    threads = begun_with.get("blas_threads")
    one = one_thread_is_best(model, rows_a_step) if threads is None else threads == 1
    here: dict[str, Any] = {}
    if path is not None:
        with threads_of(one):
            here = arithmetic()
        warn_of_other_arithmetic(begun_with, here)

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
        _warm_up(model, x_train, settings, state.params)
        validation = Validation(model, x_valid, settings, state.params)
    bar.set_description_str("training")
    last_save = start = time.monotonic()
    stopped = "finished"
    quiet = np.errstate(over="ignore", invalid="ignore")  # the guard speaks of these
    try:
        with threads_of(one), interrupt, bar, quiet:
            for epoch in range(first_epoch, settings.epochs):
                if settings.patience is not None and _waited(epoch, state, settings) >= settings.patience:
                    stopped = "early"
                    break
                row = _epoch(model, x_train, settings, state, epoch, bar, interrupt)
                check_update(model, state.params, row, settings)
                row |= validation(state.params)
                check_validation(row, settings)
                state.keep(row, better=not validation.given or row["valid_loss"] < validation.best(state))
                warn_if_diverging(state.history, validation.before, settings)
                state.seconds = seconds_before + time.monotonic() - start
                if path is not None:
                    whole = state.copy()
                    if time.monotonic() - last_save >= checkpoint_seconds:
                        _save(whole, path, spec, here)
                        last_save = time.monotonic()
                if on_epoch is not None:
                    on_epoch(row)
                bar.set_postfix({k: f"{v:.2f}" for k, v in row.items() if k in ("train_loss", "valid_loss")})
    except KeyboardInterrupt as signal:
        stopped = "terminated" if isinstance(signal, Terminated) else "interrupted"
    finally:
        if path is not None and whole is not None:
            _save(whole, path, spec, here)
    rate = len(state.history) * len(x_train) / max(state.seconds, 1e-9)
    return Result(model, state.best, state.history, state.best_epoch, stopped, state.seconds, rate)


def _waited(epoch: int, state: State, settings: Settings) -> int:
    """Return how many epochs have passed without a better one, from where a schedule of beta has settled."""
    return epoch - max(state.best_epoch, settings.settles)


def _checked_settings(model: Model, settings: Any) -> Settings:
    if not isinstance(settings, Settings | None):
        raise ValueError(f"settings must be Settings, got {checks.shown(settings)}. For example Settings(epochs=10).")
    return (Settings() if settings is None else settings).resolved(model)


def _checked(model: Model, x_train: Any, x_valid: Any, settings: Settings) -> tuple[Array, Array | None]:
    """Return the data as the model takes them, or refuse them."""
    dtype = np.dtype(settings.dtype)
    with warnings.catch_warnings():
        if settings.binarize:  # grey values are then probabilities, and the likelihood sees zeros and ones
            warnings.simplefilter("ignore", NotALikelihoodWarning)
        x_train = model.check_data(x_train, "x_train", dtype)
        model.likelihood.check_training(x_train)
        warnings.simplefilter("ignore", NotALikelihoodWarning)  # said of x_train
        x_valid = None if x_valid is None else model.check_data(x_valid, "x_valid", dtype)
    if settings.binarize:
        check_probabilities(x_train, "x_train")
        if x_valid is not None:
            check_probabilities(x_valid, "x_valid")
    if settings.batch_size > len(x_train):
        warnings.warn(
            f"batch_size should be at most the number of training examples, {len(x_train)}, got {settings.batch_size}: "
            f"each epoch is one step on all of them. Choose a smaller batch_size for more steps.",
            stacklevel=3,
        )
    return x_train, x_valid


def _checked_path(checkpoint: str | Path | None, resume: bool) -> Path | None:
    if checkpoint is None:
        if resume:
            raise ValueError("checkpoint must name the file to resume from, got None. Pass checkpoint=PATH.")
        return None
    path = checks.path(checkpoint, "checkpoint")
    writable(path.parent, "checkpoint's folder")
    if path.is_dir():
        raise FileError(f"checkpoint must name a file, got {path}, which is a folder. Add a name, such as c.npz.")
    return path


def _save(state: State, path: Path, spec: dict[str, Any], arithmetic: dict[str, Any]) -> None:
    """Write a checkpoint; a full disk does not cost the training, which still has its state in memory."""
    try:
        state.save(path, spec, arithmetic)
    except FileError as error:
        warnings.warn(f"{error} Training goes on without.", stacklevel=3)


def _start(model: Model, x_train: Array, settings: Settings) -> State:
    """Return the state before the first step."""
    dtype = np.dtype(settings.dtype)
    rng = stream(settings.seed, Stream.TRAINING)
    params = model.init(rng, dtype, x_train if settings.start_at_mean else None)
    rule = settings.rule(model)
    baseline = {} if rule is None else rule.init(stream(settings.seed, Stream.BASELINE), dtype)
    return State(params, params.copy(), settings.optimizer.init(params), baseline, rng, [])


def _warm_up(model: Model, x_train: Array, settings: Settings, params: Array) -> None:
    """Take one step on copies, so that every kernel is compiled or loaded before the clock starts."""
    copy, x = params.copy(), x_train[:2]
    draw = getattr(model, "training_noise", model.draw_noise)  # which may drop some of what the decoder sees
    eps = draw(stream(settings.seed, Stream.WARM_UP), settings.n_draws or 1, len(x), params.dtype)
    with contextlib.suppress(NonFiniteError), np.errstate(all="ignore"):
        model.loss_and_grad(copy, x, eps, grads := np.zeros_like(copy), settings.objective)
        settings.optimizer.update(copy, grads, settings.optimizer.init(copy))


def _batches(
    model: Model, x_train: Array, settings: Settings, rng: np.random.Generator
) -> Iterator[tuple[Array, Array | None]]:
    """Yield minibatches in a new random order, each with its noise."""
    order = rng.permutation(len(x_train))
    for start in range(0, len(x_train), settings.batch_size):
        x = x_train[order[start : start + settings.batch_size]]
        if settings.binarize:
            x = draw_bits(x, rng)
        yield x, getattr(model, "training_noise", model.draw_noise)(rng, settings.n_draws or 1, len(x), x.dtype)


def _epoch(
    model: Model, x_train: Array, settings: Settings, state: State, epoch: int, bar: Any, interrupt: Interrupt
) -> Row:
    """Go once through the data in a new order; return the epoch's row of the history."""
    params, grads = state.params, np.empty_like(state.params)
    objective, rule = settings.objective_at(epoch), settings.rule(model)
    scale = settings.schedule.scale(epoch)
    n_steps = -(-len(x_train) // settings.batch_size)
    how: dict[str, Any] = {}
    sums: Row = {}
    for i, (x, eps) in enumerate(_batches(model, x_train, settings, state.rng)):
        interrupt.check()
        step = epoch * n_steps + i + 1
        if rule is not None:
            how["baseline"] = rule.predict(state.baseline, x)
        try:
            loss, terms = model.loss_and_grad(params, x, eps, grads, objective, **how)
        except NonFiniteError as error:
            raise guard(step, epoch, error.where, settings, updated=step > 1) from None
        if rule is not None:
            rule.update(state.baseline, x, objective.signal(terms))
        norm = finite_norm(model, grads, step, epoch, settings)
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
    row |= {f"train_{name}": total / len(x_train) for name, total in sums.items()}
    if objective is not settings.objective:  # of a schedule
        row["beta"] = objective.beta
    return row


def begun(model: Model, x_train: Array, settings: Settings) -> State:
    """Return the state before the first step, of checked rows and resolved settings: for a loop of one's own."""
    return _start(model, x_train, settings)


def one_epoch(model: Model, x_train: Array, settings: Settings, state: State, epoch: int) -> Row:
    """Go once through checked rows, from a state, which goes on; return the row of the history."""
    quiet = np.errstate(over="ignore", invalid="ignore")  # the guard speaks of these
    with blas_threads(model, settings.batch_size * (settings.n_draws or 1)), Interrupt() as interrupt, quiet:
        row = _epoch(model, x_train, settings, state, epoch, tqdm(disable=True), interrupt)
        check_update(model, state.params, row, settings)
    return row
