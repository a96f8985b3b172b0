"""Which inputs reach which outputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.runner.parity.probes import live_states, reach
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
    found = reach(Model(), steps())
    assert live_states(found.moved, CONTRACT) == {"a", "b"}


def test_every_input_is_tried_alone_and_what_it_moves_is_measured():
    found = reach(Model(), steps())
    assert found.moved["x", "y"] > 0.1
    assert found.moved["unused", "y"] == found.moved["x", "b_out"] == 0
    assert all(moved == 0 for (_, output), moved in found.moved.items() if output == "fixed")
    assert {
        event["is_state"] for event in found.events("reference", CONTRACT.state_inputs) if event["input"] == "c"
    } == {True}


class Counts:
    """y = 10 n; the rate is read by nobody."""

    def infer(self, inputs: Any) -> Any:
        return {"y": inputs["n"] * 10}


def test_an_integer_input_takes_its_value_of_another_step():
    found = reach(Counts(), [{"n": np.array([step])} for step in (3, 4)])
    assert found.moved["n", "y"] == 10.0


def test_an_integer_input_that_never_changes_is_halved():
    found = reach(Counts(), [{"n": np.array([40]), "rate": np.array(16000)}] * 3)
    assert (found.moved["n", "y"], found.moved["rate", "y"]) == (200.0, 0.0)
    assert found.tried == {"n", "rate"}


def test_an_input_that_is_zero_throughout_is_not_tried():
    assert reach(Counts(), [{"n": np.zeros(3, np.int64)}]).tried == set()


def test_a_mask_is_flipped_and_text_is_exchanged():
    class Both:
        def infer(self, inputs: Any) -> Any:
            return {"kept": inputs["mask"].sum(), "first": inputs["words"][:1]}

    steps = [{"mask": np.ones(4, bool), "words": np.array(["yes", "no"])}]
    found = reach(Both(), steps)
    assert found.moved["mask", "kept"] == 4.0
    assert found.moved["words", "first"] == np.inf
    assert found.moved["mask", "first"] == found.moved["words", "kept"] == 0.0


def test_an_output_that_only_a_later_perturbation_moves_is_not_called_constant():
    class Largest:
        """Permuting lengths moves the rows; only other lengths move the largest."""

        def infer(self, inputs: Any) -> Any:
            return {"rows": inputs["n"] + 0, "largest": inputs["n"].max()}

    assert reach(Largest(), [{"n": np.array([9, 4])}]).moved["n", "largest"] == 5.0


def test_minus_infinity_that_becomes_zero_or_nan_is_a_change():
    class Mask:
        def __init__(self, other: float) -> None:
            self.other = other

        def infer(self, inputs: Any) -> Any:
            return {"mask": np.where(inputs["keep"], np.inf, [self.other, self.other]).astype(np.float32)}

    for other in (0.0, -np.inf, np.nan):
        assert reach(Mask(other), [{"keep": np.array([True, False])}]).moved["keep", "mask"] == np.inf


def test_an_input_that_the_model_refuses_is_not_tried():
    class Picky:
        def infer(self, inputs: Any) -> Any:
            if inputs["x"][0] != 1:
                raise IndexError("no")
            return {"y": inputs["x"]}

    assert reach(Picky(), [{"x": np.ones(3, np.float32)}]).tried == set()


def test_a_refused_perturbation_is_followed_by_another_one():
    class Positive:
        def infer(self, inputs: Any) -> Any:
            if (inputs["x"] < 0).any():
                raise ValueError("no")
            return {"y": inputs["x"]}

    assert reach(Positive(), [{"x": np.full(64, 0.5, np.float32)}]).moved["x", "y"] == 0.25
