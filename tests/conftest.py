"""Fixtures: an empty store, the `assay` command as users run it, and one short recorded history."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from assay.runner.suites.suite import shipped_suites
from assay.schema.store.database import Store
from tests.places import ROOT, SOURCES

# For this process and all that it starts. As many workers of pytest run as there are cores: a library that starts a
# thread a core on top of that spends most of its time waiting for its own threads (quickstart: 101 s instead of 47 s).
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Hundreds of processes import Assay: none compiles it again, not even where Python was told to keep no bytecode.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
    os.environ.setdefault("PYTHONPYCACHEPREFIX", str(ROOT / ".pytest_cache" / "bytecode"))
# A shell that starts the tests in the background tells them to ignore an interrupt, and what they start would as well.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


def assay(
    *arguments: object, db: Path | None = None, cwd: Path | None = None, timeout: float = 300, **environment: str
) -> Done:
    """Run the command in a process of its own; `db` is passed by the environment, as cron would."""
    env = {**os.environ, "PYTHONPATH": SOURCES, **environment}
    if db:
        env["ASSAY_DB"] = str(db)
    command = [sys.executable, "-m", "assay", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=cwd, timeout=timeout, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


def until(condition: Callable[[], Any], what: str, within_s: float = 300) -> Any:
    """What `condition` gives, once it gives something.

    A host under load takes longer, and only a fault takes for ever: the limit is for that one.
    """
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {within_s:g} s"
        time.sleep(0.02)
    return found


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """GPU checks need a GPU; everything else runs everywhere."""
    if not any(item.get_closest_marker("gpu") for item in items):
        return
    try:
        import torch

        reason = "" if torch.cuda.is_available() else "PyTorch sees no CUDA device here"
    except ImportError:
        reason = "torch is not installed"
    for item in items:
        if reason and item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason=reason))


def once(factory: pytest.TempPathFactory, name: str, record: Callable[[Path], Any]) -> tuple[Path, Any]:
    """A folder that `record` fills once in a whole run of the tests, and what it returned.

    Workers of pytest-xdist have sessions of their own: the first that asks records, the others wait for it.
    """
    root = factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    folder, done = root / name, root / f"{name}.json"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            done.write_text(json.dumps(record(folder)))
    return folder, json.loads(done.read_text())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "books" / "assay.duckdb")


FAKE_SUITE = """
name = "fakes"
timeout_s = 20

[model.line]
fake = {{ gain = 2.0 }}
version = "{version}"

[workload.noise]
inputs = {{ x = {{ shape = [4, 5] }} }}
batches = 3

[backend.right]
kind = "fake"

[backend.candidate]
kind = "fake"
options = {{ {options} }}

[[case]]
check = {check}
models = ["line"]
backends = ["candidate"]
workloads = ["noise"]
reference = "right"
tolerance = {{ atol = 1e-6, rtol = 0.0 }}
timing = {{ rounds = 3, block_ms = 2.0, max_warmup_s = 0.3 }}
"""


def fake_suite(folder: Path, options: str = "", check: str = '"parity"', version: str = "1") -> Path:
    """A suite on the fake backend whose candidate misbehaves as `options` say."""
    path = folder / "fakes.toml"
    path.write_text(FAKE_SUITE.format(options=options, check=check, version=version))
    return path


def hurried(folder: Path, suite: str, launches: int = 3) -> Path:
    """A shipped suite of the same name and cases that waits for no steady state before it times.

    For tests that read what a run recorded, whatever its figures are: on a host under load each of its benchmarks
    would wait to the end of its patience, seconds a process. Of fewer than three launches no ratio is decided.
    """
    text = shipped_suites()[suite].read_text()
    timing = re.compile(r"^timing = \{ (.*?)(?:, max_warmup_s = [\d.]+)? \}$", re.MULTILINE)
    path = folder / f"{suite}.toml"
    path.write_text(timing.sub(rf"timing = {{ \1, launches = {launches}, max_warmup_s = 0.05 }}", text))
    return path


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a failing and a passing version of the shipped models, made by the real command."""

    def record(folder: Path) -> None:
        db = folder / "assay.duckdb"
        quickstart = hurried(folder, "quickstart", launches=1)
        first = assay("run", quickstart, "--version", "scaling=rounded", "--version", "digits=v1", db=db)
        assert first.code == 1, first.err
        second = assay("run", quickstart, db=db)
        assert second.code == 0, second.err

    return once(tmp_path_factory, "history", record)[0] / "assay.duckdb"


