"""What is asked of one case, or of all compared ones, is what was written of them and nothing of their neighbours."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.schema import rows
from assay.schema.queries import parity as parity_queries
from assay.schema.queries import runs as run_queries
from assay.schema.store import ingest
from assay.schema.store.database import Store, reading, snapshot
from assay.schema.store.spool import write_bundle
from tests.examples import a_row, a_run, an_environment


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of two cases with two outputs each, and a figure of a case that no run has."""
    store = Store(tmp_path_factory.mktemp("books") / "assay.duckdb")
    for run in ("r1", "r2"):
        made: list[rows.Row] = [an_environment(), a_run(run)]
        for case in (f"{run}-a", f"{run}-b"):
            about = {"case_id": case, "run_id": run}
            made.append(a_row(rows.CaseResult, **about, name="n", environment_id="e", check_kind="parity", status="ok"))
            made.append(a_row(rows.Measurement, **about, metric="latency_p50_ms"))
            for output in ("y", "x"):
                made.append(a_row(rows.Parity, **about, output=output, step=-1, mode="functional"))
            made.append(
                a_row(rows.Verdict, verdict_id=case, **about, subject="parity", name="x", outcome="fail", reason="far")
            )
        write_bundle(store, run, made)
    write_bundle(store, "r3", [a_row(rows.Measurement, case_id="lost", run_id="r3", metric="latency_p50_ms")])
    ingest.sync(store)
    path = snapshot(store)
    assert path is not None
    return path


@pytest.mark.parametrize(("case", "runs"), [("r1-a", ["r1"]), ("r2-b", ["r2"]), ("lost", ["r3"]), ("never", [])])
def test_a_case_has_its_own_figures_whether_its_run_is_known_or_not(books: Path, case: str, runs: list[str]):
    with reading(books) as connection:
        found = run_queries.of_case(connection, "measurement", case)
    assert [(row["case_id"], row["run_id"]) for row in found] == [(case, run) for run in runs]


def test_a_case_has_its_own_receipts_by_output(books: Path):
    with reading(books) as connection:
        found = parity_queries.receipts_of_case(connection, "r2-a")
    assert [(row["case_id"], row["output"]) for row in found] == [("r2-a", "x"), ("r2-a", "y")]


def test_compared_cases_come_run_by_run_with_the_outcome_of_each_output_and_others_can_be_asked_meanwhile(books: Path):
    with reading(books) as connection:
        found = []
        for case in parity_queries.parity_cases(connection):
            found.append((case["case_id"], case["outcomes"], case["reasons"]))
            assert len(parity_queries.receipts_of_case(connection, case["case_id"])) == 2
    assert found == [(f"r{run}-{case}", {"x": "fail"}, {"x": "far"}) for run in (1, 2) for case in "ab"]
