"""A fault of the machine is not the bundle's: nothing is put aside, what waits stays, and the next sync takes it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import pytest

from assay.schema import rows
from assay.schema.errors import StoreDamaged, StoreError, StoreFull
from assay.schema.store import ingest, publish, roll, spool
from assay.schema.store.database import Store, reading, snapshot, writing
from assay.schema.store.rebuild import kept, rebuild
from assay.schema.store.requeue import requeue
from assay.schema.store.verify import verify
from tests.disks import mounted
from tests.examples import a_row, a_run
from tests.killed import killed_at


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "assay.duckdb")


def record(store: Store, *names: str, measured: int = 3) -> list[str]:
    made = []
    for name in names:
        figures = [a_row(rows.Measurement, run_id=name, case_id=name, series_id=str(i)) for i in range(measured)]
        made.append(spool.write_bundle(store, name, [a_run(name), *figures]))
    return made


def runs(store: Store) -> set[str]:
    with reading(snapshot(store)) as connection:
        return {name for (name,) in connection.execute("select run_id from run").fetchall()}


FAULTS: dict[str, tuple[Exception, type[StoreError], str]] = {
    "a full disk": (duckdb.IOException("Could not write file: No space left on device"), StoreFull, "Free some space"),
    "too little memory": (duckdb.OutOfMemoryException("failed to allocate 1 MB"), StoreError, "memory"),
    "too many open files": (OSError(errno.EMFILE, "Too many open files"), StoreError, "Too many open files"),
    "a broken device": (OSError(errno.EIO, "Input/output error"), StoreError, "Input/output error"),
    "a corrupt block": (duckdb.IOException("Corrupt database file: checksum differs"), StoreDamaged, "--rebuild"),
    "an invalidated database": (duckdb.FatalException("database has been invalidated"), StoreDamaged, "--rebuild"),
}


@pytest.mark.parametrize(("fault", "kind", "words"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_of_the_machine_puts_no_bundle_aside(
    store: Store, monkeypatch: pytest.MonkeyPatch, fault: Exception, kind: type[StoreError], words: str
):
    made = record(store, "a", "b", "c")

    def broken(*_: Any) -> Any:
        raise fault

    with monkeypatch.context() as patch:
        patch.setattr(ingest, "_insert", broken)
        with pytest.raises(kind, match=words):
            ingest.sync(store)
    assert sorted(p.name for p in store.waiting.iterdir()) == sorted(made)
    assert [*store.rejected.iterdir()] == []
    assert sorted(ingest.sync(store).ingested) == sorted(made)
    assert runs(store) == {"a", "b", "c"}


@pytest.fixture
def disk(tmp_path: Path):
    """A file system of 64 MiB, and how to leave so many bytes of it."""
    with mounted(tmp_path / "disk", "64m") as folder:

        def leave(size: int) -> None:
            state = os.statvfs(folder)
            (folder / "filler").write_bytes(b"x" * max(state.f_bavail * state.f_frsize - size, 0))

        yield folder, leave


@pytest.mark.parametrize("kib", [0, 64, 300, 800, 1500, 3000, 5000, 7000, 9000, 12000])
def test_a_disk_that_is_full_at_any_level_costs_no_acknowledged_bundle(
    disk: tuple[Path, Callable[[int], None]], kib: int
):
    folder, leave = disk
    store = Store(folder / "books" / "assay.duckdb")
    first = record(store, "a", "b", measured=200)
    ingest.sync(store)
    made = first + record(store, *(f"r{number}" for number in range(20)), measured=200)
    leave(kib << 10)
    with suppress(StoreError):
        ingest.sync(store)
    (folder / "filler").unlink()
    ingest.sync(store)
    assert ingest.names(store.rejected) == set()
    with reading(snapshot(store)) as connection:
        there = [name for (name,) in connection.execute("select bundle_id from bundle").fetchall()]
    assert sorted(there) == sorted(made)


def test_a_deleted_database_is_made_anew_from_the_log_by_the_next_sync(store: Store):
    made = record(store, "a", "b")
    ingest.sync(store)
    store.database.unlink()
    record(store, "c")
    done = ingest.sync(store)
    assert sorted(done.recovered) == sorted(made)
    assert runs(store) == {"a", "b", "c"}


def test_an_older_copy_put_back_is_brought_up_from_the_log(store: Store):
    record(store, "a")
    ingest.sync(store)
    older = store.database.read_bytes()
    (newer,) = record(store, "b")
    ingest.sync(store)
    store.database.write_bytes(older)
    done = ingest.sync(store)
    assert (done.recovered, done.lost, runs(store)) == ([newer], [], {"a", "b"})


def test_what_is_neither_in_the_database_nor_in_the_log_is_said_every_time(store: Store):
    record(store, "a")
    ingest.sync(store)
    older = store.database.read_bytes()
    (newer,) = record(store, "b")
    ingest.sync(store)
    store.database.write_bytes(older)
    (store.ingested / newer).rename(store.spool / "elsewhere")
    assert ingest.sync(store).lost == [newer]
    record(store, "c")
    assert ingest.sync(store).lost == [newer]
    (store.spool / "elsewhere").rename(store.waiting / newer)
    assert ingest.sync(store).lost == []


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\0", b"store-000001.duckdb", b"../../etc/passwd\n1-1\n"])
def test_a_pointer_that_is_cut_or_not_text_is_mended(store: Store, content: bytes):
    record(store, "a")
    ingest.sync(store)
    (store.serve / "CURRENT").write_bytes(content)
    assert runs(store) == {"a"}, "readers take the newest copy"
    ingest.sync(store)
    assert (store.serve / "CURRENT").read_bytes() != content
    assert runs(store) == {"a"}


def test_a_published_copy_that_was_cut_is_published_anew(store: Store):
    record(store, "a")
    copy = ingest.sync(store).snapshot
    copy.write_bytes(copy.read_bytes()[:20_000])
    with pytest.raises(StoreError):
        runs(store)
    assert ingest.sync(store).snapshot != copy
    assert runs(store) == {"a"}


def test_nobody_is_pointed_at_a_copy_that_does_not_open(store: Store, monkeypatch: pytest.MonkeyPatch):
    record(store, "a")
    before = ingest.sync(store).snapshot
    record(store, "b")
    with monkeypatch.context() as patch:
        patch.setattr(publish.shutil, "copyfile", lambda _, target: target.write_bytes(b"cut"))
        with pytest.raises(StoreDamaged, match="stays published"):
            ingest.sync(store)
    assert snapshot(store) == before
    ingest.sync(store)
    assert runs(store) == {"a", "b"}


KILLED = """
from assay.schema.store import files, ingest, publish, rebuild, roll
from assay.schema.store.database import Store
steps((Path, "rename"), (Path, "replace"), (Path, "unlink"), (os, "link"), (files, "flush"), (roll, "write"),
      (roll, "append"), (ingest, "_insert"), (publish, "publish"), (ingest, "publish"), (rebuild, "_swap"))
