"""What a measured interval says of a stated ratio.

Pure; everything is in the claim's own direction: 2 is twice as fast.

A point claim ("5x faster") holds where the interval is narrow about it: every value that is plausible at 95 % is one
that would be written like the claim, or lies within WITHIN of it, and the interval reaches what is written. That an
interval contains the claim is not enough: one of [1.5, 4.6] contains every claim between, and bears out none. WITHIN is
what two runs of one artifact differ by anyway (docs/measuring.md): nothing is known better than that. Where the effect
is small it is half of the effect, in logarithms: "5 % faster" is never borne out by an interval that reaches 0 %.

A bound ("at least 2x") holds where the end of the interval that is nearer to it keeps it; "as fast as" where the whole
interval lies within WITHIN of 1. Contradicted is what the interval excludes. The rest is not enough evidence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from assay.runner.timing.statistics import NOT_ENOUGH
from assay.schema.queries.comparison import BETWEEN_RUNS

WITHIN = 1 + BETWEEN_RUNS
"""The factor on either side of a claim that its interval may span."""
_SAME_SIZE = 0.005
"""Sizes are exact: the same is what is written 1.00x."""
_MOST = 1000
"""Launches; beyond, the host is too noisy for the question."""
Bound = Literal["about", "at least", "at most", "same"]
HOLDS, CONTRADICTED = "holds", "contradicted"


@dataclass(frozen=True, slots=True)
class Stated:
    """A figure as it is written."""

    bound: Bound
    figure: float
    low: float
    """The least that is written so, by its digits."""
    high: float

    @property
    def factor(self) -> float:
        """How far the ends of an interval may lie from the figure: WITHIN, and at most half of the effect."""
        return min(WITHIN, math.exp(abs(math.log(self.figure)) / 2))

    @property
    def allowed(self) -> tuple[float, float]:
        """What an interval has to lie in for the figure to be borne out."""
        if self.bound == "same":
            return 1 / WITHIN, WITHIN
        return min(self.low, self.figure / self.factor), max(self.high, self.figure * self.factor)


def of_size(stated: Stated, value: float) -> str:
    """The verdict on a figure that is exact."""
    tiny = 1e-12 * stated.figure
    holds = {
        "about": stated.low - tiny <= value <= stated.high + tiny,
        "at least": value >= stated.figure - tiny,
        "at most": value <= stated.figure + tiny,
        "same": abs(value - 1) <= _SAME_SIZE,
    }[stated.bound]
    return HOLDS if holds else CONTRADICTED


def of_interval(stated: Stated, low: float, high: float) -> str:
    """The verdict on a figure that is known to lie between low and high, at 95 %."""
    if stated.bound == "at least":
        return HOLDS if low >= stated.figure else CONTRADICTED if high < stated.figure else NOT_ENOUGH
    if stated.bound == "at most":
        return HOLDS if high <= stated.figure else CONTRADICTED if low > stated.figure else NOT_ENOUGH
    least, most = stated.allowed
    written = (least, most) if stated.bound == "same" else (stated.low, stated.high)
    if high < written[0] or low > written[1]:
        return CONTRADICTED
    narrow = stated.bound == "same" or high / low <= stated.factor**2
    return HOLDS if narrow and least <= low and high <= most else NOT_ENOUGH


def what_it_takes(stated: Stated, value: float, low: float, high: float, launches: int) -> str:
    """What would decide, where the interval does not: launches in all; it narrows with their square root."""
    half, room = math.log(high / low) / 2, _room(stated, value)
    needed = launches * (half / room) ** 2 if room > half / 100 else math.inf
    asked = "" if stated.bound in ("at least", "at most") else f" ({_asked(stated)})"
    if needed > _MOST:
        return f"no sensible number of launches would decide on this host{asked}"
    return f"about {max(launches + 1, math.ceil(needed))} launches would decide{asked}"


def _room(stated: Stated, value: float) -> float:
    """How narrow half of the interval has to get to lie on one side, in logarithms."""
    at = math.log(value)
    if stated.bound in ("at least", "at most"):
        return abs(at - math.log(stated.figure))
    least, most = (math.log(end) for end in stated.allowed)
    written = (least, most) if stated.bound == "same" else (math.log(stated.low), math.log(stated.high))
    if not written[0] <= at <= written[1]:
        return min(abs(at - end) for end in written)
    inside = min(at - least, most - at)
    return inside if stated.bound == "same" else min(inside, math.log(stated.factor))


def _asked(stated: Stated) -> str:
    least, most = stated.allowed
    return f"the whole interval in [{least:.3g}, {most:.3g}]"
