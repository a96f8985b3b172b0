"""The books: what is written is kept, once, whatever happens to the writer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import duckdb
import pytest
import zstandard

from assay.schema import rows
from assay.schema.errors import StoreBusy, StoreError, StoreFull, StoreTooNew
from assay.schema.queries import base
from assay.schema.queries import runs as run_queries
from assay.schema.store import bundle, columns, ingest, migrate, publish, spool
from assay.schema.store.database import Store, exclusive, reading, snapshot, writing
from assay.schema.store.rebuild import rebuild
from tests.disks import mounted
from tests.examples import a_row, a_run, an_environment
from tests.places import GOLDEN, ROOT


def count(store: Store, table: str) -> int:
    published = snapshot(store)
    assert published
    with reading(published) as connection:
        return connection.execute(f"select count(*) from {table}").fetchone()[0]


def test_each_row_type_matches_its_table_and_its_parquet_file():
    connection = duckdb.connect()
    migrate.migrate(connection)
    kinds = {
        "string": "VARCHAR",
        "int64": "BIGINT",
        "double": "DOUBLE",
        "bool": "BOOLEAN",
        "timestamp[us]": "TIMESTAMP",
    }
    for row_type in rows.ALL:
        there = dict(
            connection.execute(
                f"select column_name, data_type from duckdb_columns() where table_name = '{row_type.table}' order by"
                " column_index"
            ).fetchall()
        )
        assert [f.name for f in fields(row_type)] == [*there]
        for field in columns.arrow_schema(row_type):
            listed = hasattr(field.type, "value_type")
            wanted = kinds[str(field.type.value_type if listed else field.type)] + ("[]" if listed else "")
            assert there[field.name] == wanted


def test_migrations_are_applied_once_and_recorded():
    connection = duckdb.connect()
    files = sorted((Path(migrate.__file__).parent / "migrations").glob("*.sql"))
    numbers = [*range(1, len(files) + 1)]
    assert [m.version for m in migrate.migrate(connection)] == numbers
    assert migrate.migrate(connection) == []
    assert set(migrate.applied(connection)) == set(numbers)


def test_a_migration_that_fails_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch):
    connection = duckdb.connect()
    shipped = migrate.known()
    following = migrate.Migration(shipped[-1].version + 1, "broken", "create table half (x int); select nonsense")
    broken = [*shipped, following]
    monkeypatch.setattr(migrate, "known", lambda: broken)
    with pytest.raises(duckdb.Error):
        migrate.migrate(connection)
    assert set(migrate.applied(connection)) == {migration.version for migration in shipped}
    assert not connection.execute("select * from duckdb_tables() where table_name = 'half'").fetchall()


def test_a_database_newer_than_the_code_is_refused_and_not_touched(store: Store):
    ingest.sync(store)
    with writing(store) as connection:
        connection.execute("insert into schema_migration values (99, 'future', 'x', now()::timestamp)")
    before = store.database.read_bytes()
    spool.write_bundle(store, "r", [a_run("r")])
    with pytest.raises(StoreTooNew, match="schema version 99"):
        ingest.sync(store)
    assert store.database.read_bytes() == before
    assert len([*store.waiting.iterdir()]) == 1


def test_a_file_that_is_no_database_of_ours_is_refused(store: Store, tmp_path: Path):
    store.database.parent.mkdir(parents=True)
    store.database.write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreError, match="cannot be opened"):
        ingest.sync(store)
    other = Store(tmp_path / "other.duckdb")
    with writing(other) as connection:
        connection.execute("create table somebody_elses (x int)")
    with pytest.raises(StoreError, match="not an Assay database"):
        ingest.sync(other)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("store-schema-*.duckdb.zst")), ids=lambda p: p.name)
def test_a_database_of_every_released_schema_still_opens_and_migrates(path: Path, store: Store):
    store.database.parent.mkdir(parents=True)
    store.database.write_bytes(zstandard.ZstdDecompressor().decompress(path.read_bytes()))
    ingest.sync(store)
    assert count(store, "run") == 2
    with reading(snapshot(store)) as connection:
        assert len(run_queries.runs(connection, base.Filters())) == 2


def test_a_bundle_delivered_twice_is_ingested_once(store: Store):
    written = spool.write_bundle(store, "r", [a_run("r"), an_environment()])
    assert ingest.sync(store).ingested == [written]
    (store.ingested / written).rename(store.waiting / written)
    assert ingest.sync(store).already_there == [written]
    assert count(store, "run") == 1


def test_dictionary_rows_are_kept_once_however_often_they_come(store: Store):
    for number in range(3):
        spool.write_bundle(store, f"r{number}", [a_run(f"r{number}"), an_environment(), an_environment()])
    ingest.sync(store)
    spool.write_bundle(store, "r", [an_environment()])
    ingest.sync(store)
    assert (count(store, "environment"), count(store, "run")) == (1, 3)


@pytest.mark.parametrize("damage", ["truncate", "manifest", "missing", "newer", "unknown table"])
def test_a_bad_bundle_is_put_aside_with_its_reason_and_the_rest_go_on(store: Store, damage: str):
    bad = spool.write_bundle(store, "bad", [a_run("bad")])
    good = spool.write_bundle(store, "good", [a_run("good")])
    folder = store.waiting / bad
    manifest = json.loads((folder / "manifest.json").read_text())
    if damage == "truncate":
        (folder / "run.parquet").write_bytes((folder / "run.parquet").read_bytes()[:-40])
    elif damage == "missing":
        (folder / "run.parquet").unlink()
    elif damage == "manifest":
        (folder / "manifest.json").write_text('{"bundle_id": ')
    elif damage == "newer":
        (folder / "manifest.json").write_text(json.dumps({**manifest, "schema_version": 99}))
    else:
        (folder / "manifest.json").write_text(
            json.dumps({**manifest, "files": {"secrets.parquet": {"sha256": "", "rows": 1}}})
        )
    done = ingest.sync(store)
    assert done.ingested == [good]
    assert set(done.rejected) == {bad}
    assert (store.rejected / bad).is_dir()
    assert (count(store, "run"), count(store, "rejected_bundle")) == (1, 1)


def test_a_bundle_that_the_database_refuses_does_not_stop_the_others(store: Store):
    import hashlib

    import pyarrow as pa
    import pyarrow.parquet as pq

    bad = spool.write_bundle(store, "bad", [a_run("bad")])
    file = store.waiting / bad / "run.parquet"
    pq.write_table(pa.table({"run_id": ["bad"], "suite": [None]}), file)  # not null columns are missing
    path = store.waiting / bad / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"]["run.parquet"]["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    path.write_text(json.dumps(manifest))
    good = spool.write_bundle(store, "good", [a_run("good")])
    done = ingest.sync(store)
    assert (done.ingested, [*done.rejected]) == ([good], [bad])
    assert count(store, "run") == 1


def test_the_database_can_be_rebuilt_from_the_log(store: Store):
    for number in range(4):
        spool.write_bundle(store, f"r{number}", [a_run(f"r{number}")])
    ingest.sync(store)
    store.database.unlink()
    assert len(rebuild(store).ingested) == 4
    assert count(store, "run") == 4


def test_readers_keep_their_snapshot_while_a_new_one_is_published(store: Store):
    spool.write_bundle(store, "r0", [a_run("r0")])
    ingest.sync(store)
    with reading(snapshot(store)) as connection:
        for number in range(1, 6):
            spool.write_bundle(store, f"r{number}", [a_run(f"r{number}")])
            ingest.sync(store)
        assert connection.execute("select count(*) from run").fetchone() == (1,)
    assert count(store, "run") == 6
    assert len([*store.serve.glob("store-*.duckdb")]) == publish.KEPT_SNAPSHOTS


def test_an_ingester_that_died_before_publishing_is_made_up_for(store: Store, monkeypatch: pytest.MonkeyPatch):
    ingest.sync(store)
    spool.write_bundle(store, "r", [a_run("r")])
    with monkeypatch.context() as patch:
        patch.setattr(ingest, "publish", lambda _: None)
        ingest.sync(store)
    assert count(store, "run") == 0
    ingest.sync(store)
    assert count(store, "run") == 1
    before = snapshot(store)
    ingest.sync(store)
    assert snapshot(store) == before, "nothing new, nothing copied"


def test_a_store_locked_by_another_ingester_names_it_and_keeps_the_bundle(store: Store):
    spool.write_bundle(store, "r", [a_run("r")])
    with exclusive(store, 0), pytest.raises(StoreBusy, match=f"being written by process {os.getpid()}"):
        ingest.sync(store, wait_s=0.1)
    assert ingest.sync(store).ingested


def test_a_database_held_by_another_program_is_named_and_nothing_is_lost(store: Store):
    ingest.sync(store)
    spool.write_bundle(store, "r", [a_run("r")])
    code = (
        f"import duckdb, time; c = duckdb.connect({str(store.database)!r}); print('open', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        with pytest.raises(StoreBusy, match=f"held open by process {holder.pid}"):
            ingest.sync(store)
        holder.kill()
    assert len(ingest.sync(store).ingested) == 1


WRITER = """
import sys
from pathlib import Path
from assay.schema import rows
from assay.schema.store import ingest, spool
from assay.schema.store.database import Store
from tests.examples import a_row, a_run
store = Store(Path(sys.argv[1]))
for number in range(8):
    run = f"{sys.argv[2]}-{number}"
    measured = [a_row(rows.Measurement, run_id=run, case_id=run, series_id=str(i)) for i in range(20)]
    spool.write_bundle(store, run, [a_run(run), *measured])
    ingest.sync(store, 60)
