"""Named arrays, and what they are hashed as."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

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


Family = Literal["bool", "integer", "float", "complex"]


def family_of(dtype: np.dtype[Any]) -> Family:
    """What a dtype counts as; the types of `ml_dtypes` are whole numbers or floats like any other.

    Raises:
        ValueError: it holds no numbers.
    """
    if dtype.kind in "biufc":
        families: dict[str, Family] = {"b": "bool", "i": "integer", "u": "integer", "f": "float", "c": "complex"}
        return families[dtype.kind]
    for family, info in (("integer", ml_dtypes.iinfo), ("float", ml_dtypes.finfo)):
        try:
            info(dtype)
        except ValueError:
            continue
        found: Family = "integer" if family == "integer" else "float"
        return found
    raise ValueError(f"{dtype.name} holds no numbers: give such inputs by a generator or a file")


def range_of(dtype: np.dtype[Any]) -> tuple[float, float]:
    """The least and the largest finite value of a dtype; of a complex one, of its parts."""
    family = family_of(dtype)
    if family == "bool":
        return 0, 1
    if family == "integer":
        whole: Any = ml_dtypes.iinfo(dtype)
        return int(whole.min), int(whole.max)
    info: Any = ml_dtypes.finfo(dtype)
    return float(info.min), float(info.max)
