from . import classical, datasets, distributions, estimators, exercises, models, nn, sklearn, studies, training
from .classical import PCA, LinearAutoencoder
from .core.errors import FileError, NonFiniteError
from .datasets import load
from .distributions import Bernoulli, Gaussian, GaussianPerPixel
from .estimators import Elbo, KSampleBound, Reconstruction
from .exercises import check
from .models import VAE, Autoencoder, iwae_bound, log_marginal
from .nn import Adam, Dense, Sequential, check_gradient, mlp
from .studies import plots
from .training import Settings, load_model, save_model, train

__version__: str

__all__ = [
    "PCA",
    "VAE",
    "Adam",
    "Autoencoder",
    "Bernoulli",
    "Dense",
    "Elbo",
    "FileError",
    "Gaussian",
    "GaussianPerPixel",
    "KSampleBound",
    "LinearAutoencoder",
    "NonFiniteError",
    "Reconstruction",
    "Sequential",
    "Settings",
    "check",
    "check_gradient",
    "classical",
    "datasets",
    "distributions",
    "estimators",
    "exercises",
    "iwae_bound",
    "load",
    "load_model",
    "log_marginal",
    "mlp",
    "models",
    "nn",
    "plots",
    "save_model",
    "sklearn",
    "studies",
    "train",
    "training",
]
