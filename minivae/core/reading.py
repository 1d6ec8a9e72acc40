"""The one boundary between what a file holds and the package: whatever goes wrong in reading it is a FileError.

Bytes from outside pass through NumPy, zipfile, zlib, lzma, json and tokenize, each with exceptions of its own; and a
header may promise more than a machine has. Here a file is opened, an array is read no further than its own header
promises, and every other exception gets the file's name and a remedy.
"""

import gzip
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from minivae.core import checks
from minivae.core.errors import FileError

_SHOWN = 160  # characters of another library's words that are worth showing
_BLOCK = 2**22  # bytes that are read at once
_HEADER = 10_000  # bytes of an array's header; NumPy's own limit


@contextmanager
def reading(rule: str, path: Any, remedy: str) -> Iterator[None]:
    """Turn any exception from within into a FileError: rule, the path, what went wrong, the remedy.

    >>> with reading("data must be JSON", "x.json", "Write it again."):
    ...     json.loads("")
    Traceback (most recent call last):
        ...
    minivae.core.errors.FileError: data must be JSON, got x.json, which is damaged or of another kind (Expecting value:
    line 1 column 1 (char 0)). Write it again.
    """
    try:
        yield
    except FileError:
        raise
    except Exception as error:  # on purpose all: each library has its own
        raise FileError(
            f"{rule}, got {path}, which is damaged or of another kind ({words(error)}). {remedy}"
        ) from error


def words(error: BaseException) -> str:
    r"""Return what an exception says, in one short line.

    >>> words(KeyError("x")), words(ValueError("a\nb")), words(MemoryError())
    ("it lacks 'x'", 'a b', 'it needs more memory than there is')
    """
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    if isinstance(error, KeyError):
        return f"it lacks {str(error)[:_SHOWN]}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, (TypeError, AttributeError, IndexError)):
        return "a part of it is of another type than it should be"
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def existing_file(path: Any, name: str, remedy: str) -> Path:
    """Return the path of a file that is there, or say what is there instead.

    >>> existing_file("/", "data", "Check the path.")
    Traceback (most recent call last):
        ...
    minivae.core.errors.FileError: data must name a file, got /, which is a folder. Check the path.
    """
    path = checks.path(path, name)
    kind = "does not exist"
    try:
        if path.is_file():
            return path
        if path.exists():
            kind = "is a folder" if path.is_dir() else "is a device or a pipe"
    except OSError as error:  # a name that no file can have
        kind = f"cannot be looked at ({words(error)})"
    raise FileError(f"{name} must name a file, got {str(path)[:_SHOWN]}, which {kind}. {remedy}")


def read_json(path: Path, rule: str, remedy: str) -> Any:
    """Return what a JSON file holds."""
    with reading(rule, path, remedy):
        return json.loads(path.read_text(encoding="utf-8"))


def open_maybe_gzipped(path: Path) -> IO[bytes]:
    """Open a file to read from, unpacked on the way where it is gzipped."""
    file = path.open("rb")
    if file.peek(2)[:2] != b"\x1f\x8b":
        return file
    file.close()
    return cast(IO[bytes], gzip.open(path, "rb"))


def read_exactly(file: IO[bytes], n_bytes: int) -> bytearray:
    """Return the rest of a file, which must be as long as its header promised; no more than that is read."""
    body = bytearray()  # which grows with what is there, whatever the header promises
    while len(body) <= n_bytes and (block := file.read(min(_BLOCK, n_bytes + 1 - len(body)))):
        body += block
    if len(body) != n_bytes:
        found = "more" if len(body) > n_bytes else str(len(body))
        raise ValueError(f"its header promises {n_bytes} bytes and {found} follow")
    return body


def read_npy(file: IO[bytes]) -> np.ndarray:
    """Return the array of an .npy file, of plain numbers."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"it is of version {version[0]}.{version[1]}, which only arrays with named fields have")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, fortran_order, dtype = read(file, max_header_size=_HEADER)
    except Exception as error:  # NumPy parses it as Python
        raise ValueError("its header is damaged") from error
    if dtype.hasobject:
        raise ValueError("it holds Python objects, not numbers; save a float array")
    if any(isinstance(n, bool) or n < 0 for n in shape):
        raise ValueError(f"its header promises the shape {str(shape)[:40]}")
    n_bytes = dtype.itemsize
    for n in shape:
        n_bytes *= n
    if n_bytes >= 2**62:
        raise ValueError("its header promises more bytes than any machine has")
    body = read_exactly(file, n_bytes)  # a bytearray, which can be written to, as an array's memory should
    return np.frombuffer(body, dtype).reshape(shape, order="F" if fortran_order else "C")


def read_npz(file: IO[bytes], wanted: Callable[[list[str]], list[str]], *, stored: bool = False) -> dict[str, Any]:
    """Return the arrays of an .npz file that are wanted, of the names that it holds.

    ``stored`` refuses packed members: then no more memory is needed than the file has bytes.
    """
    with zipfile.ZipFile(file) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if len(members) != len(archive.infolist()):
            raise ValueError("it holds two arrays of one name")
        arrays = {}
        for name in wanted(list(members)):
            info = members[name]
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # the others may ask for gigabytes
                raise ValueError(f"its member {name[:40]} is packed in another way than np.savez_compressed does")
            if stored and (info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size):
                raise ValueError(f"its member {name[:40]} is packed, as this package never writes them")
            with archive.open(info) as member:
                arrays[name] = read_npy(member)
    return arrays
