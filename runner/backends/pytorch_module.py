"""PyTorch: a module from a factory, a TorchScript file, or an ExportedProgram.

Options: `compile` (torch.compile), `autocast` (`float16` or `bfloat16`), `device`, `threads`, `tf32` (off unless asked
for, because parity comes
before speed; algorithms are deterministic likewise),
`rounding` (`tf32` or `bfloat16`: matrix products emulated on float32 with rounded inputs, to see what a device would
do).
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import inspect
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from assay.runner import permission
from assay.runner.backends import BACKENDS, check_session_options, cuda_device, pytorch_audit
from assay.runner.backends.cuda_device import DeviceArray, DeviceCall
from assay.runner.errors import UsageError
from assay.runner.recipes import MODULE_RECIPES
from assay.runner.recipes.torch_modules import Signed, parameter_names
from assay.runner.recipes.torch_tensors import leaves_of, name_outputs, nest, to_numpy, to_torch
from assay.runner.session import Placement, Session, Source, Stream, fed_back
from assay.runner.source import load_factory
from assay.runner.tensors import Tensors

_AUTOCAST = {"float16": torch.float16, "bfloat16": torch.bfloat16}
_REAL = ("float32", "float16", "bfloat16")
"""Dtypes of inputs that `float64` arithmetic widens, as it widens the parameters."""
_DROPPED_BITS = {"tf32": 13, "bfloat16": 16}


def accepts() -> tuple[str, ...]:
    return BACKENDS["pytorch"].opens


@contextmanager
def open_session(source: Source, options: dict[str, Any]) -> Iterator[PyTorchSession]:
    """Make or load the module, in evaluation mode, on its device.

    Raises:
        EnvironmentMissing: CUDA is asked for and not there.
        UsageError: the factory raised, or made no module; the file cannot be loaded; an option is unknown.
    """
    check_session_options("pytorch", options)
    device = torch.device(options.get("device", "cpu"))
    if device.type == "cuda":
        cuda_device.require(str(device))
    if threads := options.get("threads"):
        torch.set_num_threads(int(threads))
    torch.backends.cuda.matmul.allow_tf32 = bool(options.get("tf32", False))
    torch.backends.cudnn.allow_tf32 = bool(options.get("tf32", False))
    torch.backends.cudnn.deterministic = True
    module = load_module(source).to(device)
    before = None
    if source.recipe:
        from assay.runner.recipes.torch_modules import apply

        before = pytorch_audit.parts(module)
        module = Signed(apply(source.recipe, module, source.recipe_options), parameter_names(module))
    yield PyTorchSession(module, source, device, options, before)


def load_module(source: Source) -> Any:
    """The module in evaluation mode; see `open_session` for what is raised."""
    if source.kind in ("torchscript", "exported-program"):
        path = source.folder / source.location
        permission.require_file(path.name, path, "is a file whose loading can run code")
    try:
        if source.kind == "torchscript":
            return torch.jit.load(source.location, map_location="cpu").eval()
        if source.kind == "exported-program":
            return torch.export.load(source.location).module()  # it has no eval(): its mode was fixed at export
    except Exception as error:
        raise UsageError(f"PyTorch cannot load {source.location}: {str(error).strip()[:600]}") from error
    factory = load_factory(source.location, source.folder)
    try:
        module = factory(**source.options)
    except Exception as error:
        raise UsageError(f"the factory {source.location} raised {type(error).__name__}: {error}") from error
    if not isinstance(module, torch.nn.Module):
        raise UsageError(f"the factory {source.location} made a {type(module).__name__}, not a torch.nn.Module.")
    _CHANGED_BY_EVAL[module] = [
        name or type(part).__name__ for name, part in module.named_modules() if _evaluates(part)
    ]
    return module.eval()


_CHANGED_BY_EVAL: weakref.WeakKeyDictionary[Any, list[str]] = weakref.WeakKeyDictionary()
"""Module -> its parts that were in training mode before eval(), and compute something else after it."""


def _evaluates(part: Any) -> bool:
    """Whether a part in training mode computes something else in evaluation mode.

    It drops, or keeps statistics of its batches, or its own `forward` reads `training`.
    """
    if not part.training:
        return False
    if not type(part).__module__.startswith("torch.nn."):
        code = getattr(type(part).forward, "__code__", None)
        return code is not None and "training" in code.co_names
    if getattr(part, "track_running_stats", False) or isinstance(part, torch.nn.RReLU):
        return True
    layers = getattr(part, "num_layers", 2)  # a recurrent part drops between its layers
    return layers > 1 and any(getattr(part, name, 0.0) > 0 for name in ("p", "dropout") if _is_number(part, name))


def _is_number(part: Any, name: str) -> bool:
    return isinstance(getattr(part, name, None), float | int)


class _Autocast:
    """A call whose operators run in a narrower type where PyTorch holds that to be safe."""

    def __init__(self, call: Any, device: str, dtype: torch.dtype) -> None:
        self._call, self._device, self._dtype = call, device, dtype

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with torch.autocast(self._device, self._dtype):
            return self._call(*args, **kwargs)


class PyTorchSession(Session):
    arithmetics = ("float64", *_DROPPED_BITS)

    def __init__(
        self, module: Any, source: Source, device: torch.device, options: dict[str, Any], before: Any = None
    ) -> None:
        self.module = module
        self._before = before
        self._source = source
        self._device = device
        self._options = options
        self._call = torch.compile(module) if options.get("compile") else module
        if lower := options.get("autocast"):
            self._call = _Autocast(self._call, device.type, _AUTOCAST[lower])
        self.output_names: tuple[str, ...] = source.outputs or ()

    def infer(self, inputs: Tensors) -> Tensors:
        named, _ = self.call_on_device(inputs, {})
        return {name: to_numpy(tensor) for name, tensor in named.items()}

    def prepare(self, inputs: Tensors) -> Callable[[], object]:
        arguments, call = self._bind(inputs, {}), self._call
        names, values = (list(arguments), list(arguments.values())) if isinstance(arguments, dict) else ([], arguments)
        feed = dict(zip(names, values, strict=True)) if names else {}
        positional = [] if names else values
        inference_mode, synchronize = torch.inference_mode, torch.cuda.synchronize

        def on_host() -> object:
            with inference_mode():
                return call(*positional, **feed)

        def on_device() -> object:
            with inference_mode():
                result = call(*positional, **feed)
            synchronize()
            return result

        return on_device if self._device.type == "cuda" else on_host

    def bind(self, inputs: Tensors, *, cuda_graph: bool = False) -> DeviceCall:
        """A batch at fixed addresses on a stream of its own; `cuda_graph` captures the module's kernels.

        Raises:
            EnvironmentMissing: the session is not on a CUDA device.
        """
        device = cuda_device.open_device(str(self._device))
        names = parameter_names(self.module, inputs)

        def build(placed: dict[str, torch.Tensor]) -> Callable[[], dict[str, Any]]:
            def launch() -> dict[str, Any]:
                with torch.inference_mode():
                    result = self._call(*placed.values()) if names is None else self._call(**nest(placed, names))
                return name_outputs(result, self._source.outputs)

            return launch

        return DeviceCall(device, inputs, build, cuda_graph=cuda_graph)

    def profile(self, inputs: Tensors, calls: int, warm_up: int) -> tuple[list[dict[str, Any]], dict[str, int]]:
        """Operators with the time that is their own, by PyTorch's profiler.

        Equal operators on equal shapes are one layer.
        """
        from assay.runner.timing.traces import with_shares

        call = self.prepare(inputs)
        for _ in range(warm_up):
            call()
        activity = torch.profiler.ProfilerActivity
        on_device = self._device.type == "cuda"
        with torch.profiler.profile(
            activities=[activity.CPU, *([activity.CUDA] if on_device else [])], record_shapes=True
        ) as profiler:
            for _ in range(calls):
                call()
        found: dict[tuple[str, str], list[Any]] = {}
        for event in profiler.events():
            found.setdefault((event.name, str(event.input_shapes)), []).append(event)
        layers = []
        for (name, shapes), events in found.items():
            own = [(e.self_device_time_total if on_device else 0) + e.self_cpu_time_total for e in events]
            layers.append(
                {
                    "name": f"{name} {shapes}" if shapes not in ("None", "[]") else name,
                    "op_type": name,
                    "provider": "torch",
                    "precision": None,
                    "calls": len(events),
                    "total_ms": sum(own) / 1e3,
                    "median_us": float(np.median(own)),
                    "output_shape": None,
                    "output_bytes": None,
                    "parameter_bytes": None,
                }
            )
        return with_shares([layer for layer in layers if layer["total_ms"] > 0]), self.memory()

    def open_stream(self, states: Mapping[str, str]) -> PyTorchStream:
        return PyTorchStream(self, states)

    def call_on_device(self, inputs: Tensors, fed: dict[str, Any]) -> tuple[dict[str, Any], float]:
        """One step: outputs as tensors where they lie, and the wall time in ms; `fed` are tensors already there."""
        arguments = self._bind(inputs, fed)
        started = time.perf_counter_ns()
        with torch.inference_mode(), self._rounded():
            result = self._call(**arguments) if isinstance(arguments, dict) else self._call(*arguments)
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        took = (time.perf_counter_ns() - started) / 1e6
        named = name_outputs(result, self._source.outputs)
        self.output_names = tuple(named)
        self.left_out = tuple(leaves_of(result).left_out)
        return named, took

    def infer_as(self, inputs: Tensors, arithmetic: str) -> Tensors:
        """Outputs in other arithmetic.

        `float64`, or float32 whose matrix products round their inputs to `tf32` or `bfloat16`: emulated, so that it
        tells on any host what reduced precision would do.

        Raises:
            Exception: whatever the module raises when its dtype is not the one it was written for.
        """
        if arithmetic != "float64":
            with _RoundedProducts(_DROPPED_BITS[arithmetic]):
                return self.infer(inputs)
        exact = PyTorchSession(copy.deepcopy(self.module).double(), self._source, self._device, {})
        return exact.infer({n: a.astype(np.float64) if a.dtype.name in _REAL else a for n, a in inputs.items()})

    def in_training(self) -> list[str]:
        """What stays in training mode although eval() was called: modules, or operators that were traced so."""
        if self._source.kind == "torchscript":
            return _traced_in_training(self.module)
        if self._source.kind == "exported-program":
            return [
                node.name
                for node in self.module.graph.nodes
                if node.op == "call_function" and _trains(str(node.target), node.args)
            ]
        leaves = (
            (name, module) for name, module in self.module.named_modules() if next(module.children(), None) is None
        )
        return [name or type(module).__name__ for name, module in leaves if module.training]

    def changed_by_eval(self) -> list[str]:
        return _CHANGED_BY_EVAL.get(self.module, [])

    def _rounded(self) -> Any:
        rounding = self._options.get("rounding")
        return _RoundedProducts(_DROPPED_BITS[rounding]) if rounding else contextlib.nullcontext()

    def _bind(self, inputs: Tensors, fed: dict[str, Any]) -> dict[str, Any] | list[Any]:
        """Arguments on the device, those in `fed` are there already; nested ones (`past.0.1`) put together."""
        names = parameter_names(self.module, [*inputs, *fed])
        tensors = {**{name: self._placed(name, array) for name, array in inputs.items()}, **fed}
        return list(tensors.values()) if names is None else nest(tensors, names)

    def _placed(self, name: str, array: Any) -> torch.Tensor:
        try:
            return to_torch(array).to(self._device)
        except ValueError as error:
            raise ValueError(f"input {name!r}: {error}") from None

    def placement(self) -> Placement:
        tensors = [*self.module.parameters(), *_packed_weights(self.module)]
        kinds = {str(p.dtype).removeprefix("torch.") for p in tensors} or {"none"}
        return Placement(
            device=self._device.type,
            placement=f"{self._how()} on {self._device}",
            precision=f"weights {'+'.join(sorted(kinds))}"
            + (", TF32" if self._options.get("tf32") else "")
            + (f", autocast to {self._options['autocast']}" if self._options.get("autocast") else "")
            + (f", products rounded to {self._options['rounding']}" if self._options.get("rounding") else ""),
            threads=torch.get_num_threads(),
            modules=None if self._before is None else pytorch_audit.parts(self.module).total(),
            modules_changed=None
            if self._before is None or not MODULE_RECIPES[str(self._source.recipe)].alters
            else pytorch_audit.changed(pytorch_audit.parts(self.module), self._before),
        )

    def arithmetic(self, inputs: Tensors) -> dict[str, dict[str, int]] | None:
        """Operators of one call by their type; None of compiled modules, whose kernels nobody sees."""
        if self._options.get("compile") or self._source.recipe == "torch-compile":
            return None
        return pytorch_audit.arithmetic_of(lambda: self.infer(inputs))

    def _how(self) -> str:
        if self._options.get("compile"):
            return "torch.compile"
        return self._source.recipe or "eager"

    def state_hash(self) -> str:
        """Weights, buffers, and the source text of every class that is not PyTorch's own."""
        if self._source.kind != "factory":
            return hashlib.sha256(Path(self._source.location).read_bytes()).hexdigest()
        digest = hashlib.sha256(repr(sorted(self._source.options.items())).encode())
        for name, tensor in sorted(self.module.state_dict().items()):
            digest.update(name.encode())
            digest.update(to_numpy(tensor).tobytes())
        classes = {type(module) for module in self.module.modules()}
        for cls in sorted(classes, key=lambda c: f"{c.__module__}.{c.__qualname__}"):
            if not cls.__module__.startswith("torch"):
                digest.update(_source_of(cls).encode())
        return digest.hexdigest()

    def parameters(self) -> tuple[int, int]:
        """Elements and bytes of the parameters; of quantized layers, those of the packed weights."""
        tensors = [*self.module.parameters(), *_packed_weights(self.module)]
        coded = [layer.weight_storage() for layer in self.module.modules() if hasattr(layer, "weight_storage")]
        elements = sum(t.numel() for t in tensors) + sum(count for count, _ in coded)
        return elements, sum(t.numel() * t.element_size() for t in tensors) + sum(size for _, size in coded)

    def weights_origin(self) -> str | None:
        """Where the weights are from, if the module says it."""
        return getattr(self.module, "weights_origin", None)

    def memory(self) -> dict[str, int]:
        """The most that PyTorch's allocator held on the device, in bytes; nothing is known of the CPU's."""
        if self._device.type != "cuda":
            return {}
        return {"gpu_peak_bytes": int(torch.cuda.max_memory_allocated(self._device))}


