"""minivae: autoencoders and variational autoencoders with every gradient written by hand.

>>> import minivae as mv
>>> digits = mv.load("digits-threshold")
>>> model = mv.VAE.mlp(n_x=digits.n_x, n_latent=2)
"""

from minivae import tuning  # noqa: F401, I001  first: it acts before NumPy loads its BLAS

from minivae.autoencoder import Autoencoder, ReconstructionTerms
from minivae.bounds import LogMarginal, iwae_bound, log_marginal, log_mean_exp, log_weights
from minivae.checks import NonFiniteError
from minivae.data import Dataset, load, load_file
from minivae.exact import LinearGaussian, gauss_hermite, ppca_optimum
from minivae.exercises import Outcome, check
from minivae.gradcheck import GradCheck, check_gradient
from minivae.gradient_suite import gradient_checks
from minivae.layers import ELU, Dense, Layer, ReLU, Sequential, Sigmoid, Softplus, Tanh, mlp
from minivae.likelihoods import (
    Bernoulli,
    Gaussian,
    GaussianPerPixel,
    Likelihood,
    NotALikelihoodWarning,
)
from minivae.optim import SGD, Adam, Optimizer, RMSprop, StepDecay, clip_by_norm
from minivae.posteriors import DiagonalGaussian, Posterior, prior_log_prob
from minivae.storage import FileError, load_model, save_model
from minivae.training import Result, Settings, binarize, train
from minivae.vae import VAE, ElboTerms

__all__ = [
    "ELU",
    "SGD",
    "VAE",
    "Adam",
    "Autoencoder",
    "Bernoulli",
    "Dataset",
    "Dense",
    "DiagonalGaussian",
    "ElboTerms",
    "FileError",
    "Gaussian",
    "GaussianPerPixel",
    "GradCheck",
    "Layer",
    "Likelihood",
    "LinearGaussian",
    "LogMarginal",
    "NonFiniteError",
    "NotALikelihoodWarning",
    "Optimizer",
    "Outcome",
    "Posterior",
    "RMSprop",
    "ReLU",
    "ReconstructionTerms",
    "Result",
    "Sequential",
    "Settings",
    "Sigmoid",
    "Softplus",
    "StepDecay",
    "Tanh",
    "binarize",
    "check",
    "check_gradient",
    "clip_by_norm",
    "gauss_hermite",
    "gradient_checks",
    "iwae_bound",
    "load",
    "load_file",
    "load_model",
    "log_marginal",
    "log_mean_exp",
    "log_weights",
    "mlp",
    "ppca_optimum",
    "prior_log_prob",
    "save_model",
    "train",
]
