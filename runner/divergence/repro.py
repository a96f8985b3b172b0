"""A suspect on its own: a small model, its inputs, what it should give, and a script that shows the error."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from assay.runner.divergence.suspects import Suspect
from assay.runner.errors import UsageError

_PATIENCE_S = 600.0
_SCRIPT = '''"""Reproduces {what} alone: {error}.

{nodes}. Needs onnxruntime and numpy. Run it in this folder: it ends with 1 while the error is there.
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
if expected.shape != actual.shape:
    print(f"shape {{actual.shape}}, expected {{expected.shape}}")
    sys.exit(1)
wide, right = actual.astype(np.float64), expected.astype(np.float64)
odd = np.isfinite(wide) != np.isfinite(right)
if odd.any():
    worst = np.unravel_index(odd.argmax(), odd.shape)
    print(f"{{odd.sum()}} of {{odd.size}} values are finite on one side only, the first {{wide[worst]}} at {{worst}}")
    sys.exit(1)
fine = np.isfinite(right)
error = np.abs(np.where(fine, wide, 0) - np.where(fine, right, 0))
norm = np.linalg.norm(np.where(fine, right, 0))
worst = np.unravel_index(error.argmax(), error.shape) if error.size else ()
relative = np.linalg.norm(error) / norm if norm else np.inf
print(f"max |error| {{error.max(initial=0):.6g}} at {{worst}}, relative L2 {{relative:.6g}}")
sys.exit(1 if error.max(initial=0) > {limit!r} else 0)
'''


def write_reproduction(
    folder: Path, suspect: Suspect | None, *, by_candidate: bool = False, python: str = sys.executable
) -> Path | None:
    """Write a suspect's part to a folder and run it; None when there is none, or when it does not show its error.

    The script runs the part and holds it against what should come out; with `by_candidate` against what the candidate
    (an engine, which the part alone does not reproduce) made of the same inputs.

    Raises:
        UsageError: the folder cannot be written.
    """
    if suspect is None or (by_candidate and suspect.actual is None):
        return None
    kept, computed = ("actual", "expected") if by_candidate else ("expected", "actual")
    import onnx

    order = [port.name for port in onnx.load_from_string(suspect.model).graph.input]
    keys = [f"array_{number}" for number in range(len(order))]
    arrays: dict[str, Any] = {key: suspect.inputs[name] for key, name in zip(keys, order, strict=True)}
    entry = suspect.entry
    finite = entry.local_max_abs is not None and math.isfinite(entry.local_max_abs)
    count = len(entry.between)
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
                error=f"max |error| {entry.local_max_abs:.6g}" if finite else entry.hint or "another shape came out",
                nodes="One node" if count == 1 else f"{count} nodes between two values that the reference has",
                keys=keys,
                limit=0.5 * entry.local_max_abs if finite and entry.local_max_abs else 0.0,
                kept=kept,
                computed=computed,
            )
        )
    except OSError as problem:
        raise UsageError(f"cannot write the reproduction to {folder}: {problem.strerror}.") from None
    if shows(folder, python):
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    return None


def shows(folder: Path, python: str = sys.executable) -> bool:
    """Whether a reproduction, run as a person would, ends with 1 and says what is wrong."""
    try:
        done = subprocess.run(
            [python, "reproduce.py"], cwd=folder, capture_output=True, text=True, check=False, timeout=_PATIENCE_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 1 and bool(done.stdout.strip()) and not done.stderr.strip()
