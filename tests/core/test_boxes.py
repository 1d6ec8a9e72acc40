"""Boxes stand end to end in the flat vector."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minivae.core.boxes import NoParameters, slices_of
from minivae.nn.dense import Dense


class Numbered(NoParameters):
    def __init__(self, n_params):
        self.n_params = n_params


@given(st.lists(st.integers(0, 5), max_size=6))
def test_slices_cover_the_vector_in_order(widths):
    found = slices_of([Numbered(n) for n in widths])
    flat = np.arange(sum(widths))
    assert [len(flat[part]) for part in found] == widths
    np.testing.assert_array_equal(np.concatenate([flat[part] for part in found] or [flat]), flat)
    assert all(isinstance(end, int) for part in found for end in (part.start, part.stop))


def test_boxes_of_several_kinds_are_measured_alike():
    assert slices_of([Dense(2, 1), NoParameters(), Dense(1, 1)]) == (slice(0, 3), slice(3, 3), slice(3, 5))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_box_without_parameters_has_none_of_any_dtype_and_no_names(dtype):
    box = NoParameters()
    assert box.init(np.random.default_rng(0), dtype).shape == box.init(dtype=dtype).shape == (0,)
    assert box.init(dtype=dtype).dtype == dtype
    assert list(box.named(np.empty(0))) == []
