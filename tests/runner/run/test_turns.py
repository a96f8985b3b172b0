"""Timing in turns: launches, who stands still, what is compared with what, and what a failure costs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from assay.runner.worker.events.event import Event
from assay.runner.worker.events.facts import LibraryImported
from assay.runner.worker.job import CaseJob
from assay.runner.worker.process import Worker
from assay.schema.store.database import Store, reading, snapshot
from tests.conftest import assay

SUITE = """
name = "turns"
[model.line]
fake = {{ gain = 2.0 }}
[workload.noise]
inputs = {{ x = {{ shape = [4, 8] }} }}
{workload}
[backend.quick]
kind = "fake"
options = {{ delay_ms = 1 }}
[backend.slow]
kind = "fake"
options = {{ delay_ms = 3 }}
[backend.broken]
kind = "fake"
options = {{ fault = "kill" }}
[backend.right]
kind = "fake"
[[case]]
check = "{check}"
models = ["line"]
backends = [{backends}]
workloads = ["noise"]
reference = "right"
{more}
timing = {{ launches = {launches}, rounds = 2, block_ms = 5, max_warmup_s = 0.3 }}
"""


def _suite(
    folder: Path, *backends: str, launches: int = 3, more: str = "", workload: str = "", check: str = "benchmark"
) -> Path:
    path = folder / "turns.toml"
    names = ", ".join(f'"{name}"' for name in backends)
    path.write_text(SUITE.format(backends=names, launches=launches, more=more, workload=workload, check=check))
    return path


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "store" / "assay.duckdb"


def _figures(document: dict) -> dict[str, dict]:
    return {case["case"].split("/")[2]: {m["metric"]: m for m in case["measurements"]} for case in document["cases"]}


def test_cases_of_one_table_are_timed_in_turns_and_their_ratio_is_over_the_one_that_is_named(tmp_path: Path, db: Path):
    done = assay("run", _suite(tmp_path, "slow", "quick", more='against = "fp32/slow"'), "--json", db=db)
    assert done.code == 0, done.err
    figures = _figures(done.document)
    assert "latency_ratio" not in figures["slow"]
    assert figures["quick"]["latency_ratio"]["high"] < 0.6
    assert figures["quick"]["items_per_s"]["value"] == pytest.approx(4 * figures["quick"]["throughput_per_s"]["value"])
    assert figures["quick"]["load_rss_bytes"]["n"] == 3
    with reading(snapshot(Store(db))) as connection:
        rows = connection.execute("select group_id, mode, batch, input_shapes from case_result").fetchall()
        launches = connection.execute("select distinct launches from measurement where samples is not null").fetchall()
    assert len({row[0] for row in rows}) == 1
    assert {row[1:] for row in rows} == {("interleaved", 4, "x[4,8]")}
    assert launches == [(3,)]


def test_a_workload_says_how_many_items_a_call_has_where_its_first_axis_is_no_batch(tmp_path: Path, db: Path):
    done = assay("run", _suite(tmp_path, "quick", workload="items = 10"), "--json", db=db)
    quick = _figures(done.document)["quick"]
    assert quick["items_per_s"]["value"] == pytest.approx(10 * quick["throughput_per_s"]["value"])


def test_a_case_that_dies_costs_itself_and_the_others_go_on(tmp_path: Path, db: Path):
    done = assay("run", _suite(tmp_path, "slow", "broken", "quick", more='against = "fp32/slow"'), "--json", db=db)
    assert done.code == 1
    assert {case["case"].split("/")[2]: case["status"] for case in done.document["cases"]} == {
        "slow": "ok",
        "broken": "crashed",
        "quick": "ok",
    }
    assert "latency_ratio" in _figures(done.document)["quick"]


def test_one_launch_gives_no_verdict_on_speed(tmp_path: Path, db: Path):
    done = assay("run", _suite(tmp_path, "slow", "quick", launches=1, more='against = "fp32/slow"'), db=db)
    assert "not enough evidence" in done.err


def test_what_cannot_be_compared_with_is_refused_with_what_can(tmp_path: Path, db: Path):
    done = assay("run", _suite(tmp_path, "slow", "quick", more='against = "fp32/slwo"'), db=db)
    assert done.code == 2
    assert "fp32/slow" in done.err


def test_a_generation_without_states_says_which_mode_it_has_left(tmp_path: Path, db: Path):
    done = assay("run", _suite(tmp_path, "slow", check="generation"), db=db)
    assert done.code == 1
    assert 'modes = ["recomputed"]' in done.err
    wrong = assay("run", _suite(tmp_path, "slow", check="generation", more='modes = ["cache"]'), db=db)
    assert (wrong.code, "cached" in wrong.err) == (2, True)


def test_a_backend_without_a_profiler_says_so(tmp_path: Path, db: Path):
    done = assay("run", _suite(tmp_path, "right", check="profile"), db=db)
    assert done.code == 1
    assert "no profiler" in done.err


def test_a_paused_process_does_nothing_until_it_is_resumed():
    source = {"kind": "fake", "location": "", "folder": "."}
    job = CaseJob(op="benchmark", backend="fake", source=source, options={})
    with Worker(job, python=None, timeout_s=20) as worker:
        worker.until(LibraryImported)
        worker.pause()
        stat = Path(f"/proc/{worker._process.pid}/stat")
        deadline = time.monotonic() + 5
        while stat.read_text().split()[2] != "T":
            assert time.monotonic() < deadline, "the kernel stops it at once"
        worker.resume()
        while stat.read_text().split()[2] == "T":
            assert time.monotonic() < deadline


def test_forcing_a_comparison_of_unlike_runs_needs_a_reason_and_is_recorded(tmp_path: Path, db: Path):
    for delay in (1, 2):
        suite = _suite(tmp_path, "quick")
        suite.write_text(suite.read_text().replace("shape = [4, 8]", f"shape = [{4 * delay}, 8]"))
        assert assay("run", suite, db=db).code == 0
    refused = assay("compare", "latest~1", "latest", "--json", db=db).document
    assert {line["outcome"] for line in refused["measurements"]} == {"not comparable"}
    silent = assay("compare", "latest~1", "latest", "--force", db=db)
    assert (silent.code, "--reason" in silent.err) == (2, True)
    forced = assay(
        "compare",
        "latest~1",
        "latest",
        "--force",
        "--reason",
        "twice the rows, on purpose",
        "--owner",
        "ada",
        "--json",
        db=db,
    )
    assert all(line["ratio"] for line in forced.document["measurements"] if line["a"])
    with reading(snapshot(Store(db))) as connection:
        (row,) = connection.execute("select owner, reason, differs from comparison_override").fetchall()
    assert row[:2] == ("ada", "twice the rows, on purpose")
    assert "workload" in row[2]
    assert assay("compare", "latest~1", "latest", "--json", db=db).document["overrides"][0]["owner"] == "ada"


def test_an_engine_that_is_built_while_blocks_are_timed_fails_the_case(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A provider that builds engines by itself must have done so before the first block."""
    import io
    from contextlib import contextmanager

    from assay.runner.backends.fake import FakeSession
    from assay.runner.errors import UsageError
    from assay.runner.session import Placement
    from assay.runner.worker.jobs import benchmark

    built = {"a.engine": 1}

    class Provider(FakeSession):
        def builds(self) -> dict[str, int]:
            return dict(built)

        def placement(self) -> Placement:
            return Placement("cpu", "x", "x", None)

    @contextmanager
    def opened(_: object):
        yield Provider({})

    def block(_: int) -> tuple[list[float], dict[str, list[float]]]:
        built["b.engine"] = 2
        return [1.0], {}

    class Events:
        def emit(self, event: Event) -> None: ...

    monkeypatch.setattr(benchmark, "open_session", opened)
    monkeypatch.setattr("sys.stdin", io.StringIO('{"open": true}\n{"block": true}\n{"stop": true}\n'))
    timing = {"max_warmup_s": 0.05, "block_ms": 1.0, "min_block_calls": 1}
    job = CaseJob(op="benchmark", backend="fake", source={}, options={}, timing=timing)
    with pytest.raises(UsageError, match="an engine was built while blocks were timed"):
        benchmark.serve(job, Events(), lambda _: (lambda: time.sleep(0.005), block))


def test_streams_that_run_a_batch_at_the_same_time_all_count():
    from types import SimpleNamespace

    from assay.runner.run.figures import batch_of

    assert batch_of(SimpleNamespace(batch=8, opened={"streams": 3})) == 24
    assert batch_of(SimpleNamespace(batch=8, opened={})) == 8
    assert batch_of(SimpleNamespace(batch=None, opened={"streams": 3})) is None
