"""The kernel for arrays on a GPU equals the one for arrays in memory.

Here on numba's simulator of CUDA, on a GPU by `pytest -m gpu`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from assay.runner.parity.compare import tally
from assay.runner.parity.tally import Tally
from tests.places import SOURCES

ADDED_UP = (
    "sum_abs",
    "sum_signed",
    "sum_squared",
    "sum_squared_expected",
    "sum_squared_actual",
    "mean_expected",
    "squares_expected",
)


def cases(size: int) -> list[dict[str, Any]]:
    """Pairs with everything that a kernel can get wrong.

    NaN, infinities, zeros, exact hits, errors beyond either end of the histogram.
    """
    made = []
    for seed, (rule, dtype, special) in enumerate(
        [
            ("mixed", "float32", True),
            ("either", "float64", True),
            ("exact", "float32", True),
            ("mixed", "float64", False),
        ]
    ):
        rng = np.random.default_rng(seed)
        x = rng.normal(loc=1e4 if seed == 3 else 0, size=size).astype(dtype)
        y = (x + rng.normal(size=size) * 10.0 ** rng.integers(-30, 6, size)).astype(dtype)
        y[::7] = x[::7]
        if special:
            for i, (a, b) in enumerate(
                [
                    (np.nan, 1),
                    (1, np.nan),
                    (np.nan, np.nan),
                    (np.inf, np.inf),
                    (np.inf, -np.inf),
                    (0, 1e-3),
                    (1e30, -1e30),
                    (0, 0),
                ]
            ):
                x[(3 + 11 * i) % size], y[(3 + 11 * i) % size] = a, b
        made.append({"x": x, "y": y, "rule": rule, "atol": 1e-4, "rtol": 1e-3, "nan_equal": seed == 1})
    only = np.full(size, np.nan, np.float32)
    made.append({"x": only, "y": only.copy(), "rule": "mixed", "atol": 0.0, "rtol": 0.0, "nan_equal": False})
    return made


def differences(ours: Tally, theirs: Tally) -> dict[str, Any]:
    """Fields that differ: sums may differ in their last digits, for they are added up in another order."""
    found = {}
    for name in Tally.__slots__:
        a, b = getattr(ours, name), getattr(theirs, name)
        if name == "kept":
            continue
        if name == "fine":
            same = bool((a == b).all())
            a, b = int(a.sum()), int(b.sum())
        elif name in ADDED_UP:
            scale = {
                "sum_signed": theirs.sum_abs,
                "mean_expected": max(abs(theirs.min_expected), abs(theirs.max_expected)),
            }.get(name, abs(b))
            same = abs(a - b) <= 1e-12 * scale
        elif a is None or b is None:
            same = a is b
        else:
            same = np.array_equal(np.array(a), np.array(b), equal_nan=True)
        if not same:
            found[name] = [str(a), str(b)]
    return found


SCRIPT = """
import json, torch
from assay.runner.backends import device_compare
from assay.runner.parity.compare import tally
from tests.runner.backends.test_device_compare import cases, differences
device_compare._WINDOW = 256
found = []
for size, threads, blocks in ((150, 8, 3), (5, 4, 2)):
    for case in cases(size):
        x, y = case.pop("x"), case.pop("y")
        ours = device_compare.tally(torch.from_numpy(x), torch.from_numpy(y), threads=threads, blocks=blocks, **case)
        found.append(differences(ours, tally(x, y, compiled=False, **case)))
print(json.dumps(found))
"""


@pytest.mark.slow
def test_the_kernel_for_devices_makes_the_same_tally_on_a_simulated_one():
    env = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": SOURCES, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=env, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert len(found) == 10
    assert found == [{}] * 10


@pytest.mark.gpu
@pytest.mark.parametrize("number", range(5))
def test_the_kernel_makes_the_same_tally_on_a_gpu(number: int):
    import torch

    from assay.runner.backends import device_compare

    if not device_compare.available():
        pytest.skip("numba has no CUDA here: pip install 'numba-cuda[cu13]'")
    case = cases(1_000_003)[number]
    x, y = case.pop("x"), case.pop("y")
    ours = device_compare.tally(torch.from_numpy(x).cuda(), torch.from_numpy(y).cuda(), **case)
    assert differences(ours, tally(x, y, compiled=False, **case)) == {}


def test_an_output_on_a_device_is_an_array_for_whoever_needs_its_values():
    import torch

    from assay.runner.backends.cuda_device import DeviceArray
    from assay.runner.parity.comparison import OutputComparison
    from assay.runner.rules.expression import parse
    from assay.runner.rules.policy import Policy

    held = DeviceArray(torch.arange(6, dtype=torch.bfloat16).reshape(2, 3))
    assert (held.shape, held.dtype.name, held.size, held.ndim) == ((2, 3), "bfloat16", 6, 2)
    np.testing.assert_array_equal(np.asarray(held).astype(np.float32), np.arange(6, dtype=np.float32).reshape(2, 3))
    assert parse("y.shape[-1] == 3 and y[1, 2] == 5").check({"y": held})[0]
    (receipt,) = OutputComparison(Policy(atol=0.5, same_dtype=False), {}).step(
        0, {"y": np.arange(6, dtype=np.float32).reshape(2, 3)}, {"y": held}
    )  # type: ignore[dict-item]
    assert (receipt["elements"], receipt["violations"], receipt["max_abs"]) == (6, 0, 0.0)
