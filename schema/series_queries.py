"""Series for detection: every figure's history with what each night was measured on."""

from __future__ import annotations

import duckdb

from schema.queries import Answer, Filters, ask, bound

_NOT_WATCHED = (
    "noise",
    "launch_noise",
    "latency_ratio_detectable",
    "mcnemar_p",
    "gpu_temperature_c",
    "gpu_throttled_share",
)
"""Metrics that say how a figure was measured, not what the model does."""


def series(connection: duckdb.DuckDBPyConnection, filters: Filters, least: int, most: int = 400) -> Answer:
    """Every series of at least `least` nights of a metric with a direction: its newest `most`, oldest first.

    `values`, `run_ids`, `versions`, `environments`, `started_at` and `errors` (relative standard errors, None without an interval) go side by side.
    """
    sql = f"""
        with point as (
            select m.series_id, m.metric, c.name, c.model, c.variant, c.backend, c.workload, e.hardware_class, r.suite, r.started_at, r.run_id,
                c.model_version, c.environment_id, m.value,
                case when m.value != 0 then (m.high - m.low) / (2 * 1.96) / abs(m.value) end as error,
                row_number() over (partition by m.series_id order by r.started_at desc, r.run_id desc) as age
            from measurement m join case_result c using (case_id) join run r on r.run_id = m.run_id
            join environment e on e.environment_id = c.environment_id
            where m.provenance != 'imported' and isfinite(m.value) and m.metric not in {_NOT_WATCHED}
                and ($suite = '' or r.suite = $suite)
                and (len($models) = 0 or list_contains($models, c.model))
                and (len($variants) = 0 or list_contains($variants, c.variant))
                and (len($backends) = 0 or list_contains($backends, c.backend))
                and ($hardware = '' or e.hardware_class = $hardware)
        )
        select series_id, any_value(p.metric) as metric, any_value(d.better) as better, any_value(d.unit) as unit, any_value(name) as name,
            any_value(model) as model, any_value(variant) as variant, any_value(backend) as backend, any_value(workload) as workload,
            any_value(hardware_class) as hardware_class, any_value(suite) as suite, count(*) as nights,
            list(value order by age desc) as "values", list(run_id order by age desc) as run_ids,
            list(model_version order by age desc) as versions, list(environment_id order by age desc) as environments,
            list(started_at order by age desc) as started_at, list(error order by age desc) as errors
        from point p join metric d using (metric)
        where age <= {int(most)} and d.better in ('lower', 'higher')
        group by series_id having count(*) >= {int(least)} order by model, variant, backend, workload, metric"""
    return ask(connection, sql, **bound(filters))
