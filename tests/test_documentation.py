"""What there is, is documented; and what is documented, is there."""

from __future__ import annotations

import ast
import re

import pytest
import typer

from assay.runner.backends import BACKENDS
from assay.runner.cli.app import app
from assay.runner.recipes import RECIPES
from assay.runner.suites.suite import Suite, shipped_suites
from assay.schema import rows
from assay.schema.metrics import METRICS
from tests.places import ROOT

DOCS = "\n".join(path.read_text() for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))])


def commands(command: object, path: tuple[str, ...] = ()) -> list[tuple[str, object]]:
    found = []
    for name, child in getattr(command, "commands", {}).items():
        found += commands(child, (*path, name))
    return found or [(" ".join(path), command)]


ALL_COMMANDS = commands(typer.main.get_command(app))


@pytest.mark.parametrize(("name", "command"), ALL_COMMANDS, ids=[name for name, _ in ALL_COMMANDS])
def test_every_command_is_documented_has_help_and_an_example(name: str, command: object):
    assert f"assay {name}" in DOCS
    assert "Example: assay " in (getattr(command, "help", "") or "")


@pytest.mark.parametrize("thing", [*METRICS, *BACKENDS, *RECIPES, *shipped_suites(), *(row.table for row in rows.ALL)])
def test_every_metric_backend_recipe_suite_and_table_is_documented(thing: str):
    assert f"`{thing}`" in DOCS


def test_every_page_is_documented():
    text = (ROOT / "dashboard" / "app.py").read_text()
    pages = re.findall(r'^    "[a-z_]+": \("([^"]+)"', text, re.MULTILINE)
    assert len(pages) == len([*(ROOT / "dashboard" / "views").glob("[a-z]*.py")])
    for title in pages:
        assert f"**{title}**" in DOCS


def test_every_key_of_a_suite_file_is_documented():
    def keys(schema: dict) -> set[str]:
        return {key for part in [schema, *schema.get("$defs", {}).values()] for key in part.get("properties", {})}

    missing = {key for key in keys(Suite.model_json_schema()) if f"`{key}`" not in DOCS}
    assert not missing


def test_links_between_documents_resolve():
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_every_public_function_says_what_its_types_cannot():
    """Modules and public functions of more than a few lines carry a docstring."""
    for path in [*ROOT.glob("runner/**/*.py"), *ROOT.glob("schema/**/*.py"), *ROOT.glob("dashboard/*.py")]:
        tree = ast.parse(path.read_text())
        if path.name != "__main__.py":
            assert ast.get_docstring(tree), f"{path} has no docstring"
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and len(node.body) > 4:
                assert ast.get_docstring(node), f"{path.name}: {node.name} has no docstring"


def test_the_changelog_names_the_version_in_pyproject():
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE).group(1)
    assert f"[{version}]" in (ROOT / "CHANGELOG.md").read_text()


def test_nothing_names_a_path_of_somebodys_machine_or_a_registry():
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*"), *ROOT.glob("*.txt"), ROOT / "Dockerfile", ROOT / "Makefile"]:
        if path.is_file():
            for bad in ("/root/", "/home/", "pypi.org", "file://", "--index-url"):
                assert bad not in path.read_text(errors="ignore"), f"{path.name} has {bad}"
