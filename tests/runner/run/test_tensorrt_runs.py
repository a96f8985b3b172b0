"""Whole runs on TensorRT, the worker's TensorRT being the double: rows, engines, verdicts, failures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from assay.schema.store.database import Store, reading, snapshot
from tests.conftest import assay, once
from tests.places import ROOT

pytestmark = pytest.mark.slow

ON_THE_DOUBLE = f"{ROOT}:{ROOT / 'tests' / 'tensorrt_double' / 'site'}"

MODEL = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = torch.nn.Linear(8, 16), torch.nn.Linear(16, 4)

    def forward(self, x):
        return self.second(torch.relu(self.first(x)))

def net():
    return Net()
"""

SUITE = """
name = "engines"

[model.net]
pytorch = "mine.py:net"
outputs = ["y"]

[workload.rows]
inputs = { x = { shape = [4, 8] } }
batches = 3

[variant.fp16]
recipe = "onnx-fp16"

[variant.claimed]
recipe = "export"
precision = "float16"

[backend.trt]
kind = "tensorrt"
device = "cuda"
options = { workspace_mib = 16 }

[[case]]
check = "profile"
models = ["net"]
variants = ["fp32", "fp16"]
backends = ["trt"]
workloads = ["rows"]

[[case]]
check = ["parity", "consistency"]
models = ["net"]
variants = ["fp32"]
backends = ["trt"]
workloads = ["rows"]
tolerance = { atol = 0.01, rtol = 0.01 }

[[case]]
check = "parity"
models = ["net"]
variants = ["claimed", "fp16"]
backends = ["trt"]
workloads = ["rows"]
tolerance = { atol = 0.01, rtol = 0.01 }

[[case]]
check = "benchmark"
models = ["net"]
variants = ["fp32", "fp16"]
backends = ["trt"]
workloads = ["rows"]
modes = ["events", "graph+events+transfers"]
against = "fp32/trt"
timing = { launches = 3, rounds = 2, block_ms = 5, max_warmup_s = 0.3 }
"""


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One run: (exit code, cases by name, connection to its rows)."""

    def record(folder: Path) -> list[Any]:
        (folder / "mine.py").write_text(MODEL)
        (folder / "suite.toml").write_text(SUITE)
        double = {"PYTHONPATH": ON_THE_DOUBLE, "TENSORRT_DOUBLE": "11.4.0.106"}
        done = assay("run", folder / "suite.toml", "--json", db=folder / "assay.duckdb", **double)
        return [done.code, done.document["cases"]]

    folder, (code, cases) = once(tmp_path_factory, "engines", record)
    newest = snapshot(Store(folder / "assay.duckdb"))
    assert newest is not None
    with reading(newest) as connection:
        yield code, {case["case"]: case for case in cases}, connection


def test_an_engine_is_compared_with_the_model_it_came_from(books: Any):
    _, cases, _ = books
    told = cases["net/fp32/trt/rows/parity"]
    assert told["status"] == "ok"
    assert told["precision"] == "products float32 100%"
    assert {v["outcome"] for v in told["verdicts"]} == {"pass"}
    assert told["receipts"][0]["elements"] == 3 * 4 * 4


def test_an_engine_that_does_not_run_the_precision_that_was_asked_for_fails(books: Any):
    code, cases, connection = books
    assert code == 1
    assert cases["net/claimed/trt/rows/parity"]["status"] == "failed"
    assert "float16 was asked for; products are in float32 100%" in cases["net/claimed/trt/rows/parity"]["error"]
    assert cases["net/fp16/trt/rows/parity"]["status"] == "ok"
    asked = dict(
        connection.execute(
            "select name, precision_asked || ' / ' || precision from case_result where check_kind = 'parity'"
        ).fetchall()
    )
    assert asked["net/fp16/trt/rows/parity"] == "float16 / products float16 100%"


def test_an_engine_is_an_artifact_with_its_settings(books: Any):
    _, _, connection = books
    found = connection.execute(
        "select distinct format, bytes, build_s, made_from, settings from artifact where variant = 'fp32'"
    ).fetchall()
    (row,) = found
    assert row[0] == "engine"
    assert row[1] > 0
    assert row[2] > 0
    settings = json.loads(row[4])
    assert settings["workspace_mib"] == 16
    assert settings["made_from"] == row[3]
    assert settings["profiles"] == [] or settings["profiles"][0]["x"][0] == [4, 8]


def test_a_rebuilt_engine_rows_and_batches_are_compared_without_a_reference(books: Any):
    _, cases, connection = books
    assert cases["net/fp32/trt/rows/consistency"]["status"] == "ok"
    told = connection.execute(
        "select distinct source, problem from noise where source in ('repeat', 'rebuilt', 'batch', 'threads')"
    ).fetchall()
    by_source: dict[str, Any] = dict(told)
    assert by_source["repeat"] is None
    assert by_source["rebuilt"] is None
    assert "threads" not in by_source


def test_device_times_are_told_apart_and_modes_are_not_compared_with_each_other(books: Any):
    _, cases, connection = books
    plain = {m["metric"]: m for m in cases["net/fp32/trt/rows/benchmark-events"]["measurements"]}
    moved = {m["metric"]: m for m in cases["net/fp32/trt/rows/benchmark-events+graph+transfers"]["measurements"]}
    assert {"enqueue_ms", "compute_ms", "latency_p50_ms"} <= set(plain)
    assert "h2d_ms" not in plain
    assert {"enqueue_ms", "h2d_ms", "compute_ms", "d2h_ms"} <= set(moved)
    assert moved["latency_p50_ms"]["value"] >= moved["compute_ms"]["value"]
    rows = connection.execute(
        "select name, comparability, mode, group_id from case_result where check_kind = 'benchmark'"
    ).fetchall()
    assert {row[1].split("; ")[2] for row in rows} == {
        "mode=benchmark by events",
        "mode=benchmark by events+graph+transfers",
    }
    assert {row[2] for row in rows} == {"interleaved, events", "interleaved, events+graph+transfers"}
    groups: dict[str, set[str]] = {}
    for row in rows:
        groups.setdefault(row[3], set()).add(row[0].rpartition("/")[2])
    assert sorted(len(names) for names in groups.values()) == [1, 1]
    assert "latency_ratio" in {m["metric"] for m in cases["net/fp16/trt/rows/benchmark-events"]["measurements"]}


def test_a_report_tells_queueing_copies_and_computing_apart_and_what_ran(books: Any):
    _, _, connection = books
    from assay.runner.reports.document import as_markdown
    from assay.runner.reports.facts import gather

    (run_id,) = connection.execute("select run_id from run").fetchone()
    text = as_markdown(gather(connection, run_id))
    (line,) = [line for line in text.splitlines() if line.startswith("| net / fp16 / trt (events+graph+transfers)")]
    cells = [cell.strip() for cell in line.split("|")[2:-1]]
    assert cells[:2] == ["float16", "products float16 100%"]
    assert all(cell != "-" for cell in cells[2:6])
    assert cells[6:] == ["-", "-", "-"], "nobody watched a GPU that is not there"
    assert "fp32 / engine" in text


def test_the_overview_shows_latencies_that_were_timed_in_one_way(books: Any):
    from assay.schema.queries.base import Filters
    from assay.schema.queries.history import overview

    _, _, connection = books
    rows = {row["variant"]: row for row in overview(connection, Filters()) if row["latency_ms"]}
    assert set(rows) == {"fp32", "fp16"}
    assert {(row["timed_on"], len(row["history"])) for row in rows.values()} == {("rows by events", 1)}


def test_layers_of_an_engine_are_recorded_from_its_profiler(books: Any):
    _, _, connection = books
    sql = (
        "select c.variant, l.name, l.provider, l.precision, l.calls, l.reference_name from layer l join case_result c"
        " using (case_id)"
    )
    rows = connection.execute(sql).fetchall()
    fp32, fp16 = ([row[1:] for row in rows if row[0] == variant] for variant in ("fp32", "fp16"))
    assert {row[1:4] for row in fp32} == {("TensorRT", "float32", 20)}
    products = [row for row in fp16 if row[0].startswith("node_linear")]
    assert {row[2] for row in products} == {"float16"}
    assert {row[4] for row in products} <= {row[0] for row in fp32}
    assert products


@pytest.mark.slow
def test_assay_explain_names_the_fusion_that_an_engine_got_wrong(tmp_path: Path):
    (tmp_path / "mine.py").write_text(MODEL)
    head, _, _ = SUITE.partition("[[case]]")
    case = '[[case]]\ncheck = "parity"\nmodels = ["net"]\nbackends = ["trt"]\nworkloads = ["rows"]\n'
    (tmp_path / "suite.toml").write_text(head + case)
    environment = {"PYTHONPATH": ON_THE_DOUBLE, "TENSORRT_DOUBLE_FAULTS": '{"node_relu": 1.5}'}
    db = tmp_path / "assay.duckdb"
    done = assay("run", tmp_path / "suite.toml", "--json", db=db, **environment)
    assert done.code == 1, done.err
    told = assay("explain", "net/fp32/trt/rows/parity", "--json", "--out", tmp_path / "out", db=db, **environment)
    assert told.code == 0, told.err
    suspect = told.document["suspect"]
    assert suspect["node"] == "node_relu"
    assert suspect["hint"].startswith("gone when its tensors are kept apart: it is made by fusing ")
    assert told.document["blame"][-1]["edge_to"] == "as shipped (trt)"
    assert told.document["blame"][-1]["share"] > 0.99
