"""A copy of the books on another disk, and the way back: made beside, verified, then renamed."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from assay.schema.errors import StoreError
from assay.schema.store import faults
from assay.schema.store.database import Store, exclusive
from assay.schema.store.files import flush
from assay.schema.store.rebuild import free
from assay.schema.store.verify import verify

_NAME = "assay.duckdb"


@dataclass(frozen=True, slots=True)
class Kept:
    """What a backup or a restoration holds, counted and held against its chain."""

    folder: Path
    bundles: int
    rows: int
    replaced: tuple[Path, ...] = ()
    """Where the books went that were here before."""


def backup(store: Store, target: Path, wait_s: float = 30.0) -> Kept:
    """Copy database, spool and goldens into a new folder; artifacts can be built again, and are left out.

    Killed at any moment, there is no backup or a whole one: until then it has a hidden name, which the next one to the
    same place removes.

    Raises:
        StoreError: the folder is there already, there are no books, or the copy is not what it should be.
        StoreBusy, StoreFull: as `sync`.
    """
    if target.exists():
        raise StoreError(f"{target} is there already: name a new folder, one for each backup.")
    if not store.database.is_file():
        raise StoreError(f"{store.database} is not there: there are no books to copy.")
    hidden = target.with_name(f".{target.name}.partial")
    with faults.explained(store, "copying the books"):
        shutil.rmtree(hidden, ignore_errors=True)
        hidden.mkdir(parents=True)
        with exclusive(store, wait_s):
            _copy(store, Store(hidden / _NAME))
        kept = _held(Store(hidden / _NAME), target)
        _leave_out_locks(hidden)
        hidden.rename(target)
        flush(target.parent)
    return kept


def restore(source: Path, store: Store, *, replace: bool = False, wait_s: float = 30.0) -> Kept:
    """Put a backup where the books lie. With `replace` what lies there is kept beside, under another name.

    The new books are copied and verified first. Killed between the renames, what was there is beside, and the same
    command again makes it good.

    Raises:
        StoreError: it is no sound backup, or there are books and `replace` is not given.
        StoreBusy, StoreFull: as `sync`.
    """
    saved = Store(source / _NAME)
    if not saved.database.is_file() or not saved.spool.is_dir():
        raise StoreError(f"{source} is no backup: it has no {_NAME} with a spool beside it.")
    present = [path for path in (store.database, store.spool) if path.exists()]
    if present and not replace:
        raise StoreError(
            f"{present[0]} is there already. With --replace it is kept beside under another name, and the backup takes"
            " its place."
        )
    hidden = store.database.with_name(f".{store.database.name}.restoring")
    with faults.explained(store, "restoring"):
        shutil.rmtree(hidden, ignore_errors=True)
        hidden.mkdir(parents=True)
        _copy(saved, Store(hidden / _NAME))
        kept = _held(Store(hidden / _NAME), store.database)
        with exclusive(store, wait_s):
            replaced = tuple(_aside(path) for path in (store.database, store.spool) if path.exists())
            Store(hidden / _NAME).spool.rename(store.spool)  # with the log alone the next sync makes the rest
            (hidden / _NAME).rename(store.database)
            shutil.rmtree(store.serve, ignore_errors=True)  # copies of other books
            _add_goldens(hidden / "goldens", store.goldens)
            flush(store.database.parent)
        shutil.rmtree(hidden, ignore_errors=True)
    return Kept(store.database, kept.bundles, kept.rows, replaced)


def _copy(source: Store, target: Store) -> None:
    """Database, spool and goldens, each file flushed."""
    _carry(str(source.database), str(target.database))
    shutil.copytree(source.spool, target.spool, copy_function=_carry, ignore=shutil.ignore_patterns(".*"))
    if source.goldens.is_dir():
        shutil.copytree(source.goldens, target.goldens, copy_function=_carry)
    for folder, _, _ in os.walk(target.database.parent):
        flush(Path(folder))


def _carry(source: str, target: str) -> str:
    shutil.copyfile(source, target)
    flush(Path(target))
    return target


def _held(copy: Store, place: Path) -> Kept:
    """The copy held against its own log: every hash, every count, the chain."""
    found = verify(copy)
    if found.faults:
        more = f", and {len(found.faults) - 1} more" if len(found.faults) > 1 else ""
        raise StoreError(
            f"the copy for {place} is not sound: {found.faults[0]}{more}. Nothing was put in place. Look at the books"
            " with: assay db verify"
        )
    return Kept(place, found.bundles, found.rows)


def _leave_out_locks(folder: Path) -> None:
    for path in folder.glob(f"{_NAME}.lock"):
        path.unlink()


def _aside(path: Path) -> Path:
    beside = free(path.with_name(path.name + ".before-restore"))
    path.rename(beside)
    return beside


def _add_goldens(source: Path, target: Path) -> None:
    """Goldens that are not there by name; those that are stay."""
    if not source.is_dir():
        return
    target.mkdir(parents=True, exist_ok=True)
    for golden in source.iterdir():
        if not (target / golden.name).exists():
            golden.rename(target / golden.name)
