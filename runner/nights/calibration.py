"""A calibration as a row: what one rule, at one version, cost and found.

It is asked of recorded noise, and of recorded pairs of nights of one artifact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from assay.runner.errors import UsageError, nearest
from assay.runner.regressions.alerts.shadow import CANDIDATES
from assay.runner.regressions.detection.calibrate import SIZES, by_rule, false_alarms, recall, reports
from assay.runner.regressions.detection.detect import NIGHTLY, Rule
from assay.runner.regressions.detection.fleet import noises_of
from assay.runner.regressions.detection.rule_version import version_of
from assay.schema.rows.alerts import Calibration
from assay.schema.store.spool import new_id, now

_REPLAYED = 100
"""Newest nights of a recorded series that are replayed for A/A pairs."""


def detector_named(name: str) -> Rule:
    """Raises UsageError: there is no detector of that name."""
    known = {"nightly": NIGHTLY, **CANDIDATES}
    if name not in known:
        raise UsageError(f"there is no detector {name!r}.{nearest(name, known)}")
    return known[name]


def calibrated(histories: Sequence[Mapping[str, Any]], detector: str, rule: Rule, seed: int, most: int) -> Calibration:
    """Replay a rule on the noise of recorded series, and on the series as they were recorded.

    Where nothing is recorded, the noise is made up.
    """
    noises, origin = noises_of(histories, seed, most)
    look = by_rule(rule)
    alarms = false_alarms(noises, look, seed, repeats=2)
    low, high = alarms.interval()
    steps = [recall(noises, look, size, seed + 1) for size in SIZES]
    pairs = same = 0
    for history in histories[:most]:
        found, seen = same_artifact(history, rule)
        pairs, same = pairs + found, same + seen
    return Calibration(
        calibration_id=new_id(), recorded_at=now(), rule=version_of(rule), detector=detector, noise=origin, series=len(noises), nights=alarms.nights,
        alarms=alarms.count, per_100=alarms.per_100, low=low, high=high, same_pairs=pairs, same_alarms=same, sizes=list(SIZES),
        within_3=[step.within[3] for step in steps], within_5=[step.within[5] for step in steps], within_10=[step.within[10] for step in steps],
    )  # fmt: skip


def same_artifact(history: Mapping[str, Any], rule: Rule) -> tuple[int, int]:
    """Pairs of neighbouring nights of one artifact in one environment, and the reports that begin between two of them.

    Nothing of ours changed there: a live A/A test. The rule is replayed night by night over the newest nights of the
    newest environment. An artifact that is not known is like no other.
    """
    start = max(len(history["values"]) - _REPLAYED, 0)
    environments, artifacts = history["environments"], history["artifacts"]
    while start + 1 < len(environments) and environments[start] != environments[-1]:
        start += 1
    values = history["values"][start:]
    equal = [False] + [
        artifacts[i] is not None and artifacts[i] == artifacts[i - 1] for i in range(start + 1, len(artifacts))
    ]
    said = reports(values, by_rule(rule))
    return sum(equal), sum(equal[index] for _, index in said)
