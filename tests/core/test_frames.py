"""A pandas DataFrame of floats is data like any other, and one of words is refused in words."""

import sys

import numpy as np
import pytest

import minivae as mv

pd = pytest.importorskip("pandas")
FRAME = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 3)), columns=["a", "b", "c"])
MODEL = mv.VAE.mlp(3, 1, [4], likelihood="gaussian")


def test_a_frame_trains_as_its_values_do():
    settings = mv.Settings(epochs=1, batch_size=10, dtype="float64")
    ours = mv.train(MODEL, FRAME, FRAME[:5], settings).params
    np.testing.assert_array_equal(ours, mv.train(MODEL, FRAME.to_numpy(), FRAME[:5].to_numpy(), settings).params)
    np.testing.assert_array_equal(MODEL.embed(ours, FRAME), MODEL.embed(ours, FRAME.to_numpy()))
    np.testing.assert_array_equal(mv.PCA(2).fit_transform(FRAME), mv.PCA(2).fit_transform(FRAME.to_numpy()))


def test_other_columns_are_refused():
    for column in (["x"] * 30, range(30)):
        frame = FRAME.astype(object).assign(b=column)
        with pytest.raises(ValueError, match="x_train must be a floating-point array, got dtype object"):
            mv.train(MODEL, frame)
    with pytest.raises(ValueError, match="x_train must be finite"):
        mv.train(MODEL, FRAME.mask(FRAME > 1))


def test_a_table_of_history_is_a_frame():
    rows = mv.train(MODEL, FRAME, settings=mv.Settings(epochs=2, batch_size=10)).history
    assert list(pd.DataFrame(rows)["epoch"]) == [1, 2]
    assert "pandas" not in {name.split(".")[0] for name in vars(sys.modules["minivae.core.checks"])}
