"""What lies in `waiting/` is read as a stranger's: it is taken for what its bytes prove, and stops nobody else."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.schema import rows
from assay.schema.errors import BadBundle, StoreError, UnreadableBundle
from assay.schema.store import ingest, spool
from assay.schema.store.bundle import manifest_hash, read_manifest
from assay.schema.store.columns import arrow_schema
from assay.schema.store.database import Store, reading, snapshot
from tests.examples import a_row, a_run


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "assay.duckdb")


def runs(store: Store) -> int:
    with reading(snapshot(store)) as connection:
        return connection.execute("select count(*) from run").fetchone()[0]


def manifest(**changes: Any) -> dict[str, Any]:
    """One of release 0.5.0, which held no hash of itself."""
    return {
        "bundle_id": "bad", "run_id": "r", "host": "h", "written_at": "2026-01-01T00:00:00", "schema_version": 7, "files": {}, **changes,
    }  # fmt: skip


def with_manifest(store: Store, content: bytes | dict[str, Any], name: str = "bad") -> Path:
    folder = store.waiting / name
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return folder


def deliver(store: Store, table: pa.Table, *, name: str = "r9", kind: str = "run", **changes: Any) -> Path:
    """A bundle as release 0.5.0 would have written it, its hash right, whatever is in it."""
    folder = store.waiting / name
    folder.mkdir(parents=True)
    pq.write_table(table, folder / f"{kind}.parquet")
    digest = hashlib.sha256((folder / f"{kind}.parquet").read_bytes()).hexdigest()
    entry = {"sha256": digest, "rows": changes.pop("claimed", table.num_rows)}
    files = {f"{kind}.parquet": entry, **changes.pop("more", {})}
    (folder / "manifest.json").write_text(json.dumps(manifest(bundle_id=name, run_id="r9", files=files) | changes))
    return folder


def run_table(**changes: Any) -> pa.Table:
    row = a_run("r9")
    values = {name: getattr(row, name) for name in arrow_schema(rows.Run).names} | changes
    return pa.Table.from_pylist([values], schema=arrow_schema(rows.Run))


HOSTILE = {
    "two hundred thousand brackets": b"[" * 200_000,
    "an infinite version": json.dumps(manifest()).replace(": 7", ": Infinity").encode(),
    "a version of 5,000 digits": json.dumps(manifest()).replace(": 7", ": " + "9" * 5000).encode(),
    "infinitely many rows": b'{"bundle_id":"bad","run_id":"r","host":"h","written_at":"2026-01-01","schema_version":7,'
    b'"files":{"run.parquet":{"sha256":"x","rows":Infinity}}}',
    "a list": b"[]",
    "null": b"null",
    "zero bytes": b"\0" * 100,
    "not UTF-8": b"\xff\xfe{}",
    "a moment with a zone": manifest(written_at="2026-01-01T00:00:00+02:00"),
    "files that are a string": manifest(files="x"),
    "a file outside": manifest(files={"../../x.parquet": {"sha256": "0" * 64, "rows": 1}}),
    "an id that is a list": manifest(bundle_id=[1, 2]),
    "another bundle's id": manifest(bundle_id="other"),
    "a key that nobody writes": manifest(surprise=1),
    "two megabytes": b" " * (2 << 20),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_manifest_that_is_none_is_put_aside_and_the_rest_go_on(store: Store, content: bytes | dict[str, Any]):
    spool.write_bundle(store, "good", [a_run("good")])
    with_manifest(store, content)
    done = ingest.sync(store)
    assert ([*done.rejected], runs(store)) == (["bad"], 1)


def test_what_is_no_folder_of_plain_files_is_put_aside_and_never_waited_for(store: Store):
    spool.write_bundle(store, "good", [a_run("good")])
    (store.waiting / "file").write_text("hello")
    (store.waiting / "link").symlink_to("/nowhere")
    (store.waiting / "empty").mkdir()
    (store.waiting / "new\nline").mkdir()
    (store.waiting / os.fsdecode(b"bytes\xff\xfe")).mkdir()
    (store.waiting / "pipe").mkdir()
    os.mkfifo(store.waiting / "pipe" / "manifest.json")
    (store.waiting / "folder").mkdir()
    (store.waiting / "folder" / "manifest.json").mkdir()
    (store.waiting / "linked").mkdir()
    (store.waiting / "linked" / "manifest.json").symlink_to("/etc/hostname")
    done = ingest.sync(store)
    assert len(done.rejected) == 8
    assert "bytes\\xff\\xfe" in done.rejected
    assert runs(store) == 1
    assert [*store.waiting.iterdir()] == []


def test_a_bundle_with_a_file_that_it_does_not_list_is_put_aside(store: Store):
    (deliver(store, run_table()) / "suite.py").write_text("print('run me')")
    assert "does not list" in ingest.sync(store).rejected["r9"]


WRONG: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "rows that are not there": ({}, {"claimed": 999}, "has 1 rows, its manifest says 999"),
    "another run": ({"run_id": "other"}, {}, "of another run"),
    "an empty cell": ({"suite": None}, {}, "without 'suite'"),
}


@pytest.mark.parametrize(("row", "changes", "words"), WRONG.values(), ids=WRONG.keys())
def test_rows_that_their_manifest_belies_are_put_aside(
    store: Store, row: dict[str, Any], changes: dict[str, Any], words: str
):
    deliver(store, run_table(**row), **changes)
    assert words in ingest.sync(store).rejected["r9"]


def test_a_column_of_another_type_is_put_aside_where_it_cannot_be_read_as_its_own(store: Store):
    table = run_table()
    deliver(store, table.set_column(table.column_names.index("seed"), "seed", pa.array(["many"])))
    assert "holds what its columns do not" in ingest.sync(store).rejected["r9"]


def test_a_run_that_the_books_have_is_not_taken_from_a_second_bundle(store: Store):
    deliver(store, run_table(), name="one")
    deliver(store, run_table(suite="other"), name="two")
    done = ingest.sync(store)
    assert (done.ingested, [*done.rejected], runs(store)) == (["one"], ["two"], 1)
    deliver(store, run_table(suite="third"), name="three")
    assert "already" in ingest.sync(store).rejected["three"]


def test_a_bundle_of_the_same_name_and_other_content_does_not_take_the_first_ones_place(store: Store):
    first = deliver(store, run_table())
    before = (first / "manifest.json").read_bytes()
    ingest.sync(store)
    deliver(store, run_table(suite="other"))
    assert "another bundle of this id" in ingest.sync(store).rejected["r9"]
    assert (store.ingested / "r9" / "manifest.json").read_bytes() == before


@given(bit=st.integers(0, 10_000))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_manifest_with_any_bit_flipped_is_not_believed(tmp_path: Path, bit: int):
    store = Store(tmp_path / "assay.duckdb")
    if not store.waiting.exists():
        spool.write_bundle(store, "r", [a_run("r")])
    (folder,) = store.waiting.iterdir()
    whole = (folder / "manifest.json").read_bytes()
    flipped = bytearray(whole)
    flipped[bit // 8 % len(whole)] ^= 1 << bit % 8
    (folder / "manifest.json").write_bytes(flipped)
    try:
        if json.loads(flipped.decode("latin-1")) == json.loads(whole):
            return  # only a space of the layout
    except ValueError:
        pass
    try:
        with pytest.raises(BadBundle):
            read_manifest(folder)
    finally:
        (folder / "manifest.json").write_bytes(whole)


def test_the_hash_of_a_manifest_covers_everything_but_itself():
    assert manifest_hash({"a": 1, "b": 2}) == manifest_hash({"b": 2, "a": 1, "sha256": "x"})
    assert manifest_hash({"a": 1}) != manifest_hash({"a": 2})


def test_a_bundle_that_cannot_be_read_now_stays_and_the_rest_go_on(store: Store, monkeypatch: pytest.MonkeyPatch):
    stuck = spool.write_bundle(store, "stuck", [a_run("stuck")])
    good = spool.write_bundle(store, "good", [a_run("good")])

    def read(folder: Path) -> Any:
        if folder.name == stuck:
            raise UnreadableBundle("Input/output error")
        return read_manifest(folder)

    with monkeypatch.context() as patch:
        patch.setattr(ingest, "read_manifest", read)
        done = ingest.sync(store)
    assert (done.ingested, done.left, done.rejected) == ([good], {stuck: "Input/output error"}, {})
    assert ingest.sync(store).ingested == [stuck]


@pytest.mark.parametrize("folder", ["host=gpu7", "run_id=zzz", "prod[1]", "a*b", "{x}", "it's; drop table run"])
def test_a_path_that_an_engine_could_read_something_into_is_a_path(tmp_path: Path, folder: str):
    store = Store(tmp_path / folder / "assay.duckdb")
    spool.write_bundle(store, "r", [a_run("r"), a_row(rows.Measurement, run_id="r", case_id="c", series_id="s")])
    assert ingest.sync(store).rejected == {}
    with reading(snapshot(store)) as connection:
        assert connection.execute("select run_id from run").fetchall() == [("r",)]


def test_a_path_that_duckdb_would_read_options_from_is_refused(tmp_path: Path):
    store = Store(tmp_path / "q?" / "assay.duckdb")
    spool.write_bundle(store, "r", [a_run("r")])
    with pytest.raises(StoreError, match="question mark"):
        ingest.sync(store)
