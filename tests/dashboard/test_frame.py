"""The frame of every page: its rooms are Assay's, its pages all have a row.

And a cached answer is its own question's.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from assay.dashboard import data
from assay.schema.store import ingest
from assay.schema.store.database import Store
from tests.places import ROOT

DASHBOARD = ROOT / "dashboard"
OURS = {path.stem for path in DASHBOARD.iterdir() if path.is_dir() or path.suffix == ".py"} - {"__init__", "__main__"}


def test_a_folder_of_ours_is_never_taken_for_a_library_of_its_name():
    """Streamlit puts `dashboard/` first on the path, where `figures`, `tables`, `data` and `views` then stand."""
    code = (
        f"import sys; sys.path.insert(0, {str(DASHBOARD)!r})\n"
        "import streamlit, plotly, pandas, duckdb\n"
        "import assay.dashboard.parts.parity, assay.dashboard.filters, assay.dashboard.data\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert {"figures", "tables", "parts", "views", "data"} <= OURS
    assert set(done.stdout.split()) & OURS == set()


@pytest.mark.parametrize("path", sorted(DASHBOARD.rglob("*.py")), ids=lambda path: str(path.relative_to(DASHBOARD)))
def test_what_the_dashboard_imports_of_itself_it_imports_from_assay(path: Path):
    named = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path.name}:{node.lineno} is a relative import"
            named.append(str(node.module))
        elif isinstance(node, ast.Import):
            named += [alias.name for alias in node.names]
    assert [name for name in named if name.split(".")[0] in OURS] == []


def test_every_view_has_a_row_in_pages_and_every_row_a_view():
    tree = ast.parse((DASHBOARD / "app.py").read_text())
    (pages,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PAGES"
    )
    assert set(pages) == {path.stem for path in (DASHBOARD / "views").glob("[a-z]*.py")}


def test_two_questions_of_one_name_are_two_answers(monkeypatch: pytest.MonkeyPatch, store: Store):
    """The key of the cache is module and name, so that a question of one topic is never answered by another's."""
    monkeypatch.setenv("ASSAY_DB", str(store.database))
    ingest.sync(store, 10)

    def question(word: str, module: str) -> Callable[..., str]:
        def newest(connection: duckdb.DuckDBPyConnection) -> str:
            return word

        newest.__module__, newest.__qualname__ = module, "newest"
        return newest

    speed, parity = question("speed", "assay.schema.queries.speed"), question("parity", "assay.schema.queries.parity")
    assert (data.ask(speed), data.ask(parity), data.ask(speed)) == ("speed", "parity", "speed")
