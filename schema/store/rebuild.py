"""Making the database anew from the log: beside the old one, and put in its place only when it is whole."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb

from assay.schema.errors import StoreError
from assay.schema.store import faults, files, migrate
from assay.schema.store.database import Store, exclusive, opened, reading
from assay.schema.store.ingest import Synced, Taker, names, sync


def rebuild(store: Store, wait_s: float = 30.0) -> Synced:
    """Make the database anew from the log of ingested bundles, then sync.

    The old file is kept as `*.before-rebuild`, and under a further number where there is one already. Killed at any
    moment, the old database or the new one is there, whole.

    Raises:
        StoreError: the old database opens, and has bundles that the log lacks: they would be lost.
        StoreBusy, StoreFull: as `sync`.
    """
    result = Synced()
    with faults.explained(store, "rebuilding"), exclusive(store, wait_s):
        if not names(store.ingested):
            raise StoreError(f"there is no log in {store.ingested}: nothing could be made anew of it.")
        _refuse_to_lose(store)
        beside = store.database.with_name(store.database.name + ".rebuilding")
        _remove(beside)
        with opened(beside) as connection:
            migrate.migrate(connection)
            taker = Taker(store, connection, result)
            taker.take(store.ingested / name for name in sorted(names(store.ingested)))
        files.flush(beside)
        _swap(store, beside)
    after = sync(store, wait_s)
    after.ingested = [*result.recovered, *after.ingested]
    after.rejected = {**result.rejected, **after.rejected}
    after.left = {**result.left, **after.left}
    return after


def kept(store: Store) -> list[Path]:
    """Databases that were kept when others took their place, oldest first."""
    return sorted(store.database.parent.glob(f"{store.database.name}.before-rebuild*"), key=lambda p: p.stat().st_mtime)


def _refuse_to_lose(store: Store) -> None:
    if not store.database.exists():
        return
    try:
        with reading(store.database) as connection:
            there = {name for (name,) in connection.execute("select bundle_id from bundle").fetchall()}
    except (StoreError, duckdb.Error):
        return  # a database that does not open has nothing to lose
    missing = there - names(store.ingested) - names(store.waiting) - names(store.rejected)
    if missing:
        raise StoreError(
            f"{store.database} has {len(missing)} bundles that its log in {store.ingested} lacks ({min(missing)}, ...):"
            " made anew, it would lose them. Nothing was changed."
        )


def _swap(store: Store, beside: Path) -> None:
    """Put the new file in the place of the old one. A log that DuckDB had not folded in goes with the old one."""
    if store.database.exists():
        keep = free(store.database.with_name(store.database.name + ".before-rebuild"))
        os.link(store.database, keep)
        if (wal := _wal(store.database)).exists():
            wal.replace(_wal(keep))
    beside.replace(store.database)
    files.flush(store.database.parent)


def free(path: Path) -> Path:
    """The path, or with a number behind it where something is there already."""
    taken = [path, *(path.with_name(f"{path.name}-{number}") for number in range(2, 10_000))]
    return next(candidate for candidate in taken if not candidate.exists())


def _wal(database: Path) -> Path:
    return database.with_name(database.name + ".wal")


def _remove(database: Path) -> None:
    database.unlink(missing_ok=True)
    _wal(database).unlink(missing_ok=True)
