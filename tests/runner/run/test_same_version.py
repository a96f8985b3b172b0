"""One version name is one model: another one under it fails, whatever is checked, until it has a name of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.runner.identity.model import Identity, keep
from assay.runner.run.prepare import Prepared
from assay.runner.run.same_version import Held
from assay.runner.suites.case import Case, expand
from assay.runner.suites.suite import load_suite
from assay.schema import rows
from assay.schema.store import ingest
from assay.schema.store.database import Store
from assay.schema.store.spool import write_bundle
from tests.conftest import assay, fake_suite
from tests.examples import a_row, a_run, an_environment

KIND = "same_version_other_model"
WEIGHTS, SOURCE = {"tensor w": "1", "source m.py": "1"}, {"tensor w": "1", "source m.py": "2"}


def run(suite: Path, db: Path) -> tuple[int, list[str]]:
    """Exit code of a run, and its failing verdicts by subject."""
    done = assay("run", suite, "--json", db=db)
    return done.code, [
        v["subject"] for case in done.document["cases"] for v in case["verdicts"] if v["outcome"] == "fail"
    ]


def another(suite: Path) -> None:
    """The suite's model answers otherwise now; its version is as it was."""
    suite.write_text(suite.read_text().replace("gain = 2.0", "gain = 3.0"))


def test_another_model_under_the_same_name_fails_until_it_is_named_and_the_first_keeps_the_name(tmp_path: Path):
    suite, db = fake_suite(tmp_path), tmp_path / "assay.duckdb"
    before = suite.read_text()
    assert run(suite, db) == (0, [])
    another(suite)
    assert run(suite, db) == (1, [KIND])
    assert run(suite, db) == (1, [KIND]), "saying it twice does not make it so"
    suite.write_text(suite.read_text().replace('version = "1"', 'version = "2"'))
    assert run(suite, db) == (0, [])
    suite.write_text(before)
    assert run(suite, db) == (0, [])


def test_a_benchmark_fails_likewise_and_says_what_to_do(tmp_path: Path):
    suite, db = fake_suite(tmp_path, check='"benchmark"'), tmp_path / "assay.duckdb"
    suite.write_text(suite.read_text().replace("rounds = 3", "rounds = 1, launches = 1"))
    assert run(suite, db) == (0, [])
    another(suite)
    done = assay("run", suite, db=db)
    assert done.code == 1
    said = " ".join(done.out.split())
    assert "version '1' of 'line' is another model than the one recorded" in said
    assert "(other: options). Give it a version of its own" in said


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "assay.duckdb")


def case_of(tmp_path: Path, version: str = "1") -> Case:
    return expand(load_suite(fake_suite(tmp_path, version=version)))[0]


def prepared(parts: dict[str, str], store: Store, version: str = "1") -> Prepared:
    identity = Identity(parts)
    keep(identity, store.artifacts)
    return Prepared(version, model={"sha256": identity.sha256})


def record(store: Store, parts: dict[str, str] | None, reference: str = "right") -> None:
    """A run in the books whose case measured the model of these parts; None is a book of an older release."""
    identity = Identity(parts).sha256 if parts else None
    case = a_row(
        rows.CaseResult,
        case_id="c",
        run_id="r",
        model="line",
        model_version="1",
        reference=reference,
        environment_id="e",
        model_sha256=identity,
    )
    write_bundle(store, "r", [a_run("r"), an_environment(), case])
    ingest.sync(store)


def said(store: Store, case: Case, now: Prepared, environment: str = "e") -> list[tuple[str, str]]:
    Held(store, "s", environment).look(now, case)
    return [(event.kind, event.severity) for event in now.told.get("finding", [])]


def test_books_that_hold_no_identity_say_nothing(tmp_path: Path, store: Store):
    assert said(store, case_of(tmp_path), prepared(WEIGHTS, store)) == []
    record(store, None)
    assert said(store, case_of(tmp_path), prepared(WEIGHTS, store)) == []


def test_the_same_model_is_no_finding_and_another_source_is_one_on_any_host(tmp_path: Path, store: Store):
    record(store, WEIGHTS)
    assert said(store, case_of(tmp_path), prepared(WEIGHTS, store)) == []
    for environment in ("e", "another"):
        assert said(store, case_of(tmp_path), prepared(SOURCE, store), environment) == [(KIND, "fail")]


def test_weights_that_another_host_may_have_computed_otherwise_are_a_warning_there(tmp_path: Path, store: Store):
    record(store, WEIGHTS)
    other = {**WEIGHTS, "tensor w": "2"}
    assert said(store, case_of(tmp_path), prepared(other, store)) == [(KIND, "fail")]
    found = said(store, case_of(tmp_path), prepared(other, store), "another")
    assert found == [("other_host_other_model", "warning")]


@pytest.mark.parametrize("version", ["artifact", "git"])
def test_a_version_that_is_no_name_cannot_be_taken(tmp_path: Path, store: Store, version: str):
    record(store, WEIGHTS)
    assert said(store, case_of(tmp_path, version), prepared(SOURCE, store)) == []


def test_a_model_loaded_from_another_file_is_not_compared(tmp_path: Path, store: Store):
    """The same version read through its ONNX file has another identity, which says nothing."""
    record(store, WEIGHTS, reference="onnxruntime")
    assert said(store, case_of(tmp_path), prepared(SOURCE, store)) == []


def test_a_model_that_is_another_each_time_it_is_loaded_is_told_within_one_run(tmp_path: Path, store: Store):
    held, case = Held(store, "s", "e"), case_of(tmp_path)
    once, twice = prepared(WEIGHTS, store), prepared({**WEIGHTS, "tensor w": "2"}, store)
    held.look(once, case)
    held.look(twice, case)
    (event,) = twice.told["finding"]
    assert not once.told
    assert "earlier in this run" in event.message
    assert "seed its weights" in event.message
