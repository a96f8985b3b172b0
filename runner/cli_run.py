"""What the commands that run cases share: progress, padding sides, and how a run ends."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from runner.errors import UsageError

if TYPE_CHECKING:
    from runner.execute import Finished
    from runner.record import Progress

_PAD_SIDES: dict[str, tuple[str | None, ...]] = {
    "contract": (None,), "left": ("left",), "right": ("right",), "sweep": ("left", "right"),
}  # fmt: skip


def pad_sides(word: str) -> tuple[str | None, ...]:
    """Raises UsageError: another word than contract, left, right or sweep."""
    if word not in _PAD_SIDES:
        raise UsageError(f"--pad-side is {', '.join(_PAD_SIDES)}, not {word!r}.")
    return _PAD_SIDES[word]


def pairs(texts: list[str]) -> dict[str, str]:
    """Raises UsageError: a text is not MODEL=VERSION."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (equals and name and value):
            raise UsageError(f"--version takes MODEL=VERSION, not {text!r}.")
        found[name] = value
    return found


@contextmanager
def progress_of(total: int) -> Iterator[Progress]:
    """Live on a terminal, plain lines elsewhere; on stderr."""
    from runner import report

    if not sys.stderr.isatty():
        yield report.LineProgress(total)
        return
    with report.LiveProgress(total) as live:
        yield live


def finish(finished: Finished, summary_json: Path | None, *, json: bool) -> None:
    """Print a run, write its summary, and end with its exit code."""
    from runner import report

    if summary_json is not None:
        from runner.summary import write_summary

        write_summary(finished, summary_json)
    if finished.not_published:
        print(f"warning: {finished.not_published}", file=sys.stderr)
    if json:
        report.print_json(report.run_document(finished))
    else:
        report.print_run(finished)
    raise typer.Exit(int(finished.exit_code))
