"""Text compared exactly: how many elements differ, which one first, and whether the reference says one text only.

Its receipts have counts and the pair; the figures of numbers (errors, ratios, quantiles) are absent, because text has
none.
"""

from __future__ import annotations

import numpy as np

from assay.runner.parity.tally import Said, Tally
from assay.runner.tensors import Array, is_text, texts


def tally_texts(expected: Array, actual: Array, mask: Array | None) -> Tally:
    """Compare two arrays of text of one shape, element by element; `mask` is True where a pair counts.

    Raises:
        ValueError: only one side is text, the shapes differ, or an element is no text.
    """
    if not is_text(actual):
        raise ValueError(f"text was expected, {actual.dtype} came: text and numbers cannot be compared")
    if not is_text(expected):
        raise ValueError(f"{expected.dtype} was expected, text came: text and numbers cannot be compared")
    right, left = texts(expected).reshape(-1), texts(actual).reshape(-1)
    counted = np.arange(right.size) if mask is None else np.flatnonzero(np.asarray(mask, bool).reshape(-1))
    differ = [int(i) for i in counted if right[i] != left[i]]
    said = {str(right[i]) for i in counted}
    first = differ[0] if differ else -1
    return Tally(
        elements=counted.size,
        skipped=right.size - counted.size,
        violations=len(differ),
        first_mismatch=first,
        first_failing=first,
        text=Said(
            pair=(right[first], left[first]) if differ else None,
            only=said.pop() if len(said) == 1 else None,
            varied=len(said) > 1,
        ),
    )
