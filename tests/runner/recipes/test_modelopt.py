"""ModelOpt's quantizers run in their own environment, on real calibration data, and what they make is read as it is."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from assay.runner.errors import EnvironmentMissing, UsageError
from assay.runner.recipes import modelopt
from assay.runner.recipes.build import Ingredients, build
from assay.runner.recipes.calibration import CalibrationData
from assay.runner.workloads.asked import Workload
from tests.conftest import QUANTIZED, assay, once
from tests.places import ROOT

ENVIRONMENT = ROOT / ".venv-quantizers/bin/python"
needs_modelopt = pytest.mark.skipif(not ENVIRONMENT.is_file(), reason="make quantizers")

CASES = """
[variant.int8]
recipe = "modelopt"
calibration = "calibration"
options = { mode = "int8", method = "max", nodes_to_exclude = ["node_linear_1"] }
[variant.awq]
recipe = "modelopt"
calibration = "calibration"
options = { mode = "int4", method = "awq_clip" }
[variant.autocast]
recipe = "modelopt-autocast"
[[case]]
check = ["ledger", "quality"]
models = ["digits"]
workloads = ["test"]
variants = ["int8", "awq", "autocast"]
policy = "general"
"""


@dataclass(frozen=True)
class Made:
    db: Path
    document: Any

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        import duckdb

        with duckdb.connect(str(self.db), read_only=True) as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    def record(folder: Path) -> Any:
        (folder / "q.toml").write_text(QUANTIZED + CASES)
        done = assay("run", folder / "q.toml", "--json", db=folder / "assay.duckdb")
        assert done.code == 0, done.err
        return done.document

    folder, document = once(tmp_path_factory, "modelopt", record)
    return Made(folder / "assay.duckdb", document)


@needs_modelopt
def test_each_mode_is_recorded_with_its_quality_and_its_data(made: Made):
    found = made.rows("""
        select a.variant, a.calibration, length(a.calibration_sha256), m.value from case_result c
        join artifact a using (artifact_id) join measurement m using (case_id)
        where m.metric = 'quality_drop_relative' order by 1""")
    assert [row[:3] for row in found] == [
        ("autocast", None, None),
        ("awq", "calibration", 64),
        ("int8", "calibration", 64),
    ]
    assert all(abs(drop) < 0.02 for *_, drop in found)


@needs_modelopt
def test_weights_that_stay_in_float_behind_their_pairs_are_counted_as_they_are_stored(made: Made):
    found = made.rows("""
        select node, scheme, bits_per_weight, sqnr_db from ledger join case_result using (case_id)
        where variant = 'int8' and kind = 'weight'""")
    assert len(found) > 5
    assert all(scheme.startswith("int8") and scheme.endswith("stored as float32") for _, scheme, *_ in found)
    assert all(bits >= 32 and 30 < decibels < 60 for *_, bits, decibels in found)
    assert "node_linear_1" not in {node for node, *_ in found}


@needs_modelopt
def test_a_weight_in_four_bits_is_judged_by_its_product_too(made: Made):
    found = dict(
        made.rows("""
        select kind, min(coalesce(executed_sqnr_db, sqnr_db)) from ledger join case_result using (case_id)
        where variant = 'awq' group by kind""")
    )
    assert set(found) == {"weight", "output"}
    assert found["output"] > 20


@needs_modelopt
def test_autocast_leaves_weights_and_activations_in_16_bits(made: Made):
    found = made.rows(
        """
        select kind, scheme, min(sqnr_db) from ledger join case_result using (case_id)
            where variant = 'autocast' group by all"""
    )
    assert {kind for kind, *_ in found} == {"weight", "bias", "activation"}
    assert {scheme for _, scheme, _ in found} == {"float16 per tensor"}
    assert all(worst > 60 for *_, worst in found)


@needs_modelopt
def test_ranges_are_those_of_the_data_and_not_of_random_numbers(tmp_path: Path):
    made = tmp_path / "made"
    made.mkdir()
    modelopt.build(ingredients(tmp_path, made / "model.onnx", {"mode": "int8", "method": "max"}))
    graph = onnx.load(made / "model.onnx").graph
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    pair = next(node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] == "x")
    # the largest of all batches is 12.7: a step of 0.1
    assert float(held[pair.input[1]]) == pytest.approx(12.7 / 127)


@needs_modelopt
def test_what_is_made_depends_on_the_versions_of_that_environment(tmp_path: Path):
    told = modelopt.tools({}, tmp_path)
    assert set(told) == {"nvidia-modelopt", "onnx", "onnxruntime", "torch", "script"}
    assert told["nvidia-modelopt"] == "0.47.0"


@needs_modelopt
def test_an_error_there_is_told_in_its_words(tmp_path: Path):
    with pytest.raises(UsageError, match=r"ModelOpt failed: \w+: .*warp"):
        modelopt.build(ingredients(tmp_path, tmp_path / "model.onnx", {"calibration_eps": ["warp"]}))


@needs_modelopt
def test_a_file_in_which_nothing_was_quantized_is_no_int8_file(tmp_path: Path):
    with pytest.raises(UsageError, match="quantized nothing"):
        modelopt.build(ingredients(tmp_path, tmp_path / "model.onnx", {"op_types_to_quantize": ["Conv"]}))


def test_ranges_are_never_learnt_from_nothing(tmp_path: Path):
    asked = ingredients(tmp_path, tmp_path / "model.onnx", {"mode": "int8"})
    with pytest.raises(UsageError, match=r"would make random data up"):
        modelopt.build(Ingredients(**{name: getattr(asked, name) for name in asked.__slots__} | {"calibration": None}))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "int9"}, "mode cannot be 'int9'. Did you mean 'int8'"),
        ({"mode": "int4", "method": "entropy"}, "method of int4 cannot be 'entropy'"),
        ({"high_precision_dtype": "fp17"}, "high_precision_dtype cannot be 'fp17'. Did you mean 'fp16'"),
        ({"methd": "max"}, "no option 'methd'. Did you mean 'method'"),
        ({"nodes_to_exclude": ["produkt"]}, "no node 'produkt'. Did you mean 'product'"),
        ({"python": "/no/such/python"}, "'/no/such/python' by option `python`, cannot be run"),
    ],
)
def test_what_is_not_known_is_said_before_anything_runs(tmp_path: Path, options: dict, words: str):
    with pytest.raises(UsageError) as told:
        modelopt.build(ingredients(tmp_path, tmp_path / "model.onnx", options))
    assert words in str(told.value)


def test_without_the_environment_the_error_says_how_to_make_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(modelopt, "_ENVIRONMENT", Path(".no-such-environment/bin/python"))
    monkeypatch.delenv("ASSAY_QUANTIZERS", raising=False)
    with pytest.raises(EnvironmentMissing, match=r"make quantizers.*ASSAY_QUANTIZERS"):
        modelopt.build(ingredients(tmp_path, tmp_path / "model.onnx", {}))


def test_an_environment_without_modelopt_is_an_error_before_the_cache_is_asked(tmp_path: Path):
    asked = ingredients(tmp_path, tmp_path / "model.onnx", {"python": sys.executable})
    with pytest.raises(EnvironmentMissing, match="has no ModelOpt"):
        build("modelopt", asked, "origin", tmp_path / "cache")


def test_a_program_that_dies_is_an_error_with_its_last_words_and_one_that_nobody_allowed_is_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    dying = tmp_path / "python"
    dying.write_text(f"#!/bin/sh\ntouch {tmp_path / 'RAN'}\necho out of memory >&2\nexit 137\n")
    dying.chmod(0o755)
    with pytest.raises(UsageError, match="--allow-code="):
        modelopt.build(ingredients(tmp_path, tmp_path / "model.onnx", {"python": str(dying)}))
    assert not (tmp_path / "RAN").exists()
    monkeypatch.setenv("ASSAY_ALLOW_CODE", str(tmp_path))
    with pytest.raises(UsageError, match="ended with code 137: out of memory"):
        modelopt.build(ingredients(tmp_path, tmp_path / "model.onnx", {"python": str(dying)}))


def ingredients(tmp_path: Path, target: Path, options: dict[str, Any]) -> Ingredients:
    """One product, and two batches of data whose largest value is 12.7."""
    base = tmp_path / "base"
    base.mkdir(exist_ok=True)
    weight = np.random.default_rng(0).standard_normal((32, 32)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 32])],
        [numpy_helper.from_array(weight, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), base / "model.onnx")
    data = np.zeros((2, 4, 32), np.float32)
    data[0, 0, 0], data[1, 0, 0] = -12.7, 6.0
    np.savez(tmp_path / "data.npz", x=data)
    return Ingredients(
        target=target,
        options=options,
        example={"x": data[0]},
        module=None,
        base=base / "model.onnx",
        onnx=None,
        onnx_options={},
        folder=tmp_path,
        output_names=("y",),
        calibration=CalibrationData("real", Workload(file="data.npz", batches=2), 0, tmp_path),
    )
