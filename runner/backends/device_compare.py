"""The comparison kernel on CUDA.

Two arrays that lie on the device in, a tally out, in one pass over both, nothing copied to the host but sums.

The same definition as `assay.runner.parity.compare`, and held equal to it by a property test, on numba's simulator
where there is no GPU. Sums are float64, each thread's in a fixed order, blocks' in the order of the blocks: the same
arrays give the same last digit. Squares about the mean are summed about the first element, so that they cancel no more
than the elements scatter (Chan, Golub, LeVeque 1983, shifted data).
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import torch
from numba import cuda, float64, int32, int64

from assay.runner.parity.tally import FINE_BINS, Tally
from assay.runner.tensors import Array

THREADS = 256
BLOCKS_PER_MULTIPROCESSOR = 4
_LOWEST = -64
_SUBDIVISIONS = 128
_WINDOW = 8192
"""Bins of the fine histogram that a block counts in its own memory (32 KiB): 64 octaves; the others go to global memory
at once."""
_WINDOW_FROM = 1 + (-50 - _LOWEST) * _SUBDIVISIONS
"""The first of them: errors of 2^-50."""
_RULES = {"mixed": 0, "either": 1, "exact": 2}
_FLOATS = (
    "sum_abs",
    "sum_signed",
    "sum_squared",
    "shifted",
    "shifted_squares",
    "sum_squared_expected",
    "sum_squared_actual",
    "max_rel",
    "max_abs",
    "min_expected",
    "max_expected",
)
_INTS = (
    "nan_expected",
    "nan_actual",
    "inf_expected",
    "inf_actual",
    "nonfinite_mismatches",
    "violations",
    "finite",
    "worst",
    "first_mismatch",
    "first_failing",
)
_SUMS = 7
"""So many of _FLOATS and of _INTS are sums; the others are extremes and first places."""
_NOWHERE = np.iinfo(np.int64).max


@cache
def kernel(threads: int = THREADS) -> Any:
    """The kernel for a block size, which has to be a power of two."""

    @cuda.jit
    def run(x, y, rule, atol, rtol, nan_equal, floats, ints, fine):  # type: ignore[no-untyped-def]
        window = cuda.shared.array(_WINDOW, int32)
        sums = cuda.shared.array(threads, float64)
        counts = cuda.shared.array(threads, int64)
        places = cuda.shared.array(threads, int64)
        thread = cuda.threadIdx.x
        block = cuda.blockIdx.x
        for i in range(thread, _WINDOW, threads):
            window[i] = 0
        cuda.syncthreads()
        shift = float64(x[0])
        if not math.isfinite(shift):
            shift = 0.0
        sum_abs = sum_signed = sum_squared = shifted = squares = sum_xx = sum_yy = 0.0
        max_rel = 0.0
        max_abs = -1.0
        low = math.inf
        high = -math.inf
        nan_x = nan_y = inf_x = inf_y = mismatches = violations = finite = exact = int64(0)
        worst = first_mismatch = first_failing = int64(_NOWHERE)
        for i in range(block * threads + thread, x.size, threads * cuda.gridDim.x):
            a = float64(x[i])
            b = float64(y[i])
            if not (math.isfinite(a) and math.isfinite(b)):
                nan_x += math.isnan(a)
                nan_y += math.isnan(b)
                inf_x += math.isinf(a)
                inf_y += math.isinf(b)
                if not (a == b or (nan_equal and math.isnan(a) and math.isnan(b))):
                    mismatches += 1
                    violations += 1
                    first_mismatch = min(first_mismatch, i)
                    first_failing = min(first_failing, i)
                continue
            finite += 1
            d = b - a
            error = abs(d)
            magnitude = abs(a)
            sum_abs += error
            sum_signed += d
            sum_squared += d * d
            shifted += a - shift
            squares += (a - shift) * (a - shift)
            sum_xx += a * a
            sum_yy += b * b
            low = min(low, a)
            high = max(high, a)
            if error > max_abs:  # a thread's elements come in order: the first of equal ones stays
                max_abs = error
                worst = i
            if rule == 0:
                broken = error > atol + rtol * magnitude
            elif rule == 1:
                broken = error > atol and error > rtol * magnitude
            else:
                broken = error != 0.0
            if broken:
                violations += 1
                first_failing = min(first_failing, i)
            if error == 0.0:
                exact += 1
                continue
            if error > max_rel * magnitude:
                max_rel = max(max_rel, error / magnitude if magnitude > 0.0 else math.inf)
            fraction, exponent = math.frexp(error)
            octave = exponent - 1 - _LOWEST
            if octave < 0:
                bin_ = 1
            elif octave >= (FINE_BINS - 1) // _SUBDIVISIONS:
                bin_ = FINE_BINS - 1
            else:
                bin_ = 1 + octave * _SUBDIVISIONS + int((2.0 * fraction - 1.0) * _SUBDIVISIONS)
            inside = bin_ - _WINDOW_FROM
            if 0 <= inside < _WINDOW:
                cuda.atomic.add(window, inside, 1)
            else:
                cuda.atomic.add(fine, bin_, 1)
        cuda.syncthreads()
        for i in range(thread, _WINDOW, threads):
            if window[i] != 0:
                cuda.atomic.add(fine, _WINDOW_FROM + i, int64(window[i]))
        if exact > 0:
            cuda.atomic.add(fine, 0, exact)
        # Sums: a tree over the block's threads, the same one every time.
        for k in range(_SUMS):
            if k == 0:
                sums[thread], counts[thread] = sum_abs, nan_x
            elif k == 1:
                sums[thread], counts[thread] = sum_signed, nan_y
            elif k == 2:
                sums[thread], counts[thread] = sum_squared, inf_x
            elif k == 3:
                sums[thread], counts[thread] = shifted, inf_y
            elif k == 4:
                sums[thread], counts[thread] = squares, mismatches
            elif k == 5:
                sums[thread], counts[thread] = sum_xx, violations
            else:
                sums[thread], counts[thread] = sum_yy, finite
            cuda.syncthreads()
            half = threads // 2
            while half > 0:
                if thread < half:
                    sums[thread] += sums[thread + half]
                    counts[thread] += counts[thread + half]
                cuda.syncthreads()
                half //= 2
            if thread == 0:
                floats[block, k] = sums[0]
                ints[block, k] = counts[0]
            cuda.syncthreads()
        # Extremes: largest relative error, largest error with its first place, range, first places.
        for k in range(4):
            if k == 0:
                sums[thread], places[thread] = max_rel, -first_mismatch
            elif k == 1:
                sums[thread], places[thread] = -low, -first_failing
            elif k == 2:
                sums[thread], places[thread] = high, 0
            else:
                sums[thread], places[thread] = max_abs, -worst
            cuda.syncthreads()
            half = threads // 2
            while half > 0:
                if thread < half:
                    other = sums[thread + half]
                    if k < 3:
                        sums[thread] = max(sums[thread], other)
                        places[thread] = max(places[thread], places[thread + half])
                    elif other > sums[thread] or (other == sums[thread] and places[thread + half] > places[thread]):
                        sums[thread] = other
                        places[thread] = places[thread + half]
                cuda.syncthreads()
                half //= 2
            if thread == 0:
                if k == 0:
                    floats[block, 7], ints[block, 8] = sums[0], -places[0]
                elif k == 1:
                    floats[block, 9], ints[block, 9] = -sums[0], -places[0]
                elif k == 2:
                    floats[block, 10] = sums[0]
                else:
                    floats[block, 8], ints[block, 7] = sums[0], -places[0]
            cuda.syncthreads()

    return run


def tally(
    expected: torch.Tensor,
    actual: torch.Tensor,
    *,
    rule: str,
    atol: float,
    rtol: float,
    nan_equal: bool,
    threads: int = THREADS,
    blocks: int | None = None,
) -> Tally:
    """Compare two contiguous tensors of one floating type and shape, both on one device.

    See `assay.runner.parity.compare.tally`.

    Types narrower than float32 are widened on the device, which is exact. Quantiles come from the histogram: up to
    `EXACT_QUANTILES` elements are
    for the host, where they are exact.
    """
    x, y = (
        side.reshape(-1) if side.dtype in (torch.float32, torch.float64) else side.reshape(-1).float()
        for side in (expected, actual)
    )
    count = blocks or _blocks(x, threads)
    floats = torch.zeros((count, len(_FLOATS)), dtype=torch.float64, device=x.device)
    ints = torch.zeros((count, len(_INTS)), dtype=torch.int64, device=x.device)
    fine = torch.zeros(FINE_BINS, dtype=torch.int64, device=x.device)
    arrays = [_seen(t) for t in (x, y)]
    configured = kernel(threads)[count, threads, _stream(x)] if x.is_cuda else kernel(threads)[count, threads]
    configured(*arrays, _RULES[rule], atol, rtol, nan_equal, *(_seen(t) for t in (floats, ints, fine)))
    shift = float(x[0])
    return _merged(
        floats.cpu().numpy(), ints.cpu().numpy(), fine.cpu().numpy(), x, y, shift if math.isfinite(shift) else 0.0
    )


def _blocks(x: torch.Tensor, threads: int) -> int:
    multiprocessors = torch.cuda.get_device_properties(x.device).multi_processor_count if x.is_cuda else 1
    return max(1, min(multiprocessors * BLOCKS_PER_MULTIPROCESSOR, -(-x.numel() // threads)))


def _seen(tensor: torch.Tensor) -> Any:
    """The tensor as numba takes it, where it lies."""
    return cuda.as_cuda_array(tensor) if tensor.is_cuda else tensor.numpy()


def _stream(tensor: torch.Tensor) -> Any:
    return cuda.external_stream(torch.cuda.current_stream(tensor.device).cuda_stream)


def _merged(floats: Array, ints: Array, fine: Array, x: torch.Tensor, y: torch.Tensor, shift: float) -> Tally:
    """Blocks together; what single elements are is read from the device."""
    sums: dict[str, Any] = {name: float(floats[:, i].sum()) for i, name in enumerate(_FLOATS[:_SUMS])}
    counts: dict[str, Any] = {name: int(ints[:, i].sum()) for i, name in enumerate(_INTS[:_SUMS])}
    finite = counts["finite"]
    shifted, squares = sums.pop("shifted"), sums.pop("shifted_squares")
    max_abs = float(floats[:, 8].max())
    worst = int(ints[floats[:, 8] == max_abs, 7].min())
    mismatch, failing = int(ints[:, 8].min()), int(ints[:, 9].min())

    def place(index: int) -> int:
        return -1 if index == _NOWHERE else index

    def pair(index: int) -> tuple[float, float]:
        return (float(x[index]), float(y[index])) if index >= 0 else (math.nan, math.nan)

    return Tally(
        elements=x.numel(), **counts, **sums, mean_expected=shift + shifted / finite if finite else 0.0,
        squares_expected=max(0.0, squares - shifted * shifted / finite) if finite else 0.0, max_rel=float(floats[:, 7].max()),
        max_abs=max_abs, min_expected=float(floats[:, 9].min()), max_expected=float(floats[:, 10].max()), worst=place(worst),
        worst_pair=pair(place(worst)), first_mismatch=place(mismatch), mismatch_pair=pair(place(mismatch)), first_failing=place(failing),
        fine=fine, kept=None,
    )  # fmt: skip


@cache
def available() -> bool:
    """Whether numba finds a GPU, and what it compiles kernels with; asked once."""
    try:
        return bool(cuda.is_available())
    except Exception:  # noqa: BLE001  numba without CUDA's libraries raises what it likes
        return False
