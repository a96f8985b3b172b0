"""Writing a bundle: the commit of everything that Assay records.

A bundle is one finished case, or one step of a run, as a folder of Parquet files and a manifest. It is written under a
temporary name, flushed to disk, and renamed: after that it is recorded, whatever happens to this process, and no lock
was taken. Its id is made by its writer, so that delivering it twice changes nothing.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
import socket
import typing
from collections.abc import Iterable
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import uuid_utils

from assay.schema.documents import strict
from assay.schema.errors import StoreError, StoreFull
from assay.schema.rows import Row
from assay.schema.store import migrate
from assay.schema.store.bundle import MANIFEST, manifest_hash
from assay.schema.store.columns import arrow_schema
from assay.schema.store.database import Store
from assay.schema.store.files import flush


def new_id() -> str:
    """A UUIDv7: unique, and in order of time."""
    return str(uuid_utils.uuid7())


def now() -> datetime:
    """UTC, without a zone, as the tables hold it."""
    return datetime.now(UTC).replace(tzinfo=None)


def write_bundle(store: Store, run_id: str, rows: Iterable[Row]) -> str:
    """Record these rows, all or none; returns the bundle's id once they are on disk.

    Raises:
        StoreFull: no space. Nothing of this bundle stays behind; bundles written before are intact.
    """
    bundle_id = new_id()
    temporary = store.waiting / f".{bundle_id}.tmp"
    try:
        temporary.mkdir(parents=True)
        manifest: dict[str, typing.Any] = {
            "bundle_id": bundle_id,
            "run_id": run_id,
            "host": socket.gethostname(),
            "written_at": now().isoformat(),
            "schema_version": migrate.latest(),
            "files": {},
        }
        by_type: dict[type[Row], list[Row]] = {}
        for row in rows:
            by_type.setdefault(type(row), []).append(row)
        for row_type, some in by_type.items():
            path = temporary / f"{row_type.table}.parquet"
            columns = {f.name: [getattr(row, f.name) for row in some] for f in fields(row_type)}
            pq.write_table(pa.table(columns, schema=arrow_schema(row_type)), path, compression="zstd")
            flush(path)
            manifest["files"][path.name] = {"sha256": _sha256(path), "rows": len(some)}
        manifest["sha256"] = manifest_hash(manifest)
        (temporary / MANIFEST).write_text(strict(manifest, indent=1))
        flush(temporary / MANIFEST)
        flush(temporary)
        temporary.rename(store.waiting / bundle_id)
        flush(store.waiting)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFull(
                f"no space left in {store.spool} ({error.strerror}). Everything recorded before is intact. "
                "Free some space, then continue with --resume."
            ) from None
        raise StoreError(f"cannot write to {store.spool}: {error}") from None
    return bundle_id


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
