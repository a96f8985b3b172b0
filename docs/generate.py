"""Writes docs/reference/ from the code: commands, metrics, tables, suite keys, exit codes, backends, recipes.

`make docs` runs it; `tests/docs/test_reference.py` fails where a page is not what this would write. Nothing here is a
list of its own: what a page says of a thing stands beside that thing in the code.
"""

# ruff: noqa: INP001  a script beside the pages that it writes

from __future__ import annotations

import ast
import dataclasses
import enum
import inspect
import itertools
import json
import sys
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

# Everything of ours that the pages are made of.
from assay.runner import errors
from assay.runner.backends import BACKENDS
from assay.runner.cli.app import app
from assay.runner.recipes import RECIPES
from assay.runner.suites.suite import Suite
from assay.schema import rows
from assay.schema.metrics import METRICS

FOLDER = Path(__file__).parent / "reference"
GENERATED = "<!-- Generated from the code by `make docs`; edit what it is made of instead. -->"


def main() -> None:
    """Write every page, and remove the pages that are no longer made."""
    FOLDER.mkdir(exist_ok=True)
    wanted = pages()
    for path in FOLDER.glob("*.md"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text)
    sys.stderr.write(f"docs: wrote {len(wanted)} pages to {FOLDER}\n")


def pages() -> dict[str, str]:
    """Name of a file in docs/reference -> its text."""
    made = {
        "commands.md": commands_page(),
        "metrics.md": metrics_page(),
        "tables.md": tables_page(),
        "suite-keys.md": suite_keys_page(),
        "exit-codes.md": exit_codes_page(),
    }
    if all(dataclasses.is_dataclass(row) for row in (*BACKENDS.values(), *RECIPES.values())):
        made |= {"backends.md": backends_page(), "recipes.md": recipes_page()}
    return made


