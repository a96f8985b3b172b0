"""What every question shares: filters, asking, and the bounds on history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import duckdb

Answer = list[dict[str, Any]]


RECENT_RUNS = 200


PROBES = ("repeat", "lengths", "batch", "permuted", "threads", "rebuilt", "simulated", "executed")
"""Modes of receipts that compare a model with itself, or at other lengths: their verdicts have them as subject."""


MAIN = f"p.mode not in {PROBES}"


GRAVITY = "case f.severity when 'fail' then 0 when 'vacuous' then 1 when 'warning' then 2 else 3 end"


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


def rows_of_case(connection: duckdb.DuckDBPyConnection, sql: str, case_id: str) -> Answer:
    """Rows of a query whose `{of}` is "of this case" for its table `p`; all of them are of the case's run.

    Rows lie in the order of their runs, and cases' ids in none that helps: a run that is named spares the rest of a
    long history. Of a case that the books do not have, what lies there without one is told.
    """
    found = ask(connection, "select run_id from case_result where case_id = $case limit 1", case=case_id)
    if not found:
        return ask(connection, sql.format(of="p.case_id = $case"), case=case_id)
    of = "p.run_id = $run and p.case_id = $case"
    return ask(connection, sql.format(of=of), case=case_id, run=found[0]["run_id"])


MATCHES = """
    ($suite = '' or r.suite = $suite)
    and (len($models) = 0 or list_contains($models, c.model))
    and (len($variants) = 0 or list_contains($variants, c.variant))
    and (len($backends) = 0 or list_contains($backends, c.backend))
    and ($hardware = '' or e.hardware_class = $hardware)
"""


RECENT = f"r.run_id in (select run_id from run order by started_at desc limit {RECENT_RUNS})"
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


TIMED = """
    lately as (
        select *, row_number() over (
            partition by model, model_version, variant, backend, workload, hardware_class, check_kind,
                mode order by run_started_at desc, case_id desc
        ) as age from c where check_kind in ('benchmark', 'generation', 'profile') and status = 'ok'
    )"""
"""The newest of every timed case of each version: age 1."""
