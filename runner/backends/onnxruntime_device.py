"""ONNX Runtime's providers for CUDA and TensorRT.

Their options, a batch bound on the device, and steps whose states stay there.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from assay.runner.backends import device_index
from assay.runner.errors import UsageError
from assay.runner.graphs.engine_sizes import Sizes, as_text, profiles
from assay.runner.session import Stream, fed_back
from assay.runner.tensors import Tensors

CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"
_GRAPH = {CUDA: "enable_cuda_graph", TENSORRT: "trt_cuda_graph_enable"}


def provider_options(provider: str, path: Path, options: Mapping[str, Any]) -> dict[str, str]:
    """What a provider is opened with: parity before speed, unless the suite's `provider_options` say otherwise.

    CUDA: TF32 off, convolution algorithms without a search. TensorRT: engines and tactics cached for each file and
    profile, so that no build falls
    into a later run, and profiles from the contract (`sizes`). `device_stream` is a stream that both sides queue on,
    `cuda_graph` a
    captured graph.

    Raises:
        UsageError: nothing says how large a dynamic axis is (TensorRT).
    """
    chosen: dict[str, str] = {}
    if provider == CUDA:
        chosen = {"use_tf32": "1" if options.get("tf32") else "0", "cudnn_conv_algo_search": "DEFAULT"}
    elif provider == TENSORRT:
        if not options.get("tf32"):
            os.environ["NVIDIA_TF32_OVERRIDE"] = "0"  # the provider has no option for it; this process runs one model
        chosen = _shapes(path, options.get("sizes") or {})
        folder = str(engine_cache(path, chosen))
        chosen |= {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": folder,
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": folder,
        }
    if stream := options.get("device_stream"):
        chosen["user_compute_stream"] = str(stream)
    if options.get("cuda_graph") and provider in _GRAPH:
        chosen[_GRAPH[provider]] = "1"
    if provider in _GRAPH and (index := device_index(options.get("device"))) is not None:
        chosen["device_id"] = str(index)
    return {**chosen, **{key: str(value) for key, value in options.get("provider_options", {}).items()}}


def index_of(options: Mapping[str, Any]) -> int:
    """The number of the CUDA device that a session's options ask for; 0 where none is written."""
    return int(options.get("provider_options", {}).get("device_id", device_index(options.get("device")) or 0))


def _shapes(path: Path, sizes: Mapping[str, Any]) -> dict[str, str]:
    from assay.runner.graphs.audit import ports

    inputs = {
        name: tuple(size if isinstance(size, int) else -1 for size in port["shape"])
        for name, port in ports(path)["inputs"].items()
    }
    made = profiles(inputs, Sizes(**sizes))
    which = {"trt_profile_min_shapes": 0, "trt_profile_opt_shapes": 1, "trt_profile_max_shapes": 2}
    return (
        {key: ",".join(as_text(profile, number) for profile in made) for key, number in which.items()} if made else {}
    )


def engine_cache(path: Path, settings: Mapping[str, str]) -> Path:
    """The folder of the provider's engines for a file and its profiles; made if it is not there."""
    digest = hashlib.sha256(path.read_bytes() + repr(sorted(settings.items())).encode()).hexdigest()
    root = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "assay"
    folder = root / "tensorrt-provider" / digest[:32]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def engines_in(settings: Mapping[str, str]) -> dict[str, int]:
    """Engines of a session's cache with the time of their last change; it moves when one is built."""
    folder = Path(settings.get("trt_engine_cache_path", ""))
    return {file.name: file.stat().st_mtime_ns for file in folder.glob("*.engine")} if folder.name else {}


