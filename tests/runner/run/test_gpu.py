"""Runs on a real CUDA device: `pytest -m gpu`.

What a host has not (ONNX Runtime's CUDA build, TensorRT) is skipped by name.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from assay.schema.store.database import Store, reading, snapshot
from tests.conftest import assay
from tests.places import ROOT

pytestmark = pytest.mark.gpu


def ran(tmp_path: Path, only: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Cases of the suite `gpu` by name, and rows of all of them."""
    db = tmp_path / "assay.duckdb"
    done = assay("run", "gpu", "--only", only, "--json", db=db, timeout=600)
    newest = snapshot(Store(db))
    assert newest is not None, done.err
    with reading(newest) as connection:
        rows = connection.execute(
            "select c.name, c.device, c.comparability, e.gpu, e.gpu_driver from case_result c join environment e using"
            " (environment_id)"
        )
        names = [column[0] for column in rows.description]
        return {case["case"]: case for case in done.document["cases"]}, [
            dict(zip(names, row, strict=True)) for row in rows.fetchall()
        ]


def needs(provider: str) -> None:
    import onnxruntime

    if provider not in onnxruntime.get_available_providers():
        pytest.skip(f"this ONNX Runtime has no {provider}")


def figures(case: dict[str, Any]) -> dict[str, float]:
    return {m["metric"]: m["value"] for m in case["measurements"]}


@pytest.mark.parametrize(
    "backend", ["torch-cuda", "torch-autocast", "torch-compiled", "ort-cuda", "ort-tensorrt", "tensorrt"]
)
def test_a_backend_on_the_gpu_computes_what_the_cpu_computes(tmp_path: Path, backend: str):
    if backend.startswith("ort"):
        needs({"ort-cuda": "CUDAExecutionProvider", "ort-tensorrt": "TensorrtExecutionProvider"}[backend])
    if backend == "tensorrt" and importlib.util.find_spec("tensorrt") is None:
        pytest.skip("TensorRT is not installed")
    cases, rows = ran(tmp_path, f"digits/*/{backend}/*/parity")
    assert cases
    for case in cases.values():
        assert case["status"] == "ok", case["error"]
        assert {v["outcome"] for v in case["verdicts"]} == {"pass"}
    assert {row["device"] for row in rows} == {"cuda"}
    assert all(row["gpu"] and row["gpu_driver"] for row in rows)


def test_a_stream_on_the_gpu_keeps_its_states_there_and_agrees_in_closed_loop(tmp_path: Path):
    cases, _ = ran(tmp_path, "streaming_encoder/fp32/torch-cuda/*")
    assert len(cases) == 2
    assert all(case["status"] == "ok" for case in cases.values()), cases


def test_device_times_add_up_and_the_gpu_was_watched(tmp_path: Path):
    cases, rows = ran(tmp_path, "digits/fp32/torch-cuda/many-digits/benchmark-*")
    by_mode = {name.rpartition("benchmark-")[2]: figures(case) for name, case in cases.items()}
    moved = by_mode["events+transfers"]
    assert moved["latency_p50_ms"] == pytest.approx(moved["h2d_ms"] + moved["compute_ms"] + moved["d2h_ms"], rel=0.1)
    assert by_mode["events+graph"]["enqueue_ms"] < by_mode["events"]["enqueue_ms"]
    assert all(told["gpu_clock_mhz"] > 0 and told["gpu_power_w"] > 0 for told in by_mode.values())
    assert len({row["comparability"] for row in rows}) == 4


def test_what_the_harness_adds_is_within_its_targets():
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "on_device.py"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    told = json.loads(done.stdout)
    assert abs(told["event_median_over_bare"] - 1) <= 0.01
    if "of_copy_bandwidth" in told:
        assert told["of_copy_bandwidth"] >= 0.7
