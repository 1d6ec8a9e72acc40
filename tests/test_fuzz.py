"""Every loader against damaged files: it loads, or refuses in the package's own words; nothing else ever happens.

Thousands of mutated files and a corpus of hand-made ones. ``pytest tests/test_fuzz.py --fuzz 20000`` tries that many of
each kind. history.csv and the tables of a sweep are written only; no part of the package reads them.
"""

import argparse
import contextlib
import gzip
import io
import json
import struct
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minivae.cli import sweep
from minivae.datasets.own_files import load_file
from minivae.exercises import EXERCISES
from minivae.exercises.student_file import check_file
from minivae.models.vae import VAE
from minivae.training.loop import train
from minivae.training.runs import Run, data_fingerprint, open_run
from minivae.training.settings import Settings
from minivae.training.state_dicts import load_state_dict, save_state_dict
from minivae.training.storage import load_model, save_model
from minivae.training.trials import row_of
from tests import hostile_files
from tests.hostile_files import archive, npy

MEMORY = 40 * 2**20  # bytes that refusing or loading one of these small files may take at most

OTHERS_WORDS = ("allow_pickle", "Traceback", "object has no attribute", "not subscriptable", "unpack", "NoneType")


@pytest.fixture(scope="module", autouse=True)
def own_folder(tmp_path_factory):
    with contextlib.chdir(tmp_path_factory.mktemp("fuzz")), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
        assert not Path("canary").exists(), "code came out of a file"


MODEL = VAE.mlp(3, 1, [4])
ROWS = (np.random.default_rng(0).random((24, 3)) < 0.5).astype(np.float32)
HOW = Settings(epochs=3, batch_size=8)
ANSWERS = """import numpy as np

def helper(x):
    return np.exp(x / 2)

def sample_z(mu, log_var, eps):
    return mu + helper(log_var) * eps
"""


def resume(path):
    train(MODEL, ROWS, ROWS, HOW, checkpoint=path, resume=True)


def read_run(path):
    open_run(path.parent)


def read_summary(path):
    row_of(Run(path.parent, "x.npy", None, MODEL, HOW))


def read_sweep(path):
    sweep._resumed(argparse.Namespace(resume=str(path.parent), settings=[], trials=None, out=None))


def read_answers(path):
    check_file(path, EXERCISES, seconds=0.2)


def good_files():
    """Return an intact file of each kind, by the loader that reads it."""
    path = Path("good.npz")
    save_model(path, MODEL, MODEL.init(np.random.default_rng(0)), note="x")
    model = path.read_bytes()
    train(MODEL, ROWS, ROWS, HOW, checkpoint=path)
    checkpoint = path.read_bytes()
    np.save("x.npy", ROWS)
    run = Run(Path("good"), "x.npy", None, MODEL, HOW.resolved(MODEL), data_fingerprint(load_file("x.npy")))
    run.save()
    save_state_dict("good.safetensors", MODEL, MODEL.init(np.random.default_rng(0)))
    tested = [{"quantity": "elbo", "value": -1.0, "standard_error": 0.1}]
    summary = {"stopped": "early", "test": tested, "n_params": 31, "epochs": 3, "best_epoch": 2, "seconds": 0.1}
    cells = [{"cell_type": "code", "source": ANSWERS.splitlines(keepends=True)}, {"cell_type": "markdown"}]
    idx = b"\0\0\x08\x03" + struct.pack(">3I", 12, 2, 2) + bytes(range(48))
    return {
        "model": (load_model, "m.npz", model),
        "checkpoint": (resume, "c.npz", checkpoint),
        "npy": (load_file, "d.npy", npy(ROWS)),
        "npz": (load_file, "d.npz", archive([("x.npy", npy(ROWS)), ("y.npy", npy(np.arange(24)))])),
        "packed npz": (load_file, "e.npz", archive([("x.npy", npy(ROWS))], zipfile.ZIP_DEFLATED)),
        "idx": (load_file, "d.idx", idx),
        "gz": (load_file, "d.idx.gz", gzip.compress(idx)),
        "run": (read_run, "run/run.json", Path("good/run.json").read_bytes()),
        "summary": (read_summary, "trial/summary.json", json.dumps(summary).encode()),
        "sweep": (read_sweep, "sweep/sweep.json", json.dumps({"trials": [{"beta": 1.0, "seed": 0}]}).encode()),
        "list": (sweep._listed, "list.csv", b"beta,hidden\n0.5,3-2\n2,\n"),
        "state dict": (load_state_dict, "m.safetensors", Path("good.safetensors").read_bytes()),
        "script": (read_answers, "a.py", ANSWERS.encode()),
        "notebook": (read_answers, "a.ipynb", json.dumps({"cells": cells}).encode()),
    }


