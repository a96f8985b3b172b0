"""Files that survive a crash: flushed, and replaced by rename."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4


def replace(path: Path, text: str) -> None:
    """Write a small file so that a reader sees the old one or the new one, whole, and a crash leaves either.

    Of two writers at once the later one counts.

    Raises:
        OSError: as it says; the old file is as it was.
    """
    temporary = path.with_name(f".{uuid4().hex}.tmp")
    try:
        with temporary.open("x") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    flush(path.parent)


def flush(path: Path) -> None:
    """Flush a file or folder to disk.

    Raises:
        OSError: as it says.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
