"""Many series that moved together are one alert: the cause that covers what moved, and little else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from assay.schema.rows.alerts import Change

TOGETHER = timedelta(hours=36)
"""Levels that begin within so long of each other may have one cause: runs of one night, on several hosts."""
_SHARE = 0.5
"""Of a cause's cases that have to have moved."""
_MODEL_FIRST = ("model", "commit", "variant", "runtime", "suite", "host")
_HOST_FIRST = ("runtime", "host", "suite", "commit", "variant", "model")
Row = Mapping[str, Any]
Case = tuple[str, str]
"""A case on a host."""


@dataclass(frozen=True, slots=True)
class Cause:
    kind: str
    """`model`, `commit`, `variant`, `runtime`, `suite`, `host` or `case`."""
    name: str
    changes: tuple[Change, ...]

    @property
    def severity(self) -> str:
        return max((severity_of(change) for change in self.changes), key=SEVERITIES.index)

    @property
    def title(self) -> str:
        """The clearest of what moved, in one line."""
        worst = max(self.changes, key=_weight)
        what = f"{worst.name} {worst.metric}: {worst.message}"
        return what if self.kind == "case" else f"{self.kind} {self.name}: {what}"


SEVERITIES = ("low", "medium", "high", "critical")


def severity_of(change: Change) -> str:
    """Wrong or broken is critical; slower or worse by a fifth is high, by a twentieth medium.

    The rest, and scatter, is low.
    """
    if change.kind in ("verdict", "status"):
        return "critical"
    if change.kind == "pass_rate":
        return "high"
    if change.kind == "spread" or change.ratio is None:
        return "low"
    size = _size(change.ratio)
    return "high" if size >= 0.2 else "medium" if size >= 0.05 else "low"


def _size(ratio: float) -> float:
    """How much a ratio differs from 1, a half like a double."""
    return (max(ratio, 1 / ratio) - 1) if ratio > 0 else 1.0


def _weight(change: Change) -> tuple[int, float]:
    return SEVERITIES.index(severity_of(change)), 0.0 if change.ratio is None else _size(change.ratio)


def grouped(changes: Iterable[Change], watched: Iterable[Row]) -> list[Cause]:
    """Causes of a night's regressions, those that explain most first.

    `watched` are all series of the night with `name`, `model`, `variant`, `backend`, `suite`, `host` (and
    `hardware_class`): what a cause could have moved and did not speaks against it. A cause is chosen by F1: the share
    of its cases that moved, and the share of what moved that it covers. Between equals, a cause that is narrower than a
    host comes first where the version changed, and the host where nothing of ours did.
    """
    left = sorted(changes, key=lambda change: (change.started_at, change.change_id))
    could: dict[tuple[str, str], set[Case]] = {}
    for row in watched:
        for key in _touching(row):
            could.setdefault(key, set()).add((row["name"], row["host"]))
    found = []
    while left:
        night = [change for change in left if change.started_at - left[0].started_at <= TOGETHER]
        cause = _best(night, could)
        found.append(cause)
        taken = {change.change_id for change in cause.changes}
        left = [change for change in left if change.change_id not in taken]
    return sorted(found, key=lambda cause: (-SEVERITIES.index(cause.severity), -len(cause.changes), cause.name))


def _touching(row: Row) -> list[tuple[str, str]]:
    """What could move a series, as keys of the cases that it could have moved. A commit can move everything."""
    return [
        ("model", row["model"]),
        ("variant", f"{row['model']}/{row['variant']}"),
        ("runtime", row["backend"]),
        ("suite", row["suite"]),
        ("host", _host(row)),
        ("commit", ""),
    ]


def _host(row: Row) -> str:
    return f"{row['host']} ({row['hardware_class']})"


def suspects(change: Change) -> dict[str, str]:
    """What could have moved it: kind -> name of the cause."""
    found = {
        "variant": f"{change.model}/{change.variant}",
        "runtime": change.backend,
        "suite": change.suite,
        "host": f"{change.host} ({change.hardware_class})",
    }
    if change.version != change.version_before:
        found["model"] = f"{change.model} {change.version}"
    if change.commit_after and change.commit_after != change.commit_before:
        found["commit"] = change.commit_after
    if change.artifact and change.artifact == change.artifact_before:
        for kind in ("variant", "model", "commit"):  # the same bytes ran: whatever it is, it is not what was built
            found.pop(kind, None)
    return found


def _best(night: Sequence[Change], could: Mapping[tuple[str, str], set[Case]]) -> Cause:
    """The cause with the highest F1 over cases; a case by itself where none holds."""
    candidates: dict[tuple[str, str], list[Change]] = {}
    for change in night:
        for kind, name in suspects(change).items():
            candidates.setdefault((kind, name), []).append(change)
    moved = {_case(change) for change in night}
    ours = all(change.version != change.version_before for change in night)
    order = _MODEL_FIRST if ours else _HOST_FIRST
    scored = []
    for (kind, name), members in candidates.items():
        mine = {_case(change) for change in members}
        touched = could.get((kind, {"model": members[0].model, "commit": ""}.get(kind, name)), set()) | mine
        share, covered = len(mine) / len(touched), len(mine) / len(moved)
        if share >= _SHARE and (len(mine) > 1 or kind == "model"):
            scored.append((2 * share * covered / (share + covered), -order.index(kind), kind, name))
    if not scored:
        return Cause("case", night[0].name, tuple(change for change in night if change.name == night[0].name))
    _, _, kind, name = max(scored)
    return Cause(kind, name, tuple(candidates[kind, name]))


def _case(change: Change) -> Case:
    return change.name, change.host
