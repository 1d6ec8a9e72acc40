"""minivae: autoencoders and variational autoencoders with every gradient written by hand.

>>> import minivae as mv
>>> digits = mv.load("digits-threshold")
>>> model = mv.VAE.mlp(n_x=digits.n_x, n_latent=2)
"""

from minivae import tuning  # noqa: F401, I001  first: it acts before NumPy loads its BLAS

from minivae.autoencoder import Autoencoder, ReconstructionTerms
from minivae.baselines import (
    Baseline,
    LearnedBaseline,
    MovingAverage,
    leave_one_out,
    leave_one_out_signal,
    optimal_baseline,
)
from minivae.bounds import LogMarginal, iwae_bound, log_marginal, log_mean_exp, log_weights
from minivae.checks import NonFiniteError
from minivae.costs import Cosine, Cost, Exponential, FunctionCost, Linear, Quadratic, SeparableCost
from minivae.contraction import Contraction, jacobian
from minivae.corruptions import Corruption, GaussianNoise, MaskingNoise, SaltAndPepperNoise
from minivae.data import Dataset, load, load_file
from minivae.discrete import BernoulliVAE
from minivae.encoder_study import EncoderDraws, EncoderEstimator, encoder_draws, head_moments
from minivae.enumeration import BernoulliExpectation, all_states
from minivae.estimators import (
    ESTIMATORS,
    Estimator,
    ImportanceScore,
    LeaveOneOutScore,
    MeasureValued,
    MovingAverageScore,
    Pathwise,
    ScoreFunction,
    sample_gradients,
)
from minivae.exact import LinearGaussian, gauss_hermite, normal_nodes, ppca_optimum
from minivae.exercises import Outcome, check
from minivae.exact_elbo import elbo_gradient_moments
from minivae.exact_estimators import exact_moments, variance_crossings
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
from minivae.moments import Moments, RunningMoments, Summary, summarize
from minivae.linear import Descent, LinearAutoencoder, descend, lbfgs
from minivae.optim import SGD, Adam, Optimizer, RMSprop, StepDecay, clip_by_norm
from minivae.pca import PCA, probabilistic_pca
from minivae.penalties import KLSparsity, L1Sparsity, Penalty
from minivae.posteriors import DiagonalGaussian, Posterior, prior_log_prob
from minivae.power import PowerStep, deflate, power_components, power_iteration
from minivae.storage import FileError, load_model, save_model
from minivae.subspaces import covariance, subspace_distance
from minivae.settings import Settings
from minivae.training import Result, binarize, train
from minivae.vae import VAE, ElboTerms

__all__ = [
    "ELU",
    "ESTIMATORS",
    "PCA",
    "SGD",
    "VAE",
    "Adam",
    "Autoencoder",
    "Baseline",
    "Bernoulli",
    "BernoulliExpectation",
    "BernoulliVAE",
    "Contraction",
    "Corruption",
    "Cosine",
    "Cost",
    "Dataset",
    "Dense",
    "Descent",
    "DiagonalGaussian",
    "ElboTerms",
    "EncoderDraws",
    "EncoderEstimator",
    "Estimator",
    "Exponential",
    "FileError",
    "FunctionCost",
    "Gaussian",
    "GaussianNoise",
    "GaussianPerPixel",
    "GradCheck",
    "ImportanceScore",
    "KLSparsity",
    "L1Sparsity",
    "Layer",
    "LearnedBaseline",
    "LeaveOneOutScore",
    "Likelihood",
    "Linear",
    "LinearAutoencoder",
    "LinearGaussian",
    "LogMarginal",
    "MaskingNoise",
    "MeasureValued",
    "Moments",
    "MovingAverage",
    "MovingAverageScore",
    "NonFiniteError",
    "NotALikelihoodWarning",
    "Optimizer",
    "Outcome",
    "Pathwise",
    "Penalty",
    "Posterior",
    "PowerStep",
    "Quadratic",
    "RMSprop",
    "ReLU",
    "ReconstructionTerms",
    "Result",
    "RunningMoments",
    "SaltAndPepperNoise",
    "ScoreFunction",
    "SeparableCost",
    "Sequential",
    "Settings",
    "Sigmoid",
    "Softplus",
    "StepDecay",
    "Summary",
    "Tanh",
    "all_states",
    "binarize",
    "check",
    "check_gradient",
    "clip_by_norm",
    "covariance",
    "deflate",
    "descend",
    "elbo_gradient_moments",
    "encoder_draws",
    "exact_moments",
    "gauss_hermite",
    "gradient_checks",
    "head_moments",
    "iwae_bound",
    "jacobian",
    "lbfgs",
    "leave_one_out",
    "leave_one_out_signal",
    "load",
    "load_file",
    "load_model",
    "log_marginal",
    "log_mean_exp",
    "log_weights",
    "mlp",
    "normal_nodes",
    "optimal_baseline",
    "power_components",
    "power_iteration",
    "ppca_optimum",
    "prior_log_prob",
    "probabilistic_pca",
    "sample_gradients",
    "save_model",
    "subspace_distance",
    "summarize",
    "train",
    "variance_crossings",
]
