"""Plain files, opened without waiting and read up to a limit."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

from assay.schema.errors import BadDocument
from assay.schema.reading.bounds import MEASURED, ORDINARY, Limits


def read_bytes(path: Path, limits: Limits = ORDINARY, called: str = "") -> bytes:
    """The bytes of a plain file.

    Raises:
        BadDocument: it is not there, no plain file, or larger than the limit.
    """
    where = called or str(path)
    try:
        with plain_file(path, where) as file:
            if (size := os.fstat(file.fileno()).st_size) > limits.bytes:
                raise BadDocument(too_large(where, str(size), limits))
            content = file.read(limits.bytes + 1)
    except OSError as error:
        raise BadDocument(f"{where}: {error.strerror}") from None
    if len(content) > limits.bytes:
        raise BadDocument(too_large(where, f"more than {limits.bytes}", limits))
    return content


def read_lines(path: Path, limits: Limits = MEASURED, called: str = "") -> Iterator[bytes]:
    """The lines of a plain file of any size, each within the limit.

    Raises:
        BadDocument: it is not there, no plain file, or a line is longer than the limit.
    """
    where = called or str(path)
    try:
        with plain_file(path, where) as file:
            while line := file.readline(limits.bytes + 1):
                if len(line) > limits.bytes:
                    raise BadDocument(too_large(f"a line of {where}", f"more than {limits.bytes}", limits))
                yield line
    except OSError as error:
        raise BadDocument(f"{where}: {error.strerror}") from None


def plain_file(path: Path, where: str) -> BufferedReader:
    """A file, open; links are followed, a pipe or a device is neither waited for nor read.

    Raises:
        BadDocument: it is not there, or no plain file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise BadDocument(f"{where}: {error.strerror}") from None
    except ValueError:
        raise BadDocument(f"{where!r} is no path: it has a character that no file's name may have.") from None
    kind = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(kind):
        os.close(descriptor)
        what = "a folder" if stat.S_ISDIR(kind) else "a pipe or a device"
        raise BadDocument(f"{where} is no plain file but {what}. Name a file; what a pipe gives, save first.")
    return os.fdopen(descriptor, "rb")


def too_large(where: str, size: str, limits: Limits) -> str:
    """What is said of a file over the limit."""
    return f"{where} has {size} bytes; the most that is read of such a file is {limits.bytes}. Is it the right file?"


def read_text(path: Path, limits: Limits = ORDINARY, called: str = "") -> str:
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
