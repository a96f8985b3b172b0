"""Goldens: inputs and reference outputs, kept by content.

    goldens/objects/ab/abcd....zst   one array's bytes, compressed, named by the SHA-256 of dtype, shape and bytes
    goldens/objects/ab/abcd....raw   the same as they are, where compressing gains little: mapped, not copied
    goldens/NAME.json                the index: for each step, input and output names with their objects

Equal arrays are stored once (a state that goes out at one step comes in at the next), any step is read without the
others, and `verify` names the record that is damaged.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import zstandard
from pydantic import BaseModel, Field, NonNegativeInt

from assay.runner.errors import BadDocument, UsageError, nearest
from assay.runner.tensors import TEXT, Array, Tensors, dtype_name, dtype_named, hash_array, texts_of_bytes, to_bytes
from assay.schema.documents import pack, unpack
from assay.schema.reading import MEASURED, bounded, read_text, reading

FORMAT = 1
_WORTH_COMPRESSING = 0.8
"""Compressed over plain size: above it, an array stays as it is."""
_SAMPLE = 1 << 18
"""Bytes from which it is told whether a large array compresses."""


class _Entry(BaseModel):
    """An array of an index. Its hash names a file, so it is nothing but a hash."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    dtype: str
    shape: Annotated[list[NonNegativeInt], Field(max_length=64)]
    bytes: NonNegativeInt


class _Step(BaseModel):
    inputs: dict[str, _Entry]
    outputs: dict[str, _Entry]


class _Index(BaseModel):
    facts: dict[str, Any]
    steps: list[_Step]


@dataclass(frozen=True, slots=True)
class Golden:
    folder: Path
    name: str
    facts: dict[str, Any]
    """Where it came from: model, version, backend, workload, environment."""
    steps: list[dict[str, dict[str, dict[str, Any]]]]

    def inputs(self, step: int) -> Tensors:
        return self._read(step, "inputs")

    def outputs(self, step: int) -> Tensors:
        return self._read(step, "outputs")

    def _read(self, step: int, side: str) -> Tensors:
        where = f"golden {self.name!r}, step {step}, {side}"
        return {
            name: _read_object(self.folder, entry, f"{where} {name!r}")
            for name, entry in self.steps[step][side].items()
        }

    def sha256(self, side: str) -> str:
        """Of all arrays of one side, by step and name, from the index alone."""
        import hashlib

        digest = hashlib.sha256()
        for step in self.steps:
            for name in sorted(step[side]):
                digest.update(f"{name}:{step[side][name]['sha256']};".encode())
        return digest.hexdigest()

    def bytes(self) -> tuple[int, int]:
        """Bytes of all arrays, and of the objects that hold them."""
        entries = {e["sha256"]: e for step in self.steps for side in step.values() for e in side.values()}
        total = sum(e["bytes"] for step in self.steps for side in step.values() for e in side.values())
        return total, sum(_stored(self.folder, sha).stat().st_size for sha in entries)


def _object_path(folder: Path, sha256: str, suffix: str) -> Path:
    return folder / "objects" / sha256[:2] / f"{sha256}{suffix}"


def _stored(folder: Path, sha256: str) -> Path:
    """The file that holds an array: mapped as it is, or compressed."""
    plain = _object_path(folder, sha256, ".raw")
    return plain if plain.exists() else _object_path(folder, sha256, ".zst")


