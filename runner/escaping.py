"""What a name or a message may do where it is shown: nothing. One function for each place that text goes to."""

from __future__ import annotations

import re
from typing import Any, TextIO

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""C0 but tab and line feed, C1, and what changes the direction or the lines of a text."""
_BREAKS = re.compile(r"\s+")
_LINK = re.compile(r"(javascript|vbscript|data)\s*:", re.IGNORECASE)
_FORMULA = re.compile(r"[=+@\t\r-]")


def terminal(text: str) -> str:
    r"""Control characters as `\u001b`: seen, not obeyed. JSON stays JSON of the same meaning."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def markdown(text: object) -> str:
    """One line or cell: no HTML, no link that runs code, no end of the cell; entities are what they stand for."""
    line = _BREAKS.sub(" ", terminal(str(text)))
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("](", "]\\(")
    return _LINK.sub(r"\1&#58;", line)


def csv_cell(cell: Any) -> Any:
    """A text that a spreadsheet would take for a formula has an apostrophe before it; numbers stay numbers."""
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


class Terminal:
    """A stream of text without control characters; everything else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self.unescaped = stream
        """For a writer that has escaped what it was given and sends commands of its own, such as colours."""

    def write(self, text: str) -> int:
        """As a stream does; the length of what was given."""
        self.unescaped.write(terminal(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unescaped, name)
