"""A run is held against a baseline: what regressed, what is not known, and what ends CI."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from assay.runner.reports.gate import as_junit, as_markdown, judge
from assay.schema import rows
from assay.schema.metrics import METRICS
from assay.schema.queries.comparison import Line, RunComparison
from assay.schema.store import ingest
from assay.schema.store.database import Store
from assay.schema.store.spool import now, write_bundle
from tests.conftest import assay
from tests.examples import a_row, a_run, an_environment


def line(
    case: str, outcome: str, *, name: str = "latency_p50_ms", ratio: float | None = 1.3, differs: str = ""
) -> Line:
    return Line(case, name, "ms", "lower", 1.0, 0.9, 1.1, 1.3, 1.2, 1.4, ratio, None if ratio is None else ratio * 0.9, None if ratio is None else ratio * 1.1, outcome, differs)  # fmt: skip


def compared(
    speed: list[Line], parity: list[Line] | None = None, environment: dict[str, Any] | None = None
) -> RunComparison:
    return RunComparison("run-a", "run-b", environment or {}, speed, parity or [])


def case(name: str, status: str = "ok", error: str | None = None, came_to: str | None = None) -> dict[str, Any]:
    return {"name": name, "status": status, "error_message": error, "came_to": came_to or status, "why": error}


def test_a_slower_case_and_a_verdict_that_got_worse_are_regressions():
    found = judge(
        compared(
            [line("a", "worse"), line("b", "not distinguishable")],
            [line("a", "worse: pass -> fail", name="y: max_abs")],
        ),
        [case("a")],
        [case("a")],
    )
    assert [(c.case, c.what) for c in found.of("regressed")] == [("a", "y: max_abs"), ("a", "latency_p50_ms")]
    assert found.of("regressed")[1].message == "1.3x [1.17, 1.43] of the baseline, lower is better"
    assert found.exit_code == 1


@pytest.mark.parametrize(
    ("before", "after", "outcome", "says"),
    [
        ("ok", None, "regressed", "it is in the baseline and not in this run"),
        ("ok", "crashed", "regressed", "crashed: segfault"),
        ("ok", "vacuous", "regressed", "it compared something in the baseline, and nothing now"),
        ("failed", "failed", "not enough evidence", "failed, as in the baseline: segfault"),
        ("failed", "ok", "equivalent", "ok"),
    ],
)
def test_a_case_that_is_gone_or_broke_is_a_regression_and_one_that_was_broken_is_not(
    before: str, after: str | None, outcome: str, says: str
):
    now_ = [] if after is None else [case("a", after, "segfault")]
    (check,) = judge(compared([]), [case("a", before)], now_).checks
    assert (check.outcome, check.message) == (outcome, says)


def test_a_case_that_fails_a_verdict_which_is_no_comparison_of_outputs_is_a_regression():
    """A limit, an invariant or a finding has no receipt: the case itself says it."""
    failing = case("a", error="threads: 2 were asked for, and 1 were in force", came_to="fail")
    (check,) = judge(compared([]), [case("a")], [failing]).checks
    assert (check.outcome, check.message) == (
        "regressed",
        "ok -> fail: threads: 2 were asked for, and 1 were in force",
    )
    assert [c.outcome for c in judge(compared([]), [failing], [failing]).checks] == ["equivalent"]
    worse = line("a", "worse: pass -> fail", name="y: max_abs")
    assert [c.what for c in judge(compared([], [worse]), [case("a")], [failing]).of("regressed")] == ["y: max_abs"]


def test_what_is_not_known_stops_nobody_unless_nothing_is_known():
    some = judge(compared([line("a", "not enough evidence"), line("b", "same", ratio=1.0)]), [], [])
    assert (len(some.of("not enough evidence")), some.exit_code) == (1, 0)
    assert judge(compared([line("a", "not enough evidence")]), [], []).exit_code == 4
    assert judge(compared([]), [], []).exit_code == 4


def test_runs_that_are_not_alike_are_refused_with_the_fields_that_differ():
    from assay.runner.errors import UsageError

    other = line("a", "not comparable", ratio=None, differs="hardware: H100 against A100; threads: 1 against 2")
    with pytest.raises(
        UsageError, match="hardware: H100 against A100; threads: 1 against 2. Choose a baseline of the same kind"
    ):
        judge(compared([other]), [], [])
    mixed = judge(compared([other, line("b", "better", ratio=0.8)]), [], [])
    assert (mixed.exit_code, mixed.of("not enough evidence")[0].message) == (
        0,
        "not comparable: hardware: H100 against A100; threads: 1 against 2",
    )


def test_a_pull_request_and_ci_are_told_the_same():
    found = judge(
        compared(
            [line("m/int8|x", "worse"), line("b", "not enough evidence")], environment={"torch": ("2.12", "2.13")}
        ),
        [case("b")],
        [case("b")],
    )
    text = as_markdown(found)
    assert text.startswith("## Assay: 1 regressed\n")
    assert "- torch differs: 2.12 -> 2.13" in text
    assert "| m/int8\\|x | latency_p50_ms | 1.3x [1.17, 1.43] of the baseline, lower is better |" in text
    suite = ET.fromstring(as_junit(found))
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    assert suite.find("testcase/failure").get("message").startswith("1.3x")


def test_what_xml_cannot_hold_is_left_out():
    found = judge(compared([]), [case("a")], [case("a", "crashed", "\x1b[31mred\x00 & <b>")])
    assert ET.fromstring(as_junit(found)).find("testcase/failure").get("message") == "crashed: ?[31mred? & <b>"


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of suite `s`: a baseline, one like it, one 40 % slower on a branch; and one of another suite."""
    store = Store(tmp_path_factory.mktemp("gate") / "assay.duckdb")
    start = now() - timedelta(days=9)
    for number, (name, suite, level, branch) in enumerate(
        (("aaa", "s", 10.0, "main"), ("bbb", "s", 10.1, "main"), ("ccc", "s", 14.0, "new"), ("ddd", "t", 1.0, "main"))
    ):
        run = a_run(name, started_at=start + timedelta(days=number), git_branch=branch)
        run = replace(run, suite=suite)
        result = a_row(
            rows.CaseResult,
            case_id=f"case-{name}",
            run_id=name,
            name="m/v/b/w/benchmark",
            environment_id="e",
            check_kind="benchmark",
            status="ok",
            started_at=run.started_at,
            comparability="model=m; hardware=cpu",
        )
        figure = a_row(
            rows.Measurement,
            case_id=f"case-{name}",
            run_id=name,
            series_id="s",
            metric="latency_p50_ms",
            value=level,
            low=level * 0.98,
            high=level * 1.02,
            provenance="measured",
        )
        write_bundle(store, name, [run, an_environment(), METRICS["latency_p50_ms"].row, result, figure])
    ingest.sync(store, 30)
    return store.database


