"""Engines are read in both schemas, matched by the nodes that they compute, and audited for what really runs.

The fixtures have the shape of the vendor's documentation; they are of no real engine.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from assay.runner.errors import UsageError
from assay.runner.graphs.engine_layers import Engine, read
from assay.runner.graphs.engine_pair import Profiled, audit, beside, matches, times, why_not_faster
from tests.conftest import assay
from tests.places import FIXTURES

FILES = FIXTURES / "tensorrt"


def engine(name: str) -> Engine:
    return read((FILES / name).read_text())


FP32, INT8 = engine("layers-10-fp32.json"), engine("layers-11-int8.json")
FP32_MS, INT8_MS = (times((FILES / name).read_text()) for name in ("profile-10-fp32.json", "profile-11-int8.json"))


def test_both_schemas_say_ports_types_layouts_and_fused_nodes():
    assert (FP32.ports, INT8.ports) == (("x", "y"), ("x", "y"))
    ten, eleven = FP32.layers[0], INT8.layers[2]
    assert (ten.nodes, eleven.nodes) == (("/conv1/Conv", "/relu/Relu"), ("/conv1/Conv",))
    assert (ten.inputs[0].dtype, eleven.inputs[0].dtype) == ("float32", "int8")
    assert eleven.inputs[0].layout == "Thirty-two wide channel vectorized row major"
    assert (ten.precision, eleven.precision, ten.inputs[0].shape) == ("float32", "int8", (1, 3, 8, 8))


def test_layers_are_told_by_what_they_do():
    assert [layer.reformats for layer in INT8.layers] == [False, True, False, False, False]
    assert [layer.quantizes for layer in INT8.layers] == [True, False, False, False, False]
    assert [layer.multiplies for layer in INT8.layers] == [False, False, True, False, True]


@pytest.mark.parametrize(
    ("words", "dtype"),
    [
        ("Row major linear FP16 format", "float16"),
        ("Two wide channel vectorized row major Half", "float16"),
        ("BF16", "bfloat16"),
        ("Row major Int8 format", "int8"),
        ("FP8", "float8"),
        ("Channel major FP32 format where channel % 4 == 0", "float32"),
        ("INT4", "int4"),
        ("N/A", None),
    ],
)
def test_types_are_read_from_the_words_of_either_release(words: str, dtype: str | None):
    (layer,) = read(json.dumps({"Layers": [{"Name": "a", "Inputs": [{"Name": "x", "Format/Datatype": words}]}]})).layers
    assert layer.inputs[0].dtype == dtype


def test_layers_that_share_a_node_stand_for_each_other_however_they_were_fused():
    found = matches(FP32, INT8, FP32_MS, INT8_MS)
    assert [match.nodes for match in found] == [("/conv1/Conv", "/relu/Relu"), ("/fc/Gemm",), ("/x_QuantizeLinear",)]
    conv, fc, quantize = found
    assert (conv.fused, fc.fused) == ("1 -> 2 layers", "")
    assert (conv.a_ms, conv.b_ms) == pytest.approx((0.3, 0.2))
    assert (quantize.a, quantize.a_ms, quantize.b_ms) == ((), None, 0.04)


def test_an_engine_that_was_asked_for_int8_and_multiplies_half_in_float32_passes_by_no_more_than_half():
    checked = audit(INT8, "int8", INT8_MS)
    assert checked.by_precision == {"int8": 0.5, "float32": 0.5}
    assert (checked.outcome, checked.wrong, checked.timed) == ("pass", ("/fc/Gemm",), True)


def test_a_float32_engine_that_was_asked_for_float16_fails():
    checked = audit(FP32, "float16", {})
    assert (checked.outcome, checked.by_precision, checked.timed) == ("fail", {"float32": 1.0}, False)


def test_an_engine_without_details_proves_nothing():
    bare = read(json.dumps({"Layers": ["/conv1/Conv", "/fc/Gemm"], "Bindings": ["x"]}))
    assert not bare.detailed
    assert audit(bare, "int8", {}).outcome == "vacuous"


def test_what_keeps_it_slow_is_named_the_largest_first():
    assert why_not_faster(INT8, INT8_MS) == [
        "25% of the time in products in float32: 1 (/fc/Gemm)",
        (
            "15% of the time in copies into another layout or type: 1 (Reformatting CopyNode for Input Tensor 0 to"
            " /conv1/Conv + /relu/Relu)"
        ),
        "10% of the time in Q and DQ that were fused into nothing: 1 (/x_QuantizeLinear)",
    ]
    assert why_not_faster(Engine((), (), detailed=False), {}) == []


@pytest.mark.parametrize("text", ["{", "[]", '{"Layers": 3}', '{"layers": []}'])
def test_what_is_no_layer_information_is_refused(text: str):
    with pytest.raises(UsageError):
        read(text)
    with pytest.raises(UsageError, match="not a profile"):
        times("3")


def files(*names: str) -> list[Any]:
    return [FILES / name for name in names]


def test_the_command_compares_audits_and_ends_with_the_audits_code(tmp_path: Path):
    a, b, pa, pb = files("layers-10-fp32.json", "layers-11-int8.json", "profile-10-fp32.json", "profile-11-int8.json")
    done = assay("engines", a, b, "--profile-a", pa, "--profile-b", pb, "--asked", "int8", "--json")
    assert done.code == 0, done.err
    assert done.document["audit"]["outcome"] == "pass"
    assert done.document["layers"][0]["precision"] == "float32 -> int8"
    assert len(done.document["why_not_faster"]) == 3
    assert assay("engines", b, a, "--asked", "int8").code == 1
    wrong = assay("engines", a, b, "--asked", "int9")
    assert (wrong.code, "Did you mean 'int8'?" in wrong.err) == (2, True)
    missing = assay("engines", a, tmp_path / "none.json")
    assert (missing.code, "cannot read" in missing.err) == (2, True)


def test_profiled_layers_of_an_engine_stand_beside_those_that_compute_the_same_nodes():
    fp32, int8 = Profiled(FP32, FP32_MS), Profiled(INT8, INT8_MS)
    reformat = "Reformatting CopyNode for Input Tensor 0 to /conv1/Conv + /relu/Relu"
    layers = [{"name": name} for name in ("/conv1/Conv", "/fc/Gemm", reformat)]
    made = {layer["name"]: (layer["reference_name"], layer["reference_us"]) for layer in beside(layers, int8, fp32)}
    assert made["/conv1/Conv"] == ("/conv1/Conv + /relu/Relu", pytest.approx(1e3 * FP32_MS["/conv1/Conv + /relu/Relu"]))
    assert made["/fc/Gemm"] == ("/fc/Gemm", pytest.approx(1e3 * FP32_MS["/fc/Gemm"]))
    assert made[reformat] == (None, None)
