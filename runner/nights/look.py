"""One look of the nightly job at the books: read them, decide, write what is new down."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import duckdb

from assay.runner.regressions.alerts.absence import absences
from assay.runner.regressions.alerts.life import Night, decide
from assay.runner.regressions.alerts.new_changes import Books, Watching, new_changes
from assay.runner.regressions.alerts.shadow import shadow_changes
from assay.runner.regressions.alerts.suspicion import suspicions
from assay.schema.queries import alerts as alert_queries
from assay.schema.queries.base import Filters
from assay.schema.queries.series import series, verdict_series
from assay.schema.rows import Row
from assay.schema.rows.alerts import Change
from assay.schema.store import ingest
from assay.schema.store.database import Store, reading, snapshot
from assay.schema.store.spool import new_id, now, write_bundle

NIGHTS = 200
"""Newest nights of a series that are looked at: drift is held against the best of these, and against every release."""
LEAST = 4
"""Nights that a series needs before anything can be said of it."""


def books_of(connection: duckdb.DuckDBPyConnection, filters: Filters) -> Books:
    """Everything that the nightly job reads."""
    return Books(
        series=series(connection, filters, LEAST, NIGHTS),
        verdicts=verdict_series(connection, filters),
        changes=alert_queries.changes(connection, Filters()),
        accepted=alert_queries.accepted(connection),
        releases=frozenset((row["model"], row["version"]) for row in alert_queries.releases(connection)),
    )


def suspected(store: Store, watching: Watching, at: datetime | None = None) -> list[Change]:
    """Tonight's single nights that look worse after something was built anew.

    See `assay.runner.regressions.alerts.suspicion`.

    Raises:
        StoreError: the books cannot be read.
    """
    published = snapshot(store)
    if published is None:
        return []
    with reading(published) as connection:
        return suspicions(books_of(connection, Filters()), watching, at or now())


def look(
    store: Store,
    watching: Watching,
    filters: Filters | None = None,
    *,
    believed: Sequence[Change] = (),
    at: datetime | None = None,
    wait_s: float = 30.0,
) -> Night:
    """Find what is new in the published books, open and close alerts, record all of it.

    Twice in a row the second finds nothing.

    `believed` are changes that a re-run has confirmed, beside those that the history shows.

    Raises:
        StoreError: the books cannot be read or written.
    """
    published, moment = snapshot(store), at or now()
    if published is None:
        return Night()
    with reading(published) as connection:
        books = books_of(connection, filters or Filters())
        alerts = alert_queries.alerts(connection, Filters())
        expected = alert_queries.expectations(connection)
        seen = alert_queries.shadows(connection)
    fresh = new_changes(books, watching, moment)
    seen_here = {change.series_id for change in fresh}
    fresh += [change for change in believed if change.series_id not in seen_here]
    night = decide(fresh, alerts, books, moment)
    night.events += absences(expected, alerts, moment)
    made: list[Row] = [*night.changes, *night.events]
    made += [
        row for row in shadow_changes(books.series, moment) if (row.detector, row.series_id, row.run_id) not in seen
    ]
    if made:
        write_bundle(store, f"night-{new_id()}", made)
        ingest.sync(store, wait_s)
    return night
