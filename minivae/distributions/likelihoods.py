"""p(x|z): how the decoder's output scores a data row. Each likelihood owns its support and says so.

All share one contract. ``forward`` gives the log-probability of each decoder row (nats, summed over the
data dimensions) and, computed in the same pass, its derivative with respect to the decoder's output;
``backward`` weights that derivative. Decoder row r belongs to data row r % B, so K draws need no copies.
"""

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from minivae.core import checks, errors, kernels
from minivae.core.arrays import Array, sigmoid
from minivae.core.boxes import NoParameters
from minivae.core.registry import Table, saved
from minivae.core.trust import looked
from minivae.distributions.protocols import Likelihood


class NotALikelihoodWarning(UserWarning):
    """The value computed is a useful loss but not the logarithm of a probability of the data."""


class _Fixed(NoParameters):
    """What the likelihoods without parameters of their own share."""

    def starting_at(self, x: Array) -> Self:  # noqa: ARG002
        """Return the likelihood as it is."""
        return self


def _numbers(x: Any) -> Array:
    """Return x, of whatever shape, or refuse what are no real numbers."""
    x = checks.numbers(x, "x", "Convert it with .astype(np.float32).")
    if not x.size:
        raise ValueError(f"x must hold at least one value, got shape {x.shape}. Check the slice or file.")
    return x


@saved
@dataclass(frozen=True)
class Bernoulli(_Fixed):
    """Independent Bernoulli pixels; the decoder gives their logits l.

    log p(x|z) = sum_j x_j l_j - log(1 + exp(l_j)), d/dl = x - sigmoid(l).

    The support is {0, 1}. Grey values in (0, 1) are taken too: then the same formula is the expected
    log-likelihood of randomly binarised pixels (a negative cross-entropy), not the log-likelihood of x, and
    ``check`` warns of that. Outside [0, 1] the log-probability is -inf.

    Examples
    --------
    >>> import numpy as np
    >>> lik = Bernoulli()
    >>> log_prob, cache = lik.forward(lik.init(), np.array([[0.0, 2.0]]), np.array([[1.0, 0.0]]))
    >>> round(log_prob.item(), 6)  # log 1/2 + log sigmoid(-2)
    -2.820075
    """

    def n_out(self, n_x: int) -> int:
        """Return n_x: a logit a pixel."""
        return checks.width(n_x, "n_x")

    def out_at_mean(self, x: Array) -> Array:
        """Return the logits of the mean, shrunk by one count each way, so that constant pixels stay finite."""
        x = self._support(checks.data(x))
        mean = (x.sum(axis=0, dtype=np.float64) + 1) / (len(x) + 2)
        return np.log(mean) - np.log1p(-mean)

    def check(self, x: Array) -> None:
        """Refuse values outside [0, 1]; warn of values strictly between."""
        x = self._support(checks.finite(_numbers(x), "x"))
        if not self.is_density(x):
            warnings.warn(
                "x holds values strictly between 0 and 1: with a Bernoulli likelihood the ELBO is a cross-entropy "
                "bound, not a bound on log p(x). Binarise the data (dynamically or by a threshold), or use a Gaussian.",
                NotALikelihoodWarning,
                stacklevel=4,
            )

    def _support(self, x: Array) -> Array:
        low, high = float(x.min()), float(x.max())
        if low < 0 or high > 1:
            raise ValueError(
                f"x must lie in [0, 1] for a Bernoulli likelihood, got values from {low:g} to {high:g}. "
                f"Divide 0..255 images by 255, or use a Gaussian likelihood."
            )
        return x

    def check_training(self, x: Array) -> None:
        """Accept any data in the support: a probability is at most one."""

    def is_density(self, x: Array) -> bool:
        """Return whether every value is 0 or 1."""
        x = _numbers(x)
        return bool(((x == 0) | (x == 1)).all())

    def forward(self, params: Array, out: Array, x: Array) -> tuple[Array, Any]:  # noqa: ARG002
        """Return log p(x|z), shape (R,), and the cache."""
        if not looked.already:
            out = checks.look(out, "out", (None, None))
            x = _rows(x, out, out.shape[1])
        return kernels.bernoulli(out, x)

    def log_prob(self, params: Array, out: Array, x: Array) -> Array:
        """Return log p(x|z), shape (R,)."""
        return self.forward(params, out, x)[0]

    def backward(self, params: Array, cache: Any, dlog_prob: Array, grads: Array) -> Array:  # noqa: ARG002
        """Return dlogits = (x - sigmoid(logits)) dlog_prob."""
        if not looked.already:
            dlog_prob = checks.look(dlog_prob, "dlog_prob", cache.shape[:1], cache.dtype)
        return kernels.weigh_rows(cache, dlog_prob)

    def bend(self, params: Array, out: Array, cache: Any, along: Array) -> Array:  # noqa: ARG002
        """Return the derivative of dlogits along a direction of the logits: -sigmoid(l) sigmoid(-l) along."""
        theta = sigmoid(checks.look(out, "out", (None, None)))
        return -theta * (1 - theta) * checks.look(along, "along", out.shape, out.dtype)

    def mean(self, params: Array, out: Array) -> Array:  # noqa: ARG002
        """Return the pixel probabilities sigmoid(logits)."""
        return sigmoid(checks.look(out, "out", (None, None)))

    def sample(self, params: Array, out: Array, rng: np.random.Generator) -> Array:
        """Draw zeros and ones."""
        out, rng = checks.look(out, "out", (None, None)), checks.generator(rng)
        return (rng.random(out.shape, dtype=out.dtype) < self.mean(params, out)).astype(out.dtype)


