"""Why images of a VAE are blurry: where examples share a code, the best E[x|z] is their mean.

At one code z the loss is a mean of -log p(x|z) over the x that have it. For a Gaussian as for a Bernoulli its least
value over the decoder's output is where E[x|z] is the mean of those x (their distribution enters by its first moment
alone), though no x may look like that mean. With two images a and b, as far apart as D = ||a - b||, and variance v:

- one shared code costs c = D^2 / (8 v) nats an image (Bernoulli: log 2 for each of the n pixels in which they differ);
- a code of one bit costs beta (log 2 - h), h the entropy that it leaves, and gives back what it tells. With contrast
  u in [0, 1], E[x|z] = (a + b) / 2 +- u (a - b) / 2, the loss is least where 2 c u = beta artanh(u): so the images stay
  blurred into one, u = 0, as long as beta >= 2 c = D^2 / (4 v) (Bernoulli: u = 0 if beta > n, and 1 if beta < n);
- a likelihood of two modes, the mixture of the two Gaussians, costs log 2 at most, with one code.

So what helps is more informative codes: a smaller weight of the KL or a smaller variance, which are the same; or a
likelihood that can say "either". A draw of p(x|z) is no more than the mean with independent noise on each pixel.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.seeds import Stream, stream
from minivae.distributions.likelihoods import Gaussian, named_likelihood
from minivae.distributions.nodes import gauss_hermite
from minivae.distributions.protocols import Likelihood
from minivae.estimators.objectives import Elbo
from minivae.models.base import Variational
from minivae.models.vae import VAE
from minivae.studies import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def sharpness(images: Array, shape: tuple[int, int]) -> Array:
    """Return how much each image changes from pixel to pixel: the mean squared difference of neighbours, shape (n,).

    It is a square, so that of a mean of images it is at most the mean of theirs, and what is missing is that of the
    deviations from the mean.

    Parameters
    ----------
    images : array of shape (n, height * width)
    shape : (height, width)
        At least two pixels.

    Examples
    --------
    >>> sharpness(np.array([[0.0, 1.0, 0.0, 1.0], [0.5, 0.5, 0.5, 0.5]]), (2, 2))
    array([0.5, 0. ])
    """
    shape = checks.image_shape(shape)
    images = checks.data(images, shape[0] * shape[1], name="images").reshape(-1, *shape).astype(np.float64)
    checks.squarable(images, "images")
    n_pairs = shape[0] * (shape[1] - 1) + (shape[0] - 1) * shape[1]
    if not n_pairs:
        raise ValueError("shape must have two pixels at least, got (1, 1). One pixel has no neighbour.")
    squares = np.sum(np.diff(images, axis=1) ** 2, axis=(1, 2)) + np.sum(np.diff(images, axis=2) ** 2, axis=(1, 2))
    return np.asarray(squares / n_pairs)


@dataclass(frozen=True)
class SharedCode:
    """What a decoder learnt of images that have one code.

    Attributes
    ----------
    image : array of shape (n_x,)
        E[x|z].
    distance : float
        The largest difference to the mean of the images.
    log_lik : float
        Mean log p(x|z) over the images, nats.
    """

    image: Array
    distance: float
    log_lik: float


def fit_shared_code(images: Array, likelihood: Likelihood | str = "gaussian", seed: int = 0) -> SharedCode:
    """Train the decoder of a VAE whose q(z|x) is N(0, 1) for every x: all images share the code.

    Parameters
    ----------
    images : array of shape (n, n_x)
    likelihood : Likelihood or str
    seed : int
        Of the decoder's initial weights.

    Examples
    --------
    >>> found = fit_shared_code(np.array([[0.0, 1.0, 1.0], [1.0, 1.0, 0.0]]))
    >>> found.image.round(6), found.distance < 1e-6
    (array([0.5, 1. , 0.5]), True)
    """
    images = checks.data(images, dtype=np.float64, name="images")
    model = VAE.mlp(images.shape[1], 1, [], likelihood=named_likelihood(likelihood, Gaussian()))
    model.check_data(images, "images")
    model.likelihood.check_training(images)
    params = model.init(np.random.default_rng(checks.seed(seed)))
    params[: model.encoder.n_params] = 0  # mu = 0, log_var = 0
    nodes, w = gauss_hermite(3, 1)
    eps = np.repeat(nodes, len(images), axis=1)
    params = _least(model, params, images, eps, Elbo(kl="closed"), w, slice(model.encoder.n_params, None))
    image = model.decode(params, np.zeros((1, 1)))[0]
    log_lik = model.terms(params, images, eps=eps, weights=w).log_lik.mean()
    return SharedCode(image, float(np.abs(image - images.mean(axis=0)).max()), float(log_lik))


def _least(
    model: VAE, params: Array, x: Array, eps: Array | None, objective: Elbo, weights: Array | None, free: slice
) -> Array:
    """Return the parameters at which the loss is least, only those in a slice being free; by L-BFGS."""
    from scipy.optimize import minimize  # only this study needs it

    params, grads = params.copy(), np.empty_like(params)

    def loss(theta: Array) -> tuple[float, Array]:
        params[free] = theta
        value, _ = model.loss_and_grad(params, x, eps, grads, objective, weights=weights)
        return value, grads[free].copy()

    how = {"maxiter": 5000, "maxfun": 10_000, "ftol": 0.0, "gtol": 1e-9}
    params[free] = minimize(loss, params[free].copy(), jac=True, method="L-BFGS-B", options=how).x
    return params


@dataclass(frozen=True)
class OneBit:
    """Two images and a code of one bit: how far it keeps them apart.

    Attributes
    ----------
    contrast : float
        u: ||E[x|z=1] - E[x|z=0]|| / ||a - b||; 0 where both are the mean image, 1 where each is its own.
    loss : float
        Nats above that of two images that are known: distortion and beta times the KL.
    """

    contrast: float
    loss: float


def _apart(a: Any, b: Any, variance: Any, beta: Any = 1.0) -> tuple[Array, float, float, float]:
    """Return the two images as rows, c, the price of one code for both, variance and beta."""
    a, b = checks.real(a, "a", (None,)), checks.real(b, "b", (None,))
    if a.shape != b.shape or (a == b).all():
        same = a.shape == b.shape
        raise ValueError(
            f"a and b must be two different images of one size, got "
            f"{'the same twice' if same else f'{a.shape} and {b.shape}'}. Take others."
        )
    beta, variance = checks.number(beta, "beta", low=0), checks.number(variance, "variance", low=0)
    price = float(np.sum((a - b) ** 2)) / 8 / variance
    if not 1e-12 < price < 1e12:
        raise ValueError(f"variance must leave a price that is an ordinary number, got {price:g} nats. Rescale it.")
    return np.stack([a, b]), price, variance, beta


def best_one_bit(a: Array, b: Array, variance: float = 1.0, beta: float = 1.0) -> OneBit:
    """Return the least loss over all codes of one bit and all decoders, Gaussian of this variance.

        loss(u) = c (1 - u^2) + beta [ (1 + u)/2 log(1 + u) + (1 - u)/2 log(1 - u) ],   c = ||a - b||^2 / (8 variance)

    Its slope is zero where 2 c u = beta artanh(u); u = 0 is the only root if beta >= 2 c.

    Parameters
    ----------
    a, b : arrays of shape (n_x,)
    variance, beta : float
        Positive.

    Examples
    --------
    >>> [round(best_one_bit(np.zeros(1), np.array([4.0]), beta=beta).contrast, 3) for beta in (0.5, 2.0, 4.0, 5.0)]
    [1.0, 0.958, 0.0, 0.0]
    """
    _, price, variance, beta = _apart(a, b, variance, beta)
    ratio = beta / (2 * price)
    if ratio >= 1:
        return OneBit(0.0, price)
    low, high = 0.0, 1.0  # of t / (1 + t), t = artanh(u): tanh(t) - ratio t changes its sign once
    for _ in range(200):
        middle = (low + high) / 2
        t = middle / (1 - middle)
        low, high = (middle, high) if math.tanh(t) > ratio * t else (low, middle)
    t = low / (1 - low)
    u = math.tanh(t)
    t = min(t, 300.0)  # where u is 1 to every digit
    told = math.log(2) - math.log1p(math.exp(-2 * t)) - 2 * t / (1 + math.exp(2 * t))  # nats, the KL
    return OneBit(u, price / math.cosh(t) ** 2 + beta * told)


def fit_one_bit(a: Array, b: Array, variance: float = 1.0, beta: float = 1.0, seed: int = 0) -> OneBit:
    """Train a VAE whose code is one bit on two images, its states enumerated; arguments as in ``best_one_bit``.

    Examples
    --------
    >>> a, b = np.zeros(2), np.array([2.0, 3.0])
    >>> bool(abs(fit_one_bit(a, b).contrast - best_one_bit(a, b).contrast) < 1e-5)
    True
    """
    images, _, variance, beta = _apart(a, b, variance, beta)
    model = VAE.mlp(images.shape[1], 1, [], likelihood=Gaussian(variance), posterior="bits")
    params = model.init(np.random.default_rng(checks.seed(seed)))
    objective = Elbo("exact", beta, "closed")
    params = _least(model, params, images, None, objective, None, slice(None))
    zero, one = model.decode(params, np.array([[0.0], [1.0]]))
    terms = model.terms(params, images, objective=objective)
    known = -0.5 * images.shape[1] * math.log(2 * math.pi * variance)
    loss = float(np.mean(known - terms.log_lik + beta * terms.kl))
    return OneBit(float(np.linalg.norm(one - zero) / np.linalg.norm(images[0] - images[1])), loss)


def mixture_cost(a: Array, b: Array, variance: float = 1.0) -> float:
    """Return what the mixture 1/2 N(a, v) + 1/2 N(b, v) costs above two images that are known, nats an image.

        -log(1/2 + 1/2 exp(-||a - b||^2 / (2 v)))  <=  log 2

    Examples
    --------
    >>> round(mixture_cost(np.zeros(1), np.array([6.0])), 6)  # log 2, and the one code costs 4.5
    0.693147
    """
    _, price, _, _ = _apart(a, b, variance)
    return math.log(2) - math.log1p(math.exp(-4 * price))


def measure_sharpness(
    model: Variational, params: Array, x: Array, shape: tuple[int, int], seed: int = 0
) -> dict[str, float]:
    """Return the mean sharpness of originals, and of what the model makes of them and of its prior.

    Parameters
    ----------
    model, params
        A VAE and its flat parameters.
    x : array of shape (n, n_x)
        As many samples of the prior are drawn.
    shape : (height, width)
    seed : int
        Of the samples.
    """
    what = "a model whose code is a distribution"
    checks.has(model, ("draw", "posterior", "sample"), "model", what, "VAE.mlp(n_x=4, n_latent=2)")
    checks.parameters_of(model, params)
    x = checks.data(x, model.n_x, params.dtype)
    means, draws = (model.sample(params, len(x), stream(seed, Stream.SAMPLES), mean=mean) for mean in (True, False))
    images = {
        "originals": x,
        "reconstructions E[x|z]": model.reconstruct(params, x),
        "samples E[x|z]": means,
        "samples x ~ p(x|z)": draws,
    }
    return {name: float(sharpness(image, shape).mean()) for name, image in images.items()}


def two_images_figure(a: Array, b: Array, shape: tuple[int, int]) -> "Figure":
    """Draw two images, what one code makes of them under either likelihood, a draw of it, and what one bit does."""
    images = np.stack([a, b])
    gaussian, bernoulli = fit_shared_code(images), fit_shared_code(images, "bernoulli")
    draws = (np.random.default_rng(0).random(images.shape) < bernoulli.image).astype(float)
    middle, half = images.mean(axis=0), (images[0] - images[1]) / 2
    price = float(np.sum(half**2)) / 2  # at variance 1
    shown = {
        "two images": images,
        "one code, Gaussian": gaussian.image[None],
        "one code, Bernoulli": bernoulli.image[None],
        "two draws of that": draws,
    }
    for share in (1.5, 0.5):
        u = best_one_bit(a, b, beta=share * price).contrast
        shown[f"one bit, beta = {share * price:.2g}"] = middle + u * np.stack([half, -half])
    rows = {name: np.resize(rows, (2, rows.shape[1])) for name, rows in shown.items()}
    return plots.image_rows(rows, shape, plots.Shades(0.0, 1.0, "gray_r"), "Images that share a code")


def contrast_figure(a: Array, b: Array, variance: float = 1.0, n_points: int = 9) -> "Figure":
    """Draw how much of the difference of two images a code of one bit keeps, and the loss, against the KL's weight."""
    _, price, variance, _ = _apart(a, b, variance)
    betas = 2 * price * np.linspace(0.02, 1.4, 140)
    at = 2 * price * np.linspace(0.1, 1.3, checks.width(n_points, "n_points"))
    exact = [best_one_bit(a, b, variance, beta) for beta in betas.tolist()]
    trained = [fit_one_bit(a, b, variance, beta) for beta in at.tolist()]
    figure = plots.figure_of(8.4, 3.6)
    left, right = figure.subplots(1, 2)
    how: dict[str, Any] = {"color": plots.COLORS[3], "mfc": "none", "mew": 1.5, "ms": 6}
    left.plot(betas, [one.contrast for one in exact], color=plots.COLORS[0], label="closed form")
    left.plot(at, [one.contrast for one in trained], "o", label="trained", **how)
    left.set(xlabel="weight of the KL, beta", ylabel="contrast u kept", title="Two images, one bit")
    right.plot(betas, [one.loss for one in exact], color=plots.COLORS[0], label="one bit, closed form")
    right.plot(at, [one.loss for one in trained], "o", label="one bit, trained", **how)
    right.axhline(price, color=plots.COLORS[7], ls="--", lw=1, label="one code for both")
    right.axhline(mixture_cost(a, b, variance), color=plots.COLORS[2], ls=":", label="one code, mixture of two")
    right.set(xlabel="weight of the KL, beta", ylabel="loss above two known images, nats", title="What it costs")
    for axes in (left, right):
        axes.axvline(2 * price, color=plots.COLORS[8], lw=0.8, label="from here the bit is off")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8)
    return figure