def bind(session: Any, names: tuple[str, ...], device: Any, dtypes: Mapping[str, str], inputs: Tensors) -> Any:
    """A batch bound on the device (`assay.runner.backends.cuda_device.DeviceCall`), its outputs at fixed addresses.

    The session has to queue on the device's stream, and does not wait at the end of a run. `dtypes` are ONNX Runtime's
    names -> numpy's.
    """
    import torch

    from assay.runner.backends.cuda_device import DeviceCall
    from assay.runner.recipes.torch_tensors import to_numpy

    index = torch.device(device.name).index or 0

    def numpy_type(tensor: torch.Tensor) -> Any:
        return to_numpy(tensor.new_empty(0)).dtype.type

    def build(placed: dict[str, torch.Tensor]) -> Callable[[], Mapping[str, torch.Tensor]]:
        binding = session.io_binding()
        for name, tensor in placed.items():
            binding.bind_input(name, "cuda", index, numpy_type(tensor), tuple(tensor.shape), tensor.data_ptr())
        for name in names:
            binding.bind_output(name, "cuda", index)
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        outputs = {}
        for name, value in zip(names, binding.get_outputs(), strict=True):
            outputs[name] = device.empty(tuple(value.shape()), getattr(torch, dtypes[value.data_type()]))
        binding.clear_binding_outputs()
        for name, tensor in outputs.items():
            binding.bind_output(name, "cuda", index, numpy_type(tensor), tuple(tensor.shape), tensor.data_ptr())
        settings = ort.RunOptions()
        settings.add_run_config_entry("disable_synchronize_execution_providers", "1")

        def launch() -> Mapping[str, torch.Tensor]:
            session.run_with_iobinding(binding, settings)
            return outputs

        return launch

    return DeviceCall(device, inputs, build)


def own_stream(index: int) -> Any:
    """A device with a stream for a session to queue on, so that events can be put around its work.

    Raises:
        UsageError: PyTorch, which has the events, is not installed.
        EnvironmentMissing: PyTorch sees no CUDA device.
    """
    try:
        from assay.runner.backends import cuda_device
    except ImportError as error:
        raise UsageError(f"events and graphs need PyTorch with CUDA in this environment: {error}.") from None
    return cuda_device.open_device(f"cuda:{index}")


class OnnxRuntimeDeviceStream(Stream):
    """Steps through one I/O binding.

    A state's output becomes the next step's input where it lies, without a host copy.
    """

    def __init__(self, session: Any, states: Mapping[str, str], checked: Callable[..., Tensors], index: int) -> None:
        known = {port.name for port in session.get_inputs()}
        self._session = session
        self._states = {name: output for name, output in states.items() if name in known}
        self._checked = checked
        self._index = index
        self._binding = session.io_binding()
        self._names = [node.name for node in session.get_outputs()]
        self._last: dict[str, Any] = {}

    def step(self, inputs: Tensors) -> float:
        fed = fed_back(self._states, self._last, inputs)
        given = self._checked(inputs, fed)
        binding = self._binding
        started = time.perf_counter_ns()
        for name, array in given.items():
            binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array, "cuda", self._index))
        for name, value in fed.items():
            binding.bind_ortvalue_input(name, value)
        for name in self._names:
            binding.bind_output(name, "cuda", self._index)
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:
            raise ValueError(f"ONNX Runtime could not run the step: {str(error).strip()[:600]}") from error
        binding.synchronize_outputs()
        took = (time.perf_counter_ns() - started) / 1e6
        self._last = dict(zip(self._names, binding.get_outputs(), strict=True))
        return took

    def outputs(self) -> Tensors:
        return {name: np.asarray(value.numpy()) for name, value in self._last.items()}

    def device_outputs(self) -> dict[str, Any] | None:
        """The same, left where they lie; None where PyTorch cannot reach them."""
        if importlib.util.find_spec("torch") is None:
            return None
        import torch

        from assay.runner.backends.cuda_device import DeviceArray

        if not torch.cuda.is_available():
            return None
        # Its Python class has no way out to DLPack; the object that it wraps has.
        return {name: DeviceArray(torch.from_dlpack(value._get_c_value())) for name, value in self._last.items()}  # noqa: SLF001
