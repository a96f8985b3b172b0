"""The command line: what it prints, where, and with which exit code. Commands run as users run them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import assay
from tests.places import GOLDEN


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    y = x.copy()
    y[2, 1] += 0.25
    np.save(tmp_path / "expected.npy", x)
    np.save(tmp_path / "actual.npy", y)
    return tmp_path / "expected.npy", tmp_path / "actual.npy"


def test_diff_prints_the_receipt_it_is_documented_to_print(files: tuple[Path, Path]):
    """Renew with: assay diff expected.npy actual.npy --atol 0.1 --rtol 0 --json > tests/golden/diff.json"""
    done = assay("diff", *files, "--atol", 0.1, "--rtol", 0, "--json")
    assert done.code == 1
    assert done.err == ""
    assert done.document == json.loads((GOLDEN / "diff.json").read_text())
    assert (done.document["max_abs"], done.document["worst_index"], done.document["violations"]) == (0.25, [2, 1], 1)


def test_diff_exits_0_for_a_pass_1_for_a_failure_and_4_when_nothing_was_compared(
    files: tuple[Path, Path], tmp_path: Path
):
    expected, actual = files
    assert assay("diff", expected, actual, "--atol", 0.3).code == 0
    assert assay("diff", expected, actual, "--rule", "exact").code == 1
    itself = assay("diff", expected, expected, "--json")
    assert (itself.code, itself.document["verdict"], itself.document["reason"]) == (
        4,
        "vacuous",
        "both paths are the same file",
    )
    np.save(tmp_path / "empty.npy", np.zeros((0, 4), np.float32))
    np.save(tmp_path / "empty2.npy", np.zeros((0, 4), np.float32))
    assert assay("diff", tmp_path / "empty.npy", tmp_path / "empty2.npy").code == 4


def test_diff_compares_every_array_of_an_archive_and_names_the_missing_ones(tmp_path: Path):
    from safetensors.numpy import save_file

    arrays = {"a": np.arange(4.0), "b": np.arange(3.0)}
    np.savez(tmp_path / "x.npz", **arrays)
    save_file({"a": np.arange(4.0) + 1e-9, "c": np.arange(3.0)}, tmp_path / "y.safetensors")
    done = assay("diff", tmp_path / "x.npz", tmp_path / "y.safetensors", "--json")
    verdicts = {entry["name"]: entry["verdict"] for entry in done.document["arrays"]}
    assert (done.code, verdicts) == (1, {"a": "pass", "b": "fail", "c": "fail"})


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        (b"\x93NUMPY\x01\x00short", "bad.npy", "cannot be read"),
        (b"zip?", "bad.npz", "cannot be read"),
        (b"1,2", "a.csv", "not a kind that Assay reads"),
    ],
)
def test_a_damaged_or_unknown_file_is_a_usage_error_without_traceback(
    files: tuple[Path, Path], tmp_path: Path, content: bytes, name: str, says: str
):
    (tmp_path / name).write_bytes(content)
    done = assay("diff", files[0], tmp_path / name)
    assert (done.code, says in done.err, "Traceback" in done.err) == (2, True, False)


def test_pickles_are_never_loaded(files: tuple[Path, Path], tmp_path: Path):
    np.save(tmp_path / "pickle.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert assay("diff", files[0], tmp_path / "pickle.npy").code == 2


def test_infinite_figures_survive_the_json(files: tuple[Path, Path], tmp_path: Path):
    np.save(tmp_path / "copy.npy", np.load(files[0]))
    done = assay("diff", files[0], tmp_path / "copy.npy", "--json")
    assert (done.code, done.document["sqnr_db"]) == (0, "Infinity")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["run", "nosuch"], 2, "there is no suite 'nosuch'"),
        (["run", "quickstart", "--trigger", "weekly"], 2, "manual, nightly or ci"),
        (["run", "quickstart", "--version", "scaling"], 2, "MODEL=VERSION"),
        (["list", "suits"], 2, "Did you mean 'suites'"),
        (["show"], 3, "nothing is recorded"),
        (["compare", "latest"], 3, "nothing is recorded"),
        (["golden", "verify", "nothing"], 2, "there is no golden 'nothing'"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_mistakes_exit_with_their_code_and_say_what_to_do(tmp_path: Path, arguments: list[str], code: int, says: str):
    done = assay(*arguments, db=tmp_path / "assay.duckdb")
    assert (done.code, says in done.err, done.out, "Traceback" in done.err) == (code, True, "", False)


@pytest.mark.parametrize("what", ["suites", "models", "backends", "recipes", "metrics", "runs", "goldens"])
def test_lists_are_tables_for_people_and_json_for_machines(tmp_path: Path, what: str):
    assert assay("list", what, db=tmp_path / "a.duckdb").code == 0
    assert isinstance(assay("list", what, "--json", db=tmp_path / "a.duckdb").document, list)


def test_suite_check_lists_the_cases():
    cases = assay("suite", "check", "quickstart", "--json").document["cases"]
    assert "scaling/fp32/onnxruntime/small/parity" in {case["case"] for case in cases}


def test_doctor_finds_nothing_broken_on_a_host_without_a_gpu(tmp_path: Path):
    done = assay("doctor", "--json", db=tmp_path / "a.duckdb")
    assert done.code == 0
    assert {finding["state"] for finding in done.document} <= {"ok", "missing"}


def test_doctor_asks_the_interpreter_that_a_variable_names_for_a_backend(tmp_path: Path):
    here = assay(
        "doctor",
        "--json",
        db=tmp_path / "a.duckdb",
        ASSAY_PYTHON_FAKE=sys.executable,
        ASSAY_PYTHON_TENSORRT="/nonexistent",
    )
    told = {finding["what"]: finding for finding in here.document}
    assert told["backend fake"]["detail"].startswith(f"{sys.executable}: numpy ")
    assert told["backend tensorrt"]["state"] == "missing"
    assert "cannot start /nonexistent" in told["backend tensorrt"]["detail"]


def test_a_recorded_history_can_be_shown_compared_exported_and_asked_for_by_version(history: Path, tmp_path: Path):
    shown = assay("show", "version:rounded", "--json", db=history)
    assert shown.code == 0
    judged = [v for v in shown.document["verdicts"] if v["subject"] == "parity"]
    outcomes = {(v["case_name"].split("/")[3], v["name"]): v["outcome"] for v in judged}
    assert outcomes["small", "scaling"] == "fail"
    assert outcomes["handwriting", "logits"] == "pass"
    compared = assay("compare", "latest~1", "latest", "--json", db=history).document
    parity = {(line["case"].split("/")[3], line["name"]): line["outcome"] for line in compared["parity"]}
    assert parity["recording", "scaling: max_abs"] == "better: fail -> pass"
    itself = assay("compare", "latest", "latest", "--json", db=history).document
    assert {line["outcome"] for line in itself["measurements"]} == {"same"}
    unknown = assay("compare", "version:round", db=history)
    assert (unknown.code, "Did you mean 'rounded'" in unknown.err) == (2, True)
    assert assay("show", "latest~9", db=history).code == 2
    export = assay("db", "export", tmp_path / "out", "--as", "csv", db=history)
    assert export.code == 0
    assert (tmp_path / "out" / "verdict.csv").read_text().count("\n") > 10
    assert assay("db", "export", tmp_path / "out", db=history).code == 2
    status = assay("db", "status", "--json", db=history).document
    assert (status["waiting bundles"], status["rows"]["run"]) == (0, 2)
    assert assay("show", db=history).code == 0
    assert assay("compare", "latest~1", db=history).code == 0


def test_another_workload_is_not_comparable_and_says_which_part_differs(tmp_path: Path):
    from tests.conftest import fake_suite

    db = tmp_path / "a.duckdb"
    suite = fake_suite(tmp_path, check='"benchmark"')
    assert assay("run", suite, db=db).code == 0
    suite.write_text(suite.read_text().replace("shape = [4, 5]", "shape = [4, 6]"))
    assert assay("run", suite, db=db).code == 0
    lines = assay("compare", "latest~1", "latest", "--json", db=db).document["measurements"]
    latency = next(line for line in lines if line["name"] == "latency_p50_ms")
    assert (latency["outcome"], latency["ratio"]) == ("not comparable", None)
    assert latency["differs"].startswith("workload: noise:")
    forced = assay("compare", "latest~1", "latest", "--force", "--reason", "a test", "--json", db=db).document[
        "measurements"
    ]
    assert next(line for line in forced if line["name"] == "latency_p50_ms")["ratio"] > 0


def test_square_brackets_in_a_hint_are_printed_and_not_taken_for_markup(capsys: pytest.CaptureFixture[str]):
    from assay.runner.reports.tables import print_table

    print_table([{"detail": "pip install 'assay[pytorch]'"}], ["detail"], "a [b] title")
    out = capsys.readouterr().out
    assert "assay[pytorch]" in out
    assert "a [b] title" in out
