"""What people wrote names things that exist: commands, options, files, targets, suites; and links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from assay.runner.suites.case import expand
from assay.runner.suites.suite import load_suite, shipped_suites
from tests.docs.markdown import WRITTEN, blocks, command_lines, generator, inline
from tests.places import ROOT

GENERATOR = generator()
COMMANDS = dict(GENERATOR.leaves(GENERATOR.typer.main.get_command(GENERATOR.app)))
LINES = [(path, words) for path in WRITTEN for words in command_lines(path)]
GROUPS = {name.split()[0] for name in COMMANDS if " " in name}


def command_of(words: list[str]) -> tuple[str, list[str]]:
    """(name of the command that a line begins with, what is left of it)."""
    length = 2 if words and words[0] in GROUPS else 1
    return " ".join(words[:length]), words[length:]


def split(command: object, words: list[str]) -> tuple[list[str], list[str]]:
    """(arguments, options that the command does not have) of what follows a command's name."""
    options = {name: parameter for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    arguments, unknown, left = [], [], list(words)
    while left:
        word = left.pop(0)
        if not word.startswith("-"):
            arguments.append(word)
            continue
        parameter = options.get(word.partition("=")[0])
        if parameter is None and word != "--help":
            unknown.append(word)
        elif parameter is not None and not parameter.is_flag and "=" not in word:
            left = left[1:]
    return arguments, unknown


@pytest.mark.parametrize(("path", "words"), LINES, ids=[f"{path.stem}: {' '.join(words)}" for path, words in LINES])
def test_a_command_in_a_block_exists_and_takes_what_it_is_given(path: Path, words: list[str]):
    name, rest = command_of(words)
    assert name in COMMANDS, f"{path.name}: there is no command {name!r}"
    arguments, unknown = split(COMMANDS[name], rest)
    assert not unknown, f"{path.name}: assay {name} takes no {unknown}"
    places = [parameter for parameter in COMMANDS[name].params if GENERATOR.is_argument(parameter)]
    assert len(arguments) >= sum(parameter.required for parameter in places), f"{path.name}: assay {name} needs more"
    if all(parameter.nargs == 1 for parameter in places):
        assert len(arguments) <= len(places), f"{path.name}: assay {name} takes fewer arguments than {arguments}"


def test_an_unknown_option_would_be_noticed():
    assert split(COMMANDS["run"], ["quickstart", "--onyl", "x"])[1] == ["--onyl"]
    assert split(COMMANDS["run"], ["quickstart", "--only", "x", "--json"]) == (["quickstart"], [])


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.name)
def test_a_command_in_a_sentence_exists(path: Path):
    for span in inline(path.read_text()):
        words = span.split()
        if words[0] == "assay" and len(words) > 1 and words[1].isalpha() and words[1].islower():
            assert command_of(words[1:])[0] in COMMANDS, f"{path.name}: there is no command `{span}`"


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.name)
def test_a_make_target_exists(path: Path):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = path.read_text()
    for code in (*blocks(text), *inline(text)):
        for target in re.findall(r"^make ([a-z-]+)", code, re.MULTILINE):
            assert target in targets, f"{path.name}: there is no target make {target}"


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.name)
def test_a_file_of_ours_that_is_named_is_there(path: Path):
    for span in inline(path.read_text()):
        if "NAME" not in span and re.fullmatch(r"(runner|schema|dashboard|tests|benchmarks|docs|src)/[\w./-]*", span):
            assert (ROOT / span).exists(), f"{path.name} names `{span}`"


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.name)
def test_links_lead_to_a_file_and_to_a_heading_of_it(path: Path):
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", path.read_text()):
        file, _, heading = target.partition("#")
        there = path.parent / file if file else path
        assert there.exists(), f"{path.name} links to {file}"
        if heading:
            headings = re.findall(r"^#+ (.+)$", there.read_text(), re.MULTILINE)
            assert heading in {GENERATOR.anchor(title) for title in headings}, f"{path.name} links to {target}"


def test_the_suite_in_the_readme_is_one(tmp_path: Path):
    (text,) = re.findall(r"^ *```toml\n(.*?)^ *```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    path = tmp_path / "my_suite.toml"
    path.write_text(text)
    cases = expand(load_suite(path), {})
    assert {case.name for case in cases} == {
        "mine/fp32/pytorch/random/benchmark",
        "mine/fp32/onnxruntime/random/benchmark",
        "mine/fp32/onnxruntime/random/parity",
        "mine/int8/onnxruntime/random/benchmark",
        "mine/int8/onnxruntime/random/parity",
    }


def test_every_suite_that_ships_is_told_of():
    text = (ROOT / "docs" / "suites.md").read_text()
    assert set(shipped_suites()) <= set(re.findall(r"`([a-z0-9-]+)`", text))


def test_every_page_of_the_dashboard_is_told_of():
    titles = re.findall(r'^    "[a-z_]+": \("([^"]+)"', (ROOT / "dashboard" / "app.py").read_text(), re.MULTILINE)
    told = re.findall(r"^\| \*\*([^*]+)\*\*", (ROOT / "docs" / "dashboard.md").read_text(), re.MULTILINE)
    assert told == titles
    assert len(titles) == len([*(ROOT / "dashboard" / "views").glob("[a-z]*.py")])


@pytest.mark.parametrize("path", [*WRITTEN, ROOT / "CHANGELOG.md"], ids=lambda path: path.name)
def test_prose_is_wrapped_at_120_columns(path: Path):
    text = re.sub(r"^ *```.*?^ *```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    long = [line for line in text.splitlines() if len(line) > 120 and not line.startswith("|")]
    assert long == []


def test_the_changelog_names_the_version_in_pyproject():
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE).group(1)
    assert f"[{version}]" in (ROOT / "CHANGELOG.md").read_text()


def test_nothing_names_a_path_of_somebodys_machine_or_a_registry():
    texts = [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("*.txt"),
        ROOT / "Dockerfile",
        ROOT / "Makefile",
    ]
    for path in texts:
        for bad in ("/root/", "/home/", "pypi.org", "file://", "--index-url"):
            assert bad not in path.read_text(), f"{path.name} has {bad}"
