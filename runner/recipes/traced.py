"""A fresh trace of a module, held against the one that a cached export was made of.

Tracing costs a fraction of an export (PyTorch's graph is made, nothing is translated or optimized), and shows what the
identity of a model cannot: what a closure, a C extension or a variable of the environment changes.
"""

from __future__ import annotations

import json
import os
import time
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from assay.runner.errors import BadDocument
from assay.runner.identity.graphs import hash_exported, hash_scripted
from assay.runner.recipes.build import Ingredients
from assay.runner.recipes.export import call_of, settings_of
from assay.runner.recipes.torch_tensors import flat_outputs
from assay.schema.reading import json_document, read_text, reading

LONGEST_S = 60.0
"""A model whose trace took longer is not traced again for a cached export."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What tracing a module came to."""

    sha256: str | None
    """Of the graph, without names; None where there is none."""
    seconds: float
    problem: str | None = None
    """Why there is none."""


def trace(ingredients: Ingredients) -> Trace:
    """Trace the module as the recipe `export` would, and hash the graph; weights are part of the model's identity."""
    started = time.perf_counter()
    try:
        digest, problem = _graph_of(ingredients), None
    except Exception as error:  # noqa: BLE001  whatever a user's module raises: the export says it in its own words
        digest, problem = None, f"{type(error).__name__}: {str(error).strip()[:200]}"
    return Trace(digest, time.perf_counter() - started, problem)


def _graph_of(ingredients: Ingredients) -> str:
    module = ingredients.module
    if isinstance(module, torch.jit.ScriptModule):
        return hash_scripted(module.inlined_graph)
    tensors, scripted = call_of(ingredients)
    with warnings.catch_warnings(), flat_outputs(module, ingredients.output_names):
        warnings.simplefilter("ignore")
        settings = settings_of(ingredients, tensors, scripted=scripted)
        if scripted:
            traced = torch.jit.trace(settings["model"], settings["args"], check_trace=False, strict=False)
            return hash_scripted(traced.inlined_graph)
        dynamic: Any = settings.get("dynamic_shapes")
        program = torch.export.export(
            module, settings["args"], settings["kwargs"] or {}, dynamic_shapes=dynamic, strict=False
        )
    return hash_exported(program)


def is_another(cache: Path, key: str, found: Trace) -> bool:
    """Whether a trace has another graph than the first one of its key, which is kept beside the artifacts.

    `key` is of everything but the graph. A trace that could not be made says nothing.
    """
    before = _first(cache, key)
    if found.sha256 is None:
        return False
    if before is None:
        _write(cache, key, found)
    return before is not None and before.sha256 != found.sha256


def too_long(cache: Path, key: str) -> Trace | None:
    """The trace that was made before, where making it again would take too long."""
    before = _first(cache, key)
    if before is None or before.seconds <= LONGEST_S:
        return None
    return replace(before, problem=f"it took {before.seconds:.0f} s when it was exported")


def _first(cache: Path, key: str) -> Trace | None:
    path = _place(cache, key)
    try:
        with reading(path.name, "a trace that was kept"):
            told = Trace(**json_document(read_text(path), path.name))
            return told if isinstance(told.seconds, int | float) else None
    except BadDocument:
        return None


def _write(cache: Path, key: str, trace: Trace) -> None:
    path = _place(cache, key)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(asdict(trace)))
    temporary.replace(path)


def _place(cache: Path, key: str) -> Path:
    return cache / "traces" / f"{key}.json"
