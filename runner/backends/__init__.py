"""What executes a model. A backend is one file: open, infer, close; nothing else imports its library.

Add one: a file here with `open_session`, a line in BACKENDS, and an extra of the same name in pyproject.toml. The
contract test in `tests/runner/test_backends.py` then runs over it.
"""

from __future__ import annotations

import importlib
from typing import Any

from assay.runner.errors import EnvironmentMissing, UsageError, nearest
from assay.runner.session import Backend

BACKENDS = {
    "pytorch": "assay.runner.backends.pytorch_module",
    "onnxruntime": "assay.runner.backends.onnxruntime_session",
    "tensorrt": "assay.runner.backends.tensorrt_engine",
    "fake": "assay.runner.backends.fake",
}
"""Name -> module, imported on first use."""

DISTRIBUTIONS = {"pytorch": "torch", "onnxruntime": "onnxruntime", "tensorrt": "tensorrt", "fake": "numpy"}
"""Name -> the library that has to be installed."""

ENGINES = {"tensorrt": "tensorrt"}
"""Backend -> the recipe that makes what it opens from a variant's ONNX file (`assay.runner.recipes.ENGINE_RECIPES`)."""


def load_backend(kind: str) -> Backend:
    """Import a backend's file.

    Raises:
        UsageError: no backend has this name.
        EnvironmentMissing: its library is not installed; the message is the command that installs it.
    """
    if kind not in BACKENDS:
        raise UsageError(f"unknown backend {kind!r}.{nearest(kind, BACKENDS)}")
    try:
        module: Any = importlib.import_module(BACKENDS[kind])
    except ImportError as error:
        raise EnvironmentMissing(
            f"backend {kind!r} needs the Python package {error.name or DISTRIBUTIONS[kind]!r}, which cannot be imported"
            f" ({error}). Install it with: pip install 'assay[{kind}]'"
        ) from error
    backend: Backend = module
    return backend
