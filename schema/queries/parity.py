"""Questions about parity: receipts, verdicts, streams, explanations, waivers, findings, noise."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

import duckdb

from assay.schema.queries.base import CASES, GRAVITY, MAIN, Answer, Filters, ask, bound, rows_of_case

_AT_A_TIME = 10_000
"""Verdicts that are held while all are gone through."""


def receipts_of(connection: duckdb.DuckDBPyConnection, run_id: str) -> Answer:
    """Receipts over all steps, with their verdict."""
    sql = f"""select c.name, c.model, c.model_version, c.variant, c.backend, c.workload, c.reference, c.comparability,
        p.*,
            v.outcome, v.grade, v.reason, v.margin, v.observed, v.limit_value, v.rule as policy_rule, v.subject
        from parity p join case_result c using (case_id)
        left join current_verdict v on v.case_id = p.case_id and v.name = p.output and v.subject = 'parity'
        where p.run_id = $run and p.step = -1 and {MAIN} order by c.name, p.output"""
    return ask(connection, sql, run=run_id)


def verdicts_of(connection: duckdb.DuckDBPyConnection, run_id: str) -> Answer:
    sql = """select c.name as case_name, c.model_version, v.* from current_verdict v join case_result c using (case_id)
        where v.run_id = $run order by v.outcome = 'pass', c.name, v.name"""
    return ask(connection, sql, run=run_id)


def parity_history(connection: duckdb.DuckDBPyConnection, filters: Filters) -> Answer:
    """Receipts over all steps with verdicts, for every case in the filters, oldest first."""
    sql = f"""
        with c as ({CASES})
        select c.run_id, c.run_started_at, c.name, c.model, c.model_version, c.variant, c.backend, c.workload,
            c.reference,
            c.reproduce, p.* exclude (run_id),
            v.outcome, v.grade, v.reason, v.margin, v.observed, v.limit_value, v.rule as policy_rule
        from parity p join c on c.run_id = p.run_id and c.case_id = p.case_id
        left join current_verdict v on v.run_id = c.run_id and v.case_id = p.case_id and v.name = p.output
            and v.subject = 'parity'
        where p.step = -1 and {MAIN} order by c.run_started_at, c.name, p.output"""
    return ask(connection, sql, **bound(filters))


def outputs_by_case(connection: duckdb.DuckDBPyConnection) -> dict[str, set[str]]:
    """Every recorded case by name, with the outputs that it ever left receipts of; none of one that never ran."""
    sql = f"""select c.name, list(distinct p.output) filter (p.output is not null) as outputs
        from case_result c left join parity p on p.case_id = c.case_id and {MAIN} group by c.name"""
    return {row["name"]: set(row["outputs"] or ()) for row in ask(connection, sql)}


def waiver_events(connection: duckdb.DuckDBPyConnection) -> Answer:
    """Every grant and revocation, oldest first; none in a database from before there were waivers."""
    there = ask(connection, "select 1 from duckdb_tables() where table_name = 'waiver_event'")
    return ask(connection, "select * from waiver_event order by recorded_at, event_id") if there else []


def parity_cases(connection: duckdb.DuckDBPyConnection) -> Iterator[dict[str, Any]]:
    """Every case that left receipts, oldest first, with the newest outcome and reason of each output.

    They are read a part at a time, as the caller goes on: a fleet's years have millions.
    """
    sql = """select c.case_id, c.run_id, c.name, c.model_version, v.name as output, v.outcome, v.reason
        from case_result c left join current_verdict v on v.run_id = c.run_id and v.case_id = c.case_id
            and v.subject = 'parity'
        where c.check_kind = 'parity' and c.status in ('ok', 'vacuous') order by c.run_id, c.case_id"""
    cursor = connection.cursor().execute(sql)
    told = chain.from_iterable(iter(lambda: cursor.fetchmany(_AT_A_TIME), []))
    for (case_id, run_id, name, version), verdicts in groupby(told, key=itemgetter(0, 1, 2, 3)):
        known = [(output, outcome, reason) for *_, output, outcome, reason in verdicts if output is not None]
        yield {
            "case_id": case_id,
            "run_id": run_id,
            "name": name,
            "model_version": version,
            "outcomes": {output: outcome for output, outcome, _ in known},
            "reasons": {output: reason for output, _, reason in known},
        }


def receipts_of_case(connection: duckdb.DuckDBPyConnection, case_id: str) -> Answer:
    """Receipts of one case's own comparison, by output and step."""
    return rows_of_case(connection, f"select * from parity p where {{of}} and {MAIN} order by output, step", case_id)


def streams(connection: duckdb.DuckDBPyConnection, filters: Filters) -> Answer:
    """The newest case of every stream and mode: what was compared step by step, with more than one step."""
    sql = f"""
        with c as ({CASES}),
        lately as (
            select *, row_number() over (
                partition by model, variant, backend, workload, mode, name order by run_started_at desc,
                    case_id desc) as age
            from c where check_kind = 'parity' and status in ('ok', 'vacuous')
        )
        select l.case_id, l.run_id, l.run_started_at, l.name, l.model, l.model_version, l.variant, l.backend,
            l.workload, l.mode, l.reproduce,
            l.hardware_class, count(*) as steps
        from lately l join stream_step s using (case_id) where l.age = 1
        group by all having count(*) > 1 order by l.model, l.variant, l.backend, l.workload, l.mode"""
    return ask(connection, sql, **bound(filters))


