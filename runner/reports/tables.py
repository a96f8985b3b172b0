"""The one table: rows in, text of the terminal's width out.

What a column says of every row is said once above the table, a column that says nothing is left out, ids are cut to
their shortest unique beginning, figures have a unit and at most four digits. `wide` shows everything as it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from assay.runner.reports.console import COLOURS, console, quantity, size, terminal_width

Row = Mapping[str, Any]

_GAP = 2
_LEAST_TEXT = 10
"""No column of words is made narrower than this."""
_USUAL_WORD = 16
"""`distinguishable` is one; a longer word is broken where it has to be."""
_LEAST_ID = 8
_UNITS = {"_ms": "ms", "_us": "us", "_s": "s", "_db": "dB", "_mhz": "MHz", "_h": "h"}
"""Endings of a column's name that are a unit: they are said with the figure, not in the heading."""
_IDS = re.compile(r"(_id|sha256)$|^(run|run_id|alert|waiver)$")


def print_table(rows: Sequence[Row], columns: Iterable[str], title: str = "", *, wide: bool = False) -> None:
    """Rows as a table on stdout; one sentence where there are none."""
    width = None if wide else terminal_width()
    colours = console()
    for line in table_lines(rows, [*columns], title, width):
        colours.print(line, soft_wrap=True)


def table_lines(rows: Sequence[Row], columns: Sequence[str], title: str, width: int | None) -> list[Text]:
    """The lines of a table; `width` None shows every column whole. Without rows one sentence: the title, and none."""
    if not rows:
        return [Text(title if title.startswith("0 ") else f"{title}: none" if title else "none")]
    shown = [_column(name, rows, whole=width is None) for name in columns]
    said: list[str] = []
    if width is not None:
        shown, said = _telling(shown)
    left_out = _fit(shown, width)
    shown = [column for column in shown if column.name not in left_out]
    if width is not None:
        shown[0].cells = _once(shown[0].cells)
    head = [Text(title, style="bold")] if title else []
    head += [Text(f"  {line}", style="dim") for line in _folded(f"all: {', '.join(said)}", (width or 0) - 2) if said]
    body = [_joined([(column.heading, "dim") for column in shown], shown)]
    body += [Text("  ".join("-" * column.width for column in shown), style="dim")]
    for number in range(len(rows)):
        body += _row([column.cells[number] for column in shown], shown)
    if left_out:
        body.append(Text(f"  not shown: {', '.join(_heading(name) for name in left_out)} (--wide)", style="dim"))
    return [*head, *body]


@dataclass(slots=True)
class _Column:
    name: str
    heading: str
    cells: list[str]
    width: int
    numeric: bool

    @property
    def least(self) -> int:
        """Narrower than this it is no help; figures and usual words are never broken."""
        if self.numeric:
            return self.width
        longest = max((len(part.strip()) for text in self.cells for part in _parts(text)), default=0)
        return min(self.width, max(_LEAST_TEXT, len(self.heading), min(longest, _USUAL_WORD)))


def _column(name: str, rows: Sequence[Row], *, whole: bool) -> _Column:
    values = [row.get(name) for row in rows]
    if _IDS.search(name) and not whole:
        values = shortened(values)
    cells = [cell(name, value) for value in values]
    figures = [value for value in values if value is not None]
    numeric = bool(figures) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in figures)
    heading = _heading(name)
    return _Column(name, heading, cells, max(len(heading), *map(len, cells)), numeric)


def _heading(name: str) -> str:
    ending = next((ending for ending in _UNITS if name.endswith(ending)), "")
    return name.removesuffix(ending).removesuffix("_at").replace("_", " ")


def cell(name: str, value: Any) -> str:
    """A value in words; the name of its column says what it is."""
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _figure(name, value)
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "-"
    return f"{value:%Y-%m-%d %H:%M}" if name.endswith("_at") else " ".join(str(value).split())


