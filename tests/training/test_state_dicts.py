"""A state dict in a safetensors file: other readers read it, a PyTorch module loaded with it has the same ELBO."""

import json
import struct

import numpy as np
import pytest

import minivae as mv
from minivae import cli
from minivae.core.errors import FileError
from minivae.core.safetensors import load_safetensors, save_safetensors, to_safetensors
from minivae.training.state_dicts import load_state_dict, save_state_dict
from tests.support import binary

MODELS = {
    "bernoulli": mv.VAE.mlp(6, 2, [5, 4], "tanh"),
    "gaussian-learned": mv.VAE.mlp(6, 2, [5], "relu", "gaussian-learned"),
    "flow and mixture": mv.VAE.mlp(6, 2, [5], posterior="iaf", prior="mixture", n_components=3),
    "bits": mv.VAE.mlp(6, 3, [5], posterior="bits"),
    "autoencoder": mv.Autoencoder.mlp(6, 2, [5]),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", MODELS)
def test_what_is_written_comes_back(name, dtype, tmp_path, rng):
    model = MODELS[name]
    params = model.init(rng, dtype)
    save_state_dict(tmp_path / "m.safetensors", model, params)
    for given in (None, model):
        again, values = load_state_dict(tmp_path / "m.safetensors", given)
        assert again == model
        assert values.dtype == dtype
        np.testing.assert_array_equal(values, params)


def test_the_reference_reader_reads_what_we_write_and_we_what_it_writes(tmp_path, rng):
    reference = pytest.importorskip("safetensors.numpy")
    model = MODELS["gaussian-learned"]
    params = model.init(rng, np.float32)
    save_state_dict(tmp_path / "m.safetensors", model, params)
    theirs = reference.load_file(tmp_path / "m.safetensors")
    named = dict(model.named(params))
    assert theirs.keys() == named.keys()
    np.testing.assert_array_equal(theirs["encoder.0.weight"], named["encoder.0.weight"].T)
    np.testing.assert_array_equal(theirs["decoder.2.bias"], named["decoder.2.bias"])
    reference.save_file({k: np.ascontiguousarray(v) for k, v in theirs.items()}, tmp_path / "t.safetensors")
    _, values = load_state_dict(tmp_path / "t.safetensors", model)
    np.testing.assert_array_equal(values, params)
    with pytest.raises(FileError, match="which minivae did not write"):
        load_state_dict(tmp_path / "t.safetensors")


def test_a_modules_algebra_on_the_file_has_the_same_elbo(tmp_path, rng):
    # y = x A^T + b in each linear layer, as nn.Linear has it; no function of minivae but the reader of bytes
    model, x, eps = MODELS["bernoulli"], binary(rng, 20, 6), rng.standard_normal((1, 20, 2))
    params = model.init(rng)
    params += 0.3 * rng.standard_normal(params.shape)
    save_state_dict(tmp_path / "m.safetensors", model, params)
    s, _ = load_safetensors(tmp_path / "m.safetensors")

    def net(box, h):
        for i in (0, 2, 4):
            h = h @ s[f"{box}.{i}.weight"].T + s[f"{box}.{i}.bias"]
            h = np.tanh(h) if i < 4 else h
        return h

    mu, log_var = np.split(net("encoder", x), 2, axis=1)
    logits = net("decoder", mu + np.exp(log_var / 2) * eps[0])
    log_lik = np.sum(x * logits - np.logaddexp(0, logits), axis=1)
    kl = 0.5 * np.sum(mu**2 + np.exp(log_var) - log_var - 1, axis=1)
    np.testing.assert_allclose(model.elbo(params, x, eps=eps), log_lik - kl, rtol=1e-12)


def test_a_pytorch_module_of_ten_lines_has_the_same_elbo(tmp_path, rng):
    torch = pytest.importorskip("torch")
    load_file = pytest.importorskip("safetensors.torch").load_file
    nn = torch.nn

    class Vae(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 4))
            self.decoder = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 6))

        def forward(self, x, eps):
            mu, log_var = self.encoder(x).chunk(2, dim=1)
            logits = self.decoder(mu + (log_var / 2).exp() * eps)
            log_lik = -nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
            return log_lik - 0.5 * (mu**2 + log_var.exp() - log_var - 1).sum(1)

    model, x, eps = MODELS["bernoulli"], binary(rng, 20, 6).astype(np.float32), rng.standard_normal((1, 20, 2))
    eps = eps.astype(np.float32)
    params = model.init(rng, np.float32)
    save_state_dict(tmp_path / "m.safetensors", model, params)
    module = Vae()
    module.load_state_dict(load_file(tmp_path / "m.safetensors"))
    with torch.no_grad():
        theirs = module(torch.from_numpy(x), torch.from_numpy(eps[0])).numpy()
    np.testing.assert_allclose(model.elbo(params, x, eps=eps), theirs, atol=1e-5)


