"""What people read: progress while it runs (stderr), tables when it is over (stdout), JSON for machines."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

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


def console() -> Console:
    """For results. Piped, it is wide and plain, so that no row is cut."""
    tty = sys.stdout.isatty()
    return Console(markup=False) if tty else Console(width=200, no_color=True, markup=False)  # names are not markup


def print_json(document: Any) -> None:
    """One document; infinities and NaN as Python's json writes and reads them (`Infinity`, `NaN`)."""
    print(json.dumps(document, indent=1, default=str))  # noqa: T201  stdout is for results


def number(value: float | None, digits: int = 4) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return f"{value:.{digits}g}"


def size(value: float | None) -> str:
    if value is None:
        return "-"
    for unit in ("B", "KiB", "MiB"):
        if abs(value) < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.2f} GiB"


def interval(value: float | None, low: float | None, high: float | None) -> str:
    return number(value) if low is None or high is None else f"{number(value)} [{number(low, 3)}, {number(high, 3)}]"


def coloured(word: str) -> Text:
    return Text(word, style=COLOURS.get(word, ""))


def print_table(rows: Sequence[Mapping[str, Any]], columns: Iterable[str], title: str = "") -> None:
    """Rows as a table; numbers short, times to the second."""
    names = list(columns)
    table = Table(title=title or None, title_justify="left")
    for name in names:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*[_cell(name, row.get(name)) for name in names])
    console().print(table)


def _cell(name: str, value: Any) -> Text | str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return size(value) if name.endswith("bytes") else number(value)
    if name.endswith("bytes") and isinstance(value, int):
        return size(value)
    if name.endswith("_at"):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return coloured(str(value)) if str(value) in COLOURS else str(value)
