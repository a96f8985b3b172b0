"""Which node is named: one whose own error comes through, and that its reproduction shows; a right one never."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from assay.runner.divergence.eager_walk import EagerReference
from assay.runner.divergence.explanation import Explanation, explain
from assay.runner.divergence.families import family, same_kind
from assay.runner.divergence.onnx_walk import OnnxReference
from assay.runner.divergence.reference import Reference
from assay.runner.divergence.repro import write_reproduction
from assay.runner.divergence.torch_walk import TorchReference
from assay.runner.graphs.onnx_graph import load

RANDOM = np.random.default_rng(0)
FLOAT, HALF, INT64, INT32 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT64, TensorProto.INT32


def graph(
    path: Path, nodes: list[Any], inputs: dict[str, Any], outputs: dict[str, int], weights: dict[str, Any]
) -> Path:
    ports = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), None) for n, a in inputs.items()
    ]
    made = helper.make_graph(
        [helper.make_node(op, reads.split(), writes.split(), name, **more) for op, reads, writes, name, more in nodes],
        "g",
        ports,
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def told(path: Path, reference: Reference, inputs: dict[str, Any], tmp_path: Path, **more: Any) -> Explanation:
    """As the command explains: a suspect is named when its reproduction, run, shows its error."""
    return explain(
        path, reference, inputs, confirm=lambda one: write_reproduction(tmp_path / "repro", one) is not None, **more
    )


def blamed(found: Explanation) -> str | None:
    return found.suspect.entry.node if found.suspect else None


def test_a_scalar_between_two_segments_stays_a_scalar(tmp_path: Path):
    """Fed as one element of one axis it would be broadcast to another shape, and the node after it blamed."""
    x = RANDOM.standard_normal((4, 300)).astype(np.float32)
    nodes = [
        ("ReduceMean", "x", "m", "mean", {"keepdims": 0}),
        ("Shape", "m", "s", "shape", {}),
        ("ConstantOfShape", "s", "z", "zeros", {}),
        ("Add", "m z", "b", "still", {}),
        ("Sub", "x b", "y", "centre", {}),
    ]
    path = graph(tmp_path / "m.onnx", nodes, {"x": x}, {"y": FLOAT, "b": FLOAT}, {})
    reference = OnnxReference(load(path, {"x": x}), 1)
    for limit in (None, 8 * x.nbytes):
        found = explain(path, reference, {"x": x}, max_memory=limit)
        assert blamed(found) is None
        assert {e.output: e.shape for e in found.entries}["b"] == ()
        assert max(e.local_rel_l2 or 0 for e in found.entries) == 0


class Norm(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        return torch.nn.functional.layer_norm(x, (x.shape[-1],))


def test_the_first_value_that_is_not_finite_is_blamed_where_it_is_made(tmp_path: Path):
    """E[x^2] - E[x]^2 falls below zero where a row hardly varies: its root is the first NaN, many nodes before the end."""
    x = (1e4 + RANDOM.standard_normal((6, 8)) * 1e-3).astype(np.float32)
    nodes = [
        ("ReduceMean", "x", "m", "mean", {"axes": [-1]}),
        ("Mul", "x x", "xx", "square", {}),
        ("ReduceMean", "xx", "mm", "mean_of_squares", {"axes": [-1]}),
        ("Mul", "m m", "m2", "square_of_mean", {}),
        ("Sub", "mm m2", "v0", "variance", {}),
        ("Sub", "v0 shift", "v", "shifted", {}),
        ("Sqrt", "v", "sd", "root", {}),
        ("Sub", "x m", "d", "centre", {}),
        ("Div", "d sd", "y", "scaled", {}),
    ]
    path = graph(tmp_path / "m.onnx", nodes, {"x": x}, {"y": FLOAT}, {"shift": np.float32(1e6)})
    found = told(path, TorchReference(Norm().eval(), {"x": x}), {"x": x}, tmp_path)
    assert blamed(found) == "root"
    assert "NaN of finite values" in str(found.suspect and found.suspect.entry.hint)


class Stamp(torch.nn.Module):
    def forward(self, t: Any) -> Any:
        return torch.div(t, 1000, rounding_mode="floor")


def test_a_cast_that_wraps_is_blamed_although_it_has_no_partner(tmp_path: Path):
    t = np.arange(5, dtype=np.int64) * 1_000_003 + 1_790_000_000_000
    nodes = [
        ("Cast", "t", "t32", "shorten", {"to": INT32}),
        ("Div", "t32 k", "q32", "seconds", {}),
        ("Cast", "q32", "s", "widen", {"to": INT64}),
    ]
    path = graph(tmp_path / "m.onnx", nodes, {"t": t}, {"s": INT64}, {"k": np.int32(1000)})
    found = told(path, TorchReference(Stamp().eval(), {"t": t}), {"t": t}, tmp_path)
    assert blamed(found) == "shorten"
    assert "multiples of 2^32" in str(found.suspect and found.suspect.entry.hint)


class Masked(torch.nn.Module):
    def __init__(self, large: float) -> None:
        super().__init__()
        self.large = large

    def forward(self, x: Any, keep: Any) -> Any:
        weights = torch.softmax(x + (1 - keep) * -1e9, -1)
        return weights, x * self.large


@pytest.mark.parametrize(("large", "right"), [(3e5, "gain"), (2.0, None)])
def test_a_mask_that_half_precision_cuts_off_is_no_fault_and_a_gain_that_it_cuts_off_is(
    large: float, right: str | None, tmp_path: Path
):
    """Behind the mask its reader, a softmax, agrees again; behind the gain comes the output."""
    x = RANDOM.standard_normal((4, 8)).astype(np.float32)
    keep = (RANDOM.random((4, 8)) < 0.7).astype(np.float32)
    inputs = {"x": x, "keep": keep}
    nodes = [
        ("Cast", "x", "xh", "narrow_x", {"to": HALF}),
        ("Cast", "keep", "kh", "narrow_keep", {"to": HALF}),
        ("Sub", "one kh", "r", "rest", {}),
        ("Mul", "r low", "bias", "mask", {}),
        ("Add", "xh bias", "s", "masked", {}),
        ("Softmax", "s", "wh", "softmax", {"axis": -1}),
        ("Mul", "xh large", "gh", "gain", {}),
        ("Cast", "wh", "weights", "wide_weights", {"to": FLOAT}),
        ("Cast", "gh", "gained", "wide_gain", {"to": FLOAT}),
    ]
    half = {"one": np.float16(1), "low": np.float16(-65504), "large": np.float16(min(large, 65504))}
    path = graph(tmp_path / "m.onnx", nodes, inputs, {"weights": FLOAT, "gained": FLOAT}, half)
    found = told(path, TorchReference(Masked(large).eval(), inputs), inputs, tmp_path)
    assert blamed(found) == right


class Collect(torch.nn.Module):
    def forward(self, x: Any, where: Any) -> Any:
        return torch.zeros_like(x[:4]).index_put((where,), x, accumulate=True)


def test_zeros_stand_in_for_nothing_and_the_scatter_that_forgets_to_add_is_named(tmp_path: Path):
    x = RANDOM.standard_normal((9, 5)).astype(np.float32)
    inputs = {"x": x, "where": np.arange(9) % 4}
    nodes = [
        ("Slice", "x zero four", "head", "head", {}),
        ("Mul", "head nil", "zeros", "clear", {}),
        ("Unsqueeze", "where last", "at", "places", {}),
        ("ScatterND", "zeros at x", "y", "collect", {}),
    ]
    weights = {"zero": np.array([0]), "four": np.array([4]), "nil": np.float32(0), "last": np.array([-1])}
    path = graph(tmp_path / "m.onnx", nodes, inputs, {"y": FLOAT}, weights)
    found = told(path, TorchReference(Collect().eval(), inputs), inputs, tmp_path)
    assert blamed(found) == "collect"


class Halving(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        while x.abs().sum() > 10:
            x = x * 0.5 + 0.01
        return x


def test_a_module_that_no_exporter_takes_is_watched_round_by_round(tmp_path: Path):
    x = np.full(40, 4.0, np.float32)
    reference = EagerReference(Halving().eval(), {"x": x})
    assert [node.op for node in reference.nodes].count("mul") == 5
    values = dict(reference.values({"x": x}))
    assert np.abs(values[reference.outputs[0]]).sum() <= 10
    nodes = [("Mul", "x part", "a", "halved", {}), ("Add", "a rest", "y", "raised", {})]
    for rest, right in ((0.01 * (1 + 0.5 + 0.25 + 0.125 + 0.0625), None), (0.05, "raised")):
        weights = {"part": np.float32(1 / 32), "rest": np.float32(rest)}
        path = graph(tmp_path / "m.onnx", nodes, {"x": x}, {"y": FLOAT}, weights)
        assert blamed(told(path, reference, {"x": x}, tmp_path)) == right


class Two(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.start, self.end = torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)

    def forward(self, x: Any) -> Any:
        return self.start(x), self.end(x)


def test_exchanged_outputs_are_said_and_no_node_is_blamed(tmp_path: Path):
    x = RANDOM.standard_normal((5, 8)).astype(np.float32)
    module = Two().eval()
    weights = {
        f"{name}_{part}": getattr(getattr(module, name), kind).detach().numpy().T
        for name in ("start", "end")
        for part, kind in (("w", "weight"), ("b", "bias"))
    }
    nodes = [
        ("Gemm", "x end_w end_b", "first", "of_end", {}),
        ("Gemm", "x start_w start_b", "second", "of_start", {}),
    ]
    path = graph(tmp_path / "m.onnx", nodes, {"x": x}, {"first": FLOAT, "second": FLOAT}, weights)
    found = told(path, TorchReference(module, {"x": x}), {"x": x}, tmp_path)
    assert (blamed(found), found.crossed) == (None, (("first", "second"),))
    right = told(path, TorchReference(module, {"x": x}), {"x": x}, tmp_path, outputs={"first": 1, "second": 0})
    assert (blamed(right), right.crossed) == (None, ())


def test_an_output_of_another_size_is_blamed_with_both_shapes(tmp_path: Path):
    x = RANDOM.random(30).astype(np.float32)
    x[4] = np.float32(0.8)

    class Kept(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.nonzero(x > 0.8)[:, 0]

    nodes = [
        ("GreaterOrEqual", "x limit", "keep", "compare", {}),
        ("NonZero", "keep", "places", "find", {}),
        ("Squeeze", "places first", "index", "flat", {}),
    ]
    weights = {"limit": np.float32(0.8), "first": np.array([0])}
    path = graph(tmp_path / "m.onnx", nodes, {"x": x}, {"index": INT64}, weights)
    found = told(path, TorchReference(Kept().eval(), {"x": x}), {"x": x}, tmp_path)
    assert blamed(found) in ("compare", "find", "flat")
    assert (tmp_path / "repro" / "reproduce.py").is_file()


@pytest.mark.parametrize("factor", [1.0, 0.3])
def test_codes_whose_range_fits_are_no_fault_and_a_range_that_clips_is(factor: float, tmp_path: Path):
    x = RANDOM.standard_normal((16, 32)).astype(np.float32)
    w = (RANDOM.standard_normal((32, 16)) / 6).astype(np.float32)
    plain = [("MatMul", "x w", "m", "product", {}), ("Relu", "m", "y", "relu", {})]
    reference = graph(tmp_path / "float.onnx", plain, {"x": x}, {"y": FLOAT}, {"w": w})
    step = float(np.abs(x).max()) / 127 * factor
    coded = [
        ("QuantizeLinear", "x step zero", "q", "to_codes", {}),
        ("DequantizeLinear", "q step zero", "xq", "from_codes", {}),
        ("MatMul", "xq w", "m", "product", {}),
        ("Relu", "m", "y", "relu", {}),
    ]
    weights = {"w": w, "step": np.float32(step), "zero": np.int8(0)}
    path = graph(tmp_path / "int8.onnx", coded, {"x": x}, {"y": FLOAT}, weights)
    found = told(path, OnnxReference(load(reference, {"x": x}), 1 << 20), {"x": x}, tmp_path)
    assert blamed(found) == (None if factor == 1.0 else "product")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("aten.index_put", "ScatterND", True),
        ("aten.linear", "Gemm", True),
        ("aten.linear", "MatMul", True),
        ("aten.index", "GatherND", True),
        ("aten.mul", "Mul", True),
        ("aten.mul", "Add", False),
        ("aten.layer_norm", "LayerNormalization", True),
        ("aten.softmax", "Softmax", True),
        ("aten.gt", "Greater", True),
        ("aten.conv1d", "Conv", True),
        ("aten.sub", "Sub", True),
    ],
)
def test_operators_of_one_kind_are_known_under_both_names(one: str, other: str, *, same: bool):
    assert same_kind(one, other) is same, (family(one), family(other))
