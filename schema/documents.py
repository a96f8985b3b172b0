"""JSON as the product writes it: strict, and every document says which version of its shape it has.

RFC 8259 has no infinity and no NaN. Between programs of ours and for others they are written as the strings `Infinity`,
`-Infinity` and `NaN`, as ProtoJSON (protobuf.dev/programming-guides/json) and pydantic write them; `float()` and
JavaScript's `Number()` read them back. What is read may have Python's bare tokens all the same: older files do.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

SCHEMA_VERSION = 1
"""Of every document: raised when a key goes, or means something else; new keys do not raise it."""
_EXACT = "$float"


def document(value: Any) -> Any:
    """With `schema_version` first: an object has it, and so has every object of a list, which is older than it.

    What has one of its own keeps that.
    """
    if isinstance(value, Mapping):
        return {"schema_version": SCHEMA_VERSION, **value}
    if isinstance(value, list | tuple):
        return [document(row) if isinstance(row, Mapping) else row for row in value]
    return value


def strict(value: Any, *, indent: int | None = None, sort_keys: bool = False) -> str:
    """A value as JSON that every parser takes; what JSON has no type for (times, paths) is text."""
    return _written(value, _word, indent, sort_keys)


def pack(value: Any) -> str:
    """A value as one line of strict JSON that `unpack` gives back with its infinities and NaN as numbers."""
    return _written(value, lambda number: {_EXACT: _word(number)}, None, sort_keys=False)


def unpack(line: str | bytes) -> Any:
    """What `pack` was given.

    Raises:
        ValueError: it is no JSON.
    """
    try:
        return json.loads(line, object_hook=_exact)
    except (RecursionError, TypeError) as error:
        raise ValueError(f"it is no JSON of ours: {error}") from None


def _exact(told: dict[str, Any]) -> Any:
    return float(told[_EXACT]) if told.keys() == {_EXACT} else told


def _written(value: Any, of_number: Callable[[float], Any], indent: int | None, sort_keys: bool) -> str:
    try:
        return json.dumps(value, indent=indent, sort_keys=sort_keys, default=str, allow_nan=False)
    except ValueError:  # a number that JSON has not: only then is everything looked at
        told = _replaced(value, of_number)
        return json.dumps(told, indent=indent, sort_keys=sort_keys, default=str, allow_nan=False)


def _replaced(value: Any, of_number: Callable[[float], Any]) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return of_number(value)
    if isinstance(value, Mapping):
        return {key: _replaced(part, of_number) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(part, of_number) for part in value]
    return value


def _word(number: float) -> str:
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
