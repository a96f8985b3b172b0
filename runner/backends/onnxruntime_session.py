"""ONNX Runtime, any execution provider.

Options: `provider` (e.g. CUDAExecutionProvider), `provider_options`, `threads`, `graph_optimization` (all, extended,
basic, none), `allow_fallback`, `session` (session config entries by name). TF32 is off and the device deterministic
unless `tf32` or `provider_options` say otherwise, because parity is asked before speed.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from assay.runner.backends import BACKENDS, check_session_options, device_type, onnxruntime_audit, onnxruntime_device
from assay.runner.backends.onnxruntime_device import CUDA, OnnxRuntimeDeviceStream
from assay.runner.backends.onnxruntime_runs import Runs
from assay.runner.backends.onnxruntime_values import DTYPES, gathered, is_optional, is_sequence, named, value_of, wanted
from assay.runner.errors import EnvironmentMissing, UsageError
from assay.runner.graphs.precision import HALF, share_in, words
from assay.runner.session import HostStream, Placement, Session, Source, Stream, fed_back, refused
from assay.runner.tensors import TEXT, Tensors, dtype_name, hash_file, texts

_CPU = "CPUExecutionProvider"
OPTIMIZATION = {
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "none": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
"""Words for how far ONNX Runtime rewrites a graph."""


def accepts() -> tuple[str, ...]:
    return BACKENDS["onnxruntime"].opens


@contextmanager
def open_session(source: Source, options: dict[str, Any]) -> Iterator[OnnxRuntimeSession]:
    """Load an ONNX file.

    Raises:
        EnvironmentMissing: this build of ONNX Runtime does not have the provider.
        UsageError: the file is not a model that it can load, a port has a type that cannot be used, or an option is
            unknown.
    """
    check_session_options("onnxruntime", options)
    provider = options.get("provider") or (CUDA if device_type(options.get("device", "cpu")) == "cuda" else _CPU)
    if provider not in ort.get_available_providers():
        raise EnvironmentMissing(
            f"ONNX Runtime {ort.__version__} here has no {provider}; it has {', '.join(ort.get_available_providers())}."
        )
    settings = ort.SessionOptions()
    settings.log_severity_level = 3  # warnings about unused initializers are not ours to print
    settings.graph_optimization_level = OPTIMIZATION[options.get("graph_optimization", "all")]
    settings.intra_op_num_threads = int(options.get("threads", 0))
    settings.use_deterministic_compute = True
    settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    settings.enable_profiling = bool(options.get("profile", False))
    settings.profile_file_prefix = str(Path(tempfile.gettempdir()) / f"assay-{os.getpid()}")
    for key, value in options.get("session", {}).items():
        settings.add_session_config_entry(key, str(value))
    device = None
    if options.get("device_stream"):
        device = onnxruntime_device.own_stream(onnxruntime_device.index_of(options))
        options = {**options, "device_stream": device.handle}
    chosen = onnxruntime_device.provider_options(provider, Path(source.location), options)
    before = _running()
    session, rounded = _opened(Path(source.location), settings, [(provider, chosen)])
    if provider not in (in_force := session.get_providers()):
        raise EnvironmentMissing(
            f"{provider} was asked for and could not be started here; ONNX Runtime would run on {', '.join(in_force)}"
            " instead, a silent fallback. Its own log says which library or device is missing."
        )
    for side, ports in (("input", session.get_inputs()), ("output", session.get_outputs())):
        for port in ports:
            if why := refused(port.type, side):
                raise UsageError(f"{side} {port.name!r} of {Path(source.location).name} {why}.")
    pool = 1 + _running() - before if provider == _CPU else None
    settled = {**options, "chosen": chosen, "rounded": rounded, "pool": pool}
    yield OnnxRuntimeSession(session, Path(source.location), provider, settled, device)


def _opened(path: Path, settings: Any, providers: list[Any]) -> tuple[Any, bool]:
    """The session, and whether it computes bfloat16 in float32 and rounds after every operator, for want of kernels.

    Raises:
        UsageError: ONNX Runtime cannot load the file.
    """
    try:
        return ort.InferenceSession(str(path), settings, providers=providers), False
    except Exception as error:  # its exceptions share no base class
        refusal = UsageError(f"ONNX Runtime cannot load {path.name}: {_plain(error, path)}")
        if "NOT_IMPLEMENTED" not in str(error) or providers[0][0] != _CPU:
            raise refusal from error
    from assay.runner.graphs.bfloat16 import with_kernels

    try:
        if (made := with_kernels(path)) is not None:
            return ort.InferenceSession(made, settings, providers=providers), True
    except Exception as error:
        raise refusal from error
    raise refusal


def _plain(error: Exception, path: Path) -> str:
    """Why a file cannot be loaded: ONNX Runtime's words without what stands before the cause and hides it."""
    words = str(error).strip().replace(f"Load model from {path} failed:", "").replace("This is an invalid model. ", "")
    words = re.sub(r"^\[ONNXRuntimeError\] : \d+ : (\w+) : ", r"\1: ", words)
    return words.replace(str(path), path.name)[:600]


