"""A pass leans on something: a variant that is another model, that ran as it stands, held against somebody else."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from assay.runner.graphs import marks, rounded
from assay.runner.graphs.precision import share_in, widened, words
from assay.runner.recipes import changes
from assay.runner.run.evidence import evidence_findings
from tests.conftest import assay

SUITE = """
name = "evidence"
[model.m]
onnx = "m.onnx"
version = "{version}"
[workload.w]
inputs = {{ x = {{ shape = [4, 64], scale = {scale} }} }}
batches = 2
{variants}
[[case]]
check = "parity"
models = ["m"]
variants = [{names}]
backends = ["onnxruntime"]
workloads = ["w"]
tolerance = {{ atol = 0.05, rtol = 0.05, same_dtype = false }}
"""


def network(*, squared: bool = False) -> onnx.ModelProto:
    """y = relu(x W1) W2; with `squared` over the root of the mean square of x, whose squares leave half precision."""
    random = np.random.default_rng(0)
    nodes, first = [], "x"
    weights = {"W1": random.standard_normal((64, 64)) / 8, "W2": random.standard_normal((64, 8)) / 8}
    held = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    if squared:
        held += [numpy_helper.from_array(np.array([-1]), "last")]
        nodes += [
            helper.make_node("Mul", ["x", "x"], ["xx"]),
            helper.make_node("ReduceMean", ["xx", "last"], ["mean"]),
            helper.make_node("Sqrt", ["mean"], ["root"]),
            helper.make_node("Div", ["x", "root"], ["normed"]),
        ]
        first = "normed"
    nodes += [
        helper.make_node("MatMul", [first, "W1"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "W2"], ["y"]),
    ]
    ports = ([helper.make_tensor_value_info(n, TensorProto.FLOAT, ["b", size])] for n, size in (("x", 64), ("y", 8)))
    return helper.make_model(
        helper.make_graph(nodes, "g", *ports, held), opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    )


def run(folder: Path, variants: str, *, scale: float = 1.0, squared: bool = False) -> dict[str, Any]:
    """What a run of these variants says: exit code, and by variant its case."""
    names = [line[len("[variant.") : -1] for line in variants.splitlines() if line.startswith("[variant.")]
    onnx.save(network(squared=squared), folder / "m.onnx")
    text = SUITE.format(variants=variants, names=", ".join(f'"{n}"' for n in names), scale=scale, version="v1")
    (folder / "suite.toml").write_text(text)
    done = assay("run", "suite.toml", "--json", db=folder / "assay.duckdb", cwd=folder)
    cases = {case["case"].split("/")[1]: case for case in done.document["cases"]}
    return {"code": done.code, **cases}


def test_a_recipe_that_changed_nothing_is_vacuous_and_names_the_operators_that_there_are(tmp_path: Path):
    done = run(tmp_path, '[variant.dyn]\nrecipe = "onnxruntime-dynamic"\noptions = { op_types = ["Matmul"] }\n')
    (verdict,) = [v for v in done["dyn"]["verdicts"] if v["subject"] == "parity"]
    assert (done["code"], verdict["outcome"]) == (4, "vacuous")
    assert "changed none of 3 nodes" in verdict["reason"]
    assert "MatMul" in verdict["reason"]


def test_a_recipe_that_changed_something_passes_plainly(tmp_path: Path):
    done = run(tmp_path, '[variant.dyn]\nrecipe = "onnxruntime-dynamic"\n')
    assert (done["code"], done["dyn"]["status"]) == (0, "ok")
    assert "int8" in done["dyn"]["precision"]


def test_half_precision_that_ran_in_float_is_judged_by_its_own_rounding(tmp_path: Path):
    done = run(tmp_path, '[variant.half]\nrecipe = "onnx-fp16"\n', scale=600.0, squared=True)
    by_subject = {verdict["subject"]: verdict for verdict in done["half"]["verdicts"]}
    assert by_subject["parity"]["outcome"] == "pass", "in float32 no square overflows"
    assert by_subject["rounded"]["outcome"] == "fail", "600 squared is beyond 65504"
    assert done["code"] == 1


def test_half_precision_that_bears_its_rounding_passes_and_says_what_ran(tmp_path: Path):
    done = run(tmp_path, '[variant.half]\nrecipe = "onnx-fp16"\n', squared=True)
    assert (done["code"], {v["outcome"] for v in done["half"]["verdicts"]}) == (0, {"pass"})
    assert "rounded" in {v["subject"] for v in done["half"]["verdicts"]}
    (told,) = [f for f in done["half"]["findings"] if f["kind"] == "precision_not_as_stored"]
    assert told["severity"] == "warning"


def test_a_precision_that_was_asked_for_and_did_not_run_fails(tmp_path: Path):
    done = run(tmp_path, '[variant.half]\nrecipe = "onnx-fp16"\nprecision = "float16"\n')
    assert (done["code"], done["half"]["status"] == "ok") == (1, False)
    assert "float16 was asked for" in done["half"]["error"]


def test_a_golden_of_the_very_file_is_vacuous_and_of_another_one_is_not(tmp_path: Path):
    run(tmp_path, '[variant.dyn]\nrecipe = "onnxruntime-dynamic"\n')
    text = (tmp_path / "suite.toml").read_text()
    text = text.replace('variants = ["dyn"]', 'variants = ["fp32"]')
    (tmp_path / "suite.toml").write_text(text)
    db = tmp_path / "assay.duckdb"
    named = ("--model", "m", "--workload", "w", "--name", "kept")
    assert assay("golden", "record", "suite.toml", *named, db=db, cwd=tmp_path).code == 0
    (tmp_path / "suite.toml").write_text(text.replace('workloads = ["w"]', 'golden = "kept"'))
    done = assay("run", "suite.toml", "--json", db=db, cwd=tmp_path)
    (verdict,) = [v for v in done.document["cases"][0]["verdicts"] if v["subject"] == "parity"]
    assert (done.code, verdict["outcome"]) == (4, "vacuous")
    assert "recorded from this very model" in verdict["reason"]
    model = onnx.load(tmp_path / "m.onnx")
    other = numpy_helper.to_array(model.graph.initializer[0]) * 2
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(other, "W1"))
    onnx.save(model, tmp_path / "m.onnx")
    (tmp_path / "suite.toml").write_text(
        text.replace('workloads = ["w"]', 'golden = "kept"').replace('version = "v1"', 'version = "v2"')
    )
    assert assay("run", "suite.toml", "--json", db=db, cwd=tmp_path).code == 1


def test_nodes_that_read_narrower_types_than_before_are_counted(tmp_path: Path):
    onnx.save(network(), tmp_path / "a.onnx")
    whole = marks.nodes_of(tmp_path / "a.onnx")
    assert marks.changed(whole, whole) == 0
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(tmp_path / "a.onnx", tmp_path / "b.onnx", weight_type=QuantType.QInt8)
    assert marks.changed(marks.nodes_of(tmp_path / "b.onnx"), whole) == 2, "both products"


OPERATORS = st.lists(st.sampled_from(["Matmul", "matmul", "Conv", "Gemm", "LSTM", "Attention", "Add"]), max_size=3)


@given(names=OPERATORS, squared=st.booleans())
@settings(max_examples=15, deadline=None)
def test_a_quantizer_that_finds_none_of_its_operators_never_counts_a_node(names: list[str], squared: bool):
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with TemporaryDirectory() as folder:
        a, b = Path(folder) / "a.onnx", Path(folder) / "b.onnx"
        onnx.save(network(squared=squared), a)
        quantize_dynamic(a, b, weight_type=QuantType.QInt8, op_types_to_quantize=names or ["Nothing"])
        assert marks.changed(marks.nodes_of(b), marks.nodes_of(a)) == 0
        quantize_dynamic(a, b, weight_type=QuantType.QInt8, op_types_to_quantize=[*names, "MatMul"])
        assert marks.changed(marks.nodes_of(b), marks.nodes_of(a)) == 2


def test_an_operator_in_another_spelling_is_named(tmp_path: Path):
    (tmp_path / "m").mkdir()
    onnx.save(network(), tmp_path / "m" / "a.onnx")
    path = tmp_path / "m" / "a.onnx"
    found = changes.of("onnxruntime-dynamic", {"op_types": ["Matmul"]}, path, path)
    assert (found.nodes, found.changed) == (3, 0)
    assert [f["kind"] for f in found.findings] == ["nothing_changed", "no_such_operator"]


def test_a_file_that_grew_is_said(tmp_path: Path):
    assert changes.not_smaller("r", 100, 200) == []
    (told,) = changes.not_smaller("r", 143, 100)
    assert "43% larger, not smaller" in told["message"]


@pytest.mark.parametrize(("dtype", "number"), [("float16", TensorProto.FLOAT16), ("bfloat16", TensorProto.BFLOAT16)])
def test_a_rounded_graph_rounds_every_result_to_its_own_type(tmp_path: Path, dtype: str, number: int):
    import onnxruntime as ort

    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "x"], ["xx"]), helper.make_node("Sqrt", ["xx"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", number, ["n"])],
        [helper.make_tensor_value_info("y", number, ["n"])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), tmp_path / "a.onnx")
    assert rounded.write(tmp_path / "a.onnx", tmp_path / "b.onnx")
    session = ort.InferenceSession(tmp_path / "b.onnx")
    (y,) = session.run(None, {"x": np.array([3.0, 300.0], np.float32)})
    assert y[0] == 3.0
    assert np.isinf(y[1]) == (dtype == "float16"), "90,000 is beyond half precision, and within bfloat16"


@pytest.mark.parametrize(
    ("asked", "kept", "kind", "severity"),
    [
        ("float16", {"products": {"float16": 1}, "others": {}}, "precision_unknown", "vacuous"),
        (None, {"products": {"float16": 1}, "others": {}}, "precision_unknown", "note"),
        (None, {"products": {"float32": 1}, "others": {}}, None, None),
        ("float16", None, "precision_unknown", "vacuous"),
    ],
)
def test_a_backend_that_does_not_say_what_it_computed_in_proves_no_precision(
    asked: str | None, kept: Any, kind: str | None, severity: str | None
):
    choice = SimpleNamespace(kind="onnxruntime", allow_fallback=False)
    recipe = SimpleNamespace(recipe="onnx-fp16", precision=asked)
    case = SimpleNamespace(recipe=recipe, choice=choice, backend="onnxruntime", golden=None, variant="half")
    seen = {"stored": kept, "executed": None, "rounded_steps": 0, "not_rounded": None}
    told = {"arithmetic": [seen], "finding": []}
    outcome: Any = SimpleNamespace(case=case, opened={}, receipts=[], told=told)
    found = [(f["kind"], f["severity"]) for f in evidence_findings(outcome)]
    assert found == ([(kind, severity)] if kind else [])


def test_what_ran_wider_than_it_is_stored_is_counted_in_words():
    half = {"products": {"float16": 3}, "others": {}}
    single = {"products": {"float32": 3}, "others": {}}
    assert widened(half, half) is None
    assert widened(half, single) == ("products in float16", 3, 3)
    assert (share_in("float16", half), share_in("float16", single), share_in("float16", None)) == (1.0, 0.0, None)
    assert words(single) == "products 3 float32"
