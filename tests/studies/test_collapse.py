"""The report on collapse: known information, its bounds, and latents that are told apart."""

import json
import sys

import numpy as np
import pytest

from minivae import cli
from minivae.distributions import MixtureOfGaussians
from minivae.estimators import Elbo
from minivae.models.vae import VAE
from minivae.studies.collapse import Collapse, collapse, mutual_information, variance_histogram
from minivae.studies.one_bit import one_bit_data, one_bit_loss, train_one_bit
from tests.support import binary, small_vae


def gaussian_channel(n_latent, scale, log_var, dead=()):
    """Return a linear VAE with q(z|x) = N(scale x, exp(log_var)), but for dead latents, which are N(0, 1)."""
    model = VAE.mlp(n_latent, n_latent, [], likelihood="gaussian")
    params = np.zeros(model.n_params)
    parts = dict(model.named(params))
    alive = np.array([j not in dead for j in range(n_latent)])
    parts["encoder.0.weight"][:, :n_latent] = np.diag(scale * alive)
    parts["encoder.0.bias"][n_latent:] = log_var * alive
    return model, params


def test_the_information_of_a_gaussian_channel(rng):
    # z = a x + s e with x ~ N(0, 1): I = 1/2 log(1 + a^2 / s^2); with so many rows the bias is small
    model, params = gaussian_channel(1, 1.0, 0.0)
    found = mutual_information(model, params, rng.standard_normal((1000, 1)), rng)
    error = found.std(ddof=1) / np.sqrt(len(found))
    assert abs(found.mean() - 0.5 * np.log(2)) < 5 * error


def test_it_is_the_exact_information_of_the_rows_in_expectation(rng):
    # of two rows: a mixture of two Gaussians, whose information is an integral
    model, params = gaussian_channel(1, 1.0, 0.0)
    x = np.array([[-1.0], [1.0]])
    z = np.linspace(-12, 12, 4001)
    each = np.exp(-0.5 * (z[None] - x) ** 2) / np.sqrt(2 * np.pi)
    mean = each.mean(axis=0)
    exact = np.mean(np.sum(each * np.log(each / mean), axis=1)) * (z[1] - z[0])
    values = np.array([mutual_information(model, params, x, rng).mean() for _ in range(4000)])
    assert abs(values.mean() - exact) < 5 * values.std(ddof=1) / np.sqrt(len(values))


@pytest.mark.parametrize("posterior", ["diagonal", "bits"])
def test_it_is_never_above_log_n_and_zero_where_rows_are_alike(posterior, rng):
    model = VAE.mlp(4, 2, [5], "tanh", posterior=posterior)
    params = 20 * model.init(rng)
    found = mutual_information(model, params, binary(rng, 300), rng)
    assert found.max() <= np.log(300) + 1e-12
    alike = mutual_information(model, params, np.ones((300, 4)), rng)
    np.testing.assert_allclose(alike, 0, atol=1e-9)


def test_far_apart_codes_say_log_n(rng):
    model, params = gaussian_channel(1, 1e4, 0.0)
    found = mutual_information(model, params, np.arange(50.0)[:, None], rng)
    np.testing.assert_allclose(found, np.log(50), rtol=1e-9)


def test_the_chunks_of_pairs_change_nothing(monkeypatch, rng):
    model, params = small_vae(rng)
    x = binary(rng, 30)
    whole = mutual_information(model, params, x, np.random.default_rng(0))
    monkeypatch.setattr(sys.modules[collapse.__module__], "_PAIRS_AT_ONCE", 70)
    np.testing.assert_allclose(mutual_information(model, params, x, np.random.default_rng(0)), whole, rtol=1e-12)


def test_dead_latents_are_told(rng):
    model, params = gaussian_channel(4, 1.0, -1.0, dead=(1, 3))
    found = collapse(model, params, rng.standard_normal((400, 4)))
    assert found.collapsed == [2, 4]
    assert found.verdict.startswith("2 of 4 latents are active; collapsed: 2, 4 (active: the variance of the")
    np.testing.assert_allclose(found.kl[[1, 3]], 0, atol=1e-12)
    assert (found.kl[[0, 2]] > 0.3).all()
    # the KL is what z says of x and how far the codes are from the prior: both parts are there
    assert found.rows[0]["value"] + found.rows[1]["value"] == pytest.approx(found.rate)