def _figure(name: str, value: float) -> str:
    if name.endswith("bytes"):
        return size(value)
    if isinstance(value, int):
        return str(value)
    if name.endswith("share"):
        return f"{value:.1%}"
    return quantity(value, next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), ""))


def shortened(ids: Sequence[Any]) -> list[Any]:
    """Ids cut to their shortest beginning that tells all of them apart, and to no less than eight characters."""
    texts = {str(one) for one in ids if one}
    longest = max((len(text) for text in texts), default=0)
    length = next((n for n in range(_LEAST_ID, longest) if len({text[:n] for text in texts}) == len(texts)), longest)
    return [str(one)[:length].rstrip("-") if one else one for one in ids]


def _once(cells: Sequence[str]) -> list[str]:
    """A name that stands in several rows under each other, said in the first of them."""
    return ["" if number and cells[number - 1] == text else text for number, text in enumerate(cells)]


def _telling(columns: list[_Column]) -> tuple[list[_Column], list[str]]:
    """The columns that tell rows apart, and what the others say of every row; the first column always stays."""
    told, said = columns[:1], []
    for column in columns[1:]:
        words = set(column.cells)
        if words == {"-"}:
            continue
        if len(words) == 1 and len(column.cells) > 1:
            said.append(f"{column.heading} {column.cells[0]}".strip())
        else:
            told.append(column)
    return told, said


def _fit(columns: list[_Column], width: int | None) -> list[str]:
    """Narrow columns of words, the widest first, until they fit; the names of those that are left out if none does."""
    left_out: list[str] = []
    if width is None:
        return left_out
    shown = list(columns)
    while len(shown) > 1 and sum(column.least for column in shown) + _GAP * (len(shown) - 1) > width:
        left_out.append(shown.pop(_least_telling(shown)).name)
    for _ in range(10_000):
        over = sum(column.width for column in shown) + _GAP * (len(shown) - 1) - width
        able = [column for column in shown if column.width > column.least]
        if over <= 0 or not able:
            break
        widest = max(able, key=lambda column: column.width)
        widest.width -= 1
    return left_out[::-1]


def _least_telling(columns: Sequence[_Column]) -> int:
    """The last column that is not the very last: reasons and messages stand there, and say most."""
    return max(1, len(columns) - 2)


def _row(cells: Sequence[str], columns: Sequence[_Column]) -> list[Text]:
    """One row, in as many lines as its tallest cell needs."""
    folded = [_folded(text, column.width) for text, column in zip(cells, columns, strict=True)]
    tall = max(map(len, folded))
    return [
        _joined(
            [
                (lines[number] if number < len(lines) else "", COLOURS.get(text, ""))
                for text, lines in zip(cells, folded, strict=True)
            ],
            columns,
        )
        for number in range(tall)
    ]


def _joined(parts: Sequence[tuple[str, str]], columns: Sequence[_Column]) -> Text:
    line = Text()
    for (text, style), column in zip(parts, columns, strict=True):
        line.append(text.rjust(column.width) if column.numeric else text.ljust(column.width), style=style)
        line.append(" " * _GAP)
    line.rstrip()
    return line


def _parts(text: str) -> list[str]:
    """A text in pieces between which a line may be broken."""
    return re.findall(r"[^ /_]+[ /_]?|[ /_]", text)


def _folded(text: str, width: int) -> list[str]:
    """A text in lines of at most `width`.

    Broken after spaces, slashes and underscores; inside a word only where it is longer than a line.
    """
    if width <= 0 or len(text) <= width:
        return [text]
    lines, line = [], ""
    for part in _parts(text):
        piece = part
        if len(line) + len(piece.rstrip()) > width:
            if line:
                lines.append(line.rstrip())
            line = ""
        while len(piece.rstrip()) > width:
            lines.append(piece[:width])
            piece = piece[width:]
        line += piece
    return [*lines, line.rstrip()] if line.strip() else lines
