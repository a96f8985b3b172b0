"""Questions about changes and alerts; rows as dictionaries, as in `assay.schema.queries`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import duckdb

from assay.schema.errors import BadTriage, nearest
from assay.schema.queries.base import RECENT, Answer, Filters, ask, bound

_MATCHES = """
    ($suite = '' or c.suite = $suite) and (len($models) = 0 or list_contains($models, c.model))
    and (len($variants) = 0 or list_contains($variants, c.variant))
    and (len($backends) = 0 or list_contains($backends, c.backend))
    and ($hardware = '' or c.hardware_class = $hardware)"""
_ONCE = (
    "(select * from change qualify row_number() over (partition by change_id order by alert_id is null, detected_at)"
    " = 1)"
)
"""A change that two detections recorded is one; the one with an alert counts."""
_ORDER = "case severity when 'critical' then 0 when 'high' then 1 when 'medium' then 2 else 3 end"
_STATES = "case state when 'open' then 0 when 'acknowledged' then 1 when 'muted' then 2 else 3 end"


def alerts(connection: duckdb.DuckDBPyConnection, filters: Filters) -> Answer:
    """Every alert as it is now, those that wait for somebody first.

    Each has the number of its series and cases, and the first run of its levels.
    """
    sql = f"""
        with of as (
            select alert_id, count(distinct series_id) as series, count(distinct name) as cases,
                min(started_at) as began_at, min(run_id) as run_id,
                list(distinct suite order by suite) as suites, list(distinct model order by model) as models,
                list(distinct hardware_class order by hardware_class) as hardware, arg_min(version_before,
                    started_at) as version_before,
                arg_min(version, started_at) as version, arg_min(commit_before, started_at) as commit_before,
                    arg_min(commit_after, started_at) as commit_after,
                bool_or({_MATCHES}) as matches
            from {_ONCE} c where alert_id is not null group by alert_id
        )
        select a.*, of.* exclude (alert_id, matches) from alert a left join of using (alert_id)
        where coalesce(of.matches, $suite = '' and len($models) = 0 and len($variants) = 0 and len($backends) = 0
            and $hardware = '')
        order by {_STATES}, {_ORDER}, a.opened_at desc, a.alert_id"""
    return ask(connection, sql, **bound(filters))


def alert_of(connection: duckdb.DuckDBPyConnection, name: str) -> dict[str, Any]:
    """The alert whose id begins so.

    Raises:
        BadTriage: none does, or more than one; the nearest is told.
    """
    every = alerts(connection, Filters())
    found = [row for row in every if row["alert_id"].startswith(name)] if name else []
    if len(found) != 1:
        none = f"no alert is called {name!r}.{nearest(name, [row['alert_id'] for row in every])}"
        raise BadTriage(
            f"{f'{name!r} begins the ids of {len(found)} alerts' if found else none} See: assay alerts list --all"
        )
    return found[0]


def changes_of(connection: duckdb.DuckDBPyConnection, alert_id: str) -> Answer:
    sql = (
        f"select c.*, d.unit, d.better from {_ONCE} c left join metric d using (metric) where alert_id = $alert order"
        " by c.name, c.metric, c.started_at"
    )
    return ask(connection, sql, alert=alert_id)


def alert_events(connection: duckdb.DuckDBPyConnection, alert_id: str) -> Answer:
    return ask(
        connection, "select * from alert_event where alert_id = $alert order by recorded_at, event_id", alert=alert_id
    )


def events_since(connection: duckdb.DuckDBPyConnection, since: datetime) -> Answer:
    """Steps in the lives of all alerts since then, oldest first."""
    return ask(
        connection, "select * from alert_event where recorded_at >= $since order by recorded_at, event_id", since=since
    )


def confirmations_of(connection: duckdb.DuckDBPyConnection, alert_id: str) -> Answer:
    return ask(connection, "select * from confirmation where alert_id = $alert order by recorded_at", alert=alert_id)


def changes(connection: duckdb.DuckDBPyConnection, filters: Filters, since: datetime | None = None) -> Answer:
    """Changes that have been recorded, the newest first; since a day, or all."""
    sql = f"""select c.*, a.state, a.reason as state_reason, a.decided_by, a.cause_kind, a.cause
        from {_ONCE} c left join alert a using (alert_id)
        where {_MATCHES} and ($since is null or c.started_at >= $since) order by c.started_at desc, c.name, c.metric"""
    return ask(connection, sql, since=since, **bound(filters))


def accepted(connection: duckdb.DuckDBPyConnection) -> dict[str, datetime]:
    """Series -> when somebody last called the level of one of its alerts expected."""
    sql = """select c.series_id, max(e.recorded_at) as at from alert_event e join change c using (alert_id)
        where e.action = 'expected' group by c.series_id"""
    return {row["series_id"]: row["at"] for row in ask(connection, sql)}


def releases(connection: duckdb.DuckDBPyConnection) -> Answer:
    """Versions that were shipped, the newest first."""
    return ask(connection, "select * from release order by recorded_at desc, event_id desc")


def expectations(connection: duckdb.DuckDBPyConnection) -> Answer:
    """What is expected or was retired, by suite, host and model.

    The newest word on each, with the newest run and what came of it.

    `cases` are the ended cases of that run (of the model, if one is named), `ended` whether the run came to its end.
    """
    sql = """
        with word as (
            select * from expectation qualify row_number() over (partition by suite, host,
                model order by recorded_at desc, event_id desc) = 1
        ), last as (
            select w.suite, w.host, w.model, r.run_id, r.started_at, x.run_id is not null as ended,
                (select count(*) from case_result c where c.run_id = r.run_id and c.status in ('ok', 'failed',
                    'vacuous')
                    and (w.model = '' or c.model = w.model)) as cases,
                row_number() over (partition by w.suite, w.host, w.model order by r.started_at desc) as age
            from word w join run r on r.suite = w.suite and (w.host = '' or r.host = w.host)
                left join run_end x on x.run_id = r.run_id
        )
        select w.*, l.run_id, l.started_at, l.ended, l.cases,
            (select max(r.started_at) from last r where r.suite = w.suite and r.host = w.host
                and r.model = w.model and r.cases > 0) as measured_at
        from word w left join last l on l.suite = w.suite and l.host = w.host and l.model = w.model
            and l.age = 1 order by w.host, w.suite, w.model"""
    return ask(connection, sql)


def shadows(connection: duckdb.DuckDBPyConnection) -> set[tuple[str, str, str]]:
    """(detector, series, run) of what candidate detectors have said."""
    found = ask(connection, "select distinct detector, series_id, run_id from shadow_change")
    return {(row["detector"], row["series_id"], row["run_id"]) for row in found}


def calibrations(connection: duckdb.DuckDBPyConnection) -> Answer:
    """What rules cost when they were replayed, the newest first."""
    return ask(connection, "select * from calibration order by recorded_at desc")


def notifications(connection: duckdb.DuckDBPyConnection) -> Answer:
    """The last attempt at every digest, the newest first."""
    sql = """select * from notification qualify row_number() over (partition by digest_id,
        channel order by recorded_at desc, outcome = 'sent' desc) = 1
        order by recorded_at desc"""
    return ask(connection, sql)


def cuts(connection: duckdb.DuckDBPyConnection, filters: Filters, metric: str) -> Answer:
    """Where the environment of a metric's series changed and cuts it, with the columns that differ, oldest first."""
    sql = f"""
        with point as (
            select m.series_id, r.started_at, r.run_id, c.environment_id, lag(c.environment_id)
                over w as environment_before
            from measurement m join case_result c using (run_id, case_id) join run r using (run_id)
            join environment e on e.environment_id = c.environment_id
            where m.metric = $metric and {RECENT}
                and {_MATCHES.replace("c.suite", "r.suite").replace("c.hardware_class", "e.hardware_class")}
            window w as (partition by m.series_id order by r.started_at, r.run_id)
        )
        select environment_before, environment_id, min(started_at) as started_at,
            count(distinct series_id) as series from point
        where environment_before != environment_id group by environment_before, environment_id,
            run_id order by started_at"""
    known = {row["environment_id"]: row for row in ask(connection, "select * from environment")}
    found = ask(connection, sql, metric=metric, **bound(filters))
    return [
        {**row, "differs": differing(known[row["environment_before"]], known[row["environment_id"]])} for row in found
    ]


