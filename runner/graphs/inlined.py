"""ONNX files as one flat list of nodes each: local functions inlined."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx


def load(path: Path, *, weights: bool = True) -> Any:
    """A model, its local functions inlined; without `weights`, those that lie in other files are not read."""
    model = onnx.load(path, load_external_data=weights)
    if not model.functions:
        return model
    from onnx import inliner

    return inliner.inline_local_functions(model)
