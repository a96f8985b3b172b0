"""Threads and variables as they were in force are recorded, compared, and held against what was asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from assay.schema.store.database import Store, reading, snapshot
from tests.conftest import assay

pytest.importorskip("torch")

MODEL = """
import torch
def line():
    torch.manual_seed(0)
    return torch.nn.Linear(4, 4)
def stubborn():
    torch.set_num_threads(1)
    return line()
"""
SUITE = """
name = "threads"
[model.m]
pytorch = "model.py:{factory}"
outputs = ["y"]
version = "1"
[workload.w]
inputs = {{ input = {{ shape = [2, 4] }} }}
[backend.asked]
kind = "pytorch"
{threads}
[[case]]
check = {check}
models = ["m"]
backends = ["asked"]
workloads = ["w"]
timing = {{ launches = 1, rounds = 1, block_ms = 1, max_warmup_s = 0.05 }}
"""


def suite(folder: Path, *, factory: str = "line", threads: int | None = None, check: str = '"benchmark"') -> Path:
    (folder / "model.py").write_text(MODEL)
    path = folder / "threads.toml"
    wanted = "" if threads is None else f"threads = {threads}"
    path.write_text(SUITE.format(factory=factory, threads=wanted, check=check))
    return path


def recorded(db: Path) -> list[dict[str, Any]]:
    path = snapshot(Store(db))
    assert path is not None
    with reading(path) as connection:
        cursor = connection.execute("select comparability, threads, in_force from case_result order by case_id")
        return [dict(zip(("key", "threads", "in_force"), row, strict=True)) for row in cursor.fetchall()]


def test_two_numbers_of_threads_are_unlike_and_the_difference_is_named(tmp_path: Path):
    asked, db = suite(tmp_path), tmp_path / "assay.duckdb"
    for number in ("1", "2"):
        done = assay("run", asked, db=db, OMP_NUM_THREADS=number)
        assert done.code == 0, done.err
    rows = recorded(db)
    assert [row["threads"] for row in rows] == [1, 2]
    assert [json.loads(row["in_force"])["variables"]["OMP_NUM_THREADS"] for row in rows] == ["1", "2"]
    compared = assay("compare", "latest~1", "--json", db=db).document
    assert compared["unlike"] == ["threads: 1 against 2; OMP_NUM_THREADS: 1 against 2"]
    assert {line["ratio"] for line in compared["measurements"]} == {None}
    gated = assay("gate", "--suite", "threads", db=db)
    assert gated.code == 2
    assert "threads: 1 against 2" in gated.err


@pytest.mark.parametrize(("check", "code", "severity"), [('"benchmark"', 1, "fail"), ('"consistency"', 0, "warning")])
def test_threads_that_a_model_sets_itself_are_not_those_that_were_asked_for(
    tmp_path: Path, check: str, code: int, severity: str
):
    asked = suite(tmp_path, factory="stubborn", threads=2, check=check)
    done = assay("run", asked, "--json", db=tmp_path / "assay.duckdb")
    assert done.code == code, done.err
    (case,) = done.document["cases"]
    (found,) = [finding for finding in case["findings"] if finding["kind"] == "threads_not_in_force"]
    assert (found["severity"], found["message"].split(":")[0]) == (
        severity,
        "2 threads were asked for, and 1 were in force",
    )
