"""First divergence: which operator, in which layer, and that it can be seen alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from assay.runner.divergence import align, hints
from assay.runner.divergence.blame import Link, chain
from assay.runner.divergence.explanation import explain
from assay.runner.divergence.onnx_walk import OnnxReference
from assay.runner.divergence.reference import RefNode
from assay.runner.divergence.repro import write_reproduction
from assay.runner.divergence.torch_walk import TorchReference
from assay.runner.divergence.walk import rounding
from assay.runner.errors import UsageError
from assay.runner.graphs.onnx_graph import load, segments
from assay.runner.models import faults, scaling, streaming_encoder
from assay.runner.rules.contract import parse_contract


@pytest.fixture(scope="module")
def chunk() -> dict[str, Any]:
    """A chunk in the middle of a stream: no state is zero."""
    inputs = next(streaming_encoder.features(3, 1))
    states = parse_contract(streaming_encoder.contract()).initial_states(inputs)
    random = np.random.default_rng(0)
    filled = {
        n: random.standard_normal(a.shape).astype(a.dtype) if a.dtype.kind == "f" else a + 12 for n, a in states.items()
    }
    return {**inputs, **filled}


@pytest.fixture(scope="module")
def encoder(chunk: dict[str, Any]) -> TorchReference:
    return TorchReference(streaming_encoder.module().eval(), chunk)


def exported(path: Path, chunk: dict[str, Any], *, dynamo: bool, **fault: Any) -> Path:
    module = streaming_encoder.module(**fault).eval()
    onnx.save(
        faults.exported(module, chunk, streaming_encoder.OUTPUTS, {"audio_signal": {2: "T"}}, dynamo=dynamo), path
    )
    return path


@pytest.mark.parametrize("dynamo", [True, False], ids=["dynamo", "legacy"])
@pytest.mark.parametrize(
    ("fault", "amount", "layer", "operator"),
    [
        ("norm", 1e-2, "layers.1.norm", "layer_norm"),
        ("attention", 1e-3, "layers.1.attention", "m"),
        ("convolution", 1e-3, "layers.1.convolution.depthwise", "conv1d"),
    ],
)
def test_a_fault_in_one_layer_of_an_encoder_is_found_in_that_layer(
    fault: str,
    amount: float,
    layer: str,
    operator: str,
    *,
    dynamo: bool,
    chunk: dict[str, Any],
    encoder: TorchReference,
    tmp_path: Path,
):
    path = exported(tmp_path / "m.onnx", chunk, dynamo=dynamo, fault=fault, amount=amount, layer=1)
    found = explain(path, encoder, chunk)
    assert found.suspect is not None
    assert found.suspect.entry.layer == layer
    assert operator in found.suspect.entry.reference_op
    assert found.by == ("name" if dynamo else "value")


@pytest.mark.parametrize("dynamo", [True, False], ids=["dynamo", "legacy"])
def test_a_sound_export_has_no_suspect_and_local_errors_of_rounding(
    *, dynamo: bool, chunk: dict[str, Any], encoder: TorchReference, tmp_path: Path
):
    found = explain(exported(tmp_path / "m.onnx", chunk, dynamo=dynamo), encoder, chunk)
    assert found.suspect is None
    assert found.aligned > 60
    assert max(entry.local_rel_l2 or 0 for entry in found.entries) < 1e-6


def test_a_bias_on_a_state_is_found_and_described_although_every_output_is_within_1e_4(
    chunk: dict[str, Any], encoder: TorchReference, tmp_path: Path
):
    found = explain(exported(tmp_path / "m.onnx", chunk, dynamo=True, fault="state_bias", amount=9e-5), encoder, chunk)
    assert found.suspect is not None
    assert found.suspect.entry.output == "cache_last_channel_out"
    assert "every element is off by 9e-05: a bias" in str(found.suspect.entry.hint)


@pytest.mark.parametrize(
    ("quantile", "median", "regime", "operator"),
    [
        ("round", "lower", "recording", "aten.quantile"),
        ("round", "first", "small", "aten.quantile"),
        ("linear", "first", "recording", "aten.median"),
        ("linear", "mean", "small", "aten.median"),
    ],
)
def test_a_graph_made_by_hand_is_aligned_by_its_values_and_the_operator_is_named(
    quantile: str, median: str, regime: str, operator: str, tmp_path: Path
):
    onnx.save(scaling.onnx_model(quantile, median), tmp_path / "m.onnx")
    sizes = {"recording": (384, 1000), "small": (8, 12)}[regime]
    traces = next(scaling.traces(0, 1, regime=regime, channels=sizes[0], samples=sizes[1]))
    found = explain(tmp_path / "m.onnx", TorchReference(scaling.module().eval(), traces), traces)
    assert found.by == "value"
    assert found.suspect is not None
    assert operator in found.suspect.entry.reference_op
    assert ("interpolate" if operator == "aten.quantile" else "lower of the two") in str(found.suspect.entry.hint)


def test_the_reproduction_shows_the_local_error_alone(chunk: dict[str, Any], encoder: TorchReference, tmp_path: Path):
    found = explain(exported(tmp_path / "m.onnx", chunk, dynamo=True, fault="norm", amount=1e-2), encoder, chunk)
    folder = write_reproduction(tmp_path / "repro", found.suspect)
    assert folder is not None
    assert found.suspect is not None
    assert len(onnx.load(folder / "model.onnx").graph.node) <= len(found.suspect.entry.between)
    done = subprocess.run([sys.executable, "reproduce.py"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert f"max |error| {found.suspect.entry.local_max_abs:.4g}"[:18] in done.stdout


def test_a_small_budget_walks_in_more_segments_and_finds_the_same(
    chunk: dict[str, Any], encoder: TorchReference, tmp_path: Path
):
    path = exported(tmp_path / "m.onnx", chunk, dynamo=True, fault="norm", amount=1e-2)
    roomy = explain(path, encoder, chunk)
    tight = explain(path, encoder, chunk, max_memory=2 * roomy.peak_live_bytes + 3 * 65536)
    assert tight.segments > roomy.segments == 1
    assert tight.suspect is not None
    assert roomy.suspect is not None
    assert tight.suspect.entry == roomy.suspect.entry
    with pytest.raises(UsageError, match="less than one node"):
        explain(path, encoder, chunk, max_memory=1000)


def layered(depth: int, *, wrong: int | None = None) -> Any:
    """x -> [MatMul, Add, Relu] * depth; the bias of one layer is off."""
    random = np.random.default_rng(0)
    nodes, weights, last = [], [], "x"
    for number in range(depth):
        bias = np.zeros(16, np.float32) + (0.01 if number == wrong else 0)
        weights += [
            numpy_helper.from_array((random.standard_normal((16, 16)) / 4).astype(np.float32), f"w{number}"),
            numpy_helper.from_array(bias, f"b{number}"),
        ]
        nodes += [
            helper.make_node("MatMul", [last, f"w{number}"], [f"m{number}"], f"matmul{number}"),
            helper.make_node("Add", [f"m{number}", f"b{number}"], [f"a{number}"], f"add{number}"),
            helper.make_node("Relu", [f"a{number}"], [f"r{number}"], f"relu{number}"),
        ]
        last = f"r{number}"
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 16])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, [4, 16])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


X = {"x": np.random.default_rng(1).standard_normal((4, 16)).astype(np.float32)}


def test_one_onnx_graph_is_walked_against_another(tmp_path: Path):
    onnx.save(layered(6), tmp_path / "right.onnx")
    onnx.save(layered(6, wrong=3), tmp_path / "wrong.onnx")
    found = explain(tmp_path / "wrong.onnx", OnnxReference(load(tmp_path / "right.onnx", X), 1 << 20), X)
    assert found.suspect is not None
    assert found.suspect.entry.node == "add3"
    assert "off by 0.01" in str(found.suspect.entry.hint)
    later = [entry for entry in found.entries if entry.position > found.suspect.entry.position]
    assert all((entry.accumulated_max_abs or 0) > 1e-4 > (entry.local_max_abs or 0) for entry in later)


def test_a_quantized_graph_is_walked_against_its_float_one(tmp_path: Path):
    from onnxruntime.quantization import QuantType, quantize_dynamic

    onnx.save(layered(4), tmp_path / "float.onnx")
    quantize_dynamic(tmp_path / "float.onnx", tmp_path / "int8.onnx", weight_type=QuantType.QInt8)
    found = explain(tmp_path / "int8.onnx", OnnxReference(load(tmp_path / "float.onnx", X), 1 << 20), X)
    assert "DynamicQuantizeLinear" in " ".join(node.op_type for node in load(tmp_path / "int8.onnx", X).nodes)
    assert found.suspect is None, "codes that lose what codes lose are no fault"
    worst = max(found.entries, key=lambda entry: entry.jump)
    assert worst.output in {"m0", "m1", "m2", "m3"}
    assert 1e-3 < (worst.local_rel_l2 or 0) < 0.05


def test_two_different_models_cannot_be_aligned(tmp_path: Path):
    onnx.save(layered(2), tmp_path / "a.onnx")
    reference = TorchReference(
        scaling.module().eval(), next(scaling.traces(0, 1, regime="small", channels=8, samples=12))
    )
    with pytest.raises(UsageError, match="different models"):
        explain(
            tmp_path / "a.onnx",
            reference,
            X,
            reference_inputs=next(scaling.traces(0, 1, regime="small", channels=8, samples=12)),
        )


def test_segments_hold_no_more_than_their_budget_and_every_node_once(tmp_path: Path):
    onnx.save(layered(10), tmp_path / "m.onnx")
    graph = load(tmp_path / "m.onnx", X)
    runs = segments(graph, 3 * 256)
    assert [node.index for run in runs for node in run] == list(range(30))
    assert max(sum(graph.bytes_of(name) for node in run for name in node.writes) for run in runs) <= 3 * 256
    assert graph.peak_live_bytes() == 2 * 256


def test_signatures_tell_values_apart_whatever_their_shape():
    random = np.random.default_rng(0)
    x = random.standard_normal(1000)
    assert align.signature(x).distance(align.signature(x.reshape(10, 100))) == 0
    assert align.signature(x).distance(align.signature(x * 1.001)) == pytest.approx(1e-3, rel=0.2)
    assert align.signature(x).distance(align.signature(random.standard_normal(1000))) > 0.5
    assert align.signature(x).distance(align.signature(x[:999])) == np.inf
    assert align.signature(x).distance(align.signature(np.sort(x))) > 0.3


def test_a_value_that_is_computed_in_another_way_is_not_missing():
    """The candidate has no stacked quantiles, but has everything that is made of them."""
    nodes = [
        RefNode("q", "aten.quantile", None, ("x",)),
        RefNode("lo", "aten.select", None, ("q",)),
        RefNode("hi", "aten.select", None, ("q",)),
        RefNode("d", "aten.sub", None, ("lo", "hi")),
    ]
    values = {
        "q": np.array([[1.1, 2.2, 3.3, 4.4, 5.6], [6.3, 7.1, 8.9, 9.5, 9.9]]),
        "d": np.array([5.2, 4.9, 5.6, 5.1, 4.3]),
    }
    values |= {"lo": values["q"][0], "hi": values["q"][1]}
    reference = {name: align.signature(array) for name, array in values.items()}
    candidate = {f"c_{name}": align.signature(values[name]) for name in ("lo", "hi", "d")}
    made = {
        "c_lo": align.Made("Gather", ("x",)),
        "c_hi": align.Made("Gather", ("x",)),
        "c_d": align.Made("Sub", ("c_lo", "c_hi")),
    }
    found = align.by_value(nodes, reference, candidate, ["x"], made)
    assert (found.missing, found.pairs) == (None, {"c_lo": "lo", "c_hi": "hi", "c_d": "d"})
    del candidate["c_hi"], candidate["c_d"]
    assert align.by_value(nodes, reference, candidate, ["x"], made).missing == "q"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x + 0.5, "bias"),
        (lambda x: x * 1.5, "1.5 times"),
        (lambda x: x[::-1].copy(), "another order"),
        (lambda x: np.where(np.arange(100) == 7, 0, x), "1.0% of the elements"),
        (lambda x: x, None),
        (lambda x: np.random.default_rng(9).standard_normal(x.size), None),
    ],
)
def test_the_shape_of_an_error_is_described(change: Any, words: str | None):
    x = np.random.default_rng(0).standard_normal(100)
    described = hints.pattern(x, change(x))
    assert described is None if words is None else words in str(described)


def test_errors_of_rounded_products_are_recognised_by_their_size():
    random = np.random.default_rng(0)
    a, b = random.standard_normal((64, 256)).astype(np.float32), random.standard_normal((256, 64)).astype(np.float32)

    def rounded(x: Any, dropped: int) -> Any:
        return ((x.view(np.int32) + (1 << (dropped - 1))) >> dropped << dropped).view(np.float32)

    for dropped, name in ((13, "TF32"), (16, "bfloat16")):
        error = np.linalg.norm(rounded(a, dropped) @ rounded(b, dropped) - a @ b) / np.linalg.norm(a @ b)
        assert name in str(hints.reduced_precision(float(error)))
    assert hints.reduced_precision(1e-7) is None
    assert hints.reduced_precision(0.1) is None


def test_the_chain_says_which_link_adds_the_error_and_which_is_left_out():
    def link(offset: float) -> Any:
        return lambda inputs: {"y": inputs["x"] + offset}

    links = [
        Link("exact", link(0.0)),
        Link("broken", None, "not here"),
        Link("float", link(0.001)),
        Link("shipped", link(0.1)),
    ]
    edges = list(chain(links, [{"x": np.arange(4.0)}]))
    assert [(e["edge_from"], e["edge_to"]) for e in edges] == [("exact", "float"), ("float", "shipped")]
    assert "broken is left out" in edges[0]["problem"]
    assert edges[1]["max_abs"] == pytest.approx(0.099)
    assert edges[1]["share"] > 0.99


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", "bool"])
def test_no_rounding_explains_a_unit_of_a_whole_number(dtype: str):
    unit = 1 / (2.0**63 * 1e9**0.5)  # in the norm of 10^9 of the largest integers
    assert 16 * rounding(np.dtype(dtype), 4096, 1) < unit < rounding(np.dtype("float64"), 4096, 1)
