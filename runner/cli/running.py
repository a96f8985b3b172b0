"""What the commands that run cases share: progress, padding sides, and how a run ends."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from assay.runner.cli.words import PadSide
from assay.runner.errors import UsageError

if TYPE_CHECKING:
    from assay.runner.run.execute import Finished
    from assay.runner.run.outcome import Progress
    from assay.runner.suites.case import Case

_PAD_SIDES: dict[PadSide, tuple[str | None, ...]] = {
    PadSide.CONTRACT: (None,),
    PadSide.LEFT: ("left",),
    PadSide.RIGHT: ("right",),
    PadSide.SWEEP: ("left", "right"),
}


def pad_sides(word: PadSide) -> tuple[str | None, ...]:
    """The sides on which inputs are padded: None is the one that the contract says."""
    return _PAD_SIDES[word]


_UNITS = {"": 1, "b": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}


def bytes_of(text: str | None) -> int | None:
    """Raises UsageError: not a number of bytes such as 500MB or 2GB."""
    if text is None:
        return None
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", text)
    if found is None or found.group(2).lower() not in _UNITS:
        raise UsageError(f"--max-memory is a size such as 500MB or 2GB, not {text!r}.")
    return int(float(found.group(1)) * _UNITS[found.group(2).lower()])


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
def progress_of(total: int, budget_s: float | None = None) -> Iterator[Progress]:
    """Live on a terminal, plain lines elsewhere; on stderr. A search has a budget in place of a total."""
    from assay.runner.reports import progress

    if not sys.stderr.isatty():
        yield progress.LineProgress(total, budget_s)
        return
    with progress.LiveProgress(total, budget_s) as live:
        yield live


def can_be_written(path: Path | None, option: str) -> None:
    """Before hours of measuring, not after them.

    Raises:
        UsageError: the file's folder is not there, or it is a folder itself.
    """
    if path is None:
        return
    if path.is_dir():
        raise UsageError(f"{option} {path} is a folder; name a file in it.")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{option} {path}: the folder {path.absolute().parent} is not there.")


def say_what_changes_nothing(cases: Sequence[Case], side: PadSide, max_steps: int | None) -> None:
    """Options that no case of a run takes; on stderr."""
    if side is not PadSide.CONTRACT and not any(case.has_sides for case in cases):
        print(f"note: --pad-side {side} changes nothing: no case feeds states back", file=sys.stderr)
    if max_steps is not None and all(case.is_timed for case in cases):
        print("note: --max-steps changes nothing: no case compares steps", file=sys.stderr)


def finish(finished: Finished, summary_json: Path | None, *, wide: bool, json: bool) -> None:
    """Print a run, write its summary, and end with its exit code."""
    from assay.runner.reports import console, left_out
    from assay.runner.reports import run as run_report

    if summary_json is not None:
        from assay.runner.reports.summary import write_summary

        write_summary(finished, summary_json)
    if finished.not_published:
        print(f"warning: {finished.not_published}", file=sys.stderr)
    for said in finished.idle_waivers:
        print(f"note: {said}", file=sys.stderr)
    if json:
        console.print_json(run_report.run_document(finished))
    else:
        run_report.print_run(finished, wide=wide)
        if finished.asked is not None:
            print("".join(f"{line}\n" for line in left_out.lines(finished.asked)), end="")
    raise typer.Exit(int(finished.exit_code))
