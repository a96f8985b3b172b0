"""How the code is written, where no linter looks: lines, tables laid out by hand, docstrings."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.places import ROOT

ROOMS = ("runner", "schema", "dashboard", "src/assay", "tests", "benchmarks", "docs")
FILES = sorted({path.resolve() for room in ROOMS for path in (ROOT / room).rglob("*.py")})
OURS = [path for path in FILES if path.relative_to(ROOT).parts[0] in ("runner", "schema", "dashboard", "src")]
LAID_OUT_BY_HAND = 80
"""Statements under `# fmt: skip`: true tables. This number may only fall."""

PRAGMA = re.compile(r"  # (noqa: [A-Z0-9, ]+|type: ignore\[[\w-]+\])$")
"""What the formatter does not count either: a linter's mark at the end of a line. A reason beside it counts."""


def tables(text: str) -> set[int]:
    """Numbers of the lines of statements under `# fmt: skip`."""
    lines = text.splitlines()
    found: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.stmt) and "# fmt: skip" in lines[node.end_lineno - 1]:
            found |= set(range(node.lineno, node.end_lineno + 1))
    return found


def strings(text: str) -> set[int]:
    """Numbers of the lines that a string is on: another program's text is not ours to wrap."""
    return {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant | ast.JoinedStr) and isinstance(getattr(node, "value", ""), str)
        for line in range(node.lineno, node.end_lineno + 1)
    }


def long_lines(path: Path) -> list[str]:
    text = path.read_text()
    numbers = [n for n, line in enumerate(text.splitlines(), 1) if len(PRAGMA.sub("", line)) > 120]
    if not numbers:
        return []
    spared = tables(text) | (strings(text) if path not in OURS else set())
    return [f"{path.relative_to(ROOT)}:{number}" for number in numbers if number not in spared]


def test_no_line_is_longer_than_120_columns_outside_true_tables():
    assert [place for path in FILES for place in long_lines(path)] == []


def test_what_is_laid_out_by_hand_only_becomes_less():
    skipped = sum(
        "# fmt: skip" in line for path in OURS for line in path.read_text().splitlines() if not line.startswith('"')
    )
    assert skipped <= LAID_OUT_BY_HAND, "let ruff format lay it out, or say in the commit why it is a true table"


def test_modules_and_public_functions_of_more_than_a_few_lines_say_what_their_types_cannot():
    silent = []
    for path in OURS:
        tree = ast.parse(path.read_text())
        if path.name != "__main__.py" and not ast.get_docstring(tree):
            silent.append(f"{path.relative_to(ROOT)}")
        silent += [
            f"{path.relative_to(ROOT)}: {node.name}"
            for node in tree.body
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and len(node.body) > 4
            if not ast.get_docstring(node)
        ]
    assert silent == []
