"""`assay detect --jsonl`: series on stdin, one a line, and an answer a line on stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import typer

from assay.runner.errors import ExitCode, UsageError
from assay.schema.documents import document, strict


def answer_lines(*, online: bool) -> None:
    """Answer the series on stdin, a line each.

    Raises:
        UsageError: a line is no series; it is named by its number.
    """
    count = 0
    for number, line in enumerate(sys.stdin, 1):
        if line.strip():
            print(
                strict(document(_answer(_series(line, number), number, online=online))),
                flush=True,
            )
            count += 1
    if not count:
        print("error: no series came on stdin.", file=sys.stderr)
        raise typer.Exit(int(ExitCode.NOTHING))


def _series(line: str, number: int) -> dict[str, Any]:
    from assay.schema.reading import json_document

    series = json_document(line, f"line {number}")
    if not isinstance(series, dict) or not isinstance(series.get("values"), list):
        raise UsageError(f'line {number} is no series: it needs {{"id": ..., "values": [...]}}.')
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in series["values"]):
        raise UsageError(f"line {number}: a value of series {series.get('id')!r} is not a number.")
    if series.get("better", "lower") not in ("lower", "higher", "neither"):
        raise UsageError(f"line {number}: better is lower, higher or neither, not {series['better']!r}.")
    return series


def _answer(series: dict[str, Any], number: int, *, online: bool) -> dict[str, Any]:
    from assay.runner.regressions.detection.detect import changes, known_tonight

    look = known_tonight if online else changes
    from assay.schema.reading import reading

    with reading(f"line {number}, series {series.get('id')!r}", "a series"):
        found = look(
            series["values"],
            samples=series.get("samples"),
            better=series.get("better", "lower"),
            environment=series.get("env"),
        )
    return {
        "id": series.get("id"),
        "changes": [change.index for change in found],
        "directions": ["up" if change.ratio > 1 else "down" for change in found],
        "evidence": [*_evidence(found)],
    }


def _evidence(found: list[Any]) -> Iterator[dict[str, Any]]:
    for change in found:
        kind = {True: "regression", False: "improvement", None: "change"}[change.regression]
        yield {
            "index": change.index,
            "kind": kind,
            "ratio": change.ratio,
            "interval": [change.low, change.high],
            "p_value": change.p_value,
            "noise": change.noise,
        }
