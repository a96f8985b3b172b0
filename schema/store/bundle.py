"""Reading a bundle as if a stranger had written it: a folder is taken for what its bytes prove, and for nothing else.

Two things can go wrong, and they are kept apart. `BadBundle`: the bytes themselves show that this is no bundle, on any
machine and on any day. `UnreadableBundle`: this machine could not read them now. Only the first is put aside.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from assay.schema.errors import BadBundle, UnreadableBundle
from assay.schema.rows import ALL, CaseResult, Row, Run, RunEnd
from assay.schema.store import migrate
from assay.schema.store.columns import arrow_schema, needed_columns

MANIFEST = "manifest.json"
HASHED_SINCE = 9
"""Manifests from this schema version on hold a hash of themselves."""
_LARGEST_MANIFEST = 1 << 20
_LARGEST_FILE = 1 << 32
_NAME = re.compile(r"[A-Za-z0-9._-]{1,200}")
_BY_TABLE: dict[str, type[Row]] = {row_type.table: row_type for row_type in ALL}
_OF_ONE_RUN = (Run, RunEnd, CaseResult)
"""Rows whose run is the bundle's own; verdicts and explanations may be about another."""


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    rows: Annotated[int, Field(ge=0, lt=1 << 48)]


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    bundle_id: Annotated[str, Field(max_length=200)]
    run_id: Annotated[str, Field(min_length=1, max_length=500)]
    host: Annotated[str, Field(max_length=500)]
    written_at: Annotated[str, Field(max_length=40)]
    schema_version: Annotated[int, Field(ge=1)]
    files: dict[str, _File]
    sha256: str | None = None
    """Of all of the above (`manifest_hash`)."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose manifest holds together; its files are checked as they are read."""

    path: Path
    bundle_id: str
    run_id: str
    host: str
    written_at: datetime
    schema_version: int
    files: dict[str, int]
    """Table -> rows."""
    hashes: dict[str, str]
    """Table -> SHA-256 of its file."""
    bytes: int
    """Of all files together."""
    manifest_sha256: str
    """Of the manifest's file, byte by byte."""

    def tables(self) -> Iterator[tuple[type[Row], pa.Table]]:
        """Each table with the columns of its row type, in their order; those of an older writer are null where missing.

        Raises:
            BadBundle: a file is not the one that was written, or holds what its table does not.
            UnreadableBundle: a file cannot be read now.
        """
        for table in self.files:
            yield _BY_TABLE[table], self._read(table)

    def _read(self, table: str) -> pa.Table:
        name = f"{table}.parquet"
        content = _bytes_of(self.path / name, _LARGEST_FILE)
        if hashlib.sha256(content).hexdigest() != self.hashes[table]:
            raise BadBundle(f"{name} is not the file that was written (its SHA-256 differs)")
        try:
            read = pq.read_table(io.BytesIO(content))
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  a reader of hostile files has no list of what it raises
            raise BadBundle(f"{name} is no Parquet file: {type(error).__name__}: {error}") from None
        return self._fitted(name, _BY_TABLE[table], read)

    def _fitted(self, name: str, row_type: type[Row], read: pa.Table) -> pa.Table:
        """The table with exactly the columns that its rows have."""
        wanted = arrow_schema(row_type)
        if unknown := set(read.column_names) - set(wanted.names):
            raise BadBundle(
                f"{name} has columns that this version of Assay does not know: {', '.join(sorted(unknown))}"
            )
        if len(set(read.column_names)) != read.num_columns:
            raise BadBundle(f"{name} has two columns of one name")
        table = row_type.table
        if read.num_rows != self.files[table]:
            raise BadBundle(f"{name} has {read.num_rows} rows, its manifest says {self.files[table]}")
        for column in needed_columns(row_type):
            if column not in read.column_names or read[column].null_count:
                raise BadBundle(f"{name} has rows without {column!r}")
        try:
            whole = pa.table(
                {
                    field.name: read[field.name].cast(field.type)
                    if field.name in read.column_names
                    else pa.nulls(read.num_rows, field.type)
                    for field in wanted
                },
                schema=wanted,
            )
            whole.validate(full=True)
        except MemoryError:
            raise
        except (pa.ArrowException, ValueError, TypeError) as error:
            raise BadBundle(f"{name} holds what its columns do not: {error}") from None
        if row_type in _OF_ONE_RUN and set(whole["run_id"].unique().to_pylist()) - {self.run_id}:
            raise BadBundle(f"{name} is of another run than the bundle ({self.run_id})")
        return whole


