"""What is rolled up at ingestion, from what is new, is what the whole history says."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from assay.schema import rows
from assay.schema.store import ingest, spool
from assay.schema.store.database import Store, reading, snapshot
from tests.examples import a_row, a_run, an_environment

BEGAN = datetime(2026, 1, 1)
WHOLE = """
with point as (
    select m.series_id, r.started_at, c.model_version, r.run_id, m.value, m.low, m.high,
        row_number() over (partition by m.series_id order by r.started_at desc, r.run_id desc) as age
    from measurement m join case_result c using (case_id) join run r on r.run_id = m.run_id
    join environment e on e.environment_id = c.environment_id
)
select series_id, count(*) as points, list(started_at order by age desc), list(model_version order by age desc),
    list(run_id order by age desc), list(value order by age desc), list(low order by age desc),
    list(high order by age desc)
from point where age <= 90 group by series_id order by series_id
"""
KEPT = """
select series_id, points, started_at, model_versions, run_ids, vals, lows, highs from series_trend order by series_id
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "assay.duckdb")


def deliver(store: Store, night: int, series: list[str], *, late: list[str] | None = None) -> None:
    """A run with a point for each series; those that are `late` come in a second bundle without the run's row."""
    run_id = f"r{night:04}"
    for part, first in ((series, True), (late or [], False)):
        made: list[rows.Row] = [a_run(run_id, started_at=BEGAN + timedelta(days=night))] if first else []
        made.append(an_environment())
        for name in part:
            case = f"{run_id}/{name}"
            made.append(
                a_row(rows.CaseResult, run_id=run_id, case_id=case, environment_id="e", model_version=f"v{night}")
            )
            made.append(
                a_row(
                    rows.Measurement,
                    run_id=run_id,
                    case_id=case,
                    series_id=name,
                    value=night + 0.5,
                    low=float(night),
                    high=None,
                )
            )
        if part:
            spool.write_bundle(store, run_id, made)


def test_a_trend_has_the_newest_90_points_whatever_order_runs_are_delivered_in(store: Store):
    order = list(range(110))
    random.Random(0).shuffle(order)
    for begin in range(0, len(order), 10):
        for night in order[begin : begin + 10]:
            deliver(store, night, ["a"] if night % 2 else ["a", "b"], late=["c"] if night % 5 == 0 else None)
        ingest.sync(store)
    published = snapshot(store)
    assert published is not None
    with reading(published) as connection:
        kept, whole = connection.execute(KEPT).fetchall(), connection.execute(WHOLE).fetchall()
    assert kept == whole
    assert [(row[0], row[1]) for row in kept] == [("a", 90), ("b", 55), ("c", 22)]
