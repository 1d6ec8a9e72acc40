"""Parameters to and from other tools: a state dict, as PyTorch names and lays it out, in a safetensors file."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array, Arrays
from minivae.core.errors import FileError
from minivae.core.reading import reading
from minivae.core.registry import from_spec, to_spec
from minivae.core.safetensors import load_safetensors, save_safetensors
from minivae.core.versions import versions
from minivae.models.base import Model
from minivae.training.storage import check_model


def save_state_dict(path: str | Path, model: Model, params: Array) -> None:
    """Write parameters to a .safetensors file under the names and in the layout that PyTorch's modules have.

    A name is box.layer.array: ``encoder.0.weight``, ``encoder.0.bias``, ``decoder.2.weight``. Activations count: these
    are the names of ``nn.Sequential(nn.Linear(...), nn.ReLU(), nn.Linear(...))`` in attributes ``encoder`` and
    ``decoder``. A weight with two axes is transposed, since y = x W here is y = x A^T in ``nn.Linear``; all else, a
    learned ``likelihood.log_var`` say, is as it is. No pickle is involved: the file runs no code.

    Parameters
    ----------
    path : path
    model : Model
    params : array of shape (n_params,)

    Examples
    --------
    >>> import tempfile
    >>> from minivae import VAE
    >>> model = VAE.mlp(n_x=4, n_latent=2, n_hidden=[8])
    >>> params = model.init(np.random.default_rng(0))
    >>> path = Path(tempfile.mkdtemp()) / "vae.safetensors"
    >>> save_state_dict(path, model, params)
    >>> again, values = load_state_dict(path)
    >>> again == model, bool((values == params).all())
    (True, True)

    and then, where PyTorch is at hand, ``module.load_state_dict(safetensors.torch.load_file(path), strict=False)``.
    """
    path = checks.path(path)
    check_model(model, params)
    metadata = {"format": "pt", "minivae": versions()["minivae"], "model": json.dumps(to_spec(model))}
    save_safetensors(path, state_dict(model, params), metadata)


def state_dict(model: Model, params: Array) -> Arrays:
    """Return the arrays of a model by the names and in the layout of a state dict."""
    return {_name(name): _turned(name, view) for name, view in model.named(params)}


def _name(name: str) -> str:
    return name.replace(" ", "_")


def _turned(name: str, array: Array) -> Array:
    """Return a weight (n_in, n_out) as (n_out, n_in), or the other way; all else as it is."""
    return array.T if array.ndim == 2 and name.endswith("weight") else array


def load_state_dict(path: str | Path, model: Model | None = None) -> tuple[Any, Array]:
    """Return the model and the parameters that a .safetensors file holds.

    Parameters
    ----------
    path : path
    model : Model, optional
        For a file that other tools wrote: it says which arrays there must be. A file that ``save_state_dict`` wrote
        knows its model.

    Returns
    -------
    model : Model
    params : array of shape (n_params,)
        float32 or float64, as in the file.

    Raises
    ------
    FileError
        If the file is missing or damaged, or its arrays are not those of the model.
    """
    if model is not None:
        checks.has(model, ("named", "n_params"), "model", "a model", "VAE.mlp(n_x=4, n_latent=2)")
    arrays, metadata = load_safetensors(path)
    if model is None:
        if "model" not in metadata:
            raise FileError(
                f"path must name a file that knows its model, got {path}, which minivae did not write. Give the model, "
                f"as VAE.mlp(...), too."
            )
        with reading("path must name a file that knows its model", path, "Give the model, too."):
            model = from_spec(json.loads(metadata["model"]))
            checks.has(model, ("named", "n_params"), "model", "a model", "VAE.mlp(n_x=4, n_latent=2)")
    assert model is not None
    dtypes = {array.dtype for array in arrays.values()}
    if len(dtypes) > 1:
        raise FileError(f"path must hold arrays of one dtype, got float32 and float64 in {path}. Convert them.")
    params = np.empty(model.n_params, dtypes.pop() if dtypes else np.float32)
    wanted = {_name(name): (name, view) for name, view in model.named(params)}
    for what, names in (("lacks", wanted.keys() - arrays.keys()), ("also has", arrays.keys() - wanted.keys())):
        if names:
            listed = ", ".join(name[:60] for name in sorted(names)[:4])
            raise FileError(
                f"path must hold the arrays of the model, got {path}, which {what} {listed}. Name them as "
                f"save_state_dict does."
            )
    for key, (name, view) in wanted.items():
        found = _turned(name, arrays[key])
        if found.shape != view.shape:
            raise FileError(
                f"path must hold the arrays of the model, got {path}, whose {key[:60]} has the shape "
                f"{arrays[key].shape} in place of {_turned(name, view).shape}. Build the model with its widths."
            )
        view[...] = found
    with reading("path must hold the arrays of the model", path, "Write it again."):
        check_model(model, params)
    return model, params
