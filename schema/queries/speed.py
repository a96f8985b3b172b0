"""Questions about speed: samples, steps of generations, profiles."""

from __future__ import annotations

import duckdb

from assay.schema.metrics import LATENCY
from assay.schema.queries.base import CASES, TIMED, Answer, Filters, ask, bound


def timed_samples(connection: duckdb.DuckDBPyConnection, filters: Filters) -> Answer:
    """Raw samples of the newest timed cases, with the group that they were timed in; labels tell them apart."""
    sql = f"""
        with c as ({CASES}), {TIMED}
        select l.case_id, l.run_id, l.run_started_at, l.model, l.model_version, l.variant, l.backend, l.workload,
            l.mode, l.check_kind, l.group_id,
            l.hardware_class, l.reproduce, l.comparability, m.metric, m.value, m.low, m.high, m.n, m.samples,
                m.block_length,
            coalesce(m.launches, 1) as launches, m.provenance
        from lately l join measurement m using (run_id, case_id)
        where l.age = 1 and m.metric in {LATENCY} and m.samples is not null
        order by l.run_started_at desc, l.model, l.workload, l.variant, l.backend"""
    return ask(connection, sql, **bound(filters))


def generation_steps(connection: duckdb.DuckDBPyConnection, case_ids: list[str]) -> Answer:
    """Median latency of every step of some generations; step 0 is the prompt."""
    sql = """select c.case_id, c.variant, c.backend, c.mode, s.step, s.latency_ms from stream_step s
        join case_result c using (case_id)
        where list_contains($cases, s.case_id) order by c.case_id, s.step"""
    return ask(connection, sql, cases=list(case_ids))


def profiled(connection: duckdb.DuckDBPyConnection, filters: Filters) -> Answer:
    """The newest profiled case of every model, version, variant, backend and workload; imported profiles too."""
    sql = f"""
        with c as ({CASES}), {TIMED}
        select l.case_id, l.run_id, l.run_started_at, l.name, l.model, l.model_version, l.variant, l.backend,
            l.workload, l.hardware_class,
            l.reproduce, count(*) as layers
        from lately l join layer y using (case_id) where l.age = 1 group by all order by l.run_started_at desc,
            l.name"""
    return ask(connection, sql, **bound(filters))


def layers_of(connection: duckdb.DuckDBPyConnection, run_id: str) -> Answer:
    """Layers of every profiled case of a run, in the order that they run in."""
    sql = """select c.name as case_name, c.model, c.model_version, c.variant, c.backend, c.workload,
        l.* exclude (case_id, run_id)
        from layer l join case_result c using (case_id) where l.run_id = $run order by c.name, l.position"""
    return ask(connection, sql, run=run_id)
