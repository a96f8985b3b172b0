"""Reading our Markdown: blocks of code, inline code, links, tables, and what a command line in it asks for."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.places import ROOT

WRITTEN = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
"""Pages that people wrote."""
REFERENCE = ROOT / "docs" / "reference"


def generator() -> Any:
    """docs/generate.py as a module."""
    spec = importlib.util.spec_from_file_location("generate_reference", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blocks(text: str) -> list[str]:
    """What stands between fences, without their language; lines that a backslash continues are one."""
    found = re.findall(r"^ *```[^\n]*\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    return [block.replace("\\\n", " ") for block in found]


def inline(text: str) -> list[str]:
    """Inline code outside of blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL))


def command_lines(path: Path) -> Iterator[list[str]]:
    """The words of every `assay ...` in a page's blocks, comments left out.

    Pipes and `&&` separate commands, `<` and `>` end one.
    """
    for block in blocks(path.read_text()):
        for line in block.splitlines():
            for part in re.split(r"\s(?:&&|\|)\s", line.strip()):
                words = shlex.split(re.split(r"\s[<>]\s", part)[0], comments=True)
                while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                    words = words[1:]
                if words and words[0] in ("assay", ".venv/bin/assay"):
                    yield words[1:]


def rows_of(text: str, first: str) -> list[list[str]]:
    """Cells of the table whose first column has this head."""
    table = re.search(rf"^\| {first} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert table, f"there is no table with the head {first!r}"
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.group(1).splitlines()]
