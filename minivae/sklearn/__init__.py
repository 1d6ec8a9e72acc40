"""scikit-learn's face: VAE, autoencoder and PCA as transformers, for its pipelines and searches; extra ``sklearn``."""

try:
    import sklearn  # noqa: F401
except ImportError as error:
    raise ImportError(
        'minivae.sklearn must have scikit-learn, got none. Run pip install "minivae[sklearn]".'
    ) from error

from minivae.sklearn.networks import VAE, Autoencoder
from minivae.sklearn.pca import PCA

__all__ = ["PCA", "VAE", "Autoencoder"]