"""


def test_writers_at_once_lose_nothing_and_leave_nothing_partial(store: Store):
    commands = [[sys.executable, "-c", WRITER, str(store.database), str(number)] for number in range(4)]
    writers = [subprocess.Popen(command, cwd=ROOT) for command in commands]
    assert [writer.wait(120) for writer in writers] == [0] * 4
    assert (count(store, "run"), count(store, "measurement"), count(store, "bundle")) == (32, 640, 32)


RESTLESS_WRITER = """
import sys
from pathlib import Path
from assay.schema import rows
from assay.schema.store import ingest, spool
from assay.schema.store.database import Store
from tests.examples import a_row, a_run
store = Store(Path(sys.argv[1]))
print("ready", flush=True)
for n in range(10**6):
    run = f"{sys.argv[2]}-{n}"
    measured = [a_row(rows.Measurement, run_id=run, case_id=run, series_id=str(i)) for i in range(50)]
    spool.write_bundle(store, run, [a_run(run), *measured])
    print(run, flush=True)
    if n % 3 == 2:
        ingest.sync(store, 60)
"""


@pytest.mark.slow
def test_killing_writers_at_any_moment_loses_no_acknowledged_bundle_and_leaves_none_in_half(store: Store):
    acknowledged: set[str] = set()
    for kill in range(12):
        command = [sys.executable, "-c", RESTLESS_WRITER, str(store.database), str(kill)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as writer:
            assert writer.stdout.readline() == "ready\n"
            lines = [writer.stdout.readline() for _ in range(kill % 4 + 1)]  # so that each has written, however slow
            time.sleep(0.004 * kill)  # another moment of a write each time; nothing depends on how long it is
            writer.send_signal(signal.SIGKILL)
            lines += writer.stdout.read().splitlines(keepends=True)
            acknowledged |= {line.strip() for line in lines if line.endswith("\n")}
    ingest.sync(store, 60)
    assert len(acknowledged) >= 30
    with reading(snapshot(store)) as connection:
        kept = dict(
            connection.execute(
                "select run_id, count(m.metric) from run left join measurement m using (run_id) group by 1"
            ).fetchall()
        )
    assert acknowledged <= kept.keys()
    assert set(kept.values()) == {50}


@pytest.fixture
def tiny_disk(tmp_path: Path):
    """A file system of 400 KiB."""
    with mounted(tmp_path / "tiny", "400k") as folder:
        yield folder


def test_a_full_disk_stops_the_append_and_keeps_what_was_recorded(tiny_disk: Path):
    store = Store(tiny_disk / "assay.duckdb")
    written = []
    with pytest.raises(StoreFull, match="Everything recorded before is intact"):
        for number in range(500):
            samples = [float(hash((number, i)) % 10**6) for i in range(2000)]
            row = a_row(rows.Measurement, run_id=str(number), samples=samples)
            written.append(spool.write_bundle(store, str(number), [a_run(str(number)), row]))
    assert written
    assert sorted(p.name for p in store.waiting.iterdir()) == written, "no half-written bundle is left"
    for name in written:
        assert bundle.read_manifest(store.waiting / name).files == {"run": 1, "measurement": 1}
    with pytest.raises(StoreFull, match="The bundles are safe"):
        ingest.sync(store)
    assert sorted(p.name for p in store.waiting.iterdir()) == written
