"""A CUDA device as backends use it: memory, a stream that is not the default one, events, graphs. All of it by PyTorch.

What is queued here is waited for only where `synchronize` says so, or an event's `synchronize` does.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch

from assay.runner.errors import EnvironmentMissing
from assay.runner.parity.tally import EXACT_QUANTILES, Tally
from assay.runner.recipes.torch_tensors import to_numpy, to_torch
from assay.runner.tensors import Array, Tensors


def at_host(address: int, size: int) -> torch.Tensor:
    """A copy of bytes in the host's memory."""
    return (
        torch.frombuffer(bytearray(ctypes.string_at(address, size)), dtype=torch.uint8)
        if size
        else torch.empty(0, dtype=torch.uint8)
    )


class _Memory:
    """Bytes on a device, as PyTorch takes them from others."""

    def __init__(self, address: int, size: int) -> None:
        self.__cuda_array_interface__ = {"shape": (size,), "typestr": "|u1", "data": (address, False), "version": 3}


def open_device(name: str) -> Cuda:
    """A device by its name (`cuda`, `cuda:1`); it becomes the one that libraries use where none is named to them.

    Raises:
        EnvironmentMissing: PyTorch here sees no such device.
    """
    index = require(name)
    torch.cuda.set_device(index)
    return Cuda(f"cuda:{index}")


def require(name: str) -> int:
    """The number of a CUDA device that is there.

    Raises:
        EnvironmentMissing: PyTorch here sees no such device.
    """
    if not torch.cuda.is_available():
        raise EnvironmentMissing(f"device {name} is asked for; PyTorch {torch.__version__} sees no CUDA device here.")
    index = torch.device(name).index or 0
    if index >= torch.cuda.device_count():
        raise EnvironmentMissing(
            f"device {name} is asked for; there are {torch.cuda.device_count()} CUDA devices here."
        )
    return index


class Cuda:
    """One device and one stream on it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.device = torch.device(name)
        self.stream = self.new_stream()

    @property
    def handle(self) -> int:
        """The stream as other libraries take it."""
        return int(self.stream.cuda_stream)

    def new_stream(self) -> Any:
        return torch.cuda.Stream(self.device)

    def queue(self) -> AbstractContextManager[Any]:
        """Inside it, what PyTorch is told goes to this stream."""
        return torch.cuda.stream(self.stream)

    def event(self, *, timing: bool = True, spin: bool = False) -> Any:
        """An event; waiting for it polls with `spin`, else the host thread sleeps."""
        return torch.cuda.Event(enable_timing=timing, blocking=not spin)

    def synchronize(self) -> None:
        self.stream.synchronize()

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        return torch.empty(shape, dtype=dtype, device=self.device)

    def pinned(self, tensor: torch.Tensor) -> torch.Tensor:
        """A page-locked twin of a tensor on the host: copies from and to it need not wait."""
        return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)

    def capture(self, call: Callable[[], object]) -> Callable[[], object]:
        """The call as a CUDA graph: it runs once as it is, once recorded, and then is replayed.

        Addresses are fixed by then.
        """
        with self.queue():
            call()
        self.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
            call()
        replay: Callable[[], object] = graph.replay
        return replay

    def at(self, address: int, size: int, stream: int) -> torch.Tensor:
        """A copy, on the host, of bytes that another library has on this device.

        Waits for what its stream has queued.
        """
        if not size:
            return torch.empty(0, dtype=torch.uint8)
        with torch.cuda.stream(torch.cuda.ExternalStream(stream, device=self.device)):
            return torch.as_tensor(_Memory(address, size), device=self.device).cpu()


class DeviceArray:
    """An output that stays on the device until someone needs its values on the host.

    Compared where it lies if it is large.
    """

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor = tensor
        self._host: Array | None = None
        self.shape = tuple(tensor.shape)
        self.dtype = to_numpy(tensor.new_empty(0)).dtype
        self.ndim, self.size = tensor.ndim, tensor.numel()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if self._host is None:
            self._host = to_numpy(self._tensor)
        return self._host if dtype is None else self._host.astype(dtype, copy=bool(copy))

    def tally_against(
        self, expected: Array, *, mask: Array | None, rule: str, atol: float, rtol: float, nan_equal: bool
    ) -> Tally | None:
        """The tally, the expected side having been sent to the device.

        None where the host has to compare: with a mask, for other types than floats and types that differ, up to 65,536
        elements (whose
        quantiles are exact), and without numba's CUDA.
        """
        if (
            mask is not None
            or not self._tensor.is_floating_point()
            or expected.dtype != self.dtype
            or expected.shape != self.shape
        ):
            return None
        if self.size <= EXACT_QUANTILES or not self._tensor.is_cuda or importlib.util.find_spec("numba") is None:
            return None
        from assay.runner.backends import device_compare

        if not device_compare.available():
            return None
        right = to_torch(expected).to(self._tensor.device)
        return device_compare.tally(
            right, self._tensor.contiguous(), rule=rule, atol=atol, rtol=rtol, nan_equal=nan_equal
        )


class DeviceCall:
    """One batch bound on a device.

    Its inputs at fixed addresses, what computes, and where the outputs are afterwards.
    """

    def __init__(
        self,
        device: Cuda,
        inputs: Tensors,
        build: Callable[[dict[str, torch.Tensor]], Callable[[], Mapping[str, Any]]],
        *,
        cuda_graph: bool = False,
    ) -> None:
        """`build` takes the inputs on the device and gives the call that queues the work and names its outputs.

        An output is a tensor, or a function that waits for one whose size depends on the data.
        """
        self.device = device
        hosts = {name: to_torch(array) for name, array in inputs.items()}
        self.inputs = {name: tensor.to(device.device) for name, tensor in hosts.items()}
        self._pinned: dict[str, torch.Tensor] = {}
        for name, host in hosts.items():
            self._pinned[name] = device.pinned(host)
            self._pinned[name].copy_(host)
        self._made: Mapping[str, Any] = {}
        self._results: dict[str, torch.Tensor] = {}
        launch = build(self.inputs)

        def keep() -> None:
            self._made = launch()

        self.compute: Callable[[], object] = device.capture(keep) if cuda_graph else keep
        """Queues the work, and waits for nothing."""

    def upload(self) -> None:
        """Queue the copies of the inputs from page-locked memory."""
        for name, host in self._pinned.items():
            self.inputs[name].copy_(host, non_blocking=True)

    def download(self) -> None:
        """Queue the copies of the outputs into page-locked memory."""
        for name, tensor in self.outputs().items():
            if name not in self._results or self._results[name].shape != tensor.shape:
                self._results[name] = self.device.pinned(tensor)
            self._results[name].copy_(tensor, non_blocking=True)

    def run(self) -> None:
        """Once, with the host waiting for the device at the end."""
        with self.device.queue():
            self.compute()
        self.device.synchronize()

    def outputs(self) -> dict[str, torch.Tensor]:
        """What the last call made, on the device; a graph writes it anew with every replay."""
        return {name: made() if callable(made) else made for name, made in self._made.items()}
