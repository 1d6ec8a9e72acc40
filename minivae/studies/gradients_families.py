"""The gradient check of reparameterizable families: the path at fixed noise, the score at fixed z, the correction."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from minivae.classical import families
from minivae.classical.families import Family
from minivae.core.arrays import Array
from minivae.studies.gradient_rows import DRAWS, GradientRow, Part, compare
from minivae.studies.gradients_contract import array_of, attempt, call, finite

FAMILIES: tuple[Family, ...] = (
    families.Normal(0.4, 0.9),
    families.Laplace(0.4, 0.9),
    families.Logistic(0.4, 0.9),
    families.Cauchy(0.4, 0.9),
    families.Gumbel(0.4, 0.9),
    families.StudentT(0.4, 0.9, 3.5),
    families.Exponential(1.7),
    families.Weibull(1.3, 1.8),
    families.Kumaraswamy(2.0, 3.0),
    families.TruncatedNormal(0.4, 0.9, -0.5, 2.0),
    families.LogNormal(0.4, 0.9),
    families.ChiSquare(0.8, 3),
    families.NoncentralChiSquare(0.8, 3, 1.5),
    families.Gamma(2.0, 0.7),
    families.Beta(2.0, 0.7),
    families.Dirichlet([0.7, 2.0, 1.3]),
    families.GammaByRejection(2.0, 0.7),
    families.BetaByRejection(2.0, 0.7),
    families.DirichletByRejection([0.7, 2.0, 1.3]),
    families.MovingUniform(1.7),
)


def family_rows(rng: np.random.Generator) -> Iterator[GradientRow]:
    """Yield a row for each family."""
    for family in FAMILIES:
        yield check_family(family, rng=rng)


def check_family(family: Family, name: str | None = None, rng: np.random.Generator | None = None) -> GradientRow:
    """Check what a family gives: the path, the score, and the correction where the noise has a density of its own.

    Parameters
    ----------
    family : Family
        With numbers as parameters, well inside its domain.
    name : str, optional
        Title of the row.
    rng : numpy.random.Generator, optional
        For the noise; seeded with 0 unless given.

    Examples
    --------
    >>> check_family(families.Gamma(2.0)).ok
    True
    """
    name = f"family {type(family).__name__}" if name is None else name
    rng = np.random.default_rng(0) if rng is None else rng
    return attempt(name, lambda: _family(family, name, rng))


def _family(family: Any, name: str, rng: np.random.Generator) -> GradientRow:
    what, n = type(family).__name__, len(family.theta)
    u = family.noise(rng, (DRAWS,))
    z = finite(call(family, "sample", u), f"{what}.sample")
    weights = [rng.standard_normal(z.shape), *rng.standard_normal((2, DRAWS))]
    path = array_of(call(family, "path", u), (n, *z.shape), f"{what}.path(u)")
    score = array_of(call(family, "score", z), (n, DRAWS), f"{what}.score(z)")
    gradients = {"path": (path * weights[0]).reshape(n, -1).sum(axis=1), "score": score @ weights[1]}
    if hasattr(family, "log_noise"):
        correction = array_of(call(family, "correction", u), (n, DRAWS), f"{what}.correction(u)")
        gradients["correction"] = correction @ weights[2]

    def value(*thetas: Array) -> float:
        """Return the sum of what is differentiated, each at a theta of its own."""
        at = [family.at(theta) for theta in thetas]
        total = np.sum(weights[0] * at[0].sample(u)) + weights[1] @ at[1].log_prob(z)
        return float(total + (weights[2] @ at[2].log_noise(u) if len(at) > 2 else 0.0))

    return compare(name, value, [Part(f"the {kind}", family.theta, gradient) for kind, gradient in gradients.items()])