def tried(load, path, content):
    """Load a file; return what was refused, in our words, or None; memory stays bounded, and no other error comes."""
    path = Path(path)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    tracemalloc.start()
    try:
        load(path)
        message = None
    except ValueError as error:
        message = str(error)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < MEMORY + 10 * len(content), f"{peak:,} bytes"
    if message is not None:
        assert " must " in message, message
        assert "got " in message, message
        assert len(message) < 1200, message
        assert not any(words in message for words in OTHERS_WORDS), message
    return message


BYTES = st.sampled_from([b"\0", b"\xff", b"\x80", b"(", b"[", b"{", b"'", b'"', b"9", b"-", b"\n", b"\xff\xff\xff\x7f"])
# what is done, where (as a share of the length), to how many bytes, with what
DAMAGE = st.tuples(
    st.sampled_from(["flip", "overwrite", "insert", "delete", "cut", "repeat", "swap"]),
    st.floats(0, 1, exclude_max=True),
    st.integers(1, 40),
    st.one_of(BYTES, st.binary(min_size=1, max_size=8)),
)


def damaged(content, damages):
    content = bytearray(content)
    for kind, place, n, new in damages:
        i = int(place * len(content))
        match kind:
            case "flip" if content:
                content[i] ^= 1 << n % 8
            case "overwrite":
                content[i : i + len(new)] = new
            case "insert":
                content[i:i] = new * n
            case "delete":
                del content[i : i + n]
            case "cut":
                del content[i:]
            case "repeat":
                content[i:i] = content[i : i + n]
            case "swap":
                content[i : i + n] = content[i : i + n][::-1]
    return bytes(content)


KINDS = ["model", "checkpoint", "npy", "npz", "packed npz", "idx", "gz", "run", "script", "notebook"]
KINDS += ["summary", "sweep", "list", "state dict"]


@pytest.fixture(scope="module")
def good(own_folder):  # noqa: ARG001
    return good_files()


@pytest.mark.parametrize("kind", KINDS)
def test_every_damage_is_refused_in_words_or_harmless(kind, good, request):
    load, path, content = good[kind]
    assert tried(load, path, content) is None, "the undamaged file loads"
    refused = set()

    @settings(
        max_examples=request.config.getoption("fuzz"),
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(DAMAGE, min_size=1, max_size=3))
    def attack(damages):
        refused.add(tried(load, path, damaged(content, damages)))

    attack()
    assert len(refused) > 3, "the damage was felt"


@pytest.mark.parametrize("kind", ["model", "checkpoint", "npy", "npz", "gz", "run", "notebook"])
def test_a_file_of_another_kind_is_refused(kind, good):
    load, path, _ = good[kind]
    for other in KINDS:
        if good[other][0] is not load or kind == "gz":
            message = tried(load, path, good[other][2])
            assert message is not None or load is load_file, (kind, other)


@pytest.mark.parametrize("name", hostile_files.data_files())
def test_hostile_data_files(name):
    message = tried(load_file, name.replace(" ", "-"), hostile_files.data_files()[name])
    assert message is not None
    assert name.replace(" ", "-").split(".")[0] in message, "the file is named"


def test_needless_members_are_not_unpacked(good):
    rows, path = [("x.npy", npy(ROWS))], Path("bomb.npz")
    assert tried(load_file, path, hostile_files.bomb(rows)) is None  # x alone is read
    for kind in ("model", "checkpoint"):
        load, path, content = good[kind]
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            members = [(name, file.read(name)) for name in file.namelist()]
        assert "extra" in tried(load, path, hostile_files.bomb(members))
        packed = archive(members, zipfile.ZIP_DEFLATED)
        assert "is packed, as this package never writes them" in tried(load, path, packed)


def test_hostile_runs(good):
    files = hostile_files.run_files(good["run"][2].decode())
    for name, text in files.items():
        message = tried(read_run, "run/run.json", text.encode(errors="surrogateescape"))
        harmless = name in ("source 5", "source 6", "source 7", "data 3", "data 4", "deep within")
        assert (message is not None) or harmless, name


def test_hostile_checkpoints(good):
    for name, content in hostile_files.checkpoint_files(good["checkpoint"][2]).items():
        message = tried(resume, "c.npz", content)
        assert message is not None, name


def test_what_is_no_file_is_refused_in_words(tmp_path):
    for load in (load_file, load_model):
        for path, words in [
            (tmp_path, "which is a folder"),
            ("/dev/null", "which is a device or a pipe"),
            ("x" * 5000, "File name too long"),
            ("a\0b", "must be the name of a file"),
            ("", "must be the name of a file"),
            (None, "must be the name of a file"),
            (3, "must be the name of a file"),
        ]:
            with pytest.raises(ValueError, match=words):
                load(path)
