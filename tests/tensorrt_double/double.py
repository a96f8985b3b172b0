"""A stand-in for one version of TensorRT: exactly its bindings' classes, members, parameters and enumerations.

It computes with ONNX Runtime on host memory. What the real bindings do not have, it does not have: the descriptions
under `tests/fixtures/tensorrt/api-*.json` are read from the real wheels. What they have and it does not imitate raises
NotImplementedError. Layers are one a node, but a Relu joins the node before it, unless debug marks forbid it; FAULTS
makes such a joined layer wrong, to be found.
"""

from __future__ import annotations

import base64
import ctypes
import enum
import hashlib
import json
import os
import types
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnxruntime as ort

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "tensorrt"
VERSIONS = ("10.16.1.11", "11.4.0.106")
FAULTS: dict[str, float] = json.loads(os.environ.get("TENSORRT_DOUBLE_FAULTS", "{}"))
"""Node -> gain that the layer has when another one was fused into it."""
ALWAYS: dict[str, float] = {}
"""Node -> gain that it has whether it is fused or not."""
BUILDS: list[dict[str, Any]] = []
"""Settings of every engine that was built."""
_MAGIC = b"double"


def make(version: str) -> types.ModuleType:
    """The module `tensorrt` of a version."""
    api = json.loads((FIXTURES / f"api-{version}.json").read_text())
    module: Any = types.ModuleType("tensorrt")
    module.__version__ = version
    for name, members in api["enums"].items():
        setattr(module, name, enum.IntEnum(name, members))
    severity = enum.IntEnum("Severity", {"INTERNAL_ERROR": 0, "ERROR": 1, "WARNING": 2, "INFO": 3, "VERBOSE": 4})
    for name in ("ILogger", "IProfiler", "IDebugListener", "IOutputAllocator"):
        setattr(module, name, _to_derive_from(name))
    module.ILogger.Severity = severity
    module.init_libnvinfer_plugins = lambda logger, namespace: (
        _derived(logger, "ILogger", "log") is not None and namespace == ""
    )
    for kind in _DOUBLES:
        derived = type(kind.__name__, (kind,), {"_trt": module, "_api": api["classes"][kind.__name__]})
        setattr(module, kind.__name__, derived)
    return module


def _to_derive_from(name: str) -> type:
    """A base class that notices when a subclass forgot to call its `__init__`, as the real one does."""

    def initialise(self: Any) -> None:
        self._initialised = True

    return type(name, (), {"__init__": initialise})


def _derived(thing: Any, name: str, *methods: str) -> Any:
    assert getattr(thing, "_initialised", False), f"{name}.__init__ was not called"
    for method in methods:
        assert callable(getattr(thing, method)), f"{name} needs {method}"
    return thing


class Checked:
    """Members are those of the real class; calls have its parameters; what is read-only there is so here."""

    _trt: Any
    _api: dict[str, Any]

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_"):
            return object.__getattribute__(self, name)
        api, kind = object.__getattribute__(self, "_api"), type(self).__name__
        if name not in api:
            raise AttributeError(f"{kind!r} of TensorRT {self._trt.__version__} has no {name!r}")
        try:
            value = object.__getattribute__(self, name)
        except AttributeError:
            raise NotImplementedError(f"the double has no {kind}.{name}") from None
        if not isinstance(api[name], list):
            return value
        return _with_parameters(value, f"{kind}.{name}", api[name])

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            kind = self._api.get(name)
            if kind != "property":
                raise AttributeError(
                    f"{type(self).__name__}.{name} cannot be set in TensorRT {self._trt.__version__}: {kind}"
                )
        object.__setattr__(self, name, value)

    def _make(self, kind: str, **facts: Any) -> Any:
        made = object.__new__(getattr(self._trt, kind))
        for name, value in facts.items():
            object.__setattr__(made, name, value)
        return made


def _with_parameters(function: Any, name: str, overloads: list[list[tuple[str, bool]]]) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        for parameters in overloads:
            names = [parameter for parameter, _ in parameters]
            given = {*names[: len(args)], *kwargs}
            needed = {parameter for parameter, optional in parameters if not optional}
            if len(args) <= len(names) and given <= set(names) and needed <= given:
                return function(*args, **kwargs)
        raise TypeError(f"{name} takes {overloads}, not {len(args)} positional arguments and {sorted(kwargs)}")

    return call


