"""Ports whose names are exchanged are told apart by their numbers."""

from __future__ import annotations

import numpy as np

from assay.runner.parity import exchanged
from assay.runner.rules.policy import Policy

A, B = np.arange(6, dtype=np.float32), np.arange(6, dtype=np.float32)[::-1].copy()
POLICY = Policy.model_validate({})


def told(right: dict[str, np.ndarray], made: dict[str, np.ndarray], failing: list[str]) -> list[str]:
    return [str(pair) for pair in exchanged.outputs([right], [made], failing, POLICY)]


def test_two_outputs_each_of_which_is_what_the_other_should_be_are_named_with_the_line_that_corrects_them():
    (words,) = told({"start": A, "end": B}, {"start": B, "end": A}, ["start", "end"])
    assert 'rename = { start = "end", end = "start" }' in words


def test_outputs_that_are_wrong_otherwise_of_other_shapes_or_equal_are_not_exchanged():
    assert told({"start": A, "end": B}, {"start": B, "end": B}, ["start"]) == []
    assert told({"start": A, "end": B}, {"start": B, "end": A + 1}, ["start", "end"]) == []
    assert told({"start": A, "end": B[:3]}, {"start": B[:3], "end": A}, ["start", "end"]) == []
    assert told({"start": A, "end": A}, {"start": B, "end": B}, ["start", "end"]) == []


def test_inputs_with_which_every_output_is_right_when_they_are_fed_crosswise_are_named():
    given = [{"minuend": A, "subtrahend": B}]
    right = [{"y": A - B}]

    def wrong(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"y": inputs["subtrahend"] - inputs["minuend"]}

    (pair,) = exchanged.inputs(given, right, wrong, POLICY)
    assert (pair.kind, pair.first, pair.second) == ("exchanged_inputs", "minuend", "subtrahend")

    def broken(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        raise RuntimeError("no")

    assert [*exchanged.inputs(given, right, broken, POLICY)] == []
