"""From the spool to the database, and from the database to the copy that pages read.

One process at a time, under the store's lock. What waits is taken in batches, each in one transaction. A bundle whose
own bytes prove that it is none is put aside with its reason. A fault of the machine (a full disk, too little memory, a
damaged database) puts nothing aside: what waits stays where it is, and the fault is said.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import resources
from itertools import islice
from pathlib import Path

import duckdb
import pyarrow as pa

from assay.schema.errors import BadBundle, UnreadableBundle
from assay.schema.rows import ALL, DICTIONARIES, CaseResult, Row, Run
from assay.schema.store import faults, migrate, roll
from assay.schema.store.bundle import Bundle, read_manifest
from assay.schema.store.database import Store, exclusive, snapshot, writing
from assay.schema.store.publish import publish
from assay.schema.store.spool import now

_STALE_TEMPORARY_S = 24 * 3600.0
_BATCH_BYTES = 32 << 20
_BATCH_BUNDLES = 100
_KEYS: dict[type[Row], str] = {Run: "run_id", CaseResult: "case_id"}
"""Rows that are written once in all: a second bundle with one of them is another's, or a forgery."""


@dataclass(slots=True)
class Synced:
    """What one synchronisation did."""

    ingested: list[str] = field(default_factory=list)
    already_there: list[str] = field(default_factory=list)
    rejected: dict[str, str] = field(default_factory=dict)
    """Bundle -> what its own bytes prove."""
    left: dict[str, str] = field(default_factory=dict)
    """Bundle -> why it could not be read now; it still waits."""
    recovered: list[str] = field(default_factory=list)
    """Bundles of the log that the database had lost, taken again."""
    lost: list[str] = field(default_factory=list)
    """Bundles that were ingested once and are neither in the database nor in the log nor put aside."""
    put_aside: int = 0
    """Bundles that lie in `rejected/`, from earlier times too."""
    snapshot: Path | None = None

    def problems(self) -> list[str]:
        """What a person has to know, a sentence each; empty where all is well."""
        told = [f"bundle {name} was rejected: {reason}" for name, reason in self.rejected.items()]
        told += [f"bundle {name} cannot be read now and still waits: {reason}" for name, reason in self.left.items()]
        if self.recovered:
            told.append(f"{len(self.recovered)} bundles that the database had lost were taken again from the log")
        if self.lost:
            told.append(
                f"{len(self.lost)} bundles that were recorded once are neither in the database nor in the log: put them"
                f" back into the spool, or take their lines out of its file ROLL ({self.lost[0]}, ...)"
            )
        if earlier := self.put_aside - len(self.rejected):
            told.append(f"{earlier} bundles were put aside earlier; try them again with: assay db requeue")
        return told


def sync(store: Store, wait_s: float = 30.0) -> Synced:
    """Take every waiting bundle into the database, and what the log has and the database lacks; publish a snapshot.

    Raises:
        StoreBusy: another process holds the lock or the file; the bundles stay where they are.
        StoreTooNew: the database is newer than this code; the bundles stay where they are.
        StoreError: a fault of the machine or of the database; the bundles stay where they are.
    """
    result = Synced()
    with faults.explained(store, "ingesting"), exclusive(store, wait_s):
        for folder in (store.waiting, store.ingested, store.rejected, store.serve):
            folder.mkdir(parents=True, exist_ok=True)
        _sweep(store)
        with writing(store) as connection:
            migrate.migrate(connection)
            before, bundle_id, chain = _head(connection)
            kept = bool(before) and roll.ends_with(store, before, bundle_id, chain)
            taker = Taker(store, connection, result)
            logged = names(store.ingested)
            taker.take(store.ingested / name for name in sorted(logged - among(connection, logged)))
            taker.take(store.waiting / name for name in sorted(names(store.waiting)))
            if kept:
                roll.append(store, _since(connection, before))
            else:
                _call_the_roll(store, connection, result)
        publish(store)
    result.put_aside = len(names(store.rejected))
    result.snapshot = snapshot(store)
    return result


def _call_the_roll(store: Store, connection: duckdb.DuckDBPyConnection, result: Synced) -> None:
    """Write the roll anew, and say which bundles of it are nowhere."""
    taken = in_order(connection)
    roll.write(store, taken)
    here = {name for name, _ in taken} | names(store.ingested) | names(store.rejected) | names(store.waiting)
    result.lost = sorted(set(roll.read(store)) - here)


def _head(connection: duckdb.DuckDBPyConnection) -> tuple[int, str, str | None]:
    """(bundles, the last one, chain with it) of the database; (0, '', None) of an empty one, or of no chain."""
    (count,) = connection.execute("select count(*) from bundle").fetchone() or (0,)
    last = connection.execute("select bundle_id, chain from bundle where position = ?", [count]).fetchone()
    return (count, *last) if last else (0, "", None)


