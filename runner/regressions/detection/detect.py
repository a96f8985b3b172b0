"""Changes of one series: as its whole history shows them, or as a nightly job would have known them.

A point is a night: the median of its samples. Nothing is compared across a change of the environment; there the series
is cut.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from assay.runner.regressions.detection.evidence import Evidence, weigh, without_excursions
from assay.runner.regressions.detection.partition import candidates
from assay.runner.tensors import Array


@dataclass(frozen=True, slots=True)
class Rule:
    """The settings of a detector; what they cost and find is in `docs/regressions.md`."""

    penalty: float = 0.7
    """Of a segment, times ln(n)."""
    bandwidth: float = 1.0
    least: int = 2
    """Points of a segment."""
    alpha: float = 0.01
    floor: float = 0.01
    """Smallest change worth a word: of ln(value), about a percent."""
    noises: float = 1.5
    """Smallest change worth a word in standard deviations of a night; both floors have to be passed."""
    jump: float = 0.7
    """Share of the change that has to be seen at the boundary."""
    straight: float = 1.05
    """A straight line that fits this well against two levels is a drift, and no step."""
    excursion: int = 4
    """Points that go away and come back are no change, up to so many."""
    back: float = 1.0
    young: int = 0
    """Of `online`: a level of up to so many nights ..."""
    tighter: float = 1.0
    """... needs a p value so many times smaller ..."""
    clear_p: float = 0.0
    clear_noises: float = math.inf
    """... and the same boundary the night before, unless it is this clear."""
    short: int = 0
    """A history of fewer nights needs a p value smaller by (nights / short)^2."""
    visits: bool = False
    """A level that the series goes to and comes back from is not told; see `visited`."""


_WAY = 0.7
HISTORY = Rule()
"""For looking back."""
NIGHTLY = Rule(
    penalty=0.8,
    bandwidth=1.4,
    alpha=0.002,
    noises=2.0,
    straight=1.2,
    young=4,
    tighter=10.0,
    clear_p=1e-6,
    clear_noises=6.0,
    short=8,
    visits=True,
)
"""For a nightly job: every night is another look, and the newest level is short."""


@dataclass(frozen=True, slots=True)
class LevelShift:
    """A night from which on a figure has another level."""

    index: int
    ratio: float
    """New level over the old one."""
    low: float
    """95 % interval of the ratio."""
    high: float
    p_value: float
    noise: float
    """Relative standard deviation of a night."""
    regression: bool | None
    """None where neither direction is better."""


def as_log(values: Sequence[float]) -> Array:
    """Ln of the values where all are positive, else the values over their median size.

    A change is relative either way.
    """
    numbers = np.asarray(values, np.float64)
    if (numbers > 0).all():
        return np.asarray(np.log(numbers))
    sizes = np.abs(numbers)
    middle, largest = (float(np.median(sizes)), float(sizes.max())) if len(sizes) else (0.0, 0.0)
    # A median that is next to nothing (most nights were zero) is no unit.
    return np.asarray(numbers / ((middle if middle > 1e-6 * largest else largest) or 1.0))


def changes(
    values: Sequence[float],
    *,
    samples: Sequence[Sequence[float]] | None = None,
    better: str = "lower",
    environment: Sequence[str] | None = None,
    within: float | None = None,
    rule: Rule = HISTORY,
) -> list[LevelShift]:
    """Every change of a series, oldest first.

    `better` is `lower`, `higher` or `neither`; `environment` names what the point was measured on, and cuts the series
    where it changes. A night's `samples` (or `within`, the squared relative standard error of its value) say how well
    it knows its own value: they are no further nights.

    Raises:
        ValueError: a value is not finite, or the lists differ in length.
    """
    spans = pieces(values, samples, environment)
    return [
        change for span in spans for change in _of_piece(values, span, _within(samples, span, within), better, rule)
    ]


def _of_piece(
    values: Sequence[float], span: tuple[int, int], within: float, better: str, rule: Rule
) -> list[LevelShift]:
    """Changes inside one environment."""
    start, end = span
    y = as_log(values[start:end])
    positive = end > start and min(values[start:end]) > 0
    return [_change(y, evidence, start, better, positive=positive) for evidence in prune(y, within, rule)]


def known_tonight(
    values: Sequence[float],
    *,
    samples: Sequence[Sequence[float]] | None = None,
    better: str = "lower",
    environment: Sequence[str] | None = None,
    within: float | None = None,
    rule: Rule = NIGHTLY,
) -> list[LevelShift]:
    """The changes that a nightly job reports or has reported, the last value being tonight's; see `changes`.

    A level of one night is no change. One of a few nights has to be seen with a smaller p value, and at the same place
    the night before.
    """
    spans = pieces(values, samples, environment)
    found = [
        change
        for span in spans[:-1]
        for change in _of_piece(values, span, _within(samples, span, within), better, rule)
    ]
    start, end = spans[-1]
    y, own = as_log(values[start:end]), _within(samples, spans[-1], within)
    before: list[int] | None = None
    for evidence in prune(y, own, rule):
        nights = len(y) - evidence.index
        asked = rule.alpha * min(1.0, (len(y) / rule.short) ** 2 if rule.short else 1.0)
        if nights < 2 or evidence.p_value >= (asked / rule.tighter if nights <= rule.young else asked):
            continue
        clear = evidence.p_value <= rule.clear_p and abs(evidence.size) >= rule.clear_noises * evidence.noise
        if nights <= rule.young + 1 and not clear:
            if before is None:
                before = [one.index for one in prune(y[:-1], own, rule)]
            if not any(abs(evidence.index - other) <= 1 for other in before):
                continue
        change = _change(y, evidence, start, better, positive=min(values[start:end]) > 0)
        if not (rule.visits and visited(y, evidence.index, evidence.size)):
            found.append(change)
    return found


def visited(y: Array, index: int, size: float) -> bool:
    """Whether a new level is only one that the series goes to and comes back from.

    Two or more earlier stays there, and this one is not twice as long as the longest.

    A stay is nights beyond 70 % of the way from the old level to the new one; `size` is the difference of the two.
    """
    old = float(np.median(y[index:])) - size
    there = np.concatenate([[0], (y[:index] - old) * np.sign(size) > _WAY * abs(size), [0]]).astype(np.int8)
    turns = np.flatnonzero(np.diff(there))
    stays = turns[1::2] - turns[::2]
    return len(stays) >= 2 and len(y) - index <= 2 * int(stays.max())


def prune(y: Array, within: float, rule: Rule) -> list[Evidence]:
    """Candidates, the weakest taken out one by one until each of those left holds given the others."""
    cuts = without_excursions(y, candidates(y, rule.penalty, rule.least, rule.bandwidth), rule.excursion, rule.back)
    while cuts:
        weighed = weigh(y, cuts, within)
        failing = [evidence for evidence in weighed if not _holds(evidence, rule)]
        if not failing:
            return weighed
        cuts.remove(max(failing, key=lambda evidence: evidence.p_value).index)
    return []


def _holds(evidence: Evidence, rule: Rule) -> bool:
    size = abs(evidence.size)
    return (
        evidence.p_value < rule.alpha
        and size >= max(rule.floor, rule.noises * evidence.noise)
        and evidence.jump * math.copysign(1, evidence.size) >= rule.jump * size - evidence.noise
        and evidence.straight >= rule.straight
    )


def pieces(
    values: Sequence[float], samples: Sequence[Sequence[float]] | None, environment: Sequence[str] | None
) -> list[tuple[int, int]]:
    """Stretches of one environment, from the first to the last.

    Raises:
        ValueError: as `changes`.
    """
    for name, other in (("samples", samples), ("environment", environment)):
        if other is not None and len(other) != len(values):
            raise ValueError(f"there are {len(values)} values and {len(other)} {name}")
    if not np.isfinite(np.asarray(values, np.float64)).all():
        raise ValueError("a value is not finite: leave the night out instead")
    cuts = [] if environment is None else [i for i in range(1, len(values)) if environment[i] != environment[i - 1]]
    bounds = [0, *cuts, len(values)]
    return list(pairwise(bounds))


def _within(samples: Sequence[Sequence[float]] | None, span: tuple[int, int], given: float | None) -> float:
    """Squared relative standard error of a night's value by its own samples; 0 where nothing says it.

    It is as given, or the median over the nights. 1.2533^2 s^2 / m is that of the median of m Gaussian values.
    """
    if given is not None or samples is None:
        return given or 0.0
    start, end = span
    errors = []
    for night in samples[start:end]:
        values = np.asarray(night, np.float64)
        middle = abs(float(np.median(values))) if len(values) else 0.0
        if len(values) > 2 and middle > 0:
            errors.append(1.5708 * float(values.var(ddof=1)) / len(values) / middle**2)
    return float(np.median(errors)) if errors else 0.0


def _change(y: Array, evidence: Evidence, start: int, better: str, *, positive: bool) -> LevelShift:
    def ratio(difference: float) -> float:
        if positive:
            return math.exp(min(difference, 700.0))
        level = float(np.median(y[: evidence.index])) or 1.0
        return (level + difference) / level

    worse = {"lower": evidence.size > 0, "higher": evidence.size < 0}.get(better)
    low, high = sorted((ratio(evidence.low), ratio(evidence.high)))
    made = LevelShift(evidence.index, ratio(evidence.size), low, high, evidence.p_value, evidence.noise, worse)
    return replace(made, index=start + evidence.index)
