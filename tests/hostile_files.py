"""Files that once broke a loader, or were made to: name, suffix and content, made anew for each test."""

import functools
import gzip
import io
import json
import lzma
import os
import struct
import zipfile

import numpy as np


class Canary:
    """Leaves a file behind where somebody unpickles it."""

    def __reduce__(self):
        return os.mkdir, ("canary",)


def npy(array, *, pickled=False):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=pickled)
    return buffer.getvalue()


def npy_header(text, body=b"", version=(1, 0)):
    """Return an .npy file with a header of one's own."""
    header = text.encode().ljust(118 - 10) + b"\n"
    size = struct.pack("<H" if version == (1, 0) else "<I", len(header))
    return b"\x93NUMPY" + bytes(version) + size + header + body


def archive(members, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in members:
            file.writestr(name, content)
    return buffer.getvalue()


def checkpoint_like(content, change):
    """Return a checkpoint whose checksums hold, with header and arrays as ``change`` leaves them."""
    arrays = dict(np.load(io.BytesIO(content)))
    header = json.loads(arrays.pop("header").tobytes())
    change(header, arrays)
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    return archive([(f"{name}.npy", npy(array)) for name, array in {"header": text, **arrays}.items()])


def damaged_lzma(rows):
    content = bytearray(archive([("x.npy", npy(rows))], zipfile.ZIP_LZMA))
    content[60:90] = bytes(30)
    return bytes(content)


def encrypted(rows):
    content = bytearray(archive([("x.npy", npy(rows))]))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    return bytes(content)


@functools.cache
def data_files():
    """Return hostile data files by name."""
    rows = np.random.default_rng(0).normal(size=(12, 3))
    plain = npy(rows)
    idx = b"\0\0\x08\x02" + struct.pack(">2I", 12, 3) + bytes(36)
    return {
        "unbalanced.npy": npy_header("{'descr': '<f8', 'fortran_order': False, 'shape': ((((12, 3), }"),
        "thirty digits.npy": npy_header(f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({'9' * 30}, 3), }}"),
        "negative.npy": npy_header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 3), }", bytes(80)),
        "zero width.npy": npy_header("{'descr': '<f8', 'fortran_order': False, 'shape': (12, 0), }"),
        "truth.npy": npy_header("{'descr': '<f8', 'fortran_order': False, 'shape': (True, 3), }", bytes(24)),
        "no keys.npy": npy_header("{}"),
        "other keys.npy": npy_header("{'descr': '<f8', 'colour': 3}"),
        "a list.npy": npy_header("[1, 2, 3]"),
        "deep.npy": npy_header("(" * 107),
        "no type.npy": npy_header("{'descr': 'colour', 'fortran_order': False, 'shape': (3, 3), }"),
        "void.npy": npy_header("{'descr': '|V0', 'fortran_order': False, 'shape': (3, 3), }"),
        "code.npy": npy_header("__import__('os').mkdir('canary')"),
        "huge.npy": npy_header("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999, 3), }", bytes(80)),
        "version.npy": npy_header("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 3), }", bytes(72), (3, 0)),
        "version 9.npy": npy_header("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 3), }", bytes(72), (9, 9)),
        "fields.npy": npy(np.zeros(12, [("a", float), ("b", int)])),
        "objects.npy": npy(np.array([Canary()] * 12), pickled=True),
        "words.npy": npy(np.array([["a", "b"]] * 12)),
        "dates.npy": npy(np.zeros((12, 3), "datetime64[s]")),
        "complex.npy": npy(rows + 1j),
        "scalar.npy": npy(np.array(3.0)),
        "one row too few.npy": plain[:-24],
        "one byte too many.npy": plain + b"x",
        "half a header.npy": plain[:40],
        "no members.npz": archive([]),
        "no arrays.npz": archive([("notes.txt", b"hello"), ("other.txt", b"")]),
        "one text.npz": archive([("x", b"hello")]),
        "many members.npz": archive([(f"member{i:05d}.npy", b"") for i in range(3000)]),
        "twice.npz": archive([("x.npy", plain), ("x", plain)]),
        "objects.npz": archive([("x.npy", npy(np.array([Canary()] * 12), pickled=True))]),
        "lzma.npz": archive([("x.npy", plain)], zipfile.ZIP_LZMA),
        "lzma damaged.npz": damaged_lzma(rows),
        "encrypted.npz": encrypted(rows),
        "labels.npz": archive([("x.npy", plain), ("y.npy", npy(np.array([Canary()] * 12), pickled=True))]),
        "half.npz": archive([("x.npy", plain)])[:-30],
        "a zip.zip": archive([("letter.docx", b"x" * 100)]),
        "nothing.npy": b"",
        "text.npy": b"1,2,3\n4,5,6\n",
        "wide.idx": b"\0\0\x08\xff" + b"\xff" * (4 * 255),
        "huge.idx": b"\0\0\x0e\x03" + b"\xff" * 12,
        "half.idx": idx[:-1],
        "long.idx": idx + b"x",
        "no type.idx": b"\0\0\x07" + idx[3:],
        "no sizes.idx": idx[:6],
        "zeros.idx.gz": gzip.compress(b"\0\0\x08\x02" + struct.pack(">2I", 12, 3) + bytes(5 * 10**7), 1),
        "zeros.npy.gz": gzip.compress(plain + bytes(5 * 10**7), 1),
        "half.npy.gz": gzip.compress(plain)[:-12],
        "crc.npy.gz": gzip.compress(plain)[:-8] + bytes(8),
        "garbage.gz": b"\x1f\x8b" + bytes(range(200)),
        "two layers.gz": gzip.compress(gzip.compress(plain)),
        "xz.npy": lzma.compress(plain),
    }