(rebuild.rebuild if sys.argv[3] == "rebuild" else ingest.sync)(Store(Path(sys.argv[2])))
"""


@pytest.mark.slow
@pytest.mark.parametrize("what", ["sync", "rebuild"])
def test_killed_at_any_step_the_next_sync_has_every_bundle(tmp_path: Path, what: str):
    for at in range(1, 60):
        store = Store(tmp_path / f"{what}-{at}" / "assay.duckdb")
        made = record(store, "a", "b")
        ingest.sync(store)
        if what == "sync":
            made += record(store, "c")
        done = killed_at(at, KILLED, store.database, what)
        ingest.sync(store)
        assert len(runs(store)) == len(made), f"killed at step {at}"
        assert verify(store).faults == []
        if done.returncode == 0:  # it did fewer steps than this
            assert at > 5
            return
        assert done.returncode == -9, done.stderr.decode()
    pytest.fail("the steps did not end")


def test_a_second_rebuild_keeps_the_first_ones_old_file(store: Store):
    record(store, "a", "b")
    ingest.sync(store)
    (victim, _) = sorted(store.ingested.iterdir())
    file = victim / "run.parquet"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert [*rebuild(store).rejected] == [victim.name]
    assert len(runs(store)) == 1
    rebuild(store)
    first, second = kept(store)
    with reading(first) as connection:
        assert connection.execute("select count(*) from run").fetchone() == (2,)
    assert second != first


def test_a_rebuild_that_would_lose_what_the_log_lacks_is_refused(store: Store):
    made = record(store, "a", "b")
    ingest.sync(store)
    (store.ingested / made[0]).rename(store.spool / "elsewhere")
    with pytest.raises(StoreError, match="has 1 bundles that its log"):
        rebuild(store)
    assert runs(store) == {"a", "b"}


def test_verifying_names_the_bundle_that_changed_and_the_table_that_lacks_rows(store: Store):
    made = record(store, "a", "b")
    ingest.sync(store)
    assert (verify(store).bundles, verify(store).faults) == (2, [])
    with writing(store) as connection:
        connection.execute("delete from measurement where run_id = 'b'")
    assert verify(store).faults == ["table measurement has 3 rows, the sound bundles of the log 6"]
    (store.ingested / made[0] / "run.parquet").write_bytes(b"rotten")
    assert any(made[0] in fault and "SHA-256" in fault for fault in verify(store).faults)


def test_bundles_that_were_put_aside_can_be_tried_again(store: Store):
    (name,) = record(store, "a")
    ingest.sync(store)
    (other,) = record(store, "b")
    (store.waiting / other).rename(store.rejected / other)  # as a full disk did in release 0.5.0
    assert ingest.sync(store).put_aside == 1
    with pytest.raises(StoreError, match="no bundle 'nobody'"):
        requeue(store, ["nobody"])
    done = requeue(store)
    assert (done.ingested, done.put_aside, runs(store)) == ([other], 0, {"a", "b"})
    assert name


def test_the_roll_names_what_was_ever_ingested_and_chains_it(store: Store):
    made = record(store, "a", "b")
    ingest.sync(store)
    made += record(store, "c")
    ingest.sync(store)
    called = roll.read(store)
    assert [*called] == made
    assert len(set(called.values())) == 3
    store.roll.write_bytes(b"\0\xff\n" + b"x" * 5000)
    assert roll.read(store) == {}
    ingest.sync(store)
    assert roll.read(store) == called


def test_a_half_written_bundle_is_swept_by_the_file_systems_own_clock(store: Store):
    store.waiting.mkdir(parents=True)
    young, old = store.waiting / ".young.tmp", store.waiting / ".old.tmp"
    for folder in (young, old):
        folder.mkdir()
    os.utime(old, (1, 1))
    ingest.sync(store)
    assert (young.exists(), old.exists()) == (True, False)


def test_a_file_system_without_locks_is_named(store: Store, monkeypatch: pytest.MonkeyPatch):
    record(store, "a")

    def no_locks(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    with monkeypatch.context() as patch:
        patch.setattr("fcntl.flock", no_locks)
        with pytest.raises(StoreError, match="has no locks"):
            ingest.sync(store)
    assert ingest.sync(store).ingested


def test_where_nothing_can_be_written_beside_the_books_it_is_said(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="can still be read"):
        ingest.sync(Store(tmp_path / "file" / "assay.duckdb"))
