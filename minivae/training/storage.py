"""Models in files: a description as JSON and the parameters, in one .npz."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from minivae import models  # noqa: F401  whose classes a file may hold
from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.files import load_arrays, save_arrays
from minivae.core.reading import reading
from minivae.core.registry import from_spec, to_spec
from minivae.models.base import Model


def save_model(path: str | Path, model: Model, params: Array, **extra: Any) -> None:
    """Write a model's description and parameters to a .npz file, atomically; ``extra`` must be JSON values.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from minivae import VAE
    >>> model = VAE.mlp(n_x=4, n_latent=2)
    >>> path = Path(tempfile.mkdtemp()) / "model.npz"
    >>> save_model(path, model, model.init(np.random.default_rng(0)))
    >>> load_model(path)[0] == model
    True
    """
    path = checks.path(path)
    check_model(model, params)
    for name, value in extra.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"extra must hold JSON values, got {checks.shown(value)} as {name!r}. Use text, numbers and lists."
            ) from error
    header = {"kind": "model", "model": to_spec(model), "extra": extra}
    save_arrays(path, header, {"params": params})


def check_model(model: Model, params: Array) -> None:
    """Hold a model and its parameters to one rule, before they are written and after they are read."""
    checks.has(model, ("loss_and_grad", "n_params"), "model", "a model", "result.model of a Result")
    checks.flat(params, model.n_params)
    if not np.isfinite(params).all():
        raise ValueError(
            f"params must be finite, got {int((~np.isfinite(params)).sum())} NaN or infinite values of {params.size}. "
            f"Keep those of an earlier step."
        )


def load_model(path: str | Path) -> tuple[Any, Array, dict[str, Any]]:
    """Return the model, its parameters and the extra values that ``save_model`` wrote.

    Raises
    ------
    FileError
        If the file is missing, damaged, or holds something else.
    """
    header, arrays = load_arrays(path, "model", {"params"}.__contains__)
    with reading("path must hold a model and its parameters", path, "Train again."):
        model, params, extra = from_spec(header["model"]), arrays["params"], dict(header["extra"])
        check_model(model, params)
    return model, params, extra