def _rows(x: Any, out: Array, n_x: int) -> Array:
    """Return the data rows beside the decoder's, whose number they divide; at the price of a look."""
    x = checks.look(x, "x", (None, n_x), out.dtype)
    if len(out) % len(x):
        raise ValueError(
            f"x must have a number of rows that divides the {len(out)} rows of out, got {len(x)}. Give a row of out "
            f"for each draw of each x."
        )
    return x


class _RealLine:
    """What the Gaussians share: their support is all of R^D."""

    def log_prob(self, params: Array, out: Array, x: Array) -> Array:
        """Return log p(x|z), shape (R,)."""
        return self.forward(params, out, x)[0]

    def forward(self, params: Array, out: Array, x: Array) -> tuple[Array, Array]:
        raise NotImplementedError

    def check(self, x: Array) -> None:
        """Accept any finite data."""

    def check_training(self, x: Array) -> None:
        """Accept any data where the variance is fixed."""

    def is_density(self, x: Array) -> bool:  # noqa: ARG002
        """Return True."""
        return True


@saved
@dataclass(frozen=True)
class Gaussian(_RealLine):
    """N(m, v I) with the mean m from the decoder and one variance v for all pixels, fixed or learned.

    log p(x|z) = -1/2 [ ||x - m||^2 / v + D log(2 pi v) ], d/dm = (x - m) / v,
    d/dlog v = 1/2 [ ||x - m||^2 / v - D ].

    With v = 1 the loss is half the squared error, plus a constant.

    Parameters
    ----------
    variance : float
        The fixed variance, or the initial one where it is learned.
    learned : bool
        Learn log v along with the weights; it is then the model's last parameter.

    Raises
    ------
    ValueError
        If the variance is not a finite positive number.

    Examples
    --------
    >>> import numpy as np
    >>> lik = Gaussian(variance=4.0)
    >>> log_prob, cache = lik.forward(lik.init(), np.array([[1.0]]), np.array([[3.0]]))
    >>> round(log_prob.item(), 6)  # -(4 / 4 + log(8 pi)) / 2
    -2.112086
    """

    variance: float = 1.0
    learned: bool = False

    def __post_init__(self) -> None:
        checks.number(self.variance, "variance", low=0)
        checks.flag(self.learned, "learned")

    @property
    def n_params(self) -> int:
        """One where the variance is learned (log v), else none."""
        return int(self.learned)

    def init(self, rng: np.random.Generator | None = None, dtype: Any = np.float64) -> Array:  # noqa: ARG002
        """Return [log v] where it is learned, else no parameters."""
        return np.full(self.n_params, math.log(self.variance), checks.float_dtype(dtype))

    def named(self, params: Array) -> Iterator[tuple[str, Array]]:
        """Yield ("log_var", [log v]) where it is learned."""
        if self.learned:
            checks.parameters(params, 1)
            yield "log_var", params

    def starting_at(self, x: Array) -> "Gaussian":
        """Return the likelihood with the mean variance of the columns, where it is learned: not far from the data."""
        if not self.learned:
            return self
        x = checks.squarable(checks.data(x))
        return Gaussian(max(float(x.var(axis=0, dtype=np.float64).mean()), 1e-6), learned=True)

    def log_var(self, params: Array) -> Array:
        """Return log v, shape (1,)."""
        if self.learned:
            return checks.ready(params, 1)
        return np.array([math.log(self.variance)], checks.dtype_of(params))

    def _log_var(self, params: Array, dtype: Any) -> Array:
        """Return log v in the dtype of the decoder's output: for the inside of a training loop."""
        if self.learned:
            return checks.look(params, "params", (1,), dtype, "Make it with init(rng, dtype).")
        return np.array([math.log(self.variance)], dtype)

    def n_out(self, n_x: int) -> int:
        """Return n_x: a mean a pixel."""
        return checks.width(n_x, "n_x")

    def out_at_mean(self, x: Array) -> Array:
        """Return the mean."""
        x = checks.data(x)
        return x.mean(axis=0, dtype=np.float64)

    def check_training(self, x: Array) -> None:
        """Refuse data that never change where the variance is learned: the likelihood has no upper bound."""
        if not self.learned:
            return
        x = checks.data(x)
        if len(x) > 1 and len(checks.constant_columns(x)) == x.shape[1]:
            raise ValueError(
                f"x must vary in at least one column where the variance is learned, got {len(x)} equal rows. "
                f"Use a fixed variance: Gaussian()."
            )

    def forward(self, params: Array, out: Array, x: Array) -> tuple[Array, Array]:
        """Return log p(x|z), shape (R,), and the cache (x - m) / v."""
        if not looked.already:
            out = checks.look(out, "out", (None, None))
            x = _rows(x, out, out.shape[1])
        log_var = self._log_var(params, out.dtype)
        log_prob, score = kernels.gaussian_shared(out, log_var, x)
        errors.speak_of("log p(x|z)", log_prob, out=out, x=x, log_var=log_var)
        return log_prob, score

    def backward(self, params: Array, cache: Array, dlog_prob: Array, grads: Array) -> Array:
        """Return dm = (x - m) / v dlog_prob, and write dlog v where the variance is learned."""
        dlog_prob = checks.look(dlog_prob, "dlog_prob", cache.shape[:1], cache.dtype)
        if self.learned:
            params = checks.look(params, "params", (1,), cache.dtype)
            checks.place(grads, 1, cache.dtype)
            squares = np.einsum("rj,rj->r", cache, cache) * np.exp(params)  # ||x - m||^2 / v, of score = (x - m) / v
            grads[0] = 0.5 * ((squares - cache.shape[1]) @ dlog_prob)
        return kernels.weigh_rows(cache, dlog_prob)

    def bend(self, params: Array, out: Array, cache: Array, along: Array) -> Array:  # noqa: ARG002
        """Return the derivative of dm along a direction of m: -along / v."""
        out = checks.look(out, "out", (None, None))
        return -np.exp(-self._log_var(params, out.dtype)) * checks.look(along, "along", out.shape, out.dtype)

    def mean(self, params: Array, out: Array) -> Array:  # noqa: ARG002
        """Return m."""
        return checks.look(out, "out", (None, None))

    def sample(self, params: Array, out: Array, rng: np.random.Generator) -> Array:
        """Return m + sqrt(v) eps."""
        out, rng = checks.look(out, "out", (None, None)), checks.generator(rng)
        return out + np.exp(0.5 * self._log_var(params, out.dtype)) * rng.standard_normal(out.shape, dtype=out.dtype)


