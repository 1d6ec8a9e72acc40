"""The figures of a run: that they show the codes and the images that their titles name."""

import numpy as np
import pytest

from minivae.core.seeds import Stream, stream
from minivae.datasets.dataset import Dataset
from minivae.models.generation import near, with_attribute
from minivae.studies import plots, run_figures
from tests.support import binary, small_vae

NONE = np.empty(0)


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
    run_figures.interpolation_figure(Plain(), NONE, x, dataset, tmp_path)
    rows = drawn[0].reshape(3, 12, 4)  # an original, ten codes decoded, the other original
    for left, right, row in zip(x[[0, 1, 2]], x[[3, 4, 6]], rows, strict=True):
        np.testing.assert_array_equal(row[[0, 1]], [left, left])
        np.testing.assert_array_equal(row[[10, 11]], [right, right])
        np.testing.assert_allclose(np.diff(row[1:11], axis=0), np.tile((right - left) / 9, (9, 1)), atol=1e-14)


def test_arcs_keep_the_length_of_the_codes_that_they_join(drawn, rng, tmp_path):
    x = rng.normal(size=(8, 4))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    dataset = Dataset("images", x, x, x, image_shape=(2, 2))
    path = run_figures.interpolation_figure(Plain(), NONE, x, dataset, tmp_path, 5, spherical=True)
    rows = drawn[0].reshape(4, 7, 4)  # an original, five codes decoded, the other original
    np.testing.assert_allclose(np.linalg.norm(rows, axis=2), 1, rtol=1e-12)
    assert np.abs(rows[:, 3] - (rows[:, 0] + rows[:, 6]) / 2).max() > 0.1
    assert path.endswith("interpolations_spherical.png")


def test_neighbours_stand_beside_their_original(drawn, rng, tmp_path):
    model, params = small_vae(rng)
    x = binary(rng, 9)
    dataset = Dataset("images", x, x, x, image_shape=(2, 2))
    for sampled in (False, True):
        run_figures.near_figure(model, params, x, dataset, tmp_path, 3, 4, seed=5, sampled=sampled)
    means, draws = (images.reshape(3, 6, 4) for images in drawn)
    some = x[[0, 4, 8]]
    np.testing.assert_array_equal(means[:, 0], some)
    np.testing.assert_allclose(means[:, 1], model.reconstruct(params, some), rtol=1e-6)
    expected = near(model, params, some, 4, rng=stream(5, Stream.NEAR))
    np.testing.assert_allclose(means[:, 2:], expected.swapaxes(0, 1), rtol=1e-6)
    assert set(np.unique(draws[:, 2:])) <= {0.0, 1.0}


def test_an_attribute_is_added_in_steps_to_images_of_the_first_label(rng, tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(
        plots, "image_rows", lambda rows, *how: seen.update(rows=rows, title=how[2]) or plots.figure_of(1, 1)
    )
    model, params = small_vae(rng)
    x, y = binary(rng, 30), np.arange(30) % 3
    dataset = Dataset("images", x, x, x, y, y, y, image_shape=(2, 2))
    rows = run_figures.attribute_rows(model, params, x, dataset, (2, 0), 1.5)
    assert [row["n"] for row in rows] == [10] * 7
    run_figures.attribute_figure(model, params, x, dataset, tmp_path, (2, 0), rows, 1.5)
    assert list(seen["rows"]) == ["label 2", "E[x|z]", "z + 0.5 d", "z + 1 d", "z + 1.5 d"]
    codes = model.embed(params, x)
    direction = codes[y == 0].mean(0) - codes[y == 2].mean(0)
    np.testing.assert_array_equal(seen["rows"]["label 2"], x[y == 2])
    np.testing.assert_allclose(seen["rows"]["z + 1.5 d"], with_attribute(model, params, x[y == 2], direction, 1.5))
    count = f"found in {rows[1]['found']} of 10 before, in {rows[2]['found']} after"
    assert seen["title"] == f"Mean code of label 0 less that of label 2, added: {count}"


def test_the_labels_of_an_attribute_are_given_or_the_first_two():
    x, y = np.ones((4, 4)), np.array([7, 3, 5, 3])
    labelled, plain = Dataset("a", x, x, x, y, y, y), Dataset("b", x, x, x)
    one = Dataset("c", x, x, x, y, y, np.full(4, 3))
    assert run_figures.attribute_groups(labelled, None) == (3, 5)
    assert run_figures.attribute_groups(labelled, (7, 3)) == (7, 3)
    assert run_figures.attribute_groups(plain, None) is run_figures.attribute_groups(one, None) is None
    for dataset, labels, words in (
        (plain, (1, 2), "attribute must be of data with labels, got b"),
        (labelled, (3, 4), "attribute must name labels of a, 3, 5, 7; got 4"),
        (one, (3, 5), "attribute must name labels of c, 3; got 5"),
        (labelled, (3, 3), "attribute must name two different labels, got 3 twice"),
    ):
        with pytest.raises(ValueError, match=words):
            run_figures.attribute_groups(dataset, labels)


def test_there_is_no_line_without_images_or_a_second_original(tmp_path):
    x = np.ones((1, 4))
    for shape in (None, (2, 2)):
        dataset = Dataset("one", x, x, x, image_shape=shape)
        assert run_figures.interpolation_figure(Plain(), NONE, x, dataset, tmp_path) is None
    assert run_figures.near_figure(Plain(), np.empty(0), x, Dataset("one", x, x, x), tmp_path) is None
