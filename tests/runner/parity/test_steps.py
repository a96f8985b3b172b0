"""Streams, worked out by hand on a model that adds its input to its state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.runner.errors import UsageError
from assay.runner.parity.comparison import OutputComparison
from assay.runner.parity.steps import StepPlan, reference_steps, resync_every, walk
from assay.runner.rules.contract import Contract
from assay.runner.rules.expression import parse
from assay.runner.rules.policy import Policy
from assay.runner.session import Placement, Session

CONTRACT = Contract.model_validate(
    {
        "inputs": {"x": {"shape": [1]}, "s": {"shape": [1]}},
        "outputs": {"y": {"shape": [1]}, "s_out": {"shape": [1]}},
        "state": [{"output": "s_out", "input": "s"}],
    }
)


class Adds(Session):
    """y = s_out = s + x + bias."""

    output_names = ("y", "s_out")

    def __init__(self, bias: float = 0.0) -> None:
        self.bias = bias

    def infer(self, inputs: Any) -> Any:
        total = inputs["s"] + inputs["x"] + np.float32(self.bias)
        return {"y": total, "s_out": total.copy()}

    def prepare(self, inputs: Any) -> Any:
        return lambda: self.infer(inputs)

    def placement(self) -> Placement:
        return Placement("cpu", "numpy", "float32", None)

    def state_hash(self) -> str:
        return str(self.bias)


class Recorded:
    def __init__(self, steps: Any) -> None:
        self.steps = list(steps)

    def inputs(self, step: int) -> Any:
        return self.steps[step][0]

    def outputs(self, step: int) -> Any:
        return self.steps[step][1]


def ones(count: int) -> list[Any]:
    return [{"x": np.ones(1, np.float32)} for _ in range(count)]


def errors(mode: str, steps: int = 6, bias: float = 0.25, contract: Contract = CONTRACT, **plan: Any) -> list[float]:
    """Largest error of y at each step of a candidate that adds a bias."""
    recorded = Recorded(reference_steps(Adds(), ones(steps), contract))
    events = list(
        walk(recorded, Adds(bias).open_stream, OutputComparison(Policy(), {}), StepPlan(mode, contract, **plan))
    )
    return [event["max_abs"] for kind, event in events if kind == "receipt" and event["output"] == "y"]


def test_the_reference_feeds_its_own_states_back_where_the_workload_leaves_them_out():
    steps = list(reference_steps(Adds(), ones(3), CONTRACT))
    assert [float(inputs["s"][0]) for inputs, _ in steps] == [0, 1, 2]
    assert [float(outputs["y"][0]) for _, outputs in steps] == [1, 2, 3]


def test_functional_sees_the_same_error_at_every_step_and_closed_loop_sees_it_pile_up():
    assert errors("functional") == pytest.approx([0.25] * 6)
    assert errors("closed_loop") == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.25, 1.5])


def test_mixed_starts_anew_every_k_steps():
    assert errors("mixed-3") == pytest.approx([0.25, 0.5, 0.75, 0.25, 0.5, 0.75])


def test_a_reset_starts_states_anew_on_both_sides():
    contract = CONTRACT.model_copy(update={"reset": "x == 5"})
    batches = [{"x": np.full(1, v, np.float32)} for v in (1, 1, 5, 1)]
    recorded = Recorded(reference_steps(Adds(), batches, contract))
    assert [float(recorded.inputs(i)["s"][0]) for i in range(4)] == [0, 1, 0, 5]
    events = walk(recorded, Adds(0.25).open_stream, OutputComparison(Policy(), {}), StepPlan("closed_loop", contract))
    assert [e["max_abs"] for kind, e in events if kind == "receipt" and e["output"] == "y"] == pytest.approx(
        [0.25, 0.5, 0.25, 0.5]
    )


def test_no_more_steps_are_walked_than_asked_for():
    assert len(errors("closed_loop", max_steps=2)) == 2


@pytest.mark.parametrize(("word", "every"), [("functional", 1), ("closed_loop", 0), ("mixed-7", 7), ("mixed(7)", 7)])
def test_a_mode_says_how_often_states_come_from_the_reference(word: str, every: int):
    assert resync_every(word) == every


@pytest.mark.parametrize("word", ["closed-loop", "mixed", "mixed-0", "mixed-1", "mixed-x", ""])
def test_another_word_is_no_mode(word: str):
    with pytest.raises(UsageError, match="mode"):
        resync_every(word)


def test_closed_loop_without_a_contract_says_what_to_write():
    recorded = Recorded(reference_steps(Adds(), ones(2), CONTRACT))
    with pytest.raises(UsageError, match="contract init"):
        list(walk(recorded, Adds().open_stream, OutputComparison(Policy(), {}), StepPlan("closed_loop")))


def test_invariants_and_premises_are_checked_at_every_step_and_name_the_first_break():
    contract = CONTRACT.model_copy(update={"invariants": ("s_out == previous.s_out + x", "y < 4")})
    recorded = Recorded(reference_steps(Adds(), ones(6), contract))
    plan = StepPlan("closed_loop", contract, premises=(parse("y >= 0"),))
    told = [
        event
        for kind, event in walk(recorded, Adds(0.25).open_stream, OutputComparison(Policy(), {}), plan)
        if kind == "invariant"
    ]
    seen = {(e["name"], e["side"]): (e["checked"], e["broken"], e["first_broken"]) for e in told}
    assert seen["s_out == previous.s_out + x", "reference"] == (5, 0, None)
    assert seen["s_out == previous.s_out + x", "candidate"] == (5, 5, 1)
    assert seen["y < 4", "reference"] == (6, 3, 3)
    assert seen["y < 4", "candidate"] == (6, 3, 3)
    assert seen["y >= 0", "candidate"] == (6, 0, None)


def test_a_contract_that_a_step_breaks_is_a_finding_with_its_step():
    contract = CONTRACT.model_copy(
        update={"outputs": {**CONTRACT.outputs, "y": CONTRACT.outputs["y"].model_copy(update={"dtype": "float16"})}}
    )
    recorded = Recorded(reference_steps(Adds(), ones(2), CONTRACT))
    told = [
        e
        for kind, e in walk(
            recorded, Adds().open_stream, OutputComparison(Policy(), {}), StepPlan("functional", contract)
        )
        if kind == "finding"
    ]
    assert told[0]["severity"] == "fail"
    assert "at step 0: 'y' is float32" in told[0]["message"]


def test_a_valid_length_of_zero_leaves_nothing_to_compare():
    contract = Contract.model_validate(
        {
            **CONTRACT.model_dump(),
            "outputs": {"y": {"shape": [1], "valid_length": {"tensor": "n", "axis": 0}}, "s_out": {"shape": [1]}},
            "inputs": {**CONTRACT.model_dump()["inputs"], "n": {"dtype": "int64", "shape": [1]}},
        }
    )
    batches = [{"x": np.ones(1, np.float32), "n": np.zeros(1, np.int64)}]
    recorded = Recorded(reference_steps(Adds(), batches, contract))
    receipts = [
        e
        for kind, e in walk(
            recorded, Adds().open_stream, OutputComparison(Policy(), {}), StepPlan("functional", contract)
        )
        if kind == "receipt"
    ]
    assert {e["output"]: (e["elements"], e["skipped"]) for e in receipts} == {"y": (0, 1), "s_out": (1, 0)}


def test_failing_steps_are_dumped_with_both_sides(tmp_path: Path):
    errors("closed_loop", steps=3, dump=tmp_path)
    with np.load(tmp_path / "step-00001.npz") as kept:
        assert (float(kept["input.s"][0]), float(kept["expected.y"][0]), float(kept["actual.y"][0])) == (1.25, 2.0, 2.5)


class Shrinks(Adds):
    """Hands on only the newest two of its three remembered values."""

    def infer(self, inputs: Any) -> Any:
        window = np.concatenate([inputs["s"][1:], inputs["x"]])
        return {"y": window.sum(keepdims=True), "s_out": window[-2:]}


@pytest.mark.parametrize(("side", "expected"), [("left", [1, 2, 3, 3]), ("right", [1, 2, 2, 2])])
def test_the_side_of_the_padding_changes_what_a_step_remembers(side: str, expected: list[float]):
    contract = Contract.model_validate(
        {
            "inputs": {"x": {"shape": [1]}, "s": {"shape": [3]}},
            "outputs": {"y": {"shape": [1]}, "s_out": {"shape": [2]}},
            "state": [{"output": "s_out", "input": "s", "pad": {"axis": 0, "side": side}}],
        }
    )
    steps = list(reference_steps(Shrinks(), ones(4), contract))
    assert [float(outputs["y"][0]) for _, outputs in steps] == expected
