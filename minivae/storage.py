"""Saving without pickle and without half-written files: descriptions as JSON, arrays as .npz, both at once.

A description (layer, likelihood, model, optimiser, settings) is a frozen dataclass, so one function turns any
of them into JSON and one turns it back.
"""

import dataclasses
import io
import json
import os
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from minivae import (
    autoencoder,
    checks,
    contraction,
    corruptions,
    discrete,
    layers,
    likelihoods,
    optim,
    penalties,
    posteriors,
    vae,
)
from minivae.autoencoder import Autoencoder
from minivae.checks import Array
from minivae.discrete import BernoulliVAE
from minivae.vae import VAE

FORMAT = 1  # raised when a file written by an older version can no longer be read

_CLASSES: dict[str, type] = {
    cls.__name__: cls
    for module in (
        *(layers, likelihoods, posteriors, corruptions, penalties, contraction),
        *(vae, autoencoder, discrete, optim),
    )
    for cls in vars(module).values()
    if isinstance(cls, type) and dataclasses.is_dataclass(cls)
}

Arrays = dict[str, np.ndarray]


class FileError(ValueError):
    """A file is missing, damaged, or not what it should be; the message says which and what to do."""


def to_spec(description: Any) -> Any:
    """Return a description as plain JSON values.

    >>> from minivae import Dense
    >>> to_spec(Dense(3, 2))
    {'class': 'Dense', 'n_in': 3, 'n_out': 2, 'weights': 'glorot'}
    """
    if dataclasses.is_dataclass(description) and not isinstance(description, type):
        fields = {f.name: to_spec(getattr(description, f.name)) for f in dataclasses.fields(description)}
        return {"class": type(description).__name__, **fields}
    if isinstance(description, (list, tuple)):
        return [to_spec(item) for item in description]
    if isinstance(description, np.generic):
        return description.item()
    return description


def from_spec(spec: Any) -> Any:
    """Return the description that ``to_spec`` wrote.

    >>> from_spec({"class": "Dense", "n_in": 3, "n_out": 2, "weights": "glorot"})
    Dense(n_in=3, n_out=2, weights='glorot')
    """
    if isinstance(spec, list):
        return [from_spec(item) for item in spec]
    if not isinstance(spec, dict):
        return spec
    fields = {key: from_spec(value) for key, value in spec.items() if key != "class"}
    if not isinstance(spec.get("class"), str) or spec["class"] not in _CLASSES:
        raise FileError(f"class must be one of minivae's descriptions, got {spec.get('class')!r}. Update minivae.")
    return _CLASSES[spec["class"]](**fields)


def writable(folder: Path, name: str) -> None:
    """See that files can be made in a folder, before any work is done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise FileError(
            f"{name} must be a folder that can be written to, got {folder} ({error}). Choose another."
        ) from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new and nothing between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def save_arrays(path: Path, header: dict[str, Any], arrays: Arrays) -> None:
    """Write a JSON header and named arrays into one .npz file, atomically."""
    text = json.dumps({"format": FORMAT, **header})
    buffer = io.BytesIO()
    np.savez(buffer, header=np.frombuffer(text.encode(), np.uint8), **arrays)  # type: ignore[arg-type]
    write_atomically(path, buffer.getvalue())


def load_arrays(path: Path, kind: str) -> tuple[dict[str, Any], Arrays]:
    """Read what ``save_arrays`` wrote; every damage becomes a FileError that says what to do."""
    path = Path(path)
    if not path.is_file():
        raise FileError(f"path must name a {kind} file, got {path}, which does not exist. Check the run folder.")
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(arrays.pop("header").tobytes())
    except (
        zipfile.BadZipFile,
        zlib.error,
        ValueError,
        KeyError,
        EOFError,
        OSError,
        RuntimeError,
        MemoryError,
        AttributeError,
    ) as error:
        raise FileError(
            f"path must name an intact {kind} file, got {path}, which is damaged or of another kind ({error}). "
            f"Restore it from a copy, or train again."
        ) from error
    if not isinstance(header, dict):
        raise FileError(f"path must name an intact {kind} file, got {path}, whose header is damaged. Train again.")
    if header.get("kind") != kind or header.get("format") != FORMAT:
        raise FileError(
            f"path must name a {kind} file of format {FORMAT}, got {path}, a {header.get('kind')} file of format "
            f"{header.get('format')}. Use the file that minivae {kind} functions write."
        )
    return header, arrays


def save_model(path: str | Path, model: VAE | Autoencoder | BernoulliVAE, params: Array, **extra: Any) -> None:
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
    header = {"kind": "model", "model": to_spec(model), "extra": extra}
    save_arrays(Path(path), header, {"params": params})


def load_model(path: str | Path) -> tuple[Any, Array, dict[str, Any]]:
    """Return the model, its parameters and the extra values that ``save_model`` wrote.

    Raises
    ------
    FileError
        If the file is missing, damaged, or holds something else.
    """
    header, arrays = load_arrays(Path(path), "model")
    try:
        model, params, extra = from_spec(header["model"]), arrays["params"], dict(header["extra"])
        n_params = model.n_params if isinstance(model, (VAE, Autoencoder, BernoulliVAE)) else -1
        checks.flat(params, n_params)
        if not np.isfinite(params).all():
            raise ValueError("its parameters are not finite")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise FileError(
            f"path must hold a model and its parameters, got {path}, which does not ({error}). Train again."
        ) from error
    return model, params, extra


def differences(saved: Any, current: Any, where: str = "") -> list[str]:
    """List the fields in which two specs differ, as 'name: saved -> current'.

    >>> differences({"beta": 1.0, "seed": 0}, {"beta": 4.0, "seed": 0})
    ['beta: 1.0 -> 4.0']
    """
    if isinstance(saved, dict) and isinstance(current, dict):
        keys = [*saved, *(key for key in current if key not in saved)]
        found = [differences(saved.get(k), current.get(k), f"{where}.{k}".strip(".")) for k in keys]
        return [line for lines in found for line in lines]
    if isinstance(saved, list) and isinstance(current, list) and len(saved) == len(current):
        found = [differences(a, b, f"{where}[{i}]") for i, (a, b) in enumerate(zip(saved, current, strict=True))]
        return [line for lines in found for line in lines]
    return [] if saved == current else [f"{where}: {saved} -> {current}"]
