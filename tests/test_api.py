"""`from assay import ...`: books are opened, suites run and files compared from Python, as on the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import assay
from assay.schema.store.database import Store
from tests.conftest import fake_suite
from tests.nights import Made, record, stepping


@pytest.fixture
def books(store: Store):
    record(store, [Made(value=stepping(2, 1.5), passes=lambda night: night < 2)], range(3))
    with assay.open_books(store.database) as opened:
        yield opened


def test_runs_cases_figures_and_verdicts_are_rows(books: assay.Books):
    assert len(books.runs()) == 3
    assert [case["status"] for case in books.cases("latest")] == ["ok"]
    assert [v["outcome"] for v in books.verdicts("latest")] == ["fail"]
    assert [v["outcome"] for v in books.verdicts("latest~1")] == ["pass"]
    assert books.measurements("latest")[0]["value"] == pytest.approx(15, rel=0.1)


def test_two_runs_are_compared_by_their_names(books: assay.Books):
    (line,) = books.compare("latest~1", "latest").speed
    assert line.ratio == pytest.approx(1.5, rel=0.1)


def test_any_query_is_rows_or_a_frame_and_a_wrong_one_says_what_is_wrong(books: assay.Books):
    asked = "select run_id, value from measurement where value > $least order by value"
    assert len(books.query(asked, {"least": 12.0})) == 1
    assert list(books.frame(asked, {"least": 99.0}).columns) == ["run_id", "value"]
    with pytest.raises(assay.UsageError, match="no_such_table"):
        books.query("select * from no_such_table")


def test_books_that_are_not_there_name_the_command_that_makes_some(tmp_path: Path):
    with pytest.raises(assay.StoreError, match="assay run quickstart"):
        assay.open_books(tmp_path / "none.duckdb")


def test_a_run_that_nobody_made_is_told_with_its_name(books: assay.Books):
    with pytest.raises(assay.StoreError, match="nobody"):
        books.cases("nobody")


@pytest.mark.slow
def test_a_suite_runs_and_is_in_the_books(tmp_path: Path):
    database = tmp_path / "a.duckdb"
    result = assay.run_suite(fake_suite(tmp_path), database)
    assert (result.passed, result.exit_code, len(result.cases)) == (True, assay.ExitCode.OK, 1)
    with assay.open_books(database) as books:
        assert books.resolve("latest") == result.run_id
        assert {v["outcome"] for v in books.verdicts()} == {"pass"}
    failed = assay.run_suite(fake_suite(tmp_path, "offset = 1.0"), database)
    assert (failed.passed, failed.exit_code) == (False, assay.ExitCode.FAILED)
    with pytest.raises(assay.NothingMeasured, match="no case matches"):
        assay.run_suite(fake_suite(tmp_path), database, only="nothing-like-it")


def test_two_files_are_compared_array_by_array_and_nothing_is_never_a_pass(tmp_path: Path):
    right = np.linspace(1, 2, 8, dtype=np.float32)
    np.savez(tmp_path / "right.npz", x=right, y=right)
    np.savez(tmp_path / "near.npz", x=right + np.float32(1e-4), y=right)
    outcomes = {row["name"]: row["outcome"] for row in assay.diff(tmp_path / "right.npz", tmp_path / "near.npz")}
    assert outcomes == {"x": "fail", "y": "pass"}
    within = assay.diff(tmp_path / "right.npz", tmp_path / "near.npz", atol=1e-3)
    assert [row["outcome"] for row in within] == ["pass", "pass"]
    same = assay.diff(tmp_path / "right.npz", tmp_path / "right.npz")
    assert {row["outcome"] for row in same} == {"vacuous"}


def test_every_public_name_is_there_described_and_costs_nothing_until_it_is_asked_for():
    for name in set(assay.__all__) - {"__version__"}:
        assert getattr(assay, name).__doc__ or issubclass(getattr(assay, name), Exception | int), name
    with pytest.raises(AttributeError, match="no attribute 'runs'"):
        assay.runs  # noqa: B018
    code = "import sys, assay; assay.__version__; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & {"numpy", "duckdb", "torch", "pydantic", "typer", "pandas", "streamlit"} == set()
