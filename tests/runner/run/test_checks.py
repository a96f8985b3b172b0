"""A check is one file on each side of the pipe, and its name is compared nowhere else."""

from __future__ import annotations

import ast
import math
from types import SimpleNamespace

import pytest

from assay.runner.reports.progress import headline, verdict_words
from assay.runner.rules.policy import Judgement
from assay.runner.run.checks import check_named
from assay.runner.run.checks.timed import TimedCheck, slow_convolutions
from assay.runner.suites.checks import CHECKS
from tests.places import ROOT


@pytest.mark.parametrize("name", CHECKS)
def test_every_check_has_its_class_and_its_workers_operation(name: str):
    check = check_named(name)
    assert isinstance(check, TimedCheck) == CHECKS[name].timed
    operation = ast.parse((ROOT / "runner" / "worker" / "jobs" / f"{name}.py").read_text())
    assert "run" in {node.name for node in operation.body if isinstance(node, ast.FunctionDef)}


def names_in(node: ast.expr) -> set[str]:
    return {leaf.value for leaf in ast.walk(node) if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str)}


def asks_for_a_check(node: ast.expr) -> bool:
    """`case.check`, `check`, or `row["check_kind"]`."""
    return (
        (isinstance(node, ast.Attribute) and node.attr == "check")
        or (isinstance(node, ast.Name) and node.id == "check")
        or (isinstance(node, ast.Subscript) and names_in(node.slice) == {"check_kind"})
    )


def test_the_name_of_a_check_is_compared_nowhere_outside_the_table_and_its_class():
    """Behaviour that depends on a check is a method of its class: a new one is never forgotten somewhere."""
    found = []
    for path in (ROOT / "runner").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Compare):
                continue
            sides = [node.left, *node.comparators]
            if any(map(asks_for_a_check, sides)) and any(names_in(side) & CHECKS.keys() for side in sides):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert found == []


def outcome(check: str, **facts: object) -> SimpleNamespace:
    case = SimpleNamespace(
        name="line/fp32/onnxruntime/noise", check=check, mode="cached" if check == "generation" else "functional",
        variant="fp32", backend="onnxruntime", generate=SimpleNamespace(tokens=7), coverage=(),
    )  # fmt: skip
    empty = {
        "error_message": None,
        "judgements": [],
        "blocks": [],
        "layers": [],
        "ratio": None,
        "group_id": None,
        "artifact": None,
        "receipts": [],
    }
    return SimpleNamespace(case=case, version="v1", status="ok", figures=[], **{**empty, **facts})


@pytest.mark.parametrize(
    ("check", "group_id", "mode", "series"),
    [
        ("parity", None, "functional", "functional"),
        ("benchmark", "g", "interleaved", "benchmark"),
        ("benchmark", None, "alone", "benchmark"),
        ("generation", "g", "interleaved, cached", "generation of 7 tokens"),
        ("profile", None, "profiled", "profile"),
        ("ledger", None, "ledger", "ledger"),
    ],
)
def test_a_case_is_recorded_with_how_it_was_measured_and_what_it_may_be_compared_with(
    check: str, group_id: str | None, mode: str, series: str
):
    """These words are in books already: another one would begin every series anew."""
    case = outcome(check, group_id=group_id)
    assert check_named(check).mode_words(case) == mode
    assert check_named(check).comparable_by(case) == series


def test_the_headline_of_a_generation_leaves_the_prompt_out():
    timed = outcome("generation", blocks=[[[100.0, 2.0, 2.0]]])
    assert headline(timed) == "line/fp32/onnxruntime/noise (v1): a token 2 ms"


def test_the_headline_of_a_profile_names_the_operator_that_takes_most():
    layers = [{"name": "Gemm", "share": 0.75}, {"name": "Relu", "share": 0.25}]
    assert headline(outcome("profile", layers=layers)).endswith("2 operators; Gemm takes 75%")


@pytest.mark.parametrize(
    ("check", "says"), [("quality", "no labelled item"), ("sensitivity", "no node"), ("ledger", "no tensor")]
)
def test_a_check_that_tells_no_figure_is_vacuous_and_says_why(check: str, says: str):
    nothing = outcome(check)
    check_named(check).judge(nothing, [])
    assert nothing.status == "vacuous"
    assert nothing.error_message.startswith(says)


@pytest.mark.parametrize(("high", "told"), [(27.3, True), (None, True), (0.8, False)])
def test_a_variant_whose_convolutions_make_it_slow_says_so_as_it_ends(high: float | None, told: bool):
    artifact = SimpleNamespace(settings='{"integer_operators": {"ConvInteger": 3}}')
    timed = outcome("benchmark", artifact=artifact, ratio=SimpleNamespace(high=high), told={})
    check_named("benchmark").judge(timed, [])
    found = timed.told.get("finding", [])
    assert [f["kind"] for f in found] == ["why_not_faster"] * told
    assert (slow_convolutions(timed) or "").startswith("3 convolutions run as ConvInteger") == told


def test_the_worst_ratios_of_a_quantized_variant_stand_beside_its_verdicts():
    receipts = [
        {"step": -1, "sqnr_db": db, "cosine": 0.99, "max_abs": 1.0, "expected_dtype": dtype}
        for db, dtype in ((31.26, "float32"), (9.0, "int64"), (math.inf, "float32"), (None, "float32"))
    ]
    verdict = Judgement("pass", "held", "sqnr_db at least 20; cosine at least 0.99")
    judged = outcome("parity", receipts=receipts, judgements=[("parity", "logits", verdict)])
    assert verdict_words(judged) == "logits: pass, SQNR 31.26 dB, cosine 0.99"
