"""The count of images that an attribute's direction changes: exact on a linear model, and of a trained one."""

import numpy as np
import pytest

from minivae.datasets.sets import load
from minivae.datasets.strokes import has_stroke
from minivae.models.autoencoder import Autoencoder
from minivae.models.vae import VAE
from minivae.nn.optim import Adam
from minivae.studies.attributes import measure_attribute, nearer_to_second
from minivae.training.loop import train
from minivae.training.settings import Settings


def projection(Q):
    """Return the linear autoencoder x -> x Q Q^T and its parameters."""
    model = Autoencoder.mlp(*Q.shape, [])
    params = np.zeros(model.n_params)
    parts = dict(model.named(params))
    parts["encoder.0.weight"][:], parts["decoder.0.weight"][:] = Q, Q.T
    return model, params


def test_the_detector_of_means_asks_which_is_nearer(rng):
    first, second = rng.normal(size=(9, 4)), rng.normal(size=(5, 4)) + 1
    detect, x = nearer_to_second(first, second), rng.normal(size=(50, 4))
    far = [np.linalg.norm(x - group.mean(0), axis=1) for group in (first, second)]
    np.testing.assert_array_equal(detect(x), far[1] < far[0])
    assert detect(x).any() != detect(x).all()
    with pytest.raises(ValueError, match="second must have shape"):
        nearer_to_second(first, second[:, :3])


def test_on_a_projection_the_attribute_comes_and_goes_whole(rng):
    # the attribute is the first coordinate, 0 or 1, and the code holds it along with two others
    model, params = projection(np.eye(6)[:, [0, 2, 4]])
    has = np.arange(40) % 4 == 0
    x = rng.normal(size=(40, 6))
    x[:, 0] = has
    x[has, 1:] = x[~has, 1:][:10]  # so that the groups differ in nothing else
    x[~has, 1:] = np.tile(x[has, 1:], (3, 1))

    def detect(x):
        return x[:, 0] > 0.5

    rows = measure_attribute(model, params, (x, has), (x, has), detect)
    assert [row["n"] for row in rows] == [30] * 4 + [10] * 3
    found = [row["found"] for row in rows]
    assert found[:3] + found[4:] == [0, 0, 30, 10, 10, 0]
    assert found[3] in (0, 30)  # all move alike
    weak = measure_attribute(model, params, (x, has), (x, has), detect, strength=0.49)
    assert [row["found"] for row in weak[:3] + weak[4:]] == [0, 0, 0, 10, 10, 10]
    back = measure_attribute(model, params, (x, has), (x, ~has), detect, strength=-1.0)
    assert back[2]["found"] == 0
    assert back[6]["found"] == 30


def test_the_random_direction_is_as_long_as_that_of_the_attribute():
    model, params = projection(np.eye(3))
    has = np.arange(8) % 2 == 0
    x = np.zeros((8, 3))
    x[has, 0] = 2.0  # the direction is (2, 0, 0), and what has it not lies at zero
    for strength in (1.0, 0.25):
        rows = measure_attribute(
            model,
            params,
            (x, has),
            (x, has),
            lambda x, far=2 * strength: np.abs(np.linalg.norm(x, axis=1) - far) < 1e-9,
            strength,
        )
        assert [row["found"] for row in rows[1:4]] == [0, 4, 4]
    seen = []
    for seed in (0, 1):
        measure_attribute(
            model, params, (x, has), (x, has), lambda x: seen.append(x[0]) or np.zeros(len(x), bool), seed=seed
        )
    assert np.abs(seen[3] - seen[10]).max() > 0.1  # another seed, another direction
    np.testing.assert_allclose([np.linalg.norm(seen[3]), np.linalg.norm(seen[10])], 2, rtol=1e-12)


def test_a_direction_comes_of_the_training_rows_alone(rng):
    model, params = projection(np.eye(3))
    has = np.arange(8) % 2 == 0
    x = np.zeros((8, 3))
    x[:, 0] = has
    flat = 0.1 * rng.normal(size=(8, 3))  # whose own direction is another
    rows = measure_attribute(model, params, (x, has), (flat, has), lambda x: x[:, 0] > 0.5)
    assert (rows[2]["found"], rows[1]["found"]) == (4, 0)


@pytest.fixture(scope="module")
def trained():
    data = load("digits-stroke")
    model = VAE.mlp(64, 8, [32])
    settings = Settings(epochs=30, batch_size=128, optimizer=Adam(5e-3), seed=0)
    return data, model, train(model, data.x_train, data.x_valid, settings, progress=False).params


def test_a_trained_vae_draws_the_stroke_when_its_direction_is_added(trained):
    data, model, params = trained
    parts = (data.x_train, data.y_train == 1), (data.x_test, data.y_test == 1)
    rows = measure_attribute(model, params, *parts, has_stroke)
    share = [row["found"] / row["n"] for row in rows]
    assert share[0] == 0
    assert share[4] == 1
    assert max(share[1], 1 - share[5]) < 0.02  # reconstructions keep it
    assert share[2] > 0.95
    assert share[6] < 0.05
    assert share[3] < share[2]  # a step of that length in another direction does less
    none = measure_attribute(model, params, *parts, has_stroke, strength=0.0)
    assert [row["found"] for row in none[1:4]] == [none[1]["found"]] * 3


def test_what_has_no_groups_or_no_real_codes_is_refused(rng):
    model, params = projection(np.eye(3))
    x, has = rng.normal(size=(4, 3)), np.array([True, False, True, False])
    with pytest.raises(ValueError, match="train must say by 4 True or False"):
        measure_attribute(model, params, (x, np.ones(4, bool)), (x, has), has_stroke)
    with pytest.raises(ValueError, match="test must be rows and which have the attribute"):
        measure_attribute(model, params, (x, has), x, has_stroke)
    with pytest.raises(ValueError, match=r"detect must give an array of bool of shape \(2,\)"):
        measure_attribute(model, params, (x, has), (x, has), lambda x: x[:, 0])
    bits = VAE.mlp(3, 2, posterior="bits")
    with pytest.raises(ValueError, match="model must have real codes"):
        measure_attribute(bits, bits.init(rng), (x, has), (x, has), has_stroke)
