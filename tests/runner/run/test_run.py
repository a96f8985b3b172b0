"""Runs on the fake backend: every way a case can go wrong is a row, and the run goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay.schema.queries import base
from assay.schema.queries import parity as parity_queries
from assay.schema.queries import runs as run_queries
from assay.schema.store import ingest
from assay.schema.store.database import Store, reading, snapshot, writing
from tests.conftest import assay, fake_suite, until
from tests.places import SOURCES


def recorded(db: Path, question: Callable[..., Any], *arguments: object):
    published = snapshot(Store(db))
    assert published
    with reading(published) as connection:
        return question(connection, *arguments)


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "assay.duckdb"


def test_a_faithful_candidate_passes_and_the_receipt_is_recorded(tmp_path: Path, db: Path):
    done = assay("run", fake_suite(tmp_path), "--json", db=db)
    assert done.code == 0, done.err
    (case,) = done.document["cases"]
    assert case["status"] == "ok"
    assert case["verdicts"][0]["outcome"] == "pass"
    (row,) = recorded(db, parity_queries.receipts_of, done.document["run"])
    assert (row["elements"], row["outcome"], row["mode"]) == (60, "pass", "functional")
    assert recorded(db, run_queries.cases_of, done.document["run"])[0]["model_version"] == "1"


def test_an_inaccurate_candidate_fails_with_exit_code_1(tmp_path: Path, db: Path):
    done = assay("run", fake_suite(tmp_path, "offset = 0.5"), db=db)
    assert done.code == 1
    assert "60 of 60 elements (100.00%) are outside the tolerance" in done.out


@pytest.mark.parametrize(
    ("options", "status", "says"),
    [
        ('fault = "raise"', "failed", "asked to fail"),
        ('fault = "segfault"', "crashed", "SIGSEGV"),
        ('fault = "kill"', "crashed", "memory runs out"),
        ('fault = "memory"', "crashed", "out of memory"),
        ('fault = "fallback"', "failed", "silent fallback"),
    ],
)
def test_a_case_that_breaks_is_a_row_with_its_reason(tmp_path: Path, db: Path, options: str, status: str, says: str):
    done = assay("run", fake_suite(tmp_path, options), "--json", db=db)
    assert done.code == 1
    (case,) = done.document["cases"]
    assert (case["status"], case["receipts"]) == (status, [])
    assert says in case["error"]
    assert "Traceback" not in done.err
    (row,) = recorded(db, run_queries.cases_of, done.document["run"])
    assert (row["status"], says in row["error_message"]) == (status, True)


def test_a_hanging_case_is_ended_at_its_timeout(tmp_path: Path, db: Path):
    suite = fake_suite(tmp_path, 'fault = "hang"')
    suite.write_text(suite.read_text().replace("timeout_s = 20", "timeout_s = 2"))
    done = assay("run", suite, "--json", db=db)
    assert (done.code, done.document["cases"][0]["status"]) == (1, "timeout")


@pytest.mark.parametrize(("fault", "says"), [("nan", "NaN"), ("shape", "shape"), ("dtype", "dtype")])
def test_nan_shape_and_dtype_are_failing_verdicts(tmp_path: Path, db: Path, fault: str, says: str):
    done = assay("run", fake_suite(tmp_path, f'fault = "{fault}"'), "--json", db=db)
    assert done.code == 1
    verdict = done.document["cases"][0]["verdicts"][0]
    assert verdict["outcome"] == "fail"
    assert says in verdict["reason"]


def test_a_candidate_that_is_the_reference_itself_is_vacuous_and_exits_4(tmp_path: Path, db: Path):
    suite = fake_suite(tmp_path)
    suite.write_text(suite.read_text().replace('backends = ["candidate"]', 'backends = ["right"]'))
    done = assay("run", suite, "--json", db=db)
    assert done.code == 4
    assert done.document["cases"][0]["status"] == "vacuous"


def test_a_benchmark_knows_which_of_two_is_slower_and_by_how_much(tmp_path: Path, db: Path):
    suite = fake_suite(tmp_path, "delay_ms = 4.0", check='"benchmark"')
    text = suite.read_text().replace('backends = ["candidate"]', 'backends = ["right", "candidate"]')
    suite.write_text(
        text.replace(
            'kind = "fake"\n\n[backend.candidate]', 'kind = "fake"\noptions = { delay_ms = 2.0 }\n\n[backend.candidate]'
        )
    )
    done = assay("run", suite, "--json", db=db)
    assert done.code == 0, done.err
    values = {
        case["case"].split("/")[2]: {m["metric"]: m for m in case["measurements"]} for case in done.document["cases"]
    }
    assert 2 < values["right"]["latency_p50_ms"]["value"] < values["candidate"]["latency_p50_ms"]["value"] < 12
    ratio = values["candidate"]["latency_ratio"]
    assert 1.3 < ratio["low"] < ratio["value"] < ratio["high"] < 2.6
    assert values["candidate"]["peak_rss_bytes"]["value"] > 10e6
    samples = [m for m in recorded(db, run_queries.measurements_of, done.document["run"]) if m["samples"]]
    assert all(len(m["samples"]) % m["block_length"] == 0 and len(m["samples"]) == m["n"] for m in samples)


def test_one_broken_case_does_not_stop_the_benchmark_of_the_others(tmp_path: Path, db: Path):
    suite = fake_suite(tmp_path, 'fault = "segfault"', check='"benchmark"')
    suite.write_text(suite.read_text().replace('backends = ["candidate"]', 'backends = ["right", "candidate"]'))
    done = assay("run", suite, "--json", db=db)
    statuses = {case["case"].split("/")[2]: case["status"] for case in done.document["cases"]}
    assert statuses == {"right": "ok", "candidate": "crashed"}


def test_only_picks_cases_and_a_pattern_that_matches_none_says_so(tmp_path: Path, db: Path):
    suite = fake_suite(tmp_path, check='["parity", "benchmark"]')
    done = assay("run", suite, "--only", "*parity", "--json", db=db)
    assert [case["case"] for case in done.document["cases"]] == ["line/fp32/candidate/noise/parity"]
    nothing = assay("run", suite, "--only", "line/fp32/candidat/noise/parity", db=db)
    assert (nothing.code, "Did you mean" in nothing.err) == (4, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_asked_to_end_keeps_what_is_finished_and_exits_as_interrupted(
    tmp_path: Path, db: Path, number: signal.Signals
):
    suite = fake_suite(tmp_path, "delay_ms = 20.0, offset = 1.0", check='["parity", "benchmark"]')
    command = [sys.executable, "-m", "assay", "run", str(suite), "--db", str(db)]
    before = signal.signal(number, signal.SIG_DFL)  # under nohup this process ignores it, and so would a child
    try:
        run = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": SOURCES})
    finally:
        signal.signal(number, before)
    with run:
        assert "[1/2]" in run.stderr.readline()
        run.send_signal(number)
        assert "finished cases are recorded" in run.stderr.read()
    assert run.returncode == 130
    assert len(ingest.sync(Store(db)).ingested) == 2, "the run, and the case that was finished"


@pytest.mark.slow
def test_in_a_container_where_assay_is_the_first_process_cases_run(tmp_path: Path, db: Path):
    suite = fake_suite(tmp_path)
    inside = ["unshare", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a process namespace of its own needs root")
    command = [*inside, sys.executable, "-m", "assay", "run", str(suite), "--db", str(db)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": SOURCES}, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_killed_run_is_resumed_without_repeating_a_case(tmp_path: Path, db: Path):
    suite = fake_suite(tmp_path, "delay_ms = 20.0, offset = 1.0", check='["parity", "benchmark"]')
    command = [sys.executable, "-m", "assay", "run", str(suite), "--db", str(db)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": SOURCES}) as run:
        assert "[1/2]" in run.stderr.readline()
        run.send_signal(signal.SIGKILL)
    ingest.sync(Store(db))
    (unfinished,) = recorded(db, run_queries.runs, base.Filters())
    assert (unfinished["state"], unfinished["cases"]) == ("unfinished", 1)
    done = assay("run", suite, "--resume", "--json", db=db)
    assert (done.document["run"], len(done.document["cases"])) == (unfinished["run_id"], 1)
    assert done.code == 1, "the case that failed before the kill still counts"
    (finished,) = recorded(db, run_queries.runs, base.Filters())
    assert (finished["state"], finished["cases"]) == ("done", 2)
    again = assay("run", suite, "--resume", db=db)
    assert (again.code, "had come to its end" in again.err) == (1, True), "it ends as the run did"
    assert assay("run", suite, "--resume", "--max-steps", "1", db=Path(f"{db}.other")).code == 4, "nothing to resume"


def test_two_runs_at_once_are_both_recorded_whole(tmp_path: Path, db: Path):
    suite = fake_suite(tmp_path)
    command = [sys.executable, "-m", "assay", "run", str(suite), "--db", str(db)]
    env = {**os.environ, "PYTHONPATH": SOURCES}
    runs = [subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(3)]
    assert [run.wait(120) for run in runs] == [0, 0, 0]
    found = recorded(db, run_queries.runs, base.Filters())
    assert [(run["state"], run["cases"], run["passed"]) for run in found] == [
        ("done", 1, 2)
    ] * 3  # the output, and the output repeated


def test_a_database_that_somebody_holds_does_not_lose_the_run(tmp_path: Path, db: Path):
    suite = fake_suite(tmp_path)
    with writing(Store(db)):
        done = assay("run", suite, "--wait", "0", db=db)
    assert done.code == 0
    assert f"held open by process {os.getpid()}" in done.err
    assert len(ingest.sync(Store(db)).ingested) == 3


def test_interrupting_a_run_exits_130_and_keeps_what_is_finished(tmp_path: Path, db: Path):
    suite = fake_suite(tmp_path, 'fault = "hang"')
    text = suite.read_text().replace('backends = ["candidate"]', 'backends = ["sound", "candidate"]')
    suite.write_text(text + '\n[backend.sound]\nkind = "fake"\n')
    command = [sys.executable, "-m", "assay", "run", str(suite), "--db", str(db)]
    env = {**os.environ, "PYTHONPATH": SOURCES}
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=env) as run:
        assert "[1/2]" in run.stderr.readline()  # from here on the second case hangs, or is about to
        run.send_signal(signal.SIGINT)
        told = run.stderr.read()
        assert (run.wait(), "Traceback" in told) == (130, False), told
        assert "finished cases are recorded. Continue with --resume." in told
    ingest.sync(Store(db))
    (unfinished,) = recorded(db, run_queries.runs, base.Filters())
    assert (unfinished["state"], unfinished["cases"]) == ("unfinished", 1)


def test_a_golden_replaces_the_reference_and_damage_is_named(tmp_path: Path, db: Path):
    suite = fake_suite(tmp_path)
    record = assay(
        "golden", "record", suite, "--model", "line", "--workload", "noise", "--name", "kept", "--json", db=db
    )
    assert (record.code, record.document["steps"]) == (0, 3), record.err
    assert assay("golden", "verify", "kept", db=db).code == 0
    suite.write_text(
        suite.read_text().replace('reference = "right"', 'golden = "kept"').replace("gain = 2.0", "gain = 2.5")
    )
    done = assay("run", suite, "--json", db=db)
    assert (done.code, done.document["cases"][0]["verdicts"][0]["outcome"]) == (1, "fail")
    shown = assay("golden", "show", "kept", "--json", db=db).document
    victim = (
        db.parent / "goldens" / "objects" / shown["arrays"][1]["sha256"][:2] / f"{shown['arrays'][1]['sha256']}.raw"
    )
    victim.write_bytes(victim.read_bytes()[:-8])
    broken = assay("golden", "verify", "kept", db=db)
    assert (broken.code, "step 0, outputs 'x_out' is damaged" in broken.out) == (1, True)
    assert assay("golden", "show", "keep", db=db).code == 2


def test_a_workload_that_the_reference_cannot_run_costs_only_its_own_cases(tmp_path: Path, db: Path):
    suite = fake_suite(tmp_path)
    text = suite.read_text().replace('workloads = ["noise"]', 'workloads = ["gone", "noise"]')
    suite.write_text(text + '\n[workload.gone]\nfile = "gone.npz"\n')
    done = assay("run", suite, "--json", db=db)
    statuses = {case["case"].split("/")[3]: (case["status"], case["error"]) for case in done.document["cases"]}
    assert statuses["noise"] == ("ok", None)
    assert statuses["gone"][0] == "failed"
    assert "gone.npz is not there" in statuses["gone"][1]


USERS_MODEL = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = torch.nn.Linear(6, 4)

    def forward(self, features):
        return torch.relu(self.linear(features)) + 0.1

class Broken(Net):
    def forward(self, features):
        return super().forward(features) * float("nan")

def network():
    return Net()

def broken():
    return Broken()
"""
USERS_SUITE = """
name = "mine"
[model.mine]
pytorch = "model.py:network"
[model.nan]
pytorch = "model.py:broken"
[model.corrupt]
onnx = "corrupt.onnx"
[model.missing]
onnx = "missing.onnx"
[workload.random]
inputs = { features = { shape = [3, 6] } }
batches = 2
[backend.cuda]
kind = "onnxruntime"
provider = "CUDAExecutionProvider"
[[case]]
check = "parity"
models = ["mine", "nan", "corrupt", "missing"]
workloads = ["random"]
[[case]]
check = "parity"
models = ["mine"]
backends = ["cuda"]
workloads = ["random"]
"""


