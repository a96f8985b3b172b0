"""Faults of the machine, told apart from faults of a bundle, in words that say what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from assay.schema.errors import StoreDamaged, StoreError, StoreFull
from assay.schema.store.database import Store

_OF_DATA = (
    duckdb.BinderException,
    duckdb.ConstraintException,
    duckdb.ConversionException,
    duckdb.InvalidInputException,
    duckdb.OutOfRangeException,
    duckdb.TypeMismatchException,
)
"""What rows themselves can cause; everything else that DuckDB raises is the machine's or the database's."""
_DAMAGE = ("corrupt", "checksum", "Failed to load metadata", "deserialize", "not a valid DuckDB")


def is_of_data(error: duckdb.Error) -> bool:
    """Whether rows could have caused it. Whether they did is shown by an empty database in memory, not by this."""
    return isinstance(error, _OF_DATA)


def is_of_machine(error: duckdb.Error) -> bool:
    """Whether a disk, too little memory or a damaged file raised it, and not a question that was wrongly put."""
    of_machine = (
        duckdb.IOException,
        duckdb.OutOfMemoryException,
        duckdb.FatalException,
        duckdb.InternalException,
        duckdb.SerializationException,
    )
    return isinstance(error, of_machine)


@contextmanager
def explained(store: Store, doing: str) -> Iterator[None]:
    """A fault of the machine while `doing` becomes a StoreError; nothing that waits is touched.

    Raises:
        StoreFull: no space, or no inodes.
        StoreDamaged: the database itself cannot be read.
        StoreError: memory, open files, permissions, devices, or a DuckDB error of another kind.
    """
    try:
        yield
    except (OSError, MemoryError, duckdb.Error) as error:
        raise _in_words(store, doing, error) from error


def _in_words(store: Store, doing: str, error: BaseException) -> StoreError:
    text = (str(error).strip().splitlines() or [type(error).__name__])[0]
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
        return StoreFull(
            f"no space left while {doing} ({store.database}). The bundles are safe in {store.spool}. "
            "Free some space, then run: assay db sync"
        )
    if isinstance(error, MemoryError | duckdb.OutOfMemoryException):
        return StoreError(
            f"not enough memory while {doing} ({store.database}): {text} The bundles are safe in {store.spool}. "
            "Raise the limit, then run: assay db sync"
        )
    if isinstance(error, duckdb.Error) and (
        isinstance(error, duckdb.FatalException | duckdb.InternalException | duckdb.SerializationException)
        or any(word in str(error) for word in _DAMAGE)
    ):
        return StoreDamaged(
            f"{store.database} is damaged: {text} The bundles are safe in {store.spool}. "
            "Make the database anew from its log: assay db sync --rebuild"
        )
    return StoreError(
        f"{doing} failed ({store.database}): {text} The bundles are safe in {store.spool}. "
        "When the cause is gone, run: assay db sync"
    )
