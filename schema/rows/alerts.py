"""What is recorded of changes and alerts: one frozen dataclass per table, as in `assay.schema.rows`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

ACTIVE = ("open", "acknowledged", "muted")
"""States of an alert that is not over (view `alert`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A night from which on a figure, a verdict or a status has another level, as a nightly job knew it."""

    table: ClassVar[str] = "change"
    change_id: str
    """Hash of series, kind, direction and the run that the new level begins with."""
    series_id: str
    kind: str
    """`step`, `drift` (against the best level or a release), `spread` (of the nights), `verdict`, `pass_rate`, `status`
    or `exact` (a figure without noise)."""
    direction: str
    """`regression` or `improvement`."""
    suite: str
    model: str
    variant: str
    backend: str
    workload: str
    name: str
    """The case."""
    metric: str
    """The metric; of a verdict `subject: name`; of a status `status`."""
    hardware_class: str
    host: str
    run_before: str
    """The last run of the old level (of a drift: of the level that it is held against)."""
    run_id: str
    """The first run of the new level."""
    started_at: datetime
    """Of that run, UTC."""
    version_before: str
    version: str
    commit_before: str | None
    commit_after: str | None
    artifact_before: str | None
    """SHA-256 of what ran; None where the case has no artifact."""
    artifact: str | None
    ratio: float | None
    """New level over the old one (of a spread: of the standard deviations); None of verdicts and statuses."""
    low: float | None
    """95 % interval of the ratio."""
    high: float | None
    p_value: float
    """0 where nothing is random: a verdict that had always been the same, a size in bytes."""
    q_value: float
    """Of the night's changes that are at least as clear, the share that is expected to be false."""
    noise: float | None
    """Relative standard deviation of a night."""
    before: list[float]
    """The last nights of the old level (1 passed and 0 failed, of verdicts and statuses)."""
    after: list[float]
    message: str
    rule: str
    """Version of the rule that found it."""
    alert_id: str | None
    """None where it begins no alert: an improvement, or older than what a nightly job tells."""
    detected_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertEvent:
    """One step in the life of an alert; what an alert is now is the fold of these (view `alert`)."""

    table: ClassVar[str] = "alert_event"
    event_id: str
    alert_id: str
    action: str
    """`opened`, `grew`, `acknowledged`, `assigned`, `muted`, `unmuted`, `expected`, `invalid`, `fixed`, `recovered`,
    `reopened`, `confirmed` or `refuted`."""
    recorded_at: datetime
    actor: str
    """Who did it; `assay` where the nightly job did."""
    reason: str
    cause_kind: str | None = None
    """Of `opened`: `model`, `commit`, `variant`, `runtime`, `suite`, `host`, `case` or `absence`."""
    cause: str | None = None
    title: str | None = None
    severity: str | None = None
    """`critical`, `high`, `medium` or `low`; of `opened` and `grew`."""
    assignee: str | None = None
    until: datetime | None = None
    """Of `muted`: when it ends."""
    until_version: str | None = None
    """Of `muted`: it ends when this version has run."""
    version: str | None = None
    """Of `fixed`: the version (or commit) that fixes it."""
    run_ids: list[str] | None = None
    """Of `invalid`: the runs whose figures of the alert's series count no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """A re-run that was made to tell whether a change is real.

    Old and new artifact in turns on one host, or one step of a bisection.
    """

    table: ClassVar[str] = "confirmation"
    confirmation_id: str
    alert_id: str | None
    """None of a bisection, and of a suspicion that has no alert."""
    recorded_at: datetime
    suite: str
    name: str
    """The case."""
    metric: str
    version_before: str
    version: str
    artifact_before: str | None
    artifact: str | None
    recorded_ratio: float | None
    """What the history says."""
    ratio: float | None
    """What the re-run says, new over old."""
    low: float | None
    high: float | None
    outcome: str
    """`confirmed`, `refuted`, `undecided`, `impossible`; of a bisection `good` or `bad`."""
    reason: str
    seconds: float
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One attempt to tell people; a digest that did not arrive is sent again the next night."""

    table: ClassVar[str] = "notification"
    notification_id: str
    digest_id: str
    """Hash of what is told and of the channel."""
    recorded_at: datetime
    channel: str
    """The name in the configuration, never its address: addresses can hold secrets."""
    outcome: str
    """`sent` or `failed`."""
    attempts: int
    error: str | None
    events: list[str]
    """The alert events that it tells of."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What has to be measured how often, or that something was retired on purpose.

    The newest event of a suite, host and model holds.
    """

    table: ClassVar[str] = "expectation"
    event_id: str
    action: str
    """`expect` or `retire`."""
    suite: str
    host: str
    model: str
    """Empty: any."""
    every_h: float
    grace_h: float
    owner: str
    reason: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A version of a model that was shipped: drift and the gate are held against it."""

    table: ClassVar[str] = "release"
    event_id: str
    model: str
    version: str
    owner: str
    reason: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What a rule cost and found when it was replayed."""

    table: ClassVar[str] = "calibration"
    calibration_id: str
    recorded_at: datetime
    rule: str
    """Version of the rule: a hash of its settings."""
    detector: str
    """`nightly`, or the name of a candidate."""
    noise: str
    """Where the nights came from, in words."""
    series: int
    nights: int
    alarms: int
    per_100: float
    """False alarms a series in 100 nights."""
    low: float
    """Exact 95 % interval."""
    high: float
    same_pairs: int
    """Neighbouring nights of one artifact in one environment, as they were recorded: nothing changed between them."""
    same_alarms: int
    """Reports whose new level begins between two such nights."""
    sizes: list[float]
    """Steps that were planted: 0.05 is 5 %."""
    within_3: list[float]
    """Share of the steps of each size that was reported within 3 nights."""
    within_5: list[float]
    within_10: list[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowChange:
    """What a candidate detector would have reported. Nothing that notifies or opens alerts reads this table."""

    table: ClassVar[str] = "shadow_change"
    detector: str
    rule: str
    series_id: str
    name: str
    metric: str
    run_id: str
    """The first run of the new level."""
    started_at: datetime
    ratio: float
    p_value: float
    direction: str
    detected_at: datetime
