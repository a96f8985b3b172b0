"""Reference files that other harnesses wrote, as steps of (inputs, outputs): JSON lines, npz, Polygraphy's JSON.

Each reader yields a step at a time, so a file larger than memory is no problem; an error names the record.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from assay.runner.errors import BadDocument, UsageError
from assay.runner.tensors import TEXT, Array, Tensors, dtype_named, texts
from assay.runner.workloads.array_files import npy, npy_file, npz
from assay.schema.reading import MEASURED, json_document, read_lines, read_text, reading

Step = tuple[Tensors, Tensors]
_INPUT_WORDS = ("input", "inputs", "feed")
_OUTPUT_WORDS = ("output", "outputs", "expected", "reference")


def read_reference(path: Path, inputs: Path | None = None) -> Iterator[Step]:
    """Steps of a reference file, by its suffix: .jsonl, .npz (or a folder of them, a file a step), .json of Polygraphy.

    `inputs` is Polygraphy's file of saved inputs; its results alone do not have them.

    Raises:
        UsageError: missing, of another kind, or damaged; names the record.
    """
    if not path.exists():
        raise UsageError(f"{path} is not there.")
    if path.is_dir() or path.suffix == ".npz":
        files = sorted(path.glob("*.npz")) if path.is_dir() else [path]
        if not files:
            raise UsageError(f"{path} holds no .npz files.")
        return (_npz_step(file) for file in files)
    if path.suffix == ".jsonl":
        return _json_lines(path)
    if path.suffix == ".json":
        return _polygraphy(path, inputs)
    raise UsageError(f"{path}: references are read from .jsonl, .npz (or a folder of them) and Polygraphy's .json.")


def header(path: Path) -> dict[str, Any]:
    """What the first line of a JSONL file says of itself, when it is no record; only plain values."""
    if path.suffix != ".jsonl":
        return {}
    try:
        first = next(read_lines(path), b"")
        data = json_document(first, path.name)
    except BadDocument:
        return {}
    if not isinstance(data, dict) or "inputs" in data or "outputs" in data:
        return {}
    return {str(key): value for key, value in data.items() if isinstance(value, str | int | float | bool)}


def _json_lines(path: Path) -> Iterator[Step]:
    number = 0
    for line_number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        where = f"{path.name}, record {number} (line {line_number})"
        try:
            data = json_document(line, "it", MEASURED)
        except ValueError as error:
            cut = "" if line.endswith(b"\n") else " The file was cut short here."
            raise UsageError(f"{where} is no JSON: {error}.{cut}") from None
        if not isinstance(data, dict):
            raise UsageError(f"{where} is no object with inputs and outputs.")
        if "inputs" not in data and "outputs" not in data and number == 0:
            continue  # a header
        if not isinstance(data.get("inputs"), dict) or not isinstance(data.get("outputs"), dict):
            raise UsageError(f"{where} has no inputs or no outputs; it has {', '.join(map(str, data)) or 'nothing'}.")
        sides = [
            {str(name): _array(value, path.parent, f"{where}, {side} {name!r}") for name, value in data[side].items()}
            for side in ("inputs", "outputs")
        ]
        yield sides[0], sides[1]
        number += 1
    if number == 0:
        raise UsageError(f"{path.name} holds no record.")


def _array(value: Any, folder: Path, where: str) -> Array:
    """One array in any of the three encodings: nested lists, base64 bytes, a .npy file beside."""
    with reading(f"{where} cannot be read", "an array"):
        if isinstance(value, Mapping) and "npy_path" in value:
            return _npy(value["npy_path"], folder, where)
        if isinstance(value, Mapping):
            return _base64(value)
        return _nested(value)


def _npy(name: str, folder: Path, where: str) -> Array:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(f"{name} lies outside the folder of the reference")
    return npy_file(path, f"{where}: {name}")


def _base64(value: Mapping[str, Any]) -> Array:
    if value["dtype"] == TEXT:
        raise ValueError("text is written as nested lists, not as bytes")
    dtype, shape = dtype_named(value["dtype"]), tuple(int(size) for size in value["shape"])
    raw = base64.b64decode(value["data_b64"], validate=True)
    wanted = prod(shape) * dtype.itemsize
    if len(raw) != wanted:
        raise ValueError(f"{len(raw)} bytes came for shape {list(shape)} of {dtype.name}, which has {wanted}")
    return np.frombuffer(raw, dtype).reshape(shape)


def _nested(value: Any) -> Array:
    """Numbers as JSON has them: float32 (the dtype of what is compared), or int64, or bool; or text."""
    array = np.array(value)
    if array.dtype.kind == "U" and isinstance(value, list) and _all_text(value):
        return texts(array)
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    if array.dtype.kind not in "iub":
        raise ValueError("it is ragged, or holds something else than numbers or text alone")
    return array.astype(np.int64) if array.dtype.kind in "iu" else array


def _all_text(value: Any) -> bool:
    """Whether nested lists hold strings alone: numpy would make strings of the numbers beside them."""
    return all(map(_all_text, value)) if isinstance(value, list) else isinstance(value, str)


def _npz_step(path: Path) -> Step:
    """Arrays named `input.NAME` and `output.NAME` (or inputs/, expected., ...); `actual.` is left out."""
    sides: tuple[Tensors, Tensors] = ({}, {})
    for key, array in npz(path, f"{path.name} cannot be read").items():
        side, separator, name = key.replace("/", ".", 1).partition(".")
        for into, known in zip(sides, (_INPUT_WORDS, _OUTPUT_WORDS), strict=True):
            if separator and side in known:
                into[name] = array
    if not sides[1]:
        raise UsageError(f"{path.name} has no outputs: name its arrays input.NAME and output.NAME.")
    return sides


def _polygraphy(path: Path, inputs: Path | None) -> Iterator[Step]:
    """Steps of `_saved`, made one at a time inside one `reading`: nothing of the caller's runs in it."""
    steps = _saved(path, inputs)
    while True:
        with reading(path.name, "saved results of Polygraphy"):
            step = next(steps, None)
        if step is None:
            return
        yield step


