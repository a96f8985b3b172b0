"""What both of ONNX Runtime's quantizers start from: constants folded, nodes fused.

Weights beside the file where it is large.
"""

from __future__ import annotations

from pathlib import Path

import onnx
from onnxruntime.quantization.shape_inference import quant_pre_process

PROTOBUF_LIMIT = 1_800_000_000


def is_large(path: Path) -> bool:
    """Whether weights lie beside the file, or have to: a protobuf holds 2 GB."""
    if path.stat().st_size > PROTOBUF_LIMIT:
        return True
    graph = onnx.load(path, load_external_data=False).graph
    return any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in graph.initializer)


def save(model: onnx.ModelProto, path: Path, *, large: bool) -> None:
    onnx.save(model, path, save_as_external_data=large, location=f"{path.name}.data" if large else None)


def prepare(base: Path, scratch: Path, *, fold: bool) -> Path:
    """The float model that is quantized, in `scratch`.

    Constants folded and nodes fused as ONNX Runtime's own pre-processing does.
    """
    prepared, large = scratch / "prepared.onnx", is_large(base)
    if fold:
        quant_pre_process(
            str(base),
            str(prepared),
            skip_symbolic_shape=True,
            save_as_external_data=large,
            all_tensors_to_one_file=True,
            external_data_location=f"{prepared.name}.data" if large else None,
        )
    else:
        save(onnx.load(base), prepared, large=large)
    return prepared
