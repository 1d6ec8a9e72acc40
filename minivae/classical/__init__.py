"""Where the answer is known: PCA, mixtures by EM, inference beside exact posteriors, reparameterizable families."""

import importlib
from types import ModuleType

from minivae.classical.bayesian_linear import BayesianLinear
from minivae.classical.cavi import (
    LinearFactors,
    NormalGammaFactors,
    cavi_linear,
    cavi_linear_rate,
    cavi_normal,
    cavi_normal_rate,
    mean_field_linear,
    mean_field_normal,
)
from minivae.classical.chain_diagnostics import effective_sample_size, split_r_hat
from minivae.classical.descent import Descent, descend, lbfgs
from minivae.classical.free_form import (
    FactorsOnGrid,
    FreeForm,
    free_form_ascent,
    free_form_optimum,
    functional_derivative,
    functional_elbo,
    mean_field_ascent,
)
from minivae.classical.gaussian_form import GaussianOnGrid, decoder_joint, gaussian_ascent
from minivae.classical.gaussian_mixture import GaussianMixture
from minivae.classical.joint import CurvedJoint, Joint
from minivae.classical.laplace_approximation import Laplace, laplace
from minivae.classical.linear_autoencoder import LinearAutoencoder
from minivae.classical.maximum_likelihood import (
    FitError,
    cross_entropy,
    empirical_distribution,
    entropy,
    expected_fit_error,
    fit_errors,
    kl_divergence,
    kl_from_samples,
)
from minivae.classical.mcmc import Chains, hamiltonian, leapfrog, random_walk
from minivae.classical.mixture_em import EmStep, em, fit_mixture, k_means_plus_plus, m_step
from minivae.classical.normal_gamma import NormalGamma, UnknownNormal
from minivae.classical.pca import PCA
from minivae.classical.power import PowerStep, deflate, power_components, power_iteration
from minivae.classical.probabilistic_pca import ppca_optimum, probabilistic_pca
from minivae.classical.rate_distortion import BetaOptimum, beta_vae_optimum, reverse_water_filling
from minivae.classical.stochastic_gradient_vb import SgvbFit, sgvb, sgvb_gradient
from minivae.classical.subspaces import covariance, eigenpairs, subspace_distance

__all__ = [
    "PCA",
    "BayesianLinear",
    "BetaOptimum",
    "Chains",
    "CurvedJoint",
    "Descent",
    "EmStep",
    "FactorsOnGrid",
    "FitError",
    "FreeForm",
    "GaussianMixture",
    "GaussianOnGrid",
    "Joint",
    "Laplace",
    "LinearAutoencoder",
    "LinearFactors",
    "NormalGamma",
    "NormalGammaFactors",
    "PowerStep",
    "SgvbFit",
    "UnknownNormal",
    "beta_vae_optimum",
    "cavi_linear",
    "cavi_linear_rate",
    "cavi_normal",
    "cavi_normal_rate",
    "covariance",
    "cross_entropy",
    "decoder_joint",
    "deflate",
    "descend",
    "effective_sample_size",
    "eigenpairs",
    "em",
    "empirical_distribution",
    "entropy",
    "expected_fit_error",
    "families",
    "fit_errors",
    "fit_mixture",
    "free_form_ascent",
    "free_form_optimum",
    "functional_derivative",
    "functional_elbo",
    "gaussian_ascent",
    "hamiltonian",
    "k_means_plus_plus",
    "kl_divergence",
    "kl_from_samples",
    "laplace",
    "lbfgs",
    "leapfrog",
    "m_step",
    "mean_field_ascent",
    "mean_field_linear",
    "mean_field_normal",
    "power_components",
    "power_iteration",
    "ppca_optimum",
    "probabilistic_pca",
    "random_walk",
    "reverse_water_filling",
    "sgvb",
    "sgvb_gradient",
    "split_r_hat",
    "subspace_distance",
]


def __getattr__(name: str) -> ModuleType:
    """Load the families when they are first asked for: scipy.special takes a tenth of a second that only they need."""
    if name == "families":
        return importlib.import_module("minivae.classical.families")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
