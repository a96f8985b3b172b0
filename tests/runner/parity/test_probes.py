"""Which inputs reach which outputs, and other lengths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from assay.runner.parity.probes import lengths, live_states, reach
from assay.runner.rules.contract import Contract

CONTRACT = Contract.model_validate(
    {"state": [{"output": "a_out", "input": "a"}, {"output": "b_out", "input": "b"}, {"output": "c_out", "input": "c"}]}
)


class Model:
    """y = x + b; a feeds b, c feeds only itself, and nothing reads `unused`."""

    def infer(self, inputs: Any) -> Any:
        return {
            "y": inputs["x"] + inputs["b"],
            "a_out": inputs["a"] * 2,
            "b_out": inputs["a"] + inputs["b"],
            "c_out": inputs["c"] + 1,
            "fixed": np.ones(3),
        }


def steps(count: int = 3) -> list[Any]:
    random = np.random.default_rng(0)
    return [
        {name: random.standard_normal(4).astype(np.float32) for name in ("x", "a", "b", "c", "unused")}
        for _ in range(count)
    ]


def test_a_state_is_live_through_another_state_and_dead_when_it_feeds_only_itself():
    found = reach(Model(), steps(), CONTRACT)
    assert live_states(found.moved, CONTRACT) == {"a", "b"}


def test_every_input_is_tried_alone_and_what_it_moves_is_measured():
    found = reach(Model(), steps(), CONTRACT)
    assert found.moved["x", "y"] > 0.1
    assert found.moved["unused", "y"] == found.moved["x", "b_out"] == 0
    assert all(moved == 0 for (_, output), moved in found.moved.items() if output == "fixed")
    assert {
        event["is_state"] for event in found.events("reference", CONTRACT.state_inputs) if event["input"] == "c"
    } == {True}


def test_an_integer_input_takes_its_value_of_another_step_and_one_that_never_changes_is_not_tried():
    class Counts:
        def infer(self, inputs: Any) -> Any:
            return {"y": inputs["n"] * 10}

    changing = [{"n": np.array([step]), "rate": np.array(16000)} for step in (3, 4)]
    found = reach(Counts(), changing, Contract())
    assert (found.moved["n", "y"], found.tried) == (10.0, {"n"})


def test_an_input_that_the_model_refuses_is_not_tried():
    class Picky:
        def infer(self, inputs: Any) -> Any:
            if inputs["x"][0] != 1:
                raise ValueError("no")
            return {"y": inputs["x"]}

    assert reach(Picky(), [{"x": np.ones(3, np.float32)}], Contract()).tried == set()


def test_open_axes_are_tried_at_twice_and_half_their_length_together_where_they_share_a_name():
    example = {"x": np.arange(4.0).reshape(1, 4), "y": np.arange(4.0)}
    made = dict(lengths(example, {"x": {1: "N"}, "y": {0: "N"}}, Contract()))
    assert list(made) == ["N=8 (traced at 4)", "N=2 (traced at 4)"]
    assert made["N=8 (traced at 4)"]["x"].tolist() == [[0, 1, 2, 3, 0, 1, 2, 3]]
    assert made["N=2 (traced at 4)"]["y"].tolist() == [0, 1]


@pytest.mark.parametrize(("bounds", "tried"), [((4, 4, 4), []), ((2, 4, 8), ["8", "2"]), ((4, 4, 8), ["8"])])
def test_a_profile_of_the_contract_bounds_the_lengths(bounds: Any, tried: list[str]):
    contract = Contract.model_validate(
        {"inputs": {"x": {"shape": [1, "N"]}}, "profile": {"p": {"symbols": {"N": bounds}}}}
    )
    made = [label for label, _ in lengths({"x": np.ones((1, 4))}, {"x": {1: "N"}}, contract)]
    assert [label.split("=")[1].split(" ")[0] for label in made] == tried


def test_one_name_for_two_sizes_is_not_trusted():
    assert list(lengths({"x": np.ones(4), "y": np.ones(3)}, {"x": {0: "N"}, "y": {0: "N"}}, Contract())) == []
