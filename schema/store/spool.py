"""Writing a bundle: the commit of everything that Assay records.

A bundle is one finished case, or one step of a run, as a folder of Parquet files and a manifest. It is written under a
temporary name, flushed to disk, and renamed: after that it is recorded, whatever happens to this process, and no lock
was taken. Its id is made by its writer, so that delivering it twice changes nothing.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import socket
import typing
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from types import UnionType

import pyarrow as pa
import pyarrow.parquet as pq
import uuid_utils

from assay.schema.documents import strict
from assay.schema.errors import BadBundle, StoreError, StoreFull
from assay.schema.rows import ALL, Row
from assay.schema.store import migrate
from assay.schema.store.database import Store

MANIFEST = "manifest.json"
_ARROW = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    datetime: pa.timestamp("us"),
}


def new_id() -> str:
    """A UUIDv7: unique, and in order of time."""
    return str(uuid_utils.uuid7())


def now() -> datetime:
    """UTC, without a zone, as the tables hold it."""
    return datetime.now(UTC).replace(tzinfo=None)


def _arrow_type(annotation: object) -> pa.DataType:
    if isinstance(annotation, UnionType):
        (annotation,) = (part for part in typing.get_args(annotation) if part is not type(None))
    if typing.get_origin(annotation) is list:
        return pa.list_(_ARROW[typing.get_args(annotation)[0]])
    return _ARROW[annotation]  # type: ignore[index]


def arrow_schema(row_type: type[Row]) -> pa.Schema:
    hints = typing.get_type_hints(row_type)
    return pa.schema([(field.name, _arrow_type(hints[field.name])) for field in fields(row_type)])


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
            _flush(path)
            manifest["files"][path.name] = {"sha256": _sha256(path), "rows": len(some)}
        (temporary / MANIFEST).write_text(strict(manifest, indent=1))
        _flush(temporary / MANIFEST)
        _flush(temporary)
        temporary.rename(store.waiting / bundle_id)
        _flush(store.waiting)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFull(
                f"no space left in {store.spool} ({error.strerror}). Everything recorded before is intact. "
                "Free some space, then continue with --resume."
            ) from None
        raise StoreError(f"cannot write to {store.spool}: {error}") from None
    return bundle_id


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose files are what its manifest says."""

    path: Path
    bundle_id: str
    run_id: str
    host: str
    written_at: datetime
    schema_version: int
    files: dict[str, int]
    """Table -> rows."""


def read_manifest(path: Path) -> Bundle:
    """Check a bundle's folder against its manifest.

    Raises:
        BadBundle: a file is missing, changed or cut short, or holds a table that this version does not know.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_text())
        version = int(manifest["schema_version"])
        if version > migrate.latest():
            reason = f"it was written by a newer Assay (schema version {version})"
        else:
            reason = next(filter(None, (_wrong(path, name, entry) for name, entry in manifest["files"].items())), "")
        bundle = Bundle(
            path,
            str(manifest["bundle_id"]),
            str(manifest["run_id"]),
            str(manifest["host"]),
            datetime.fromisoformat(manifest["written_at"]),
            version,
            {name.removesuffix(".parquet"): int(entry["rows"]) for name, entry in manifest["files"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
        raise BadBundle(f"{type(error).__name__}: {error}") from None
    if reason:
        raise BadBundle(reason)
    return bundle


def _wrong(path: Path, name: str, entry: dict[str, typing.Any]) -> str:
    """What is wrong with one file of a bundle; empty when nothing is."""
    row_type = next((row_type for row_type in ALL if f"{row_type.table}.parquet" == name), None)
    if row_type is None:
        return f"unknown table {name!r}"
    if _sha256(path / name) != entry["sha256"]:
        return f"{name} is not the file that was written (its SHA-256 differs)"
    if not set(pq.read_schema(path / name).names) <= {f.name for f in fields(row_type)}:
        return f"{name} has columns that this version of Assay does not know"
    return ""
