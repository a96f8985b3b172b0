"""trtexec is run where there is one, and what it wrote is recorded; here a program of its name copies the fixtures."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.runner.books.imports.trtexec import Files, command
from assay.runner.errors import UsageError
from assay.schema.queries import runs as run_queries
from assay.schema.queries import speed as speed_queries
from assay.schema.store.database import Store, reading, snapshot
from tests.conftest import assay
from tests.places import FIXTURES

DOCUMENTED = FIXTURES / "tensorrt"
FILES = Files(Path("t"), Path("p"), Path("l"), Path("e"))

FAKE = """#!/bin/sh
for argument in "$@"; do
    case $argument in
        --exportTimes=*) printf '[{"h2dMs": 0.1, "computeMs": 1.0, "d2hMs": 0.1, "latencyMs": 1.2}, {"h2dMs": 0.1, "computeMs": 1.2, "d2hMs": 0.1, "latencyMs": 1.4}]' > "${argument#*=}" ;;
        --exportProfile=*) cp DOCUMENTED/profile-11-int8.json "${argument#*=}" ;;
        --exportLayerInfo=*) cp DOCUMENTED/layers-11-int8.json "${argument#*=}" ;;
        --saveEngine=*) echo engine > "${argument#*=}" ;;
    esac
done
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(b"onnx")
    program = tmp_path / "trtexec"
    program.write_text(FAKE.replace("DOCUMENTED", str(DOCUMENTED)))
    program.chmod(0o755)
    return tmp_path / "model.onnx"


def test_one_range_of_shapes_stands_for_all_three():
    made = command("trtexec", Path("m.onnx"), ["x:1x3"], ["--useCudaGraph"], FILES)
    assert made[-4:] == ["--minShapes=x:1x3", "--optShapes=x:1x3", "--maxShapes=x:1x3", "--useCudaGraph"]
    assert "--separateProfileRun" in made
    three = command("trtexec", Path("m.onnx"), ["x:1", "x:2", "x:4"], [], FILES)
    assert three[-3:] == ["--minShapes=x:1", "--optShapes=x:2", "--maxShapes=x:4"]


@pytest.mark.parametrize(
    ("shapes", "flags", "words"),
    [
        (["x:1", "x:2"], [], "once, or three times"),
        ([], ["--fp16"], "put it into the graph"),
        ([], ["--exportTimes=a"], "is set by this command"),
    ],
)
def test_what_it_would_do_wrong_is_refused(shapes: list[str], flags: list[str], words: str):
    with pytest.raises(UsageError, match=words):
        command("trtexec", Path("m.onnx"), shapes, flags, FILES)


def test_what_it_wrote_is_recorded_and_audited(model: Path, tmp_path: Path):
    db = tmp_path / "a.duckdb"
    asked = (
        "trtexec",
        model,
        "--model",
        "net",
        "--variant",
        "int8",
        "--program",
        tmp_path / "trtexec",
        "--out",
        tmp_path / "out",
    )
    done = assay(*asked, "--asked", "int8", "--json", db=db)
    assert done.code == 0, done.err
    assert (done.document["cases"][0]["samples"], done.document["audit"]["outcome"]) == (2, "pass")
    assert (tmp_path / "out" / "model.engine").is_file()
    with reading(snapshot(Store(db))) as connection:
        measured = {m["metric"]: m for m in run_queries.measurements_of(connection, done.document["run"])}
        layers = speed_queries.layers_of(connection, done.document["run"])
    assert measured["latency_p50_ms"]["provenance"] == "imported"
    assert len(layers) == 5
    again = assay(*asked, db=db)
    assert (again.code, "files of an earlier trtexec" in again.err) == (2, True)


def test_an_engine_in_another_precision_ends_with_1_and_is_recorded_all_the_same(model: Path, tmp_path: Path):
    db = tmp_path / "a.duckdb"
    done = assay(
        "trtexec", model, "--model", "net", "--program", tmp_path / "trtexec", "--asked", "float16", "--json", db=db
    )
    assert (done.code, done.document["audit"]["outcome"]) == (1, "fail")
    assert snapshot(Store(db)) is not None


def test_a_failure_of_trtexec_is_told_in_its_words_and_nothing_is_recorded(model: Path, tmp_path: Path):
    (tmp_path / "trtexec").write_text("#!/bin/sh\necho '[E] no kernel image'\nexit 1\n")
    done = assay("trtexec", model, "--model", "net", "--program", tmp_path / "trtexec", db=tmp_path / "a.duckdb")
    assert (done.code, "trtexec ended with 1: [E] no kernel image" in done.err) == (2, True)
    assert snapshot(Store(tmp_path / "a.duckdb")) is None


def test_without_trtexec_the_environment_is_missing(model: Path, tmp_path: Path):
    done = assay("trtexec", model, "--model", "net", "--program", tmp_path / "no-such", db=tmp_path / "a.duckdb")
    assert (done.code, "there is no trtexec" in done.err) == (3, True)
