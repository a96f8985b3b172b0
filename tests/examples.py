"""Builders of rows with every field defaulted."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Any

from assay.schema import rows

_DEFAULTS: dict[str, Any] = {
    "str": "x",
    "int": 1,
    "float": 1.0,
    "bool": True,
    "datetime": datetime.fromisoformat("2026-01-02T03:04:05"),
}


def a_row(row_type: Any, **changes: Any) -> Any:
    """A row of any type: absent where it may be, plain values where it may not."""
    values = {}
    for field in fields(row_type):
        kind = str(field.type)
        if "None" in kind:
            values[field.name] = None
            continue
        if kind.startswith("list"):
            values[field.name] = [_DEFAULTS[kind[5:-1]]] * 64
        else:
            values[field.name] = _DEFAULTS[kind]
    return row_type(**{**values, **changes})


def a_run(run_id: str, **changes: Any) -> rows.Run:
    return a_row(rows.Run, run_id=run_id, suite="s", environment_id="e", **changes)


def an_environment(**changes: Any) -> rows.Environment:
    return a_row(rows.Environment, environment_id="e", hardware_class="cpu", **changes)