def differing(before: dict[str, Any], after: dict[str, Any]) -> str:
    """The columns of two environments that differ, in words."""
    return "; ".join(
        f"{name} {before[name]} -> {after[name]}"
        for name in before
        if name != "environment_id" and before[name] != after[name]
    )


def health(connection: duckdb.DuckDBPyConnection, filters: Filters) -> Answer:
    """Every series with its nights, its noise, the changes and alerts that it had, its invalid samples and its age.

    `noise` is the median of |ln ratio| between neighbouring nights of one artifact in one environment, over 0.6745 sqrt
    2: a robust relative standard deviation of a night.
    """
    sql = f"""
        with point as (
            select m.series_id, m.metric, c.name, c.model, e.hardware_class, r.started_at, m.value, c.environment_id,
                c.artifact_id,
                lag(m.value) over w as value_before, lag(c.environment_id) over w as environment_before,
                    lag(c.artifact_id) over w as artifact_before
            from measurement m join case_result c using (run_id, case_id) join run r using (run_id)
            join environment e on e.environment_id = c.environment_id
            where m.provenance != 'imported' and isfinite(m.value) and {RECENT}
                and {_MATCHES.replace("c.suite", "r.suite").replace("c.hardware_class", "e.hardware_class")}
            window w as (partition by m.series_id order by r.started_at, r.run_id)
        ), series as (
            select series_id, any_value(metric) as metric, any_value(name) as name,
                any_value(hardware_class) as hardware_class, count(*) as nights,
                count(distinct environment_id) as environments, max(started_at) as newest,
                median(abs(ln(value / value_before))) filter (value > 0 and value_before > 0
                    and environment_id = environment_before
                    and artifact_id is not distinct from artifact_before) / (0.6745 * sqrt(2)) as noise
            from point group by series_id
        ), moved as (
            select series_id, count(distinct change_id) as changes, count(distinct alert_id) as alerts
                from change group by series_id
        ), invalid as (select series_id, count(*) as invalid from invalid_sample group by series_id)
        select s.name, s.metric, s.hardware_class, s.nights, s.noise, coalesce(m.changes, 0) as changes,
            coalesce(m.alerts, 0) as alerts,
            coalesce(i.invalid, 0) as invalid, s.environments, s.newest
        from series s join metric d using (metric) left join moved m using (series_id)
            left join invalid i using (series_id)
        where d.better != 'neither' order by alerts desc, changes desc, noise desc nulls last, s.name, s.metric"""
    return ask(connection, sql, **bound(filters))
