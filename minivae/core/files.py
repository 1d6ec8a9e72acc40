"""Files without pickle and never half written: a JSON header and named arrays in one .npz."""

import io
import json
import os
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from minivae.core.arrays import Arrays
from minivae.core.errors import FileError

FORMAT = 1  # raised when a file written by an older version can no longer be read


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
