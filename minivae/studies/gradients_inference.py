"""The gradient checks of exact models and of inference on them: slopes, curvatures, the functional derivative, SGVB."""

from collections.abc import Iterator

import numpy as np

from minivae.classical import free_form, gaussian_form
from minivae.classical.bayesian_linear import BayesianLinear
from minivae.classical.normal_gamma import NormalGamma, UnknownNormal
from minivae.classical.stochastic_gradient_vb import sgvb_gradient
from minivae.core.arrays import Array
from minivae.studies.gradient_rows import BATCH, DRAWS, GradientRow, Part, compare


def inference_rows(rng: np.random.Generator) -> Iterator[GradientRow]:
    """Yield the rows of joints with a known posterior, of the calculus of variations, and of SGVB."""
    prior = NormalGamma(*rng.uniform(0.5, 2.0, 4).tolist())
    normal = UnknownNormal(rng.standard_normal(4), prior)
    linear = BayesianLinear(rng.standard_normal((4, 2)), rng.standard_normal(4), 1.5, 0.7)
    for name, box, density in (
        ("Normal-Gamma", prior, prior.log_prob),
        ("unknown normal", normal, normal.log_joint),
        ("regression", linear, linear.log_joint),
    ):
        z, towards = 0.5 * rng.standard_normal((BATCH, 2)), rng.standard_normal((BATCH, 2))
        slope, curve = box.slope(z), np.einsum("nij,nj->ni", box.curvature(z), towards)
        yield compare(f"inference, {name}, slope", lambda at, f=density: f(at).sum(), [Part("dz", z, slope)])
        yield compare(
            f"inference, {name}, curvature",
            lambda at, box=box, towards=towards: (box.slope(at) * towards).sum(),
            [Part("dz", z, curve)],
        )
    yield from _variational(rng)
    for covariance, n_head in (("full", 5), ("diagonal", 4)):
        head, eps = 0.3 * rng.standard_normal(n_head), rng.standard_normal((DRAWS, 2))

        def elbo(at: Array, eps: Array = eps, covariance: str = covariance) -> float:
            return sgvb_gradient(normal, at, eps, "path", covariance)[0]

        _, dhead = sgvb_gradient(normal, head, eps, "path", covariance)
        yield compare(f"inference, SGVB, {covariance}, path", elbo, [Part("dhead", head, dhead)])


def _variational(rng: np.random.Generator) -> Iterator[GradientRow]:
    """Yield the rows of the functional derivative, and of a Gaussian on a grid that follows it."""
    z = np.linspace(-7.0, 7.0, 181)
    cell, log_joint = float(z[1] - z[0]), -0.4 * np.abs(z) ** 1.5 + 0.3 * np.sin(z)
    some = slice(80, 92)
    q, h = rng.uniform(0.2, 1.0, 12), log_joint[some]
    yield compare(
        "inference, functional derivative",
        lambda at: free_form.functional_elbo(at, h, cell) / cell,
        [Part("dq", q, free_form.functional_derivative(q, h))],
    )
    theta = np.array([0.3, -0.4])

    def gaussian(at: Array) -> gaussian_form.GaussianOnGrid:
        return next(gaussian_form.gaussian_ascent(z, log_joint, float(at[0]), float(np.exp(at[1]))))

    found = gaussian(theta)
    gradient = np.array([found.dmean, found.dlog_var])
    yield compare("inference, Gaussian on a grid", lambda at: gaussian(at).elbo, [Part("dtheta", theta, gradient)])
