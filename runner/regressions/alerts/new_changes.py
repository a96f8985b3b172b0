"""A night of all series: what moved that nobody has been told of yet, as rows."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np

from assay.runner.regressions.detection import exact
from assay.runner.regressions.detection.detect import NIGHTLY, Rule, as_log, known_tonight, pieces, visited
from assay.runner.regressions.detection.detect import LevelShift as Step
from assay.runner.regressions.detection.drift import DRIFT, DriftRule, drift
from assay.runner.regressions.detection.fleet import benjamini_hochberg, within
from assay.runner.regressions.detection.floors import floor_of, is_exact, least_move
from assay.runner.regressions.detection.rates import flip
from assay.runner.regressions.detection.rule_version import version_of
from assay.runner.regressions.detection.spread import SPREAD, SpreadRule, spread
from assay.schema.comparability import unlike
from assay.schema.rows.alerts import Change

Row = Mapping[str, Any]
LATELY = 60
"""Nights that steps are looked for in, as many as a rule is replayed on: what is older has been told, and a night costs
the square of them."""
KEPT = 30
"""Nights of either level that a change keeps."""
_NEAR = 2
"""A boundary that wanders by so many nights from one night to the next is the same."""
_FLIPS = 0.001


@dataclass(frozen=True, slots=True)
class Watching:
    """What a nightly job is set to."""

    rule: Rule = NIGHTLY
    drift: DriftRule = DRIFT
    spread: SpreadRule = SPREAD
    fdr: float = 0.05
    """Share of a night's changes that may be false (Benjamini, Hochberg 1995)."""
    floors: Mapping[str, float] = field(default_factory=dict)

    def version(self) -> str:
        """Hash of every setting: what a calibration is of."""
        return version_of(self)


@dataclass(frozen=True, slots=True)
class Books:
    """What is recorded: series, verdicts, and what has been said of them."""

    series: Sequence[Row]
    """`assay.schema.queries.series.series`."""
    verdicts: Sequence[Row] = ()
    """`assay.schema.queries.series.verdict_series`."""
    changes: Sequence[Row] = ()
    """Changes that are recorded."""
    accepted: Mapping[str, datetime] = field(default_factory=dict)
    """Series -> when somebody last took its level for the new normal."""
    releases: frozenset[tuple[str, str]] = frozenset()
    """(model, version) that were shipped."""


@dataclass(frozen=True, slots=True)
class NewChanges:
    """A change of one history, by index."""

    index: int
    kind: str
    regression: bool
    p_value: float
    message: str
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    noise: float | None = None
    before: tuple[int, int] | None = None
    """Nights of the old level; those just before the index without."""


def new_changes(books: Books, watching: Watching, at: datetime) -> list[Change]:
    """Changes that are not recorded yet and are clear enough.

    Of all of them together, no more than `fdr` are expected to be false.
    """
    known: dict[str, list[Row]] = {}
    for row in books.changes:
        known.setdefault(row["series_id"], []).append(row)
    found: list[tuple[Row, NewChanges]] = []
    for history in books.series:
        mine = known.get(history["series_id"], [])
        found += [(history, one) for one in _of_series(history, books, watching, mine) if _is_new(history, one, mine)]
    for history in books.verdicts:
        mine = known.get(history["series_id"], [])
        found += [(history, one) for one in _of_verdict(history) if _is_new(history, one, mine)]
    random = [place for place, (_, one) in enumerate(found) if one.p_value > 0]
    tests = max(len(books.series) + len(books.verdicts), len(random))
    q_values = dict(zip(random, benjamini_hochberg([found[place][1].p_value for place in random], tests), strict=True))
    version = watching.version()
    return [
        row_of(history, one, q_values.get(place, 0.0), version, at)
        for place, (history, one) in enumerate(found)
        if q_values.get(place, 0.0) <= watching.fdr
    ]


