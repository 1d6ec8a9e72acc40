"""The safetensors format: named arrays behind a JSON header, no code in it; PyTorch, JAX and others read it.

    8 bytes n, little-endian | n bytes of JSON: name -> dtype, shape, where in the data | the data, row by row

Source: https://github.com/huggingface/safetensors, "Format".
"""

import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np

from minivae.core.arrays import Array, Arrays
from minivae.core.files import write_atomically
from minivae.core.reading import existing_file, reading

_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}
_LONGEST_HEADER = 100_000_000  # bytes; the format's own limit
_META = "__metadata__"


def to_safetensors(arrays: Arrays, metadata: dict[str, str]) -> bytes:
    """Return a file's content: float32 and float64 arrays, and texts under names.

    >>> content = to_safetensors({"w": np.ones(2, np.float32)}, {"format": "pt"})
    >>> content[8:].decode("latin1")[:60]
    '{"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":['
    """
    names = {dtype: name for name, dtype in _DTYPES.items()}
    header: dict[str, Any] = {_META: metadata}
    chunks, at = [], 0
    for name, array in arrays.items():
        dtype = array.dtype.newbyteorder("<")
        chunks.append(np.ascontiguousarray(array, dtype).tobytes())
        end = at + len(chunks[-1])
        header[name] = {"dtype": names[dtype], "shape": list(array.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the data begin at a multiple of eight
    return struct.pack("<Q", len(text)) + text + b"".join(chunks)


def save_safetensors(path: Path, arrays: Arrays, metadata: dict[str, str]) -> None:
    """Write named arrays and texts to a file, atomically."""
    write_atomically(path, to_safetensors(arrays, metadata))


def load_safetensors(path: Any) -> tuple[Arrays, dict[str, str]]:
    """Return the arrays and the texts of a file; no more memory is needed than it has bytes.

    Raises
    ------
    FileError
        If it is missing or damaged, or holds other numbers than float32 and float64.
    """
    path = existing_file(path, "path", "Give a .safetensors file.")
    with reading("path must name an intact .safetensors file of float32 or float64", path, "Write it again."):
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
            if not 2 <= length <= min(size - 8, _LONGEST_HEADER):
                raise ValueError("its header promises more bytes than there are")
            header = json.loads(file.read(length))
            body = bytearray(file.read())
        metadata = header.pop(_META, {})
        if not all(isinstance(text, str) for text in metadata.values()):
            raise ValueError("its metadata are no texts")
        return _arrays(header, body), dict(metadata)


def _arrays(header: dict[str, Any], body: bytearray) -> Arrays:
    """Return the arrays, which must fill the data one after the other, without a gap and without an overlap."""
    found: dict[str, Array] = {}
    at = 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = entry["data_offsets"]
        shape = entry["shape"]
        if entry["dtype"] not in _DTYPES:
            raise ValueError(f"{name[:60]} is of dtype {str(entry['dtype'])[:20]}")
        if any(type(n) is not int or n < 0 for n in [*shape, begin, end]):
            raise ValueError(f"{name[:60]} has the shape {str(shape)[:40]}")
        dtype = _DTYPES[entry["dtype"]]
        if begin != at or end > len(body) or end - begin != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"{name[:60]} does not lie where its header says")
        values = np.frombuffer(body, dtype, math.prod(shape), begin)
        found[name] = values.reshape(shape).astype(dtype.newbyteorder("="), copy=False)
        at = end
    if at != len(body):
        raise ValueError("more bytes follow than its header says")
    return found
