"""A publication writes what changed; who reads a copy keeps it, whole."""

from __future__ import annotations

import fcntl
import os
import signal
from pathlib import Path

import pytest

from assay.schema import rows
from assay.schema.store import ingest, patch, publish, spool
from assay.schema.store.database import Store, reading, snapshot, unread
from tests.examples import a_row, a_run
from tests.killed import killed_at


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "assay.duckdb")


def published(store: Store, name: str) -> Path:
    """The copy after one run more."""
    figures = [a_row(rows.Measurement, run_id=name, case_id=name, series_id=str(i)) for i in range(50)]
    spool.write_bundle(store, name, [a_run(name), *figures])
    copy = ingest.sync(store).snapshot
    assert copy is not None
    return copy


def runs(path: Path) -> int:
    with reading(path) as connection:
        (count,) = connection.execute("select count(*) from run").fetchone()
    return count


def test_the_oldest_copy_becomes_the_newest_and_is_the_database_byte_for_byte(store: Store):
    first, *_ = [published(store, name) for name in "abc"]
    inode = first.stat().st_ino
    newest = published(store, "d")
    assert newest.stat().st_ino == inode
    assert newest.read_bytes() == store.database.read_bytes()
    assert (runs(newest), first.exists()) == (4, False)


def test_blocks_that_are_the_same_are_not_written(store: Store):
    copy = published(store, "a")
    assert patch.patch(store.database, copy) == patch.BLOCKS_AT


def test_a_copy_that_is_being_read_is_left_alone(store: Store):
    first = published(store, "a")
    with reading(first) as connection:
        for name in "bcde":
            published(store, name)
        assert connection.execute("select count(*) from run").fetchone() == (1,)
    assert runs(snapshot(store)) == 5


def test_a_copy_is_not_taken_while_another_has_it_open_and_is_when_nobody_has(store: Store):
    copy = published(store, "a")
    with reading(copy), unread(copy) as free:
        assert not free
    with unread(copy) as free:
        assert free
        descriptor = os.open(copy, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        os.close(descriptor)


def test_who_asks_for_a_copy_that_is_no_more_gets_the_newest(store: Store):
    first = published(store, "a")
    for name in "bcde":
        published(store, name)
    assert not first.exists()
    assert runs(first) == 5


def test_what_a_killed_publication_left_in_half_is_never_used(store: Store):
    for name in "abc":
        published(store, name)
    half = store.serve / f"{publish._HIDDEN}store-000004.duckdb"
    half.write_bytes(b"half")
    assert runs(published(store, "d")) == 4
    assert not half.exists()


DIES = """
from assay.schema.store import ingest
from assay.schema.store.database import Store
steps((os, "pwrite"))
ingest.sync(Store(Path(sys.argv[2])))
"""


@pytest.mark.parametrize("at", [1, 2, 5])
def test_a_publication_that_is_killed_between_two_blocks_leaves_every_copy_readable(store: Store, at: int):
    for name in "abc":
        published(store, name)
    spool.write_bundle(store, "d", [a_run("d")])
    done = killed_at(at, DIES, store.database)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert runs(snapshot(store)) == 3
    assert runs(ingest.sync(store).snapshot) == 4
    assert [path for path in store.serve.iterdir() if path.name.startswith(publish._HIDDEN)] == []


def test_a_file_of_another_layout_is_no_candidate(tmp_path: Path, store: Store):
    copy = published(store, "a")
    other = tmp_path / "other"
    other.write_bytes(b"x" * 20_000)
    assert patch.block_size(copy) == 262_144
    assert patch.block_size(other) is None
    with pytest.raises(ValueError, match="not one layout"):
        patch.patch(copy, other)
