"""minivae: autoencoders and variational autoencoders with every gradient written by hand.

>>> import minivae as mv
>>> digits = mv.load("digits-threshold")
>>> model = mv.VAE.mlp(n_x=digits.n_x, n_latent=2)

What most people need stands here; the rest by room: ``mv.nn``, ``mv.distributions``, ``mv.estimators``, ``mv.models``,
``mv.classical``, ``mv.datasets``, ``mv.training``, ``mv.exercises``, ``mv.plots``.
"""

import importlib
from typing import Any

from minivae.core import tuning  # noqa: F401  first: it acts before NumPy loads its BLAS

# isort: split

from minivae import classical, datasets, distributions, estimators, models, nn, training
from minivae.classical import PCA, LinearAutoencoder
from minivae.core.errors import FileError, NonFiniteError
from minivae.datasets import load
from minivae.distributions import Bernoulli, Gaussian, GaussianPerPixel
from minivae.estimators import Elbo, Reconstruction
from minivae.models import VAE, Autoencoder, iwae_bound, log_marginal
from minivae.nn import Adam, Dense, Sequential, check_gradient, mlp
from minivae.training import Settings, load_model, save_model, train

# loaded when first asked for: they bring matplotlib, or the students' sandbox
_LATER = {
    "exercises": ("minivae.exercises", None),
    "check": ("minivae.exercises", "check"),
    "plots": ("minivae.studies.plots", None),
    "studies": ("minivae.studies", None),
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'minivae' has no attribute {name!r}")
    module, attribute = _LATER[name]
    found = importlib.import_module(module)
    return found if attribute is None else getattr(found, attribute)


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
    "studies",
    "train",
    "training",
]
