"""Row types as Arrow tables: what a bundle's Parquet files have for columns."""

from __future__ import annotations

import typing
from dataclasses import fields
from datetime import datetime
from types import NoneType, UnionType

import pyarrow as pa

from assay.schema.rows import Row

_ARROW = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    datetime: pa.timestamp("us"),
}


def _arrow_type(annotation: object) -> pa.DataType:
    if isinstance(annotation, UnionType):
        (annotation,) = (part for part in typing.get_args(annotation) if part is not NoneType)
    if typing.get_origin(annotation) is list:
        return pa.list_(_ARROW[typing.get_args(annotation)[0]])
    return _ARROW[annotation]  # type: ignore[index]


def arrow_schema(row_type: type[Row]) -> pa.Schema:
    """The columns of a row type, in the order of its fields."""
    hints = typing.get_type_hints(row_type)
    return pa.schema([(field.name, _arrow_type(hints[field.name])) for field in fields(row_type)])


def needed_columns(row_type: type[Row]) -> tuple[str, ...]:
    """Columns that no row may leave empty."""
    hints = typing.get_type_hints(row_type)
    return tuple(f.name for f in fields(row_type) if NoneType not in typing.get_args(hints[f.name]))