@pytest.fixture(scope="session")
def streams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a stream that drifts in closed loop, a waived failure, noise, and one explanation."""

    def record(folder: Path) -> None:
        db = folder / "assay.duckdb"
        waiver = [
            "--premise",
            "cache_last_channel_len_out == 0",
            "--owner",
            "mira",
            "--reason",
            "chunks stand alone",
            "--until",
            "2099-01-01",
        ]
        assert assay("waive", "encoder_isolated/*", "--output", "cache_last_time_out", *waiver, db=db).code == 0
        assert (
            assay("run", "known-faults", "--only", "encoder_[si]*", db=db).code == 1
        )  # the waived fault is no longer caught
        assert assay("run", "quickstart", "--only", "digits*consistency", db=db).code == 0
        explained = assay(
            "explain",
            "encoder_state_bias/fp32/onnxruntime/stream/closed_loop",
            "--run",
            "latest~1",
            "--out",
            db.parent / "explained",
            db=db,
        )
        assert explained.code == 0, explained.err

    return once(tmp_path_factory, "streams", record)[0] / "assay.duckdb"


QUANTIZED = """
name = "q"
[model.digits]
pytorch = "assay.runner.models.digits:trained"
outputs = ["logits"]
export = { dynamic = { image = { 0 = "batch" } } }
[workload.test]
generator = "assay.runner.models.digits:labelled_batches"
options = { size = 90 }
batches = 6
labels = ["label"]
task = { kind = "classification" }
[workload.one]
generator = "assay.runner.models.digits:test_batches"
options = { size = 1 }
[workload.calibration]
generator = "assay.runner.models.digits:labelled_batches"
options = { size = 64, part = "train" }
batches = 4
labels = ["label"]
[workload.noise]
inputs = { image = { shape = [8, 1, 8, 8] } }
batches = 3
[variant.minmax]
recipe = "onnxruntime-static"
calibration = "calibration"
options = { per_channel = true }
[variant.bad]
recipe = "onnxruntime-static"
calibration = "calibration"
options = { method = "distribution" }
[variant.random]
recipe = "onnxruntime-static"
calibration = "noise"
[variant.uncalibrated]
recipe = "onnxruntime-static"
"""
"""A suite without cases: a real network, real digits, and ways to quantize it."""


@dataclass(frozen=True)
class Quantized:
    db: Path
    suite: Path
    run: Any
    search: Any
    """What the commands printed."""


@pytest.fixture(scope="session")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Quantized:
    """Quality, ledgers and a short search of one network."""
    cases = """
[[case]]
check = ["quality", "ledger"]
models = ["digits"]
workloads = ["test"]
variants = ["fp32", "minmax", "bad", "random"]
policy = "general"
[[case]]
check = "benchmark"
models = ["digits"]
workloads = ["one"]
variants = ["fp32", "bad"]
timing = { rounds = 1, block_ms = 10, max_warmup_s = 0.05 }
"""

    def record(folder: Path) -> list[Any]:
        suite, db = folder / "q.toml", folder / "assay.duckdb"
        suite.write_text(QUANTIZED + cases)
        run = assay("run", suite, "--only", "*/test/*", "--json", db=db)
        assert run.code == 1, run.err
        found = assay("search", suite, "--model", "digits", "--variant", "bad", "--budget", "5s", "--json", db=db)
        assert found.code == 0, found.err
        assert " s left)" in found.err or "the budget is spent" in found.err
        return [run.document, found.document]

    folder, (run, found) = once(tmp_path_factory, "quantized", record)
    return Quantized(folder / "assay.duckdb", folder / "q.toml", run, found)


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """The study of a tiny GPT-2: a database and what the run printed."""

    def record(folder: Path) -> Any:
        done = assay("run", hurried(folder, "gpt2-tiny"), "--json", db=folder / "assay.duckdb")
        assert done.code == 0, done.err
        return done.document

    folder, document = once(tmp_path_factory, "study", record)
    return folder / "assay.duckdb", document


@pytest.fixture(scope="session")
def alarmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with alerts: a model that got slower, a verdict that broke, a host that got slow.

    An improvement, and a change of the environment.
    """
    from datetime import timedelta

    from assay.runner.nights.look import look
    from assay.runner.regressions.alerts.new_changes import Watching
    from assay.schema.store.spool import now
    from tests import nights
    from tests.nights import Made, stepping

    def record(folder: Path) -> None:
        store = Store(folder / "assay.duckdb")
        start = now() - timedelta(days=31)
        cases = [
            Made(workload=w, value=stepping(20, 1.2), version=lambda night: "v2" if night >= 20 else "v1")
            for w in "abc"
        ]
        cases += [Made(model="other", workload=w) for w in "ab"]
        cases += [Made(model="broken", passes=lambda night: night < 28)]
        cases += [Made(model="quick", value=stepping(22, 0.8), version=lambda night: "q2" if night >= 22 else "q1")]
        cases += [
            Made(model="moved", value=stepping(15, 1.4), environment=lambda night: "1.31" if night >= 15 else "e")
        ]
        cases += [
            Made(model="far", workload=w, host="gpu-2", suite="other", value=stepping(26, 1.3, level=3.0)) for w in "ab"
        ]
        nights.record(store, cases, range(20), start=start)
        for night in range(20, 31):
            nights.record(store, cases, range(night, night + 1), start=start)
            look(store, Watching(), at=start + timedelta(days=night, hours=1))

    return once(tmp_path_factory, "alarmed", record)[0] / "assay.duckdb"
