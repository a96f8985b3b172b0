"""Files that survive a crash: flushed, and replaced by rename."""

from __future__ import annotations

import os
from pathlib import Path


def replace(path: Path, text: str) -> None:
    """Write a small file so that a reader sees the old one or the new one, and a crash leaves either.

    Raises:
        OSError: as it says.
    """
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
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
