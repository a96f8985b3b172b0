"""TensorRT 10 and 11: an engine that Assay built, run through named tensors on a stream of its own.

Options: `streams` (how many contexts run a batch at the same time; latency is then of all of them), and those of the
build
(`assay.runner.backends.tensorrt_build`), the device among them. An engine is executable code: only one whose SHA-256 is
the recorded one is loaded.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorrt as trt
import torch

from assay.runner.backends import BACKENDS, check_session_options, cuda_device
from assay.runner.backends.cuda_device import Cuda, DeviceArray, DeviceCall
from assay.runner.backends.tensorrt_build import OPTIONS, Log
from assay.runner.errors import UsageError
from assay.runner.graphs.engine_layers import Engine, read
from assay.runner.graphs.engine_pair import audit
from assay.runner.graphs.engine_sizes import Range, fitting
from assay.runner.recipes.torch_tensors import to_numpy, to_torch
from assay.runner.session import NotBuiltFor, Placement, Session, Source, Stream, fed_back
from assay.runner.tensors import Tensors, hash_file

TYPES = {
    "FLOAT": torch.float32, "HALF": torch.float16, "BF16": torch.bfloat16, "INT8": torch.int8, "UINT8": torch.uint8, "INT32": torch.int32,
    "INT64": torch.int64, "BOOL": torch.bool, "FP8": torch.float8_e4m3fn,
}  # fmt: skip


def accepts() -> tuple[str, ...]:
    return BACKENDS["tensorrt"].opens


def build_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those options that the engine is built with.

    Raises:
        UsageError: one is unknown.
    """
    check_session_options("tensorrt", options)
    return {name: value for name, value in options.items() if name in OPTIONS}


@contextmanager
def open_session(source: Source, options: dict[str, Any]) -> Iterator[TensorRTSession]:
    """Load an engine from the artifacts.

    Raises:
        EnvironmentMissing: there is no CUDA device.
        UsageError: the file is not the one that was recorded, TensorRT cannot load it, or an option is unknown.
    """
    build_options(options)
    path = Path(source.location)
    plan = _trusted(path, source.sha256)
    device = cuda_device.open_device(str(options.get("device", "cuda")))
    log = Log()
    trt.init_libnvinfer_plugins(log, "")
    runtime = trt.Runtime(log)
    if options.get("version_compatible"):
        runtime.engine_host_code_allowed = True  # ours: the hash says so
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise UsageError(f"TensorRT {trt.__version__} cannot load {path.name}: {log.said()}")
    yield TensorRTSession(engine, log, path, device, options)


def _trusted(path: Path, sha256: str | None) -> bytes:
    """The engine's bytes, if they are those that were recorded when it was built."""
    try:
        plan = path.read_bytes()
    except OSError as error:
        raise UsageError(f"the engine {path} cannot be read: {error.strerror}") from None
    if sha256 is None or hashlib.sha256(plan).hexdigest() != sha256:
        raise UsageError(
            f"{path.name} is not the engine that was recorded when it was built. An engine is executable code: only"
            " those are loaded."
        )
    return plan


