"""The copy that pages read: made of the closed database, opened and counted before anybody is pointed at it."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb

from assay.schema.errors import StoreDamaged, StoreError
from assay.schema.store import files
from assay.schema.store.database import (
    Store,
    fingerprint,
    published_fingerprint,
    reading,
    sequence,
    snapshot,
)

KEPT_SNAPSHOTS = 3


def publish(store: Store) -> None:
    """Copy the closed database under a name never used before, then point CURRENT at it; nothing where nothing changed.

    Raises:
        StoreDamaged: the copy does not open; the one before stays published.
        OSError: it cannot be written; the one before stays published.
    """
    if fingerprint(store) == published_fingerprint(store) and _whole(store):
        return  # an ingester may have died between commit and copy, or a disk may have cut the copy: then they differ
    published = sorted(store.serve.glob("store-*.duckdb"))
    target = store.serve / f"store-{sequence(published[-1]) + 1 if published else 1:06d}.duckdb"
    temporary = target.with_suffix(".tmp")
    try:
        shutil.copyfile(store.database, temporary)
        files.flush(temporary)
        _check(store, temporary)
        temporary.replace(target)
        files.replace(store.serve / "CURRENT", f"{target.name}\n{fingerprint(store)}\n")
    except (OSError, StoreError):
        temporary.unlink(missing_ok=True)
        raise
    for old in [*published, target][:-KEPT_SNAPSHOTS]:
        old.unlink(missing_ok=True)


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