@pytest.mark.slow
def test_a_users_module_is_exported_and_checked_and_each_bad_one_says_why(tmp_path: Path, db: Path):
    pytest.importorskip("torch")
    (tmp_path / "model.py").write_text(USERS_MODEL)
    (tmp_path / "mine.toml").write_text(USERS_SUITE)
    (tmp_path / "corrupt.onnx").write_bytes(b"nonsense")
    done = assay("run", tmp_path / "mine.toml", "--json", db=db)
    assert done.code == 1
    by_model = {case["case"].split("/")[0]: case for case in done.document["cases"] if "/cuda/" not in case["case"]}
    mine = by_model["mine"]
    assert (mine["status"], mine["verdicts"][0]["outcome"]) == ("ok", "pass")
    assert mine["placement"].startswith("CPUExecutionProvider:")
    assert "24 NaN in the reference itself" in by_model["nan"]["verdicts"][0]["reason"]
    assert "is not an ONNX file" in by_model["corrupt"]["error"]
    assert "is not there" in by_model["missing"]["error"]
    (cuda,) = [case for case in done.document["cases"] if "/cuda/" in case["case"]]
    assert cuda["status"] == "ok" or "has no CUDAExecutionProvider" in cuda["error"] or "fallback" in cuda["error"]
    again = assay("run", tmp_path / "mine.toml", "--only", "mine/fp32/onnxruntime/*", "--json", db=db)
    assert again.code == 0
    (built,) = recorded(db, run_queries.cases_of, again.document["run"])
    first = next(c for c in recorded(db, run_queries.cases_of, done.document["run"]) if c["name"] == built["name"])
    assert built["model_sha256"] == first["model_sha256"], "the artifact comes from the cache"


