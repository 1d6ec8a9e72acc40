"""Which latents of a VAE say something of x, and how much: a report, a verdict in words, and a picture."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minivae.core import checks, errors
from minivae.core.arrays import Array, log_mean_exp
from minivae.core.seeds import Stream, stream
from minivae.models.base import Quantity, quantity
from minivae.models.vae import VAE
from minivae.studies import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACTIVE = 0.01  # variance of the posterior mean above which a latent is active (Burda et al. 2016, section 5.2)
_MOST_ROWS = 1000  # of which every pair is looked at
_PAIRS_AT_ONCE = 16_384


@errors.spoken("I(x; z)")
def mutual_information(model: VAE, params: Array, x: Any, rng: np.random.Generator) -> Array:
    """Return log q(z|x) - log q(z) at a draw z of each example, shape (N,): its mean estimates I(x; z), in nats.

        q(z) = 1/N sum_n q(z|x_n)   over the same N rows, x's own included

    For x that is one of these rows, each as often, this is unbiased. As an estimate for the distribution that the rows
    were drawn from it is too low in expectation, and never above log N: a value near log N says "at least so much".

    References
    ----------
    M. D. Hoffman, M. J. Johnson, "ELBO surgery", 2016; B. Poole et al., "On variational bounds of mutual information",
    2019.

    Examples
    --------
    >>> from minivae import VAE
    >>> model, x = VAE.mlp(n_x=4, n_latent=1), np.ones((5, 4))
    >>> found = mutual_information(model, model.init(np.random.default_rng(0)), x, np.random.default_rng(0))
    >>> bool(np.abs(found).max() < 1e-12)  # all rows are alike
    True
    """
    checks.has(model, ("posterior", "draw_noise", "encode"), "model", "a VAE", "VAE.mlp(n_x=4, n_latent=2)")
    x = model.check_data(x, dtype=checks.parameters_of(model, params).dtype)
    head, n_latent = model.encode(params, x), model.posterior.n_latent
    own = model.unpack(params)[1]
    z, log_q, _ = model.posterior.sample(own, head, model.draw_noise(rng, 1, len(head), params.dtype))
    found, step = np.empty(len(head), params.dtype), max(1, _PAIRS_AT_ONCE // len(head))
    for start in range(0, len(head), step):
        some = z[0, start : start + step, None]  # each against every head
        pairs = np.ascontiguousarray(np.broadcast_to(some, (len(some), len(head), n_latent)))
        found[start : start + step] = log_mean_exp(model.posterior.log_prob(own, head, pairs), axis=1)
    return log_q[0] - found


@dataclass(frozen=True)
class Collapse:
    """What the latents of a VAE say.

    Attributes
    ----------
    variances : array of shape (L,)
        Of the posterior mean over the examples.
    kl : array of shape (L,), or None
        Mean KL of each latent, in nats. It needs a formula that is a sum over latents: under a prior or a posterior
        that ties them together the KL is not made of one part for each, however it is estimated, and this is None.
    rate : float
        Mean KL of all of them, nats per example: I(x; z) + KL(q(z) || p(z)). Of the rows of ``information``.
    information : array of shape (N,)
        As ``mutual_information`` gives it, of the first 1,000 examples at most.
    """

    variances: Array
    kl: Array | None
    rate: float
    information: Array

    @property
    def collapsed(self) -> list[int]:
        """The latents, counted from 1, whose posterior mean hardly moves with x: by at most 0.01 in variance."""
        return [j + 1 for j, variance in enumerate(self.variances) if not variance > ACTIVE]

    @property
    def rows(self) -> list[Quantity]:
        """The rows of a table."""
        n = len(self.information)
        information = quantity(f"I(x; z), of {n} rows, at most log {n} = {math.log(n):.2f}", self.information)
        return [information, quantity("KL(q(z) || p(z)), the rest of the KL", self.rate - information["value"])]

    @property
    def verdict(self) -> str:
        """A sentence."""
        n, gone = len(self.variances), self.collapsed
        if not gone:
            said = f"all {n} latents are active" if n > 1 else "the latent is active"
        elif len(gone) == n:
            said = f"all {n} latents have collapsed" if n > 1 else "the latent has collapsed"
            said += ": the posterior is the same for every x. See --beta-warmup and --free-bits"
        else:
            which = checks.listed(gone, limit=12)
            said = f"{n - len(gone)} of {n} latents are active; collapsed: {which}"
        unknown = "" if self.kl is not None else "; the KL has no part for each latent under this posterior and prior"
        return f"{said} (active: the variance of the posterior mean is above {ACTIVE:g}){unknown}"


def collapse(model: VAE, params: Array, x: Any, seed: int = 0) -> Collapse:
    """Return the report on a VAE's latents for the rows of x.

    Parameters
    ----------
    model : VAE
    params : array of shape (n_params,)
    x : array of shape (N, n_x)
    seed : int
        Of the draws of z.

    Examples
    --------
    >>> from minivae import VAE
    >>> model, x = VAE.mlp(n_x=4, n_latent=2), np.ones((5, 4))
    >>> collapse(model, model.init(np.random.default_rng(0)), x).collapsed  # where all x are alike nothing can be said
    [1, 2]
    """
    checks.has(model, ("posterior", "prior", "closed_kl"), "model", "a VAE", "VAE.mlp(n_x=4, n_latent=2)")
    checks.seed(seed)
    x = model.check_data(x, dtype=checks.parameters_of(model, params).dtype)
    rng = stream(seed, Stream.TEST_NOISE, 1)
    rate = float(model.terms(params, x[:_MOST_ROWS], rng=rng, n_draws=16).kl.mean(dtype=np.float64))
    information = mutual_information(model, params, x[:_MOST_ROWS], rng)
    kl = None if model.closed_kl is None else model.says(params, x)
    return Collapse(model.embed(params, x).var(axis=0, dtype=np.float64), kl, rate, information)


def variance_histogram(variances: Array) -> "Figure":
    """Draw how many latents have which variance of the posterior mean, on a logarithmic axis."""
    variances = checks.real(variances, "variances", (None,))
    if variances.min() < 0:
        raise ValueError(
            f"variances must be at least 0, got {variances.min():g}. Take them of collapse(...).variances."
        )
    logs = np.log10(np.maximum(variances, 1e-12))
    figure = plots.figure_of(5.2, 3.4)
    axes = figure.subplots()
    edges = np.arange(math.floor(min(logs.min(), -3)), math.ceil(max(logs.max(), 1)) + 0.25, 0.25)
    gone = logs[variances <= ACTIVE], logs[variances > ACTIVE]
    axes.hist(gone, edges.tolist(), stacked=True, color=plots.COLORS[1::-1], label=["collapsed", "active"])
    axes.axvline(math.log10(ACTIVE), color="black", ls="--", lw=1)
    title = f"{len(gone[1])} of {len(logs)} latents are active"
    axes.set(title=title, xlabel="log10 variance of the posterior mean", ylabel="latents")
    axes.locator_params(axis="y", integer=True)
    axes.legend(frameon=False)
    return figure


def collapse_figure(found: Collapse, folder: Path) -> str:
    """Write the histogram into a folder, and return its path."""
    return plots.save(variance_histogram(found.variances), Path(folder) / "active_latents.png")