def _of_series(history: Row, books: Books, watching: Watching, known: Sequence[Row]) -> Iterator[NewChanges]:
    values, better, metric = history["values"], history["better"], history["metric"]
    floor = floor_of(metric, watching.floors)
    start = pieces(values, None, history["environments"])[-1][0]
    if is_exact(metric):
        yield from _exact(history, start, watching)
        if exact_so_far(values[start:], least_move(metric, values[-1], watching.floors)):
            return
    rule = replace(watching.rule, floor=floor, visits=False)  # what was built anew is never excused: see below
    old = max(0, len(values) - LATELY)
    steps = known_tonight(
        values[old:],
        better=better,
        environment=history["environments"][old:],
        within=within(history["errors"][old:]),
        rule=rule,
    )
    steps = [replace(one, index=one.index + old) for one in steps]
    yield from (_step(one) for one in steps if not _excused(history, one, known))
    if len(values) - start > 0 and min(values[start:]) > 0:
        cuts = [one.index - start for one in steps if one.index > start]
        yield from _drift(history, start, cuts, books, watching, known, floor)
        yield from _spread(history, start, cuts, watching)


def exact_so_far(values: Sequence[float], least: float) -> bool:
    """Whether the values are a few levels without noise: most nights are as the night before."""
    same = sum(abs(a - b) <= least for a, b in pairwise(values))
    return len(values) < 3 or same >= 0.8 * (len(values) - 1)


def _exact(history: Row, start: int, watching: Watching) -> Iterator[NewChanges]:
    values = history["values"][start:]
    index = exact.moved(values, least_move(history["metric"], values[-1], watching.floors))
    if index is None:
        return
    old, new = values[index - 1], values[index]
    ratio = new / old if old > 0 and new > 0 else None
    yield NewChanges(
        start + index,
        "exact",
        (new > old) == (history["better"] == "lower"),
        0.0,
        f"{old:.6g} -> {new:.6g}, without noise before",
        ratio,
    )


def _excused(history: Row, one: Step, known: Iterable[Row]) -> bool:
    """Whether a new level is only one that the series goes to and comes back from, and says nothing new.

    What was built anew at the boundary is never excused.

    Either it has been told twice that the series got worse, and once that it got better, with nothing built anew, and
    the new level is between the levels of then; or the series has been there twice or more, and has not stayed twice as
    long as ever.
    """
    i = one.index
    if history["versions"][i] != history["versions"][i - 1] or history["artifacts"][i] != history["artifacts"][i - 1]:
        return False
    same = [
        row
        for row in known
        if row["kind"] == "step" and row["version"] == row["version_before"] and row["before"] and row["after"]
    ]
    if [row["direction"] for row in same].count("regression") >= 2 and any(
        row["direction"] == "improvement" for row in same
    ):
        levels = [float(np.median(row[side])) for row in same for side in ("before", "after")]
        room = 1 + one.noise
        return min(levels) / room <= float(np.median(history["values"][i:])) <= max(levels) * room
    old = max(0, len(history["values"]) - LATELY)
    size = math.log(one.ratio) if one.ratio > 0 and min(history["values"]) > 0 else 0.0
    return bool(size) and visited(as_log(history["values"][old:]), i - old, size)


def _step(one: Step) -> NewChanges:
    message = f"{one.ratio:.3g}x [{one.low:.3g}, {one.high:.3g}]"
    return NewChanges(
        one.index, "step", bool(one.regression), one.p_value, message, one.ratio, one.low, one.high, one.noise
    )


def _drift(
    history: Row, start: int, cuts: Sequence[int], books: Books, watching: Watching, known: Sequence[Row], floor: float
) -> Iterator[NewChanges]:
    accepted = books.accepted.get(history["series_id"])
    since = start
    while accepted is not None and since < len(history["values"]) and history["started_at"][since] <= accepted:
        since += 1
    y = as_log(history["values"][since:])
    released = [(history["model"], version) in books.releases for version in history["versions"][since:]]
    seen = drift(y, history["better"], released, floor, watching.drift)
    if seen is None:
        return
    first, last = since + seen.before[0], since + seen.before[1]
    # A step since then says it better, and has been told.
    told = {
        row["run_id"] for row in known if row["direction"] == "regression" and row["kind"] in ("step", "drift", "exact")
    }
    if any(run in told for run in history["run_ids"][first + 1 :]) or any(start + cut >= last for cut in cuts):
        return
    ratio, low, high = (math.exp(v) for v in (seen.size, seen.low, seen.high))
    against = f"the best {last - first} nights" if seen.against == "best" else "the release"
    message = f"drifted to {ratio:.3g}x [{low:.3g}, {high:.3g}] of {against}"
    yield NewChanges(
        since + seen.start,
        "drift",
        regression=True,
        p_value=seen.p_value,
        message=message,
        ratio=ratio,
        low=low,
        high=high,
        noise=seen.noise,
        before=(first, last),
    )