class Builder(Checked):
    def __init__(self, logger: Any) -> None:
        self._logger = _derived(logger, "ILogger", "log")

    def create_network(self, flags: int = 0) -> Any:
        strongly = 1 << int(self._trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        return self._make(
            "INetworkDefinition",
            _model=None,
            _strongly_typed=bool(flags & strongly) or self._trt.__version__ > "11",
            _debug=set(),
            _unfused=False,
        )

    def create_builder_config(self) -> Any:
        return self._make(
            "IBuilderConfig",
            _flags={self._trt.BuilderFlag.TF32},
            _pools={},
            _profiles=[],
            _cache=None,
            builder_optimization_level=3,
            max_aux_streams=-1,
            profiling_verbosity=self._trt.ProfilingVerbosity.LAYER_NAMES_ONLY,
            hardware_compatibility_level=self._trt.HardwareCompatibilityLevel.NONE,
        )

    def create_optimization_profile(self) -> Any:
        return self._make("IOptimizationProfile", _ranges={})

    def build_serialized_network(self, network: Any, config: Any) -> Any:
        flag = self._trt.BuilderFlag
        dynamic = [t.name for t in _ports(network._model.graph.input) if -1 in t.shape]
        error = self._trt.ILogger.Severity.ERROR
        if dynamic and not config._profiles:
            self._logger.log(
                error, f"Network has dynamic inputs ({dynamic}), but no optimization profile has been defined."
            )
            return None
        digest = hashlib.sha256(network._model.SerializeToString()).hexdigest()
        if flag.ERROR_ON_TIMING_CACHE_MISS in config._flags and digest not in config._cache._known:
            self._logger.log(error, "Timing cache miss")
            return None
        if config._cache is not None:
            config._cache._known.add(digest)
        settings = {
            "flags": sorted(f.name for f in config._flags),
            "pools": {p.name: n for p, n in config._pools.items()},
            "profiles": config._profiles,
            "level": config.builder_optimization_level,
            "verbosity": config.profiling_verbosity.name,
            "hardware": config.hardware_compatibility_level.name,
            "strongly_typed": network._strongly_typed,
            "debug": sorted(network._debug),
            "unfused": network._unfused,
            "version": self._trt.__version__,
        }
        BUILDS.append(settings)
        content = {"settings": settings, "onnx": base64.b64encode(network._model.SerializeToString()).decode()}
        return HostMemory(_MAGIC + json.dumps(content).encode())


class HostMemory(bytes):
    __slots__ = ()


class Tensor:
    def __init__(self, name: str, shape: tuple[int, ...], dtype: int) -> None:
        self.name, self.shape, self.elem_type = name, shape, dtype


def _ports(values: Any) -> list[Tensor]:
    return [
        Tensor(
            v.name,
            tuple(d.dim_value if d.HasField("dim_value") else -1 for d in v.type.tensor_type.shape.dim),
            v.type.tensor_type.elem_type,
        )
        for v in values
    ]


class INetworkDefinition(Checked):
    _model: Any

    @property
    def num_inputs(self) -> int:
        return len(self._model.graph.input)

    @property
    def num_layers(self) -> int:
        return len(self._model.graph.node)

    def get_input(self, index: int) -> Tensor:
        return _ports(self._model.graph.input)[index]

    def get_layer(self, index: int) -> Any:
        return self._make("ILayer", _node=self._model.graph.node[index], name=self._model.graph.node[index].name)

    def mark_debug(self, tensor: Any) -> bool:
        self._debug.add(tensor.name)
        return True

    def mark_unfused_tensors_as_debug_tensors(self) -> bool:
        object.__setattr__(self, "_unfused", True)
        return True


class ILayer(Checked):
    name = ""

    @property
    def num_outputs(self) -> int:
        return len(self._node.output)

    def get_output(self, index: int) -> Tensor:
        return Tensor(self._node.output[index], (), 0)


class IBuilderConfig(Checked):
    builder_optimization_level: int
    max_aux_streams: int
    profiling_verbosity: Any
    hardware_compatibility_level: Any

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        self._pools[pool] = pool_size

    def set_flag(self, flag: Any) -> None:
        self._flags.add(self._trt.BuilderFlag(flag))

    def clear_flag(self, flag: Any) -> None:
        self._flags.discard(self._trt.BuilderFlag(flag))

    def add_optimization_profile(self, profile: Any) -> int:
        self._profiles.append(profile._ranges)
        return len(self._profiles) - 1

    def create_timing_cache(self, serialized_timing_cache: bytes) -> Any:
        try:
            known = json.loads(serialized_timing_cache) if serialized_timing_cache else {"device": "host", "known": []}
        except ValueError:
            return None
        return self._make("ITimingCache", _known=set(known["known"]), _device=known["device"])

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        if cache._device != "host" and not ignore_mismatch:
            return False
        object.__setattr__(self, "_cache", cache)
        return True

    def get_timing_cache(self) -> Any:
        return self._cache


class ITimingCache(Checked):
    def serialize(self) -> HostMemory:
        return HostMemory(json.dumps({"device": self._device, "known": sorted(self._known)}).encode())


class IOptimizationProfile(Checked):
    def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:
        self._ranges[input] = [list(min), list(opt), list(max)]


class ParserError(Checked):
    def desc(self) -> str:
        return str(self._text)

    def node_name(self) -> str:
        return ""

    def node_operator(self) -> str:
        return ""


class OnnxParser(Checked):
    def __init__(self, network: Any, logger: Any) -> None:
        self._network, self._errors = network, []
        _derived(logger, "ILogger", "log")

    def parse_from_file(self, model: str) -> bool:
        try:
            object.__setattr__(self._network, "_model", onnx.load(model))
        except Exception as error:
            self._errors.append(str(error))
            return False
        return True

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> Any:
        return self._make("ParserError", _text=self._errors[index])


class Runtime(Checked):
    engine_host_code_allowed = False

    def __init__(self, logger: Any) -> None:
        self._logger = _derived(logger, "ILogger", "log")

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> Any:
        if not bytes(serialized_engine).startswith(_MAGIC):
            self._logger.log(
                self._trt.ILogger.Severity.ERROR, "Serialization assertion magicTag == rPlan.magicTag failed"
            )
            return None
        content = json.loads(bytes(serialized_engine)[len(_MAGIC) :])
        if (
            content["settings"]["version"] != self._trt.__version__
            and "VERSION_COMPATIBLE" not in content["settings"]["flags"]
        ):
            self._logger.log(
                self._trt.ILogger.Severity.ERROR, "The engine plan file is not compatible with this version of TensorRT"
            )
            return None
        model = onnx.load_from_string(base64.b64decode(content["onnx"]))
        return self._make("ICudaEngine", _model=model, _settings=content["settings"])


_ONNX_TYPES = {1: "FLOAT", 10: "HALF", 16: "BF16", 3: "INT8", 2: "UINT8", 6: "INT32", 7: "INT64", 9: "BOOL", 17: "FP8"}


def _dtype(elem_type: int) -> np.dtype[Any]:
    if elem_type == 16:
        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(elem_type))


