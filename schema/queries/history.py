"""Questions over history: the newest state of every model, trends, gaps, trade-offs."""

from __future__ import annotations

import duckdb

from assay.schema.metrics import LATENCY
from assay.schema.queries.base import CASES, MAIN, TIMED, Answer, Filters, ask, bound

_WORST = """list_position(['fail', 'vacuous', 'unknown', 'waived', 'pass'], v.outcome), v.subject <> 'parity',
    coalesce(v.margin, if(v.outcome = 'pass', 'inf'::double, 0)), v.name"""
"""Of several verdicts the one that is told: its margin, its reason and its name belong together."""
_NAMED = "if(v.subject = 'parity', '', v.subject || ' ') || v.name"


def overview(connection: duckdb.DuckDBPyConnection, filters: Filters) -> Answer:
    """Each model x variant x backend: its newest verdicts, latency, size, and the latencies before.

    Latencies are of one workload, timed in one way, for all rows of a model: those of most of its newest cases. Rows
    are compared by eye.
    """
    sql = f"""
        with c as ({CASES}),
        lately as (
            select *, dense_rank() over (partition by model, variant, backend order by run_started_at desc,
                run_id desc) as age
            from c
        ),
        verdicts as (
            select l.model, l.variant, l.backend,
                count(*) filter (v.outcome = 'pass') as passed, count(*) filter (v.outcome = 'fail') as failed,
                count(*) filter (v.outcome = 'vacuous') as vacuous, count(*) filter (v.outcome = 'waived') as waived,
                first(v.margin order by {_WORST}) as worst_margin,
                first({_NAMED} || ': ' || v.reason order by {_WORST}) as reason
            from lately l join current_verdict v on v.run_id = l.run_id and v.case_id = l.case_id
            where l.age = 1 group by all
        ),
        judged as (
            select model, variant, backend, list(worst order by age desc) as verdict_history from (
                select l.model, l.variant, l.backend, l.age, case
                    when bool_or(v.outcome = 'fail') then 'fail'
                        when bool_or(v.outcome = 'vacuous') then 'vacuous'
                            when bool_or(v.outcome = 'waived') then 'waived' else 'pass'
                    end as worst
                from lately l join current_verdict v on v.run_id = l.run_id and v.case_id = l.case_id
                where l.age <= 12 group by all
            ) group by all
        ),
        timed as (
            select l.model, l.variant, l.backend, l.workload || coalesce(' by ' || nullif(split_part(l.mode, ', ', 2),
                ''), '') as workload, l.age,
                l.run_started_at, m.value
            from lately l join measurement m on m.run_id = l.run_id and m.case_id = l.case_id
                and m.metric = 'latency_p50_ms'
            where l.age <= 30
        ),
        timed_on as (
            select model, first(workload order by n desc, workload) as workload
            from (select model, workload, count(*) as n from timed where age = 1 group by all) group by model
        ),
        speed as (
            select model, variant, backend, any_value(workload) as workload, median(value)
                filter (age = 1) as latency_ms,
                list(value order by run_started_at) as history
            from timed join timed_on using (model, workload) group by all
        )
        select l.model, l.variant, l.backend, any_value(l.model_version) as model_version,
            any_value(l.run_id) as run_id,
            any_value(l.run_started_at) as run_started_at, any_value(l.hardware_class) as hardware_class,
            count(*) as cases, count(*) filter (l.status not in ('ok', 'vacuous')) as broken,
            any_value(coalesce(v.passed, 0)) as passed, any_value(coalesce(v.failed, 0)) as failed,
            any_value(coalesce(v.vacuous, 0)) as vacuous, any_value(coalesce(v.waived, 0)) as waived,
                any_value(v.worst_margin) as worst_margin,
            coalesce(first(l.error_message) filter (l.error_message is not null), any_value(v.reason)) as reason,
            any_value(s.latency_ms) as latency_ms, any_value(s.history) as history, any_value(s.workload) as timed_on,
                any_value(j.verdict_history) as verdict_history, max(a.bytes) as model_bytes
        from lately l left join verdicts v using (model, variant, backend) left join judged j using (model, variant,
            backend) left join speed s using (model, variant, backend)
        left join artifact a using (artifact_id)
        where l.age = 1 group by l.model, l.variant, l.backend order by l.model, l.variant, l.backend"""
    return ask(connection, sql, **bound(filters))


