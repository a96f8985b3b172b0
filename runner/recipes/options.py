"""Options in a table: what each one is, what it takes, and what it is when it is left out.

Recipes and backends write theirs so; the same table refuses a wrong one when a suite is read, and again where it is
used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from assay.runner.errors import UsageError, nearest

Kind = Literal["flag", "integer", "number", "text", "names", "table", "axes"]

_MEANT: dict[Kind, str] = {
    "flag": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "text": "text",
    "names": "a list of names",
    "table": "a table of names and values",
    "axes": 'the names of each input\'s axes that vary, such as { image = { 0 = "batch" } }',
}


@dataclass(frozen=True, slots=True)
class Option:
    """One option. `choices` and `least` to `most` narrow what it takes."""

    kind: Kind
    what: str
    default: Any = None
    """What it is when it is left out; None where the library decides, or nothing is done."""
    choices: tuple[str, ...] | Mapping[str, tuple[str, ...]] = ()
    """Words that a text may be; by the value of the option `by`, where they depend on that one."""
    by: str | None = None
    least: float | None = None
    most: float | None = None

    def words(self, chosen: Mapping[str, Any]) -> tuple[str, ...]:
        """The words that it may be, among the other options in force; empty where every one will do."""
        if isinstance(self.choices, Mapping):
            return self.choices.get(str(chosen.get(self.by or "")), ())
        return self.choices

    def problem(self, name: str, value: Any, chosen: Mapping[str, Any]) -> str | None:
        """What is wrong with a value, with what is meant; None if nothing is."""
        if value is None and self.default is None:
            return None
        if not _is(self.kind, value):
            return f"{name} takes {_MEANT[self.kind]}, not {value!r}."
        if (words := self.words(chosen)) and value not in words:
            of = f" of {chosen[self.by]}" if self.by else ""
            return f"{name}{of} cannot be {value!r}.{nearest(str(value), words)}"
        if self.least is not None and value < self.least:
            return f"{name} is at least {self.least:g}, not {value!r}."
        if self.most is not None and value > self.most:
            return f"{name} is at most {self.most:g}, not {value!r}."
        return None

    @property
    def takes(self) -> str:
        """What it takes, in words for a page."""
        if isinstance(self.choices, Mapping):
            return f"by `{self.by}`: " + "; ".join(f"{key}: {', '.join(words)}" for key, words in self.choices.items())
        if self.choices:
            return ", ".join(self.choices)
        bounds = [f"{word} {bound:g}" for word, bound in (("from", self.least), ("to", self.most)) if bound is not None]
        return " ".join([_MEANT[self.kind], *bounds])


def _is(kind: Kind, value: Any) -> bool:
    match kind:
        case "flag" | "text":
            return isinstance(value, bool if kind == "flag" else str)
        case "integer" | "number":
            return isinstance(value, int if kind == "integer" else int | float) and not isinstance(value, bool)
        case "names":
            return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
        case "axes":
            return isinstance(value, Mapping) and all(_names_axes(axes) for axes in value.values())
        case "table":
            return isinstance(value, Mapping)


def _names_axes(axes: Any) -> bool:
    return isinstance(axes, Mapping) and all(
        str(axis).lstrip("-").isdigit() and isinstance(name, str) for axis, name in axes.items()
    )


def refuse_wrong(owner: str, given: Mapping[str, Any], known: Mapping[str, Option], also: Iterable[str] = ()) -> None:
    """Refuse an option that the owner does not have, or a value that it does not take.

    `owner` begins the message (`recipe 'export'`); `also` are names that are let through unseen.

    Raises:
        UsageError: names the owner, the option, and the nearest that would do.
    """
    for name in given:
        if name not in known and name not in also:
            raise UsageError(f"{owner} has no option {name!r}.{nearest(name, [*known, *also])}")
    chosen = {**defaults(known), **given}
    for name, value in given.items():
        if name in known and (problem := known[name].problem(name, value, chosen)):
            raise UsageError(f"{owner}: {problem}")


def defaults(known: Mapping[str, Option]) -> dict[str, Any]:
    """Every option as it is when it is left out."""
    return {name: option.default for name, option in known.items()}