class ICudaEngine(Checked):
    _model: Any

    @property
    def _tensors(self) -> list[tuple[Tensor, bool]]:
        graph = self._model.graph
        return [(t, True) for t in _ports(graph.input)] + [(t, False) for t in _ports(graph.output)]

    def _tensor(self, name: str) -> tuple[Tensor, bool]:
        return next(pair for pair in self._tensors if pair[0].name == name)

    @property
    def num_io_tensors(self) -> int:
        return len(self._tensors)

    @property
    def num_optimization_profiles(self) -> int:
        return max(1, len(self._settings["profiles"]))

    @property
    def refittable(self) -> bool:
        return "REFIT" in self._settings["flags"]

    @property
    def device_memory_size_v2(self) -> int:
        return 4096

    def get_tensor_name(self, index: int) -> str:
        return self._tensors[index][0].name

    def get_tensor_mode(self, name: str) -> Any:
        return self._trt.TensorIOMode.INPUT if self._tensor(name)[1] else self._trt.TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> Any:
        return self._trt.DataType[_ONNX_TYPES[self._tensor(name)[0].elem_type]]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._tensor(name)[0].shape

    def get_tensor_location(self, name: str) -> Any:
        return self._trt.TensorLocation.DEVICE

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        if not self._settings["profiles"]:
            return [self._tensor(name)[0].shape] * 3
        return [tuple(shape) for shape in self._settings["profiles"][profile_index][name]]

    def get_aliased_input_tensor(self, name: str) -> str | None:
        aliases = {p.key: p.value for p in self._model.metadata_props}
        return aliases.get(f"alias:{name}")

    def get_engine_stat(self, stat: Any) -> int:
        return sum(len(t.raw_data) for t in self._model.graph.initializer)

    def create_execution_context(self, strategy: Any = None) -> Any:
        return self._make("IExecutionContext", _engine=self, _shapes={}, _addresses={}, _profile=0, _allocators={}, _listener=None,
                          _session=None, profiler=None, enqueue_emits_profile=True, unfused_tensors_debug_state=False, _debug_on=False,
                          _pending=[])  # fmt: skip

    def create_engine_inspector(self) -> Any:
        return self._make("EngineInspector", _engine=self, execution_context=None)

    def _layers(self) -> list[list[Any]]:
        """Nodes by layer: a Relu is fused into the node before it, unless the tensor between them is marked."""
        layers: list[list[Any]] = []
        marked = set(self._settings["debug"])
        for node in self._model.graph.node:
            before = layers[-1][-1] if layers else None
            fuses = (
                node.op_type == "Relu"
                and before is not None
                and before.output[0] == node.input[0]
                and node.input[0] not in marked
            )
            if fuses:
                layers[-1].append(node)
            else:
                layers.append([node])
        return layers

    def _types(self) -> dict[str, int]:
        inferred = onnx.shape_inference.infer_shapes(self._model)
        values = [*inferred.graph.input, *inferred.graph.output, *inferred.graph.value_info]
        return {
            **{v.name: v.type.tensor_type.elem_type for v in values},
            **{t.name: t.data_type for t in inferred.graph.initializer},
        }

    def _faulty(self) -> Any:
        """The graph with what FAULTS makes wrong."""
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        for layer in self._layers():
            for node in layer:
                if node.name in ALWAYS or (node.name in FAULTS and len(layer) > 1):
                    at = next(i for i, n in enumerate(model.graph.node) if n.name == node.name)
                    wrong = f"{node.output[0]}_right"
                    output = node.output[0]
                    model.graph.node[at].output[0] = wrong
                    model.graph.initializer.append(
                        onnx.numpy_helper.from_array(np.float32({**FAULTS, **ALWAYS}[node.name]), f"{wrong}_gain")
                    )
                    model.graph.node.insert(at + 1, onnx.helper.make_node("Mul", [wrong, f"{wrong}_gain"], [output]))
        return model


