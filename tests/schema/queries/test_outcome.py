"""What a case came to is one word, the same in a run's table, in the books, and in a run's counts."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from assay.schema import rows
from assay.schema.queries import base
from assay.schema.queries import runs as run_queries
from assay.schema.queries.outcome import came_to
from assay.schema.store import ingest
from assay.schema.store.database import Store, reading, snapshot
from assay.schema.store.spool import write_bundle
from tests.examples import a_row, a_run, an_environment


@pytest.mark.parametrize(
    ("status", "verdicts", "word"),
    [
        ("ok", [], "ok"),
        ("ok", [("parity", "pass")], "ok"),
        ("ok", [("parity", "pass"), ("invariant", "fail")], "fail"),
        ("ok", [("parity", "vacuous"), ("parity", "fail")], "fail"),
        ("vacuous", [("lost_state", "fail")], "fail"),
        ("vacuous", [], "vacuous"),
        ("ok", [("measurement", "unknown")], "unknown"),
        ("ok", [("parity", "waived"), ("parity", "pass")], "waived"),
        ("crashed", [("parity", "fail")], "crashed"),
        ("failed", [], "failed"),
        ("ok", [("parity", "fail"), ("expectation", "pass")], "ok"),
        ("vacuous", [("parity", "vacuous"), ("expectation", "pass")], "ok"),
        ("failed", [("expectation", "pass")], "ok"),
        ("ok", [("parity", "pass"), ("expectation", "fail")], "fail"),
        ("timeout", [("expectation", "fail")], "timeout"),
    ],
)
def test_the_gravest_word_wins_and_an_expectation_alone_judges_what_is_known_to_be_bad(status, verdicts, word):
    assert came_to(status, verdicts) == word


def test_the_books_count_cases_as_their_words_say(tmp_path: Path):
    """Every status with every pair of verdicts: what the ingester counts in SQL is what Python says of each case."""
    store = Store(tmp_path / "assay.duckdb")
    told = [*product(("ok", "vacuous", "failed"), _pairs())]
    bundle: list[rows.Row] = [an_environment(), a_run("r", cases_planned=len(told))]
    for number, (status, verdicts) in enumerate(told):
        case = f"c{number:03}"
        bundle.append(a_row(rows.CaseResult, case_id=case, name=case, run_id="r", environment_id="e", status=status))
        bundle += [
            a_row(rows.Verdict, verdict_id=f"{case}-{i}", case_id=case, run_id="r", subject=subject, name=str(i), outcome=outcome)
            for i, (subject, outcome) in enumerate(verdicts)
        ]  # fmt: skip
    write_bundle(store, "r", bundle)
    ingest.sync(store)
    path = snapshot(store)
    assert path is not None
    with reading(path) as connection:
        cases = run_queries.cases_of(connection, "r")
        (run,) = run_queries.runs(connection, base.Filters())
    words = {case["name"]: case["came_to"] for case in cases}
    assert words == {f"c{n:03}": came_to(status, verdicts) for n, (status, verdicts) in enumerate(told)}
    assert run["ok"] == sum(word in ("ok", "waived") for word in words.values())
    assert run["not_ok"] == len(told) - run["ok"]
    assert words[cases[0]["name"]] != "ok"


def _pairs() -> list[list[tuple[str, str]]]:
    single = [("parity", word) for word in ("pass", "fail", "vacuous", "unknown", "waived")]
    expected = [("expectation", "pass"), ("expectation", "fail")]
    return [[], *([one] for one in (*single, *expected)), *([a, b] for a, b in product(single, [*single, *expected]))]
