"""A run says what its numbers mean, and every verb holds what it is given against that; nothing saved is lost."""

import json
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import minivae as mv
from minivae import cli
from minivae.datasets.dataset import Dataset
from minivae.studies import plots
from minivae.training import runs
from minivae.training.loop import train as real_train
from tests.support import assert_within_standard_errors

SMALL = ["--epochs", "2", "--hidden", "4", "--batch-size", "64", "--quiet"]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def trained(x, name="x.npy", *words):
    np.save(name, x)
    assert cli.main(["train", "--data", name, *SMALL, *words, "--out", "run"]) == 0


def elbo(capsys, *words):
    capsys.readouterr()
    code = cli.main(["evaluate", "run", "--draws", "2", "--json", *words])
    result = json.loads(capsys.readouterr().out)
    return (result["rows"][0]["value"], result["settings"]["n_examples"]) if code == 0 else result["error"]


@pytest.mark.parametrize("change", ["appended", "one test row"])
def test_data_that_changed_since_training_are_refused_by_every_verb(change, rng, capsys):
    x = rng.normal(size=(60, 3))
    trained(x)
    assert elbo(capsys)[1] == 6
    if change == "appended":
        other = np.concatenate([x, rng.normal(size=(100, 3))])
    else:
        other = x.copy()
        place = np.random.default_rng(0).permutation(60) % 10
        other[np.flatnonzero(place == 9)[0]] += 1
    np.save("x.npy", other)
    assert "x.npy, which has changed since" in elbo(capsys)
    assert cli.main(["sample", "run", "--out", "s"]) == 1
    assert "has changed since" in capsys.readouterr().err
    assert cli.main(["train", "--resume", "run", "--epochs", "3"]) == 1
    message = capsys.readouterr().err
    assert "has changed since" in message
    assert ("train and valid and test" in message) == (change == "appended")
    np.save("x.npy", x)
    assert elbo(capsys)[1] == 6


def test_other_data_of_another_width_are_refused(rng, capsys):
    trained(rng.normal(size=(60, 4)))
    np.save("narrow.npy", rng.normal(size=(5, 1)))  # which the scale would broadcast to four
    assert "data must have the 4 columns of the run's data, got 1 in narrow.npy" in elbo(capsys, "--data", "narrow.npy")
    assert "got , which does not exist" in elbo(capsys, "--data", "") or "must be one of" in elbo(capsys, "--data", "")


def test_the_test_rows_of_a_dynamic_set_are_drawn_once_with_the_grey_values_as_means():
    grey = np.tile(np.array([0.0, 0.2, 1.0], np.float32), (4000, 1))
    dataset = Dataset("grey", grey, grey, grey, dynamic=True)
    bits = runs.rows_to_test_on(dataset, 0)
    np.testing.assert_array_equal(bits, runs.rows_to_test_on(dataset, 0))
    assert not np.array_equal(bits, runs.rows_to_test_on(dataset, 1))
    np.testing.assert_array_equal(bits[:, [0, 2]], grey[:, [0, 2]])
    assert_within_standard_errors(bits[:, 1], 0.2)
    still = Dataset("grey", grey, grey, grey)
    np.testing.assert_array_equal(runs.rows_to_test_on(still, 0), grey)


def test_rows_of_another_file_are_scaled_as_the_run_was(rng):
    trained(rng.normal([3.0, -2.0, 0.0], [1.0, 5.0, 0.1], (60, 3)))
    run, other = runs.open_run("run"), rng.normal(size=(7, 3))
    np.save("other.npy", other)
    mean, std = run.dataset().scale
    np.testing.assert_allclose(runs.foreign_rows(run, run.dataset(), "other.npy") * std + mean, other, rtol=1e-9)


def test_the_runs_own_scale_holds_for_every_source(data_folder, capsys):
    iris = mv.load("iris")
    rows = np.concatenate([iris.x_train, iris.x_valid, iris.x_test]) * iris.scale[1] + iris.scale[0]
    trained(rows[::-1])  # another order, so that another scale than that of the named set
    np.save("test.npy", iris.x_test * iris.scale[1] + iris.scale[0])
    by_name, by_file = elbo(capsys, "--data", "iris"), elbo(capsys, "--data", "test.npy")
    assert by_name[1] == by_file[1] == 30
    assert abs(by_name[0] - by_file[0]) < 1e-4
    assert data_folder.is_dir()


