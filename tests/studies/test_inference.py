"""``minivae infer``: every method ends where theory says, within its noise; the figure shows each of them."""

import numpy as np
import pytest
from scipy.special import digamma, polygamma

from minivae import cli
from minivae.classical import mean_field_linear, mean_field_normal
from minivae.studies import plots
from minivae.studies.inference import compare_inference, inference_figure, inference_problems

METHODS = ["CAVI", "Laplace", "Metropolis", "Hamiltonian", "SGVB, path", "SGVB, score"]


@pytest.fixture(scope="module")
def traces():
    return compare_inference(seed=1, n_draws=1500, n_steps=1500)


def test_every_method_runs_on_both_problems(traces):
    assert [t.problem for t in traces] == ["regression"] * 6 + ["normal"] * 6
    assert [t.method for t in traces] == METHODS * 2
    for t in traces:
        assert len(t.evaluations) == len(t.seconds) == len(t.mean_error) == len(t.variance_error) > 1
        assert (np.diff(t.evaluations) > 0).all()
        assert (np.diff(t.seconds) > 0).all()
        assert (t.ess is None) == (t.r_hat is None) == (t.method not in ("Metropolis", "Hamiltonian"))


def test_methods_without_noise_end_at_their_closed_forms(traces):
    for t in traces:
        if t.method in ("CAVI", "Laplace"):
            assert t.mean_error[-1] == pytest.approx(t.limit[0], abs=1e-5)
            assert t.variance_error[-1] == pytest.approx(t.limit[1], abs=1e-5)


def test_the_closed_forms(traces):
    """CAVI leaves out rho^2 of the variances, and 1 / a of that of mu; Laplace and a Gaussian know log tau too well."""
    limits = {(t.problem, t.method): t.limit for t in traces}
    assert limits["regression", "CAVI"] == pytest.approx((0, 0.7602424242), abs=1e-9)
    for method in METHODS[1:]:
        assert limits["regression", method] == pytest.approx((0, 0), abs=1e-9)
    assert limits["normal", "CAVI"][1] == pytest.approx(2 / 9, rel=1e-9)
    assert limits["normal", "Laplace"][1] == pytest.approx(0.3, rel=1e-9)  # Var mu: 1 - 3.5 / 5
    mode = (np.log(5) - digamma(4.5)) / np.sqrt(polygamma(1, 4.5))  # of log tau less its mean, in standard deviations
    assert limits["normal", "Laplace"][0] == pytest.approx(mode, rel=1e-9)
    assert limits["normal", "SGVB, path"] == limits["normal", "SGVB, score"]
    assert limits["normal", "SGVB, path"][1] == pytest.approx(2 / 9, rel=1e-9)
    assert limits["normal", "Metropolis"] == (0, 0)


def test_noisy_methods_end_within_their_noise(traces):
    for t in traces:
        if t.ess is not None:
            # means to 5 standard errors, variances to 5 of theirs, were the draws of z^2 as good as those of z
            assert t.mean_error[-1] < 5 / np.sqrt(t.ess)
            assert t.variance_error[-1] < 15 / np.sqrt(t.ess)
            assert t.r_hat < 1.05
        if t.method.startswith("SGVB"):
            assert abs(t.mean_error[-1] - t.limit[0]) < 0.1
            assert abs(t.variance_error[-1] - t.limit[1]) < 0.1
    score = next(t for t in traces if (t.problem, t.method) == ("regression", "SGVB, score"))
    assert score.variance_error[-1] < 1e-3  # no noise at the exact posterior


def test_seeds_and_rows(traces):
    again, other = compare_inference(1, 1500, 20), compare_inference(2, 1500, 20)
    for a, b, c in zip(traces, again, other, strict=True):
        if a.method in ("Metropolis", "Hamiltonian"):
            np.testing.assert_array_equal(a.variance_error, b.variance_error)
            assert a.variance_error[-1] != c.variance_error[-1]
    assert len({t.variance_error[-1] for t in traces if t.ess is not None}) == 4
    row = traces[2].row()
    assert (row["method"], row["evaluations"]) == ("Metropolis", 10 * 1501)
    assert row["exact_variance_error"] == 0


def test_the_problems_are_the_worked_ones():
    problems = inference_problems()
    linear, normal = problems["regression"], problems["normal"]
    assert linear.log_evidence - mean_field_linear(linear).elbo == pytest.approx(0.7140634836, abs=1e-10)
    assert normal.log_evidence - mean_field_normal(normal).elbo == pytest.approx(0.0545240172, abs=1e-10)


def test_the_figure_has_a_line_for_each_method_and_labels(traces):
    figure = inference_figure(traces)
    assert len(figure.axes) == 4
    for axes in figure.axes:
        assert len(axes.lines) == 6
        assert axes.get_xscale() == axes.get_yscale() == "log"
        assert axes.get_title()
        assert axes.get_xlabel()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == METHODS
    left = figure.axes[0].lines[2]
    np.testing.assert_array_equal(left.get_xdata(), traces[2].evaluations)
    np.testing.assert_array_equal(left.get_ydata(), np.maximum(traces[2].mean_error, traces[2].variance_error))


def test_the_command(tmp_path, monkeypatch, capsys, traces):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("minivae.cli.infer.compare_inference", lambda seed: traces if seed == 3 else None)
    assert cli.main(["infer", "--seed", "3"]) == 0
    printed = capsys.readouterr()
    assert "exact_variance_error" in printed.out
    assert "figure  runs/infer-001/inference.png" in printed.out
    assert printed.err == ""
    assert (tmp_path / "runs/infer-001/inference.png").read_bytes()[:4] == b"\x89PNG"
    monkeypatch.setattr(plots, "save", lambda _, path: str(path))
    assert cli.main(["infer", "--seed", "3", "--json", "--out", "here"]) == 0
    assert '"command": "infer", "ok": true' in capsys.readouterr().out
    assert cli.main(["infer", "--seed", "-1"]) == 1
    assert "seed must be an integer from 0" in capsys.readouterr().err