def trends(connection: duckdb.DuckDBPyConnection, filters: Filters, metric: str, points: int = 90) -> Answer:
    """The newest points of every series of a metric, one row a point, oldest first."""
    sql = """
        with chosen as (
            select * from series_trend r where metric = $metric
                and ($suite = '' or suite = $suite) and (len($models) = 0 or list_contains($models, model))
                and (len($variants) = 0 or list_contains($variants, variant))
                and (len($backends) = 0 or list_contains($backends, backend))
                and ($hardware = '' or hardware_class = $hardware)
        )
        select series_id, metric, suite, model, variant, backend, device, workload, hardware_class,
            unnest(started_at) as started_at, unnest(model_versions) as model_version, unnest(run_ids) as run_id,
            unnest(vals) as value, unnest(lows) as low, unnest(highs) as high
        from chosen order by model, variant, backend, workload, started_at"""
    found = ask(connection, sql, metric=metric, **bound(filters))
    counts: dict[str, int] = {}
    for row in found:
        counts[row["series_id"]] = counts.get(row["series_id"], 0) + 1
    kept, seen = [], dict.fromkeys(counts, 0)
    for row in found:
        seen[row["series_id"]] += 1
        if seen[row["series_id"]] > counts[row["series_id"]] - points:
            kept.append(row)
    return kept


def gaps(connection: duckdb.DuckDBPyConnection, filters: Filters) -> Answer:
    """Benchmarks that left no figure, with their reason: what a missing point of a trend means."""
    sql = f"""select model, variant, backend, workload, hardware_class, run_started_at as started_at, model_version,
        run_id, status,
            coalesce(error_message, status) as reason
        from ({CASES}) where check_kind = 'benchmark' and status != 'ok' order by run_started_at"""
    return ask(connection, sql, **bound(filters))


def metrics(connection: duckdb.DuckDBPyConnection) -> Answer:
    return ask(connection, "select * from metric order by metric")


def trade_offs(connection: duckdb.DuckDBPyConnection, filters: Filters) -> Answer:
    """Latency, size, memory and quality of the newest timed case of each model, version, variant, backend and workload.

    `latency_ms` is of a call, or of a token where a generation was timed; `sqnr_db` the worst of the variant's compared
    float outputs in the same run, infinite where they are equal and null where none was compared.
    """
    sql = f"""
        with c as ({CASES}), {TIMED},
        quality as (
            select c.run_id, c.model, c.model_version, c.variant, c.backend, min(p.sqnr_db) as sqnr_db
            from parity p join c using (run_id, case_id) where p.step = -1 and {MAIN}
                and p.expected_dtype like '%float%' group by all
        )
        select l.run_id, l.run_started_at, l.model, l.model_version, l.variant, l.backend, l.workload, l.mode,
            l.batch, l.input_shapes, l.hardware_class,
            l.placement, l.precision, any_value(a.bytes) as model_bytes,
                any_value(a.bits_per_weight) as bits_per_weight,
            any_value(a.weights) as weights,
            max(m.value) filter (m.metric in {LATENCY}) as latency_ms,
            max(m.low) filter (m.metric in {LATENCY}) as low, max(m.high) filter (m.metric in {LATENCY}) as high,
            max(m.n) filter (m.metric in {LATENCY}) as n, max(m.launches) as launches,
            max(m.value) filter (m.metric in ('items_per_s', 'tokens_per_s')) as items_per_s,
            max(m.value) filter (m.metric = 'peak_rss_bytes') as peak_rss_bytes, any_value(q.sqnr_db) as sqnr_db
        from lately l join measurement m on m.run_id = l.run_id and m.case_id = l.case_id
        left join artifact a using (artifact_id)
        left join quality q on q.run_id = l.run_id and q.model = l.model and q.model_version = l.model_version
            and q.variant = l.variant and q.backend = l.backend
        where l.age = 1 and l.check_kind != 'profile' group by all order by l.model, l.workload, latency_ms"""
    return ask(connection, sql, **bound(filters))