@pytest.mark.parametrize("kind", ["uint8", "float"])
def test_the_same_pixels_have_one_elbo_or_none(kind, rng, capsys):
    pixels = rng.integers(0, 256, (60, 9)).astype(np.uint8)
    trained(pixels if kind == "uint8" else pixels.astype(np.float32), "x.npy", "--likelihood", "gaussian")
    np.save("bytes.npy", pixels[:8])
    np.save("floats.npy", pixels[:8].astype(np.float32))
    by_bytes, by_floats = elbo(capsys, "--data", "bytes.npy"), elbo(capsys, "--data", "floats.npy")
    if kind == "uint8":
        assert "must lie in [0, 1] as the images that the model was trained on do" in by_floats
        np.save("units.npy", pixels[:8] / np.float32(255))
        by_floats = elbo(capsys, "--data", "units.npy")
    assert by_bytes == by_floats


def test_masked_arrays_are_refused_and_not_unmasked(rng):
    model = mv.VAE.mlp(3, 1, [4], likelihood=mv.Gaussian())
    params = model.init(rng)
    x = np.ma.masked_greater(rng.normal(size=(20, 3)), 1.0)
    for call in (
        lambda: model.elbo(params, x, rng=rng),
        lambda: mv.log_marginal(model, params, x, 5, rng),
        lambda: mv.train(model, x, settings=mv.Settings(epochs=1)),
        lambda: mv.PCA(1).fit(x),
    ):
        with pytest.raises(ValueError, match="must be an array without a mask, got a masked array"):
            call()


def test_log_p_is_right_where_the_first_draws_have_no_weight(rng, monkeypatch):
    weights = np.array([[-np.inf, -np.inf], [-np.inf, -np.inf], [0.0, -np.inf], [1.0, -np.inf]])
    given = iter(weights[:, None])
    monkeypatch.setattr("minivae.models.bounds.DRAWS_AT_ONCE", 1)
    monkeypatch.setattr("minivae.models.bounds._log_weights", lambda *_: next(given))
    model = mv.VAE.mlp(3, 1, [4])
    with np.errstate(all="raise", over="ignore"):  # else the second example is spoken of
        found = mv.log_marginal(model, model.init(rng), np.ones((2, 3)), 4, rng)
    np.testing.assert_allclose(found.log_p, [np.log((1 + np.e) / 4), -np.inf], rtol=1e-14)
    np.testing.assert_allclose(found.ess, [(1 + np.e) ** 2 / (1 + np.e**2), 0], rtol=1e-14)


def test_what_would_destroy_or_mislead_is_refused(rng):
    model = mv.VAE.mlp(3, 1, [4])
    params = model.init(rng)
    before = params.copy()
    with pytest.raises(ValueError, match="grads must be memory of its own"):
        model.loss_and_grad(params, np.ones((2, 3)), rng.normal(size=(1, 2, 1)), params)
    np.testing.assert_array_equal(params, before)
    with pytest.raises(ValueError, match="dtype must be float32 or float64, got None"):
        mv.Settings(dtype=None)
    for x in (np.array([[1.5]]), np.array([[-0.1]]), np.array([[np.nan]])):
        with pytest.raises(ValueError, match=r"x must (lie in \[0, 1\]|be finite)"):
            mv.training.binarize(x, rng)
    with pytest.raises(ValueError, match="on_epoch must be a function, got 3"):
        mv.train(model, np.ones((4, 3)), settings=mv.Settings(epochs=1, batch_size=2), on_epoch=3)


@pytest.mark.parametrize(
    "rule", [mv.Adam(beta1=1 - 1e-12), mv.Adam(beta2=1 - 1e-12), mv.Adam(eps=1e-60), mv.nn.RMSprop(decay=1 - 1e-12)]
)
def test_constants_that_float32_rounds_away_are_refused(rule):
    rule.init(np.zeros(3))
    with pytest.raises(ValueError, match="in the parameters' dtype float32, got .*, which that rounds to"):
        rule.init(np.zeros(3, np.float32))


