"""How things are said: colours, numbers with units, the terminal's width; and JSON for machines."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from assay.runner import escaping
from assay.schema import documents

_EXACT = 2.0**53
"""Whole numbers below it are what a double says they are."""
COLOURS = {
    "pass": "green",
    "ok": "green",
    "fail": "red",
    "failed": "red",
    "crashed": "red",
    "timeout": "red",
    "vacuous": "yellow",
    "waived": "cyan",
    "unknown": "yellow",
}


class SafeConsole(Console):
    """A console whose texts hold no control characters; its own colours and movements stay."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """As rich does, with every text escaped."""
        for part in super().render(renderable, options):
            yield part if part.control else Segment(escaping.terminal(part.text), part.style)


def unescaped(stream: TextIO) -> TextIO:
    """The stream below the one that escapes: for a writer that does so itself."""
    return stream.unescaped if isinstance(stream, escaping.Terminal) else stream


def terminal_width() -> int:
    """Columns of the terminal (or `COLUMNS`); 80 where there is none."""
    return shutil.get_terminal_size(fallback=(80, 24)).columns


def console() -> Console:
    """For results: plain where it is piped; names are not markup."""
    return SafeConsole(
        file=unescaped(sys.stdout),
        width=terminal_width(),
        no_color=not sys.stdout.isatty(),
        markup=False,
        highlight=False,
    )


def print_json(document: Any) -> None:
    """One document, strict and with its `schema_version` (`assay.schema.documents`)."""
    print(documents.strict(documents.document(document), indent=1))  # noqa: T201  stdout is for results


def number(value: float | None, digits: int = 4) -> str:
    """So many digits; of a whole number all that a double holds: 20001 is not 2e+04."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if 1e4 <= abs(value) < _EXACT and float(value).is_integer():
        return f"{value:.0f}"
    return f"{value:.{digits}g}"


def worst_pair(receipt: Mapping[str, Any]) -> dict[str, str]:
    """`worst_expected` and `worst_actual` of a receipt in all their digits, where doubles do not hold them; else {}."""
    pair = json.loads(receipt.get("worst_pair") or "null")
    return {"worst_expected": pair[0], "worst_actual": pair[1]} if pair else {}


def quantity(value: float | None, unit: str = "") -> str:
    """A figure with its unit and at most four digits: `12.35 ms`, `3.4 MiB`, `1,235 calls/s`; `1` is no unit."""
    if unit == "bytes":
        return size(value)
    plain = number(value)
    if value is not None and 1e4 <= abs(value) < 1e9:
        digits = math.floor(math.log10(abs(value))) - 3
        plain = f"{round(value, -digits):,.0f}"
    return plain if unit in ("", "1") or plain == "-" else f"{plain} {unit}"


def measured(value: float, low: float | None, high: float | None, unit: str) -> dict[str, str]:
    """A figure and its interval as cells of a table, with the unit; an interval that is not known is empty."""
    plain = unit if unit == "bytes" else ""
    both = "" if low is None or high is None else f"[{quantity(low, plain)}, {quantity(high, plain)}]"
    return {"value": quantity(value, unit), "interval": both}


def size(value: float | None) -> str:
    if value is None:
        return "-"
    for unit in ("B", "KiB", "MiB"):
        if abs(value) < 1024:
            return f"{value:.0f} {unit}" if unit == "B" or abs(value) >= 1000 else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.2f} GiB"


def interval(value: float | None, low: float | None, high: float | None) -> str:
    return number(value) if low is None or high is None else f"{number(value)} [{number(low, 3)}, {number(high, 3)}]"


def coloured(word: str) -> Text:
    return Text(word, style=COLOURS.get(word, ""))