class TensorRTSession(Session):
    """An engine with one execution context for each stream and profile."""

    def __init__(self, engine: Any, log: Log, path: Path, device: Cuda, options: dict[str, Any]) -> None:
        self.engine = engine
        self._log, self._path, self._device, self._options = log, path, device, options
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        self.inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        self.output_names: tuple[str, ...] = tuple(name for name in names if name not in self.inputs)
        self._on_host = {name for name in names if engine.get_tensor_location(name) == trt.TensorLocation.HOST}
        self.aliases = {
            name: source
            for name in self.output_names
            if (source := engine.get_aliased_input_tensor(name)) in self.inputs
        }
        self._ranges: list[dict[str, Range]] = [
            {
                name: _three(engine.get_tensor_profile_shape(name, k))
                for name in self.inputs
                if name not in self._on_host
            }
            for k in range(engine.num_optimization_profiles)
        ]
        self._contexts: dict[tuple[int, int], Any] = {}
        self._streams = [device.stream, *(device.new_stream() for _ in range(int(options.get("streams", 1)) - 1))]
        self._nothing = device.empty((1,), torch.uint8)

    def infer(self, inputs: Tensors, *, watching: Callable[[Any], object] | None = None) -> Tensors:
        """See `Session.infer`; `watching` is shown the context before it runs, and what it returns lives as long."""
        made = self.infer_on_device(inputs, watching=watching)
        return {name: to_numpy(tensor) for name, tensor in made.items()}

    def infer_on_device(
        self, inputs: Tensors, *, watching: Callable[[Any], object] | None = None
    ) -> dict[str, torch.Tensor]:
        """As `infer`, outputs where they lie."""
        placed = self.place(self._checked(inputs))
        watcher = watching(self._context(self._profile_for(placed), 0)) if watching else None
        with self._device.queue():
            outputs = self.queue_once(placed)
        self._device.synchronize()
        del watcher
        return outputs

    def prepare(self, inputs: Tensors) -> Callable[[], object]:
        return self.bind(inputs).run

    def bind(self, inputs: Tensors, *, cuda_graph: bool = False) -> DeviceCall:
        """A batch at fixed addresses, its outputs too.

        With several streams, one context on each runs it at the same time.
        """
        checked = self._checked(inputs)

        def build(placed: dict[str, torch.Tensor]) -> Callable[[], Mapping[str, Any]]:
            placed.update({name: to_torch(checked[name]) for name in checked if name in self._on_host})
            profile = self._profile_for(placed)
            runs = [self._bound(placed, n, self._new_context(profile, n)) for n in range(len(self._streams))]
            if len(runs) == 1:
                return runs[0]
            return lambda: self._fork(runs)

        return DeviceCall(self._device, checked, build, cuda_graph=cuda_graph)

    def _fork(self, runs: list[Callable[[], dict[str, Any]]]) -> dict[str, Any]:
        """Queue a run on every stream, none before what was queued on the first; the first waits for all at the end."""
        main, *others = self._streams
        start = self._device.event(timing=False)
        start.record(main)
        outputs = runs[0]()
        for stream, run in zip(others, runs[1:], strict=True):
            stream.wait_event(start)
            run()
            done = self._device.event(timing=False)
            done.record(stream)
            main.wait_event(done)
        return outputs

    def _bound(
        self, placed: Mapping[str, torch.Tensor], number: int, context: Any = None
    ) -> Callable[[], dict[str, Any]]:
        """A call with everything set beforehand: queueing is all that it does.

        An output whose size depends on the data is a function that waits for it.
        """
        context = context or self._context(self._profile_for(placed), number)
        outputs, allocated = self._set_up(placed, context)
        stream = int(self._streams[number].cuda_stream)
        execute = context.execute_async_v3

        def call() -> dict[str, Any]:
            if not execute(stream):
                raise ValueError(f"TensorRT could not queue {self._path.name}: {self._log.said()}")
            return outputs

        outputs.update({name: allocator.result for name, allocator in allocated.items()})

        return call

    def queue_once(self, placed: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Queue one inference on the device's stream.

        Outputs are new tensors, those that alias an input are that input.
        """
        return {name: made() if callable(made) else made for name, made in self._bound(placed, 0)().items()}

    def _set_up(self, placed: Mapping[str, torch.Tensor], context: Any) -> tuple[dict[str, Any], dict[str, Allocator]]:
        """Tell a context its shapes and addresses; the outputs, and who allocates those of unknown size."""
        for name, tensor in placed.items():
            if not context.set_input_shape(name, tuple(tensor.shape)):
                raise ValueError(
                    f"input {name!r} of {self._path.name} cannot be {tuple(tensor.shape)}: {self._log.said()}"
                )
            context.set_tensor_address(name, self._address(tensor))
        if missing := context.infer_shapes():
            raise ValueError(f"{self._path.name} needs the shape of {', '.join(missing)}")
        outputs: dict[str, Any] = {}
        allocated: dict[str, Allocator] = {}
        for name in self.output_names:
            shape, dtype = tuple(context.get_tensor_shape(name)), self._dtype(name)
            if name in self.aliases:
                outputs[name] = placed[self.aliases[name]]
            elif any(size < 0 for size in shape):  # it depends on the data: known once the engine has run
                allocated[name] = Allocator(self._device, dtype)
                context.set_output_allocator(name, allocated[name])
                continue
            else:
                outputs[name] = (
                    torch.empty(shape, dtype=dtype) if name in self._on_host else self._device.empty(shape, dtype)
                )
            context.set_tensor_address(name, self._address(outputs[name]))
        return outputs, allocated

    def _address(self, tensor: torch.Tensor) -> int:
        """TensorRT takes no null pointer, not even for a tensor without elements."""
        return int(tensor.data_ptr() if tensor.numel() else self._nothing.data_ptr())

    def place(self, inputs: Tensors) -> dict[str, torch.Tensor]:
        """Arrays where the engine reads them: on the device, or on the host what only shapes depend on."""
        hosts = {name: to_torch(array) for name, array in inputs.items()}
        return {name: host if name in self._on_host else host.to(self._device.device) for name, host in hosts.items()}

    def _dtype(self, name: str) -> torch.dtype:
        kind = self.engine.get_tensor_dtype(name).name
        if kind not in TYPES:
            raise ValueError(f"{name!r} of {self._path.name} is {kind}, which has no array type")
        return TYPES[kind]

    def _profile_for(self, placed: Mapping[str, torch.Tensor]) -> int:
        shapes = {name: tuple(tensor.shape) for name, tensor in placed.items() if name not in self._on_host}
        number = fitting(self._ranges, shapes)
        if number is None:
            built_for = "; ".join(
                ", ".join(f"{n} {list(r[0])} to {list(r[2])}" for n, r in profile.items()) for profile in self._ranges
            )
            raise NotBuiltFor(f"{self._path.name} was built for {built_for}; the workload has {shapes}")
        return number

    def _context(self, profile: int, number: int) -> Any:
        if (profile, number) not in self._contexts:
            self._contexts[profile, number] = self._new_context(profile, number)
        return self._contexts[profile, number]

    def _new_context(self, profile: int, number: int) -> Any:
        context = self.engine.create_execution_context()
        if context is None:
            raise ValueError(f"there is no context for {self._path.name}: {self._log.said()}")
        if not context.set_optimization_profile_async(profile, int(self._streams[number].cuda_stream)):
            raise ValueError(f"profile {profile} of {self._path.name} cannot be set: {self._log.said()}")
        return context

    def _checked(self, inputs: Tensors, fed: Collection[str] = ()) -> Tensors:
        """The inputs that the engine takes, of its dtypes; those in `fed` are there already.

        Shapes are checked against the profiles.
        """
        if missing := [name for name in self.inputs if name not in inputs and name not in fed]:
            raise ValueError(
                f"{self._path.name} takes {', '.join(self.inputs)}; the workload has no {', '.join(missing)} (it has"
                f" {', '.join(inputs)})"
            )
        given = {name: inputs[name] for name in self.inputs if name in inputs}
        for name, array in given.items():
            wanted = str(self._dtype(name)).removeprefix("torch.")
            if array.dtype.name != wanted:
                raise ValueError(
                    f"input {name!r} of {self._path.name} is {wanted}, the workload has {array.dtype.name}"
                )
        return {name: np.asarray(array, order="C") for name, array in given.items()}

    def open_stream(self, states: Mapping[str, str]) -> TensorRTStream:
        return TensorRTStream(self, {name: output for name, output in states.items() if name in self.inputs})

    def profile(self, inputs: Tensors, calls: int, warm_up: int) -> tuple[list[dict[str, Any]], dict[str, int]]:
        """Layers with their times by IProfiler, in a session of its own: latency is never taken with a profiler on."""
        from assay.runner.timing.traces import with_shares

        placed = self.place(self._checked(inputs))
        context = self._new_context(self._profile_for(placed), 0)
        call = self._bound(placed, 0, context)
        times = LayerTimes()
        for number in range(warm_up + calls):
            if number == warm_up:
                context.profiler = times
                context.enqueue_emits_profile = False
            with self._device.queue():
                call()
            if number >= warm_up:
                context.report_to_profiler()
            self._device.synchronize()
        known = {layer.name: layer for layer in self.inspected().layers}
        return with_shares([_layer(name, ms, known.get(name)) for name, ms in times.ms.items()]), self.memory()

    def information(self) -> str:
        """What the engine's inspector writes (JSON, of TensorRT 10 or 11)."""
        inspector = self.engine.create_engine_inspector()
        if self._contexts:
            inspector.execution_context = next(iter(self._contexts.values()))
        return str(inspector.get_engine_information(trt.LayerInformationFormat.JSON))

    def inspected(self) -> Engine:
        """The engine's layers as its inspector tells them."""
        return read(self.information())

    def placement(self) -> Placement:
        """Products by the precision that they really run in; another one than asked for is a fallback."""
        told = self.inspected()
        asked = self._options.get("asked")
        checked = audit(told, asked or "float32", {})
        shares = ", ".join(f"{kind} {share:.0%}" for kind, share in sorted(checked.by_precision.items()))
        kinds = Counter("reformat" if layer.reformats else "layer" for layer in told.layers)
        wrong = None
        if asked and checked.outcome == "fail":
            wrong = f"{asked} was asked for; products are in {shares}"
        elif asked and asked != "float32" and checked.outcome == "vacuous":
            wrong = f"{asked} was asked for; the engine's inspector says no precision of any product"
        return Placement(
            device="cuda",
            placement=f"TensorRT {trt.__version__}: {kinds['layer']} layers, {kinds['reformat']} reformats",
            precision=f"products {shares or 'unknown'}" + (", TF32" if self._options.get("tf32") else ""),
            threads=None,
            fell_back=wrong,
            streams=len(self._streams),
        )

    def state_hash(self) -> str:
        return hash_file(self._path)

    def memory(self) -> dict[str, int]:
        """Bytes of the weights, and of the scratch memory of one context, as the engine says."""
        return {
            "engine_weights_bytes": int(self.engine.get_engine_stat(trt.EngineStat.TOTAL_WEIGHTS_SIZE)),
            "engine_scratch_bytes": int(self.engine.device_memory_size_v2),
        }

    def refit(self, onnx: Path) -> None:
        """Replace the weights by those of an ONNX file of the same graph.

        Raises:
            UsageError: the engine was not built with `refit`, or the weights do not fit.
        """
        if not self.engine.refittable:
            raise UsageError(f"{self._path.name} was built without `refit`: its weights cannot be replaced.")
        refitter = trt.Refitter(self.engine, self._log)
        parser = trt.OnnxParserRefitter(refitter, self._log)
        if not parser.refit_from_file(str(onnx)) or not refitter.refit_cuda_engine_async(self._device.handle):
            missing = ", ".join(refitter.get_missing_weights()[:5])
            raise UsageError(f"{self._path.name} cannot take the weights of {onnx.name}: {missing or self._log.said()}")
        self._device.synchronize()


class TensorRTStream(Stream):
    """Steps with the states left on the device.

    What came out is the next step's input, in place where the engine aliases them.
    """

    def __init__(self, session: TensorRTSession, states: Mapping[str, str]) -> None:
        self._session, self._states = session, states
        self._last: dict[str, Any] = {}

    def step(self, inputs: Tensors) -> float:
        session = self._session
        fed = fed_back(self._states, self._last, inputs)
        given = session._checked(inputs, fed)  # noqa: SLF001  one class in two halves
        device = session._device  # noqa: SLF001
        placed = {**session.place(given), **fed}
        started = time.perf_counter_ns()
        with device.queue():
            self._last = session.queue_once(placed)
        device.synchronize()
        return (time.perf_counter_ns() - started) / 1e6

    def outputs(self) -> Tensors:
        return {name: to_numpy(tensor) for name, tensor in self._last.items()}

    def device_outputs(self) -> dict[str, DeviceArray]:
        """The same to be compared where they lie; what the next step writes in place is copied, on the device."""
        in_place = self._session.aliases
        return {name: DeviceArray(t.clone() if name in in_place else t) for name, t in self._last.items()}


class Allocator(trt.IOutputAllocator):
    """Memory of an output whose size is known only when the engine has run."""

    def __init__(self, device: Cuda, dtype: torch.dtype) -> None:
        trt.IOutputAllocator.__init__(self)
        self._device, self._dtype = device, dtype
        self._memory: torch.Tensor | None = None
        self._shape: tuple[int, ...] | None = None

    def reallocate_output_async(self, tensor_name: str, memory: int, size: int, alignment: int, stream: int) -> int:  # noqa: ARG002
        return self.reallocate_output(tensor_name, memory, size, alignment)

    def reallocate_output(self, tensor_name: str, memory: int, size: int, alignment: int) -> int:  # noqa: ARG002
        if self._memory is None or self._memory.numel() < size:
            self._memory = self._device.empty((max(size, 1),), torch.uint8)
        return int(self._memory.data_ptr())

    def notify_shape(self, tensor_name: str, shape: Any) -> None:  # noqa: ARG002
        self._shape = tuple(shape)

    def result(self) -> torch.Tensor:
        """The output; waits for the engine, because only then is its shape known."""
        self._device.synchronize()
        if self._memory is None or self._shape is None:
            return self._device.empty((0,), self._dtype)
        size = int(np.prod(self._shape, dtype=np.int64)) * self._dtype.itemsize
        return self._memory[:size].view(self._dtype).reshape(self._shape)


class LayerTimes(trt.IProfiler):
    """Milliseconds of every layer, a value a call."""

    def __init__(self) -> None:
        trt.IProfiler.__init__(self)
        self.ms: dict[str, list[float]] = {}

    def report_layer_time(self, layer_name: str, ms: float) -> None:
        self.ms.setdefault(layer_name, []).append(float(ms))


def _layer(name: str, ms: list[float], known: Any) -> dict[str, Any]:
    output = known.outputs[0] if known is not None and known.outputs else None
    return {
        "name": name,
        "op_type": known.kind if known is not None else "layer",
        "provider": "TensorRT",
        "precision": known.precision if known is not None else None,
        "calls": len(ms),
        "total_ms": sum(ms),
        "median_us": float(np.median(ms)) * 1e3,
        "output_shape": str(list(output.shape)) if output else None,
        "output_bytes": None,
        "parameter_bytes": None,
    }


def _three(shapes: Any) -> Range:
    least, usual, largest = (tuple(shape) for shape in shapes)
    return least, usual, largest
