"""What a report is made of: the rows of a run, and the tables that are made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from assay.runner.reports.doctor import consult
from assay.runner.reports.doctor.diagnosis import Diagnosis
from assay.schema.queries import base
from assay.schema.queries import parity as parity_queries
from assay.schema.queries import runs as run_queries
from assay.schema.queries import speed as speed_queries

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """Everything of a run that a report shows."""

    run: Row
    environment: Row
    cases: Sequence[Row]
    measured: Sequence[Row]
    receipts: Sequence[Row]
    findings: Sequence[Row]
    layers: Sequence[Row]
    diagnoses: Sequence[Diagnosis] = ()
    """Why accuracy fell, and why variants are not faster."""


def gather(connection: duckdb.DuckDBPyConnection, run_id: str) -> ReportFacts:
    """Read a run."""
    run = next(row for row in run_queries.runs(connection, base.Filters(), limit=10**9) if row["run_id"] == run_id)
    return ReportFacts(
        run,
        run_queries.environment_of(connection, run_id),
        run_queries.cases_of(connection, run_id),
        run_queries.measurements_of(connection, run_id),
        parity_queries.receipts_of(connection, run_id),
        parity_queries.findings_of(connection, run_id),
        speed_queries.layers_of(connection, run_id),
        consult.of_run(connection, run_id),
    )


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
