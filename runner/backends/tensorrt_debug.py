"""Values inside a TensorRT engine: of what it did not fuse, or of tensors that are kept apart for it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import tensorrt as trt
import torch

from assay.runner.backends import cuda_device
from assay.runner.backends.tensorrt_build import checked, parse, serialize
from assay.runner.backends.tensorrt_engine import TYPES, TensorRTSession
from assay.runner.errors import UsageError
from assay.runner.graphs.engine_sizes import Sizes, profiles
from assay.runner.recipes.torch_tensors import to_numpy
from assay.runner.tensors import Tensors

_NAME = ctypes.pythonapi.PyCapsule_GetName
_NAME.restype, _NAME.argtypes = ctypes.c_char_p, [ctypes.py_object]
_POINTER = ctypes.pythonapi.PyCapsule_GetPointer
_POINTER.restype, _POINTER.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]


class Listener(trt.IDebugListener):
    """Hands every debug tensor on while its memory is valid: (address, on the host, type, shape, name, stream)."""

    def __init__(self, take: Callable[[int, bool, Any, tuple[int, ...], str, int], None]) -> None:
        trt.IDebugListener.__init__(self)
        self._take = take

    def process_debug_tensor(self, addr: Any, location: Any, type: Any, shape: Any, name: str, stream: int) -> bool:  # noqa: A002
        address = _POINTER(addr, _NAME(addr)) or 0
        self._take(int(address), location == trt.TensorLocation.HOST, type, tuple(shape), name, int(stream))
        return True


def observe(
    onnx: Path, inputs: Tensors, options: Mapping[str, Any], device_name: str, marked: Collection[str] = ()
) -> Tensors:
    """Values of an engine's tensors by name, for one batch, and its outputs.

    Without `marked`: of every tensor that the engine did not fuse, the engine being the one that is shipped otherwise.
    With it: of the named tensors, which then are not fused either. `options` are those of the build, with `sizes`. What
    is held are all of these values.

    Raises:
        UsageError: TensorRT cannot build it, or it has no debug tensors.
        ValueError: as `Session.infer`.
    """
    device = cuda_device.open_device(device_name)
    parsed = parse(onnx)
    if marked:
        _mark(parsed.network, marked)
    elif not parsed.network.mark_unfused_tensors_as_debug_tensors():
        raise UsageError(f"TensorRT {trt.__version__} cannot show the tensors of this graph: {parsed.log.said()}")
    settings = checked(options)
    plan = serialize(parsed, settings, profiles(parsed.inputs, Sizes(**options.get("sizes", {}))))
    runtime = trt.Runtime(parsed.log)
    if settings["version_compatible"]:
        runtime.engine_host_code_allowed = True
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise UsageError(f"TensorRT {trt.__version__} cannot load the engine that it built: {parsed.log.said()}")
    found: Tensors = {}

    def take(address: int, on_host: bool, kind: Any, shape: tuple[int, ...], name: str, stream: int) -> None:
        dtype = TYPES.get(kind.name)
        if dtype is None:
            return  # four bits and fewer: no array has them
        size = int(torch.Size(shape).numel()) * dtype.itemsize
        raw = cuda_device.at_host(address, size) if on_host else device.at(address, size, stream)
        found[name] = to_numpy(raw.view(dtype).reshape(shape))

    session = TensorRTSession(engine, parsed.log, onnx, device, {})
    outputs = session.infer(inputs, watching=lambda context: _listen(context, Listener(take), marked=bool(marked)))
    return {**found, **outputs}


def _mark(network: Any, names: Collection[str]) -> None:
    for i in range(network.num_layers):
        layer = network.get_layer(i)
        for j in range(layer.num_outputs):
            tensor = layer.get_output(j)
            if tensor.name in names:
                network.mark_debug(tensor)


def _listen(context: Any, listener: Listener, *, marked: bool) -> Listener:
    """Tell a context to show its debug tensors; the listener has to live as long."""
    context.set_debug_listener(listener)
    if marked:
        context.set_all_tensors_debug_state(True)
    else:
        context.unfused_tensors_debug_state = True
    return listener
