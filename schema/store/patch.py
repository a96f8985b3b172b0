"""Bringing an older copy of a database up to it, by the blocks that differ.

A DuckDB file is a main header, two database headers (4,096 bytes each), and then blocks of one size, each of which
begins with an 8-byte checksum of the rest: https://duckdb.org/docs/stable/internals/storage. A checkpoint writes
blocks anew and leaves the others where they are, so two states of a database differ in what was written between them.
Eight bytes of each block tell which.
"""

from __future__ import annotations

import os
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HEADER = 4096
BLOCKS_AT = 3 * _HEADER
_MAGIC = b"DUCK"
_VERSIONS = range(64, 70)
"""Storage versions whose layout is the one above."""
_SIZES = {1 << power for power in range(14, 19)}
"""What DuckDB allows as the size of a block."""
_CHECKSUM = 8


def block_size(path: Path) -> int | None:
    """Bytes of a block of a DuckDB file, its checksum counted; None where the layout is not one that is known here.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(BLOCKS_AT)
    if len(head) < BLOCKS_AT or head[8:12] != _MAGIC or struct.unpack_from("<Q", head, 12)[0] not in _VERSIONS:
        return None
    if struct.unpack_from("<Q", head, 20)[0] & 1:  # encrypted: blocks have a longer prefix
        return None
    told = {struct.unpack_from("<Q", head, at + 40)[0] for at in (_HEADER, 2 * _HEADER)}
    told.discard(0)  # a database that was checkpointed once has one header yet
    return told.pop() if len(told) == 1 and told <= _SIZES else None


def patch(source: Path, copy: Path) -> int:
    """Write into `copy`, a whole older copy of `source`, the blocks that differ; returns the bytes written.

    Nobody else may have either file open for writing, and nobody may read `copy`. Half done, `copy` is worth nothing.

    Raises:
        ValueError: the two files have not one known layout.
        OSError: it cannot be read or written.
    """
    size = block_size(source)
    if size is None or block_size(copy) != size:
        raise ValueError(f"{source} and {copy} have not one layout that is known")
    with _opened(source, os.O_RDONLY) as old, _opened(copy, os.O_RDWR) as new:
        length = os.fstat(old).st_size
        os.ftruncate(new, length)
        written = 0
        for at in range(BLOCKS_AT, length, size):
            if _differs(old, new, at, size):
                written += _carry(old, new, at, size)
        return written + _carry(old, new, 0, BLOCKS_AT)


def same(source: Path, copy: Path) -> bool:
    """Whether two files of one known layout have the same length, headers and checksums of all blocks.

    Raises:
        OSError: one cannot be read.
    """
    size = block_size(source)
    if size is None:
        return False
    with _opened(source, os.O_RDONLY) as old, _opened(copy, os.O_RDONLY) as new:
        length = os.fstat(old).st_size
        if os.fstat(new).st_size != length or os.pread(old, BLOCKS_AT, 0) != os.pread(new, BLOCKS_AT, 0):
            return False
        return not any(_differs(old, new, at, size) for at in range(BLOCKS_AT, length, size))


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)  # eight bytes of a block are no reason to read it all
        yield descriptor
    finally:
        os.close(descriptor)


def _differs(old: int, new: int, at: int, size: int) -> bool:
    checksum = os.pread(old, _CHECKSUM, at)
    if checksum != os.pread(new, _CHECKSUM, at):
        return True
    # a hole has no checksum, and what lay under it may be anything
    return not any(checksum) and os.pread(old, size, at) != os.pread(new, size, at)


def _carry(old: int, new: int, at: int, size: int) -> int:
    content = os.pread(old, size, at)
    if os.pwrite(new, content, at) != len(content):
        raise OSError(f"{len(content)} bytes could not be written at {at}")
    return len(content)