def test_a_callback_cannot_change_the_data_that_are_trained_on(rng):
    x, model = (rng.random((40, 3)) < 0.5).astype(np.float32), mv.VAE.mlp(3, 1, [4])
    settings = mv.Settings(epochs=3, batch_size=16)
    undisturbed = mv.train(model, x.copy(), settings=settings).params

    def spoil(_):
        x[:] = 1

    np.testing.assert_array_equal(mv.train(model, x, settings=settings, on_epoch=spoil).params, undisturbed)


@pytest.mark.parametrize("words", [["--decay", "0.5"], ["--model", "sparse", "--sparsity", "l1", "--target", "0.1"]])
def test_options_that_need_another_are_refused_without_it(words, capsys):
    assert cli.main(["train", *SMALL, *words]) == 1
    assert "got" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_what_could_not_be_loaded_is_not_written_over_what_can(rng, tmp_path):
    model, path = mv.VAE.mlp(3, 1, [4]), tmp_path / "m.npz"
    params = model.init(rng)
    mv.save_model(path, model, params)
    good = path.read_bytes()
    result = mv.train(model, np.ones((4, 3)), settings=mv.Settings(epochs=1, batch_size=2))
    for wrong_model, wrong in [
        (result, params),
        (model, params[:-1]),
        (model, np.full_like(params, np.nan)),
        (model, params[None]),
        (model, params.astype(int)),
    ]:
        with pytest.raises(ValueError, match="must"):
            mv.save_model(path, wrong_model, wrong)
        assert path.read_bytes() == good


def test_a_run_is_trained_by_one_process_at_a_time_and_a_killed_one_leaves_no_lock(rng, capsys):
    trained(rng.normal(size=(60, 3)))
    code = (
        "import time; from pathlib import Path; from minivae.training import runs\n"
        "with runs.locked(Path('run')): print('locked', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "locked\n"
    history = Path("run/history.csv").read_bytes()
    assert cli.main(["train", "--resume", "run", "--epochs", "5", "--quiet"]) == 1
    assert "run must be trained by one process at a time" in capsys.readouterr().err
    assert Path("run/history.csv").read_bytes() == history
    other.kill()
    other.communicate()
    assert cli.main(["train", "--resume", "run", "--epochs", "5", "--quiet"]) == 0


def test_no_two_are_given_the_same_new_folder():
    found, start = [], threading.Barrier(16)

    def ask():
        start.wait()
        found.extend(runs.new_folder(None, "x") for _ in range(8))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == len(found) == 128


def test_a_folder_that_is_moved_while_training_is_whole_again_afterwards(rng, capsys, monkeypatch):
    def moved(*args, **how):
        result = real_train(*args, **how)
        shutil.move("run", "elsewhere")
        return result

    monkeypatch.setattr("minivae.cli.train.train", moved)
    trained(rng.normal(size=(60, 3)))
    assert elbo(capsys)[1] == 6


def test_results_are_there_before_the_figures(rng, monkeypatch):
    def broken(*_):
        raise RuntimeError("no backend")

    monkeypatch.setattr("minivae.studies.results.figures", broken)
    np.save("x.npy", rng.normal(size=(60, 3)))
    with pytest.raises(RuntimeError, match="no backend"):
        cli.main(["train", "--data", "x.npy", *SMALL, "--out", "run"])
    assert json.loads(Path("run/summary.json").read_text())["test"][0]["quantity"] == "elbo"
    assert Path("run/model.npz").is_file()


def test_a_figure_is_whole_under_its_name_or_not_there(tmp_path):
    figure = plots.figure_of(2, 2)
    path = tmp_path / "a.png"
    plots.save(figure, path)
    good = path.read_bytes()

    def dies(file, **_):
        file.write(b"half")
        raise OSError("disk full")

    figure.savefig = dies
    with pytest.raises(OSError, match="disk full"):
        plots.save(figure, path)
    assert path.read_bytes() == good
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
