"""What is deleted after a time: built models that nothing uses any more, and old logs.

Recorded rows and their log of bundles never are.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import duckdb

from assay.schema.queries.base import ask
from assay.schema.store.database import Store

_DAY_S = 86_400.0
_KEPT_VERSIONS = 3


def wanted(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Recipe hashes of artifacts that may be asked for again.

    They are those of releases, of both sides of alerts that are not over, and of each variant's newest 3 versions.
    """
    sql = f"""
        with used as (
            select a.*, max(r.started_at) as newest from artifact a join case_result c using (artifact_id)
                join run r using (run_id) group by all
        ), ranked as (select *, row_number() over (partition by model, variant,
            format order by newest desc) as age from used)
        select recipe_sha256 from ranked where age <= {_KEPT_VERSIONS}
        union select a.recipe_sha256 from artifact a join release r on r.model = a.model and r.version = a.model_version
        union select a.recipe_sha256 from artifact a join change c on a.sha256 in (c.artifact, c.artifact_before)
            join alert l on l.alert_id = c.alert_id where l.state in ('open', 'acknowledged', 'muted')"""
    return {row["recipe_sha256"] for row in ask(connection, sql)}


def prune_artifacts(store: Store, keep: set[str], days: float) -> list[str]:
    """Delete built models that nobody wants and nothing has touched for so many days; returns their recipe hashes.

    0 days keeps all.
    """
    if not days or not store.artifacts.is_dir():
        return []
    oldest, gone = time.time() - days * _DAY_S, []
    for folder in sorted(store.artifacts.glob("??/*")):
        if folder.is_dir() and folder.name not in keep and _touched(folder) < oldest:
            shutil.rmtree(folder, ignore_errors=True)
            gone.append(folder.name)
    return gone


def _touched(folder: Path) -> float:
    """When one of its files was last written or read, as far as the file system says.

    Looking at a folder reads the folder, so its own time says nothing.
    """
    stats = [path.stat() for path in folder.rglob("*") if path.is_file()]
    return max((max(stat.st_mtime, stat.st_atime) for stat in stats), default=folder.stat().st_mtime)


def prune_logs(folder: Path, days: float) -> int:
    """Delete logs of the nightly job that are older; returns how many."""
    old = [path for path in folder.glob("nightly-*.log") if path.stat().st_mtime < time.time() - days * _DAY_S]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)
