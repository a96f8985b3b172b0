"""How large a document may be, and the one error of everything that is read."""

from __future__ import annotations

from dataclasses import dataclass
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


ORDINARY = Limits()
WRITTEN = Limits(bytes=4 * MEBIBYTE, items=200_000)
"""What people write by hand: suites, contracts, policies, the night's configuration."""
MEASURED = Limits(bytes=512 * MEBIBYTE, items=20_000_000)
"""What programs write: profiles, results, annotations."""


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
                words = f": key {short(error)} is missing."
            case RecursionError():
                words = ": it is nested too deeply."
            case MemoryError():
                words = ": it asks for more memory than there is."
            case _:
                words = f" ({type(error).__name__}: {short(error)})."
        raise BadDocument(f"{self.where}: it is not {self.meant}{words}") from None


def reading(where: str, meant: str, *unless: type[BaseException]) -> _Reading:
    """What a parser makes of a stranger's document: a value, or `BadDocument`, and never another exception.

    For pure conversions of what was read alone; a fault of Assay's own in there is told as one of the document. Errors
    of Assay for people pass, and those of `unless`, which the caller tells better.

    Raises:
        BadDocument: on leaving, in place of whatever came up, with its words.
    """
    return _Reading(where, meant, unless)


def short(error: BaseException) -> str:
    """The words of an error, as many as a line takes."""
    return str(error)[:300]


def too_deep(where: str, limits: Limits) -> str:
    """What is said of lists within lists."""
    return f"{where}: lists and tables are nested deeper than {limits.depth}, which no such file needs."


def bounded(value: Any, where: str, limits: Limits = ORDINARY, *, texts: bool = True) -> None:
    """Look at every value that a parser made, without recursion; at texts only when asked to.

    Raises:
        BadDocument: it is deeper or has more items than the limits, an integer has too many digits, or a text holds
            what no file may: a NUL, or half a surrogate pair.
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
    raise BadDocument(too_deep(where, limits))


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
