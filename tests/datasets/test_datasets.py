"""Loaders: shapes, splits and figures of the named sets, a user's own files, damage, and checked downloads."""

import gzip
import hashlib
import http.server
import struct
import threading

import numpy as np
import pytest

from minivae.core.errors import FileError
from minivae.datasets import fetching
from minivae.datasets.own_files import load_file
from minivae.datasets.sets import load
from minivae.datasets.strokes import add_stroke, has_stroke


@pytest.fixture
def no_folder(monkeypatch, tmp_path):
    """Point every data folder at an empty place."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("MINIVAE_DATA", str(tmp_path / "data"))
    return tmp_path


# -------------------------------------------------------------------------------------- the bundled digits


def test_digits_are_uci_optdigits():
    grey = load("digits-grey")
    assert grey.x_train.shape == (3346, 64)
    assert grey.x_train.dtype == np.float32
    # the published figures: 1,797 test images, pixel sum 561,718, class counts 178 to 183
    assert round(float(grey.x_test.sum(dtype=float)) * 16) == 561718
    assert np.bincount(grey.y_test).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    both = np.concatenate([grey.y_train, grey.y_valid])
    assert np.bincount(both).tolist() == [376, 389, 380, 389, 387, 376, 377, 387, 380, 382]
    assert abs(float(np.concatenate([grey.x_train, grey.x_valid]).mean(dtype=float)) * 16 - 4.923972) < 1e-6


def assert_labels_belong_to_their_rows(dataset, least):
    """Assert that the nearest class mean of the training rows names most rows; of labels of others it would a tenth."""
    means = np.array([dataset.x_train[dataset.y_train == label].mean(axis=0) for label in range(10)])
    for part in ("train", "valid", "test"):
        x, y = getattr(dataset, f"x_{part}"), getattr(dataset, f"y_{part}")
        nearest = np.argmin(np.sum(means**2, axis=1) - 2 * x @ means.T, axis=1)
        assert np.mean(nearest == y) > least


def test_labels_belong_to_their_digits():
    assert_labels_belong_to_their_rows(load("digits-grey"), 0.85)


def test_half_of_the_digits_have_a_stroke_whatever_digit_they_show():
    plain, stroke, grey = (load(f"digits-{kind}") for kind in ("threshold", "stroke", "grey"))
    for part in ("train", "valid", "test"):
        x, x0, y, digit = (
            getattr(d, f"{k}_{part}") for d, k in ((stroke, "x"), (plain, "x"), (stroke, "y"), (grey, "y"))
        )
        np.testing.assert_array_equal(has_stroke(x), y == 1)  # the detector knows every image
        assert not has_stroke(x0).any()
        np.testing.assert_array_equal(x, np.where(y[:, None] == 1, add_stroke(x0), x0))
        np.testing.assert_array_equal(np.delete(x.reshape(-1, 8, 8), 0, axis=2), x0.reshape(-1, 8, 8)[:, :, 1:])
        n = len(y)
        assert abs(y.mean() - 0.5) < 4 * 0.5 / np.sqrt(n)
        counts = np.array([np.sum(y[digit == k]) for k in range(10)])  # binomial, p = 1/2, of each digit
        each = np.bincount(digit)
        assert np.all(np.abs(counts - each / 2) < 4 * np.sqrt(each) / 2)
    assert (stroke.image_shape, stroke.dynamic, x.dtype) == ((8, 8), False, np.dtype(np.float32))


def test_a_stroke_is_seen_where_most_of_its_ink_is_there():
    x = np.zeros((7, 64))
    places = np.flatnonzero(add_stroke(x)[0])
    assert (places % 8).tolist() == [0] * 6
    assert (places // 8).tolist() == [1, 2, 3, 4, 5, 6]
    for i in range(7):
        x[i, places[:i]] = 1
    np.testing.assert_array_equal(has_stroke(x), np.arange(7) > 3)
    assert not has_stroke(1 - add_stroke(np.zeros((1, 64)))).any()  # ink everywhere else


def test_names_say_the_binarisation():
    grey, threshold, dynamic = (load(f"digits-{kind}") for kind in ("grey", "threshold", "dynamic"))
    np.testing.assert_array_equal(threshold.x_train, (grey.x_train > 0.5).astype(np.float32))
    np.testing.assert_array_equal(dynamic.x_train, grey.x_train)
    assert (grey.dynamic, threshold.dynamic, dynamic.dynamic) == (False, False, True)
    assert load("digits").name == "digits-dynamic"


def test_splits_share_no_row():
    digits = load("digits-grey")
    train = {row.tobytes() for row in digits.x_train}
    assert not any(row.tobytes() in train for row in digits.x_valid)


@pytest.mark.parametrize(
    ("wrong", "near"), [("digit", "digits"), ("mnits", "mnist"), ("digits-dynamik", "digits-dynamic")]
)
def test_an_unknown_name_suggests_the_nearest(wrong, near):
    with pytest.raises(ValueError, match=f"data must be one of .*; got '{wrong}'. Did you mean '{near}'"):
        load(wrong)


# -------------------------------------------------------------------------------- the sets from a folder


def test_mnist(data_folder):  # noqa: ARG001
    grey = load("mnist-grey")
    assert (grey.x_train.shape, grey.x_valid.shape, grey.x_test.shape) == ((50000, 784), (10000, 784), (10000, 784))
    assert abs(np.concatenate([grey.x_train, grey.x_valid]).mean(dtype=float) - 0.130660) < 1e-6
    assert grey.y_test[:5].tolist() == [7, 2, 1, 0, 4]
    assert load("mnist").name == "mnist-dynamic"
    assert set(np.unique(load("mnist-threshold").x_test)) == {0.0, 1.0}
    assert_labels_belong_to_their_rows(grey, 0.75)


def test_fixed_mnist(data_folder):  # noqa: ARG001
    fixed = load("mnist-fixed")
    means = [round(float(x.mean(dtype=float)), 6) for x in (fixed.x_train, fixed.x_valid, fixed.x_test)]
    assert means == [0.130562, 0.131127, 0.132512]
    assert len(fixed.x_train) == 50000


def test_frey_iris_wine(data_folder):  # noqa: ARG001
    frey = load("frey")
    whole = np.concatenate([frey.x_train, frey.x_valid, frey.x_test])
    assert whole.shape == (1965, 560)
    assert abs(whole.mean(dtype=float) * 255 - 154.460870) < 1e-4
    assert (len(frey.x_train), len(frey.x_valid)) == (1572, 196)  # 80 and 10 % of the film
    for name, shape in (("iris", (90, 4)), ("wine", (108, 13))):
        table = load(name)
        assert table.x_train.shape == shape
        np.testing.assert_allclose(table.x_train.mean(0, dtype=float), 0, atol=1e-6)
        np.testing.assert_allclose(table.x_train.std(0, dtype=float), 1, rtol=1e-5)
        assert len(np.unique(table.y_test)) == 3


# ------------------------------------------------------------------------------------- a user's own file


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (30, 7, 8)).astype(np.uint8)


def idx(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.mark.parametrize("kind", ["npy", "npz", "idx", "idx.gz", "npy.gz"])
def test_images_from_a_file(kind, images, tmp_path):
    path = tmp_path / f"images.{kind}"
    plain = tmp_path / "plain"
    if kind.startswith("npy"):
        np.save(tmp_path / "plain.npy", images)
        plain = tmp_path / "plain.npy"
    elif kind == "npz":
        np.savez(tmp_path / "plain.npz", x=images, y=np.arange(30))
        plain = tmp_path / "plain.npz"
    else:
        plain.write_bytes(idx(images))
    content = plain.read_bytes()
    path.write_bytes(gzip.compress(content) if kind.endswith("gz") else content)
    found = load_file(path)
    assert found.image_shape == (7, 8)
    assert found.likelihood == "bernoulli"
    assert (len(found.x_train), len(found.x_valid), len(found.x_test)) == (24, 3, 3)
    rows = np.concatenate([found.x_train, found.x_valid, found.x_test])
    flat = images.reshape(30, -1) / 255
    np.testing.assert_allclose(rows[np.lexsort(rows.T)], flat[np.lexsort(flat.T)], rtol=1e-6)
    if kind == "npz":
        for part in ("train", "valid", "test"):
            labels = getattr(found, f"y_{part}")
            np.testing.assert_allclose(getattr(found, f"x_{part}"), flat[labels], rtol=1e-6)


def test_bytes_of_zeros_and_ones_stay_what_they_are(tmp_path, rng):
    np.save(tmp_path / "t.npy", rng.integers(0, 2, (30, 4)).astype(np.uint8))
    found = load_file(tmp_path / "t.npy")
    assert set(np.unique(found.x_train)) == {0.0, 1.0}
    assert found.divisor == 1


def test_a_table_is_standardised_and_gets_a_gaussian(tmp_path, rng):
    np.save(tmp_path / "t.npy", 100 + 5 * rng.normal(size=(50, 3)))
    found = load_file(tmp_path / "t.npy")
    assert found.likelihood == "gaussian-learned"
    np.testing.assert_allclose(found.x_train.std(0), 1, rtol=1e-5)
    mean, std = found.scale
    back = np.concatenate([found.x_train, found.x_valid, found.x_test]) * std + mean
    np.testing.assert_allclose(np.sort(back, axis=0), np.sort(np.load(tmp_path / "t.npy"), axis=0), rtol=1e-5)


def test_values_below_zero_are_no_probabilities(tmp_path, rng):
    np.save(tmp_path / "t.npy", -rng.random((30, 3)))
    assert load_file(tmp_path / "t.npy").likelihood == "gaussian-learned"


def test_rows_that_alternate_are_not_split_by_class(tmp_path, rng):
    np.savez(tmp_path / "t.npz", x=rng.normal(size=(200, 3)), y=np.arange(200) % 2)
    found = load_file(tmp_path / "t.npz")
    assert set(found.y_valid) == set(found.y_test) == {0, 1}


def test_an_archive_of_several_arrays_must_say_which(tmp_path, rng):
    np.savez(tmp_path / "t.npz", x_train=rng.random((20, 3)), x_test=rng.random((20, 3)))
    with pytest.raises(FileError, match="must hold one array, or one named x, and holds x_train, x_test"):
        load_file(tmp_path / "t.npz")
    np.savez(tmp_path / "t.npz", anything=rng.random((20, 3)))
    assert load_file(tmp_path / "t.npz").n_x == 3


def test_columns_too_large_to_be_standardised_are_named(tmp_path, rng):
    np.save(tmp_path / "t.npy", rng.normal(size=(20, 3)) * [1, 1e200, 1])
    with pytest.raises(ValueError, match=r"got column\(s\) 1 with none. Rescale"):
        load_file(tmp_path / "t.npy")


def test_constant_columns_are_named_and_stay_zero(tmp_path, rng):
    table = rng.normal(size=(50, 3))
    table[:, 1] = 7.0
    np.save(tmp_path / "t.npy", table)
    with pytest.warns(UserWarning, match=r"constant column\(s\) 1, which stay at 0"):
        found = load_file(tmp_path / "t.npy")
    assert not found.x_train[:, 1].any()


def test_square_rows_are_taken_for_images_and_a_shape_can_be_given(tmp_path, rng):
    np.save(tmp_path / "t.npy", rng.random((20, 64)))
    assert load_file(tmp_path / "t.npy").image_shape == (8, 8)
    assert load_file(tmp_path / "t.npy", (4, 16)).image_shape == (4, 16)
    with pytest.raises(ValueError, match=r"image_shape must have 64 pixels .* got 4 x 4"):
        load_file(tmp_path / "t.npy", (4, 4))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((30, 4), int), "must be a floating-point array, got dtype int64"),
        (np.full((30, 4), None), "it holds Python objects, not numbers"),
        (np.full((30, 4), np.nan), "must be finite, got 120 NaN"),
        (np.ones((9, 4)), "must hold at least 10 rows to be split, got 9"),
        (np.ones(30), r"must have shape \(batch, n_x\), got \(30,\)"),
        (np.empty((0, 4)), "must hold at least one value"),
    ],
)
def test_arrays_that_cannot_be_used_are_refused(array, message, tmp_path):
    np.save(tmp_path / "t.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match=message):
        load_file(tmp_path / "t.npy")


@pytest.mark.parametrize("kind", ["npy", "npz", "idx", "gz"])
@pytest.mark.parametrize("damage", ["truncated", "empty", "text"])
def test_damaged_files_are_named(kind, damage, images, tmp_path):
    path = tmp_path / f"file.{kind}"
    if kind == "npy":
        np.save(path, images)
    elif kind == "npz":
        np.savez_compressed(path, x=images)
    else:
        path.write_bytes(gzip.compress(idx(images)) if kind == "gz" else idx(images))
    content = {"truncated": path.read_bytes()[:-20], "empty": b"", "text": b"1,2,3\n4,5,6\n"}[damage]
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"data must be an intact \.npy, \.npz or IDX file, got .*file\." + kind):
        load_file(path)


@pytest.mark.parametrize(("code", "dtype"), [(0x0D, ">f4"), (0x0E, ">f8")])
def test_idx_files_of_floats_are_read(code, dtype, tmp_path, rng):
    x = rng.random((20, 3)).astype(dtype)
    (tmp_path / "x.idx").write_bytes(struct.pack(">BBBB2I", 0, 0, code, 2, *x.shape) + x.tobytes())
    found = load_file(tmp_path / "x.idx")
    rows = np.concatenate([found.x_train, found.x_valid, found.x_test])
    np.testing.assert_allclose(np.sort(rows, axis=0), np.sort(x, axis=0), rtol=1e-6)


def test_a_missing_file_and_labels_of_another_length_are_refused(tmp_path):
    with pytest.raises(FileError, match="which does not exist"):
        load_file(tmp_path / "none.npy")
    np.savez(tmp_path / "t.npz", x=np.random.default_rng(0).random((20, 3)), y=np.arange(19))
    with pytest.raises(ValueError, match=r"y in t.npz must have shape \(20,\), got \(19,\)"):
        load_file(tmp_path / "t.npz")


# --------------------------------------------------------------------------------- folders and downloads


def test_a_corrupted_file_in_the_folder_is_refused(no_folder):
    path = no_folder / "data" / "tabular" / "iris.data"
    path.parent.mkdir(parents=True)
    path.write_text("5.1,3.5,1.4,0.2,Iris-setosa\n")
    with pytest.raises(FileError, match=r"iris.data must have sha256 6f608b71a731\.\.\., got .*truncated or corrupted"):
        load("iris")


TABLE = "".join(f"{i % 7}.{i % 10},{i % 3}.5,1.{i % 5},0.{i % 4},Iris-{'abc'[i % 3]}\n" for i in range(30)).encode()


def test_of_every_five_rows_of_a_table_the_last_is_for_testing_and_one_for_validation(no_folder, monkeypatch):
    path = no_folder / "data" / "tabular" / "iris.data"
    path.parent.mkdir(parents=True)
    path.write_bytes(TABLE)
    point_at(monkeypatch, 0, "nowhere")
    iris = load("iris")
    rows = np.array([line.split(",")[:4] for line in TABLE.decode().split()], float)
    mean, std = iris.scale
    for part, start in (("valid", 3), ("test", 4)):
        np.testing.assert_allclose(getattr(iris, f"x_{part}") * std + mean, rows[start::5], atol=1e-5)
        assert getattr(iris, f"y_{part}").tolist() == [i % 3 for i in range(start, 30, 5)]


class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests += 1
        content = TABLE if self.path == "/good" else b"<html>moved</html>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        running.requests = 0
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def point_at(monkeypatch, port, path):
    file = fetching._Remote("tabular/iris.data", f"http://127.0.0.1:{port}/{path}", hashlib.sha256(TABLE).hexdigest())
    monkeypatch.setitem(fetching.FILES, "iris", file)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_download_is_checked_and_made_once(no_folder, server, monkeypatch):
    pytest.importorskip("pooch")
    point_at(monkeypatch, server.server_port, "good")
    assert load("iris").x_train.shape == (18, 4)
    assert (no_folder / "cache" / "minivae" / "tabular" / "iris.data").read_bytes() == TABLE
    load("iris")
    assert server.requests == 1


def test_a_wrong_download_is_refused_and_not_kept(no_folder, server, monkeypatch):
    pytest.importorskip("pooch")
    point_at(monkeypatch, server.server_port, "other")
    with pytest.raises(FileError, match=r"Downloading http://127.0.0.1:.* failed \(SHA256 hash"):
        load("iris")
    assert not (no_folder / "cache" / "minivae" / "tabular" / "iris.data").exists()


def test_offline_says_where_to_put_the_file(no_folder, server, monkeypatch):
    pytest.importorskip("pooch")
    port = server.server_port
    server.shutdown()
    server.server_close()
    point_at(monkeypatch, port, "good")
    with pytest.raises(FileError) as error:
        load("iris")
    message = str(error.value)
    assert "tabular/iris.data must be in one of the data folders" in message
    assert str(no_folder / "data") in message
    assert "If you are offline, put the file there by hand and set MINIVAE_DATA" in message


def test_without_pooch_the_extra_is_named(no_folder, monkeypatch):  # noqa: ARG001
    monkeypatch.setitem(__import__("sys").modules, "pooch", None)
    with pytest.raises(FileError, match=r'pip install "minivae\[data\]"'):
        load("mnist")


def test_the_published_text_files_of_fixed_mnist_are_read(no_folder, monkeypatch):
    bits = {
        part: np.random.default_rng(i).integers(0, 2, (3, 784)) for i, part in enumerate(("train", "valid", "test"))
    }
    for part, rows in bits.items():
        content = "".join(" ".join(map(str, row)) + "\n" for row in rows).encode()
        name = f"binarized_mnist/binarized_mnist_{part}.amat"
        path = no_folder / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        monkeypatch.setitem(
            fetching.FILES, f"fixed {part}", fetching._Remote(name, "", hashlib.sha256(content).hexdigest())
        )
    fixed = load("mnist-fixed")
    np.testing.assert_array_equal(fixed.x_train, bits["train"])
    np.testing.assert_array_equal(fixed.x_test, bits["test"])