def _packed_weights(module: Any) -> list[torch.Tensor]:
    """Weights that dynamically quantized layers keep out of `parameters()`."""
    found = []
    for layer in module.modules():
        if "quantized" in type(layer).__module__ and callable(getattr(layer, "weight", None)):
            found += [t for t in (layer.weight(), layer.bias()) if isinstance(t, torch.Tensor)]
    return found


_TRAINING_ARGUMENT = {
    "dropout": 2,
    "native_dropout": 2,
    "batch_norm": 5,
    "_native_batch_norm_legit": 5,
    "native_batch_norm": 5,
}
"""Operator -> position of the argument that says whether it trains."""


def _trains(target: str, arguments: Any) -> bool:
    """Whether an ATen operator (`aten.dropout.default`) was called in training mode.

    A dropout of nothing does not count.
    """
    name = target.removeprefix("aten.").split(".")[0]
    position = _TRAINING_ARGUMENT.get(name)
    if position is None or len(arguments) <= position or arguments[position] is not True:
        return False
    return "dropout" not in name or bool(arguments[1])


def _traced_in_training(module: Any) -> list[str]:
    """Operators of a TorchScript method that train whatever the module's mode is: their flag is a constant."""
    found = []
    graph = module.inlined_graph  # its nodes live no longer than it does
    for name, position in _TRAINING_ARGUMENT.items():
        for node in graph.findAllNodes(f"aten::{name}"):
            inputs = list(node.inputs())
            if (
                len(inputs) > position
                and inputs[position].node().kind() == "prim::Constant"
                and inputs[position].toIValue() is True
            ):
                found.append(f"aten::{name}")
    return found


