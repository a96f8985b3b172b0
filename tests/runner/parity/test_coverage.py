"""What was never exercised is said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from assay.runner.parity.coverage import came_in_training, few_classes, never_filled, never_varied, other_version
from assay.runner.rules.contract import Contract

NOTHING = Contract()


@dataclass
class Recorded:
    """Steps in memory, with the index that a golden has."""

    taken: list[dict[str, Any]]
    given: list[dict[str, Any]]

    @property
    def steps(self) -> list[Any]:
        return [
            {"inputs": {n: {"shape": list(np.shape(a)), "sha256": repr(a)} for n, a in step.items()}}
            for step in self.taken
        ]

    def inputs(self, step: int) -> Any:
        return {name: np.asarray(array) for name, array in self.taken[step].items()}

    def outputs(self, step: int) -> Any:
        return {name: np.asarray(array) for name, array in self.given[step].items()}


def of_inputs(*steps: dict[str, Any]) -> Recorded:
    return Recorded([*steps], [{} for _ in steps])


def of_outputs(*steps: dict[str, Any]) -> Recorded:
    return Recorded([{} for _ in steps], [*steps])


def test_an_input_that_is_one_value_throughout_is_said_with_its_value():
    recorded = of_inputs(*({"length": np.array([41]), "x": np.arange(3) + step} for step in range(60)))
    assert [*never_varied(recorded, NOTHING)] == [("input_never_varied", "length", "'length' is 41 in 60 of 60 steps")]


def test_an_input_that_is_one_array_throughout_is_said():
    recorded = of_inputs(*({"x": np.arange(3)} for _ in range(4)))
    assert [m for _, _, m in never_varied(recorded, NOTHING)] == ["'x' is the same array in 4 of 4 steps"]


def test_of_one_step_only_what_is_one_value_is_said():
    recorded = of_inputs({"x": np.arange(3), "n": np.array([5, 5])})
    assert [subject for _, subject, _ in never_varied(recorded, NOTHING)] == ["n"]


def test_inputs_that_vary_and_states_are_not_said():
    contract = Contract.model_validate({"state": [{"output": "s_out", "input": "s"}]})
    recorded = of_inputs({"x": np.zeros(2), "s": np.zeros(2)}, {"x": np.ones(2), "s": np.zeros(2)})
    assert [*never_varied(recorded, contract)] == []


def cache(*filled: int, size: int = 7, from_end: bool = True) -> Recorded:
    """A cache [1, size, 2] of which so many entries are written at each step."""
    made = []
    for count in filled:
        array = np.zeros((1, size, 2), np.float32)
        array[:, size - count :] = 1 if from_end else 0
        if not from_end:
            array[:, :count] = 1
        made.append({"c_out": array})
    return of_outputs(*made)


CACHE = Contract.model_validate({"state": [{"output": "c_out", "input": "c"}]})


@pytest.mark.parametrize("from_end", [True, False])
def test_a_cache_that_never_filled_is_said_from_either_end(from_end: bool):
    found = [*never_filled(cache(1, 2, 3, from_end=from_end), CACHE)]
    assert found == [("state_never_filled", "c", "state 'c' held 3 of 7 entries along axis 1 in 3 steps")]


def test_a_cache_that_filled_at_some_step_is_not_said():
    assert [*never_filled(cache(1, 7, 2), CACHE)] == []


def test_a_cache_that_was_never_written_holds_nothing():
    assert [m for _, _, m in never_filled(cache(0, 0), CACHE)] == [
        "state 'c' held 0 of 7 entries along axis 1 in 2 steps"
    ]


def test_places_that_stay_zero_in_the_middle_are_no_room_that_is_left():
    array = np.ones((1, 4, 5), np.float32)
    array[..., 2] = 0  # a feature that is dead
    assert [*never_filled(of_outputs({"c_out": array}), CACHE)] == []


def test_a_counter_is_held_against_the_bound_of_its_invariant():
    contract = Contract.model_validate({"state": [{"output": "n_out", "input": "n"}], "invariants": ["n_out <= 70"]})
    counted = [*never_filled(of_outputs(*({"n_out": np.array([k])} for k in range(21))), contract)]
    assert counted == [("state_never_filled", "n", "state 'n' counted to 20 of 70 in 21 steps")]
    assert [*never_filled(of_outputs({"n_out": np.array([70])}), contract)] == []


def test_a_state_that_grows_is_held_against_its_profile():
    contract = Contract.model_validate(
        {
            "inputs": {"k": {"shape": [1, "P"]}},
            "state": [{"output": "k_out", "input": "k"}],
            "profile": {"all": {"symbols": {"P": [0, 8, 64]}}},
        }
    )
    recorded = Recorded([{"k": np.ones((1, p))} for p in (1, 2, 3)], [{"k_out": np.ones((1, p))} for p in (2, 3, 4)])
    assert [m for _, _, m in never_filled(recorded, contract)] == ["state 'k' grew to 3 of 64 along 'P' in 3 steps"]


@pytest.mark.parametrize(
    ("labels", "classes", "said"),
    [
        ([3] * 128, 10, "cover 1 of 10 classes: class 3 alone, 128 labels in all"),
        ([3, 4, -1, -1, 3, 3, 3], 10, "cover 2 of 10 classes: classes 3, 4, 5 labels in all"),
        ([0, 0], None, "cover 1 of 2 classes: class 0 alone, 2 labels in all"),
        ([*range(10)], 10, None),
        ([0, 1, 2], 1000, None),
        ([7], 10, None),
    ],
)
def test_calibration_labels_of_few_classes_are_said(labels: list[int], classes: int | None, said: str | None):
    found = [m for _, _, m in few_classes("cal", [np.array(labels)], classes)]
    assert found == ([f"labels of calibration data 'cal' {said}"] if said else [])


def test_a_golden_of_another_version_or_model_is_said():
    facts = {"model": "m", "version": "v1"}
    assert [*other_version("g", facts, "m", "v1")] == []
    assert "version v1, and is held against version v2" in next(other_version("g", facts, "m", "v2"))[2]
    assert "model 'm', and is held against 'other'" in next(other_version("g", facts, "other", "v1"))[2]
    assert [*other_version("imported", {}, "m", "v1")] == []


def test_a_module_that_eval_changes_is_said():
    assert [*came_in_training([])] == []
    assert "eval() changes 2 of its parts (drop, norm)" in next(came_in_training(["drop", "norm"]))[2]