def manifest_hash(manifest: dict[str, Any]) -> str:
    """SHA-256 of a manifest without its own hash: keys sorted, no spaces."""
    without = {key: value for key, value in manifest.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(without, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read_manifest(path: Path) -> Bundle:
    """A bundle's folder by its manifest.

    Raises:
        BadBundle: it is no folder of ours, its manifest does not hold together, or it lists other files than there are.
        UnreadableBundle: it cannot be read now.
    """
    if not _NAME.fullmatch(path.name):
        raise BadBundle(f"{path.name!r} is not the name of a bundle")
    _check_folder(path)
    content = _bytes_of(path / MANIFEST, _LARGEST_MANIFEST)
    manifest = _parsed(content)
    if manifest.bundle_id != path.name:
        raise BadBundle(f"its manifest is that of {manifest.bundle_id!r}")
    listed = {name.removesuffix(".parquet"): entry for name, entry in manifest.files.items()}
    for name in manifest.files:
        if not name.endswith(".parquet") or name.removesuffix(".parquet") not in _BY_TABLE:
            raise BadBundle(f"unknown table {name!r}")
    return Bundle(
        path=path,
        bundle_id=manifest.bundle_id,
        run_id=manifest.run_id,
        host=manifest.host,
        written_at=_moment(manifest.written_at),
        schema_version=manifest.schema_version,
        files={table: entry.rows for table, entry in listed.items()},
        hashes={table: entry.sha256 for table, entry in listed.items()},
        bytes=_sizes(path, set(manifest.files)),
        manifest_sha256=hashlib.sha256(content).hexdigest(),
    )


def _parsed(content: bytes) -> _Manifest:
    try:
        document = json.loads(content.decode(), parse_constant=_no_number)
        if isinstance(document, dict) and isinstance(version := document.get("schema_version"), int):
            if version > migrate.latest():
                raise BadBundle(f"it was written by a newer Assay (schema version {version})")
            if (version >= HASHED_SINCE or "sha256" in document) and document.get("sha256") != manifest_hash(document):
                raise BadBundle("its manifest is not the one that was written (its SHA-256 differs)")
        return _Manifest.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or MANIFEST
        raise BadBundle(f"its manifest is wrong at {place[:80]!r}: {first['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise BadBundle(f"its manifest cannot be read: {type(error).__name__}: {str(error)[:200]}") from None


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number of a manifest")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadBundle(f"its manifest is wrong at 'written_at': {error}") from None
    if moment.tzinfo is not None:
        raise BadBundle("its manifest is wrong at 'written_at': moments are UTC, written without a zone")
    return moment


def _check_folder(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except OSError as error:
        raise UnreadableBundle(f"{path.name}: {error.strerror}") from None
    if not stat.S_ISDIR(mode):
        raise BadBundle("it is no folder")


def _sizes(path: Path, listed: set[str]) -> int:
    """Bytes of the files that a bundle lists.

    Raises:
        BadBundle: there is a file more.
    """
    try:
        entries = [*os.scandir(path)]
        if more := sorted({entry.name for entry in entries} - listed - {MANIFEST}):
            raise BadBundle(f"it holds {more[0]!r}, which its manifest does not list")
        return sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
    except OSError as error:
        raise UnreadableBundle(f"{path.name}: {error.strerror}") from None


def _bytes_of(path: Path, limit: int) -> bytes:
    """The bytes of a plain file; a pipe, a device or a link is never waited for and never followed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise BadBundle(f"{path.name} is missing") from None
    except OSError as error:
        if path.is_symlink():
            raise BadBundle(f"{path.name} is a link") from None
        raise UnreadableBundle(f"{path.name}: {error.strerror}") from None
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise BadBundle(f"{path.name} is no plain file")
        if facts.st_size > limit:
            raise BadBundle(f"{path.name} is larger than any that Assay writes ({facts.st_size} bytes)")
        with os.fdopen(os.dup(descriptor), "rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        raise UnreadableBundle(f"{path.name}: {error.strerror}") from None
    finally:
        os.close(descriptor)
