"""Bundles of other hosts, from a folder that can be read here: a mailbox, a mounted disk, another store's spool.

One way in for all of them: each is read as a stranger's, copied under a hidden name, read again, flushed, and renamed
into `waiting/`. What is there already is left out, so that twice counts once, in any order. The folder that they come
from is only read.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import uuid4

from assay.schema.errors import BadBundle, StoreError, UnreadableBundle
from assay.schema.store import faults
from assay.schema.store.bundle import MANIFEST, Bundle, read_manifest
from assay.schema.store.database import Store
from assay.schema.store.files import flush
from assay.schema.store.ingest import names

_FOLDERS = ("waiting", "ingested")


@dataclass(slots=True)
class Collected:
    """What came from where."""

    taken: list[str] = field(default_factory=list)
    already_there: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    """Folder -> why it is no bundle, or could not be read now; it stays where it is."""


def collect(store: Store, sources: list[Path]) -> Collected:
    """Copy what other hosts recorded into this store's spool; the next sync takes it.

    Args:
        store: where the bundles go.
        sources: each a folder of bundles, a spool (`*.spool`), or a database whose spool lies beside it.

    Raises:
        StoreError: a source is not there, or nothing can be written here; what was copied before stays.
    """
    found = Collected()
    with faults.explained(store, "collecting"):
        store.waiting.mkdir(parents=True, exist_ok=True)
        there = names(store.waiting) | names(store.ingested) | names(store.rejected)
        for source in sources:
            for folder in _bundles(source):
                if folder.name in there:
                    found.already_there += 1
                    continue
                try:
                    found.taken.append(_copy(store, folder))
                except (BadBundle, UnreadableBundle) as error:
                    found.refused[str(folder)] = str(error)
                else:
                    there.add(folder.name)
    return found


def _bundles(source: Path) -> Iterator[Path]:
    """Folders that may be bundles, in the order of their names."""
    spool = source if source.is_dir() else Store(source).spool
    if not spool.is_dir():
        raise StoreError(f"{source} is neither a folder of bundles nor books with a spool beside them.")
    inner = [spool / name for name in _FOLDERS if (spool / name).is_dir()]
    for folder in inner or [spool]:
        yield from (folder / name for name in sorted(names(folder)) if (folder / name).is_dir())


def _copy(store: Store, folder: Path) -> str:
    """A bundle's id, once it is whole and flushed in `waiting/`.

    Raises:
        BadBundle: its bytes, or those of the copy, prove that it is none.
        UnreadableBundle: it cannot be read now.
        OSError: it cannot be written.
    """
    bundle = read_manifest(folder)
    hidden = store.waiting / f".{bundle.bundle_id}.{uuid4().hex}.tmp"
    hidden.mkdir()
    try:
        for name in (MANIFEST, *(f"{table}.parquet" for table in bundle.files)):
            _carry(folder / name, hidden / name)
        _read_again(bundle, hidden)
        flush(hidden)
        hidden.rename(store.waiting / bundle.bundle_id)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    flush(store.waiting)
    return bundle.bundle_id


def _carry(source: Path, target: Path) -> None:
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise UnreadableBundle(f"{source.name} cannot be read: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as old, target.open("xb") as new:
        shutil.copyfileobj(old, new, 1 << 20)
        new.flush()
        os.fsync(new.fileno())


def _read_again(bundle: Bundle, copy: Path) -> None:
    """The copy is what was read at its source, table by table; under its own name only when it is."""
    for _ in replace(bundle, path=copy).tables():
        pass