def _since(connection: duckdb.DuckDBPyConnection, position: int) -> list[tuple[str, str | None]]:
    return connection.execute(
        "select bundle_id, chain from bundle where position > ? order by position", [position]
    ).fetchall()


def among(connection: duckdb.DuckDBPyConnection, asked: set[str]) -> set[str]:
    """Which of these bundles the database has."""
    if not asked:
        return set()
    connection.register("asked", pa.table({"name": pa.array([_shown(name) for name in asked], pa.string())}))
    try:
        found = connection.execute("select name from asked semi join bundle on bundle_id = name").fetchall()
    finally:
        connection.unregister("asked")
    return {name for (name,) in found}


def _shown(name: str) -> str:
    """A name for people and rows, whatever bytes it has."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def in_order(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str | None]]:
    """(bundle, chain with it) of the database; those from before there was a chain come first."""
    return connection.execute("select bundle_id, chain from bundle order by position nulls first, bundle_id").fetchall()


def names(folder: Path) -> set[str]:
    """What lies in a folder of the spool, half-written bundles left out."""
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")} if folder.is_dir() else set()


class Taker:
    """Takes bundles into one database, in batches: each in one transaction, then moved to the log."""

    def __init__(self, store: Store, connection: duckdb.DuckDBPyConnection, result: Synced) -> None:
        self._store, self._connection, self._result = store, connection, result
        last = connection.execute(
            "select chain from bundle where position is not null order by position desc limit 1"
        ).fetchone()
        self.chain: str = last[0] if last else ""
        self._there: set[str] = set()
        """Those of the folders looked at now that the database has, and what was read of them."""
        self._bytes = 0
        """Of the batch's tables in memory."""
        self._batch: list[Bundle] = []
        self._tables: dict[str, list[tuple[type[Row], pa.Table]]] = {}

    def take(self, folders: Iterable[Path]) -> None:
        """Take these folders; one that proves to be no bundle is put aside, one that cannot be read now stays."""
        rest = iter(folders)
        while part := [*islice(rest, _BATCH_BUNDLES)]:
            self._there = among(self._connection, {folder.name for folder in part})
            for folder in part:
                try:
                    self._read(folder)
                except BadBundle as error:
                    self._reject(folder, str(error))
                except UnreadableBundle as error:
                    self._result.left[_shown(folder.name)] = str(error)
                if self._bytes >= _BATCH_BYTES:
                    self._flush()
            self._flush()

    def _read(self, folder: Path) -> None:
        """Put a bundle into the batch, with its tables.

        Raises:
            BadBundle: its bytes prove that it is none.
            UnreadableBundle: it cannot be read now.
        """
        bundle = read_manifest(folder)
        if bundle.bundle_id in self._there:  # killed between the commit and the move, or delivered twice
            if _other(self._store.ingested / folder.name, bundle):
                raise BadBundle("the books have another bundle of this id")
            self._result.already_there.append(bundle.bundle_id)
            self._move(folder, self._store.ingested)
            return
        self._tables[bundle.bundle_id] = tables = [*bundle.tables()]
        self._bytes += sum(table.nbytes for _, table in tables)
        self._batch.append(bundle)
        self._there.add(bundle.bundle_id)

    def _flush(self) -> None:
        """Insert the batch; where rows are at fault, each bundle is tried alone and the guilty ones are put aside."""
        batch, self._batch, self._bytes = self._batch, [], 0
        tables, self._tables = self._tables, {}
        for bundle, reason in _doubled(self._connection, batch, tables):
            self._forget(bundle, reason)
            batch = [b for b in batch if b.bundle_id != bundle.bundle_id]
        try:
            self.chain = _insert(self._connection, batch, tables, self.chain)
        except duckdb.Error as error:
            if not faults.is_of_data(error):
                raise
            guilty = {b.bundle_id: said for b in batch if (said := _alone(b, tables))}
            if not guilty:
                raise
            for bundle in batch:
                if bundle.bundle_id in guilty:
                    self._forget(bundle, guilty[bundle.bundle_id])
            batch = [b for b in batch if b.bundle_id not in guilty]
            self.chain = _insert(self._connection, batch, tables, self.chain)
        for bundle in batch:
            lost = bundle.path.parent == self._store.ingested
            (self._result.recovered if lost else self._result.ingested).append(bundle.bundle_id)
            self._move(bundle.path, self._store.ingested)

    def _forget(self, bundle: Bundle, reason: str) -> None:
        self._there.discard(bundle.bundle_id)
        self._reject(bundle.path, reason)

    def _reject(self, folder: Path, reason: str) -> None:
        name = _shown(folder.name)
        self._connection.execute("insert into rejected_bundle values (?, ?, ?)", [name, reason, now()])
        self._move(folder, self._store.rejected)
        self._result.rejected[name] = reason

    def _move(self, folder: Path, target: Path) -> None:
        """Into the log, over the same bundle; or among what was put aside, beside everything else."""
        destination = target / folder.name
        if folder == destination:
            return
        if target == self._store.ingested:
            shutil.rmtree(destination, ignore_errors=True)
        for number in range(1, 10_000):
            if not os.path.lexists(destination):
                break
            destination = target / f"{folder.name}.{number}"
        folder.rename(destination)