def _saved(path: Path, inputs: Path | None) -> Iterator[Step]:
    """Saved results of one runner (the first), with the saved inputs of the same run."""
    results = _polygraphy_json(path)
    if not isinstance(results, dict) or not results.get("lst"):
        raise UsageError(f"{path.name} holds no saved results of Polygraphy (polygraphy run ... --save-outputs).")
    if inputs is None:
        raise UsageError(
            f"{path.name} has outputs only: give the inputs of the same run with --inputs (polygraphy run ..."
            " --save-inputs)."
        )
    fed = _polygraphy_json(inputs)
    _, iterations = results["lst"][0]
    if len(fed) != len(iterations):
        raise UsageError(f"{inputs.name} has {len(fed)} iterations, {path.name} has {len(iterations)}.")
    for number, (feed, result) in enumerate(zip(fed, iterations, strict=True)):
        sides = []
        for side, arrays, file in (("input", feed, inputs), ("output", result["outputs"], path)):
            sides.append(
                {
                    name: _polygraphy_array(value, f"{file.name}, iteration {number}, {side} {name!r}")
                    for name, value in arrays.items()
                }
            )
        yield sides[0], sides[1]


def _polygraphy_json(path: Path) -> Any:
    return json_document(read_text(path, MEASURED, f"{path.name} cannot be read as JSON"), path.name, MEASURED)


def _polygraphy_array(value: Any, where: str) -> Array:
    while isinstance(value, dict) and "values" in value:
        value = value["values"]
    with reading(f"{where} is damaged", "an array of Polygraphy"):
        return npy(base64.b64decode(value["array"], validate=True), where)


def checked(steps: Iterator[Step], known: Sequence[str] = ()) -> Iterator[Step]:
    """The steps, as long as each has the names of the first; a step that changes them is not of this stream.

    Raises:
        UsageError: an input or output appears or vanishes.
    """
    first: tuple[set[str], set[str]] | None = None
    for number, (inputs, outputs) in enumerate(steps):
        names = (set(inputs), set(outputs))
        first = first or names
        if names != first:
            changed = sorted((names[0] ^ first[0]) | (names[1] ^ first[1]))
            raise UsageError(f"record {number} has other arrays than the first: {', '.join(changed)} came or went.")
        if unknown := sorted(set(known) - names[0] - names[1]):
            raise UsageError(f"record {number} has no {', '.join(unknown)}, which the contract names.")
        yield inputs, outputs