def test_a_file_runs_no_code_and_says_what_it_is(tmp_path, rng):
    model = MODELS["bernoulli"]
    save_state_dict(tmp_path / "m.safetensors", model, model.init(rng, np.float32))
    content = (tmp_path / "m.safetensors").read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    assert length % 8 == 0
    assert header["__metadata__"]["format"] == "pt"
    assert header["encoder.0.weight"] == {"dtype": "F32", "shape": [5, 6], "data_offsets": [0, 120]}
    assert len(content) == 8 + length + 4 * model.n_params


def framed(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "promises more bytes"),
        (b"\xff" * 8, "promises more bytes"),
        (framed(b"{}")[:9], "promises more bytes"),
        (framed(b"[]"), "damaged"),
        (framed(b"nil"), "damaged"),
        (framed({"w": ENTRY}, b"1234567"), "w does not lie where"),
        (framed({"w": ENTRY}, b"123456789"), "more bytes follow"),
        (framed({"w": ENTRY | {"data_offsets": [4, 12]}}, b"1" * 12), "w does not lie where"),
        (framed({"w": ENTRY, "v": ENTRY}, b"1" * 8), "does not lie where"),
        (framed({"w": ENTRY | {"shape": [3]}}, b"1" * 8), "w does not lie where"),
        (framed({"w": ENTRY | {"shape": [-2]}}, b"1" * 8), "w has the shape"),
        (framed({"w": ENTRY | {"shape": [True, 2]}}, b"1" * 8), "w has the shape"),
        (framed({"w": ENTRY | {"dtype": "I64", "shape": [1]}}, b"1" * 8), "w is of dtype I64"),
        (framed({"w": {}}), "lacks 'data_offsets'"),
        (framed({"__metadata__": {"a": 1}}), "metadata are no texts"),
    ],
)
def test_damage_is_refused_in_words(content, words, tmp_path):
    (tmp_path / "m.safetensors").write_bytes(content)
    with pytest.raises(FileError, match=words):
        load_safetensors(tmp_path / "m.safetensors")


def test_arrays_of_another_model_are_refused(tmp_path, rng):
    model, other = MODELS["bernoulli"], MODELS["gaussian-learned"]
    path = tmp_path / "m.safetensors"
    save_state_dict(path, model, model.init(rng))
    with pytest.raises(FileError, match="which lacks likelihood.log_var"):
        load_state_dict(path, other)
    save_state_dict(path, other, other.init(rng))
    with pytest.raises(FileError, match="which also has likelihood.log_var"):
        load_state_dict(path, mv.VAE.mlp(6, 2, [5]))
    with pytest.raises(FileError, match=r"whose encoder.0.weight has the shape \(5, 6\) in place of \(7, 6\)"):
        load_state_dict(path, mv.VAE.mlp(6, 2, [7], likelihood="gaussian-learned"))
    arrays, metadata = load_safetensors(path)
    save_safetensors(path, arrays | {"encoder.0.bias": arrays["encoder.0.bias"].astype(np.float32)}, metadata)
    with pytest.raises(FileError, match="arrays of one dtype"):
        load_state_dict(path)
    save_safetensors(path, arrays | {"encoder.0.bias": arrays["encoder.0.bias"] * np.nan}, metadata)
    with pytest.raises(FileError, match="params must be finite"):
        load_state_dict(path)
    path.write_bytes(to_safetensors(arrays, {"model": "{}"}))
    with pytest.raises(FileError, match="must name a file that knows its model"):
        load_state_dict(path)


def test_a_run_goes_out_and_comes_back(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("minivae.studies.results.figures", lambda *_: [])
    words = ["--epochs", "1", "--hidden", "4", "--data", "digits-threshold", "--quiet", "--out", "run"]
    assert cli.main(["train", *words]) == 0
    assert cli.main(["export", "run", "--out", "m.safetensors"]) == 0
    assert "encoder.0.weight  4 x 64" in capsys.readouterr().out
    assert cli.main(["import", "m.safetensors", "--run", "run", "--out", "again"]) == 0
    np.testing.assert_array_equal(mv.load_model("run/model.npz")[1], mv.load_model("again/model.npz")[1])
    capsys.readouterr()
    said = []
    for folder in ("run", "again"):
        assert cli.main(["evaluate", folder, "--draws", "2", "--examples", "20", "--json"]) == 0
        said.append(json.loads(capsys.readouterr().out)["rows"])
    assert said[0] == said[1]
