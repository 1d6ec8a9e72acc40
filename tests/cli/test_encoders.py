"""``--encoder`` and sequences at the command line: what each kind is built of, its figures, what it is not for."""

import json
from pathlib import Path

import numpy as np
import pytest

from minivae import cli
from minivae.distributions import Bernoulli, EachStep, Gaussian
from minivae.nn import GRU, LSTM, RNN, Conv2d, ConvTranspose2d, Dense, Steps
from minivae.training.storage import load_model

QUICK = ["--epochs", "1", "--batch-size", "512", "--quiet"]

LONG = [("lstm", LSTM), ("rnn", RNN)]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def own(rng):
    x, lengths = rng.standard_normal((40, 6, 2)), rng.integers(1, 7, 40)
    x[np.arange(6) >= lengths[:, None]] = np.nan  # beyond its length a row may hold anything
    np.savez("own.npz", x=x, lengths=lengths)
    np.save("plain.npy", rng.standard_normal((40, 6, 2)))
    return lengths


def kinds(net):
    return [type(layer) for layer in net.layers]


def trained(*words):
    assert cli.main(["train", *words, *QUICK, "--out", "run"]) == 0
    return load_model("run/model.npz")[0]


def test_convolutions_halve_the_digits_and_the_decoder_mirrors_them():
    model = trained("--data", "digits-threshold", "--encoder", "conv", "--hidden", "3", "4", "--activation", "tanh")
    assert [layer for layer in kinds(model.encoder) if layer in (Conv2d, Dense)] == [Conv2d, Conv2d, Dense]
    assert [layer for layer in kinds(model.decoder) if layer in (ConvTranspose2d, Dense)] == [
        *[Dense, ConvTranspose2d, ConvTranspose2d]
    ]
    assert [layer.channels for layer in model.encoder.layers[:3:2]] == [3, 4]
    assert model.encoder.layers[0].shape == (1, 8, 8)
    assert model.encoder.layers[2].out_shape == (4, 2, 2)
    assert (Path("run/figures") / "reconstructions.png").is_file()


@pytest.mark.parametrize(
    ("name", "cell"),
    [("gru", GRU), *(pytest.param(*x, marks=pytest.mark.long) for x in LONG)],
)
def test_recurrent_networks_read_the_digits_row_by_row(name, cell):
    model = trained("--data", "digits-threshold", "--encoder", name, "--hidden", "5")
    assert model.encoder.layers[0] == cell(8, 8, 5)
    assert kinds(model.decoder)[1:] == [cell, Steps]
    assert model.likelihood == EachStep(Bernoulli(), 8, 8)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["dense", "gru"])
def test_sequences_of_ones_own_with_lengths(kind, own, capsys):
    model = trained("--data", "own.npz", "--encoder", kind, "--hidden", "5")
    assert model.n_x == 13
    assert (model.likelihood.n_steps, model.likelihood.n_features, model.likelihood.ragged) == (6, 2, True)
    assert isinstance(model.likelihood.likelihood, Gaussian)
    for words in (["evaluate", "run", "--draws", "2"], ["sample", "run", "-n", "5", "--out", "drawn"]):
        capsys.readouterr()
        assert cli.main([*words, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["ok"]
    drawn = np.load("drawn/samples.npy")
    assert drawn.shape == (5, 13)
    assert (drawn[:, -1] == 6).all()  # samples run to the end
    assert (Path("drawn") / "reconstructions.png").is_file()
    assert len(own) == 40


def test_sequences_without_lengths_keep_their_steps(own):  # noqa: ARG001
    model = trained("--data", "plain.npy", "--encoder", "lstm", "--hidden", "4", "--model", "ae")
    assert model.encoder.layers[0] == LSTM(6, 2, 4)


@pytest.mark.long
def test_a_run_goes_on_where_it_stopped(own):  # noqa: ARG001
    words = ["--data", "own.npz", "--encoder", "gru", "--hidden", "4", "--quiet"]
    assert cli.main(["train", *words, "--epochs", "2", "--out", "whole"]) == 0
    assert cli.main(["train", *words, "--epochs", "1", "--out", "run"]) == 0
    assert cli.main(["train", "--resume", "run", "--epochs", "2", "--quiet"]) == 0
    one, two = (load_model(f"{name}/model.npz")[1] for name in ("whole", "run"))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "digits", "--encoder", "cnn"], "encoder must be one of dense, conv, gru, lstm, rnn"),
        (["--data", "sines", "--encoder", "conv"], "--encoder conv is for images, got sines, which holds sequences"),
        (["--data", "own.npz", "--encoder", "conv"], "which holds sequences. Choose --encoder gru"),
        (["--data", "table.npy", "--encoder", "conv"], "whose image shape is not known. Say it with --image-shape"),
        (["--data", "table.npy", "--encoder", "gru"], "--encoder gru is for sequences, or images row by row"),
        (["--encoder", "gru", "--activation", "relu"], "--activation must be left away with --encoder gru"),
        (["--encoder", "rnn", "--hidden", "3", "4"], "--hidden must be one number with --encoder rnn"),
        (["--encoder", "conv", "--hidden", *["8"] * 6, "--latent", "0"], "n_latent must be"),
        (["--encoder", "conv", "--model", "belief"], "got belief with --encoder conv"),
        (["--data", "own.npz", "--model", "belief"], "got belief with --encoder dense and data own.npz"),
        (["--data", "own.npz", "--image-shape", "6x2"], "image_shape must be left away for sequences, got 6 x 2"),
    ],
)
def test_what_does_not_go_together_is_refused_and_leaves_nothing(words, message, own, rng, capsys):  # noqa: ARG001
    np.save("table.npy", rng.standard_normal((20, 5)))
    assert cli.main(["train", *words, *QUICK, "--out", "run"]) == 1
    assert message in capsys.readouterr().err
    assert not Path("run").exists()
