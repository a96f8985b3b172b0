"""Many hosts, one store: in any order, as often as one likes, and nothing that is no bundle."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from assay.schema.errors import StoreError
from assay.schema.store import ingest, spool
from assay.schema.store.collect import collect
from assay.schema.store.database import Store, reading, snapshot
from tests.conftest import assay
from tests.examples import a_run


def host(folder: Path, *names: str) -> tuple[Store, list[str]]:
    """A host's own books with these runs, half of them ingested there."""
    store = Store(folder / "assay.duckdb")
    made = [spool.write_bundle(store, name, [a_run(name)]) for name in names[: len(names) // 2]]
    ingest.sync(store)
    return store, made + [spool.write_bundle(store, name, [a_run(name)]) for name in names[len(names) // 2 :]]


def runs(store: Store) -> list[str]:
    published = snapshot(store)
    assert published is not None
    with reading(published) as connection:
        return sorted(name for (name,) in connection.execute("select run_id from run").fetchall())


@pytest.fixture
def team(tmp_path: Path) -> Store:
    return Store(tmp_path / "team" / "assay.duckdb")


def test_what_two_hosts_recorded_is_taken_once_in_any_order_and_their_books_are_untouched(team: Store, tmp_path: Path):
    one, of_one = host(tmp_path / "one", "a", "b", "c", "d")
    two, of_two = host(tmp_path / "two", "e", "f")
    before = sorted(str(path) for path in (tmp_path / "one").rglob("*"))
    found = collect(team, [two.database, one.spool])
    assert sorted(found.taken) == sorted(of_one + of_two)
    ingest.sync(team)
    again = collect(team, [one.database, two.database])
    assert (again.taken, again.already_there) == ([], 6)
    assert runs(team) == ["a", "b", "c", "d", "e", "f"]
    assert sorted(str(path) for path in (tmp_path / "one").rglob("*")) == before


def test_a_mailbox_may_hold_halves_strangers_and_pipes_and_only_bundles_are_taken(team: Store, tmp_path: Path):
    one, made = host(tmp_path / "one", "a", "b")
    mailbox = tmp_path / "mailbox"
    shutil.copytree(one.waiting, mailbox)
    shutil.copytree(one.waiting / made[1], mailbox / f".{made[0]}.tmp")
    cut = mailbox / made[0]
    shutil.copytree(one.ingested / made[0], cut)
    (cut / "run.parquet").write_bytes(b"PAR1")
    (mailbox / "letter.txt").write_text("hello")
    (mailbox / "empty").mkdir()
    piped = mailbox / "piped"
    piped.mkdir()
    os.mkfifo(piped / "manifest.json")
    found = collect(team, [mailbox])
    assert found.taken == [made[1]]
    assert {Path(folder).name for folder in found.refused} == {made[0], "empty", "piped"}
    assert [path.name for path in team.waiting.iterdir()] == [made[1]]
    with pytest.raises(StoreError, match="neither a folder"):
        collect(team, [tmp_path / "nowhere"])


def test_the_command_collects_and_ingests_and_says_what_it_refused(team: Store, tmp_path: Path):
    one, _ = host(tmp_path / "one", "a", "b")
    done = assay("db", "collect", one.database, "--json", db=team.database)
    assert (done.code, len(done.document["collected"]["taken"])) == (0, 2), done.err
    assert runs(team) == ["a", "b"]
    (tmp_path / "box" / "none").mkdir(parents=True)
    refused = assay("db", "collect", tmp_path / "box", db=team.database)
    assert (refused.code, "refused: " in refused.out) == (1, True)