class EngineInspector(Checked):
    execution_context: Any = None

    def get_engine_information(self, format: Any) -> str:
        assert format == self._trt.LayerInformationFormat.JSON
        types = self._engine._types()
        layers = []
        for nodes in self._engine._layers():
            first, last = nodes[0], nodes[-1]
            own = {t.name for t in self._engine._model.graph.initializer}
            weights = [name for name in first.input if name in own]
            layers.append(
                {
                    "Name": " + ".join(n.name for n in nodes),
                    "LayerType": (
                        {"Conv": "CaskConvolution", "Gemm": "gemm", "MatMul": "gemm"}.get(first.op_type, first.op_type)
                    ),
                    "Inputs": [self._port(n, types) for n in first.input if n and n not in own],
                    "Outputs": [self._port(n, types) for n in last.output if n],
                    **({"Weights": {"Type": _WORDS[types[weights[0]]], "Count": 1}} if weights else {}),
                    "TacticName": "double",
                    "Metadata": "".join(f"[ONNX Layer: {n.name}]" for n in nodes),
                }
            )
        ports = [t.name for t, _ in self._engine._tensors]
        if self._trt.__version__ < "11":
            return json.dumps({"Layers": layers, "Bindings": ports})
        return json.dumps({"Layers": layers, "I/O Tensors": [{"Name": name} for name in ports]})

    def _port(self, name: str, types: dict[str, int]) -> dict[str, Any]:
        word = _WORDS[types[name]]
        if self._trt.__version__ < "11":
            return {"Name": name, "Dimensions": [1], "Format/Datatype": f"Row major linear {word} format"}
        return {"Name": name, "Dimensions": [1], "Format": "Linear", "Datatype": word}


_WORDS = {1: "FP32", 10: "FP16", 16: "BF16", 3: "Int8", 2: "UInt8", 6: "Int32", 7: "Int64", 9: "Bool", 17: "FP8"}


