"""A graph is what it computes: its names, notes and order are not, its constants wherever they are stored are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from assay.runner.identity.graphs import external_files, hash_bytes, hash_exported, hash_onnx, hash_scripted
from assay.runner.identity.programs import hash_program


def affine() -> onnx.ModelProto:
    """y = relu(x * w + b), and a branch that nothing uses."""
    weights = np.arange(2048, dtype=np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["x", "w"], ["scaled"], name="first"),
            helper.make_node("Add", ["scaled", "b"], ["moved"], name="second"),
            helper.make_node("Relu", ["moved"], ["y"], name="third"),
            helper.make_node("Neg", ["x"], ["unused"], name="nobody"),
        ],
        "affine",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B", 2048])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["B", 2048])],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.ones(2048, np.float32), "b")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def saved(folder: Path, change: Callable[[onnx.ModelProto], None] | None = None, **options: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    model = affine()
    if change:
        change(model)
    onnx.save(model, folder / "model.onnx", **options)
    return folder / "model.onnx"


def rename(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        node.name, node.doc_string = f"/torch/{node.name}", "File '/home/somebody/model.py', line 7"
        for names in (node.input, node.output):
            names[:] = [name if name in ("x", "y") else f"v_{name}" for name in names]
    for tensor in model.graph.initializer:
        tensor.name = f"v_{tensor.name}"
    model.producer_version, model.doc_string = "9.9", "made elsewhere"
    model.metadata_props.add(key="folder", value="/home/somebody")


def leave_out_the_unused(model: onnx.ModelProto) -> None:
    del model.graph.node[3]


def another_weight(model: onnx.ModelProto) -> None:
    changed = numpy_helper.to_array(model.graph.initializer[0]).copy()
    changed[7] += 1
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(changed, "w"))


def another_operator(model: onnx.ModelProto) -> None:
    model.graph.node[2].op_type = "Sigmoid"


def an_attribute(model: onnx.ModelProto) -> None:
    model.graph.node[2].op_type = "LeakyRelu"
    model.graph.node[2].attribute.append(helper.make_attribute("alpha", 0.2))


def another_output_name(model: onnx.ModelProto) -> None:
    model.graph.node[2].output[0] = model.graph.output[0].name = "z"


def another_input_type(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def exchanged(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[1], model.graph.node[1].input[1] = "b", "w"


@pytest.mark.parametrize("change", [rename, leave_out_the_unused])
def test_names_notes_and_what_nothing_uses_are_no_part_of_a_graph(tmp_path: Path, change: Callable):
    assert hash_onnx(saved(tmp_path / "a")) == hash_onnx(saved(tmp_path / "b", change))


@pytest.mark.parametrize(
    "change",
    [another_weight, another_operator, an_attribute, another_output_name, another_input_type, exchanged],
)
def test_what_a_graph_computes_makes_it_another(tmp_path: Path, change: Callable):
    assert hash_onnx(saved(tmp_path / "a")) != hash_onnx(saved(tmp_path / "b", change))


def beside(folder: Path, change: Callable | None = None) -> Path:
    return saved(folder, change, save_as_external_data=True, location="weights.bin", size_threshold=0)


def test_external_data_is_part_of_a_file_and_where_it_is_stored_is_none_of_the_graph(tmp_path: Path):
    inside, outside, other = saved(tmp_path / "a"), beside(tmp_path / "b"), beside(tmp_path / "c", another_weight)
    assert outside.read_bytes() == other.read_bytes(), "the files alone do not tell them apart"
    assert hash_onnx(inside) == hash_onnx(outside) != hash_onnx(other)
    assert hash_bytes(outside) != hash_bytes(other)
    assert external_files(outside) == [tmp_path / "b" / "weights.bin"]


def conditional(inner: str, value: float, outer: str = "x") -> onnx.ModelProto:
    """y = x + value where `flag`, else x; the constant lies in the branch's body."""

    def branch(name: str, node: onnx.NodeProto, *tensors: onnx.TensorProto) -> onnx.GraphProto:
        out = helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, [2])
        return helper.make_graph([node], name, [], [out], tensors)

    constant = numpy_helper.from_array(np.full(2, value, np.float32), f"{inner}_c")
    then = branch("then", helper.make_node("Add", [outer, f"{inner}_c"], [f"{inner}_y"]), constant)
    other = branch("else", helper.make_node("Identity", [outer], [f"{inner}_z"]))
    ports = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [2]),
        helper.make_tensor_value_info("w", TensorProto.FLOAT, [2]),
        helper.make_tensor_value_info("flag", TensorProto.BOOL, []),
    ]
    node = helper.make_node("If", ["flag"], ["y"], then_branch=then, else_branch=other)
    graph = helper.make_graph([node], "g", ports, [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def test_bodies_of_control_flow_count_with_what_they_take_from_outside(tmp_path: Path):
    def hashed(*asked: object) -> str:
        onnx.save(conditional(*asked), tmp_path / "m.onnx")
        return hash_onnx(tmp_path / "m.onnx")

    plain = hashed("a", 1.0)
    assert plain == hashed("b", 1.0)
    assert plain != hashed("a", 2.0)
    assert plain != hashed("a", 1.0, "w")


class Scaled(torch.nn.Module):
    def __init__(self, by: float, held: float = 0.0) -> None:
        super().__init__()
        self.by, self.held = by, torch.tensor([held, 1.0])

    def forward(self, x):
        return x * self.by + self.held


@pytest.mark.parametrize("change", [(3.0, 0.0), (2.0, 5.0)], ids=["a number", "a tensor that is no buffer"])
def test_a_trace_shows_numbers_and_tensors_that_the_code_encloses(change: tuple[float, float]):
    x = torch.ones(2)

    def exported(*given: float) -> str:
        return hash_exported(torch.export.export(Scaled(*given), (x,), strict=False))

    def scripted(*given: float) -> str:
        return hash_scripted(torch.jit.trace(Scaled(*given), x).inlined_graph)

    assert exported(2.0) == exported(2.0) != exported(*change)
    assert scripted(2.0) == scripted(2.0) != scripted(*change)


def test_a_saved_program_is_known_by_what_it_holds_and_not_by_where_it_was_made(tmp_path: Path):
    def pt(name: str, by: float) -> str:
        torch.jit.save(torch.jit.script(Scaled(by)), tmp_path / name)
        return hash_program(tmp_path / name)

    def pt2(name: str, by: float) -> str:
        torch.export.save(torch.export.export(Scaled(by), (torch.ones(2),), strict=False), tmp_path / name)
        return hash_program(tmp_path / name)

    assert pt("a.pt", 2.0) == pt("b.pt", 2.0) != pt("c.pt", 3.0)
    assert pt2("a.pt2", 2.0) == pt2("b.pt2", 2.0) != pt2("c.pt2", 3.0)
