"""Versions of minivae and of what its numbers depend on."""

import platform
from importlib.metadata import version


def versions() -> dict[str, str]:
    """Return the versions of minivae, Python and what the numbers depend on."""
    packages = ("minivae", "numpy", "numba", "llvmlite", "scipy", "matplotlib")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
