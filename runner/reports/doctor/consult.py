"""Reads the rows of a run (and of the one before it) and asks the three questions."""

from __future__ import annotations

import duckdb

from assay.runner.reports.doctor.accuracy import accuracy
from assay.runner.reports.doctor.diagnosis import Diagnosis, DoctorFacts
from assay.runner.reports.doctor.outputs import outputs
from assay.runner.reports.doctor.runs import RunSide, differences
from assay.runner.reports.doctor.speed import speed
from assay.schema.queries import comparison
from assay.schema.queries import parity as parity_queries
from assay.schema.queries import quality as quality_queries
from assay.schema.queries import runs as run_queries


def of_run(connection: duckdb.DuckDBPyConnection, run_id: str) -> list[Diagnosis]:
    """Why accuracy fell, what nobody measured, and why quantized variants are not faster, in a run."""
    facts = facts_of(connection, run_id)
    return [*accuracy(facts), *outputs(facts), *speed(facts)]


def facts_of(connection: duckdb.DuckDBPyConnection, run_id: str) -> DoctorFacts:
    """The rows of a run that a diagnosis is made of."""
    ledger, sensitivity, classes = (
        quality_queries.of_run(connection, table, run_id) for table in ("ledger", "sensitivity", "class_quality")
    )
    return DoctorFacts(
        run_queries.cases_of(connection, run_id),
        run_queries.measurements_of(connection, run_id),
        parity_queries.findings_of(connection, run_id),
        ledger,
        sensitivity,
        classes,
        parity_queries.receipts_of(connection, run_id),
    )


def against(connection: duckdb.DuckDBPyConnection, run_id: str, before: str) -> list[Diagnosis]:
    """Why the answers of two runs differ."""
    now, then = (
        RunSide(
            run_queries.cases_of(connection, run),
            run_queries.measurements_of(connection, run),
            parity_queries.receipts_of(connection, run),
            parity_queries.findings_of(connection, run),
        )
        for run in (run_id, before)
    )
    return differences(now, then, comparison.differing_environment(connection, before, run_id))
