"""Files without pickle and never half written: a JSON header and named arrays in one .npz."""

import io
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minivae.core.arrays import Arrays
from minivae.core.errors import FileError
from minivae.core.reading import existing_file, read_npz, reading, words

_PART = ".part"  # how a file is called until it is whole
FORMAT = 1  # raised when a file written by an older version can no longer be read


def writable(folder: Path, name: str) -> None:
    """See that files can be made in a folder, before any work is done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:
        raise FileError(
            f"{name} must be a folder that can be written to, got {folder} ({words(error)}). Choose another."
        ) from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new and nothing between.

    Raises
    ------
    FileError
        If the system refuses, because the disk is full, say; what was there before is left as it was.
    """
    if path.is_dir():
        raise FileError(f"path must name a file, got {path}, which is a folder. Add a name to it.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_PART)
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
    except OSError as error:
        raise FileError(
            f"{path} must be written, got {words(error)}. Make room, or see who may write there; what was saved "
            f"before is whole."
        ) from error


def remove_parts(folder: Path) -> None:
    """Remove what processes that were killed left of files that they were writing in a folder, or in one within it."""
    for part in (*folder.glob(f".*{_PART}"), *folder.glob(f"*/.*{_PART}")):
        part.unlink(missing_ok=True)


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


def load_arrays(path: Any, kind: str, known: Callable[[str], bool]) -> tuple[dict[str, Any], Arrays]:
    """Read what ``save_arrays`` wrote; every damage becomes a FileError that says what to do.

    Arrays whose names are not ``known`` are refused before they are read, so memory is bounded by what the kind needs.
    """
    path = existing_file(path, "path", f"Give the {kind} file of a run folder.")

    def wanted(names: list[str]) -> list[str]:
        if "header" not in names:
            raise ValueError(f"it has no header, so no {kind} function of minivae wrote it")
        strange = [name for name in names if name != "header" and not known(name)]
        if strange:
            raise ValueError(f"it holds {strange[0][:40]!r}, which no {kind} has")
        return names

    rule = f"path must name an intact {kind} file"
    remedy = "Restore it from a copy, or train again."
    with reading(rule, path, remedy):
        with path.open("rb") as file:
            if file.peek(2)[:2] != b"PK":
                raise ValueError("it is no .npz file")
            arrays = read_npz(file, wanted, stored=True)
        header = json.loads(arrays.pop("header").tobytes())
        if not isinstance(header, dict):
            raise ValueError("its header is no object")
    if header.get("kind") != kind or header.get("format") != FORMAT:
        raise FileError(
            f"path must name a {kind} file of format {FORMAT}, got {path}, a {str(header.get('kind'))[:40]} file of "
            f"format {str(header.get('format'))[:40]}. Use the file that minivae {kind} functions write."
        )
    return header, arrays