def _spread(history: Row, start: int, cuts: Sequence[int], watching: Watching) -> Iterator[NewChanges]:
    seen = spread(as_log(history["values"][start:]), cuts, watching.spread)
    if seen is not None:
        message = f"nights scatter {seen.ratio:.2g}x as much ({seen.before:.1%} -> {seen.after:.1%})"
        yield NewChanges(
            start + seen.start,
            "spread",
            regression=True,
            p_value=seen.p_value,
            message=message,
            ratio=seen.ratio,
            noise=seen.before,
        )


def _of_verdict(history: Row) -> Iterator[NewChanges]:
    seen = flip(history["values"], _FLIPS)
    if seen is None:
        return
    kind = "status" if history["metric"] == "status" and seen.kind == "verdict" else seen.kind
    newest = len(history["values"]) - 1
    why = next((str(history["reasons"][i]) for i in range(newest, seen.index - 1, -1) if not history["values"][i]), "")
    if seen.kind == "pass_rate":
        message = f"passes {seen.after:.0%} of the nights, {seen.before:.0%} before"
    else:
        message = (
            "passes again" if seen.after > seen.before else f"failed after {seen.index} nights of passing: {why}"[:400]
        )
    yield NewChanges(seen.index, kind, seen.after < seen.before, seen.p_value, message)


_LEVELS = ("step", "drift", "exact")


def _is_new(history: Row, one: NewChanges, known: Iterable[Row]) -> bool:
    """Whether no recorded change of this series is about the same boundary."""
    places = {run: place for place, run in enumerate(history["run_ids"])}
    for row in known:
        alike = (
            row["kind"] == one.kind
            or {row["kind"], one.kind} <= {*_LEVELS}
            or {row["kind"], one.kind} <= {"verdict", "pass_rate", "status"}
        )
        place = places.get(row["run_id"])
        if not alike or place is None:
            continue
        apart = abs(place - one.index)
        if apart <= _NEAR if one.kind in ("step", "exact", "pass_rate") else apart == 0:
            return False
        if one.kind in ("drift", "spread") and row["kind"] == one.kind and apart <= KEPT:
            return False
    return True


def row_of(history: Row, one: NewChanges, q_value: float, rule: str, at: datetime) -> Change:
    """A change of one history as it is recorded, not yet part of an alert."""
    i, direction = one.index, "regression" if one.regression else "improvement"
    first, last = one.before or (max(0, i - KEPT), i)
    identity = "/".join((history["series_id"], one.kind, direction, history["run_ids"][i]))

    def told(name: str) -> tuple[Any, Any]:
        return history[name][last - 1], history[name][i]

    (run_before, run_id), (version_before, version) = told("run_ids"), told("versions")
    (commit_before, commit_after), (artifact_before, artifact) = told("commits"), told("artifacts")
    differs = unlike(*told("comparabilities")) if "comparabilities" in history else ""
    return Change(
        change_id=hashlib.sha256(identity.encode()).hexdigest()[:32], series_id=history["series_id"], kind=one.kind, direction=direction,
        **{name: history[name] for name in ("suite", "model", "variant", "backend", "workload", "name", "metric", "hardware_class")},
        host=history["hosts"][i], run_before=run_before, run_id=run_id, started_at=history["started_at"][i], version_before=version_before,
        version=version, commit_before=commit_before, commit_after=commit_after, artifact_before=artifact_before, artifact=artifact,
        ratio=one.ratio, low=one.low, high=one.high, p_value=one.p_value, q_value=q_value, noise=one.noise,
        before=[float(v) for v in history["values"][max(first, last - KEPT) : last]], after=[float(v) for v in history["values"][i:][-KEPT:]],
        message=one.message + (f"; what was in force differs: {differs}" if differs else ""), rule=rule, alert_id=None, detected_at=at,
    )  # fmt: skip
