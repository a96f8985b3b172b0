"""TOML, JSON and CSV as values, within bounds."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import tomllib
from collections.abc import Iterator
from functools import partial
from typing import Any

from assay.schema.errors import BadDocument
from assay.schema.reading.bounds import MEASURED, ORDINARY, WRITTEN, Limits, bounded, short, too_deep
from assay.schema.reading.files import as_text, too_large

_DOTTED = re.compile(r"""(?<![\w"'-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){65}""")
"""A key of 65 parts, which `tomllib` takes a time for that grows with the square of the parts."""


_ODD = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
"""Escapes of a NUL and of half a pair: without them, text in ASCII has only what a file may hold."""
_LARGE = re.compile(r"\d{300}|[eE]\+?\d{3}")
"""Without one of these no number leaves 64-bit floats, and none has to be looked at as it is read, which is slow."""


def toml(text: str, where: str, limits: Limits = WRITTEN) -> dict[str, Any]:
    """A TOML document as tables.

    Raises:
        BadDocument: it is not TOML, or over a limit; says where.
    """
    _fits(text, where, limits)
    if _DOTTED.search(text):
        raise BadDocument(f"{where}: a key has more than {limits.depth} parts.")
    try:
        made = tomllib.loads(text, parse_float=_decimal)
    except RecursionError:
        raise BadDocument(too_deep(where, limits)) from None
    except Exception as error:  # noqa: BLE001  tomllib lets errors of int() and of datetime through
        raise BadDocument(f"{where} is not valid TOML: {short(error)}") from None
    bounded(made, where, limits)
    return made


def json_document(text: str | bytes, where: str, limits: Limits = ORDINARY) -> Any:
    """A JSON document; Python's own Infinity and NaN are taken, a key that comes twice is not.

    Raises:
        BadDocument: it is not JSON, or over a limit; says where.
    """
    if isinstance(text, bytes):
        text = as_text(text, where)
    _fits(text, where, limits)
    careful = _LARGE.search(text) is not None
    try:
        made = json.loads(
            text,
            object_pairs_hook=_once,
            parse_int=partial(_integer, limits=limits) if careful else None,
            parse_float=_decimal if careful else None,
        )
    except RecursionError:
        raise BadDocument(too_deep(where, limits)) from None
    except json.JSONDecodeError as error:
        raise BadDocument(f"{where} is not valid JSON: {error}") from None
    except ValueError as error:
        raise BadDocument(f"{where}: {short(error)}") from None
    bounded(made, where, limits, texts=not text.isascii() or _ODD.search(text) is not None)
    return made


def csv_rows(text: str, where: str, limits: Limits = MEASURED) -> tuple[list[str], list[dict[str, str]]]:
    """The header of a CSV document, and its rows by column; a row that is short has "" in what it lacks.

    Raises:
        BadDocument: it is over a limit, has a column twice, or a row has more fields than the header; says which line.
    """
    _fits(text, where, limits)
    before = csv.field_size_limit(limits.field)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = next(reader, [])
        if len(header) > limits.columns:
            raise BadDocument(f"{where}: {len(header)} columns; the most that is read is {limits.columns}.")
        if twice := sorted({name for name in header if header.count(name) > 1}):
            raise BadDocument(f"{where}: column {twice[0]!r} is there twice. Give each its own name.")
        return header, [*_rows(reader, header, where, limits)]
    except csv.Error as error:
        raise BadDocument(f"{where}, line {reader.line_num}: it is no CSV: {error}.") from None
    finally:
        csv.field_size_limit(before)


def _rows(reader: Any, header: list[str], where: str, limits: Limits) -> Iterator[dict[str, str]]:
    items = 0
    for row in reader:
        items += len(header)
        if items > limits.items:
            raise BadDocument(f"{where}: more than {limits.items} fields.")
        if len(row) > len(header):
            raise BadDocument(f"{where}, line {reader.line_num}: {len(row)} fields, the header has {len(header)}.")
        if row:
            yield {name: row[place] if place < len(row) else "" for place, name in enumerate(header)}


def _fits(text: str, where: str, limits: Limits) -> None:
    if len(text) > limits.bytes:
        raise BadDocument(too_large(where, f"at least {len(text)}", limits))


def _integer(word: str, limits: Limits) -> int:
    if len(word.lstrip("-")) > limits.digits:
        raise ValueError(f"{word[:12]}... has {len(word)} digits; a number has at most {limits.digits}")
    return int(word)


def _decimal(word: str) -> float:
    number = float(word)
    if math.isinf(number) and "inf" not in word.lower():
        raise ValueError(f"{word[:40]} is larger than any number of 64 bits")
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in made if names.count(name) > 1)
        raise ValueError(f"key {twice!r} is there twice in one object")
    return made