def _write_object(folder: Path, array: Array) -> dict[str, Any]:
    sha256, data = hash_array(array), memoryview(to_bytes(array))
    if not _stored(folder, sha256).exists():
        compressor = zstandard.ZstdCompressor(level=3)
        middle = max(0, (data.nbytes - _SAMPLE) // 2)
        sample = data[middle : middle + _SAMPLE]
        compresses = len(compressor.compress(sample)) < _WORTH_COMPRESSING * sample.nbytes
        path = _object_path(folder, sha256, ".zst" if compresses else ".raw")
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            temporary.write_bytes(compressor.compress(data) if compresses else data)
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise UsageError(f"cannot write to {folder}: {error.strerror}. The golden was not recorded.") from None
    return {"dtype": dtype_name(array), "shape": list(array.shape), "sha256": sha256, "bytes": data.nbytes}


def _read_object(folder: Path, entry: Mapping[str, Any], where: str) -> Array:
    path = _stored(folder, entry["sha256"])
    text, shape = entry["dtype"] == TEXT, tuple(entry["shape"])
    try:
        dtype = dtype_named(entry["dtype"])
        if path.suffix == ".raw":
            if path.stat().st_size != entry["bytes"]:
                raise ValueError(f"{path.stat().st_size} bytes are there, {entry['bytes']} were recorded")  # noqa: TRY301
            if entry["bytes"] and not text:
                return np.memmap(path, dtype, "r", shape=shape)
        raw = _raw(path, entry["bytes"])
        array: Array = texts_of_bytes(raw, shape) if text else np.frombuffer(raw, dtype).reshape(shape)
    except Exception as error:  # noqa: BLE001  the file, zstandard and numpy each have their own
        raise BadDocument(f"{where} is damaged: {error}. Record it again with: assay golden record") from None
    return array


def _raw(path: Path, size: int) -> bytes:
    """The bytes of a stored array; none are none, however the file holds them."""
    if not size or path.suffix == ".raw":
        return path.read_bytes() if size else b""
    packed = path.read_bytes()
    announced = zstandard.frame_content_size(packed)  # it would give as much memory, whatever is in the file
    if announced not in (-1, size):
        raise ValueError(f"{announced} bytes are announced, {size} were recorded")
    return bytes(zstandard.ZstdDecompressor().decompress(packed, max_output_size=size))


def write(folder: Path, name: str, facts: dict[str, Any], steps: Iterable[tuple[Tensors, Tensors]]) -> Golden:
    """Record steps of (inputs, outputs) under a name; an older golden of that name is replaced at the very end."""
    folder.mkdir(parents=True, exist_ok=True)
    index = [
        {
            "inputs": {key: _write_object(folder, array) for key, array in inputs.items()},
            "outputs": {key: _write_object(folder, array) for key, array in outputs.items()},
        }
        for inputs, outputs in steps
    ]
    path = _index_path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(pack({"format": FORMAT, "facts": facts, "steps": index}))
    temporary.replace(path)
    return Golden(folder, name, facts, index)


def check_name(name: str) -> None:
    """Raises UsageError: not a name that a file can have."""
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise UsageError(f"a golden's name is letters, digits, '.', '_' and '-', not {name!r}.")


def _index_path(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def names(folder: Path) -> list[str]:
    """Goldens that people recorded; references of runs, which lie in a folder of their own, are left out."""
    return sorted(path.stem for path in folder.glob("*.json"))


def read(folder: Path, name: str) -> Golden:
    """Open a golden by name; arrays are read when they are asked for.

    Raises:
        UsageError: there is none of this name, or its index is damaged.
    """
    path = _index_path(folder, name)
    if not path.exists():
        raise UsageError(f"there is no golden {name!r} in {folder}.{nearest(name, names(folder))}")
    where = f"the index of golden {name!r} is damaged"
    with reading(where, "an index of a golden"):
        data = unpack(read_text(path, MEASURED))
        bounded(data, where, MEASURED)
        if data["format"] != FORMAT:
            raise UsageError(f"golden {name!r} has format {data['format']}, this Assay reads format {FORMAT}.")
        _Index.model_validate(data)
        return Golden(folder, name, data["facts"], data["steps"])


def unchanging_outputs(golden: Golden) -> list[str]:
    """Outputs that are the same array at every step, although the inputs are not; from the index alone."""
    if len(golden.steps) < 2 or len({json.dumps(step["inputs"], sort_keys=True) for step in golden.steps}) < 2:
        return []
    first = golden.steps[0]["outputs"]
    return [name for name, entry in first.items() if all(step["outputs"].get(name) == entry for step in golden.steps)]


def verify(golden: Golden) -> list[str]:
    """What is damaged, one line a record; empty when every array is what was recorded."""
    problems = []
    for number, step in enumerate(golden.steps):
        for side, entries in step.items():
            for name, entry in entries.items():
                where = f"step {number}, {side} {name!r}"
                try:
                    array = _read_object(golden.folder, entry, where)
                except UsageError as error:
                    problems.append(str(error))
                    continue
                if hash_array(array) != entry["sha256"]:
                    problems.append(f"{where}: the array is not the one that was recorded (its SHA-256 differs)")
    return problems
