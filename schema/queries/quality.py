"""Questions about quantization: what is lost, on which tensor, by which calibration, and what a search found."""

from __future__ import annotations

import duckdb

from assay.schema.metrics import PRIMARY
from assay.schema.queries.base import CASES, Answer, Filters, ask, bound

MAIN_METRICS = tuple(PRIMARY.values())
"""The main metric of each task; a case has one of them."""
_NEWEST = """
    lately as (
        select *, dense_rank() over (
            partition by model, model_version, variant, backend, workload, check_kind,
                hardware_class order by run_started_at desc, run_id desc) as age
        from c
    )"""


def qualities(connection: duckdb.DuckDBPyConnection, filters: Filters) -> Answer:
    """The newest task metrics of every model, version, variant, backend and workload, and what the main one loses.

    `drop`, `low` and `high` are relative. Trials of searches are left out, unless their suite is asked for.
    """
    sql = f"""
        with c as ({CASES}), {_NEWEST}
        select l.case_id, l.run_id, l.run_started_at, l.name, l.model, l.model_version, l.variant, l.backend,
            l.workload, l.hardware_class, l.comparability,
            l.reproduce, v.metric, any_value(v.value) as value, any_value(r.value) as drop, any_value(r.low) as low,
                any_value(r.high) as high, any_value(r.n) as n,
            max(o.value) filter (o.metric = 'agreement') as agreement, max(o.value)
                filter (o.metric = 'mcnemar_p') as mcnemar_p,
            max(o.value) filter (o.metric = 'bits_per_weight') as bits_per_weight, max(o.value)
                filter (o.metric = 'model_bytes') as model_bytes,
            any_value(w.outcome) as verdict, any_value(w.grade) as grade
        from lately l join measurement v on v.run_id = l.run_id and v.case_id = l.case_id and v.metric in {MAIN_METRICS}
        left join measurement r on r.case_id = l.case_id and r.metric = 'quality_drop_relative'
        left join measurement o on o.case_id = l.case_id
        left join current_verdict w on w.case_id = l.case_id and w.name = 'quality_drop_relative'
        where l.age = 1 and l.check_kind = 'quality' and ($suite != ''
            or l.suite not like '%-search') group by all order by l.model, l.workload, drop, l.variant"""
    return ask(connection, sql, **bound(filters))


def ledgers(connection: duckdb.DuckDBPyConnection, filters: Filters) -> Answer:
    """The newest case with a ledger, of every model, version, variant, backend and workload."""
    return _having(connection, filters, "ledger")


def sensitivities(connection: duckdb.DuckDBPyConnection, filters: Filters) -> Answer:
    """The newest case with a sensitivity, likewise."""
    return _having(connection, filters, "sensitivity")


def _having(connection: duckdb.DuckDBPyConnection, filters: Filters, table: str) -> Answer:
    sql = f"""
        with c as ({CASES}), {_NEWEST}
        select l.case_id, l.run_id, l.run_started_at, l.name, l.model, l.model_version, l.variant, l.backend,
            l.workload, l.hardware_class, l.reproduce,
            a.calibration, a.calibration_sha256, count(*) as entries
        from lately l join {table} t using (case_id) left join artifact a using (artifact_id) where l.age = 1
        group by all order by l.run_started_at desc, l.name"""
    return ask(connection, sql, **bound(filters))


def activations(connection: duckdb.DuckDBPyConnection, case_ids: list[str]) -> Answer:
    """Activations of some ledgers, to be set side by side."""
    sql = """select c.variant, l.position, l.name, l.sqnr_db, l.executed_sqnr_db, l.clipped from ledger l
        join case_result c using (case_id)
        where list_contains($cases, l.case_id) and l.kind = 'activation' order by c.variant, l.position"""
    return ask(connection, sql, cases=list(case_ids))


def searches(connection: duckdb.DuckDBPyConnection, filters: Filters) -> Answer:
    """Searches of the models that the filters let through, newest first."""
    sql = """select * from search where (len($models) = 0 or list_contains($models, model)) and (len($variants) = 0
        or list_contains($variants, variant))
        order by recorded_at desc limit 50"""
    return ask(connection, sql, **bound(filters))


def of_search(connection: duckdb.DuckDBPyConnection, table: str, search_id: str) -> Answer:
    """Nodes or trials of a search.

    Raises:
        KeyError: no such table.
    """
    order = {"search_node": "position", "search_trial": "position"}[table]
    return ask(connection, f"select * from {table} where search_id = $search order by {order}", search=search_id)


def of_run(connection: duckdb.DuckDBPyConnection, table: str, run_id: str) -> Answer:
    """Rows of a table about tensors, nodes or classes, of every case of a run.

    Raises:
        KeyError: no such table.
    """
    order = {
        "ledger": "case_id, position",
        "sensitivity": "case_id, position",
        "class_quality": "case_id, metric, class_name",
    }[table]
    return ask(connection, f"select * from {table} where run_id = $run order by {order}", run=run_id)
