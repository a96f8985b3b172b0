"""What the shell offers after TAB: names from the suites that ship, and from the newest snapshot of the books.

A completion never fails and never waits: where nothing can be read, nothing is offered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import duckdb

_MOST = 200
"""More names than these are no help to anybody."""


def words(closed: type[StrEnum]) -> Callable[[str], list[str]]:
    """Completion of an option that takes a closed set of words."""

    def complete(incomplete: str) -> list[str]:
        return _beginning(incomplete, closed)

    return complete


def suites(incomplete: str) -> list[str]:
    """Suites that ship, and the suite files below what has been typed."""
    shipped = (path.stem for path in sorted((Path(__file__).parents[1] / "suites").glob("*.toml")))
    return [*_beginning(incomplete, shipped), *files(incomplete)]


def files(incomplete: str) -> list[str]:
    """TOML files and folders whose path begins like this."""
    folder = Path(incomplete) if incomplete.endswith("/") else Path(incomplete).parent
    if not folder.is_dir():
        return []
    found = (f"{path}/" if path.is_dir() else str(path) for path in sorted(folder.iterdir()) if path.name[0] != ".")
    return [name for name in _beginning(incomplete, found) if name.endswith((".toml", "/"))]


def runs(ctx: typer.Context, incomplete: str) -> list[str]:
    """`latest`, `version:X`, `branch:X`, and the ids of runs."""
    from assay.schema.queries import runs as run_queries

    def names(connection: duckdb.DuckDBPyConnection) -> Iterable[str]:
        known = run_queries.run_ids(connection)
        yield from ("latest", "latest~1", "release")
        yield from (f"version:{version}" for version in run_queries.versions(connection))
        yield from (f"branch:{branch}" for branch in sorted({row["git_branch"] for row in known} - {None}))
        yield from (str(row["run_id"]) for row in known)

    return _recorded(ctx, incomplete, names)


def recorded_suites(ctx: typer.Context, incomplete: str) -> list[str]:
    """Suites of which there are runs."""
    from assay.schema.queries import runs as run_queries

    return _recorded(ctx, incomplete, lambda c: sorted({str(row["suite"]) for row in run_queries.run_ids(c)}))


def cases(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of the cases of the run that is named, or of the newest one."""
    from assay.schema.queries import runs as run_queries
    from assay.schema.queries.comparison import resolve

    def names(connection: duckdb.DuckDBPyConnection) -> Iterable[str]:
        run = resolve(connection, str(ctx.params.get("run") or "latest"))
        return (str(case["name"]) for case in run_queries.cases_of(connection, run))

    return _recorded(ctx, incomplete, names)


def alerts(ctx: typer.Context, incomplete: str) -> list[str]:
    """Ids of alerts."""
    from assay.schema.queries import alerts as questions
    from assay.schema.queries.base import Filters

    return _recorded(ctx, incomplete, lambda c: (str(row["alert_id"]) for row in questions.alerts(c, Filters())))


def metrics(incomplete: str) -> list[str]:
    """Names of metrics."""
    from assay.schema.metrics import METRICS

    return _beginning(incomplete, METRICS)


def modes(incomplete: str) -> list[str]:
    """Modes of a streamed comparison; K is a number of steps."""
    return _beginning(incomplete, ("functional", "closed_loop", "mixed-4", "mixed-8", "mixed-16"))


def goldens(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of the goldens that are kept."""
    from assay.runner.cli.options import store_at
    from assay.runner.workloads import golden

    return _beginning(incomplete, golden.names(store_at(_database(ctx)).goldens))


def _recorded(
    ctx: typer.Context, incomplete: str, names: Callable[[duckdb.DuckDBPyConnection], Iterable[str]]
) -> list[str]:
    from assay.runner.cli.options import published
    from assay.runner.errors import AssayError
    from assay.schema.errors import StoreError

    try:
        with published(_database(ctx)) as connection:
            return _beginning(incomplete, names(connection))
    except (AssayError, StoreError, OSError):
        return []


def _database(ctx: typer.Context) -> Path:
    from assay.runner.cli.options import DB

    found: Any = ctx.params.get("db")
    return Path(found) if found else DB


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(str(name) for name in names if str(name).startswith(incomplete)))[:_MOST]
