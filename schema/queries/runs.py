"""Questions about runs: which there are, and everything that one of them recorded."""

from __future__ import annotations

from typing import Any

import duckdb

from assay.schema.queries.base import CASES, RECENT_RUNS, Answer, Filters, ask, bound, rows_of_case
from assay.schema.queries.outcome import came_to


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


def ended_run(connection: duckdb.DuckDBPyConnection, suite: str, suite_sha256: str) -> tuple[str, int] | None:
    """(newest run of exactly this suite that came to its end, its exit code)."""
    found = ask(
        connection,
        "select run_id, exit_code from run join run_end using (run_id) where suite = $suite and suite_sha256 = $sha256"
        " order by started_at desc limit 1",
        suite=suite,
        sha256=suite_sha256,
    )
    return (found[0]["run_id"], found[0]["exit_code"]) if found else None


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


def runs(connection: duckdb.DuckDBPyConnection, filters: Filters, limit: int = RECENT_RUNS) -> Answer:
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


def models_of_version(
    connection: duckdb.DuckDBPyConnection, suite: str, model: str, version: str, refused_by: str
) -> Answer:
    """Which models were recorded as a version of a suite's model, the newest of each reference first.

    Cases of books from before identities were recorded, and those that the finding `refused_by` refused, are left out.
    """
    if not ask(
        connection,
        "select 1 from duckdb_columns() where table_name = 'case_result' and column_name = 'model_sha256'",
    ):
        return []
    sql = """select c.reference, c.model_sha256, c.run_id, c.started_at, r.environment_id
        from case_result c join run r using (run_id)
        where r.suite = $suite and c.model = $model and c.model_version = $version and c.model_sha256 is not null
            and c.case_id not in (select case_id from finding where kind = $refused)
        qualify row_number() over (partition by c.reference order by c.started_at desc) = 1
        order by c.started_at desc"""
    return ask(connection, sql, suite=suite, model=model, version=version, refused=refused_by)


def environment_of(connection: duckdb.DuckDBPyConnection, run_id: str) -> dict[str, Any]:
    sql = "select e.* from environment e join run r using (environment_id) where r.run_id = $run limit 1"
    return ask(connection, sql, run=run_id)[0]


def cases_of(connection: duckdb.DuckDBPyConnection, run_id: str) -> Answer:
    """Every case of a run, broken and failed ones first.

    `status` is how it ended, `came_to` what it came to with its verdicts (`assay.schema.queries.outcome`), `why` the
    error or the reason of the first such verdict.
    """
    sql = """select c.* exclude (model_sha256), c.model_sha256 as model_identity,
        a.bytes as model_bytes, a.bits_per_weight, a.parameters, a.sha256 as model_sha256,
        a.recipe_sha256, a.format, a.weights, a.calibration, a.calibration_sha256
        from case_result c left join artifact a using (artifact_id) where c.run_id = $run
        order by c.status = 'ok', c.name"""
    verdicts: dict[str, list[tuple[str, str, str]]] = {}
    asked = (
        "select case_id, subject, outcome, name, reason from current_verdict where run_id = $run order by verdict_id"
    )
    for one in ask(connection, asked, run=run_id):
        verdicts.setdefault(one["case_id"], []).append(
            (one["subject"], one["outcome"], f"{one['name']}: {one['reason']}")
        )
    found = []
    for row in ask(connection, sql, run=run_id):
        told = verdicts.get(row["case_id"], [])
        word = came_to(row["status"], [(subject, outcome) for subject, outcome, _ in told])
        why = row["error_message"] or next((reason for _, outcome, reason in told if outcome == word), None)
        found.append({**row, "came_to": word, "why": why})
    return sorted(found, key=lambda row: (row["status"] == "ok", row["came_to"] == "ok"))


def measurements_of(connection: duckdb.DuckDBPyConnection, run_id: str) -> Answer:
    sql = """select c.name, c.model, c.model_version, c.variant, c.backend, c.workload, c.comparability, c.mode,
        c.check_kind, c.group_id, c.batch,
            m.*, d.unit, d.better, d.description
        from measurement m join case_result c using (case_id) join metric d using (metric)
        where m.run_id = $run order by c.name, m.metric"""
    return ask(connection, sql, run=run_id)


def overrides(connection: duckdb.DuckDBPyConnection, a: str, b: str) -> Answer:
    """When these two runs were compared although they are unlike, newest first; none in a database from before that."""
    if not ask(connection, "select 1 from duckdb_tables() where table_name = 'comparison_override'"):
        return []
    sql = """select recorded_at, owner, differs, reason from comparison_override
        where (run_a = $a and run_b = $b) or (run_a = $b and run_b = $a) order by recorded_at desc"""
    return ask(connection, sql, a=a, b=b)


def rejected(connection: duckdb.DuckDBPyConnection) -> Answer:
    """Bundles that were put aside and have not been taken since, the newest reason of each, newest first."""
    return ask(
        connection,
        "select bundle_id, arg_max(reason, rejected_at) as reason, max(rejected_at) as rejected_at from rejected_bundle"
        " where bundle_id not in (select bundle_id from bundle) group by bundle_id order by rejected_at desc limit 100",
    )


def table_counts(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Rows of every table."""
    names = [
        row["name"]
        for row in ask(connection, "select table_name as name from duckdb_tables() where not temporary order by 1")
    ]
    return {name: int(ask(connection, f'select count(*) as n from "{name}"')[0]["n"]) for name in names}


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
    return rows_of_case(connection, f"select * from {table} p where {{of}} order by {order}", case_id)


def newest_case(
    connection: duckdb.DuckDBPyConnection, suite_sha256: str, environment_id: str, name: str, version: str | None = None
) -> dict[str, Any] | None:
    """The newest case of a name (and model version) that came to its end in a run of this meaning.

    The run has to be of this host, with these libraries. None where there is none.
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
    sql = """select c.* exclude (model_sha256), c.model_sha256 as model_identity, r.suite, r.command,
        a.sha256 as model_sha256 from case_result c join run r using (run_id)
        left join artifact a using (artifact_id) where c.run_id = $run order by c.name"""
    return ask(connection, sql, run=run_id)
