"""A suspect on its own: a small model, its inputs, what it should give, and a script that shows the error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from assay.runner.divergence.explanation import Explanation
from assay.runner.errors import UsageError

_SCRIPT = '''"""Reproduces {what} alone: {error}.

Needs onnxruntime and numpy. Run it in this folder.
"""

import sys

import numpy as np
import onnxruntime

arrays = np.load("inputs.npz")
{kept} = np.load("{kept}.npy")
options = onnxruntime.SessionOptions()
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
session = onnxruntime.InferenceSession("model.onnx", options, providers=["CPUExecutionProvider"])
names = {{port.name: key for port, key in zip(session.get_inputs(), {keys!r})}}
({computed},) = session.run(None, {{name: arrays[key] for name, key in names.items()}})
error = np.abs(actual.astype(np.float64) - expected.astype(np.float64))
norm = np.linalg.norm(expected.astype(np.float64))
worst = np.unravel_index(error.argmax(), error.shape)
relative = np.linalg.norm(error) / norm if norm else np.inf
print(f"max |error| {{error.max():.6g}} at {{worst}}, relative L2 {{relative:.6g}}")
sys.exit(1 if error.max() > {limit!r} else 0)
'''


def write_reproduction(folder: Path, found: Explanation, *, by_candidate: bool = False) -> Path | None:
    """Write the suspect's part to a folder; None when nothing is suspect.

    The script runs the part and holds it against what should come out; with `by_candidate` against what the candidate
    (an engine, which the part alone does not reproduce) made of the same inputs.

    Raises:
        UsageError: the folder cannot be written.
    """
    suspect = found.suspect
    if suspect is None or (by_candidate and suspect.actual is None):
        return None
    kept, computed = ("actual", "expected") if by_candidate else ("expected", "actual")
    import onnx

    order = [port.name for port in onnx.load_from_string(suspect.model).graph.input]
    keys = [f"array_{number}" for number in range(len(order))]
    arrays: dict[str, Any] = {key: suspect.inputs[name] for key, name in zip(keys, order, strict=True)}
    entry = suspect.entry
    error = f"max |error| {entry.local_max_abs:.6g}" if entry.local_max_abs is not None else "another shape came out"
    limit = 0.5 * entry.local_max_abs if entry.local_max_abs else 0.0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.onnx").write_bytes(suspect.model)
        np.savez(folder / "inputs.npz", **arrays)
        np.save(folder / "expected.npy", suspect.expected)
        if by_candidate and suspect.actual is not None:
            np.save(folder / "actual.npy", suspect.actual)
        (folder / "reproduce.py").write_text(
            _SCRIPT.format(
                what=f"{entry.op_type} {entry.node!r}",
                error=error,
                keys=keys,
                limit=limit,
                kept=kept,
                computed=computed,
            )
        )
    except OSError as problem:
        raise UsageError(f"cannot write the reproduction to {folder}: {problem.strerror}.") from None
    return folder
