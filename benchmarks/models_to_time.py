"""Models that several benchmarks time."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LAYERS, WIDTH = 12, 1024


def millisecond_model(path: Path) -> Path:
    """A stack of matrix products, about 1 ms on one thread."""
    random = np.random.default_rng(0)
    names = [f"x{i}" for i in range(LAYERS + 1)]
    weights = [
        numpy_helper.from_array((random.standard_normal((WIDTH, WIDTH)) / 32).astype(np.float32), f"w{i}")
        for i in range(LAYERS)
    ]
    nodes = [helper.make_node("MatMul", [names[i], f"w{i}"], [names[i + 1]]) for i in range(LAYERS)]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, WIDTH]) for name in (names[0], names[-1])]
    model = helper.make_model(
        helper.make_graph(nodes, "stack", ends[:1], ends[1:], weights), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 9
    onnx.save(model, path)
    return path