# Commands


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command below one that has no commands of its own, with its words: (`suite check`, command)."""
    children = getattr(command, "commands", {})
    for name, child in children.items():
        yield from leaves(child, (*path, name))
    if not children:
        yield " ".join(path), command


def commands_page() -> str:
    """A section a command: what it does, how it is written, what it takes."""
    found = list(leaves(typer.main.get_command(app)))
    parts = [
        "Every command, as `assay COMMAND --help` has it. [What they share](../commands.md) is told by hand.",
        table(
            ("command", "does"),
            ((f"[`assay {name}`](#{anchor(f'assay {name}')})", summary(command)) for name, command in found),
        ),
    ]
    for name, command in found:
        parts += [f"## `assay {name}`", *prose(command), fence(usage(name, command))]
        options = [parameter for parameter in command.params if parameter.name != "help" and not hidden(parameter)]
        if options:
            parts.append(table(("argument or option", "value", "default", "means"), map(option_row, options)))
    return page("Commands", parts)


def hidden(parameter: Any) -> bool:
    return bool(getattr(parameter, "hidden", False))


def summary(command: Any) -> str:
    return (command.help or "").strip().split("\n\n")[0].replace("\n", " ")


def prose(command: Any) -> list[str]:
    """Paragraphs of the help; an `Example:` becomes code."""
    paragraphs = inspect.cleandoc(command.help or "").replace("\f", "").split("\n\n")
    return [
        "Example:\n\n" + fence(text.removeprefix("Example: ")) if text.startswith("Example: ") else text
        for text in paragraphs
        if text
    ]


def usage(name: str, command: Any) -> str:
    arguments = [argument_word(parameter) for parameter in command.params if is_argument(parameter)]
    options = any(not is_argument(parameter) and parameter.name != "help" for parameter in command.params)
    return " ".join(["assay", name, *arguments, *(["[OPTIONS]"] if options else [])])


def argument_word(parameter: Any) -> str:
    """`SUITE`, `[RUN]` where it may be left out, `FILES...` where there may be several."""
    word = (parameter.metavar or parameter.name.upper()) + ("..." if parameter.nargs == -1 else "")
    return word if parameter.required else f"[{word}]"


def is_argument(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "argument")


def option_row(parameter: Any) -> tuple[str, str, str, str]:
    names = [parameter.name.upper()] if is_argument(parameter) else [*parameter.opts, *parameter.secondary_opts]
    flag = bool(getattr(parameter, "is_flag", False))
    value = "" if flag else kind_of(parameter.type_descriptor.annotation)
    value += ", any number" if getattr(parameter, "multiple", False) or parameter.nargs == -1 else ""
    means = (parameter.help or "") + (f" (also `{parameter.envvar}`)" if parameter.envvar else "")
    return ", ".join(map(code, names)), value, default_of(parameter, flag=flag), means


def kind_of(annotation: Any) -> str:
    """What an option takes, in a word; of a closed list, its words."""
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return ", ".join(code(member.value) for member in annotation)
    if typing.get_origin(annotation) is typing.Literal:
        return ", ".join(map(code, typing.get_args(annotation)))
    if typing.get_origin(annotation) is list:
        return kind_of(typing.get_args(annotation)[0])
    words = {"str": "text", "Path": "path", "int": "integer", "float": "number", "bool": "true or false"}
    name = getattr(annotation, "__name__", str(annotation))
    return words.get(name, name)


def default_of(parameter: Any, *, flag: bool) -> str:
    """As it would be written; `required` where there has to be one, empty where left out means nothing."""
    default = parameter.default.value if isinstance(parameter.default, enum.Enum) else parameter.default
    if parameter.required:
        return "required"
    return "" if flag or default in (None, "", (), []) or callable(default) else code(default)


# Metrics, tables, exit codes


def metrics_page() -> str:
    """Every figure that is recorded, with the columns that its row has."""
    columns = [field.name for field in dataclasses.fields(next(iter(METRICS.values()))) if field.name != "description"]
    body = (
        (code(row.name), *(cell(getattr(row, name)) for name in columns[1:]), row.description)
        for row in METRICS.values()
    )
    intro = "Every figure that is recorded. Figures of the table `measurement` point at these rows by name."
    return page("Metrics", [intro, table((*columns, "means"), body)])


def tables_page() -> str:
    """Every table with its columns, as their fields describe them."""
    parts = [
        "Every table that a bundle may have rows for; [how they join](../tables.md) is told by hand.",
        table(("table", "a row is"), ((f"[`{row.table}`](#{row.table})", first_line(row)) for row in rows.ALL)),
    ]
    for row in rows.ALL:
        parts += [f"## `{row.table}`", described(row)]
        if row in rows.DICTIONARIES:
            parts.append(f"Known by its content: the column `{rows.DICTIONARIES[row]}` is its key.")
        meanings = field_docs(row)
        parts.append(
            table(
                ("column", "type", "means"),
                (
                    (code(field.name), cell(type_word(field.type)), meanings.get(field.name, ""))
                    for field in dataclasses.fields(row)
                ),
            )
        )
    return page("Tables", parts)


def type_word(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def exit_codes_page() -> str:
    """What a script reads."""
    meanings = field_docs(errors.ExitCode)
    body = ((str(int(member)), code(member.name), meanings.get(member.name, "")) for member in errors.ExitCode)
    intro = "What every command ends with; a command that means more by one says so in its help."
    return page("Exit codes", [intro, table(("code", "name", "means"), body)])


# Suites


def suite_keys_page() -> str:
    """Every key of a suite file, table by table, from the schema that `assay suite schema` prints."""
    schema = Suite.model_json_schema()
    kinds = {"Suite": schema, **schema.get("$defs", {})}
    intro = (
        "Every key of a suite file. [What they mean together](../suites.md) is told by hand; `assay suite schema` prints"
        " the same as JSON Schema, for editors."
    )
    parts = [intro]
    places: dict[str, list[str]] = {"Suite": ["the file itself"]}
    for name, place in suite_places(kinds, "Suite", ""):
        places.setdefault(name, []).append(place)
    for name, written in places.items():
        parts += [f"## {name}", f"Where: {' or '.join(dict.fromkeys(written))}."]
        if text := kinds[name].get("description", ""):
            parts.append(text)
        required = kinds[name].get("required", [])
        body = (
            (code(key), value_word(what), suite_default(key, what, required), what.get("description", ""))
            for key, what in kinds[name].get("properties", {}).items()
        )
        parts.append(table(("key", "value", "default", "means"), body))
    return page("Suite keys", parts)


def suite_places(kinds: Mapping[str, Any], kind: str, prefix: str) -> Iterator[tuple[str, str]]:
    """(kind of table, how it is written) of every table below one, wherever it may stand."""
    for key, what in kinds[kind].get("properties", {}).items():
        for inner, form in ((what, "[{}]"), (what.get("items", {}), "[[{}]]")):
            for name in referred(inner):
                place = f"{prefix}{key}"
                yield name, code(form.format(place))
                yield from suite_places(kinds, name, f"{place}.")
        for name in referred(what.get("additionalProperties")):
            place = f"{prefix}{key}.NAME"
            yield name, code(f"[{place}]")
            yield from suite_places(kinds, name, f"{place}.")


def referred(what: Any) -> list[str]:
    """Kinds of table that a value may be."""
    if not isinstance(what, dict):
        return []
    arms = [what, *what.get("anyOf", [])]
    return [arm["$ref"].rpartition("/")[2] for arm in arms if "$ref" in arm]


def value_word(what: Mapping[str, Any]) -> str:
    """A JSON schema in words: `integer, more than 0`, `list of text`, `table of Model`."""
    if "anyOf" in what:
        return " or ".join(value_word(arm) for arm in what["anyOf"] if arm.get("type") != "null")
    if "$ref" in what:
        name = what["$ref"].rpartition("/")[2]
        return f"[{name}](#{anchor(name)})"
    if "enum" in what or "const" in what:
        return ", ".join(map(code, what.get("enum", [what.get("const")])))
    if what.get("type") == "array":
        return f"list of {value_word(what['items'])}" if what.get("items") else "list"
    if what.get("type") == "object":
        inner = what.get("additionalProperties")
        return f"tables of {value_word(inner)}" if isinstance(inner, dict) and inner else "table"
    bounds = {
        "exclusiveMinimum": "more than",
        "minimum": "at least",
        "exclusiveMaximum": "less than",
        "maximum": "at most",
    }
    limits = [f"{word} {what[bound]:g}" for bound, word in bounds.items() if bound in what]
    words = {"string": "text", "boolean": "true or false"}
    return ", ".join([words.get(str(what.get("type")), str(what.get("type", "any value"))), *limits])


def suite_default(key: str, what: Mapping[str, Any], required: Sequence[str]) -> str:
    if key in required:
        return "required"
    default = what.get("default")
    return "" if default in (None, "", [], {}) or isinstance(default, dict) else code(json.dumps(default))


# Backends and recipes


def backends_page() -> str:
    """Every backend: its library, the settings and the options that it takes."""
    kinds: Mapping[str, Any] = BACKENDS
    parts = ["What executes a model. A setting or option that a backend does not take is refused before anything runs."]
    for name, row in kinds.items():
        settings = ", ".join(map(code, row.settings))
        needs = f"`{row.library}` (`pip install 'assay[{row.extra}]'`)" if row.extra else f"`{row.library}`"
        parts += [f"## `{name}`", f"Needs {needs}; opens {', '.join(map(code, row.opens))}; takes {settings}."]
        if row.devices:
            parts.append(f"Devices, its own choice first: {', '.join(map(code, row.devices))}.")
        if row.providers:
            where = ", ".join(f"`{provider}` ({device})" for provider, device in row.providers.items())
            parts.append(f"Providers: {where}.")
        parts += options_table(row.options)
    return page("Backends", parts)


def recipes_page() -> str:
    """Every recipe: what it starts from, what it makes, the options that it takes."""
    kinds: Mapping[str, Any] = RECIPES
    parts = ["How a variant is made. An option that a recipe does not take is refused before anything runs."]
    for name, row in kinds.items():
        data = {"needed": "; needs calibration data", "may": "; may have calibration data"}.get(row.calibration, "")
        parts += [f"## `{name}`", f"Starts from {code(row.starts_from)}, makes {code(row.makes)}{data}."]
        parts += options_table(row.options)
    return page("Recipes", parts)


def options_table(options: Mapping[str, Any]) -> list[str]:
    """What each option may be and means, without the columns that would say nothing; empty where there are none."""
    if not options:
        return []
    names = [field.name for field in dataclasses.fields(next(iter(options.values()))) if field.name != "what"]
    columns = [name for name in names if any(cell(getattr(option, name)) for option in options.values())]
    body = (
        (code(name), *(cell(getattr(option, column)) for column in columns), option.what)
        for name, option in options.items()
    )
    return [table(("option", *columns, "means"), body)]


# Words


def field_docs(cls: type) -> dict[str, str]:
    """The string under each field of a class, by the field's name."""
    found: dict[str, str] = {}
    body = ast.parse(inspect.cleandoc("\n" + inspect.getsource(cls))).body[0]
    statements = body.body if isinstance(body, ast.ClassDef) else []
    for before, after in itertools.pairwise(statements):
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
            target = before.target if isinstance(before, ast.AnnAssign) else None
            target = before.targets[0] if isinstance(before, ast.Assign) else target
            if isinstance(target, ast.Name):
                found[target.id] = inspect.cleandoc(after.value.value)
    return found


