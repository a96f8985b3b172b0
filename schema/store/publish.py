"""The copy that pages read: made of the closed database, opened and counted before anybody is pointed at it."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb

from assay.schema.errors import StoreDamaged, StoreError
from assay.schema.store import files, patch
from assay.schema.store.database import (
    Store,
    fingerprint,
    published_fingerprint,
    reading,
    sequence,
    snapshot,
    unread,
)

KEPT_SNAPSHOTS = 3
_HIDDEN = ".next-"


def publish(store: Store) -> None:
    """Make a copy of the closed database under a name never used before, then point CURRENT at it.

    Where the oldest copy that is kept has no reader, it becomes the new one, and only the blocks that differ are
    written; else the whole database is copied. Nothing happens where nothing changed.

    Raises:
        StoreDamaged: the copy does not open; the one before stays published.
        OSError: it cannot be written; the one before stays published.
    """
    if fingerprint(store) == published_fingerprint(store) and _whole(store):
        return  # an ingester may have died between commit and copy, or a disk may have cut the copy: then they differ
    published = sorted(store.serve.glob("store-*.duckdb"), key=sequence)
    target = store.serve / f"store-{sequence(published[-1]) + 1 if published else 1:06d}.duckdb"
    for left in (*store.serve.glob(f"{_HIDDEN}*"), *store.serve.glob("store-*.tmp")):
        left.unlink(missing_ok=True)  # of a publication that was killed: which of its blocks are whole, nobody knows
    temporary = target.with_name(f"{_HIDDEN}{target.name}")
    try:
        if not _patched(store, published, temporary):
            shutil.copyfile(store.database, temporary)
            files.flush(temporary)
        _check(store, temporary)
        temporary.replace(target)
        files.replace(store.serve / "CURRENT", f"{target.name}\n{fingerprint(store)}\n")
    except (OSError, StoreError):
        temporary.unlink(missing_ok=True)
        raise
    for old in sorted(store.serve.glob("store-*.duckdb"), key=sequence)[:-KEPT_SNAPSHOTS]:
        old.unlink(missing_ok=True)


def _patched(store: Store, published: list[Path], temporary: Path) -> bool:
    """Turn an old copy that nobody reads into one of the database; False where none can be, and nothing was taken.

    The copy loses its name before its lock is asked for: who opens it later finds no file there, and reads CURRENT.

    Raises:
        OSError: it cannot be written.
    """
    kept = max(0, len(published) - KEPT_SNAPSHOTS + 1)
    current = snapshot(store)
    for old in published[: kept + 1] if len(published) >= KEPT_SNAPSHOTS else []:
        if old == current or patch.block_size(old) != patch.block_size(store.database):
            continue
        old.rename(temporary)
        with unread(temporary) as free:
            if not free:
                temporary.rename(old)
                continue
            try:
                patch.patch(store.database, temporary)
            except ValueError:
                temporary.unlink()
                return False
            files.flush(temporary)
            if patch.same(store.database, temporary):
                return True
            temporary.unlink()
            return False
    return False


def _whole(store: Store) -> bool:
    """Whether the published copy is as large as the database that it is a copy of, and opens."""
    copy = snapshot(store)
    if copy is None or not copy.is_file() or copy.stat().st_size != store.database.stat().st_size:
        return False
    try:
        with reading(copy) as connection:
            connection.execute("select count(*) from bundle").fetchone()
    except (StoreError, duckdb.Error):
        return False
    return True


def _check(store: Store, copy: Path) -> None:
    try:
        with reading(copy) as connection:
            connection.execute("select count(*) from bundle").fetchone()
    except (StoreError, duckdb.Error) as error:
        raise StoreDamaged(
            f"the copy of {store.database} does not open: {str(error).splitlines()[0]} The one before stays published. "
            "Make the database anew from its log: assay db sync --rebuild"
        ) from error
