"""The one reader of files that others may have written: TOML, JSON and CSV within stated bounds, and one error.

Arrays are read by `assay.runner.workloads.array_files`. Every byte is read as hostile: what a file says of its own size, depth
or counts is checked before memory is given to it, and a pipe or a device is never waited for.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import stat
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from assay.schema.errors import AssayError, BadDocument, StoreError

MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that a document may be; every figure is far over what Assay writes or is known to read."""

    bytes: int = 64 * MEBIBYTE
    depth: int = 64
    """Lists and tables within each other."""
    items: int = 5_000_000
    """Values in all, keys not counted."""
    digits: int = 20
    """Of an integer: 64 bits have no more."""
    columns: int = 4_096
    """Of CSV."""
    field: int = 65_536
    """Characters of one field of CSV."""


WRITTEN = Limits(bytes=4 * MEBIBYTE, items=200_000)
"""What people write by hand: suites, contracts, policies, the night's configuration."""
MEASURED = Limits(bytes=512 * MEBIBYTE, items=20_000_000)
"""What programs write: profiles, results, annotations."""

_DOTTED = re.compile(r"""(?<![\w"'-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){65}""")
"""A key of 65 parts, which `tomllib` takes a time for that grows with the square of the parts."""


_ODD = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
"""Escapes of a NUL and of half a pair: without them, text in ASCII has only what a file may hold."""
_LARGE = re.compile(r"\d{300}|[eE]\+?\d{3}")
"""Without one of these no number leaves 64-bit floats, and none has to be looked at as it is read, which is slow."""


@dataclass(frozen=True, slots=True)
class _Reading:
    where: str
    meant: str
    unless: tuple[type[BaseException], ...]

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if not isinstance(error, Exception) or isinstance(error, (AssayError, StoreError, *self.unless)):
            return
        match error:
            case KeyError():
                words = f": key {_short(error)} is missing."
            case RecursionError():
                words = ": it is nested too deeply."
            case MemoryError():
                words = ": it asks for more memory than there is."
            case _:
                words = f" ({type(error).__name__}: {_short(error)})."
        raise BadDocument(f"{self.where}: it is not {self.meant}{words}") from None


def reading(where: str, meant: str, *unless: type[BaseException]) -> _Reading:
    """What a parser makes of a stranger's document: a value, or `BadDocument`, and never another exception.

    For pure conversions of what was read alone; a fault of Assay's own in there is told as one of the document. Errors
    of Assay for people pass, and those of `unless`, which the caller tells better.

    Raises:
        BadDocument: on leaving, in place of whatever came up, with its words.
    """
    return _Reading(where, meant, unless)


def _short(error: Exception) -> str:
    return str(error)[:300]


def read_bytes(path: Path, limits: Limits = Limits(), called: str = "") -> bytes:
    """The bytes of a plain file.

    Raises:
        BadDocument: it is not there, no plain file, or larger than the limit.
    """
    where = called or str(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise BadDocument(f"{where}: {error.strerror}") from None
    except ValueError:
        raise BadDocument(f"{where!r} is no path: it has a character that no file's name may have.") from None
    try:
        _plain(os.fstat(descriptor), where, limits)
        with os.fdopen(os.dup(descriptor), "rb") as file:
            content: bytes = file.read(limits.bytes + 1)
    except OSError as error:
        raise BadDocument(f"{where}: {error.strerror}") from None
    finally:
        os.close(descriptor)
    if len(content) > limits.bytes:
        raise BadDocument(_too_large(where, f"more than {limits.bytes}", limits))
    return content


def _plain(facts: os.stat_result, where: str, limits: Limits) -> None:
    if stat.S_ISDIR(facts.st_mode):
        raise BadDocument(f"{where}: it is a folder, where a file was meant.")
    if not stat.S_ISREG(facts.st_mode):
        raise BadDocument(f"{where} is no plain file but a pipe or a device. Save it to a file, and name that.")
    if facts.st_size > limits.bytes:
        raise BadDocument(_too_large(where, str(facts.st_size), limits))


def _too_large(where: str, size: str, limits: Limits) -> str:
    return f"{where} has {size} bytes; the most that is read of such a file is {limits.bytes}. Is it the right file?"


def read_text(path: Path, limits: Limits = Limits(), called: str = "") -> str:
    """The text of a plain file in UTF-8, with or without a byte order mark; line ends are one character.

    Raises:
        BadDocument: as `read_bytes`, or it is not UTF-8.
    """
    content = read_bytes(path, limits, called)
    return as_text(content, called or str(path)).replace("\r\n", "\n")


def as_text(content: bytes, where: str) -> str:
    """Raises BadDocument: the bytes are not UTF-8; says which is the first that is not."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadDocument(
            f"{where} is no text in UTF-8: byte {error.start} is {content[error.start]:#04x}. Save it as UTF-8."
        ) from None


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
        raise BadDocument(_too_deep(where, limits)) from None
    except Exception as error:  # noqa: BLE001  tomllib lets errors of int() and of datetime through
        raise BadDocument(f"{where} is not valid TOML: {_short(error)}") from None
    bounded(made, where, limits)
    return made


def json_document(text: str | bytes, where: str, limits: Limits = Limits()) -> Any:
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
        raise BadDocument(_too_deep(where, limits)) from None
    except json.JSONDecodeError as error:
        raise BadDocument(f"{where} is not valid JSON: {error}") from None
    except ValueError as error:
        raise BadDocument(f"{where}: {_short(error)}") from None
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
        raise BadDocument(_too_large(where, f"at least {len(text)}", limits))


def _too_deep(where: str, limits: Limits) -> str:
    return f"{where}: lists and tables are nested deeper than {limits.depth}, which no such file needs."


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


def bounded(value: Any, where: str, limits: Limits = Limits(), *, texts: bool = True) -> None:
    """Look at every value that a parser made, without recursion; at texts only when asked to.

    Raises:
        BadDocument: it is deeper or has more items than the limits, an integer has too many digits, or a text holds what
            no file may: a NUL, or half a surrogate pair.
    """
    level, items = [value], 0
    for _ in range(limits.depth + 1):
        items += len(level)
        if items > limits.items:
            raise BadDocument(f"{where}: more than {limits.items} values; it is not what it is taken for.")
        holders = [one for one in level if type(one) is dict or type(one) is list]
        _scalars(level, holders, where, limits, texts=texts)
        if not holders:
            return
        level = [part for one in holders for part in (one.values() if type(one) is dict else one)]
    raise BadDocument(_too_deep(where, limits))


def _scalars(level: list[Any], holders: list[Any], where: str, limits: Limits, *, texts: bool) -> None:
    largest = 10**limits.digits
    for one in level:
        if type(one) is int and not -largest < one < largest:
            raise BadDocument(f"{where}: an integer has more than {limits.digits} digits.")
    if texts:
        for text in level:
            if type(text) is str:
                _writable(text, where)
        for holder in holders:
            for key in holder if type(holder) is dict else ():
                _writable(str(key), where)


def _writable(text: str, where: str) -> None:
    if "\0" in text:
        raise BadDocument(f"{where}: the text {text[:40]!r} holds a NUL character. Take it out.")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise BadDocument(f"{where}: the text {text[:40]!r} holds half a surrogate pair, no character.") from None
