"""Arrays of .npy and .npz files: never unpickled, and never larger than what the file holds."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from assay.runner.errors import BadDocument
from assay.runner.tensors import Array
from assay.schema.reading import plain_file, reading

LARGEST = 64 << 30
"""Bytes of all arrays of one archive."""
MOST_ENTRIES = 100_000
_RATIO = 1_100
"""Deflate cannot make more than 1,032 bytes of one (zlib.net/zlib_tech.html): what claims more lies."""


def npy(content: bytes, where: str) -> Array:
    """The one array of an .npy file's bytes.

    Raises:
        BadDocument: it is none, or its header claims another size than there is.
    """
    with reading(where, "an array as numpy writes it"):
        return _array(io.BytesIO(content), len(content), where)


def npy_file(path: Path, called: str = "") -> Array:
    """The one array of an .npy file, mapped and not read.

    Raises:
        BadDocument: it is no plain file, none of numpy's, or its header claims more than there is.
    """
    where = called or str(path)
    with reading(where, "an array as numpy writes it"):
        with plain_file(path, where) as file:
            _header(file, path.stat().st_size, where)
        made: Array = np.load(path, allow_pickle=False, mmap_mode="r")
        return made


def npz(path: Path, called: str = "", largest: int = LARGEST) -> Mapping[str, Array]:
    """Every array of an .npz file by name.

    Raises:
        BadDocument: it is no plain file or no archive, an entry is there twice, is no array, or is larger than it says;
            or all of them are larger than `largest` bytes.
    """
    where = called or str(path)
    meant = "an archive of arrays as numpy writes it"
    with reading(where, meant), plain_file(path, where) as file, zipfile.ZipFile(file) as archive:
        _fits(archive.infolist(), where, largest)
        return {
            one.filename.removesuffix(".npy"): _entry(archive, one, f"{where}, entry {one.filename!r}")
            for one in archive.infolist()
        }


def _fits(entries: list[zipfile.ZipInfo], where: str, largest: int) -> None:
    if len(entries) > MOST_ENTRIES:
        raise BadDocument(f"{where}: {len(entries)} entries; the most that is read is {MOST_ENTRIES}.")
    names = [one.filename for one in entries]
    if len({*names}) < len(names):
        raise BadDocument(f"{where}: an entry is there twice.")
    total = sum(one.file_size for one in entries)
    if total > largest:
        raise BadDocument(f"{where}: its arrays have {total} bytes unpacked; the most that is read is {largest}.")
    for one in entries:
        if one.file_size > _RATIO * one.compress_size + 1_024:
            raise BadDocument(
                f"{where}, entry {one.filename!r}: {one.compress_size} bytes claim to hold {one.file_size}."
            )


def _entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, where: str) -> Array:
    with archive.open(entry) as stream:
        made = _array(stream, entry.file_size, where)
        if stream.read(1):
            raise BadDocument(f"{where}: it holds more than its array.")
        return made


def _header(stream: IO[bytes], size: int, where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise BadDocument(f"{where}: it has version {version} of numpy's format; 1.0 and 2.0 are read.")
    if dtype.hasobject:
        raise BadDocument(f"{where}: it holds Python objects, which are code. Save numbers or text (dtype U).")
    wanted = dtype.itemsize
    for length in shape:
        if length < 0:
            raise BadDocument(f"{where}: its shape {shape} has a negative length.")
        wanted *= length
    if wanted > size:
        raise BadDocument(f"{where}: an array of {wanted} bytes is announced, and {size} are there.")
    return shape, fortran, dtype


def _array(stream: IO[bytes], size: int, where: str) -> Array:
    shape, fortran, dtype = _header(stream, size, where)
    wanted = dtype.itemsize * int(np.prod(shape, dtype=object)) if shape else dtype.itemsize
    content = stream.read(wanted)
    if len(content) < wanted:
        raise BadDocument(f"{where}: it was cut short: {len(content)} of {wanted} bytes are there.")
    if not wanted:
        return np.zeros(shape, dtype)
    made: Array = np.frombuffer(bytearray(content), dtype).reshape(shape, order="F" if fortran else "C")
    return made
