"""Complex numbers compared as pairs of reals, and sequences that go on longer on one side.

ONNX has no complex arithmetic: an exporter writes a complex output as real numbers with a last axis of 2 (real part,
imaginary part). Compared like that, a complex reference and its export have one form, and so have two complex sides:
their receipts are of the reals, an axis of 2 longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from assay.runner.tensors import Array


def is_complex(array: Any) -> bool:
    return bool(array.dtype.kind == "c")


def as_pairs(array: Array) -> Array:
    """Complex numbers of shape (...) as reals of shape (..., 2), the imaginary parts beside the real ones."""
    flat = np.asarray(array, order="C").reshape(-1)
    return flat.view(flat.real.dtype).reshape(*array.shape, 2)


def in_pairs(
    expected: Mapping[str, Any], actual: Mapping[str, Any], masks: Mapping[str, Array]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Array]]:
    """Outputs and masks by name, in reals where a side of an output is complex; the others as they are.

    A mask has the shape of what is expected, and counts a pair as a whole.
    """
    rights, lefts, counted = dict(expected), dict(actual), dict(masks)
    for name, right in expected.items():
        left = actual.get(name)
        if is_complex(right):
            rights[name] = as_pairs(right)
            if name in masks:
                counted[name] = np.repeat(np.asarray(masks[name], bool)[..., None], 2, axis=-1)
        if left is not None and is_complex(left):
            lefts[name] = as_pairs(np.asarray(left))
    return rights, lefts, counted


def going_on(expected: Iterable[str], actual: Iterable[str]) -> dict[str, str]:
    """Last element of a sequence in `expected` (`boxes.1`) -> what is wrong, where `actual` has a next (`boxes.2`).

    The elements of a sequence are outputs with numbers; one more than the reference has would else go unnoticed.
    """
    known, found = set(expected), {}
    for name in actual:
        head, _, number = name.rpartition(".")
        if name in known or not head or not number.isdecimal():
            continue
        last = f"{head}.{int(number) - 1}"
        if last in known:
            found[last] = (
                f"the sequence {head!r} ends here in the reference, and goes on with {name!r} in the candidate"
            )
    return found
