"""What speaks for an alert beside its own figures.

What else moved, what differs between the hosts, layers, and the first divergence.
"""

from __future__ import annotations

import duckdb

from assay.schema.queries.base import Answer, ask


def moved_beside(connection: duckdb.DuckDBPyConnection, alert_id: str) -> Answer:
    """Changes within 36 hours of an alert's that are not its own: improvements too."""
    sql = """
        with mine as (select min(started_at) as first, max(started_at) as last from change where alert_id = $alert)
        select distinct on (c.change_id) c.name, c.metric, c.direction, c.message, c.version, c.started_at,
            c.alert_id from change c, mine
        where c.alert_id is distinct from $alert and c.started_at between mine.first - interval 36 hour
            and mine.last + interval 36 hour
        order by c.change_id, c.alert_id is null"""
    return ask(connection, sql, alert=alert_id)


def ledger_difference(connection: duckdb.DuckDBPyConnection, alert_id: str, most: int = 12) -> Answer:
    """Tensors whose quantization got worse between the runs on both sides of an alert's changes, the worst first.

    They are of the same model, variant and backend; `drop_db` is what the signal-to-quantization-noise ratio lost.
    """
    sql = f"""
        with pair as (select distinct model, variant, backend, run_before, run_id from change where alert_id = $alert),
        side as (
            select c.run_id, c.model, c.variant, c.backend, l.name, l.node, l.op_type, l.kind, min(l.sqnr_db) as sqnr_db
            from ledger l join case_result c using (case_id) where c.run_id in (select run_before
                from pair union select run_id from pair) group by all
        )
        select a.model, a.variant, a.name, a.node, a.op_type, a.kind, b.sqnr_db as before_db, a.sqnr_db as after_db,
            b.sqnr_db - a.sqnr_db as drop_db
        from pair p join side a on a.run_id = p.run_id and a.model = p.model and a.variant = p.variant
            and a.backend = p.backend
        join side b on b.run_id = p.run_before and b.model = p.model and b.variant = p.variant
            and b.backend = p.backend and b.name = a.name and b.kind = a.kind
        where isfinite(a.sqnr_db) and b.sqnr_db - a.sqnr_db > 0.1 order by drop_db desc limit {int(most)}"""
    return ask(connection, sql, alert=alert_id)


def layer_difference(connection: duckdb.DuckDBPyConnection, alert_id: str, most: int = 12) -> Answer:
    """Profiled operators that got slower between the runs on both sides, the most time lost first.

    Medians in microseconds.
    """
    sql = f"""
        with pair as (select distinct model, variant, backend, run_before, run_id from change where alert_id = $alert),
        side as (
            select c.run_id, c.model, c.variant, c.backend, c.workload, l.name, l.op_type, min(l.median_us) as us
            from layer l join case_result c using (case_id) where c.run_id in (select run_before
                from pair union select run_id from pair) group by all
        )
        select a.model, a.variant, a.backend, a.workload, a.name, a.op_type, b.us as before_us, a.us as after_us,
            a.us - b.us as lost_us
        from pair p join side a on a.run_id = p.run_id and a.model = p.model and a.variant = p.variant
            and a.backend = p.backend
        join side b on b.run_id = p.run_before and b.model = p.model and b.variant = p.variant
            and b.backend = p.backend and b.name = a.name and b.workload = a.workload
        where a.us > b.us order by lost_us desc limit {int(most)}"""
    return ask(connection, sql, alert=alert_id)


def first_divergence(connection: duckdb.DuckDBPyConnection, alert_id: str) -> Answer:
    """The suspects of explanations of an alert's cases, or of the same model and variant, since it began."""
    sql = """
        with mine as (select distinct model, variant, backend, started_at from change where alert_id = $alert)
        select distinct on (c.name) c.name, c.model_version, d.node, d.op_type, d.layer, d.reference_node, d.output,
            d.local_rel_l2, d.hint, d.run_id
        from divergence d join case_result c using (case_id) join run r on r.run_id = c.run_id
        join mine m on m.model = c.model and m.variant = c.variant and m.backend = c.backend
            and r.started_at >= m.started_at
        where d.suspect order by c.name, d.explanation_id desc, d.position"""
    return ask(connection, sql, alert=alert_id)


def pair_of(connection: duckdb.DuckDBPyConnection, alert_id: str) -> tuple[str, str] | None:
    """The runs on both sides of the alert's oldest change."""
    sql = "select run_before, run_id from change where alert_id = $alert order by started_at, change_id limit 1"
    found = ask(connection, sql, alert=alert_id)
    return (found[0]["run_before"], found[0]["run_id"]) if found else None
