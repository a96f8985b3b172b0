"""Complex numbers compared as pairs of reals, and sequences that go on longer on one side.

ONNX has no complex arithmetic: an exporter writes a complex output as real numbers with a last axis of 2 (real part,
imaginary part). Compared like that, a complex reference and its export have one form, and both complex too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from assay.runner.tensors import Array


def is_complex(array: Any) -> bool:
    return bool(array.dtype.kind == "c")


def as_pairs(array: Array) -> Array:
    """Complex numbers of shape (...) as reals of shape (..., 2), the imaginary parts beside the real ones."""
    flat = np.ascontiguousarray(array).reshape(-1)
    return flat.view(flat.real.dtype).reshape(*array.shape, 2)


def in_pairs(expected: Any, actual: Any, mask: Array | None) -> tuple[Any, Any, Array | None]:
    """Both sides, and the mask of `expected`'s shape, as reals where a side is complex; as they are where none is."""
    if not is_complex(expected) and not is_complex(actual):
        return expected, actual, mask
    if mask is not None and is_complex(expected):
        mask = np.repeat(np.asarray(mask, bool)[..., None], 2, axis=-1)
    right, came = (as_pairs(np.asarray(side)) if is_complex(side) else side for side in (expected, actual))
    return right, came, mask


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
            found[last] = f"the sequence {head!r} ends here in the reference, and goes on with {name!r} in the candidate"
    return found
