"""Text compared exactly: how many elements differ, which one first, and whether the reference says one text only.

Its receipts have counts and the pair; the figures of numbers (errors, ratios, quantiles) are absent, because text has
none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from assay.runner.parity.tally import Tally
from assay.runner.tensors import Array, is_text, texts


@dataclass(slots=True)
class TextTally(Tally):
    """A tally of text: `violations` counts elements that differ, and nothing is finite."""

    pair: tuple[str, str] | None = None
    """Expected and actual text of the first element that differs."""
    only: str | None = None
    """The expected text while it is one and the same everywhere."""
    varied: bool = False
    """Whether two expected elements differ."""

    def merge(self, other: Tally, offset: int = 0) -> None:
        """As of numbers; the pair stays that of the first difference."""
        if isinstance(other, TextTally) and other.elements:
            self.varied |= other.varied or (self.elements > 0 and self.only != other.only)
            self.only = None if self.varied else other.only
            self.pair = self.pair or other.pair
        Tally.merge(self, other, offset)

    def facts(self) -> dict[str, Any]:
        """What a receipt of text has in place of numbers: the pair as JSON, and a spread of 0 where nothing varies."""
        return {
            "worst_expected": None,
            "worst_actual": None,
            "worst_pair": None if self.pair is None else json.dumps(self.pair, ensure_ascii=False),
            "expected_std": 0.0 if self.elements and not self.varied else None,
        }


def started(expected: Any) -> Tally:
    """An empty tally of the kind that an array needs."""
    return TextTally() if is_text(expected) else Tally()


def facts_of(tally: Tally) -> dict[str, Any]:
    """What a receipt of this tally says of text; nothing of numbers."""
    return tally.facts() if isinstance(tally, TextTally) else {}


def tally_texts(expected: Array, actual: Array, *, mask: Array | None = None, **_: Any) -> TextTally:
    """Compare two arrays of text of one shape, element by element; rules for numbers (tolerances, NaN) mean nothing.

    Raises:
        ValueError: only one side is text, the shapes differ, or an element is no text.
    """
    for this, other in ((expected, actual), (actual, expected)):
        if is_text(this) and not is_text(other):
            came = f"text was expected, {other.dtype} came" if this is expected else f"{other.dtype} expected, text came"
            raise ValueError(f"{came}: text and numbers cannot be compared")
    if expected.shape != actual.shape:
        raise ValueError(f"shape {expected.shape} was expected, {actual.shape} came")
    right, came_out = texts(expected).reshape(-1), texts(actual).reshape(-1)
    counted = np.arange(right.size) if mask is None else np.flatnonzero(np.asarray(mask, bool).reshape(-1))
    differ = [int(i) for i in counted if right[i] != came_out[i]]
    said = {str(right[i]) for i in counted}
    first = differ[0] if differ else -1
    return TextTally(
        elements=counted.size,
        skipped=right.size - counted.size,
        violations=len(differ),
        first_failing=first,
        first_mismatch=first,
        pair=(right[first], came_out[first]) if differ else None,
        only=said.pop() if len(said) == 1 else None,
        varied=len(said) > 1,
    )