def test_the_command_ends_with_the_gates_code_and_writes_what_ci_reads(books: Path, tmp_path: Path):
    worse = assay("gate", "--suite", "s", "--against", "branch:main", "--as", "json", db=books)
    assert worse.code == 1, worse.err
    assert worse.document["against"] == "bbb"
    assert [c["outcome"] for c in worse.document["checks"]] == ["equivalent", "regressed"]
    assert assay("gate", "--suite", "s", "--against", "aaa", "--run", "bbb", db=books).code == 0
    out = tmp_path / "gate.xml"
    assert assay("gate", "--suite", "s", "--as", "junit", "--out", out, db=books).code == 1
    assert ET.parse(out).getroot().get("failures") == "1"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--suite", "u"), "there is no run of suite 'u'"),
        (("--suite", "s", "--against", "latest"), "a run is no baseline of its own"),
        (("--suite", "s", "--against", "ddd"), "no run is called 'ddd'"),
        (("--suite", "s", "--as", "html"), "--as is table, md, junit or json, not 'html'"),
        (("--suite", "s", "--out", "/nowhere/x", "--as", "md"), "cannot write /nowhere/x"),
    ],
)
def test_a_baseline_that_cannot_be_one_is_told(books: Path, arguments: tuple[str, ...], message: str):
    done = assay("gate", *arguments, db=books)
    assert done.code in (2, 3)
    assert message in done.err.replace("\n", " ")
    assert "Traceback" not in done.err


def test_the_document_is_one_document(books: Path):
    told = assay("gate", "--suite", "s", "--as", "json", db=books)
    assert json.loads(told.out)["exit_code"] == told.code == 1
