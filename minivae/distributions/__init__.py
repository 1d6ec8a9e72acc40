"""q(z|x), p(z) and p(x|z); a model whose log p(x) is known, and noise nodes that integrate exactly."""

from minivae.distributions.diagonal import DiagonalGaussian
from minivae.distributions.likelihoods import LIKELIHOODS, Bernoulli, Gaussian, GaussianPerPixel, NotALikelihoodWarning
from minivae.distributions.linear_gaussian import LinearGaussian
from minivae.distributions.nodes import gauss_hermite, normal_nodes
from minivae.distributions.priors import prior_log_prob
from minivae.distributions.protocols import Likelihood, Posterior

__all__ = [
    "LIKELIHOODS",
    "Bernoulli",
    "DiagonalGaussian",
    "Gaussian",
    "GaussianPerPixel",
    "Likelihood",
    "LinearGaussian",
    "NotALikelihoodWarning",
    "Posterior",
    "gauss_hermite",
    "normal_nodes",
    "prior_log_prob",
]