class IExecutionContext(Checked):
    profiler: Any
    enqueue_emits_profile: bool
    unfused_tensors_debug_state: bool

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        assert stream_handle != 0, "the default stream"
        object.__setattr__(self, "_profile", profile_index)
        return profile_index < self._engine.num_optimization_profiles

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        least, _, largest = self._engine.get_tensor_profile_shape(name, self._profile)
        if len(shape) != len(least) or any(
            not low <= size <= high for low, size, high in zip(least, shape, largest, strict=True)
        ):
            return False
        self._shapes[name] = tuple(shape)
        return True

    def set_tensor_address(self, name: str, memory: int) -> bool:
        assert memory, "a null pointer"
        self._addresses[name] = memory
        return True

    def set_output_allocator(self, name: str, output_allocator: Any) -> bool:
        self._allocators[name] = _derived(output_allocator, "IOutputAllocator", "reallocate_output", "notify_shape")
        return True

    def infer_shapes(self) -> list[str]:
        return [t.name for t, is_input in self._engine._tensors if is_input and t.name not in self._shapes]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        if name in self._shapes:
            return tuple(self._shapes[name])
        model = onnx.ModelProto()
        model.CopyFrom(self._engine._model)
        for value in model.graph.input:
            for axis, size in zip(value.type.tensor_type.shape.dim, self._shapes[value.name], strict=True):
                axis.dim_value = size
        for value in model.graph.output:
            value.type.tensor_type.ClearField("shape")
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
        return _ports([v for v in inferred.graph.output if v.name == name])[0].shape

    def set_debug_listener(self, listener: Any) -> bool:
        object.__setattr__(self, "_listener", _derived(listener, "IDebugListener", "process_debug_tensor"))
        return True

    def set_all_tensors_debug_state(self, flag: bool) -> bool:
        object.__setattr__(self, "_debug_on", flag)
        return True

    def report_to_profiler(self) -> bool:
        for layer in self._pending:
            self.profiler.report_layer_time(layer, 0.25)
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        from tests.tensorrt_double.host_device import TRACE

        assert stream_handle != 0, "the default stream"
        TRACE.append(f"execute on {stream_handle - 0x1000}")
        settings, engine = self._engine._settings, self._engine
        feeds = {
            t.name: _read(self._addresses[t.name], self._shapes[t.name], _dtype(t.elem_type))
            for t, is_input in engine._tensors
            if is_input
        }
        last_of_layer = [layer[-1].output[0] for layer in engine._layers()]
        wanted = last_of_layer if settings["unfused"] and self.unfused_tensors_debug_state else []
        wanted = [*wanted, *(settings["debug"] if self._debug_on else [])]
        outputs = [t.name for t, is_input in engine._tensors if not is_input]
        values = _run(engine._faulty(), feeds, [*outputs, *(n for n in dict.fromkeys(wanted) if n not in outputs)])
        for name in outputs:
            array = values[name]
            address = self._addresses.get(name)
            if name in self._allocators:
                address = self._allocators[name].reallocate_output(name, 0, array.nbytes, 256)
                self._allocators[name].notify_shape(name, array.shape)
            ctypes.memmove(address, np.asarray(array, order="C").ctypes.data, array.nbytes)
        if self._listener is not None:
            for name in dict.fromkeys(wanted):
                self._show(name, np.asarray(values[name], order="C"), stream_handle)
        if self.profiler is not None:
            object.__setattr__(self, "_pending", [" + ".join(n.name for n in layer) for layer in engine._layers()])
        return True

    def _show(self, name: str, array: Any, stream: int) -> None:
        """As the real one: the address in a capsule, valid only during the call."""
        new = ctypes.pythonapi.PyCapsule_New
        new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        held = array.copy()
        kind = self._trt.DataType[_ONNX_TYPES[onnx.helper.np_dtype_to_tensor_dtype(array.dtype)]]
        self._listener.process_debug_tensor(
            new(held.ctypes.data, None, None), self._trt.TensorLocation.DEVICE, kind, array.shape, name, stream
        )
        held.fill(0)


def _read(address: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    return np.frombuffer(ctypes.string_at(address, size), dtype).reshape(shape)


def _run(model: Any, feeds: dict[str, Any], wanted: list[str]) -> dict[str, Any]:
    known = {o.name for o in model.graph.output}
    for name in wanted:
        if name not in known:
            model.graph.output.append(onnx.ValueInfoProto(name=name))
    settings = ort.SessionOptions()
    settings.log_severity_level = 4
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    return dict(zip(wanted, session.run(wanted, feeds), strict=True))


class Refitter(Checked):
    def __init__(self, engine: Any, logger: Any) -> None:
        self._engine = engine
        _derived(logger, "ILogger", "log")

    def refit_cuda_engine_async(self, stream_handle: int) -> bool:
        return bool(stream_handle)

    def get_missing_weights(self) -> list[str]:
        return []


class OnnxParserRefitter(Checked):
    def __init__(self, refitter: Any, logger: Any) -> None:
        self._refitter = refitter

    def refit_from_file(self, model: str) -> bool:
        given, own = onnx.load(model), self._refitter._engine._model
        if [n.op_type for n in given.graph.node] != [n.op_type for n in own.graph.node]:
            return False
        object.__setattr__(self._refitter._engine, "_model", given)
        return True


_DOUBLES = (
    Builder, INetworkDefinition, ILayer, IBuilderConfig, ITimingCache, IOptimizationProfile, ParserError, OnnxParser, Runtime, ICudaEngine,
    EngineInspector, IExecutionContext, Refitter, OnnxParserRefitter,
)  # fmt: skip
