"""Every question asked of the books: one function each, rows as dictionaries.

`Filters` bounds all of them; questions over history are bounded by a number of runs, so that zone maps can prune.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import duckdb

Answer = list[dict[str, Any]]
_RECENT_RUNS = 200
PROBES = ("repeat", "lengths", "batch", "permuted", "threads", "rebuilt", "simulated", "executed")
"""Modes of receipts that compare a model with itself, or at other lengths: their verdicts have them as subject."""
_MAIN = f"p.mode not in {PROBES}"
_GRAVITY = "case f.severity when 'fail' then 0 when 'vacuous' then 1 when 'warning' then 2 else 3 end"


@dataclass(frozen=True, slots=True)
class Filters:
    """Empty means all."""

    suite: str = ""
    models: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    hardware: str = ""


def ask(connection: duckdb.DuckDBPyConnection, sql: str, **parameters: Any) -> Answer:
    """Rows of a query as dictionaries; parameters that it does not name are left out."""
    cursor = connection.cursor()
    used = {name: value for name, value in parameters.items() if f"${name}" in sql}
    result = cursor.execute(sql, used or None)
    columns = [column[0] for column in result.description]
    return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]


MATCHES = """
    ($suite = '' or r.suite = $suite)
    and (len($models) = 0 or list_contains($models, c.model))
    and (len($variants) = 0 or list_contains($variants, c.variant))
    and (len($backends) = 0 or list_contains($backends, c.backend))
    and ($hardware = '' or e.hardware_class = $hardware)
"""
RECENT = f"r.run_id in (select run_id from run order by started_at desc limit {_RECENT_RUNS})"
"""Questions over history look at the newest runs, so that zone maps can prune."""
CASES = f"""
    select c.*, r.suite, r.started_at as run_started_at, r.host, r.git_commit, e.hardware_class
    from case_result c join run r using (run_id) join environment e on e.environment_id = c.environment_id
    where {RECENT} and {MATCHES}
