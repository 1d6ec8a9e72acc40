"""Where the answer is known: PCA three ways, probabilistic PCA, the linear autoencoder, reparameterizable families."""

import importlib
from types import ModuleType

from minivae.classical.descent import Descent, descend, lbfgs
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
    "LinearAutoencoder",
    "PowerStep",
    "beta_vae_optimum",
    "covariance",
    "deflate",
    "descend",
    "eigenpairs",
    "families",
    "lbfgs",
    "power_components",
    "power_iteration",
    "ppca_optimum",
    "probabilistic_pca",
    "reverse_water_filling",
    "subspace_distance",
]


def __getattr__(name: str) -> ModuleType:
    """Load the families when they are first asked for: scipy.special takes a tenth of a second that only they need."""
    if name == "families":
        return importlib.import_module("minivae.classical.families")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