def steps_of(connection: duckdb.DuckDBPyConnection, case_ids: list[str]) -> Answer:
    """Errors of some cases by output and step, with the latency of the step."""
    sql = f"""select c.mode, c.name, p.output, p.step, p.max_abs, p.p99_abs, p.elements, p.violations, p.atol,
        p.problem, s.latency_ms, s.resynced
        from parity p join case_result c using (case_id) left join stream_step s on s.case_id = p.case_id
            and s.step = p.step
        where list_contains($cases, p.case_id) and p.step >= 0 and {MAIN} order by c.mode, p.output, p.step"""
    return ask(connection, sql, cases=list(case_ids))


def explained(connection: duckdb.DuckDBPyConnection, filters: Filters) -> Answer:
    """Cases that have been explained, the newest explanation of each; newest case first."""
    sql = f"""
        with c as ({CASES}),
        told as (
            select case_id, explanation_id from divergence union select case_id, explanation_id from blame
        )
        select c.case_id, c.run_id, c.run_started_at, c.name, c.model, c.model_version,
            max(t.explanation_id) as explanation_id
        from told t join c using (case_id) group by all order by c.run_started_at desc, c.name"""
    return ask(connection, sql, **bound(filters))


def explanation(connection: duckdb.DuckDBPyConnection, table: str, explanation_id: str) -> Answer:
    """Rows of one explanation: `divergence` or `blame`."""
    if table not in ("divergence", "blame"):
        raise KeyError(table)
    return ask(connection, f"select * from {table} where explanation_id = $id order by position", id=explanation_id)


def waivers(connection: duckdb.DuckDBPyConnection) -> Answer:
    """Every waiver as its newest event left it.

    Each says what became of its premise lately, and how many failures it covered.
    """
    sql = """
        with newest as (
            select * from waiver_event qualify row_number() over (partition by waiver_id order by recorded_at desc,
                event_id desc) = 1
        ),
        premises as (
            select i.expression, first(i.broken order by i.run_id desc) as broken,
                first(i.checked order by i.run_id desc) as checked,
                first(i.observed order by i.run_id desc) as observed
            from invariant i where i.kind = 'premise' group by i.expression
        )
        select n.*, p.checked as premise_checked, p.broken as premise_broken, p.observed as premise_observed,
            (select count(*) from verdict v where v.waiver_id = n.waiver_id and v.outcome = 'waived') as waived,
            (select count(*) from verdict v where v.waiver_id = n.waiver_id and v.outcome = 'fail') as void
        from newest n left join premises p on p.expression = n.premise order by n.action, n.expires_at"""
    return ask(connection, sql)


def findings(connection: duckdb.DuckDBPyConnection, filters: Filters) -> Answer:
    """What was found in the newest case of each name, the gravest first."""
    sql = f"""
        with c as ({CASES}),
        lately as (select *, row_number() over (partition by name order by run_started_at desc,
            case_id desc) as age from c)
        select l.name, l.model, l.model_version, f.kind, f.subject, f.severity, f.message, l.run_id
        from finding f join lately l using (case_id) where l.age = 1
        order by {GRAVITY}, l.name, f.kind"""
    return ask(connection, sql, **bound(filters))


def advice(connection: duckdb.DuckDBPyConnection, filters: Filters) -> Answer:
    """Noise by source and output, and the tolerance proposed from it, of the newest case of each name."""
    sql = f"""
        with c as ({CASES}),
        lately as (select *, row_number() over (partition by name order by run_started_at desc,
            case_id desc) as age from c)
        select l.name, l.model, l.model_version, n.source, n.output, n.n, n.max_abs, n.p999_abs, n.rel_l2, n.atol,
            n.rtol, n.problem
        from noise n join lately l using (case_id) where l.age = 1 order by n.source != 'advice', l.name, n.output,
            n.source"""
    return ask(connection, sql, **bound(filters))


def findings_of(connection: duckdb.DuckDBPyConnection, run_id: str) -> Answer:
    """What was found in the cases of a run, the gravest first."""
    sql = f"""select c.name, c.model_version, f.kind, f.subject, f.severity, f.message from finding f
        join case_result c using (case_id)
        where f.run_id = $run
        order by {GRAVITY}, c.name, f.kind"""
    return ask(connection, sql, run=run_id)


def noise_of(connection: duckdb.DuckDBPyConnection, run_id: str) -> Answer:
    """Noise of a run's cases by source, and the tolerances proposed from it, those first."""
    sql = """select c.name, n.source, n.output, n.n, n.max_abs, n.rel_l2, n.atol, n.rtol, n.problem from noise n
        join case_result c using (case_id)
        where n.run_id = $run order by n.source != 'advice', c.name, n.output, n.source"""
    return ask(connection, sql, run=run_id)


def invariants_of(connection: duckdb.DuckDBPyConnection, run_id: str) -> Answer:
    """Invariants and premises of a run, broken ones first."""
    sql = """select c.name as case_name, i.* exclude (case_id, run_id, name) from invariant i
        join case_result c using (case_id)
        where i.run_id = $run order by i.broken = 0, c.name, i.side, i.expression"""
    return ask(connection, sql, run=run_id)
