"""Books, artifacts, goldens and a suite file that release 0.5.0 wrote are read by this one, with equal answers.

`books-0.5.0.tar.zst` holds sixteen nights of four cases with two alerts, two runs of a fake model, two of a real one
with their files, a waiver, a release and a golden; `books-0.5.0.answers.json.zst` is what that release said of them.
"""

from __future__ import annotations

import io
import json
import math
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
import zstandard
from typer.testing import CliRunner

from assay.runner.cli.app import app
from assay.schema.store import ingest
from assay.schema.store.database import Store, reading, snapshot
from tests.conftest import assay
from tests.places import GOLDEN


def unpacked(name: str) -> bytes:
    return zstandard.ZstdDecompressor().decompress((GOLDEN / name).read_bytes(), max_output_size=1 << 26)


ANSWERS: dict[str, dict[str, Any]] = json.loads(unpacked("books-0.5.0.answers.json.zst"))


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database, with its artifacts and goldens beside it, as it is after the first sync of this release."""
    folder = tmp_path_factory.mktemp("books")
    with tarfile.open(fileobj=io.BytesIO(unpacked("books-0.5.0.tar.zst"))) as archive:
        archive.extractall(folder, filter="data")
    ingest.sync(Store(folder / "assay.duckdb"))
    return folder / "assay.duckdb"


BY = (("case_id",), ("title",), ("case", "what"))
"""What tells entries of a list apart: an order may change, and what failed comes first today."""


def same_places(then: list[Any], now: list[Any]) -> list[Any]:
    """The entries of today in the order that they had, where they have a name; a table more may have come."""
    for keys in BY:
        names = [tuple(entry.get(key) for key in keys) for entry in then if isinstance(entry, dict)]
        if names and len({*names}) == len(then) and not any(None in name for name in names):
            by_name = {tuple(entry.get(key) for key in keys): entry for entry in now if isinstance(entry, dict)}
            return [by_name.get(name) for name in names]
    return now


def failed_all_along(then: dict[str, Any], now: dict[str, Any]) -> bool:
    """0.5.0 called a case ok whose verdict had failed: that one answer is another on purpose."""
    if then.get("what") == "status":  # of a gate
        return then["outcome"] == "equivalent" and now["outcome"] == "regressed" and "-> fail" in now["message"]
    return then.get("status") == "ok" and now.get("status") == "fail"


def holds(then: Any, now: Any) -> bool:
    """Whether an answer still says all that it said: keys may have come, infinities are written as words."""
    if isinstance(then, dict):
        if not isinstance(now, dict):
            return False
        told = {"status", "outcome", "message"} if failed_all_along(then, now) else set()
        return all(key in now and (key in told or holds(value, now[key])) for key, value in then.items())
    if isinstance(then, list):
        placed = same_places(then, now) if isinstance(now, list) else []
        return len(then) == len(placed) and all(map(holds, then, placed))
    if isinstance(then, float) and not math.isfinite(then):
        return isinstance(now, str) and (math.isnan(then) if now == "NaN" else float(now) == then)
    return bool(then == now)


def test_an_answer_that_lacks_a_key_or_has_another_value_is_another_one():
    assert holds({"a": [1, math.inf]}, {"a": [1, "Infinity"], "b": 2})
    assert not holds({"a": 1, "b": 2}, {"a": 1})
    assert not holds({"a": [1]}, {"a": [1, 2]})
    assert holds([{"title": "a", "n": 1}, {"title": "b"}], [{"title": "b"}, {"title": "a", "n": 1}])
    assert not holds([{"title": "a", "n": 1}], [{"title": "a", "n": 2}])
    assert holds({"status": "ok", "n": 1}, {"status": "fail", "n": 1})
    assert not holds({"status": "ok", "n": 1}, {"status": "vacuous", "n": 1})
    assert not holds([math.nan], ["Infinity"])


@pytest.mark.parametrize("command", ANSWERS)
def test_the_answer_is_the_one_that_0_5_0_gave(command: str, books: Path):
    done = CliRunner().invoke(app, command.split(), env={"ASSAY_DB": str(books)})
    assert done.exit_code == ANSWERS[command]["exit_code"], done.output
    then = ANSWERS[command]["answer"]
    now = done.stdout if isinstance(then, str) else json.loads(done.stdout)
    assert holds(then, now), (then, now)


@pytest.mark.slow
@pytest.mark.parametrize(("version", "outcome"), [("interpolated", "pass"), ("rounded", "fail")])
def test_a_file_that_0_5_0_built_is_held_against_a_golden_that_it_recorded(
    version: str, outcome: str, books: Path, tmp_path: Path
):
    shutil.copytree(books.parent, tmp_path / "books")
    with reading(snapshot(Store(books))) as connection:
        question = "select recipe_sha256 from artifact where model_version = ? and recipe_sha256 is not null"
        ((built,),) = connection.execute(question, [version]).fetchall()
    (folder,) = (books.parent / "artifacts").glob(f"*/{built}*")
    done = assay("parity", folder / "model.onnx", "--golden", "small", "--policy", "general", "--json",
                 db=tmp_path / "books" / "assay.duckdb")  # fmt: skip
    (case,) = done.document["cases"]
    assert {v["outcome"] for v in case["verdicts"] if v["subject"] == "parity"} == {outcome}
    assert done.code == (0 if outcome == "pass" else 1)


@pytest.mark.slow
def test_the_suite_that_shipped_with_0_5_0_runs_and_names_the_new_word_once(tmp_path: Path):
    suite = shutil.copy(GOLDEN / "quickstart-0.5.0.toml", tmp_path)
    checked = assay("suite", "check", suite, "--json", cwd=tmp_path)
    assert len(checked.document["cases"]) == 14
    done = assay("run", suite, "--only", "scaling*small*", "--json", db=tmp_path / "a.duckdb", cwd=tmp_path)
    assert done.code == 0, done.err
    assert {v["outcome"] for case in done.document["cases"] for v in case["verdicts"]} == {"pass"}
    for said in (checked.err, done.err):
        (note,) = [line for line in said.splitlines() if line.startswith("note:")]
        assert "runner.models.scaling:module is assay.runner.models.scaling:module now" in note
