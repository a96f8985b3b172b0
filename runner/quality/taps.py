"""Running an ONNX file with tensors inside it as outputs, as it would be shipped or node by node as written."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import onnx
import onnxruntime as ort

from assay.runner.backends.onnxruntime_session import OPTIMIZATION
from assay.runner.tensors import Tensors

_SERIALIZED = 1_500_000_000
"""A protobuf holds 2 GB; a larger model is written beside its weights."""


class Tapped:
    """A session whose outputs are tensors of one's choice; without optimization, every node runs as it is written."""

    def __init__(
        self, path: Path, tensors: list[str], optimization: str = "none", *, threads: int | None = None
    ) -> None:
        model = onnx.load(path)
        own = {output.name for output in model.graph.output}
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(tensors) if name not in own)
        options = ort.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
        options.graph_optimization_level = OPTIMIZATION[optimization]
        # Threads that wait by spinning would take the cores from the session whose turn is next, and from what is
        # computed in between.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_cpu_mem_arena = False  # it keeps the most that any batch needed, for each session
        self._folder = tempfile.TemporaryDirectory(prefix="assay-taps-")
        source: bytes | str
        if model.ByteSize() > _SERIALIZED:
            source = str(Path(self._folder.name) / "tapped.onnx")
            onnx.save(model, source, save_as_external_data=True, location="weights")
        else:
            source = model.SerializeToString()
        del model
        self._session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        self._tensors = tensors
        self._inputs = {port.name for port in self._session.get_inputs()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    def run(self, inputs: Tensors) -> Tensors:
        """The tensors asked for, and no others."""
        fed = {name: array for name, array in inputs.items() if name in self._inputs}
        return dict(zip(self._tensors, self._session.run(self._tensors, fed), strict=True))
