"""A contract's states are held against the model: names, dtypes, shapes and initial values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from assay.runner.investigate.contract import disagreements, state_problems
from assay.runner.rules.contract import Contract
from assay.runner.workloads import golden
from tests.conftest import assay


def model(**ports: Any) -> Contract:
    """A model of one state: cache [b, 8] in, cache_out [b, 8] out."""
    given = {"inputs": {"cache": {"shape": ["b", 8]}}, "outputs": {"cache_out": {"shape": ["b", 8]}}, **ports}
    return Contract.model_validate(given)


def contract(**state: Any) -> Contract:
    return Contract.model_validate({"state": [{"output": "cache_out", "input": "cache", **state}]})


def test_states_that_are_the_models_have_nothing_told():
    assert state_problems(contract(), model()) == []


@pytest.mark.parametrize(
    ("state", "ports", "says"),
    [
        ({"output": "cach_out"}, {}, "the model gives no output 'cach_out'. Did you mean 'cache_out'"),
        ({"input": "cach"}, {}, "the model takes no input 'cach'"),
        (
            {},
            {"inputs": {"cache": {"shape": ["b", 8], "dtype": "float16"}}},
            "the output is float32, the input float16",
        ),
        ({}, {"inputs": {"cache": {"shape": ["b", 8, 1]}}}, "the output has 2 axes, the input 3"),
        ({}, {"inputs": {"cache": {"shape": ["b", 9]}}}, "axis 1 is 8 in the output and 9 in the input"),
        ({"initial": 0.5}, {"inputs": {"cache": {"shape": ["b", 8], "dtype": "int64"}}}, "initial = 0.5 is no int64"),
        ({"initial": -1}, {"inputs": {"cache": {"shape": ["b", 8], "dtype": "uint8"}}}, "initial = -1 is no uint8"),
        ({"initial": 1e9}, {"inputs": {"cache": {"shape": ["b", 8], "dtype": "float16"}}}, "is beyond float16"),
    ],
)
def test_a_state_that_the_model_does_not_have_so_is_told(state: dict[str, Any], ports: dict[str, Any], says: str):
    assert any(says in text for text in state_problems(contract(**state), model(**ports)))


def test_an_axis_that_is_padded_may_have_another_size():
    padded = contract(pad={"axis": 1, "size": 9})
    assert state_problems(padded, model(inputs={"cache": {"shape": ["b", 9]}})) == []


def test_recorded_states_begin_as_the_contract_says(tmp_path: Path):
    path = tmp_path / "c.toml"
    path.write_text('[[state]]\noutput = "cache_out"\ninput = "cache"\ninitial = 1.0\n')
    step = ({"cache": np.zeros((1, 8), np.float32)}, {"cache_out": np.ones((1, 8), np.float32)})
    golden.write(tmp_path, "g", {}, [step])
    (told,) = disagreements(path, None, tmp_path, "g")
    assert told == "golden 'g', step 0: state 'cache' does not begin with 1 everywhere"


@pytest.mark.slow
def test_the_command_reads_the_model_in_a_worker(tmp_path: Path):
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", 8]) for name in ("cache", "cache_out")]
    graph = helper.make_graph([helper.make_node("Neg", ["cache"], ["cache_out"])], "g", sides[:1], sides[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    path = tmp_path / "c.toml"
    path.write_text('[[state]]\noutput = "cache_ouut"\ninput = "cache"\n')
    done = assay("contract", "check", path, "--model", tmp_path / "m.onnx", db=tmp_path / "a.duckdb")
    assert (done.code, "the model gives no output 'cache_ouut'" in done.out) == (1, True)
    path.write_text('[[state]]\noutput = "cache_out"\ninput = "cache"\n')
    assert assay("contract", "check", path, "--model", tmp_path / "m.onnx", db=tmp_path / "a.duckdb").code == 0
