"""`assay show`: what a person wants first, and everything else behind it. On a small book that is made of rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.schema.store.database import Store
from tests.conftest import assay
from tests.nights import Made, record
from tests.places import GOLDEN

CASES = [
    Made(model="encoder", passes=lambda night: night == 0, version=lambda night: f"v{night + 1}"),
    Made(model="decoder", value=lambda night: 10.0 if night == 0 else 15.0, passes=lambda _: True),
]


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two nights: in the second one a model fails, and another takes half as long again."""
    store = Store(tmp_path_factory.mktemp("shown") / "assay.duckdb")
    record(store, CASES, range(2))
    return store.database


def test_a_run_begins_with_what_failed_what_is_slower_and_what_to_type_next(books: Path):
    """Renew with: pytest tests/runner/cli/test_show.py, and read what differs."""
    told = assay("show", db=books)
    assert (told.code, told.err) == (0, "")
    assert told.out == (GOLDEN / "show.txt").read_text()


def test_the_commands_that_it_names_next_are_commands(books: Path):
    lines = assay("show", db=books).out.splitlines()
    named = [line.split()[1:] for line in lines[lines.index("next") + 1 :]]
    assert [words[0] for words in named] == ["explain", "compare", "show", "dashboard"]
    compared, shown = (assay(*words, db=books) for words in named[1:3])
    assert (compared.code, shown.code) == (0, 0)


def test_a_run_without_one_before_it_and_without_failures_says_so(books: Path):
    told = assay("show", "latest~1", db=books).out
    assert "nothing failed" in told
    assert "nothing is slower or larger than what they were timed beside" in told


def test_a_case_that_failed_a_verdict_is_never_called_ok(books: Path):
    """In the table of cases, as JSON, and in the counts of the list of runs."""
    table = assay("show", "latest", "cases", db=books, COLUMNS="200").out
    (line,) = [line for line in table.splitlines() if line.startswith("encoder/")]
    assert " ok " not in line
    assert " fail " in line
    shown = {case["name"].split("/")[0]: case for case in assay("show", "--json", db=books).document["cases"]}
    assert (shown["encoder"]["status"], shown["encoder"]["ended"]) == ("fail", "ok")
    assert (shown["decoder"]["status"], shown["decoder"]["ended"]) == ("ok", "ok")
    newest, oldest = assay("list", "runs", "--json", db=books).document
    assert (newest["not_ok"], oldest["not_ok"]) == (1, 0)
    report = assay("report", "latest", db=books).out
    assert "| fail |" in report.split("Failed, not measured, or proving nothing")[1].split("##")[0]


def test_every_row_is_behind_a_topic_or_all(books: Path):
    cases = assay("show", "latest", "cases", db=books).out
    assert "encoder/fp32/" in cases
    assert "verdicts" not in cases
    everything = assay("show", "--all", db=books).out
    assert all(topic in everything for topic in ("cases", "verdicts", "measurements", "findings: none"))


@pytest.mark.parametrize("columns", [80, 160])
def test_a_table_fits_the_terminal(books: Path, columns: int):
    """Renew with: assay compare latest~1, at 80 and 160 columns."""
    told = assay("compare", "latest~1", db=books, COLUMNS=str(columns)).out
    assert max(map(len, told.splitlines())) <= columns
    assert told == (GOLDEN / f"table-{columns}.txt").read_text()


def test_wide_says_every_column_and_every_id(books: Path):
    narrow, wide = (assay("list", "runs", *more, db=books).out for more in ((), ("--wide",)))
    assert "hardware class" in wide
    assert "nightly-gpu-1-001" in wide
    assert max(map(len, narrow.splitlines())) <= 80 < max(map(len, wide.splitlines()))
