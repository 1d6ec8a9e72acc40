"""The figures of a run: that they show the codes and the images that their titles name."""

import numpy as np
import pytest

from minivae.datasets.dataset import Dataset
from minivae.studies import plots, run_figures


class Plain:
    """A model whose code is x itself, and which says how much each latent says."""

    def embed(self, _, x):
        return x

    def decode(self, _, z):
        return z

    def says(self, *_):
        return np.array([0.1, 3.0, 0.2, 5.0])


@pytest.fixture
def drawn(monkeypatch):
    """Keep the images that would be drawn in a grid."""
    found = []
    monkeypatch.setattr(plots, "image_grid", lambda images, *_, **__: found.append(images) or plots.figure_of(1, 1))
    return found


def test_the_plane_is_of_the_two_latents_that_say_most():
    assert run_figures.active_pair(Plain(), np.empty(0), np.empty((1, 4))) == (1, 3)


def test_lines_run_from_one_original_to_the_other_in_equal_steps(drawn, rng, tmp_path):
    x = rng.random((7, 4))
    dataset = Dataset("images", x, x, x, image_shape=(2, 2))
    run_figures.interpolation_figure(Plain(), np.empty(0), x, dataset, tmp_path)
    rows = drawn[0].reshape(3, 12, 4)  # an original, ten codes decoded, the other original
    for left, right, row in zip(x[[0, 1, 2]], x[[3, 4, 6]], rows, strict=True):
        np.testing.assert_array_equal(row[[0, 1]], [left, left])
        np.testing.assert_array_equal(row[[10, 11]], [right, right])
        np.testing.assert_allclose(np.diff(row[1:11], axis=0), np.tile((right - left) / 9, (9, 1)), atol=1e-14)


def test_there_is_no_line_without_images_or_a_second_original(tmp_path):
    x = np.ones((1, 4))
    for shape in (None, (2, 2)):
        dataset = Dataset("one", x, x, x, image_shape=shape)
        assert run_figures.interpolation_figure(Plain(), np.empty(0), x, dataset, tmp_path) is None
