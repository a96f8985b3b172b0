"""Named arrays, and what they are hashed as."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Tensors = dict[str, Array]


def dtype_named(name: str) -> np.dtype[Any]:
    """A numpy dtype by name, bfloat16 and the float8 types included.

    Raises:
        ValueError: there is no such dtype.
    """
    try:
        return np.dtype(getattr(ml_dtypes, name, name))
    except TypeError:
        raise ValueError(f"there is no dtype {name!r}") from None


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_array(array: Array) -> str:
    """SHA-256 of dtype, shape and bytes in C order."""
    digest = hashlib.sha256(f"{array.dtype.name}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
