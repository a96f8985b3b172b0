"""The full receipt of two float32 arrays of 100 M elements on one thread, against its peers, all in one run.

Ratios are of CPU time, side by side; Polygraphy's comparison is timed on a tenth of the elements (it is linear, and
takes half a minute on all of them). Extra memory is the growth of the peak while the kernel runs.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", POLYGRAPHY_AUTOINSTALL_DEPS="0")

import numpy as np

from assay.runner.parity.compare import tally
from assay.runner.parity.receipt import receipt
from assay.runner.timing.memory import peak_rss_bytes

N = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000_000
REPEATS = 3


def cpu_seconds(call: Callable[[], object], repeats: int = REPEATS) -> float:
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        call()
        best = min(best, time.process_time() - start)
    return best


def many_passes(x: np.ndarray, y: np.ndarray) -> tuple[float, ...]:
    """Five metrics as people write them: a pass over memory for each step."""
    error = np.abs(y - x)
    return (
        float(error.max()),
        float(error.mean()),
        float((error / (np.abs(x) + 1e-12)).max()),
        float(np.dot(x, y) / (np.linalg.norm(x) * np.linalg.norm(y))),
        float(10 * np.log10(np.sum(x * x) / np.sum(error * error))),
    )


def full_receipt_in_passes(x: np.ndarray, y: np.ndarray) -> tuple[object, ...]:
    """What the receipt holds, as plain numpy: float64 sums, quantiles, a histogram, the worst element, NaN and Inf."""
    error = y.astype(np.float64) - x
    size = np.abs(error)
    magnitude = np.abs(x)
    broken = size > 1e-3 + 1e-3 * magnitude
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.nanmax(size / magnitude)
    counts = np.histogram(np.log2(size, where=size > 0, out=np.full(size.shape, -60.0)), bins=62, range=(-50, 12))
    dot = np.dot(x.astype(np.float64), y.astype(np.float64))
    return (
        np.isnan(x).sum(),
        np.isnan(y).sum(),
        np.isinf(x).sum(),
        np.isinf(y).sum(),
        x.min(),
        x.max(),
        x.std(dtype=np.float64),
        size.max(),
        size.argmax(),
        size.mean(),
        error.mean(),
        relative,
        np.square(error).mean(),
        np.square(x, dtype=np.float64).sum(),
        np.square(y, dtype=np.float64).sum(),
        dot,
        np.quantile(size, [0.5, 0.95, 0.99, 0.999]),
        broken.sum(),
        broken.argmax(),
        counts,
    )


def polygraphy(x: np.ndarray, y: np.ndarray) -> object:
    from polygraphy.comparator import IterationResult, SimpleCompareFunc
    from polygraphy.logger import G_LOGGER

    G_LOGGER.module_severity = G_LOGGER.CRITICAL
    sides = [IterationResult({"out": array}, runner_name=name) for name, array in (("a", x), ("b", y))]
    return SimpleCompareFunc(atol=1e-3)(*sides)


random = np.random.default_rng(0)
x = random.standard_normal(N, dtype=np.float32)
y = x + random.standard_normal(N, dtype=np.float32) * np.float32(1e-4)
gigabytes = 2 * x.nbytes / 1e9
tally(x[:5_000_000], y[:5_000_000], atol=1e-3)  # compiles
Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
before = peak_rss_bytes()
ours = cpu_seconds(lambda: receipt(tally(x, y, atol=1e-3), x.shape))
extra = peak_rss_bytes() - before
numpy_form = cpu_seconds(lambda: tally(x, y, atol=1e-3, compiled=False), 1)
passes = cpu_seconds(lambda: many_passes(x, y))
tenth = N // 10
full = cpu_seconds(lambda: full_receipt_in_passes(x[:tenth], y[:tenth]), 1) * 10
peer = cpu_seconds(lambda: polygraphy(x[:tenth], y[:tenth]), 1) * 10
reading = cpu_seconds(lambda: np.dot(x, y))
print(
    json.dumps(
        {
            "benchmark": "compare_kernel",
            "elements": N,
            "gb_per_s": gigabytes / ours,
            "polygraphy_gb_per_s": gigabytes / peer,
            "five_metrics_many_pass_numpy_gb_per_s": gigabytes / passes,
            "full_receipt_many_pass_numpy_gb_per_s": gigabytes / full,
            "blocked_numpy_gb_per_s": gigabytes / numpy_form,
            "reading_gb_per_s": gigabytes / reading,
            "times_polygraphy": peer / ours,
            "times_five_metrics_many_pass_numpy": passes / ours,
            "times_full_receipt_many_pass_numpy": full / ours,
            "extra_bytes": extra,
            "targets": {"times_polygraphy": 35, "times_many_pass_numpy": 4, "gb_per_s": 3},
        }
    )
)
