"""Files: what is written comes back, damage is named, and a crash leaves the old file whole."""

import json
import os

import numpy as np
import pytest

from minivae.core import files as storage
from minivae.core.errors import FileError
from minivae.core.files import write_atomically
from minivae.core.registry import differences, from_spec, to_spec
from minivae.distributions.likelihoods import Gaussian, GaussianPerPixel
from minivae.models.autoencoder import Autoencoder
from minivae.models.contraction import Contraction
from minivae.models.corruptions import GaussianNoise, MaskingNoise, SaltAndPepperNoise
from minivae.models.penalties import KLSparsity, L1Sparsity
from minivae.models.vae import VAE
from minivae.nn.optim import Adam, StepDecay
from minivae.training.settings import Settings
from minivae.training.storage import load_model, save_model
from tests.own_boxes import owning_bits, owning_vae

MODELS = [
    VAE.mlp(4, 2, [5, 3], "elu"),
    VAE.mlp(4, 1, [], likelihood=Gaussian(0.3, learned=True)),
    VAE.mlp(4, 3, [6], "softplus", GaussianPerPixel()),
    VAE.mlp(4, 3, [5], posterior="bits"),
    owning_vae(4, 2),
    owning_bits(4, 2),
    Autoencoder.mlp(4, 2, [5], "sigmoid"),
    Autoencoder.mlp(4, 2, [5], corruption=GaussianNoise(0.2), penalty=Contraction(0.5)),
    Autoencoder.mlp(4, 2, [5], corruption=MaskingNoise(0.2), penalty=KLSparsity(0.1, 3.0)),
    Autoencoder.mlp(4, 2, [5], corruption=SaltAndPepperNoise(0.2, -1.0, 2.0), penalty=L1Sparsity(0.5)),
]


@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_model_comes_back_equal(model, dtype, tmp_path, rng):
    params = model.init(rng, dtype)
    save_model(tmp_path / "m.npz", model, params, note="x")
    again, values, extra = load_model(tmp_path / "m.npz")
    assert again == model
    assert extra == {"note": "x"}
    assert values.dtype == dtype
    np.testing.assert_array_equal(values, params)


@pytest.mark.parametrize("model", [MODELS[0], VAE.mlp(4, 3, [5], posterior="bits")], ids=["normal", "bits"])
def test_a_file_from_before_priors_and_posteriors_had_parameters_is_read(model, tmp_path, rng):
    # such a file named no prior, and a model with bits was a class of its own
    spec = to_spec(model)
    del spec["prior"]
    if spec["posterior"]["class"] == "Bits":
        del spec["posterior"]
        spec |= {"class": "BernoulliVAE", "estimator": "score"}
    params = model.init(rng, np.float32)
    storage.save_arrays(tmp_path / "m.npz", {"kind": "model", "model": spec, "extra": {"n": 1}}, {"params": params})
    again, values, extra = load_model(tmp_path / "m.npz")
    assert again == model
    assert extra == {"n": 1}
    np.testing.assert_array_equal(values, params)


def test_specs_survive_json():
    for thing in (*MODELS, Adam(0.5), StepDecay((1, 2), 0.3)):
        assert from_spec(json.loads(json.dumps(to_spec(thing)))) == thing
    json.dumps(to_spec(Settings()))


def test_an_unknown_class_is_refused():
    with pytest.raises(ValueError, match="class must be one that can be saved, got 'Eval'"):
        from_spec({"class": "Eval", "code": "1"})


@pytest.fixture
def saved(tmp_path, rng):
    path = tmp_path / "m.npz"
    save_model(path, MODELS[0], MODELS[0].init(rng))
    return path


@pytest.mark.parametrize("keep", [0, 10, 200, -30])
def test_a_truncated_file_is_refused(saved, keep):
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(FileError, match="must name an intact model file, got .*damaged or of another kind"):
        load_model(saved)


def test_every_flipped_byte_is_noticed_or_harmless(tmp_path, rng):
    # a zip archive has a checksum for each member, so that no wrong number can come out
    saved, small = tmp_path / "m.npz", VAE.mlp(1, 1, [])
    save_model(saved, small, small.init(rng))
    good, content = load_model(saved), saved.read_bytes()
    for place in range(len(content)):
        broken = bytearray(content)
        broken[place] ^= 0xFF
        saved.write_bytes(bytes(broken))
        try:
            model, params, _ = load_model(saved)
        except FileError:
            continue
        assert model == good[0]
        np.testing.assert_array_equal(params, good[1])


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text.npz").write_text("hello")
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    np.savez(tmp_path / "objects.npz", header=np.array([{}], dtype=object))
    for name in ("text.npz", "other.npz", "objects.npz"):
        with pytest.raises(FileError, match="must name an intact model file"):
            load_model(tmp_path / name)
    with pytest.raises(FileError, match="which does not exist"):
        load_model(tmp_path / "none.npz")


def test_a_checkpoint_is_not_a_model(tmp_path):
    storage.save_arrays(tmp_path / "c.npz", {"kind": "checkpoint"}, {})
    with pytest.raises(FileError, match="must name a model file of format 1, got .*a checkpoint file"):
        load_model(tmp_path / "c.npz")


def test_parameters_of_another_model_are_refused(tmp_path):
    file, message = tmp_path / "m.npz", rf"params must have shape \({MODELS[0].n_params},\), got \(3,\)"
    with pytest.raises(ValueError, match=message):
        save_model(file, MODELS[0], np.zeros(3))
    with pytest.raises(ValueError, match="params must be finite, got 1 NaN or infinite values"):
        save_model(file, MODELS[0], np.where(np.arange(MODELS[0].n_params) == 3, np.nan, 0.0))
    with pytest.raises(ValueError, match="model must be a model, got Adam"):
        save_model(file, Adam(), np.zeros(3))
    assert not file.exists()
    storage.save_arrays(file, {"kind": "model", "model": to_spec(MODELS[0]), "extra": {}}, {"params": np.zeros(3)})
    with pytest.raises(FileError, match=message):
        load_model(file)


@pytest.mark.parametrize(
    ("header", "params"),
    [
        ({}, np.zeros(3)),
        ({"model": {"class": "Adam"}, "extra": {}}, np.zeros(3)),
        ({"model": {"class": ["VAE"]}, "extra": {}}, np.zeros(3)),
        ({"model": {"class": "VAE", "colour": 1}, "extra": {}}, np.zeros(3)),
        ({"model": to_spec(MODELS[0]), "extra": {}}, np.full(MODELS[0].n_params, np.nan)),
        ({"model": to_spec(MODELS[0]), "extra": {}}, np.zeros(MODELS[0].n_params, np.float16)),
    ],
)
def test_intact_files_with_wrong_content_are_refused(header, params, tmp_path):
    storage.save_arrays(tmp_path / "m.npz", {"kind": "model", **header}, {"params": params})
    with pytest.raises(FileError, match="must hold a model and its parameters"):
        load_model(tmp_path / "m.npz")


def test_a_crash_while_writing_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def crash(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(FileError, match="file must be written, got disk full. Make room"):
        write_atomically(path, b"new content")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_differences_name_the_fields():
    a, b = to_spec(VAE.mlp(4, 2, [5])), to_spec(VAE.mlp(4, 2, [6]))
    assert differences(a, b)[0] == "encoder.layers[0].n_out: 5 -> 6"
    assert differences(a, a) == []
