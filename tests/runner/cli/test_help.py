"""The front door: what `assay --help` says, and that every verb is found where it is looked for."""

from __future__ import annotations

from importlib.metadata import version

import pytest
import typer

from assay.runner.cli import app, catalogue, words
from assay.runner.cli.family import Panel, summary
from tests.conftest import assay
from tests.places import GOLDEN

ROOT_COMMAND = typer.main.get_command(app.app)


def groups(command, path=()):
    """Every group of commands, by the words that name it."""
    children = getattr(command, "commands", {})
    return [(path, command)] * bool(children) + [
        found for name, child in children.items() for found in groups(child, (*path, name))
    ]


def test_help_lists_every_verb_in_its_panel_as_it_is_documented_to():
    """Renew with: COLUMNS=80 assay --help | sed -n '/^Measure/,$p' > tests/golden/help.txt"""
    told = assay("--help", COLUMNS="80")
    assert (told.code, told.err) == (0, "")
    assert told.out[told.out.index("Measure:") :] == (GOLDEN / "help.txt").read_text()


def test_help_begins_with_run():
    assert next(iter(ROOT_COMMAND.commands)) == "run"


@pytest.mark.parametrize(
    ("path", "group"),
    groups(ROOT_COMMAND),
    ids=lambda value: "/".join(value) or "assay" if isinstance(value, tuple) else "",
)
def test_no_summary_is_cut_or_takes_a_second_line_at_80_columns(path, group):
    told = assay(*path, "--help", COLUMNS="80").out.splitlines()
    for name, command in group.commands.items():
        line = next(line for line in told if line.startswith(f"  {name} "))
        assert line.split(maxsplit=1)[1] == summary(command)
        assert len(line) <= 80


def test_every_verb_stands_in_a_panel():
    assert {command.rich_help_panel for command in ROOT_COMMAND.commands.values()} == set(Panel)


def test_the_version_is_the_installed_one():
    assert assay("--version").out == f"assay {version('assay')}\n"


def test_the_words_of_an_option_are_those_of_the_table_that_it_chooses_from():
    from assay.runner.books.imports.readers import FORMATS as IMPORTED
    from assay.runner.parity.compare import RULES
    from assay.runner.regressions.alerts.shadow import CANDIDATES
    from assay.runner.reports.document import FORMATS as REPORTS

    assert set(words.Listed) == set(catalogue.LISTS)
    assert set(words.ReportFormat) == set(REPORTS)
    assert set(words.ImportFormat) == set(IMPORTED)
    assert set(words.ToleranceRule) == set(RULES)
    assert set(words.Detector) == {"nightly", *CANDIDATES}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "quickstart", "--trigger", "nightli"), "--trigger is manual, nightly or ci, not 'nightli'. Did you mean 'nightly'?"),
        (("report", "--as", "htm"), "Did you mean 'html'?"),
        (("show", "latest", "verdict"), "Did you mean 'verdicts'?"),
        (("diff", "a.npy", "b.npy", "--rule", "exat"), "Did you mean 'exact'?"),
        (("db", "export", "out", "--as", "parket"), "Did you mean 'parquet'?"),
    ],
)  # fmt: skip
def test_a_word_that_is_none_of_the_words_names_the_nearest(arguments, says):
    told = assay(*arguments)
    assert (told.code, says in told.err, told.out) == (2, True, "")
