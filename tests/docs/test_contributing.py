"""CONTRIBUTING's table of places is a map of the code as it is."""

from __future__ import annotations

import ast
import re

import pytest

from tests.docs.markdown import rows_of
from tests.places import ROOT

TABLE = rows_of((ROOT / "CONTRIBUTING.md").read_text(), "what")
PLACES = [(row[0], place) for row in TABLE for cell in row[1:] for place in re.findall(r"`([^`]+)`", cell)]


def names_of(path: str) -> set[str]:
    """What a module defines at its top."""
    found: set[str] = set()
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


@pytest.mark.parametrize(("what", "place"), PLACES, ids=[f"{what}: {place}" for what, place in PLACES])
def test_a_place_to_touch_is_there(what: str, place: str):
    """A file, a folder, `FOLDER/NAME.py` for a new file, or `file: NAME` for a name that a file defines."""
    path, _, name = place.partition(": ")
    if "NAME" in path:
        folder = (ROOT / path).parent
        assert folder.is_dir(), f"{what}: there is no folder {folder.relative_to(ROOT)}"
        return
    assert (ROOT / path).exists(), f"{what}: there is no {path}"
    if name and path.endswith(".py"):
        assert name in names_of(path), f"{what}: {path} defines no {name}"
    elif name:
        assert name in (ROOT / path).read_text(), f"{what}: {path} has no {name}"


def test_every_kind_of_addition_has_its_row():
    assert {row[0] for row in TABLE} >= {"a metric", "a backend", "a recipe", "a check", "a page", "a verb"}


def test_a_name_that_a_file_does_not_define_would_be_noticed():
    assert "BACKENDS" in names_of("runner/backends/__init__.py")
    assert "BACKENDZ" not in names_of("runner/backends/__init__.py")
