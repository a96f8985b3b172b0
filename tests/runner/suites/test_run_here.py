"""A suite that a row names is looked up by its name, in what this host ran; a path of a row is never opened."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from assay.runner.errors import UsageError
from assay.runner.suites.run_here import remember, suite_here
from assay.schema import rows
from assay.schema.store import ingest, spool
from assay.schema.store.database import Store
from tests.conftest import assay, fake_suite
from tests.examples import a_row, a_run, an_environment


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "assay.duckdb")


def test_the_newest_file_of_a_name_that_was_run_here_is_found(store: Store, tmp_path: Path):
    old, new = tmp_path / "old.toml", tmp_path / "new.toml"
    for path in (old, new):
        path.write_text("")
        remember(store, "mine", path)
    assert suite_here(store, "mine") == str(new)
    new.unlink()
    with pytest.raises(UsageError, match="its file is gone"):
        suite_here(store, "mine")


def test_suites_that_are_run_at_once_are_all_remembered(store: Store, tmp_path: Path):
    paths = {f"suite{number}": tmp_path / f"{number}.toml" for number in range(16)}
    for path in paths.values():
        path.write_text("")
    shared = tmp_path / "shared.toml"
    shared.write_text("")
    with ThreadPoolExecutor(16) as pool:
        told = [pool.submit(remember, store, name, path) for name, path in paths.items() for _ in range(4)]
        told += [pool.submit(remember, store, "shared", shared) for _ in range(64)]
        for one in told:
            one.result()
    assert {name: suite_here(store, name) for name in paths} == {name: str(path) for name, path in paths.items()}
    assert suite_here(store, "shared") == str(shared)
    assert not [*tmp_path.rglob("*.tmp")]


def test_a_suite_that_ships_needs_no_run(store: Store):
    assert suite_here(store, "quickstart") == "quickstart"


@pytest.mark.parametrize("content", [b"", b"suite.toml", b"/none/there.toml", b"/\x00", b"\xff", b"/" * (2 << 20)])
def test_an_entry_that_is_none_names_nothing(store: Store, tmp_path: Path, content: bytes):
    (tmp_path / "suite.toml").write_text("")
    remember(store, "mine", tmp_path / "suite.toml")
    (entry,) = store.database.with_name("assay.duckdb.suites").iterdir()
    entry.write_bytes(content)
    with pytest.raises(UsageError, match="not run on this host"):
        suite_here(store, "mine")


def test_a_run_of_a_suite_is_remembered(tmp_path: Path, store: Store):
    suite = fake_suite(tmp_path)
    assert assay("run", suite, db=store.database).code == 0
    assert suite_here(store, "fakes") == str(suite)


def test_explaining_a_case_of_another_host_does_not_run_what_its_row_names(tmp_path: Path, store: Store):
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'EXECUTED')!r}, 'w')\ndef contract(): ...\n")
    (tmp_path / "evil.toml").write_text(
        """
name = "theirs"
[model.m]
fake = { gain = 1.0 }
contract = "evil.py:contract"
[workload.w]
inputs = { x = { shape = [1] } }
[backend.b]
kind = "fake"
[[case]]
check = "parity"
models = ["m"]
backends = ["b"]
workloads = ["w"]
"""
    )
    name = "m/fp32/b/w/parity"
    told = a_row(
        rows.CaseResult, case_id="c", run_id="r", name=name, model="m", variant="fp32", backend="b", workload="w",
        check_kind="parity", mode="functional", status="ok", environment_id="e", model_version="artifact",
        reproduce=f"assay run {tmp_path}/evil.toml --only {name}",
    )  # fmt: skip
    receipts = [
        a_row(rows.Parity, case_id="c", run_id="r", output="x_out", step=step, mode="functional", max_abs=1.0)
        for step in (0, -1)
    ]
    run = a_run("r", command=f"assay run {tmp_path}/evil.toml")
    spool.write_bundle(store, "r", [run, an_environment(), told, *receipts])
    ingest.sync(store)
    done = assay("explain", name, "--run", "r", "--out", tmp_path / "out", db=store.database, cwd=tmp_path)
    assert (done.code, (tmp_path / "EXECUTED").exists()) == (2, False), done.err
    assert "no path is taken from the books" in done.err
