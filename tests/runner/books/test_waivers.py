"""A waiver for what does not exist would cover nothing in silence: it is refused, or said."""

from __future__ import annotations

from pathlib import Path

from assay.schema.store.database import reading, snapshot
from tests.conftest import Store, assay, fake_suite

TERMS = ("--premise", "x_out == x_out", "--owner", "ada", "--reason", "known", "--until", "2099-01-01")


def waive(db: Path, case: str, output: str, *more: str):
    return assay("waive", case, "--output", output, *TERMS, *more, db=db)


def test_a_waiver_is_held_against_the_cases_and_outputs_in_the_books(tmp_path: Path):
    db = tmp_path / "a.duckdb"
    assert waive(db, "not/yet/*", "x_out").code == 0, "empty books know nothing to hold it against"
    assert assay("run", fake_suite(tmp_path, "offset = 1.0"), db=db).code == 1
    unknown = waive(db, "lines/*", "x_out")
    assert (unknown.code, "no recorded case is called 'lines/*'" in unknown.err) == (2, True)
    misspelt = waive(db, "line/*", "x_ouut")
    assert (misspelt.code, "Did you mean 'x_out'" in misspelt.err) == (2, True)
    assert waive(db, "line/*", "x_ouut", "--force").code == 0
    assert waive(db, "line/other/*", "x_out", "--force").code == 0
    assert waive(db, "line/*", "x_out").code == 0
    again = assay("run", fake_suite(tmp_path, "offset = 1.0"), db=db)
    assert "covers no case of this suite: 'line/other/*'" in again.err
    newest = snapshot(Store(db))
    assert newest is not None
    with reading(newest) as connection:
        said = connection.execute("select message from finding where kind = 'unknown_output'").fetchall()
    assert len(said) == 1
    assert "is for output 'x_ouut', which the model does not have: it covers nothing" in said[0][0]
