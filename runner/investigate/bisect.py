"""Which version began it? The versions between a good and a bad one, halved until one is left.

Every step is recorded.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import duckdb

from assay.runner.errors import NothingMeasured, UsageError
from assay.runner.investigate.rerun import Bench, Impossible, RerunSide, bench, here, named
from assay.runner.run.outcome import Progress
from assay.schema.metrics import METRICS
from assay.schema.queries.base import ask
from assay.schema.rows.alerts import Confirmation
from assay.schema.store import ingest
from assay.schema.store.database import Store
from assay.schema.store.spool import new_id, now, write_bundle


@dataclass(frozen=True, slots=True)
class Step:
    """One version that was tried."""

    version: str
    outcome: str
    """`good`, `bad` or `impossible`."""
    reason: str
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Bisection:
    name: str
    metric: str
    first_bad: str | None
    last_good: str
    between: tuple[str, ...]
    """Versions that could not be tried between the last good and the first bad one: it may be any of them."""
    steps: tuple[Step, ...] = field(default=())


def halve(versions: Sequence[str], is_bad: Callable[[str], bool | None]) -> tuple[str, str, tuple[str, ...]]:
    """The last good and the first bad version between a good first and a bad last, and those that could not be told.

    `is_bad` says None where a version cannot be told: then its neighbours are tried, the nearest first.
    """
    good, bad, untold = 0, len(versions) - 1, set[int]()
    while True:
        left = [i for i in range(good + 1, bad) if i not in untold]
        if not left:
            return versions[good], versions[bad], tuple(versions[i] for i in range(good + 1, bad))
        middle = (good + bad) / 2
        at = min(left, key=lambda i: (abs(i - middle), i))
        answer = is_bad(versions[at])
        if answer is None:
            untold.add(at)
        elif answer:
            bad = at
        else:
            good = at


def versions_of(connection: duckdb.DuckDBPyConnection, made: Bench, name: str) -> list[str]:
    """Versions of a case in the order that they came.

    Those that the suite names, then recorded ones in the order that they first ran.

    Raises:
        UsageError: there are none.
    """
    model = made.suite.model.get(name.split("/", 1)[0])
    suite = [*model.versions] if model else []
    sql = (
        "select c.model_version as v from case_result c join run r using (run_id) where c.name = $name group by 1 order"
        " by min(r.started_at)"
    )
    recorded = [row["v"] for row in ask(connection, sql, name=name)]
    found = suite if set(recorded) <= set(suite) else recorded
    if not found:
        raise UsageError(f"no version of a case {name!r} is named or recorded. See: assay list runs")
    return found


class VersionTrial:
    """Tries versions of a case against the good one.

    Verdicts by whether they pass, figures by the middle between good and bad.
    """

    def __init__(self, made: Bench, name: str, metric: str, good: str) -> None:
        self._made, self._name, self._metric, self._good = made, name, metric, good
        self._threshold: float | None = None
        self.steps: list[Step] = []

    def begin(self, bad: str) -> None:
        """Try the bad version first: if it is not worse here, there is nothing to halve.

        Raises:
            NothingMeasured: it is not, or one of the two cannot be run.
        """
        step, worse = self._tried(bad)
        self.steps.append(step)
        if worse is None:
            raise NothingMeasured(f"{bad} cannot be told from {self._good}: {step.reason}")
        if not worse:
            raise NothingMeasured(f"{bad} is not worse than {self._good} here: {step.reason}")
        if step.ratio is not None:
            self._threshold = abs(math.log(step.ratio)) / 2

    def is_bad(self, version: str) -> bool | None:
        """Whether a version is on the bad side; None where it cannot be run."""
        step, worse = self._tried(version)
        self.steps.append(step)
        return worse

    def _tried(self, version: str) -> tuple[Step, bool | None]:
        started = time.monotonic()
        try:
            old, new = self._side(self._good, 0), self._side(version, 1)
            answer = self._made.compare(old, new, self._metric)
        except Impossible as error:
            return Step(version, "impossible", str(error), seconds=time.monotonic() - started), None
        if answer.passed is not None:
            worse = not answer.passed[1]
            reason = "it fails" if worse else "it passes"
        elif answer.ratio is None or answer.ratio <= 0:
            return Step(version, "impossible", "it has no such figure", seconds=time.monotonic() - started), None
        else:
            sign = 1 if METRICS[self._metric].better == "lower" else -1
            seen = sign * math.log(answer.ratio)
            surely = sign * math.log((answer.low if sign > 0 else answer.high) or answer.ratio)
            worse = surely > 0 if self._threshold is None else seen >= self._threshold
            reason = f"{answer.ratio:.3g}x the good one"
        step = Step(
            version,
            "bad" if worse else "good",
            reason,
            answer.ratio,
            answer.low,
            answer.high,
            time.monotonic() - started,
        )
        return step, worse

    def _side(self, version: str, place: int) -> RerunSide:
        return self._made.side(self._name, version, None, place)


def bisect(
    connection: duckdb.DuckDBPyConnection,
    store: Store,
    progress: Progress,
    *,
    suite: str,
    name: str,
    metric: str,
    good: str,
    bad: str,
    wait_s: float,
) -> Bisection:
    """Find the first bad version of a case between a good and a bad one, and record every step.

    Raises:
        UsageError: the case or a version is not known, or the good one comes after the bad one.
        NothingMeasured: the bad one is not worse than the good one here.
    """
    made = bench(connection, store, suite, progress)
    versions = versions_of(connection, made, name)
    first, last = versions.index(named(versions, good, "--good")), versions.index(named(versions, bad, "--bad"))
    if first >= last:
        raise UsageError(f"--good {good} comes after --bad {bad}: versions are {', '.join(versions)}.")
    trial = VersionTrial(made, name, metric, good)
    try:
        trial.begin(bad)
        last_good, first_bad, untold = halve(versions[first : last + 1], trial.is_bad)
    finally:
        if trial.steps:
            write_bundle(
                store,
                f"bisect-{name.replace('/', '-')}"[:80],
                [_row(step, made, name, metric, good) for step in trial.steps],
            )
            ingest.sync(store, wait_s)
    return Bisection(name, metric, first_bad, last_good, untold, tuple(trial.steps))


def _row(step: Step, made: Bench, name: str, metric: str, good: str) -> Confirmation:
    return Confirmation(
        confirmation_id=new_id(), alert_id=None, recorded_at=now(), suite=made.suite.name, name=name, metric=metric, version_before=good,
        version=step.version, artifact_before=None, artifact=None, recorded_ratio=None, ratio=step.ratio, low=step.low, high=step.high,
        outcome=step.outcome, reason=step.reason, seconds=step.seconds, host=here(),
    )  # fmt: skip
