"""Where the books lie, and who may write them.

A store is a database file and the folders beside it:

    assay.duckdb                  written by the ingester alone, under the lock
    assay.duckdb.lock             the advisory lock (flock), never deleted
    assay.duckdb.spool/waiting/   bundles not ingested yet
    assay.duckdb.spool/ingested/  the log: the database can be rebuilt from it
    assay.duckdb.spool/rejected/  bundles that were not what they claimed
    assay.duckdb.spool/ROLL       every bundle that was ever ingested, with a chained hash
    assay.duckdb.serve/           read-only copies, and CURRENT: the newest, and of which state it is a copy
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import duckdb

from assay.schema.errors import StoreBusy, StoreDamaged, StoreError, StoreFull
from assay.schema.store.migrate import pending

DEFAULT_DATABASE = Path(".assay/assay.duckdb")
_COPY = re.compile(r"store-(\d+)\.duckdb")
_TRIES = 1000


@dataclass(frozen=True, slots=True)
class Store:
    database: Path

    @property
    def lock(self) -> Path:
        return self.database.with_name(self.database.name + ".lock")

    @property
    def spool(self) -> Path:
        return self.database.with_name(self.database.name + ".spool")

    @property
    def waiting(self) -> Path:
        return self.spool / "waiting"

    @property
    def ingested(self) -> Path:
        return self.spool / "ingested"

    @property
    def rejected(self) -> Path:
        return self.spool / "rejected"

    @property
    def roll(self) -> Path:
        return self.spool / "ROLL"

    @property
    def serve(self) -> Path:
        return self.database.with_name(self.database.name + ".serve")

    @property
    def artifacts(self) -> Path:
        """Built models, by the hash of what they were built from."""
        return self.database.parent / "artifacts"

    @property
    def goldens(self) -> Path:
        return self.database.parent / "goldens"


@contextmanager
def exclusive(store: Store, wait_s: float) -> Iterator[None]:
    """Hold the store's lock. The kernel frees it when the holder dies, however it dies.

    Raises:
        StoreBusy: another process held it for `wait_s` seconds.
    """
    with _lock_file(store) as file:
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    file.seek(0)
                    holder = file.read().strip() or "unknown"
                    raise StoreBusy(
                        f"{store.database} is being written by process {holder}. Waited {wait_s:g} s. "
                        "What was recorded is safe in the spool. Try again with: assay db sync --wait 300"
                    ) from None
                time.sleep(0.05)
            except OSError as error:  # ENOLCK, ENOTSUP: some NFS, some FUSE
                raise StoreError(
                    f"{store.lock} cannot be locked: {error.strerror}. This file system has no locks (flock), and two "
                    "writers would spoil the books. Put them on a local disk (--db). What was recorded is safe in the "
                    "spool."
                ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _lock_file(store: Store) -> IO[str]:
    """Raises StoreError: nothing can be written beside the database."""
    try:
        store.lock.parent.mkdir(parents=True, exist_ok=True)
        return store.lock.open("a+")
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise StoreError(
            f"cannot write beside {store.database}: {error.strerror}. What is published can still be read."
        ) from None


@contextmanager
def writing(store: Store) -> Iterator[duckdb.DuckDBPyConnection]:
    """The database for the ingester. Call it under `exclusive`.

    Raises:
        StoreBusy: a program that does not know our lock has the file open.
        StoreError: the file is not a database.
    """
    with opened(store.database) as connection:
        yield connection


@contextmanager
def opened(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database file for its one writer, made where it is not there; see `writing`."""
    _refuse_name(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        connection = duckdb.connect(str(path), config={"threads": 2})
    except duckdb.IOException as error:
        raise _explain(path, error) from None
    try:
        yield connection
    finally:
        connection.close()


CLOSED: dict[str, bool] = {
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
    "lock_configuration": True,
}
"""Of readers: no statement reads or writes another file, takes a Python variable for a table, or changes that."""


@contextmanager
def reading(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A published snapshot, read-only; the newest one where this one has made room for it since.

    While it is open, a shared lock keeps the ingester from making its next copy out of it.

    Raises:
        StoreTooNew: a newer Assay wrote it.
        StoreError: it is not there, or not a database.
    """
    _refuse_name(path)
    with _held(path) as found:
        try:
            connection = duckdb.connect(str(found), read_only=True, config={"threads": 2, **CLOSED})
        except duckdb.IOException as error:
            raise _explain(found, error) from None
        try:
            pending(connection)  # refuses a newer one; an older one can still be read
            yield connection
        finally:
            connection.close()


@contextmanager
def _held(path: Path) -> Iterator[Path]:
    """The path to open, under a shared lock; without one where the file system has none (nothing is patched there)."""
    for _ in range(_TRIES):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            if (newer := _successor(path)) is None:
                break  # DuckDB says best why it cannot be opened
            path = newer
            continue
        try:
            if _shared(descriptor) and _is_of(descriptor, path):
                yield path
                return
        finally:
            os.close(descriptor)
        path = _successor(path) or path
    yield path


def _shared(descriptor: int) -> bool:
    """Whether to go on: False where the ingester tries the copy, which takes no time, or has taken its name away."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(0.001)
        return False
    except OSError:
        return True  # no locks here, and so nothing is patched
    return True


def _is_of(descriptor: int, path: Path) -> bool:
    """Whether a path still names the file that was opened."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def _successor(path: Path) -> Path | None:
    """What is published now, where a path names a copy that is no more."""
    if path.exists() or not _COPY.fullmatch(path.name) or not path.parent.name.endswith(".serve"):
        return None
    return snapshot(Store(path.parent.with_name(path.parent.name.removesuffix(".serve"))))


@contextmanager
def unread(path: Path) -> Iterator[bool]:
    """Whether nobody reads a copy, and nobody of ours can begin to while this is open; False without locks, too.

    A program that knows no lock of ours has DuckDB's own (a POSIX record lock) on the file that it reads.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            free = False
        else:
            free = True
        yield free
    finally:
        os.close(descriptor)


def _refuse_name(path: Path) -> None:
    """DuckDB reads options behind a question mark, and would put its own log elsewhere."""
    if "?" in str(path):
        raise StoreError(
            f"{path} has a question mark in its path, which DuckDB takes for options. Name another folder."
        )


def _explain(path: Path, error: duckdb.IOException) -> StoreError:
    text = str(error)
    if "Could not set lock" in text or "onflicting lock" in text:
        holder = re.search(r"PID (\d+)", text)
        return StoreBusy(
            f"{path} is held open by process {holder.group(1) if holder else 'unknown'}, which is not Assay's ingester."
            " What was recorded is safe in the spool. Close that program, then run: assay db sync"
        )
    if "No space left" in text:
        return StoreFull(
            f"no space for {path}. The bundles are safe in the spool: free some space, then run: assay db sync"
        )
    if any(word in text for word in ("orrupt", "checksum", "Could not read enough bytes", "not a valid DuckDB")):
        return StoreDamaged(
            f"{path} cannot be opened as a DuckDB database: {text.splitlines()[0]} What was recorded is safe in the"
            " spool. Make it anew from its log: assay db sync --rebuild"
        )
    if "does not exist" in text:
        return StoreError(f"{path} is not there. Record something first: assay run quickstart")
    return StoreError(f"{path} cannot be opened as a DuckDB database: {text.splitlines()[0]}")


def snapshot(store: Store) -> Path | None:
    """The newest published copy, or None when nothing was published yet.

    Where CURRENT is empty, or not ours, it is the newest copy that lies there; the next sync points at one anew.
    """
    if (pointer := _pointer(store)) is not None:
        return store.serve / pointer[0]
    copies = sorted(store.serve.glob("store-*.duckdb"), key=sequence)
    return copies[-1] if copies else None


def _pointer(store: Store) -> tuple[str, str] | None:
    """(copy, fingerprint) of CURRENT; None where it is not there, cut, or points at no file."""
    try:
        found = re.fullmatch(
            r"(store-\d{6,18}\.duckdb)\n(\d+-\d+)\n", (store.serve / "CURRENT").read_bytes()[:200].decode()
        )
    except (OSError, ValueError):
        return None
    return (found[1], found[2]) if found and (store.serve / found[1]).is_file() else None


def fingerprint(store: Store) -> str:
    """Changes with every write to the database file, whatever the clock does: its size and time of change."""
    facts = store.database.stat()
    return f"{facts.st_size}-{facts.st_mtime_ns}"


def published_fingerprint(store: Store) -> str | None:
    """The database that the newest snapshot is a copy of."""
    pointer = _pointer(store)
    return pointer[1] if pointer else None


def sequence(path: Path) -> int:
    """12 from `store-000012.duckdb`: it grows with every publication."""
    match = _COPY.fullmatch(path.name)
    if not match:
        raise StoreError(f"{path.name!r} is not the name of a snapshot.")
    return int(match.group(1))