@saved
@dataclass(frozen=True)
class GaussianPerPixel(_Fixed, _RealLine):
    """N(m, diag(exp(s))) with both the mean m and the log-variance s of each pixel from the decoder.

    log p(x|z) = -1/2 sum_j [ (x_j - m_j)^2 exp(-s_j) + s_j + log 2 pi ],
    d/dm = (x - m) exp(-s), d/ds = 1/2 [ (x - m)^2 exp(-s) - 1 ].

    Examples
    --------
    >>> import numpy as np
    >>> lik = GaussianPerPixel()
    >>> log_prob, cache = lik.forward(lik.init(), np.array([[1.0, 0.0]]), np.array([[1.0]]))
    >>> round(log_prob.item(), 6)  # -log(2 pi) / 2
    -0.918939
    """

    def n_out(self, n_x: int) -> int:
        """Return 2 n_x: a mean and a log-variance a pixel."""
        return 2 * checks.width(n_x, "n_x")

    def out_at_mean(self, x: Array) -> Array:
        """Return the mean and the log-variance of each column."""
        x = checks.squarable(checks.data(x))
        variance = x.var(axis=0, dtype=np.float64)
        return np.concatenate([x.mean(axis=0, dtype=np.float64), np.log(np.maximum(variance, 1e-6))])

    def check_training(self, x: Array) -> None:
        """Refuse columns that never change: their likelihood has no upper bound."""
        x = checks.data(x)
        constant = checks.constant_columns(x) if len(x) > 1 else []
        if constant:
            raise ValueError(
                f"x must vary in every column where each pixel has its own variance, got {len(constant)} constant "
                f"column(s): {checks.listed(constant)}; the log-likelihood grows without bound as their variance "
                f"shrinks. Drop them, or use Gaussian(learned=True)."
            )

    def forward(self, params: Array, out: Array, x: Array) -> tuple[Array, Array]:  # noqa: ARG002
        """Return log p(x|z), shape (R,), and the cache."""
        out = _even(out)
        x = _rows(x, out, out.shape[1] // 2)
        log_prob, score = kernels.gaussian_per_pixel(out, x)
        errors.speak_of("log p(x|z)", log_prob, out=out, x=x)
        return log_prob, score

    def backward(self, params: Array, cache: Array, dlog_prob: Array, grads: Array) -> Array:  # noqa: ARG002
        """Return dout, means first."""
        dlog_prob = checks.look(dlog_prob, "dlog_prob", cache.shape[:1], cache.dtype)
        return kernels.weigh_rows(cache, dlog_prob)

    def bend(self, params: Array, out: Array, cache: Array, along: Array) -> Array:  # noqa: ARG002
        """Return the derivative of dout along a direction (m', s'): -(exp(-s) m' + dm s'), -(dm m' + (ds + 1/2) s')."""
        out = _even(out)
        along = checks.look(along, "along", out.shape, out.dtype)
        n = out.shape[1] // 2
        (dm, ds), (m, s) = (np.split(a, [n], axis=1) for a in (cache, along))
        return -np.concatenate([np.exp(-out[:, n:]) * m + dm * s, dm * m + (ds + out.dtype.type(0.5)) * s], axis=1)

    def mean(self, params: Array, out: Array) -> Array:  # noqa: ARG002
        """Return m."""
        out = _even(out)
        return out[:, : out.shape[1] // 2]

    def sample(self, params: Array, out: Array, rng: np.random.Generator) -> Array:
        """Return m + exp(s / 2) eps."""
        out, rng = _even(out), checks.generator(rng)
        m = self.mean(params, out)
        return m + np.exp(0.5 * out[:, m.shape[1] :]) * rng.standard_normal(m.shape, dtype=out.dtype)


def _even(out: Any) -> Array:
    """Return the decoder's output, a mean and a log-variance a pixel; at the price of a look."""
    out = checks.look(out, "out", (None, None))
    if out.shape[1] % 2:
        raise ValueError(f"out must have two values a pixel, got {out.shape[1]}. Give means, then log-variances.")
    return out


LIKELIHOODS: Table[Likelihood] = Table("likelihood")
LIKELIHOODS.add("bernoulli", Bernoulli())
LIKELIHOODS.add("gaussian", Gaussian())
LIKELIHOODS.add("gaussian-learned", Gaussian(learned=True))
LIKELIHOODS.add("gaussian-per-pixel", GaussianPerPixel())


def named_likelihood(likelihood: Likelihood | str | None, default: Likelihood) -> Likelihood:
    """Return a likelihood given as itself, by its name, or not at all.

    >>> named_likelihood("gaussian", Bernoulli())
    Gaussian(variance=1.0, learned=False)
    """
    if likelihood is None:
        return default
    if isinstance(likelihood, str):
        return LIKELIHOODS.choose(likelihood)
    if isinstance(likelihood, type) or not hasattr(likelihood, "n_out"):
        raise ValueError(f"likelihood must be a likelihood, got {checks.shown(likelihood)}. For example Bernoulli().")
    return likelihood
