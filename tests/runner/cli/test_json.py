"""Everything that a command prints as JSON is strict JSON with a `schema_version`, infinities and all."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from assay.runner.cli import app
from assay.schema import rows
from assay.schema.store import ingest
from assay.schema.store.database import Store
from assay.schema.store.spool import write_bundle
from tests.examples import a_row
from tests.nights import Made, record
from tests.places import ROOT

ROOT_COMMAND = typer.main.get_command(app.app)
CASE = "decoder/fp32/onnxruntime/w/benchmark"
WHY = ("--by", "mira", "--reason", "tried")

TRIED: dict[str, tuple[str, ...]] = {
    "show": ("latest",), "list": ("runs",), "compare": ("latest~1", "latest"), "claim": ("int8 is as fast as fp32",),
    "doctor": ("latest",), "detect": ("--record",), "alerts list": (), "schedule list": (), "schedule expect": ("nightly", *WHY, "--every", "24"),
    "schedule retire": ("nightly", *WHY), "release": ("decoder=v1", *WHY), "suite check": ("quickstart",),
    "waive": ("*", "--output", "y", "--premise", "n == 0", "--owner", "mira", "--reason", "tried", "--until", "2099-01-01"),
    "policy try": ("general",), "policy show": ("general",), "policy apply": ("general",), "db migrate": (), "db sync": (), "db status": (), "db requeue": (), "db verify": (), "db backup": ("saved",),
    "diff": ("a.npy", "b.npy"), "db export": ("books",), "golden import": ("steps.npz", "--name", "g"), "golden show": ("g",),
    "golden verify": ("g",), "contract check": ("contract.json",),
}  # fmt: skip
"""Command -> arguments on the small books below; what a sentence refuses prints no JSON, and is not tried here."""
ELSEWHERE = {
    "run", "parity", "search", "explain", "bisect", "confirm", "nightly", "golden record", "contract init",  # start workers
    "trtexec", "import", "engines",  # read files of other tools: tests/runner/books and tests/runner/graphs
    "db restore", "db collect",  # read other books: tests/schema/store
    "calibrate", "selftest alerts",  # minutes of simulated nights: tests/runner/nights
    "alerts show", "alerts ack", "alerts assign", "alerts mute", "alerts expect", "alerts invalid", "alerts fix", "alerts reopen",
    "unwaive",  # need an alert or a waiver by its id
}  # fmt: skip
"""They print by the same function, which the test below holds them to."""


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", {})
    for name, child in children.items():
        yield from leaves(child, (*path, name))
    if not children:
        yield " ".join(path), command


def refuse(token: str) -> Any:
    raise AssertionError(f"{token} is no JSON")


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two nights whose newest run has a verdict with an infinite margin and a figure that is not finite."""
    folder = tmp_path_factory.mktemp("strict")
    store = Store(folder / "assay.duckdb")
    record(
        store,
        [
            Made(model="decoder"),
            Made(model="decoder", variant="int8"),
            Made(model="encoder", passes=lambda night: night == 0),
        ],
        range(2),
    )
    run, case = "nightly-gpu-1-001", f"nightly-gpu-1-001-{CASE}"
    odd: list[rows.Row] = [
        a_row(rows.Verdict, verdict_id="odd", case_id=case, run_id=run, name="y", outcome="pass", margin=math.inf),
        a_row(rows.Parity, case_id=case, run_id=run, output="y", step=-1, sqnr_db=math.inf, mode="functional", max_rel=math.nan),
    ]  # fmt: skip
    write_bundle(store, run, odd)
    ingest.sync(store)
    np.save(folder / "a.npy", np.array([1.0, math.inf]))
    np.save(folder / "b.npy", np.array([1.0, 2.0]))
    np.savez(folder / "steps.npz", **{"input.x": np.ones(2), "output.y": np.ones(2)})
    (folder / "contract.json").write_text('{"schema_version": 1, "model": "m"}')
    return store.database


def test_every_command_with_json_is_tried_or_named():
    with_json = {
        name for name, command in leaves(ROOT_COMMAND) if "--json" in [o for p in command.params for o in p.opts]
    }
    assert with_json == TRIED.keys() | ELSEWHERE
    assert not TRIED.keys() & ELSEWHERE


@pytest.mark.parametrize("command", TRIED)
def test_what_a_command_prints_is_strict_json_of_a_version(
    command: str, books: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(books.parent)
    monkeypatch.setenv("ASSAY_DB", str(books))
    words = [*command.split(), *TRIED[command], "--json"]
    try:
        ROOT_COMMAND(words, standalone_mode=False)
    except Exception as error:  # noqa: BLE001  what the command line would say in words
        pytest.fail(f"assay {' '.join(words)}: {error}")
    document = json.loads(capsys.readouterr().out, parse_constant=refuse)
    for one in document if isinstance(document, list) else [document]:
        assert one["schema_version"] == 1


def test_an_infinite_margin_is_a_word_in_show(books: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    monkeypatch.setenv("ASSAY_DB", str(books))
    ROOT_COMMAND(["show", "--json"], standalone_mode=False)
    document = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert "Infinity" in [verdict["margin"] for verdict in document["verdicts"]]
    assert [receipt["sqnr_db"] for receipt in document["receipts"]] == ["Infinity"]


@pytest.mark.parametrize(
    "words",
    [["gate", "--suite", "nightly", "--against", "latest~1"], ["report", "latest", "--as", "json"]],
    ids=lambda w: w[0],
)
def test_documents_for_files_are_strict_json_of_a_version(
    words: list[str], books: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("ASSAY_DB", str(books))
    ROOT_COMMAND([*words, "--out", str(tmp_path / "x.json")], standalone_mode=False)
    assert json.loads((tmp_path / "x.json").read_text(), parse_constant=refuse)["schema_version"] == 1


HELD_AS_TEXT = {
    "schema/documents.py",  # the one writer
    "runner/rules/contract.py", "dashboard/parts/quality.py",  # strings of a TOML file
    "runner/suites/suite.py", "runner/recipes/build.py", "runner/workloads/golden.py", "runner/environment.py",
    "runner/regressions/detection/rule_version.py", "runner/rules/policy.py", "runner/backends/fake.py",  # its text is hashed
    "runner/recipes/traced.py", "runner/parity/judged.py", "runner/parity/receipt.py", "runner/tensors.py",  # text alone
    "runner/identity/model.py", "runner/identity/programs.py", "runner/worker/jobs/other_sizes.py", "schema/store/bundle.py",  # its text is hashed
    "runner/recipes/modelopt_script.py",  # runs in another interpreter, without Assay
}  # fmt: skip


def test_json_is_written_in_one_place():
    """A second writer would have infinities of its own."""
    found = set()
    for house in ("runner", "schema", "dashboard", "src"):
        for path in (ROOT / house).rglob("*.py"):
            calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
            if any(ast.unparse(call.func) in ("json.dumps", "json.dump", "json_module.dumps") for call in calls):
                found.add(str(path.relative_to(ROOT)))
    assert {path for path in found if not path.startswith("src/assay/")} == HELD_AS_TEXT
