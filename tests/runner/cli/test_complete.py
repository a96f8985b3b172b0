"""What the shell offers after TAB, asked for as a shell does."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from assay.schema.store.database import Store
from tests.conftest import assay
from tests.nights import Made, record


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = Store(tmp_path_factory.mktemp("completed") / "assay.duckdb")
    record(store, [Made(version=lambda night: f"v{night}"), Made(model="other")], range(2))
    return store.database


def offered(line: str, db: Path | None = None) -> list[str]:
    """What bash is told about a line; the cursor is at its end."""
    typed = line.split(" ")
    told = assay(
        db=db, _ASSAY_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(typed) - 1), COMP_LINE=line
    )
    assert told.err == ""
    return told.out.split()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("assay sh", ["show"]),
        ("assay run quick", ["quickstart"]),
        ("assay run quickstart --trigger n", ["nightly"]),
        ("assay report --as h", ["html"]),
        ("assay list w", ["waivers"]),
        ("assay golden rec", ["record"]),
        ("assay show lat", ["latest", "latest~1"]),
        ("assay show version:v", ["version:v0", "version:v1"]),
        ("assay explain --run latest m/", ["m/fp32/onnxruntime/w/benchmark"]),
        ("assay gate --suite n", ["nightly"]),
        ("assay show latest verd", ["verdicts"]),
    ],
)
def test_words_suites_runs_and_cases_are_completed(books: Path, line: str, expected: list[str]):
    assert offered(line, books) == expected


def test_nothing_is_offered_and_nothing_breaks_where_nothing_is_recorded(tmp_path: Path):
    assert offered("assay show lat", tmp_path / "none.duckdb") == []


def test_suite_files_beside_the_user_are_offered_too(tmp_path: Path):
    (tmp_path / "mine.toml").write_text("")
    (tmp_path / "notes.txt").write_text("")
    assert offered(f"assay run {tmp_path}/m") == [f"{tmp_path}/mine.toml"]
    assert offered(f"assay run {tmp_path}/n") == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_the_script_that_is_shown_is_one_that_bash_reads():
    script = assay("--show-completion", SHELL="/bin/bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="")
    shown = (
        script if script.out else assay("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    )
    assert "_ASSAY_COMPLETE=complete_bash" in shown.out
    read = subprocess.run(["bash", "-n"], input=shown.out, capture_output=True, text=True, check=False)
    assert (read.returncode, read.stderr) == (0, "")
