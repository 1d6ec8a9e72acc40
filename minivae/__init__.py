"""minivae: autoencoders and variational autoencoders with every gradient written by hand.

>>> import minivae as mv
>>> digits = mv.load("digits-threshold")
>>> model = mv.VAE.mlp(n_x=digits.n_x, n_latent=2)

What most people need stands here; the rest by room: ``mv.nn``, ``mv.distributions``, ``mv.estimators``, ``mv.models``,
``mv.classical``, ``mv.datasets``, ``mv.training``, ``mv.exercises``, ``mv.plots``, ``mv.sklearn``.

Each name is loaded when it is first asked for; ``__init__.pyi`` lists them, for type checkers too.
"""

import lazy_loader

from minivae.core import tuning  # noqa: F401  first: it acts before NumPy loads its BLAS

_lazy, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    """Return what is asked for; the version is that of the installed package and stands in pyproject.toml alone."""
    if name == "__version__":
        from importlib.metadata import version

        return version("minivae")
    return _lazy(name)
