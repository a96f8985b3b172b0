"""Making an artifact once: the cache is keyed by everything a recipe reads, and checked when it is used."""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from assay.runner.errors import AssayError, BadDocument, UsageError, in_full
from assay.runner.recipes import RECIPES
from assay.runner.recipes.calibration import CalibrationData
from assay.runner.recipes.options import defaults
from assay.runner.tensors import Tensors, hash_file
from assay.schema.documents import pack, unpack
from assay.schema.reading import read_text, reading

_LIBRARIES = ("torch", "onnx", "onnxscript", "onnxruntime")
_MODEL = "model.onnx"
_ENGINE = "model.engine"


@dataclass(frozen=True, slots=True)
class Ingredients:
    """What a recipe may read, and where it writes."""

    target: Path
    """The ONNX file (or engine) to write; external data goes beside it."""
    options: dict[str, Any]
    example: Tensors
    """The workload's first batch."""
    module: Any
    """The PyTorch module in evaluation mode, or None."""
    base: Path | None
    """The FP32 ONNX file, for recipes that start from it."""
    onnx: str | None
    """A given ONNX path or factory."""
    onnx_options: dict[str, Any]
    folder: Path
    output_names: tuple[str, ...]
    calibration: CalibrationData | None = None
    """Data to learn ranges from, for recipes that need some."""
    graph: str | None = None
    """Hash of the graph that a fresh trace of the module has; None where it was not traced."""


@dataclass(frozen=True, slots=True)
class Built:
    """An artifact in the cache, with the facts read from the file itself."""

    path: Path
    sha256: str
    bytes: int
    parameters: int | None
    """None of an engine, like the two that follow."""
    bits_per_weight: float | None
    opset: int | None
    recipe_sha256: str
    build_s: float | None
    """None when it was there already."""
    calibration_sha256: str | None = None
    """Of the data that ranges were learnt from."""
    settings: dict[str, Any] | None = None
    """What an engine was built with, as its recipe tells."""
    file_sha256: str | None = None
    """Of the engine's file alone: what it is known by when it is loaded."""


def build(recipe: str, ingredients: Ingredients, origin: str, cache: Path) -> Built:
    """The artifact of a recipe; `origin` is the hash of the source it is made from.

    Raises:
        UsageError: the recipe failed, with its own words, or made no valid ONNX file.
    """
    function = RECIPES[recipe].load()
    name = _ENGINE if RECIPES[recipe].makes == "engine" else _MODEL
    learnt_from = ingredients.calibration.measure().sha256 if ingredients.calibration else None
    key = key_of(recipe, ingredients, origin, learnt_from)
    folder = cached_file(cache, key).parent
    if (cached := _from_cache(folder, name, key)) is not None:
        return cached
    temporary = cache / f".{key}.{os.getpid()}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    started = time.perf_counter()
    try:
        settings = function(replace(ingredients, target=temporary / name))
        seen = _inspect_engine if name == _ENGINE else _inspect
        built = replace(
            seen(temporary / name, key, time.perf_counter() - started),
            calibration_sha256=learnt_from,
            settings=settings,
        )
        (temporary / "artifact.json").write_text(pack(asdict(built)))
        if (
            cached := _from_cache(folder, name, key)
        ) is not None:  # another run was faster: its file may be open already
            return cached
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    except AssayError:
        raise
    except Exception as error:
        raise UsageError(f"recipe {recipe!r} failed: {in_full(error)}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return replace(built, path=folder / name)


def cached_file(cache: Path, key: str) -> Path:
    """Where the artifact of a recipe's hash lies, whether it is there or not."""
    return cache / key[:2] / key / _MODEL


def kept(cache: Path, key: str) -> tuple[Path, str] | None:
    """The intact ONNX file of a recipe's hash and its SHA-256; None where it is not there, or not what was built."""
    path = cached_file(cache, key)
    found = _from_cache(path.parent, path.name, key)
    return None if found is None else (found.path, found.sha256)


def key_of(recipe: str, ingredients: Ingredients, origin: str, calibration: str | None = None) -> str:
    """Hash of everything that a recipe reads; `calibration` is that of the data that it learns from."""
    function = RECIPES[recipe].load()
    versions = _tools(recipe, function, ingredients)
    for library in _LIBRARIES:
        try:
            versions[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            versions[library] = ""
    facts = {
        "recipe": recipe,
        "code": inspect.getsource(inspect.getmodule(function) or function),
        "options": ingredients.options,
        "defaults": defaults(RECIPES[recipe].options),
        "origin": origin,
        "base": hash_file(ingredients.base) if ingredients.base else None,
        "calibration": calibration,
        "shapes": {name: [array.dtype.name, *array.shape] for name, array in ingredients.example.items()},
        "versions": versions,
        "graph": ingredients.graph,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def _tools(recipe: str, function: Callable[..., Any], ingredients: Ingredients) -> dict[str, str]:
    """Versions that a recipe knows of, beside this environment's libraries: it may run elsewhere."""
    told = getattr(inspect.getmodule(function), "tools", None)
    return (
        {}
        if told is None
        else {f"{recipe}/{name}": text for name, text in told(ingredients.options, ingredients.folder).items()}
    )


def _from_cache(folder: Path, name: str, key: str) -> Built | None:
    """The cached artifact if its file is still what was built; a damaged one is made again."""
    path = folder / name
    try:
        with reading(str(folder), "an artifact that was kept"):
            facts = unpack(read_text(folder / "artifact.json"))
            if _hash_all(path) != facts["sha256"] or facts["recipe_sha256"] != key:
                return None
            return Built(**{**facts, "path": path, "build_s": None})
    except BadDocument:
        return None


def _hash_all(path: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(path.parent.iterdir()):
        if file.name != "artifact.json":
            digest.update(file.name.encode())
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def _inspect(path: Path, key: str, build_s: float) -> Built:
    """Facts of an ONNX file: elements and bytes of its stored weights, opset, size with external data."""
    import numpy as np
    import onnx

    model = onnx.load(path)
    try:
        onnx.checker.check_model(str(path))
    except onnx.checker.ValidationError as error:
        raise UsageError(f"not a valid ONNX model: {str(error).strip()[:600]}") from error
    elements = bits = 0
    for tensor in model.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.ndim == 0:
            continue  # scales, zero points and constants are not weights
        elements += array.size
        bits += array.size * _bits(array.dtype)
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
    size = sum(f.stat().st_size for f in path.parent.iterdir() if f.name != "artifact.json")
    per_weight = bits / elements if elements else None
    return Built(path, _hash_all(path), size, int(np.int64(elements)), per_weight, opset, key, build_s)


def _inspect_engine(path: Path, key: str, build_s: float) -> Built:
    """Facts of an engine: what is in it only TensorRT can tell."""
    return Built(
        path, _hash_all(path), path.stat().st_size, None, None, None, key, build_s, file_sha256=hash_file(path)
    )


def _bits(dtype: Any) -> int:
    import ml_dtypes

    return 4 if dtype in (ml_dtypes.int4, ml_dtypes.uint4) else int(dtype.itemsize) * 8