def _running() -> int:
    """Threads of this process.

    A session of n threads starts n - 1 of its own. How many that is by default, the library does not say: one a core
    of the host, whatever `taskset` left of them.
    """
    return sum(1 for _ in Path("/proc/self/task").iterdir())


class OnnxRuntimeSession(Session):
    def __init__(self, session: Any, path: Path, provider: str, options: dict[str, Any], device: Any = None) -> None:
        self._session = session
        self._device = device
        self._path = path
        self._provider = provider
        self._options = options
        self._on = BACKENDS["onnxruntime"].providers.get(provider, "cpu")
        self._inputs = {node.name: node for node in session.get_inputs()}
        self._kinds = {node.name: node.type for node in session.get_outputs()}
        self.output_names: tuple[str, ...] = tuple(self._kinds)
        self._runs = Runs(session, {name: node.type for name, node in self._inputs.items()}, self._kinds)

    def infer(self, inputs: Tensors) -> Tensors:
        feed = self._checked(inputs)
        try:
            values = self._runs.once(feed)
        except Exception as error:
            raise ValueError(f"ONNX Runtime could not run {self._path.name}: {str(error).strip()[:600]}") from error
        self.left_out = tuple(f"{name!r} (without a value)" for name, value in values.items() if value is None)
        return dict(pair for name, value in values.items() for pair in named(name, value, self._kinds[name]))

    def prepare(self, inputs: Tensors) -> Callable[[], object]:
        feed = self._checked(inputs)
        if self._on != "cuda" or not self._runs.can_bind:
            return self._runs.prepared(feed)
        binding = self._session.io_binding()
        index = onnxruntime_device.index_of(self._options)
        self._bound = {n: value_of(a, "cuda", index) for n, a in feed.items()}
        for name, value in self._bound.items():
            binding.bind_ortvalue_input(name, value)
        for name in self.output_names:
            binding.bind_output(name, "cuda", index)

        def call() -> None:
            self._session.run_with_iobinding(binding)
            binding.synchronize_outputs()

        return call

    def bind(self, inputs: Tensors, *, cuda_graph: bool = False) -> Any:
        """A batch bound on the device; the provider captures the graph itself, where it was opened for one.

        Raises:
            ValueError: as `infer`, or the session has no stream that events could be put on.
        """
        if self._device is None or cuda_graph != bool(self._options.get("cuda_graph")):
            raise ValueError("this session was not opened to be timed on a device")
        if not self._runs.plain:
            raise ValueError(
                f"{self._path.name} has ports that are no tensors of numbers in numpy's own dtypes: they cannot be"
                " bound on a device (mode functional times it)"
            )
        return onnxruntime_device.bind(self._session, self.output_names, self._device, DTYPES, self._checked(inputs))

    def builds(self) -> dict[str, int]:
        """The engines that the TensorRT provider has built, with the time of each; empty for other providers."""
        return onnxruntime_device.engines_in(self._options.get("chosen", {}))

    def profile(self, inputs: Tensors, calls: int, warm_up: int) -> tuple[list[dict[str, Any]], dict[str, int]]:
        """Layers with their times over some calls, and bytes that the allocator held; opened with the option `profile`.

        Raises:
            ValueError: as `infer`.
        """
        import onnx

        from assay.runner.timing.traces import as_written, onnxruntime_layers

        feed = self._checked(inputs)
        call = self._runs.prepared(feed)
        for _ in range(warm_up + calls):
            call()
        written = Path(self._session.end_profiling())
        try:
            layers, memory = onnxruntime_layers(json.loads(written.read_text()), calls)
            nodes = onnx.load(self._path, load_external_data=False).graph.node
            return as_written(layers, [(n.name, n.op_type, n.input, n.output) for n in nodes]), memory
        finally:
            written.unlink(missing_ok=True)

    def open_stream(self, states: Mapping[str, str]) -> Stream:
        if not self._runs.plain:
            return HostStream(self, states)
        if self._on != "cuda":
            return OnnxRuntimeStream(self._session, states, self._checked)
        index = onnxruntime_device.index_of(self._options)
        return OnnxRuntimeDeviceStream(self._session, states, self._checked, index)

    def _checked(self, inputs: Tensors, fed: Collection[str] = ()) -> dict[str, Any]:
        """The inputs that the file takes, as it takes them; those in `fed` are there already."""
        given = gathered({name: node.type for name, node in self._inputs.items()}, inputs)
        optional = [name for name, node in self._inputs.items() if is_optional(node.type)]
        if missing := [name for name in self._inputs if name not in given and name not in fed and name not in optional]:
            lists = [name for name in missing if is_sequence(self._inputs[name].type)]
            raise ValueError(
                f"{self._path.name} takes {', '.join(self._inputs)}; the workload has no {', '.join(missing)} "
                f"(it has {', '.join(inputs)})"
                + (f"; name the tensors of a sequence {lists[0]}.0, {lists[0]}.1 and so on" if lists else "")
            )
        return {name: self._fitting(name, value) for name, value in given.items()}

    def _fitting(self, name: str, value: Any) -> Any:
        """An array as the port takes it, in C order; of a sequence each of its elements.

        Raises:
            ValueError: its dtype or shape is not the port's.
        """
        if isinstance(value, list):
            return [self._fitting(name, element) for element in value]
        node = self._inputs[name]
        if dtype_name(value) != (dtype := wanted(node.type)):
            raise ValueError(f"input {name!r} of {self._path.name} is {dtype}, the workload has {dtype_name(value)}")
        fits = len(node.shape) == value.ndim and all(
            not isinstance(want, int) or want == have for want, have in zip(node.shape, value.shape, strict=True)
        )
        if not fits and node.shape and node.type.startswith("tensor("):  # none is written where it is open
            raise ValueError(f"input {name!r} of {self._path.name} has shape {node.shape}, the workload {value.shape}")
        array = texts(value) if dtype == TEXT else value
        return array if array.flags.c_contiguous else np.asarray(array, order="C")

    def placement(self) -> Placement:
        nodes: Counter[str] = Counter()
        operators: Counter[str] = Counter()
        for part in self._session.get_provider_graph_assignment_info():
            nodes[part.ep_name] += len(part.get_nodes())
            operators.update(node.op_type for node in part.get_nodes())
        in_force = self._session.get_providers()
        fell_back = None
        if self._provider == _CPU or self._options.get("allow_fallback", False):
            pass
        elif self._provider not in in_force:
            fell_back = f"{self._provider} was asked for; the session has only {', '.join(in_force)}"
        elif nodes[_CPU]:
            fell_back = f"{self._provider} was asked for; {nodes[_CPU]} of {nodes.total()} nodes were given to {_CPU}"
        ran, asked = "", self._options.get("asked")
        if asked and not self._options.get("allow_fallback", False):
            executed = self.arithmetic({})
            ran = words(executed) or "no products known"
            if fell_back is None and (share_in(asked, executed) or 0.0) < HALF:
                fell_back = f"{asked} was asked for; {ran} ran"
        return Placement(
            device=self._on if self._provider in in_force else "cpu",
            placement=", ".join(f"{name}:{count}" for name, count in nodes.most_common()) or f"{in_force[0]}:0",
            precision=_precision(self._path, operators)
            + (f", {ran}" if ran else "")
            + (", bfloat16 computed in float32 and rounded after every node" if self._options.get("rounded") else ""),
            threads=self._options.get("pool"),
            fell_back=fell_back,
        )

    def arithmetic(self, inputs: Tensors) -> dict[str, dict[str, int]] | None:
        """Nodes by the type that they run in, read from the graph as ONNX Runtime optimized it for this provider."""
        del inputs
        level = OPTIMIZATION[self._options.get("graph_optimization", "all")]
        chosen = (self._provider, self._options.get("chosen", {}))
        return onnxruntime_audit.arithmetic_of(self._path, level, self._options.get("session", {}), chosen)

    def state_hash(self) -> str:
        return hash_file(self._path)


