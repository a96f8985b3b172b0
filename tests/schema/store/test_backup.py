"""Books are copied whole, come back whole, and what was there before is kept."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from assay.schema.errors import StoreError
from assay.schema.store import backup, ingest, spool
from assay.schema.store.database import Store, reading, snapshot
from assay.schema.store.verify import verify
from tests.examples import a_run
from tests.killed import killed_at


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "books" / "assay.duckdb")


def record(store: Store, *names: str) -> None:
    for name in names:
        spool.write_bundle(store, name, [a_run(name)])
    ingest.sync(store)


def runs(store: Store) -> set[str]:
    published = snapshot(store)
    assert published is not None
    with reading(published) as connection:
        return {name for (name,) in connection.execute("select run_id from run").fetchall()}


def test_a_backup_holds_every_bundle_and_comes_back_on_another_host(store: Store, tmp_path: Path):
    record(store, "a", "b")
    spool.write_bundle(store, "waits", [a_run("waits")])
    (store.goldens / "kept").mkdir(parents=True)
    (store.goldens / "kept" / "index.json").write_text("{}")
    kept = backup.backup(store, tmp_path / "saved")
    assert (kept.bundles, kept.rows) == (2, 2)
    other = Store(tmp_path / "other" / "assay.duckdb")
    other.database.parent.mkdir()
    assert backup.restore(tmp_path / "saved", other).bundles == 2
    assert ingest.sync(other).ingested
    assert runs(other) == {"a", "b", "waits"}
    assert (other.goldens / "kept" / "index.json").read_text() == "{}"
    assert verify(other).faults == []


def test_a_place_that_is_taken_is_refused_unless_it_may_be_replaced_and_then_it_is_kept(store: Store, tmp_path: Path):
    record(store, "a")
    backup.backup(store, tmp_path / "saved")
    with pytest.raises(StoreError, match="name a new folder"):
        backup.backup(store, tmp_path / "saved")
    record(store, "newer")
    with pytest.raises(StoreError, match="--replace"):
        backup.restore(tmp_path / "saved", store)
    done = backup.restore(tmp_path / "saved", store, replace=True)
    ingest.sync(store)
    assert runs(store) == {"a"}
    assert [path.name for path in done.replaced] == ["assay.duckdb.before-restore", "assay.duckdb.spool.before-restore"]
    assert len([*(done.replaced[1] / "ingested").iterdir()]) == 2


def test_a_backup_that_was_damaged_is_refused_and_nothing_is_touched(store: Store, tmp_path: Path):
    record(store, "a")
    backup.backup(store, tmp_path / "saved")
    (bundle,) = (tmp_path / "saved" / "assay.duckdb.spool" / "ingested").iterdir()
    table = bundle / "run.parquet"
    table.write_bytes(table.read_bytes()[:-1] + b"?")
    with pytest.raises(StoreError, match="not sound"):
        backup.restore(tmp_path / "saved", store, replace=True)
    assert runs(store) == {"a"}
    with pytest.raises(StoreError, match="no backup"):
        backup.restore(tmp_path, store, replace=True)
    with pytest.raises(StoreError, match="no books"):
        backup.backup(Store(tmp_path / "none.duckdb"), tmp_path / "never")


KILLED = """
from assay.schema.store import backup
from assay.schema.store.database import Store
steps((os, "rename"), (Path, "rename"), (backup, "flush"))
store, saved = Store(Path(sys.argv[2])), Path(sys.argv[3])
backup.restore(saved, store, replace=True)
"""


def test_a_restoration_that_is_killed_anywhere_loses_nothing_and_is_made_good_by_the_same_command(
    store: Store, tmp_path: Path
):
    record(store, "a", "b")
    backup.backup(store, tmp_path / "saved")
    record(store, "later")
    at, ended = 1, 0
    while ended != 1:
        done = killed_at(at, KILLED, store.database, tmp_path / "saved")
        ended = 1 if done.returncode == 0 else 0
        assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
        logs = [folder for folder in tmp_path.rglob("ingested") if ".restoring" not in str(folder)]
        assert any("later" in _runs_of(folder) for folder in logs), at
        at += 9
    ingest.sync(store)
    assert runs(store) == {"a", "b"}
    assert verify(store).faults == []


def _runs_of(log: Path) -> set[str]:
    from assay.schema.store.bundle import read_manifest

    return {read_manifest(bundle).run_id for bundle in log.iterdir() if not bundle.name.startswith(".")}
