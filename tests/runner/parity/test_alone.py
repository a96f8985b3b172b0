"""Rows of a batch by themselves, and batches whose rows differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from assay.runner.parity.alone import apart, batch_places, rows_alone

X = np.arange(6, dtype=np.float32).reshape(3, 2)


def test_rows_of_a_row_wise_model_are_alone_what_they_are_together():
    found = rows_alone(lambda i: {"y": i["x"] * 2}, {"x": X}, {"y": X * 2}, {"x": 0})
    assert found is not None
    assert (found.axes, found.mixed) == ({"y": 0}, {})
    assert found.expected["y"].tolist() == (X * 2).tolist()


def test_an_output_that_mixes_rows_is_told_with_how_far_and_one_without_rows_is_left_out():
    def call(i: Any) -> Any:
        return {"y": i["x"] - i["x"].mean(0), "mean": i["x"].mean()}

    found = rows_alone(call, {"x": X}, call({"x": X}), {"x": 0})
    assert found is not None
    assert (found.axes, found.mixed) == ({}, {"y": 1.0})


def test_whole_numbers_are_alone_exactly_what_they_are_together():
    found = rows_alone(lambda i: {"n": i["x"].argmax(1)}, {"x": X}, {"n": np.array([1, 1, 0])}, {"x": 0})
    assert found is not None
    assert found.mixed == {"n": np.inf}


def test_a_model_that_takes_no_single_row_tells_nothing():
    def call(i: Any) -> Any:
        if len(i["x"]) < 2:
            raise RuntimeError("two at least")
        return {"y": i["x"]}

    assert rows_alone(call, {"x": X}, {"y": X}, {"x": 0}) is None


def test_rows_that_are_equal_get_other_values_and_others_stay():
    made = apart({"x": np.array([[1.0, 2], [1, 2], [3, 4]]), "n": np.array([7, 7, 7])}, {"x": 0, "n": 0}, held={"n"})
    assert made["n"].tolist() == [7, 7, 7]
    assert made["x"][[0, 2]].tolist() == [[1, 2], [3, 4]]
    assert made["x"][1].tolist() != [1, 2]
    assert made["x"][1].min() > 0
    assert made["x"][1].max() <= 2


@pytest.mark.parametrize(
    ("places", "inputs", "symbol", "found"),
    [
        ([("x", 0)], {"x": X, "rate": np.array(1)}, "n", {"x": 0}),
        ([("x", 0), ("s", 1)], {"x": X, "s": X}, "n", {"x": 0, "s": 1}),
        ([("x", 0)], {"x": X, "other": X}, "n", None),
        ([("x", 1)], {"x": X}, "n", None),
        ([("x", 1)], {"x": X}, "B", {"x": 1}),
    ],
)
def test_rows_stand_along_an_axis_that_every_input_has_and_some_input_first(
    places: Any, inputs: Any, symbol: str, found: Any
):
    assert batch_places(places, inputs, symbol) == found
