"""Whether a pass says what it did not try, and what a suite may ask for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from assay.runner.rules.policy import Policy
from assay.runner.run import verdicts
from assay.runner.run.findings import parity_findings
from tests.conftest import assay


def reached(side: str, name: str, output: str, moved: float) -> dict[str, Any]:
    return {"side": side, "input": name, "output": output, "moved": moved, "is_state": False}


def outcome(liveness: list[dict[str, Any]], *, coverage: tuple[str, ...] = (), **prepared: Any) -> Any:
    """As much of an outcome as verdicts and findings look at."""
    case = SimpleNamespace(
        policy=Policy(),
        golden=None,
        reference="pytorch",
        backend="onnxruntime",
        recipe=SimpleNamespace(recipe="export"),
        mode="functional",
        coverage=coverage,
        is_reference=False,
    )
    told = {"liveness": liveness, "finding": [], "noise": []}
    return SimpleNamespace(
        case=case, told=told, prepared=prepared, receipts=[], reference_told={}, state_outputs=[], judgements=[]
    )


def worth(case: Any) -> str | None:
    case.told["finding"] = parity_findings(case)
    judgement = verdicts.Judgement("pass", "", "")
    found = verdicts._worth_less(case, "n", 3, judgement)
    return found.outcome if found else None


BOTH = [reached(side, "x", "n", 0.0) for side in ("reference", "candidate")]


def test_an_output_that_no_input_moves_and_no_step_changes_is_vacuous():
    assert worth(outcome(BOTH, constant=["n"], inputs=["x"])) == "vacuous"


def test_an_output_that_the_workload_held_still_and_an_input_moves_is_worth_something():
    moved = [*BOTH, *(reached(side, "lengths", "n", 9.0) for side in ("reference", "candidate"))]
    assert worth(outcome(moved, constant=["n"], inputs=["x", "lengths"])) is None


def test_an_output_of_which_it_is_not_known_is_no_empty_comparison_and_is_noted():
    case = outcome(BOTH, constant=["n"], inputs=["x", "flag"])
    assert worth(case) is None
    assert [(f["kind"], f["subject"], f["severity"]) for f in case.told["finding"]] == [
        ("input_not_tried", "flag", "note")
    ]


@pytest.mark.parametrize(("coverage", "failed"), [((), []), (("axes",), []), (("inputs",), ["input_never_varied"])])
def test_a_note_fails_a_case_that_asks_for_it(coverage: tuple[str, ...], failed: list[str]):
    case = outcome([], coverage=coverage)
    case.told["finding"] = [{"kind": "input_never_varied", "subject": "n", "severity": "note", "message": "41"}]
    verdicts.judge_findings(case)
    assert [subject for subject, _, judgement in case.judgements if judgement.outcome == "fail"] == failed


MODULE = """
import numpy as np, torch
class Halved(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.dropout = torch.nn.Dropout(0.5)
        self.linear = torch.nn.Linear(4, 2)
        torch.nn.init.ones_(self.linear.weight)
        torch.nn.init.zeros_(self.linear.bias)
    def forward(self, x, lengths):
        return self.dropout(self.linear(x)), (lengths + 1) // 2
def net(): return Halved()
def steps(seed, batches):
    random = np.random.default_rng(seed)
    for _ in range(batches):
        yield {"x": random.standard_normal((2, 4)).astype(np.float32), "lengths": np.array([4, 3])}
"""
SUITE = """
name = "halves"
[model.m]
pytorch = "m.py:net"
outputs = ["y", "n"]
version = "v2"
[workload.w]
generator = "m.py:steps"
batches = 3
[[case]]
check = "parity"
models = ["m"]
workloads = ["w"]
"""


def test_what_was_never_exercised_is_noted_and_a_gate_can_ask_for_it(tmp_path: Path):
    db = tmp_path / "assay.duckdb"
    (tmp_path / "m.py").write_text(MODULE)
    (tmp_path / "suite.toml").write_text(SUITE)
    done = assay("run", tmp_path / "suite.toml", "--json", db=db)
    assert done.code == 0, done.err
    (case,) = done.document["cases"]
    assert {v["name"]: v["outcome"] for v in case["verdicts"] if v["subject"] == "parity"} == {"y": "pass", "n": "pass"}
    (tmp_path / "suite.toml").write_text(SUITE + 'coverage = ["inputs", "mode"]\n')
    strict = assay("run", tmp_path / "suite.toml", "--json", db=db)
    assert strict.code == 1
    failed = {v["subject"]: v["reason"] for v in strict.document["cases"][0]["verdicts"] if v["outcome"] == "fail"}
    assert failed["input_never_varied"] == "'lengths' is the same array in 3 of 3 steps"
    assert "eval() changes 1 of its parts (dropout)" in failed["eval_changed"]
    assert set(failed) == {"input_never_varied", "eval_changed"}
    gated = assay("gate", "--suite", "halves", "--coverage", "--as", "json", "--against", done.document["run"], db=db)
    assert gated.code == 1
    assert {c["what"] for c in gated.document["checks"] if c["outcome"] == "regressed"} >= set(failed)
