"""Figures: what is in them. How they look is looked at by eye."""

import sys
from statistics import NormalDist

import numpy as np
import pytest

from minivae.studies import plots


def labels_of(figure):
    return [(axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) for axes in figure.axes]


SHADES = plots.Shades(0.0, 1.0, "gray")
HISTORY = [
    {"epoch": e, **{f"{p}_{k}": float(-e) for p in ("train", "valid") for k in ("loss", "elbo", "log_lik", "kl")}}
    for e in range(1, 40)
]


def test_learning_curves_show_the_bound_and_its_parts_in_nats():
    figure = plots.learning_curves(HISTORY)
    assert [label[2] for label in labels_of(figure)] == ["ELBO", "reconstruction log p(x|z)", "KL(q(z|x) || p(z))"]
    for axes in figure.axes:
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "nats per example")
        assert [t.get_text() for t in axes.get_legend().get_texts()] == ["training", "validation"]
        assert [len(line.get_xdata()) for line in axes.get_lines()] == [39, 39]


def test_tile_places_every_image():
    images = np.arange(12.0).reshape(3, 4)
    canvas = plots.tile(images, (2, 2), n_columns=2)
    np.testing.assert_array_equal(canvas[1:3, 1:3], images[0].reshape(2, 2))
    np.testing.assert_array_equal(canvas[1:3, 4:6], images[1].reshape(2, 2))
    np.testing.assert_array_equal(canvas[4:6, 1:3], images[2].reshape(2, 2))
    assert np.isnan(canvas[4:6, 4:6]).all()
    assert np.isnan(canvas).sum() == canvas.size - 12


def test_the_scatter_has_a_colour_and_a_marker_for_each_label(rng):
    figure = plots.latent_scatter(rng.normal(size=(50, 3)), np.arange(50) % 10, dims=(0, 2))
    assert labels_of(figure)[0] == ("latent 1", "latent 3", "Codes of the test set")
    assert [t.get_text() for t in figure.axes[0].get_legend().get_texts()] == [str(i) for i in range(10)]
    assert len(set(plots.COLORS)) == len(set(plots._MARKERS)) == 10


def test_the_decoded_plane_runs_left_to_right_and_bottom_to_top():
    seen = {}

    def decode(z):
        seen["z"] = z
        return np.zeros((len(z), 4))

    figure = plots.latent_grid(decode, 3, (2, 2), SHADES, dims=(0, 2), n=5)
    z = seen["z"].reshape(5, 5, 3)
    assert not z[..., 1].any()
    assert (np.diff(z[0, :, 0]) > 0).all()
    assert (np.diff(z[:, 0, 2]) < 0).all()  # the first row is the top of the picture
    figure.draw_without_rendering()
    y_labels = [float(t.get_text().replace("−", "-")) for t in figure.axes[0].get_yticklabels()]
    assert y_labels == sorted(y_labels, reverse=True)
    np.testing.assert_allclose(np.diff([NormalDist().cdf(tick) for tick in z[0, :, 0]]), 0.2)  # of the prior


@pytest.mark.parametrize("n", [1, 3, 5])
def test_tables_get_a_panel_for_each_column(n, rng):
    x = rng.normal(size=(20, n))
    for figure in (plots.table_samples(x, rng.normal(size=(30, n))), plots.table_reconstructions(x, x)):
        assert sum(axes.get_xlabel() != "" for axes in figure.axes) == n
        assert len(figure.legends[0].get_texts()) == 2


def test_strokes_are_dark_on_light_and_photographs_are_not_negatives():
    assert plots.Shades.of(np.array([[0.0, 0.1, 1.0]])).cmap == "gray_r"
    assert plots.Shades.of(np.array([[0.1, 0.8, 0.9]])) == plots.Shades(0.1, 0.9, "gray")


def test_learning_curves_of_an_autoencoder_show_its_own_terms():
    rows = [{"epoch": e, "train_log_lik": -1.0 * e, "valid_log_lik": -1.0 * e} for e in (1, 2)]
    assert [label[2] for label in labels_of(plots.learning_curves(rows))] == ["reconstruction log p(x|z)"]
    rows = [{**row, "train_penalty": 0.5, "valid_penalty": 0.5} for row in rows]
    titles = [label[2] for label in labels_of(plots.learning_curves(rows))]
    assert titles == ["reconstruction log p(x|z)", "penalty"]


def test_rows_of_images_have_their_labels(rng):
    rows = {name: rng.normal(size=(5, 6)) for name in ("PCA", "raw decoder", "decoder, L2")}
    figure = plots.image_rows(rows, (2, 3), plots.Shades.signed(rng.normal(size=4)), "title", "entry")
    assert [label[1] for label in labels_of(figure)] == ["PCA", "raw decoder", "decoder, L2", "entry"]


def test_losses_stand_on_the_exact_curve():
    discarded = np.array([7.0, 3, 1, 0])
    figure = plots.loss_against_latents(discarded, {1: 3.0, 2: 1.0 + 7e-9})
    left, right = figure.axes
    np.testing.assert_array_equal(left.get_lines()[0].get_ydata(), discarded)
    np.testing.assert_array_equal(left.get_lines()[1].get_xydata(), [[1, 3], [2, 1 + 7e-9]])
    np.testing.assert_allclose(right.get_lines()[0].get_ydata(), [1e-17, 1e-9], rtol=1e-6)


def test_the_latents_that_react_most_come_first(monkeypatch):
    seen = {}
    monkeypatch.setattr(plots, "image_grid", lambda images, *_, **__: seen.update(images=images))
    plots.receptive_fields(np.diag([1.0, 3, 2, 0]), (2, 2), n=3)
    np.testing.assert_array_equal(seen["images"], np.diag([1.0, 3, 2, 0])[[1, 2, 0]])


def test_figures_can_be_written_without_pyplot(tmp_path, rng):
    plots.save(plots.reconstructions(rng.random((5, 6)), rng.random((5, 6)), (2, 3), SHADES), tmp_path / "a.png")
    plots.save(plots.image_grid(rng.random((5, 6)), (2, 3), SHADES, "title"), tmp_path / "b.png")
    assert all(p.read_bytes()[:4] == b"\x89PNG" for p in tmp_path.iterdir())
    assert "matplotlib.pyplot" not in sys.modules