def bomb(names):
    """Return an archive of which one member unpacks to 60 MB of zeros."""
    return archive([*names, ("extra.npy", npy(np.zeros(60 * 2**17)))], zipfile.ZIP_DEFLATED)


def _deep(depth):
    return "[" * depth + "]" * depth


def run_files(good):
    """Return hostile texts of run.json, of a good one."""
    content = json.loads(good)
    changes = [
        ("source", [None, 3, [], {}, True, "", "\0", "x" * 5000]),
        ("image_shape", [3, "8x8", [], [8], ["a", "b"], [0, 5], [1e99, 2], [True, True], {}, [-1, -64]]),
        ("model", [None, 3, [], "VAE", {}, {"class": "Nobody"}, {"class": "Adam"}, {"class": ["VAE"]}]),
        ("settings", [None, 3, [], {}, {"class": "Settings", "epochs": "many"}, {"class": "Adam"}]),
        ("data", [3, [], "x", {"train": 3}, {"train": None, "valid": None, "test": None}]),
        ("streams", [3, "x", {"training": 99}, {"training": {}}]),
    ]
    files = {f"{key} {i}": json.dumps(content | {key: v}) for key, values in changes for i, v in enumerate(values)}
    for key in ("source", "image_shape", "model", "settings"):
        files[f"no {key}"] = json.dumps({name: value for name, value in content.items() if name != key})
    return files | {
        "empty": "",
        "deep": _deep(100_000),
        "deep within": good.replace('"source"', f'"extra": {_deep(50_000)}, "source"'),
        "a list": "[]",
        "a number": "3",
        "NaN": "NaN",
        "latin": good.replace("x.npy", "\udcfc.npy"),
        "huge number": good.replace('"seed": 0', f'"seed": {"9" * 5000}'),
    }


def checkpoint_files(good):
    """Return hostile checkpoints whose checksums hold, of a good one."""

    def header(**values):
        return lambda h, _: h.update(values)

    def array(name, value):
        return lambda _, a: a.update({name: value})

    def without(name):
        return lambda h, a: (h.pop(name, None), a.pop(name, None))

    history = np.load(io.BytesIO(good))["history"]
    columns = json.loads(np.load(io.BytesIO(good))["header"].tobytes())["columns"]
    changes = {
        "history 0-d": array("history", np.array(3.0)),
        "history empty": array("history", history[:0]),
        "history of integers": array("history", history.astype(int)),
        "history of words": array("history", history.astype("U5")),
        "history infinite": array("history", np.where(history == history[0, 0], np.inf, history)),
        "history backwards": array("history", history[::-1]),
        "history narrow": array("history", history[:, :-1]),
        "columns renamed": header(columns=["x", *columns[1:]]),
        "columns a number": header(columns=3),
        "columns twice": header(columns=[*columns[:-1], columns[0]]),
        "columns of lists": header(columns=[[c] for c in columns]),
        "best_epoch infinite": header(best_epoch=float("inf")),
        "best_epoch too late": header(best_epoch=10**6),
        "best_epoch a word": header(best_epoch="last"),
        "best_epoch negative": header(best_epoch=-1),
        "seconds NaN": header(seconds=float("nan")),
        "seconds none": header(seconds=None),
        "rng none": header(rng=None),
        "rng another": header(rng={"bit_generator": "MT19937", "state": {}}),
        "rng halves": header(rng={"bit_generator": "PCG64", "state": {"state": -1, "inc": 2**300}}),
        "spec none": header(spec=None),
        "spec a word": header(spec="digits"),
        "spec empty": header(spec={}),
        "spec settings a list": header(spec={"settings": []}),
        "arithmetic a number": header(arithmetic=3),
        "kind another": header(kind="model"),
        "params short": array("params", np.zeros(3, np.float32)),
        "params NaN": lambda _, a: a.update(params=np.full_like(a["params"], np.nan)),
        "an array too many": array("extra", np.zeros(3)),
        **{f"no {name}": without(name) for name in ("params", "best", "history", "optimizer.m", "rng", "spec")},
        **{f"no {name}": without(name) for name in ("columns", "best_epoch", "seconds", "kind", "format")},
    }
    return {name: checkpoint_like(good, change) for name, change in changes.items()}
