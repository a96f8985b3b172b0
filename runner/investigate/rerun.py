"""One recorded case run again at several versions: from the artifacts that were recorded, on this host, timed in turns.

`confirm` asks whether a change is real, `bisect` which version began it.
"""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import duckdb

from assay.runner.errors import UsageError, nearest
from assay.runner.recipes.build import kept
from assay.runner.run.figures import figures_of
from assay.runner.run.measure import job_of, outcome_of, run_group
from assay.runner.run.outcome import Facts, Outcome, Progress
from assay.runner.run.prepare import Prepared, prepare
from assay.runner.run.turns import time_in_turns
from assay.runner.run.verdicts import judge
from assay.runner.suites.case import Case, expand
from assay.runner.suites.suite import Suite, find_suite, load_suite
from assay.schema.metrics import known
from assay.schema.queries.base import ask
from assay.schema.queries.comparison import ratio_of
from assay.schema.store.database import Store


class Impossible(Exception):
    """The re-run cannot be made here: why, in words."""


@dataclass(slots=True)
class RerunSide:
    """One version of a case, ready to run."""

    case: Case
    prepared: Prepared
    version: str
    sha256: str | None
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Rerun:
    """What two sides came to: the ratio of a metric, new over old, or whether each passed."""

    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    passed: tuple[bool, bool] | None = None
    values: tuple[float, float] | None = None


@dataclass(slots=True)
class Bench:
    """A suite on this host, and what is recorded of its artifacts."""

    suite: Suite
    folder: Path
    store: Store
    progress: Progress
    artifacts: Mapping[tuple[str, str, str], list[Facts]] = field(default_factory=dict)
    """(model, variant, version) -> recorded artifacts, the newest first."""
    limit_s: float = math.inf
    """That a worker may take."""

    def side(self, name: str, version: str, sha256: str | None, place: int) -> RerunSide:
        """A case at a version: built again where the suite names it, else from the recorded file.

        Raises:
            Impossible: the suite has no such case any more, it cannot be prepared, or what was recorded is not there.
        """
        model = name.split("/", 1)[0]
        known = self.suite.model.get(model)
        named = known is not None and version in known.versions
        cases = [case for case in expand(self.suite, {model: version} if named else None) if case.name == name]
        if not cases:
            raise Impossible(f"suite {self.suite.name!r} has no case {name!r} now")
        # Both sides are their own table's base: the ratio is the second over the first.
        itself, limit_s = f"{cases[0].variant}/{cases[0].backend}", min(cases[0].timeout_s, max(self.limit_s, 1.0))
        case = replace(cases[0], group=place, against=itself, timeout_s=limit_s)
        prepared = prepare(self.suite, self.folder, self.store, [case])
        if failure := prepared.failure_for(case):
            raise Impossible(f"version {version} cannot be prepared: {failure.message}")
        self._use_recorded(prepared, case, version, sha256)
        return RerunSide(case, prepared, version, sha256)

    def _use_recorded(self, prepared: Prepared, case: Case, version: str, sha256: str | None) -> None:
        """The bytes that were recorded, where they are not those that are made today."""
        recorded = next(
            (
                row
                for row in self.artifacts.get((case.model, case.variant, version), [])
                if sha256 in (None, row["sha256"])
            ),
            None,
        )
        wanted: str | None = sha256 or (recorded["sha256"] if recorded else None)
        made = prepared.engines.get((case.variant, case.backend)) or prepared.artifacts.get(case.variant)
        today = prepared.model.get("sha256") if case.choice.kind == "pytorch" else made and made["sha256"]
        before = prepared.model.get("state_sha256") if case.choice.kind == "pytorch" else None  # of older books
        if wanted is None or wanted in (today, before):
            if wanted is None and prepared.version != version and case.choice.kind != "fake":
                raise Impossible(
                    f"no artifact of version {version} is recorded, and the suite makes {prepared.version} now"
                )
            return
        file = (
            kept(self.store.artifacts, recorded["recipe_sha256"]) if recorded and recorded["format"] == "onnx" else None
        )
        if file is None or made is None or file[1] != wanted or (case.variant, case.backend) in prepared.engines:
            raise Impossible(
                f"version {version} ran {wanted[:12]}, the suite makes {str(today or 'nothing')[:12]} now, and what was"
                " recorded is not kept here"
            )
        if not case.is_timed and case.golden is None:
            raise Impossible(
                f"the reference of version {version} cannot be made again: the suite makes another version now"
            )
        made |= {"path": str(file[0]), "sha256": wanted}

    def compare(self, old: RerunSide, new: RerunSide, metric: str) -> Rerun:
        """Run both: timed cases in turns, others one after the other.

        Raises:
            Impossible: a side broke, or does not have the figure.
        """
        if old.case.in_turns:
            self._time(old, new)
        else:
            for side in (old, new):
                side.outcome = self._run(side)
        for side in (old, new):
            broken = side.outcome is None or side.outcome.status not in ("ok", "vacuous")
            if broken and metric != "status" and old.case.is_timed:
                raise Impossible(f"version {side.version} broke: {side.outcome and side.outcome.error_message}")
        return _answer(old, new, metric)

    def _time(self, old: RerunSide, new: RerunSide) -> None:
        sides = (old, new)
        outcomes = [outcome_of(self.suite, side.case, side.prepared) for side in sides]
        jobs = [partial(job_of, self.suite, self.folder, self.store, side.prepared) for side in sides]
        time_in_turns(outcomes, lambda case: jobs[case.group](case), self.progress)
        old.outcome, new.outcome = outcomes

    def _run(self, side: RerunSide) -> Outcome:
        (outcome,) = run_group(self.suite, self.folder, self.store, side.prepared, [side.case], self.progress)
        judge(outcome, [])
        return outcome


