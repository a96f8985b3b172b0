"""Named arrays, and what they are hashed and stored as: numbers by their bytes, text by its characters.

Text (ONNX's `string`, numpy's `U`, `S` and object arrays of str) has one form everywhere: its dtype is called `string`,
and its bytes are a JSON list of the elements in C order, in UTF-8. So equal texts hash alike, whatever array held them.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import ml_dtypes
import numpy as np

from assay.schema.reading import reading

Array = np.ndarray[Any, np.dtype[Any]]
Tensors = dict[str, Array]

TEXT = "string"
"""What the dtype of text is called, in contracts, goldens and receipts."""
_TEXT_KINDS = "OSUT"


def dtype_named(name: str) -> np.dtype[Any]:
    """A numpy dtype by name: bfloat16, the float8 types and the ones below a byte included, `string` for text.

    Raises:
        ValueError: there is no such dtype.
    """
    try:
        return np.dtype(object if name == TEXT else getattr(ml_dtypes, name, name))
    except TypeError:
        raise ValueError(f"there is no dtype {name!r}") from None


def dtype_name(array: Any) -> str:
    """The dtype of an array as people and contracts write it: `float32`, `bfloat16`, `string`."""
    return TEXT if array.dtype.kind in _TEXT_KINDS else str(array.dtype.name)


def is_text(array: Any) -> bool:
    """Whether an array holds text, or could: objects are looked at by `texts`."""
    return array.dtype.kind in _TEXT_KINDS


def texts(array: Array) -> Array:
    """The same text as an object array of str; bytes are read as UTF-8, what is no UTF-8 is kept (surrogateescape).

    Raises:
        ValueError: an element is no text.
    """
    made = np.empty(array.size, object)
    for position, value in enumerate(np.asarray(array).reshape(-1).tolist()):
        if isinstance(value, bytes):
            made[position] = value.decode("utf-8", "surrogateescape")
        elif isinstance(value, str):
            made[position] = value
        else:
            said = f"element {position} is a {type(value).__name__}, not text: give it a dtype of numbers"
            raise ValueError(said)  # noqa: TRY004  a value of an array, not an argument
    return made.reshape(array.shape)


def to_bytes(array: Array) -> bytes | memoryview:
    """What an array is stored as: its bytes in C order, or text as `texts_of_bytes` reads it again.

    Raises:
        ValueError: it holds objects that are no text.
    """
    if is_text(array):
        return json.dumps(texts(array).reshape(-1).tolist()).encode()
    return memoryview(np.asarray(array, order="C").reshape(-1).view(np.uint8))  # type: ignore[arg-type]


def texts_of_bytes(raw: bytes, shape: tuple[int, ...]) -> Array:
    """Text as it was stored by `to_bytes`.

    Raises:
        ValueError: the bytes hold no such text, or of another number of elements.
    """
    with reading("its bytes", "text as it is stored"):
        values = json.loads(raw)  # texts of a tensor: of any number, and a NUL is one of their characters
        made = np.empty(len(values), object)
        made[:] = values
        return texts(made.reshape(shape))


def storable(array: Array) -> Array:
    """An array as numpy's own files hold it, which know neither bfloat16 nor text of objects: widened, or as `U`."""
    if is_text(array):
        return texts(array).astype(np.str_)
    if array.dtype.isbuiltin == 1:
        return array
    return array.astype(np.int8 if "int" in array.dtype.name else np.float32)


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_array(array: Array) -> str:
    """SHA-256 of dtype, shape and bytes in C order."""
    digest = hashlib.sha256(f"{dtype_name(array)}{array.shape}".encode())
    digest.update(to_bytes(array))
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