def test_the_limit_is_a_hundredth_of_variance():
    report = Collapse(np.array([0.01, 0.0101, 0.0]), None, 1.0, np.zeros(5))
    assert report.collapsed == [1, 3]
    assert "the KL has no part for each latent under this posterior and prior" in report.verdict
    assert "all 1" not in Collapse(np.array([0.0]), None, 0.0, np.zeros(5)).verdict
    words = {
        "all 2 latents have collapsed: the posterior is the same for every x. See --beta-warmup": [0.0, 0.0],
        "all 2 latents are active (": [1.0, 1.0],
        "the latent has collapsed: ": [0.0],
        "the latent is active (": [1.0],
    }
    for begin, variances in words.items():
        assert Collapse(np.array(variances), np.zeros(1), 0.0, np.zeros(5)).verdict.startswith(begin)


def test_under_a_mixture_no_kl_of_a_latent_is_given(rng):
    model = VAE.mlp(4, 2, [5], "tanh", prior=MixtureOfGaussians(2, 3))
    found = collapse(model, model.init(rng), binary(rng, 50))
    assert found.kl is None
    assert np.isfinite(found.rate)


def test_one_bit_is_worth_log_2():
    model, params, _ = train_one_bit(10)
    x = np.tile(one_bit_data(10), (200, 1))
    found = collapse(model, params, x)
    assert found.information.mean() == pytest.approx(np.log(2), abs=0.05)
    assert found.collapsed == []


def test_what_collapses_comes_back_with_free_bits():
    # at beta = n the latent had better say nothing; with half a nat for free it says just so much, at an exact loss
    x, rho = one_bit_data(2), np.sqrt(np.e - 1)  # 1/2 log(1 + rho^2) = 1/2
    model, params, loss = train_one_bit(2, Elbo(beta=2.0))
    assert loss == pytest.approx(2 * np.log(2), abs=1e-3)
    model, params, loss = train_one_bit(2, Elbo(beta=2.0, free_bits=0.5))
    least = float(one_bit_loss(2, rho, 0.0)) + 2.0 * 0.5
    assert least - 1e-6 < loss < least + 0.05  # the loss has a kink there, in front of which L-BFGS may stop
    assert collapse(model, params, x).kl == pytest.approx([0.5], abs=0.05)


def test_evaluate_reports_and_draws(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["--epochs", "2", "--hidden", "8", "--batch-size", "512", "--quiet"]
    assert cli.main(["train", *words, "--latent", "3", "--out", "run"]) == 0
    capsys.readouterr()
    assert cli.main(["evaluate", "run", "--draws", "8", "--examples", "100", "--out", "seen", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert "active" in json.dumps(answer["settings"]["latents"])
    assert (tmp_path / "seen" / "active_latents.png").is_file()
    names = [row["quantity"] for row in answer["rows"]]
    assert names[-2].startswith("I(x; z), of 100 rows, at most log 100 = 4.61")
    assert cli.main(["evaluate", "run", "--draws", "8", "--examples", "100"]) == 0
    assert "active: the variance of the posterior mean is above 0.01" in capsys.readouterr().out
    assert cli.main(["train", *words, "--model", "ae", "--out", "ae"]) == 0
    assert cli.main(["evaluate", "ae", "--out", "nothing"]) == 1
    assert "--out is for the latents of a model whose code is a distribution, got it with Autoencoder" in (
        capsys.readouterr().err
    )
    assert not (tmp_path / "nothing").exists()


def test_the_histogram_counts_every_latent():
    figure = variance_histogram(np.array([0.0, 1e-4, 0.5, 0.8, 30.0]))
    (axes,) = figure.axes
    assert sum(patch.get_height() for patch in axes.patches) == 5
    assert axes.get_title() == "3 of 5 latents are active"
    with pytest.raises(ValueError, match="variances must be at least 0, got -1"):
        variance_histogram(np.array([-1.0]))
