"""The checks of ``minivae pca``: what equal eigenvalues leave open, and that the other rows can fail."""

import json

import numpy as np
import pytest

from minivae import cli
from minivae.classical.descent import Descent, descend
from minivae.classical.linear_autoencoder import LinearAutoencoder
from minivae.classical.power import power_iteration
from minivae.core.seeds import Stream, stream
from minivae.datasets.dataset import Dataset
from minivae.studies import pca_report, plots
from minivae.studies.pca_report import Spectrum
from tests.support import exact_covariance_data

SPECTRUM = Spectrum(np.diag([4.0, 2.0, 1.0, 0.5]), np.array([4.0, 2.0, 1.0, 0.5]), np.eye(4), 4)


@pytest.fixture(params=[np.float64, pytest.param(np.float32, marks=pytest.mark.long)])
def tied(request, tmp_path, monkeypatch, rng):
    """Run ``minivae pca`` in an empty folder on data with the eigenvalues 4, 2, 2, 1, 0.5, 0.3."""
    x = exact_covariance_data([4.0, 2.0, 2.0, 1.0, 0.5, 0.3], 40, rng).astype(request.param)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("minivae.training.runs.open_data", lambda *_: Dataset("tied", x, x, x))


def test_equal_eigenvalues_are_compared_by_what_they_span(tied, capsys):  # noqa: ARG001
    assert cli.main(["pca", "--latent", "3", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert all(row["ok"] is True for row in result["rows"])
    assert result["settings"]["arbitrary"] == [2, 3]
    first, *others = result["settings"]["components"]
    assert abs(first["l2_decoder_cosine"] - 1) < 1e-9
    assert [row["l2_decoder_cosine"] for row in others] == [None, None]


@pytest.mark.long
def test_a_tie_at_the_cut_leaves_the_subspace_arbitrary(tied, capsys):  # noqa: ARG001
    assert cli.main(["pca", "--latent", "2"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "Arbitrary: components 2. A neighbour shares their eigenvalue:" in printed.out
    assert "FAIL" not in printed.out
    assert cli.main(["pca", "--latent", "2", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    open_rows = [row["check"] for row in rows if row["ok"] is None]
    assert open_rows == [row["check"] for row in rows if "distance" in row["check"] or "sine" in row["check"]]
    assert all(row["ok"] is True for row in rows if row["check"] not in open_rows)  # the losses are determined


def test_the_tables_and_the_curve_hold_the_closed_forms(tmp_path, monkeypatch, rng):
    values, seen = np.array([4.0, 2.0, 1.0, 0.5]), {}
    x = exact_covariance_data(values, 40, rng)

    def drawn(discarded, losses):
        seen.update(discarded=discarded, losses=losses)
        return plots.figure_of(1, 1)

    monkeypatch.setattr(plots, "loss_against_latents", drawn)
    dataset = Dataset("known", x, x, x)
    spectrum = pca_report.spectrum(dataset, 2)
    found = pca_report.report(dataset, spectrum, 2, 0, tmp_path, progress=False)
    assert all(row["ok"] for row in found.checks)
    exact = {row["check"]: row["exact"] for row in found.checks}
    assert exact["variance of component 2 of them"] == pytest.approx(2.0)
    np.testing.assert_allclose(seen["discarded"], [7.5, 3.5, 1.5, 0.5, 0.0], atol=1e-12)
    assert set(seen["losses"]) == {1, 2}
    for q, loss in seen["losses"].items():
        assert loss == pytest.approx(seen["discarded"][q], rel=1e-8)
    raw = LinearAutoencoder(4, 2)
    end = descend(raw, raw.init(stream(0, Stream.LINEAR, 0, 0)), spectrum.S)
    left = np.linalg.svd(raw.unpack(end.params)[1])[0].T
    for i, row in enumerate(found.components):
        assert row["eigenvalue"] == pytest.approx(values[i])
        assert row["share"] == pytest.approx(values[i] / 7.5)
        assert row["eigenvalue_ratio"] == pytest.approx(values[i + 1] / values[i])
        assert row["power_rate"] == pytest.approx(values[i + 1] / values[i], abs=1e-3)
        assert row["l2_shrinkage"] == pytest.approx(1 - 1.0 / values[i], abs=1e-5)  # an L2 of 2 / 2
        assert row["l2_shrinkage_exact"] == pytest.approx(1 - 1.0 / values[i])
        assert row["l2_decoder_cosine"] == pytest.approx(1, abs=1e-9)
        assert row["raw_decoder_cosine"] == pytest.approx(abs(left[i] @ spectrum.U[i]), rel=1e-5)


def test_clusters_are_the_runs_of_equal_eigenvalues():
    values = np.array([4.0, 2.0, 2.0 - 1e-9, 1.0, 1.0])
    spectrum = Spectrum(np.diag(values), values, np.eye(5), 5)
    assert spectrum.clusters(5) == [slice(0, 1), slice(1, 3), slice(3, 5)]
    assert spectrum.clusters(2) == [slice(0, 1), slice(1, 2)]
    assert [spectrum.determined(q) for q in (1, 2, 3, 4)] == [True, False, True, False]


def test_a_direction_in_a_cluster_may_turn_and_one_outside_may_not():
    values, t = np.array([4.0, 2.0, 2.0, 1.0]), 1e-3
    spectrum = Spectrum(np.diag(values), values, np.eye(4), 4)
    for i, j, sine in ((1, 2, 0.0), (0, 1, np.sin(t)), (2, 3, np.sin(t))):
        turned = np.eye(4)
        turned[[i, j]] = np.cos(t) * np.eye(4)[[i, j]] + np.sin(t) * np.array([[1], [-1]]) * np.eye(4)[[j, i]]
        assert abs(pca_report._largest_sine(turned[:3], spectrum) - sine) < 1e-15


def test_a_subspace_that_is_off_fails_however_near_the_loss(rng):
    # what 1e-5 costs in loss, 1e-10, is below the tolerance of the loss: only this row can see it
    model, t = LinearAutoencoder(4, 2), 1e-5
    for angle, ok in ((0.0, True), (t, False)):
        basis = np.eye(4)[:2].copy()
        basis[1] = np.cos(angle) * np.eye(4)[1] + np.sin(angle) * np.eye(4)[2]
        C = rng.normal(size=(2, 2))
        params = np.concatenate([(np.linalg.inv(C) @ basis).ravel(), (basis.T @ C).ravel()])
        end = Descent(params, model.loss(params, SPECTRUM.S), 0.0, 1)
        rows = pca_report._subspace_rows(model, {"Adam": end, "L-BFGS": end}, SPECTRUM)
        assert [row["ok"] for row in rows if "distance" in row["check"]] == [ok, ok]


def rate_row():
    rates = [pca_report._rate(SPECTRUM, k, np.random.default_rng(k)) for k in range(3)]
    return pca_report._rate_row(rates, SPECTRUM)


def test_rates_settle_at_the_ratio_of_eigenvalues():
    row = rate_row()
    assert row["ok"]
    assert row["tolerance"] == 1e-3
    assert row["difference"] < 1e-6


def test_a_rate_that_has_not_settled_fails(monkeypatch):
    monkeypatch.setattr(pca_report, "_RATE_STEPS", 1)
    assert not rate_row()["ok"]


def test_a_wrong_power_iteration_fails(monkeypatch):
    # of S + 0.1 I: the same vectors, at the rates (lambda_{k+1} + 0.1) / (lambda_k + 0.1)
    monkeypatch.setattr(pca_report, "power_iteration", lambda S, v: power_iteration(lambda w: S(w) + 0.1 * w, v))
    assert not rate_row()["ok"]


class FixedStart:
    """A generator whose normal draws are known: little of the second component, much of those after it."""

    def standard_normal(self, n):
        return np.array([1.0, 0.1, 1.0, 1.0])[:n]


def test_an_angle_lost_in_rounding_before_the_rate_settles_is_given_the_slack_of_its_start():
    # eigenvalues so near each other and so far below the first that 1e-7 comes before the second stands out
    values = np.array([1.0, 0.3, 0.29, 0.28])
    rate, tolerance = pca_report._rate(Spectrum(np.diag(values), values, np.eye(4), 4), 0, FixedStart())
    t = next(t for t in range(1, 50) if np.linalg.norm(values[1:] ** t * [0.1, 1, 1]) < 1e-7)
    rho = values[2:] / 0.3
    assert abs(tolerance - 0.3 * np.sum((1 - rho**2) * rho ** (2 * t - 2)) / 0.1**2) < 1e-12
    assert 1e-3 < abs(rate - 0.3) <= tolerance
