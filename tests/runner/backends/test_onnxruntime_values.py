"""Ports that are no plain tensors: text, maps, sequences, optional values, and dtypes that numpy lacks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.runner.errors import UsageError
from assay.runner.session import Source, refused
from assay.runner.tensors import Tensors, dtype_name, dtype_named

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
h, T = onnx.helper, onnx.TensorProto
port = h.make_tensor_value_info


def written(folder: Path, nodes: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any], *weights: Any) -> Path:
    opsets = [h.make_opsetid("", 21), h.make_opsetid("ai.onnx.ml", 2)]
    graph = h.make_graph(list(nodes), "made", list(inputs), list(outputs), list(weights))
    path = folder / "made.onnx"
    onnx.save(h.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return path


def run(path: Path, *batches: Tensors) -> list[Tensors]:
    """Outputs of each batch; each is run as a benchmark runs it, too."""
    from assay.runner.backends.onnxruntime_session import open_session

    with open_session(Source("onnx", str(path), path.parent), {}) as session:
        made = []
        for batch in batches:
            session.prepare(batch)()
            made.append(session.infer(batch))
        return made


def tensors(kind: int) -> Any:
    return h.make_tensor_type_proto(kind, None)


def zipmap(folder: Path, **labels: Any) -> Path:
    keys = T.STRING if "classlabels_strings" in labels else T.INT64
    rows = h.make_sequence_type_proto(h.make_map_type_proto(keys, h.make_tensor_type_proto(T.FLOAT, [])))
    node = h.make_node("ZipMap", ["x"], ["scores"], domain="ai.onnx.ml", **labels)
    return written(folder, [node], [port("x", T.FLOAT, ["n", 2])], [h.make_value_info("scores", rows)])


@pytest.mark.parametrize("labels", [{"classlabels_strings": ["cat", "dog"]}, {"classlabels_int64s": [3, 7]}])
def test_a_zipmap_is_a_tensor_a_label_with_a_row_each(tmp_path: Path, labels: dict[str, Any]):
    x = np.array([[0.25, 0.75], [0.5, 0.1]], np.float32)
    first, empty = run(zipmap(tmp_path, **labels), {"x": x}, {"x": x[:0]})
    (names,) = labels.values()
    assert list(first) == [f"scores.{name}" for name in names]
    np.testing.assert_array_equal(np.stack(list(first.values()), axis=1), x)
    assert {array.dtype.name for array in first.values()} == {"float32"}
    assert empty == {"scores.length": 0}


def test_a_sequence_of_tensors_has_numbers_and_an_empty_one_its_length(tmp_path: Path):
    node = h.make_node("SplitToSequence", ["x"], ["rows"], axis=0)
    path = written(
        tmp_path, [node], [port("x", T.FLOAT, ["n", 2])], [h.make_tensor_sequence_value_info("rows", T.FLOAT, None)]
    )
    x = np.arange(4, dtype=np.float32).reshape(2, 2)
    first, empty = run(path, {"x": x}, {"x": x[:0]})
    assert {name: array.tolist() for name, array in first.items()} == {"rows.0": [[0, 1]], "rows.1": [[2, 3]]}
    assert empty == {"rows.length": 0}


def test_a_sequence_is_fed_by_the_numbered_names_of_its_tensors(tmp_path: Path):
    node = h.make_node("ConcatFromSequence", ["parts"], ["y"], axis=0)
    path = written(
        tmp_path, [node], [h.make_tensor_sequence_value_info("parts", T.FLOAT, None)], [port("y", T.FLOAT, None)]
    )
    one, two = np.ones((1, 2), np.float32), np.zeros((1, 2), np.float32)
    (made,) = run(path, {"parts.0": one, "parts.1": two})
    assert made["y"].tolist() == [[1, 1], [0, 0]]
    with pytest.raises(ValueError, match=r"has no parts .*name the tensors of a sequence parts\.0, parts\.1"):
        run(path, {"x": one})


def test_an_optional_input_may_be_left_out_and_an_optional_output_without_a_value_is(tmp_path: Path):
    from assay.runner.backends.onnxruntime_session import open_session

    optional = h.make_optional_type_proto(tensors(T.FLOAT))
    nodes = [
        h.make_node("OptionalHasElement", ["maybe"], ["there"]),
        h.make_node("Optional", [], ["nothing"], type=h.make_tensor_type_proto(T.FLOAT, [3])),
    ]
    path = written(
        tmp_path,
        nodes,
        [h.make_value_info("maybe", optional)],
        [port("there", T.BOOL, []), h.make_value_info("nothing", optional)],
    )
    assert run(path, {"maybe": np.ones(3, np.float32)}, {}) == [{"there": True}, {"there": False}]
    with open_session(Source("onnx", str(path), tmp_path), {}) as session:
        session.infer({})
        assert session.left_out == ("'nothing' (without a value)",)


@pytest.mark.parametrize(
    "array", [np.array(["a", "日本", ""], object), np.array(["a", "日本", ""]), np.array([], "U1")]
)
def test_text_goes_in_and_out_whatever_array_holds_it(tmp_path: Path, array: Any):
    path = written(
        tmp_path, [h.make_node("Identity", ["x"], ["y"])], [port("x", T.STRING, ["n"])], [port("y", T.STRING, ["n"])]
    )
    (made,) = run(path, {"x": array})
    assert (dtype_name(made["y"]), made["y"].tolist()) == ("string", array.tolist())
    with pytest.raises(ValueError, match="input 'x' of made.onnx is string, the workload has float32"):
        run(path, {"x": np.ones(1, np.float32)})


KINDS = {
    "bfloat16": T.BFLOAT16, "float8_e4m3fn": T.FLOAT8E4M3FN, "float8_e5m2": T.FLOAT8E5M2, "uint64": T.UINT64,
    "uint16": T.UINT16,
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_dtypes_that_numpy_lacks_go_in_and_out_bit_by_bit(tmp_path: Path, name: str):
    kind = KINDS[name]
    path = written(tmp_path, [h.make_node("Identity", ["x"], ["y"])], [port("x", kind, None)], [port("y", kind, None)])
    values = np.array([[0, 1, 2], [3.5, 240, 7]]).astype(dtype_named(name))
    if name == "uint64":
        values[0, 0] = np.uint64(2**64 - 1)
    first, empty, scalar = run(path, {"x": values}, {"x": values[:0]}, {"x": np.array(7).astype(values.dtype)})
    assert (first["y"].dtype, first["y"].tobytes()) == (values.dtype, values.tobytes())
    assert (empty["y"].shape, scalar["y"].shape) == ((0, 3), ())
    first["y"][0, 0] = 1  # the array is the caller's


@pytest.mark.parametrize(("name", "kind"), [("int4", T.INT4), ("uint4", T.UINT4)])
@pytest.mark.parametrize("count", [1, 4, 5])
def test_codes_of_four_bits_are_packed_and_unpacked_in_order(tmp_path: Path, name: str, kind: int, count: int):
    values = np.array([7, 1, 5, 0, 3] if name == "uint4" else [-8, 7, -1, 0, 3], np.float32)[:count]
    scale = h.make_tensor("scale", T.FLOAT, [], [1.0])
    codes = h.make_node("QuantizeLinear", ["x", "scale"], ["y"], output_dtype=kind)
    out = written(tmp_path, [codes], [port("x", T.FLOAT, ["n"])], [port("y", kind, ["n"])], scale)
    (made,) = run(out, {"x": values})
    assert (made["y"].dtype.name, made["y"].astype(np.float32).tolist()) == (name, values.tolist())
    floats = h.make_node("DequantizeLinear", ["x", "scale"], ["y"])
    back = written(tmp_path, [floats], [port("x", kind, ["n"])], [port("y", T.FLOAT, ["n"])], scale)
    assert run(back, {"x": made["y"]})[0]["y"].tolist() == values.tolist()


def test_text_and_bfloat16_come_out_of_one_model(tmp_path: Path):
    nodes = [h.make_node("Cast", ["x"], ["narrow"], to=T.BFLOAT16), h.make_node("Cast", ["x"], ["said"], to=T.STRING)]
    path = written(
        tmp_path, nodes, [port("x", T.FLOAT, [2])], [port("narrow", T.BFLOAT16, [2]), port("said", T.STRING, [2])]
    )
    (made,) = run(path, {"x": np.array([1, 2], np.float32)})
    assert {name: array.tolist() for name, array in made.items()} == {"narrow": [1.0, 2.0], "said": ["1", "2"]}


def test_bfloat16_without_kernels_is_rounded_after_every_operator_and_says_so(tmp_path: Path):
    """(x + 1) - 1 loses the small part of x in bfloat16, whose numbers near 1 are 2^-7 apart; in float32 it would not."""
    from assay.runner.backends.onnxruntime_session import open_session

    nodes = [h.make_node("Add", ["x", "one"], ["more"]), h.make_node("Sub", ["more", "one"], ["y"])]
    one = h.make_tensor("one", T.BFLOAT16, [], [1.0])
    path = written(tmp_path, nodes, [port("x", T.BFLOAT16, ["n"])], [port("y", T.BFLOAT16, ["n"])], one)
    x = np.array([0.001, 0.5, 0.0117]).astype(dtype_named("bfloat16"))
    with open_session(Source("onnx", str(path), tmp_path), {}) as session:
        assert session.infer({"x": x})["y"].tolist() == [0.0, 0.5, 0.015625]
        assert "bfloat16 computed in float32 and rounded after every node" in session.placement().precision


def test_types_that_cannot_be_fed_are_refused_by_port_and_type(tmp_path: Path):
    node = h.make_node("DictVectorizer", ["words"], ["y"], domain="ai.onnx.ml", string_vocabulary=["a", "b"])
    kind = h.make_map_type_proto(T.STRING, h.make_tensor_type_proto(T.FLOAT, []))
    path = written(tmp_path, [node], [h.make_value_info("words", kind)], [port("y", T.FLOAT, None)])
    with pytest.raises(UsageError, match=r"input 'words' of made\.onnx is map\(string,tensor\(float\)\): a map"):
        run(path, {})


@pytest.mark.parametrize(
    ("kind", "side", "says"),
    [
        ("float32", "input", None), ("string", "input", None), ("bfloat16", "output", None), ("int4", "input", None),
        ("seq(tensor(float))", "input", None), ("optional(tensor(float))", "input", None),
        ("seq(map(string,tensor(float)))", "output", None), ("tensor(float8e5m2)", "input", None),
        ("map(int64,tensor(float))", "input", "a map cannot be fed"),
        ("seq(seq(tensor(float)))", "input", "sequence of sequences"),
        ("complex64", "output", "real numbers with a last axis of 2"),
        ("sparse_tensor(float)", "output", "dense arrays only"), ("", "input", "has no type"),
    ],
)  # fmt: skip
def test_what_a_port_may_be_is_said_by_its_type(kind: str, side: str, says: str | None):
    told = refused(kind, side)
    assert told is None if says is None else says in str(told)


def test_the_ports_of_a_file_are_named_by_their_types(tmp_path: Path):
    from assay.runner.graphs.audit import ports

    found = ports(zipmap(tmp_path, classlabels_strings=["cat", "dog"]))
    assert found["outputs"]["scores"]["dtype"] == "seq(map(string,tensor(float)))"
    assert found["inputs"]["x"] == {"dtype": "float32", "shape": ["n", 2]}
