"""From the spool to the database, and from the database to the copy that pages read.

One process at a time, under the store's lock; all waiting bundles in one transaction. A bundle that cannot be taken is
put aside with its reason, and the rest go on.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import duckdb

from assay.schema.errors import BadBundle, StoreFull
from assay.schema.rows import ALL, DICTIONARIES
from assay.schema.store import migrate
from assay.schema.store.database import (
    Store,
    exclusive,
    fingerprint,
    published_fingerprint,
    sequence,
    snapshot,
    writing,
)
from assay.schema.store.spool import Bundle, now, read_manifest

KEPT_SNAPSHOTS = 3
_STALE_TEMPORARY_S = 3600.0


@dataclass(slots=True)
class Synced:
    """What one synchronisation did."""

    ingested: list[str] = field(default_factory=list)
    already_there: list[str] = field(default_factory=list)
    rejected: dict[str, str] = field(default_factory=dict)
    snapshot: Path | None = None


def sync(store: Store, wait_s: float = 30.0) -> Synced:
    """Take every waiting bundle into the database and publish a new snapshot.

    Raises:
        StoreBusy: another process holds the lock or the file; the bundles stay where they are.
        StoreTooNew: the database is newer than this code; the bundles stay where they are.
    """
    result = Synced()
    with _full_disk_explained(store), exclusive(store, wait_s):
        for folder in (store.waiting, store.ingested, store.rejected, store.serve):
            folder.mkdir(parents=True, exist_ok=True)
        _sweep(store)
        with writing(store) as connection:
            migrate.migrate(connection)
            bundles = _take(store, connection, result)
        for bundle in bundles:
            _move(bundle.path, store.ingested)
        if fingerprint(store) != published_fingerprint(store):  # an ingester may have died between commit and copy
            _publish(store)
    result.snapshot = snapshot(store)
    return result


@contextmanager
def _full_disk_explained(store: Store) -> Iterator[None]:
    try:
        yield
    except (OSError, duckdb.Error) as error:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
            raise StoreFull(
                f"no space left while ingesting into {store.database}. The bundles are safe in {store.spool}. "
                "Free some space, then run: assay db sync"
            ) from None
        raise


def rebuild(store: Store, wait_s: float = 30.0) -> Synced:
    """Make the database anew from the log of ingested bundles; the old file is kept as `*.before-rebuild`."""
    with exclusive(store, wait_s):
        if store.database.exists():
            store.database.replace(store.database.with_name(store.database.name + ".before-rebuild"))
        store.waiting.mkdir(parents=True, exist_ok=True)
        for folder in sorted(store.ingested.glob("*")):
            folder.replace(store.waiting / folder.name)
    return sync(store, wait_s)


def _sweep(store: Store) -> None:
    """Remove what killed writers left half-written; a young one may still be at work."""
    for folder in store.waiting.glob(".*.tmp"):
        if time.time() - folder.stat().st_mtime > _STALE_TEMPORARY_S:
            shutil.rmtree(folder, ignore_errors=True)


def _take(store: Store, connection: duckdb.DuckDBPyConnection, result: Synced) -> list[Bundle]:
    seen = {name for (name,) in connection.execute("select bundle_id from bundle").fetchall()}
    bundles: list[Bundle] = []
    for folder in sorted(path for path in store.waiting.iterdir() if not path.name.startswith(".")):
        try:
            bundle = read_manifest(folder)
        except BadBundle as error:
            _reject(store, connection, folder, str(error), result)
            continue
        if bundle.bundle_id in seen:  # killed between the commit and the move, or delivered twice
            result.already_there.append(bundle.bundle_id)
            _move(folder, store.ingested)
            continue
        seen.add(bundle.bundle_id)
        bundles.append(bundle)
    if not bundles:
        return []
    try:
        _insert(connection, bundles)
        taken = bundles
    except duckdb.Error:
        taken = _insert_one_by_one(store, connection, bundles, result)
    result.ingested += [bundle.bundle_id for bundle in taken]
    return taken


def _insert_one_by_one(
    store: Store, connection: duckdb.DuckDBPyConnection, bundles: list[Bundle], result: Synced
) -> list[Bundle]:
    taken = []
    for bundle in bundles:
        try:
            _insert(connection, [bundle])
            taken.append(bundle)
        except duckdb.Error as error:
            if "No space left" in str(error):
                raise
            _reject(store, connection, bundle.path, str(error).splitlines()[0], result)
    return taken


def _insert(connection: duckdb.DuckDBPyConnection, bundles: list[Bundle]) -> None:
    """All bundles in one transaction: files are read by DuckDB, a table at a time."""
    connection.execute("begin")
    try:
        for row_type in ALL:
            files = [str(b.path / f"{row_type.table}.parquet") for b in bundles if row_type.table in b.files]
            if not files:
                continue
            source = "select * from read_parquet($files, union_by_name = true)"
            if key := DICTIONARIES.get(row_type):
                source = (
                    f"select distinct on ({key}) * from ({source}) as new "
                    f"where not exists (select 1 from {row_type.table} as old where old.{key} = new.{key})"
                )
            connection.execute(f"insert into {row_type.table} by name {source}", {"files": files})
        stamp = now()
        for b in bundles:
            values = [b.bundle_id, b.run_id, b.host, b.written_at, b.schema_version, sum(b.files.values()), stamp]
            connection.execute("insert into bundle values (?, ?, ?, ?, ?, ?, ?)", values)
        _roll_up(connection, {bundle.run_id for bundle in bundles})
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise


def _roll_up(connection: duckdb.DuckDBPyConnection, run_ids: Iterable[str]) -> None:
    connection.execute(
        "create or replace temp table touched_run as select unnest($runs) as run_id", {"runs": [*run_ids]}
    )
    connection.execute((resources.files("assay.schema.store") / "rollups.sql").read_text())


def _reject(store: Store, connection: duckdb.DuckDBPyConnection, folder: Path, reason: str, result: Synced) -> None:
    connection.execute("insert into rejected_bundle values (?, ?, ?)", [folder.name, reason, now()])
    _move(folder, store.rejected)
    result.rejected[folder.name] = reason


def _move(folder: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    destination = target / folder.name
    if destination.exists():
        shutil.rmtree(destination)
    folder.replace(destination)


def _publish(store: Store) -> None:
    """Copy the closed file under a name never used before, then point CURRENT at it."""
    published = sorted(store.serve.glob("store-*.duckdb"))
    target = store.serve / f"store-{sequence(published[-1]) + 1 if published else 1:06d}.duckdb"
    temporary = target.with_suffix(".tmp")
    try:
        shutil.copyfile(store.database, temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
        pointer = store.serve / "CURRENT.tmp"
        pointer.write_text(f"{target.name}\n{fingerprint(store)}\n")
        pointer.replace(store.serve / "CURRENT")
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    for old in [*published, target][:-KEPT_SNAPSHOTS]:
        old.unlink(missing_ok=True)
