"""Keeping a reference file of another harness: read, checked, and stored as a golden."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from assay.runner.errors import UsageError
from assay.runner.workloads import golden
from assay.runner.workloads.golden_files import Step, checked, header, read_reference
from assay.schema.store.spool import now


def import_golden(
    folder: Path, name: str, file: Path, *, inputs: Path | None, version: str, max_steps: int | None, partial: bool
) -> tuple[golden.Golden, str | None]:
    """The golden, and what was left out of it (`partial` keeps the records before the damage).

    Raises:
        UsageError: the file cannot be read, or not to its end without `partial`; nothing was recorded.
    """
    golden.check_name(name)
    problem: list[str] = []
    facts = {
        **header(file),
        "version": version,
        "imported_from": file.name,
        "recorded_at": now().isoformat(),
        "provenance": "imported",
    }
    steps = islice(checked(read_reference(file, inputs)), max_steps)
    if partial:
        steps = _before_the_damage(steps, problem)  # type: ignore[assignment]
    try:
        made = golden.write(folder, name, facts, steps)
    except UsageError as error:
        hint = "" if partial or "record 0" in str(error) else " Keep the records before it with --partial."
        raise UsageError(f"{error}{hint}") from None
    return made, problem[0] if problem else None


def _before_the_damage(steps: Iterator[Step], problem: list[str]) -> Iterator[Step]:
    count = 0
    try:
        for step in steps:
            yield step
            count += 1
    except UsageError as error:
        if not count:
            raise
        problem.append(str(error))
