"""In which element types ONNX Runtime really computes: its optimized graph is written, and read.

On a provider without kernels for a type it widens the nodes, and puts casts round them; only that graph says so.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort

from assay.runner.graphs import arithmetic, inlined
from assay.runner.graphs.element_types import typed_nodes
from assay.runner.graphs.precision import Counts

_MOST_BYTES = 4 << 30
"""Larger models are not loaded a second time for this."""
_OPTIMIZED, _WEIGHTS = "optimized.onnx", "optimized.data"


def arithmetic_of(
    path: Path, level: Any, entries: Mapping[str, Any], provider: tuple[str, Mapping[str, Any]]
) -> Counts | None:
    """Products and other nodes by the type that they run in, of a session opened with these settings.

    None where it is not known: the model is too large to be loaded twice, or the provider compiles nodes to something
    that cannot be written. Of a file without halves or codes, the file itself is read: nothing of it is widened.
    """
    nodes = typed_nodes(inlined.load(path, weights=False))
    if not arithmetic.is_narrow(nodes):
        return arithmetic.stored(nodes).facts()
    if sum(file.stat().st_size for file in path.parent.iterdir() if file.name.startswith(path.name)) > _MOST_BYTES:
        return None
    with tempfile.TemporaryDirectory() as folder:
        settings = ort.SessionOptions()
        settings.log_severity_level = 4
        settings.graph_optimization_level = level
        settings.optimized_model_filepath = str(Path(folder) / _OPTIMIZED)
        for key, value in entries.items():
            settings.add_session_config_entry(key, str(value))
        settings.add_session_config_entry("session.optimized_model_external_initializers_file_name", _WEIGHTS)
        settings.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "1024")
        try:
            ort.InferenceSession(str(path), settings, providers=[(provider[0], dict(provider[1]))])
            written = onnx.load(settings.optimized_model_filepath, load_external_data=False)
        except Exception:  # noqa: BLE001  its exceptions share no base class; the session that counts is open
            return None
        return arithmetic.executed(typed_nodes(written)).facts()