def _other(logged: Path, bundle: Bundle) -> bool:
    """Whether the log has a bundle of this id that is sound, and is not this one."""
    try:
        return read_manifest(logged).manifest_sha256 != bundle.manifest_sha256
    except (BadBundle, UnreadableBundle):
        return False


def _doubled(
    connection: duckdb.DuckDBPyConnection, batch: list[Bundle], tables: dict[str, list[tuple[type[Row], pa.Table]]]
) -> list[tuple[Bundle, str]]:
    """Bundles with a row that is written once in all, and is there already."""
    found: list[tuple[Bundle, str]] = []
    seen: set[tuple[str, str]] = set()
    for bundle in batch:
        for row_type, table in tables[bundle.bundle_id]:
            if (key := _KEYS.get(row_type)) is None:
                continue
            ids = table[key].to_pylist()
            there = connection.execute(
                f"select {key} from {row_type.table} where list_contains($ids, {key}) limit 1", {"ids": ids}
            ).fetchone()
            again = [i for i in ids if (key, i) in seen] + ([there[0]] if there else [])
            if again or len(set(ids)) != len(ids):
                found.append((bundle, f"the books have {key} {(again or ids)[0]} already, from another bundle"))
                break
            seen |= {(key, i) for i in ids}
    return found


def _alone(bundle: Bundle, tables: dict[str, list[tuple[type[Row], pa.Table]]]) -> str | None:
    """Why an empty database does not take a bundle; None where it does.

    Raises:
        duckdb.Error: a fault of the machine, here too.
    """
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        migrate.migrate(connection)
        try:
            _insert(connection, [bundle], tables, "")
        except duckdb.Error as error:
            if not faults.is_of_data(error):
                raise
            return str(error).splitlines()[0]
    return None


def _insert(
    connection: duckdb.DuckDBPyConnection,
    batch: list[Bundle],
    tables: dict[str, list[tuple[type[Row], pa.Table]]],
    chain: str,
) -> str:
    """All bundles in one transaction, a table at a time; returns the chain with them."""
    if not batch:
        return chain
    connection.execute("begin")
    try:
        for row_type in ALL:
            parts = [t for b in batch for kind, t in tables[b.bundle_id] if kind is row_type and t.num_rows]
            if not parts:
                continue
            connection.register("incoming", pa.concat_tables(parts))
            source = "select * from incoming"
            if key := DICTIONARIES.get(row_type):
                source = (
                    f"select distinct on ({key}) * from ({source}) as new "
                    f"where not exists (select 1 from {row_type.table} as old where old.{key} = new.{key})"
                )
            connection.execute(f"insert into {row_type.table} by name {source}")
            connection.unregister("incoming")
        stamp = now()
        (position,) = connection.execute("select coalesce(max(position), count(*)) from bundle").fetchone() or (0,)
        for b in batch:
            position, chain = position + 1, roll.chained(chain, b.bundle_id, b.manifest_sha256)
            values = [b.bundle_id, b.run_id, b.host, b.written_at, b.schema_version, sum(b.files.values()), stamp]
            connection.execute("insert into bundle values (?, ?, ?, ?, ?, ?, ?, ?, ?)", [*values, position, chain])
        _roll_up(connection, {bundle.run_id for bundle in batch})
        connection.execute("commit")
    except BaseException:
        with suppress(duckdb.Error):  # a database that has failed cannot be rolled back; its file is as it was
            connection.execute("rollback")
        raise
    return chain


def _roll_up(connection: duckdb.DuckDBPyConnection, run_ids: Iterable[str]) -> None:
    connection.execute(
        "create or replace temp table touched_run as select unnest($runs) as run_id", {"runs": [*run_ids]}
    )
    connection.execute((resources.files("assay.schema.store") / "rollups.sql").read_text())


def _sweep(store: Store) -> None:
    """Remove what killed writers left half-written; a young one may still be at work.

    Age is told by the file system's own clock: that of this host, or of a writer's, may be a year off.
    """
    half_written = [*store.waiting.glob(".*.tmp")]
    if not half_written:
        return
    with tempfile.NamedTemporaryFile(dir=store.waiting, prefix=".clock-") as clock:
        present = Path(clock.name).stat().st_mtime
    for folder in half_written:
        with suppress(OSError):
            if present - max(entry.stat().st_mtime for entry in (folder, *folder.iterdir())) > _STALE_TEMPORARY_S:
                shutil.rmtree(folder, ignore_errors=True)