"""


def bound(filters: Filters) -> dict[str, Any]:
    return {
        "suite": filters.suite,
        "models": list(filters.models),
        "variants": list(filters.variants),
        "backends": list(filters.backends),
        "hardware": filters.hardware,
    }


def unfinished_run(connection: duckdb.DuckDBPyConnection, suite: str, suite_sha256: str) -> str | None:
    """The newest run of exactly this suite that never came to its end."""
    found = ask(
        connection,
        "select run_id from run where suite = $suite and suite_sha256 = $sha256 "
        "and run_id not in (select run_id from run_end) order by started_at desc limit 1",
        suite=suite,
        sha256=suite_sha256,
    )
    return found[0]["run_id"] if found else None


def recorded_cases(connection: duckdb.DuckDBPyConnection, run_id: str) -> set[str]:
    return {row["name"] for row in ask(connection, "select name from case_result where run_id = $run", run=run_id)}


def recorded_outcomes(connection: duckdb.DuckDBPyConnection, run_id: str) -> set[str]:
    """Every status of a case and outcome of a verdict that a run has so far."""
    sql = """select status as word from case_result where run_id = $run
        union select outcome from current_verdict where run_id = $run"""
    return {row["word"] for row in ask(connection, sql, run=run_id)}


def choices(connection: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """What can be filtered by: suites, models, variants, backends, hardware classes."""
    sql = """select distinct r.suite, c.model, c.variant, c.backend, e.hardware_class as hardware
        from case_result c join run r using (run_id) join environment e on e.environment_id = c.environment_id"""
    found = ask(connection, sql)
    return {name: sorted({row[name] for row in found}) for name in ("suite", "model", "variant", "backend", "hardware")}


def runs(connection: duckdb.DuckDBPyConnection, filters: Filters, limit: int = _RECENT_RUNS) -> Answer:
    """Runs, newest first, with what their cases and verdicts came to; `state` is done or unfinished."""
    sql = f"""
        select r.run_id, r.suite, r.started_at, r.host, e.hardware_class, r.trigger, r.git_commit, r.git_branch,
            r.git_dirty,
            r.cases_planned, coalesce(s.cases, 0) as cases, coalesce(s.ok, 0) as ok, coalesce(s.not_ok, 0) as not_ok,
            coalesce(s.verdicts_pass, 0) as passed, coalesce(s.verdicts_fail, 0) as failed,
            coalesce(s.verdicts_vacuous, 0) as vacuous, coalesce(s.verdicts_waived, 0) as waived, x.exit_code,
            case when x.run_id is null then 'unfinished' else 'done' end as state,
            date_diff('second', r.started_at, x.ended_at) as seconds,
            (select string_agg(distinct model || ' ' || model_version, ', ' order by model || ' ' || model_version)
             from case_result v where v.run_id = r.run_id) as versions
        from run r join environment e using (environment_id)
        left join run_summary s using (run_id) left join run_end x on x.run_id = r.run_id
        where ($suite = '' or r.suite = $suite) and ($hardware = '' or e.hardware_class = $hardware)
          and ((len($models) = 0 and len($variants) = 0 and len($backends) = 0)
            or r.run_id in (select run_id from ({CASES})))
        order by r.started_at desc limit {int(limit)}"""
    return ask(connection, sql, **bound(filters))


def run_ids(connection: duckdb.DuckDBPyConnection) -> Answer:
    """Id, branch and suite of every run, newest first: what a name such as `latest~1` is resolved against."""
    return ask(connection, "select run_id, git_branch, suite from run order by started_at desc")


def runs_of_version(connection: duckdb.DuckDBPyConnection, version: str) -> list[str]:
    """Runs that have this model version, newest first."""
    sql = """select r.run_id from run r where r.run_id in
        (select run_id from case_result where model_version = $version) order by r.started_at desc"""
    return [row["run_id"] for row in ask(connection, sql, version=version)]


def run_before(connection: duckdb.DuckDBPyConnection, run_id: str) -> str | None:
    """The run of the same suite that was started last before this one; None where there is none."""
    sql = """select b.run_id from run r join run b on b.suite = r.suite and b.started_at < r.started_at
        where r.run_id = $run order by b.started_at desc limit 1"""
    found = ask(connection, sql, run=run_id)
    return str(found[0]["run_id"]) if found else None


def versions(connection: duckdb.DuckDBPyConnection) -> list[str]:
    return [row["v"] for row in ask(connection, "select distinct model_version as v from case_result order by v")]


def environment_of(connection: duckdb.DuckDBPyConnection, run_id: str) -> dict[str, Any]:
    sql = "select e.* from environment e join run r using (environment_id) where r.run_id = $run limit 1"
    return ask(connection, sql, run=run_id)[0]


def cases_of(connection: duckdb.DuckDBPyConnection, run_id: str) -> Answer:
    """Every case of a run, broken ones first."""
    sql = """select c.*, a.bytes as model_bytes, a.bits_per_weight, a.parameters, a.sha256 as model_sha256,
        a.recipe_sha256, a.format, a.weights, a.calibration, a.calibration_sha256
        from case_result c left join artifact a using (artifact_id) where c.run_id = $run
        order by c.status = 'ok', c.name"""
    return ask(connection, sql, run=run_id)


def measurements_of(connection: duckdb.DuckDBPyConnection, run_id: str) -> Answer:
    sql = """select c.name, c.model, c.model_version, c.variant, c.backend, c.workload, c.comparability, c.mode,
        c.check_kind, c.group_id, c.batch,
            m.*, d.unit, d.better, d.description
        from measurement m join case_result c using (case_id) join metric d using (metric)
        where m.run_id = $run order by c.name, m.metric"""
    return ask(connection, sql, run=run_id)


def receipts_of(connection: duckdb.DuckDBPyConnection, run_id: str) -> Answer:
    """Receipts over all steps, with their verdict."""
    sql = f"""select c.name, c.model, c.model_version, c.variant, c.backend, c.workload, c.reference, c.comparability,
        p.*,
            v.outcome, v.grade, v.reason, v.margin, v.observed, v.limit_value, v.rule as policy_rule, v.subject
        from parity p join case_result c using (case_id)
        left join current_verdict v on v.case_id = p.case_id and v.name = p.output and v.subject = 'parity'
        where p.run_id = $run and p.step = -1 and {_MAIN} order by c.name, p.output"""
    return ask(connection, sql, run=run_id)


def verdicts_of(connection: duckdb.DuckDBPyConnection, run_id: str) -> Answer:
    sql = """select c.name as case_name, c.model_version, v.* from current_verdict v join case_result c using (case_id)
        where v.run_id = $run order by v.outcome = 'pass', c.name, v.name"""
    return ask(connection, sql, run=run_id)


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
                    min(v.margin) as worst_margin,
                first(v.reason order by v.outcome = 'pass', v.margin) as reason
            from lately l join current_verdict v on v.case_id = l.case_id where l.age = 1 group by all
        ),
        judged as (
            select model, variant, backend, list(worst order by age desc) as verdict_history from (
                select l.model, l.variant, l.backend, l.age, case
                    when bool_or(v.outcome = 'fail') then 'fail'
                        when bool_or(v.outcome = 'vacuous') then 'vacuous'
                            when bool_or(v.outcome = 'waived') then 'waived' else 'pass'
                    end as worst
                from lately l join current_verdict v on v.case_id = l.case_id where l.age <= 12 group by all
            ) group by all
        ),
        timed as (
            select l.model, l.variant, l.backend, l.workload || coalesce(' by ' || nullif(split_part(l.mode, ', ', 2),
                ''), '') as workload, l.age,
                l.run_started_at, m.value
            from lately l join measurement m on m.case_id = l.case_id and m.metric = 'latency_p50_ms'
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


def parity_history(connection: duckdb.DuckDBPyConnection, filters: Filters) -> Answer:
    """Receipts over all steps with verdicts, for every case in the filters, oldest first."""
    sql = f"""
        with c as ({CASES})
        select c.run_id, c.run_started_at, c.name, c.model, c.model_version, c.variant, c.backend, c.workload,
            c.reference,
            c.reproduce, p.* exclude (run_id),
            v.outcome, v.grade, v.reason, v.margin, v.observed, v.limit_value, v.rule as policy_rule
        from parity p join c on c.case_id = p.case_id
        left join current_verdict v on v.case_id = p.case_id and v.name = p.output and v.subject = 'parity'
        where p.step = -1 and {_MAIN} order by c.run_started_at, c.name, p.output"""
    return ask(connection, sql, **bound(filters))


_TIMED = """
    lately as (
        select *, row_number() over (
            partition by model, model_version, variant, backend, workload, hardware_class, check_kind,
                mode order by run_started_at desc, case_id desc
        ) as age from c where check_kind in ('benchmark', 'generation', 'profile') and status = 'ok'
    )"""
"""The newest of every timed case of each version: age 1."""


def trade_offs(connection: duckdb.DuckDBPyConnection, filters: Filters) -> Answer:
    """Latency, size, memory and quality of the newest timed case.

    Of every model, version, variant, backend and workload.

    `latency_ms` is of a call, or of a token where a generation was timed; `sqnr_db` the worst of the variant's compared
    float outputs in the same run, infinite where they are equal and null where none was compared.
    """
    sql = f"""
        with c as ({CASES}), {_TIMED},
        quality as (
            select c.run_id, c.model, c.model_version, c.variant, c.backend, min(p.sqnr_db) as sqnr_db
            from parity p join c using (case_id) where p.step = -1 and {_MAIN}
                and p.expected_dtype like '%float%' group by all
        )
        select l.run_id, l.run_started_at, l.model, l.model_version, l.variant, l.backend, l.workload, l.mode,
            l.batch, l.input_shapes, l.hardware_class,
            l.placement, l.precision, any_value(a.bytes) as model_bytes,
                any_value(a.bits_per_weight) as bits_per_weight,
            any_value(a.weights) as weights,
            max(m.value) filter (m.metric in {_LATENCY}) as latency_ms,
            max(m.low) filter (m.metric in {_LATENCY}) as low, max(m.high) filter (m.metric in {_LATENCY}) as high,
            max(m.n) filter (m.metric in {_LATENCY}) as n, max(m.launches) as launches,
            max(m.value) filter (m.metric in ('items_per_s', 'tokens_per_s')) as items_per_s,
            max(m.value) filter (m.metric = 'peak_rss_bytes') as peak_rss_bytes, any_value(q.sqnr_db) as sqnr_db
        from lately l join measurement m on m.case_id = l.case_id left join artifact a using (artifact_id)
        left join quality q on q.run_id = l.run_id and q.model = l.model and q.model_version = l.model_version
            and q.variant = l.variant and q.backend = l.backend
        where l.age = 1 and l.check_kind != 'profile' group by all order by l.model, l.workload, latency_ms"""
    return ask(connection, sql, **bound(filters))


_LATENCY = ("latency_p50_ms", "token_latency_p50_ms")


def timed_samples(connection: duckdb.DuckDBPyConnection, filters: Filters) -> Answer:
    """Raw samples of the newest timed cases, with the group that they were timed in; labels tell them apart."""
    sql = f"""
        with c as ({CASES}), {_TIMED}
        select l.case_id, l.run_id, l.run_started_at, l.model, l.model_version, l.variant, l.backend, l.workload,
            l.mode, l.check_kind, l.group_id,
            l.hardware_class, l.reproduce, l.comparability, m.metric, m.value, m.low, m.high, m.n, m.samples,
                m.block_length,
            coalesce(m.launches, 1) as launches, m.provenance
        from lately l join measurement m using (case_id)
        where l.age = 1 and m.metric in {_LATENCY} and m.samples is not null
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
        with c as ({CASES}), {_TIMED}
        select l.case_id, l.run_id, l.run_started_at, l.name, l.model, l.model_version, l.variant, l.backend,
            l.workload, l.hardware_class,
            l.reproduce, count(*) as layers
        from lately l join layer y using (case_id) where l.age = 1 group by all order by l.run_started_at desc,
            l.name"""
    return ask(connection, sql, **bound(filters))


def overrides(connection: duckdb.DuckDBPyConnection, a: str, b: str) -> Answer:
    """When these two runs were compared although they are unlike, newest first; none in a database from before that."""
    if not ask(connection, "select 1 from duckdb_tables() where table_name = 'comparison_override'"):
        return []
    sql = """select recorded_at, owner, differs, reason from comparison_override
        where (run_a = $a and run_b = $b) or (run_a = $b and run_b = $a) order by recorded_at desc"""
    return ask(connection, sql, a=a, b=b)


def layers_of(connection: duckdb.DuckDBPyConnection, run_id: str) -> Answer:
    """Layers of every profiled case of a run, in the order that they run in."""
    sql = """select c.name as case_name, c.model, c.model_version, c.variant, c.backend, c.workload,
        l.* exclude (case_id, run_id)
        from layer l join case_result c using (case_id) where l.run_id = $run order by c.name, l.position"""
    return ask(connection, sql, run=run_id)


def rejected(connection: duckdb.DuckDBPyConnection) -> Answer:
    return ask(connection, "select * from rejected_bundle order by rejected_at desc limit 100")


def table_counts(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Rows of every table."""
    names = [
        row["name"]
        for row in ask(connection, "select table_name as name from duckdb_tables() where not temporary order by 1")
    ]
    return {name: int(ask(connection, f'select count(*) as n from "{name}"')[0]["n"]) for name in names}


