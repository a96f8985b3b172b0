"""`assay suite check` opens the models of a suite and holds what it says of them against what they take and give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from assay.runner.investigate.held import held
from assay.runner.investigate.rehearse import Rehearsal
from assay.runner.suites.case import expansion
from assay.runner.suites.suite import load_suite
from assay.runner.worker.events.facts import PortsRead, Rehearsed
from tests.conftest import assay, fake_suite

SUITE = """
name = "s"
[model.m]
pytorch = "m.py:net"
onnx = "m.onnx"
{model}
[workload.w]
inputs = {{ x = {{ shape = [2, 4] }} }}
{tables}
[[case]]
check = {check}
models = ["m"]
workloads = ["w"]
{case}
"""


def port(dtype: str = "float32", shape: tuple[Any, ...] = ("n", 4)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape)}


def told(
    folder: Path,
    *,
    model: str = "",
    case: str = "",
    tables: str = "",
    check: str = '"parity"',
    inputs: dict[str, Any] | None = None,
    outputs: dict[str, Any] | None = None,
    file: bool = True,
) -> tuple[list[str], list[str]]:
    """Problems and notes of a model of one input `x` [2, 4] and two outputs, `y` and `z`."""
    path = folder / "s.toml"
    path.write_text(SUITE.format(model=model, case=case, tables=tables, check=check))
    suite = load_suite(path)
    batch = Rehearsed("w", ["x"], {"x": port(shape=(2, 4))}, {"y": port(), "z": port()}, {}, [])
    ports = PortsRead(inputs or {"x": port()}, outputs or {"y": port(), "z": port()})
    seen = Rehearsal("m", "pytorch", ports if file else None, {"w": batch})
    found = held(suite, expansion(suite).cases, seen)
    return found.problems, found.notes


def test_a_suite_that_says_what_the_model_does_has_nothing_told(tmp_path: Path):
    assert told(tmp_path) == ([], [])


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"inputs": {"x": port("int64")}}, "input 'x' of workload 'w' is float32, the ONNX file takes int64"),
        ({"inputs": {"x": port(shape=("n", 5))}}, "input 'x' of workload 'w' has shape [2, 4], the ONNX file takes"),
        ({"inputs": {"x": port(shape=(4,))}}, "input 'x' of workload 'w' has shape [2, 4], the ONNX file takes [4]"),
        ({"inputs": {"xs": port()}}, "workload 'w' has no input 'xs', which the ONNX file takes"),
        (
            {"inputs": {"x": port("map(string,tensor(float))")}},
            "input 'x' of the ONNX file is map(string,tensor(float))",
        ),
        ({"outputs": {"y": port(), "q": port()}}, "output 'z' of the reference is none of the ONNX file's: 'y', 'q'"),
        ({"model": 'outputs = ["y", "zz"]'}, "outputs: the model gives no 'zz'"),
        ({"model": 'rename = { yy = "y" }'}, "rename: the candidate has no output 'yy'"),
        ({"model": 'rename = { y = "yy" }'}, "rename: the reference has no output 'yy'"),
        ({"model": 'rename_inputs = { xx = "x" }'}, "rename_inputs: the reference has no input 'xx'"),
        ({"case": "tolerance = { outputs = { yy = { atol = 1.0 } } }"}, "has an entry for output 'yy'"),
        ({"model": 'export = { dynamic = { xx = { 0 = "n" } } }'}, "export: dynamic names input 'xx'"),
        ({"model": 'export = { dynamic = { x = { 2 = "n" } } }'}, "axis 2 of input 'x', which has 2 axes"),
        ({"check": '"quality"'}, "workload 'w' has no task"),
        ({"check": '"generation"'}, "generate: the model gives no output 'next_token'"),
    ],
)
def test_every_name_dtype_and_shape_is_held_against_the_model(tmp_path: Path, facts: dict[str, Any], says: str):
    problems, _ = told(tmp_path, **facts)
    assert any(says in text for text in problems), problems


def test_what_the_file_gives_beyond_its_reference_is_a_note(tmp_path: Path):
    problems, notes = told(tmp_path, outputs={"y": port("float16"), "z": port(), "extra": port()})
    assert problems == []
    assert notes == [
        "output 'y' is float16 in the ONNX file and float32 in the reference",
        "output 'extra' of the ONNX file is compared with nothing: the reference has no such output",
    ]


def test_a_missing_package_is_a_sentence_and_no_failure_of_the_suite(tmp_path: Path):
    path = fake_suite(tmp_path)
    suite = load_suite(path)
    cases = expansion(suite).cases
    found = held(suite, cases, Rehearsal("line", "right", missing="backend 'x' needs the Python package 'y'"))
    assert (found.state, found.problems) == ("not here", [])
    assert found.notes == ["it was not opened: backend 'x' needs the Python package 'y'"]


def test_the_command_opens_the_model_and_says_what_is_wrong(tmp_path: Path):
    suite = fake_suite(tmp_path)
    done = assay("suite", "check", suite, "--json", cwd=tmp_path)
    assert (done.code, [m["state"] for m in done.document["models"]]) == (0, ["opened"])
    suite.write_text(suite.read_text().replace("rtol = 0.0 }", "rtol = 0.0, outputs = { x = { atol = 1.0 } } }"))
    wrong = assay("suite", "check", suite, cwd=tmp_path)
    assert (wrong.code, "Traceback" in wrong.err) == (2, False)
    assert "has an entry for output 'x', which the model does not give" in wrong.out
    closed = assay("suite", "check", suite, "--no-open", "--json", cwd=tmp_path)
    assert (closed.code, closed.document["models"]) == (0, [])


@pytest.mark.slow
def test_a_given_file_alone_is_vacuous_and_a_port_that_cannot_be_fed_is_named(tmp_path: Path):
    kind = helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    node = helper.make_node("CastMap", ["m"], ["y"], domain="ai.onnx.ml", cast_to="TO_FLOAT", map_form="DENSE")
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_value_info("m", kind)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 2)]),
        tmp_path / "m.onnx",
    )
    suite = tmp_path / "s.toml"
    suite.write_text(
        'name = "s"\n[model.m]\nonnx = "m.onnx"\n[workload.w]\ninputs = { m = { shape = [1] } }\n'
        '[[case]]\ncheck = "parity"\nmodels = ["m"]\nworkloads = ["w"]\n'
    )
    done = assay("suite", "check", suite, cwd=tmp_path)
    assert done.code == 2
    assert "input 'm' of the ONNX file is map(string,tensor(float))" in done.out
    assert assay("suite", "check", suite, "--no-open", cwd=tmp_path).code == 4
