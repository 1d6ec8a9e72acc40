"""q(z|x), p(z) and p(x|z); a model whose log p(x) is known, and noise nodes that integrate exactly."""

from minivae.distributions.autoregressive import InverseAutoregressiveFlow
from minivae.distributions.belief import BeliefBits, BeliefPrior
from minivae.distributions.bits import Bits, all_states
from minivae.distributions.categorical import Categorical, all_codes
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
from minivae.distributions.priors import FairBits, StandardNormal, UniformCategories
from minivae.distributions.protocols import Likelihood, Posterior, Prior, Relaxable
from minivae.distributions.sequences import EachStep, TeacherForced
from minivae.distributions.symmetric import SymmetricGaussian

__all__ = [
    "LIKELIHOODS",
    "POSTERIORS",
    "PRIORS",
    "AsksTheEncoder",
    "BeliefBits",
    "BeliefPrior",
    "Bernoulli",
    "Bits",
    "Categorical",
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
    "Relaxable",
    "StandardNormal",
    "SymmetricGaussian",
    "TeacherForced",
    "UniformCategories",
    "VampPrior",
    "all_codes",
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