def described(cls: type) -> str:
    """A class's docstring; empty where dataclasses made it up."""
    text = inspect.cleandoc(cls.__doc__ or "")
    return "" if text.startswith(f"{cls.__name__}(") else text


def first_line(cls: type) -> str:
    return described(cls).split("\n\n")[0].replace("\n", " ")


def cell(value: Any) -> str:
    """A value in a table: words as they are, lists by their items, nothing where there is none."""
    if value is None or value in ("", (), [], {}):
        return ""
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {cell(inner)}" for key, inner in value.items())
    if isinstance(value, Iterable) and not isinstance(value, str):
        return ", ".join(code(item) for item in value)
    return str(value)


def table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in body:
        cells = (" ".join(str(text).split()).replace("|", "\\|") for text in row)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def code(value: Any) -> str:
    return f"`{value}`"


def fence(text: str) -> str:
    return f"```\n{text}\n```"


def anchor(title: str) -> str:
    """As GitHub makes it of a heading."""
    return "".join(letter for letter in title.lower().replace(" ", "-") if letter.isalnum() or letter in "-_")


def page(title: str, parts: Iterable[str]) -> str:
    return "\n\n".join([f"# {title}", GENERATED, *(part for part in parts if part)]) + "\n"


if __name__ == "__main__":
    main()