def waiver_events(connection: duckdb.DuckDBPyConnection) -> Answer:
    """Every grant and revocation, oldest first; none in a database from before there were waivers."""
    there = ask(connection, "select 1 from duckdb_tables() where table_name = 'waiver_event'")
    return ask(connection, "select * from waiver_event order by recorded_at, event_id") if there else []


def parity_cases(connection: duckdb.DuckDBPyConnection) -> Answer:
    """Every case that left receipts, oldest first, with the newest outcome and reason of each output."""
    sql = """select c.case_id, c.run_id, c.name, c.model_version,
            map_from_entries(list(row(v.name, v.outcome)) filter (v.name is not null)) as outcomes,
            map_from_entries(list(row(v.name, v.reason)) filter (v.name is not null)) as reasons
        from case_result c left join current_verdict v on v.case_id = c.case_id and v.subject = 'parity'
        where c.check_kind = 'parity' and c.status in ('ok', 'vacuous')
        group by c.case_id, c.run_id, c.name, c.model_version order by c.run_id, c.case_id"""
    return [{**row, "outcomes": row["outcomes"] or {}, "reasons": row["reasons"] or {}} for row in ask(connection, sql)]


def receipts_of_case(connection: duckdb.DuckDBPyConnection, case_id: str) -> Answer:
    """Receipts of one case's own comparison, by output and step."""
    sql = f"select * from parity p where case_id = $case and {_MAIN} order by output, step"
    return ask(connection, sql, case=case_id)