def bench(connection: duckdb.DuckDBPyConnection, store: Store, suite: str, progress: Progress) -> Bench:
    """A suite by path or name, with the artifacts that are recorded.

    Raises:
        UsageError: there is no such suite.
    """
    path = find_suite(suite)
    found = ask(
        connection,
        "select a.*, max(r.started_at) as newest from artifact a join case_result c using (artifact_id) join run r"
        " using (run_id) group by all order by newest desc",
    )
    artifacts: dict[tuple[str, str, str], list[Facts]] = {}
    for row in found:
        artifacts.setdefault((row["model"], row["variant"], row["model_version"]), []).append(row)
    return Bench(load_suite(path), path.parent.absolute(), store, progress, artifacts)


def _answer(old: RerunSide, new: RerunSide, metric: str) -> Rerun:
    before, after = old.outcome, new.outcome
    assert before is not None  # noqa: S101  both were run
    assert after is not None  # noqa: S101
    if metric == "status":
        return Rerun(passed=(before.status == "ok", after.status == "ok"))
    if ": " in metric:
        subject, name = metric.split(": ", 1)
        return Rerun(passed=(_passed(before, subject, name), _passed(after, subject, name)))
    if known(metric).paired and after.ratio is not None:
        power = 1 if known(metric).better == "lower" else -1  # a rate is a time turned over
        ends = sorted(end**power for end in (after.ratio.low, after.ratio.high) if end)
        low, high = ends if len(ends) == 2 else (None, None)
        return Rerun(after.ratio.value**power, low, high, values=_values(old, new, metric))
    sides = []
    for side in (before, after):
        estimate = next((figure.estimate for figure in figures_of(side) if figure.metric == metric), None)
        if estimate is None:
            raise Impossible(f"the re-run of {side.case.name} has no {metric}: {side.error_message or side.status}")
        sides.append({"value": estimate.value, "low": estimate.low, "high": estimate.high})
    ratio, low, high = ratio_of(*sides)
    return Rerun(ratio, low, high, values=(sides[0]["value"], sides[1]["value"]))  # type: ignore[arg-type]


def _values(old: RerunSide, new: RerunSide, metric: str) -> tuple[float, float] | None:
    found = [
        next((figure.estimate.value for figure in figures_of(side.outcome) if figure.metric == metric), None)
        for side in (old, new)
        if side.outcome
    ]
    return (found[0], found[1]) if len(found) == 2 and found[0] is not None and found[1] is not None else None


def _passed(outcome: Outcome, subject: str, name: str) -> bool:
    return outcome.status == "ok" and any(
        (s, n) == (subject, name) and judgement.outcome in ("pass", "waived") for s, n, judgement in outcome.judgements
    )


def here() -> str:
    return socket.gethostname()


class Budget:
    """Seconds that re-runs may take together."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        return max(0.0, self._end - time.monotonic())


def named(versions: Iterable[str], version: str, what: str) -> str:
    """Raises UsageError: the version is none of these."""
    known = [*versions]
    if version not in known:
        raise UsageError(f"{what} {version!r} is no version of the case.{nearest(version, known)}")
    return version
