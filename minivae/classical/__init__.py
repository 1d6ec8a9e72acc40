"""Where the answer is known: PCA three ways, probabilistic PCA, the linear autoencoder."""

from minivae.classical.descent import Descent, descend, lbfgs
from minivae.classical.em import EmStep, em, fit_mixture, k_means_plus_plus, m_step
from minivae.classical.gaussian_mixture import GaussianMixture
from minivae.classical.linear_autoencoder import LinearAutoencoder
from minivae.classical.pca import PCA
from minivae.classical.power import PowerStep, deflate, power_components, power_iteration
from minivae.classical.probabilistic_pca import ppca_optimum, probabilistic_pca
from minivae.classical.rate_distortion import BetaOptimum, beta_vae_optimum, reverse_water_filling
from minivae.classical.subspaces import covariance, eigenpairs, subspace_distance

__all__ = [
    "PCA",
    "BetaOptimum",
    "Descent",
    "EmStep",
    "GaussianMixture",
    "LinearAutoencoder",
    "PowerStep",
    "beta_vae_optimum",
    "covariance",
    "deflate",
    "descend",
    "eigenpairs",
    "em",
    "fit_mixture",
    "k_means_plus_plus",
    "lbfgs",
    "m_step",
    "power_components",
    "power_iteration",
    "ppca_optimum",
    "probabilistic_pca",
    "reverse_water_filling",
    "subspace_distance",
]