def of_case(connection: duckdb.DuckDBPyConnection, table: str, case_id: str) -> Answer:
    """Rows of one of the tables that explain a case.

    Raises:
        KeyError: no such table.
    """
    order = {
        "stream_step": "step",
        "invariant": "side, name",
        "drift": "quantity, output",
        "liveness": "side, input, output",
        "finding": "severity, kind, subject",
        "layer": "position",
        "divergence": "explanation_id desc, position",
        "blame": "explanation_id desc, position, output",
        "noise": "source, output",
        "measurement": "metric",
        "ledger": "position",
        "sensitivity": "position",
        "calibration_range": "name",
        "class_quality": "metric, class_name",
    }[table]
    return ask(connection, f"select * from {table} where case_id = $case order by {order}", case=case_id)


def newest_case(
    connection: duckdb.DuckDBPyConnection, suite_sha256: str, environment_id: str, name: str, version: str | None = None
) -> dict[str, Any] | None:
    """The newest case of this name (and model version) that came to its end in a run of this meaning, on this host.

    With these libraries.

    None where there is none.
    """
    found = ask(
        connection,
        """select c.* from case_result c join run r using (run_id)
           where r.suite_sha256 = $sha256 and c.environment_id = $environment and c.name = $name and c.status = 'ok'
           and ($version is null or c.model_version = $version) order by c.started_at desc limit 1""",
        sha256=suite_sha256,
        environment=environment_id,
        name=name,
        version=version,
    )
    return found[0] if found else None


def find_case(connection: duckdb.DuckDBPyConnection, run_id: str) -> Answer:
    """Cases of a run with the suite that made them."""
    sql = """select c.*, r.suite, r.command, a.sha256 as model_sha256 from case_result c join run r using (run_id)
        left join artifact a using (artifact_id) where c.run_id = $run order by c.name"""
    return ask(connection, sql, run=run_id)


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
        where list_contains($cases, p.case_id) and p.step >= 0 and {_MAIN} order by c.mode, p.output, p.step"""
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

    With what became of its premise lately and how many failures it covered.
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
        order by {_GRAVITY}, l.name, f.kind"""
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
        order by {_GRAVITY}, c.name, f.kind"""
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
