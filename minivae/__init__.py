"""minivae: autoencoders and variational autoencoders with every gradient written by hand.

>>> import minivae as mv
>>> digits = mv.load("digits-threshold")
>>> model = mv.VAE.mlp(n_x=digits.n_x, n_latent=2)
"""

from minivae import tuning  # noqa: F401, I001  first: it acts before NumPy loads its BLAS

from minivae.autoencoder import Autoencoder, ReconstructionTerms
from minivae.bounds import LogMarginal, iwae_bound, log_marginal, log_mean_exp, log_weights
from minivae.checks import NonFiniteError
from minivae.contraction import Contraction, jacobian
from minivae.corruptions import Corruption, GaussianNoise, MaskingNoise, SaltAndPepperNoise
from minivae.data import Dataset, load, load_file
from minivae.exact import LinearGaussian, gauss_hermite, ppca_optimum
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
from minivae.linear import Descent, LinearAutoencoder, descend, lbfgs
from minivae.optim import SGD, Adam, Optimizer, RMSprop, StepDecay, clip_by_norm
from minivae.pca import PCA, probabilistic_pca
from minivae.penalties import KLSparsity, L1Sparsity, Penalty
from minivae.posteriors import DiagonalGaussian, Posterior, prior_log_prob
from minivae.power import power_components, power_iteration
from minivae.storage import FileError, load_model, save_model
from minivae.subspaces import covariance, subspace_distance
from minivae.training import Result, Settings, binarize, train
from minivae.vae import VAE, ElboTerms

__all__ = [
    "ELU",
    "PCA",
    "SGD",
    "VAE",
    "Adam",
    "Autoencoder",
    "Bernoulli",
    "Contraction",
    "Corruption",
    "Dataset",
    "Dense",
    "Descent",
    "DiagonalGaussian",
    "ElboTerms",
    "FileError",
    "Gaussian",
    "GaussianNoise",
    "GaussianPerPixel",
    "GradCheck",
    "KLSparsity",
    "L1Sparsity",
    "Layer",
    "Likelihood",
    "LinearAutoencoder",
    "LinearGaussian",
    "LogMarginal",
    "MaskingNoise",
    "NonFiniteError",
    "NotALikelihoodWarning",
    "Optimizer",
    "Penalty",
    "Posterior",
    "RMSprop",
    "ReLU",
    "ReconstructionTerms",
    "Result",
    "SaltAndPepperNoise",
    "Sequential",
    "Settings",
    "Sigmoid",
    "Softplus",
    "StepDecay",
    "Tanh",
    "binarize",
    "check_gradient",
    "clip_by_norm",
    "covariance",
    "descend",
    "gauss_hermite",
    "gradient_checks",
    "iwae_bound",
    "jacobian",
    "lbfgs",
    "load",
    "load_file",
    "load_model",
    "log_marginal",
    "log_mean_exp",
    "log_weights",
    "mlp",
    "power_components",
    "power_iteration",
    "ppca_optimum",
    "prior_log_prob",
    "probabilistic_pca",
    "save_model",
    "subspace_distance",
    "train",
]