@pytest.mark.slow
def test_torchscript_and_exported_program_files_are_references_too(tmp_path: Path, db: Path):
    torch = pytest.importorskip("torch")

    class Half(torch.nn.Module):
        def forward(self, x):
            return torch.tanh(x) / 2

    x = torch.randn(3, 5)
    torch.jit.script(Half()).save(tmp_path / "script.pt")
    torch.export.save(torch.export.export(Half(), (), kwargs={"x": x}), tmp_path / "program.pt2")
    (tmp_path / "formats.toml").write_text(
        'name = "formats"\n[model.script]\npytorch = "script.pt"\n[model.program]\npytorch = "program.pt2"\n'
        "[workload.random]\ninputs = { x = { shape = [3, 5] } }\n"
        '[[case]]\ncheck = "parity"\nmodels = ["script", "program"]\nworkloads = ["random"]\n'
    )
    done = assay("run", tmp_path / "formats.toml", "--json", f"--allow-code={tmp_path}", db=db)
    assert done.code == 0, done.err
    assert [case["verdicts"][0]["outcome"] for case in done.document["cases"]] == ["pass", "pass"]


def test_a_backend_may_have_an_interpreter_of_its_own_and_its_libraries_are_recorded(tmp_path: Path, db: Path):
    suite = fake_suite(tmp_path)
    other = tmp_path / "python"
    other.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    other.chmod(0o755)
    text = suite.read_text()
    suite.write_text(text.replace("[backend.candidate]\n", f'[backend.candidate]\npython = "{other}"\n'))
    done = assay("run", suite, "--json", f"--allow-code={other}", db=db)
    assert done.code == 0, done.err
    suite.write_text(text.replace("[backend.candidate]\n", '[backend.candidate]\npython = "/nowhere/python"\n'))
    missing = assay("run", suite, "--json", "--allow-code=/nowhere/python", db=db)
    assert missing.code == 3
    assert "cannot start /nowhere/python" in missing.document["cases"][0]["error"]


@pytest.mark.slow
def test_a_damaged_artifact_in_the_cache_is_built_again(tmp_path: Path, db: Path):
    pytest.importorskip("torch")
    (tmp_path / "model.py").write_text(USERS_MODEL)
    (tmp_path / "mine.toml").write_text(USERS_SUITE)
    only = ("--only", "mine/fp32/onnxruntime/*", "--json")
    assert assay("run", tmp_path / "mine.toml", *only, db=db).code == 0
    (model,) = (db.parent / "artifacts").glob("*/*/model.onnx")
    model.write_bytes(model.read_bytes()[:-20])
    assert assay("run", tmp_path / "mine.toml", *only, db=db).code == 0


def test_a_worker_does_not_outlive_a_killed_run(tmp_path: Path, db: Path):
    import psutil

    suite = fake_suite(tmp_path, 'fault = "hang"')
    command = [sys.executable, "-m", "assay", "run", str(suite), "--db", str(db)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": SOURCES}) as run:
        workers = until(psutil.Process(run.pid).children, "the run starts a worker")
        run.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(workers, timeout=300)
    assert not alive
