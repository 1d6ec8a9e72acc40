"""q(z|x), p(z) and p(x|z); a model whose log p(x) is known, and noise nodes that integrate exactly."""

from minivae.distributions.autoregressive import InverseAutoregressiveFlow
from minivae.distributions.bits import Bits, all_states
from minivae.distributions.diagonal import DiagonalGaussian
from minivae.distributions.families import POSTERIORS, PRIORS, named_posterior, named_prior
from minivae.distributions.fixed import FixedGaussian
from minivae.distributions.full import FullGaussian
from minivae.distributions.kl import ClosedKl, closed_kl, closes, gaussian_kl, gaussian_kl_backward
from minivae.distributions.likelihoods import LIKELIHOODS, Bernoulli, Gaussian, GaussianPerPixel, NotALikelihoodWarning
from minivae.distributions.linear_gaussian import LinearGaussian
from minivae.distributions.mixtures import AsksTheEncoder, MixtureOfGaussians, VampPrior
from minivae.distributions.nodes import gauss_hermite, normal_nodes
from minivae.distributions.planar import PlanarFlow
from minivae.distributions.priors import FairBits, StandardNormal
from minivae.distributions.protocols import Likelihood, Posterior, Prior
from minivae.distributions.sequences import EachStep, TeacherForced
from minivae.distributions.symmetric import SymmetricGaussian

__all__ = [
    "LIKELIHOODS",
    "POSTERIORS",
    "PRIORS",
    "AsksTheEncoder",
    "Bernoulli",
    "Bits",
    "ClosedKl",
    "DiagonalGaussian",
    "EachStep",
    "FairBits",
    "FixedGaussian",
    "FullGaussian",
    "Gaussian",
    "GaussianPerPixel",
    "InverseAutoregressiveFlow",
    "Likelihood",
    "LinearGaussian",
    "MixtureOfGaussians",
    "NotALikelihoodWarning",
    "PlanarFlow",
    "Posterior",
    "Prior",
    "StandardNormal",
    "SymmetricGaussian",
    "TeacherForced",
    "VampPrior",
    "all_states",
    "closed_kl",
    "closes",
    "gauss_hermite",
    "gaussian_kl",
    "gaussian_kl_backward",
    "named_posterior",
    "named_prior",
    "normal_nodes",
]
