"""The reference pages say what the code says."""

from __future__ import annotations

import pytest

from tests.docs.markdown import REFERENCE, generator

GENERATOR = generator()
PAGES = GENERATOR.pages()
COMMANDS = dict(GENERATOR.leaves(GENERATOR.typer.main.get_command(GENERATOR.app)))


@pytest.mark.parametrize("name", PAGES)
def test_generating_a_reference_page_again_changes_nothing(name: str):
    path = REFERENCE / name
    assert path.exists(), f"docs/reference/{name} is missing: run make docs"
    assert path.read_text() == PAGES[name], f"docs/reference/{name} is older than the code: run make docs"


def test_no_page_of_the_reference_is_left_over():
    assert {path.name for path in REFERENCE.glob("*.md")} == set(PAGES), "run make docs"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_summary_and_an_example(name: str):
    assert GENERATOR.summary(COMMANDS[name])
    assert "Example: assay " in COMMANDS[name].help


def test_every_option_of_every_command_says_what_it_means():
    silent = [
        f"assay {name}: {parameter.opts[0]}"
        for name, command in COMMANDS.items()
        for parameter in command.params
        if not GENERATOR.is_argument(parameter) and not parameter.help and not parameter.hidden
    ]
    assert silent == []


def test_every_exit_code_says_what_it_means():
    meanings = GENERATOR.field_docs(GENERATOR.errors.ExitCode)
    assert set(meanings) == {code.name for code in GENERATOR.errors.ExitCode}


def test_a_column_is_described_by_the_string_under_its_field():
    meanings = GENERATOR.field_docs(GENERATOR.rows.Measurement)
    assert meanings["n"] == "Observations behind the value."
    assert "value" not in meanings


def test_a_json_schema_is_told_in_words():
    word = GENERATOR.value_word
    assert word({"type": "integer", "exclusiveMinimum": 0}) == "integer, more than 0"
    assert word({"anyOf": [{"type": "string"}, {"type": "null"}]}) == "text"
    assert word({"type": "array", "items": {"type": "number", "maximum": 1}}) == "list of number, at most 1"
    assert word({"enum": ["fail", "vacuous"]}) == "`fail`, `vacuous`"


def test_a_bar_in_a_cell_does_not_split_it():
    assert GENERATOR.table(("a",), [("x | y",)]).splitlines()[2] == "| x \\| y |"
