"""Series for detection: every figure's, verdict's and status' history with what each night was measured on."""

from __future__ import annotations

from typing import Any

import duckdb

from assay.schema.metrics import NOT_WATCHED
from assay.schema.queries.base import MATCHES as _MATCHES
from assay.schema.queries.base import Answer, Filters, ask, bound


def _newest_runs(most: int) -> str:
    """Runs come in order of time, so that naming the newest spares the rest of a long history.

    Where a suite has nightly runs on a host, those are its nights: what somebody tried by hand, or CI on a branch, is
    none.
    """
    nights = "bool_or(trigger = 'nightly') over (partition by suite, host) as has_nights"
    newest = f"""select run_id from (select *, {nights} from run) where trigger = 'nightly' or not has_nights
        qualify row_number() over (partition by suite, host order by started_at desc) <= {int(most)}"""
    return f"m.run_id in ({newest}) and r.run_id in ({newest})"


def series(connection: duckdb.DuckDBPyConnection, filters: Filters, least: int, most: int = 400) -> Answer:
    """Every series of at least `least` nights of a metric with a direction.

    Its nights among the newest `most` runs of a suite on a host, oldest first.

    `values`, `run_ids`, `versions`, `environments`, `started_at`, `hosts`, `commits`, `artifacts`, `comparabilities`
    (keys of `assay.schema.comparability`) and `errors`
    (relative standard errors, None without an interval) go side by side. Figures that somebody has called invalid are
    left out. What a night was measured on is one list for all metrics of a case that have the same nights: it is not to
    be changed.
    """
    sql = f"""
        with point as (
            select m.series_id, m.metric, c.case_id, r.started_at, r.run_id, m.value,
                case when m.value != 0 then (m.high - m.low) / (2 * 1.96) / abs(m.value) end as error,
                row_number() over (partition by m.series_id order by r.started_at desc, r.run_id desc,
                    m.case_id desc) as age
            from measurement m join case_result c using (case_id) join run r on r.run_id = m.run_id
            join environment e on e.environment_id = c.environment_id
            where (m.series_id, m.run_id) not in (select (series_id, run_id) from invalid_sample)
                and m.provenance != 'imported' and isfinite(m.value)
                and m.metric not in {NOT_WATCHED} and {_newest_runs(most)} and {_MATCHES}
        )
        select series_id, any_value(p.metric) as metric, any_value(d.better) as better, any_value(d.unit) as unit,
            count(*) as nights,
            list(value order by age desc) as "values", list(error order by age desc) as errors,
                bit_xor(hash(case_id)) as same
        from point p join metric d using (metric)
        where age <= {int(most)} and d.better in ('lower', 'higher')
        group by series_id having count(*) >= {int(least)} order by series_id"""
    found = ask(connection, sql, **bound(filters))
    context = _contexts(connection, {row["same"]: row["series_id"] for row in found}, most, filters)
    whole = [{**row, **context[row["same"]]} for row in found]
    for row in whole:
        del row["same"]
    return sorted(
        whole,
        key=lambda row: (
            row["model"],
            row["variant"],
            row["backend"],
            row["workload"],
            row["metric"],
            row["series_id"],
        ),
    )


def _contexts(
    connection: duckdb.DuckDBPyConnection, one_of_each: dict[int, str], most: int, filters: Filters
) -> dict[int, dict[str, Any]]:
    """What the nights of a series were measured on, by the hash of their cases.

    Series with the same nights are told once.
    """
    if not one_of_each:
        return {}
    sql = f"""
        with point as (
            select m.series_id, c.case_id, c.name, c.model, c.variant, c.backend, c.workload, e.hardware_class,
                r.suite, r.started_at, r.run_id, c.model_version,
                c.environment_id, c.comparability, r.host, r.git_commit, a.sha256 as artifact,
                row_number() over (partition by m.series_id order by r.started_at desc, r.run_id desc,
                    m.case_id desc) as age
            from measurement m join case_result c using (case_id) join run r on r.run_id = m.run_id
            join environment e on e.environment_id = c.environment_id left join artifact a using (artifact_id)
            where m.series_id in (select unnest($series)) and (m.series_id, m.run_id) not in (select (series_id,
                run_id) from invalid_sample)
                and m.provenance != 'imported' and isfinite(m.value) and {_newest_runs(most)} and {_MATCHES}
        )
        select series_id, any_value(name) as name, any_value(model) as model, any_value(variant) as variant,
            any_value(backend) as backend,
            any_value(workload) as workload, any_value(hardware_class) as hardware_class, any_value(suite) as suite,
            list(run_id order by age desc) as run_ids, list(model_version order by age desc) as versions,
            list(environment_id order by age desc) as environments, list(started_at order by age desc) as started_at,
            list(host order by age desc) as hosts, list(git_commit order by age desc) as commits,
                list(artifact order by age desc) as artifacts, list(comparability order by age desc) as comparabilities
        from point where age <= {int(most)} group by series_id"""
    rows = {row.pop("series_id"): row for row in ask(connection, sql, series=[*one_of_each.values()], **bound(filters))}
    return {same: rows[series_id] for same, series_id in one_of_each.items()}


def verdict_series(connection: duckdb.DuckDBPyConnection, filters: Filters, most: int = 400) -> Answer:
    """Every verdict's and every case's history.

    `values` are 1 where it passed (or was waived; of a case: ended) and 0 where it did not, oldest first.

    What could not be told (`unknown`) and cases that were skipped are no nights. `reasons` say why a night is 0.
    Columns as in `series`; `metric` is
    `subject: name`, or `status`.
    """
    sql = f"""
        with told as (
            select case_id, run_id, subject || ': ' || name as metric, outcome in ('pass', 'waived') as passed, reason
            from current_verdict where outcome != 'unknown'
            union all
            select case_id, run_id, 'status', status = 'ok', coalesce(error_type || ': ' || error_message, status)
            from case_result where status != 'skipped'
        ), point as (
            select md5(c.case_key || '/' || t.metric || '/' || e.hardware_class) as series_id, t.metric, c.name,
                c.model, c.variant, c.backend, c.workload,
                e.hardware_class, r.suite, r.started_at, r.run_id, c.model_version, c.environment_id, r.host,
                    r.git_commit, a.sha256 as artifact, t.passed,
                t.reason
            from told t join case_result c using (case_id) join run r on r.run_id = t.run_id
            join environment e on e.environment_id = c.environment_id left join artifact a using (artifact_id)
            where {_newest_runs(most).replace("m.run_id", "t.run_id")} and {_MATCHES}
        ), aged as (
            select *, row_number() over (partition by series_id order by started_at desc, run_id desc) as age from point
            where (series_id, run_id) not in (select (series_id, run_id) from invalid_sample)
        )
        select series_id, any_value(metric) as metric, 'higher' as better, any_value(name) as name,
            any_value(model) as model, any_value(variant) as variant,
            any_value(backend) as backend, any_value(workload) as workload,
                any_value(hardware_class) as hardware_class, any_value(suite) as suite,
            count(*) as nights, list(passed::int order by age desc) as "values",
                list(reason order by age desc) as reasons,
            list(run_id order by age desc) as run_ids, list(model_version order by age desc) as versions,
            list(environment_id order by age desc) as environments, list(started_at order by age desc) as started_at,
                list(host order by age desc) as hosts,
            list(git_commit order by age desc) as commits, list(artifact order by age desc) as artifacts
        from aged where age <= {int(most)} group by series_id having count(*) >= 2 order by model, variant, backend,
            workload, metric"""
    return ask(connection, sql, **bound(filters))