class _RoundedProducts(TorchDispatchMode):
    """Rounds float32 inputs of matrix products and convolutions to fewer mantissa bits, as tensor cores do."""

    _PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "convolution", "linear", "matmul", "_scaled_dot_product")

    def __init__(self, dropped_bits: int) -> None:
        super().__init__()
        self._dropped = dropped_bits

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function._schema.name.split("::")[1].startswith(self._PRODUCTS):  # noqa: SLF001  no public name
            args = torch.utils._pytree.tree_map(self._round, args)  # noqa: SLF001
        return function(*args, **(kwargs or {}))

    def _round(self, value: Any) -> Any:
        """To the nearest, ties to even, on the bits."""
        if not isinstance(value, torch.Tensor) or value.dtype != torch.float32:
            return value
        bits = value.contiguous().view(torch.int32)
        half = (1 << (self._dropped - 1)) - 1 + ((bits >> self._dropped) & 1)
        return (((bits + half) >> self._dropped) << self._dropped).view(torch.float32)


class PyTorchStream(Stream):
    """Steps with the states left where they are: tensors on the device."""

    def __init__(self, session: PyTorchSession, states: Mapping[str, str]) -> None:
        self._session = session
        self._states = states
        self._last: dict[str, Any] = {}

    def step(self, inputs: Tensors) -> float:
        fed = fed_back(self._states, self._last, inputs)
        self._last, took = self._session.call_on_device(inputs, fed)
        return took

    def outputs(self) -> Tensors:
        return {name: to_numpy(tensor) for name, tensor in self._last.items()}

    def device_outputs(self) -> dict[str, DeviceArray] | None:
        """The same, left where they lie; None on the CPU."""
        if any(not tensor.is_cuda for tensor in self._last.values()):
            return None
        return {name: DeviceArray(tensor) for name, tensor in self._last.items()}


def _source_of(cls: type) -> str:
    try:
        return inspect.getsource(inspect.getmodule(cls) or cls)
    except (OSError, TypeError):  # made at run time: its weights have to speak for it
        return cls.__qualname__