class OnnxRuntimeStream(Stream):
    """Steps on the CPU: what came out goes in again as it lies in memory, without a copy."""

    def __init__(self, session: Any, states: Mapping[str, str], checked: Callable[..., Tensors]) -> None:
        known = {port.name for port in session.get_inputs()}
        self._session = session
        self._states = {name: output for name, output in states.items() if name in known}
        self._checked = checked
        self._names = [node.name for node in session.get_outputs()]
        self._last: dict[str, Any] = {}
        self._seen: set[tuple[Any, ...]] = set()

    def step(self, inputs: Tensors) -> float:
        feed = fed_back(self._states, self._last, inputs)
        self._feed(feed, inputs)
        started = time.perf_counter_ns()
        try:
            values = self._session.run(self._names, feed)
        except Exception as error:
            raise ValueError(f"ONNX Runtime could not run the step: {str(error).strip()[:600]}") from error
        took = (time.perf_counter_ns() - started) / 1e6
        self._last = dict(zip(self._names, values, strict=True))
        return took

    def _feed(self, feed: dict[str, Any], inputs: Tensors) -> None:
        """Add a step's own inputs; shapes and dtypes that have passed once are not checked again."""
        kind = tuple((name, array.shape, array.dtype.num, array.flags.c_contiguous) for name, array in inputs.items())
        if kind in self._seen:
            feed.update(inputs)
            return
        checked = self._checked(inputs, feed)
        feed.update(checked)
        if checked.keys() == inputs.keys() and all(contiguous for *_, contiguous in kind):
            self._seen.add(kind)

    def outputs(self) -> Tensors:
        return self._last


def _precision(path: Path, operators: Counter[str]) -> str:
    """Weight types by elements, and whether integer operators were placed."""
    import onnx

    names: Counter[str] = Counter()
    for tensor in onnx.load(path, load_external_data=False).graph.initializer:
        elements = int(np.prod(tensor.dims)) if tensor.dims else 1
        name = onnx.TensorProto.DataType.Name(tensor.data_type).lower()
        names["float32" if name == "float" else name] += elements
    total = names.total() or 1
    weights = "+".join(name for name, count in names.most_common() if count / total > 0.02) or "none"
    integer = sum(count for name, count in operators.items() if "Integer" in name or name.startswith("QLinear"))
    return f"weights {weights}" + (f", {integer} integer operators" if integer else "")
