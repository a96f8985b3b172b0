"""docs/architecture.md is the house as it stands: its floors, its rooms, and what holds each rule."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

from tests.docs.markdown import rows_of
from tests.places import ROOT

TEXT = (ROOT / "docs" / "architecture.md").read_text()
CONTRACTS = {
    contract["name"]: contract
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
}
RULES = rows_of(TEXT, "what holds")


def test_the_staircase_has_the_rooms_and_floors_of_the_contract():
    (layers,) = (c["layers"] for c in CONTRACTS.values() if c.get("containers") == ["assay.runner"])
    floors = {room.strip(): str(number) for number, layer in enumerate(layers, 1) for room in re.split(r"[|:]", layer)}
    assert {row[1].strip("`"): row[0] for row in rows_of(TEXT, "floor")} == floors


@pytest.mark.parametrize("row", rows_of(TEXT, "floor"), ids=lambda row: row[1].strip("`"))
def test_a_room_uses_no_library_that_the_staircase_does_not_name(row: list[str]):
    room = ROOT / "runner" / row[1].strip("`")
    files = [*room.rglob("*.py")] or [room.with_suffix(".py")]
    everybodys = {*sys.stdlib_module_names, "assay", "numpy", "scipy", "duckdb"}
    used = {name for path in files for name in imported(path)} - everybodys
    assert used <= set(re.findall(r"`(\w+)`", row[3]))


def imported(path: Path) -> set[str]:
    """Top-level names of everything that a file imports, deferred imports included."""
    nodes = [*ast.walk(ast.parse(path.read_text()))]
    direct = {alias.name.split(".")[0] for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return direct | {n.module.split(".")[0] for n in nodes if isinstance(n, ast.ImportFrom) and n.module}


@pytest.mark.parametrize("rule", RULES, ids=[row[0] for row in RULES])
def test_what_holds_a_rule_is_a_test_or_a_contract_that_there_is(rule: list[str]):
    held_by = rule[2]
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", held_by)
    for path, test in named:
        assert f"def {test}(" in (ROOT / path).read_text(), f"{path} has no {test}"
    contract = held_by.removeprefix("contract: ")
    assert named or contract in CONTRACTS, f"nothing holds: {rule[0]}"


def test_every_contract_has_its_rule():
    told = {row[2].removeprefix("contract: ") for row in RULES}
    of_a_house = {
        name
        for name, contract in CONTRACTS.items()
        if contract.get("containers") in (["assay.schema"], ["assay.dashboard"])
    }
    assert set(CONTRACTS) - of_a_house <= told


def test_every_step_of_the_journey_names_a_file_that_defines_what_it_names():
    for function, path in re.findall(r"`([\w.]+)` \(`([\w/]+\.py)`\)", TEXT):
        assert re.search(rf"\b(def|class) {function.split('.')[0]}\b", (ROOT / path).read_text()), f"{path}: {function}"
