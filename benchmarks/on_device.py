"""On a CUDA device, in one run.

The comparison kernel against the device's own copy, and latency by events against a bare loop of events.

Without a device it says so, and measures nothing.
"""

import json
import statistics
import sys
from collections.abc import Callable

import torch

if not torch.cuda.is_available():
    print(json.dumps({"benchmark": "on_device", "skipped": "PyTorch sees no CUDA device here"}))
    sys.exit(0)

from assay.runner.backends import device_compare
from assay.runner.backends.cuda_device import DeviceCall, open_device
from assay.runner.timing.device import event_block, parse_mode, phases_of

ELEMENTS = 1 << 28
REPEATS = 20
ROUNDS = 15
CALLS = 200


def milliseconds(call: Callable[[], object], repeats: int = REPEATS) -> float:
    """Median device time of a call, three of them to warm up."""
    for _ in range(3):
        call()
    pairs = []
    for _ in range(repeats):
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        call()
        last.record()
        pairs.append((first, last))
    torch.cuda.synchronize()
    return statistics.median(a.elapsed_time(b) for a, b in pairs)


def compare() -> dict[str, object]:
    """Bytes read by the kernel a second over bytes read and written by a copy a second."""
    if not device_compare.available():
        return {"compare": "numba finds no CUDA: pip install 'numba-cuda[cu13]'"}
    x = torch.randn(ELEMENTS, device="cuda")
    y = x + 1e-4 * torch.randn(ELEMENTS, device="cuda")
    target = torch.empty_like(x)
    copy_gb_s = 2 * x.nbytes / milliseconds(lambda: target.copy_(x)) / 1e6
    rules = {"rule": "mixed", "atol": 1e-3, "rtol": 1e-3, "nan_equal": False}
    kernel_gb_s = 2 * x.nbytes / milliseconds(lambda: device_compare.tally(x, y, **rules)) / 1e6
    return {
        "copy_gb_s": copy_gb_s,
        "compare_gb_s": kernel_gb_s,
        "of_copy_bandwidth": kernel_gb_s / copy_gb_s,
        "target": 0.7,
    }


def timing() -> dict[str, object]:
    """The harness's event-timed median over that of a bare loop of events, in turns."""
    device = open_device("cuda")
    weights = [torch.randn(1024, 1024, device="cuda") for _ in range(8)]

    def chain(x: torch.Tensor) -> torch.Tensor:
        for weight in weights:
            x = torch.relu(x @ weight)
        return x

    with torch.inference_mode():
        feed = torch.randn(1024, 1024)
        call = DeviceCall(device, {"x": feed.numpy()}, lambda placed: lambda: {"y": chain(placed["x"])})
        phases = phases_of(call, parse_mode("events"))
        held = call.inputs["x"]
        ours, bare = [], []
        for _ in range(ROUNDS):
            ours += event_block(device, phases, CALLS, spin=False).ms
            events = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(CALLS)]
            with device.queue():
                for first, last in events:
                    first.record()
                    chain(held)
                    last.record()
            torch.cuda.synchronize()
            bare += [a.elapsed_time(b) for a, b in events]
    ratio = statistics.median(ours[CALLS:]) / statistics.median(bare[CALLS:])
    return {
        "event_median_over_bare": ratio,
        "event_median_ms": statistics.median(ours[CALLS:]),
        "event_target": "within 1 %",
    }


facts = {"device": torch.cuda.get_device_name(), "torch": torch.__version__}
print(json.dumps({"benchmark": "on_device", **facts, **compare(), **timing()}))
