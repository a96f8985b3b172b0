"""What a result is: one frozen dataclass per table, its meaning under each field.

The dataclasses, the newest migration and the Parquet files of a bundle have the same columns; a test holds them
together.
"""

from __future__ import annotations

from assay.schema.rows.alerts import (
    AlertEvent,
    Calibration,
    Change,
    Confirmation,
    Expectation,
    Notification,
    Release,
    ShadowChange,
)
from assay.schema.rows.dictionaries import Metric, Policy
from assay.schema.rows.explanations import Blame, Divergence
from assay.schema.rows.parity import Finding, Noise, Parity, Verdict, WaiverEvent
from assay.schema.rows.quality import (
    CalibrationRange,
    ClassQuality,
    LedgerEntry,
    Search,
    SearchNode,
    SearchTrial,
    Sensitivity,
)
from assay.schema.rows.runs import Artifact, CaseResult, ComparisonOverride, Environment, Run, RunEnd
from assay.schema.rows.speed import Layer, Measurement
from assay.schema.rows.streams import Drift, Invariant, Liveness, StreamStep

Row = (
    Run
    | RunEnd
    | Environment
    | Artifact
    | CaseResult
    | Measurement
    | Parity
    | Verdict
    | Policy
    | Metric
    | StreamStep
    | Invariant
    | Drift
    | Liveness
    | Finding
    | Divergence
    | Blame
    | Noise
    | WaiverEvent
    | Layer
    | ComparisonOverride
    | LedgerEntry
    | CalibrationRange
    | ClassQuality
    | Sensitivity
    | Search
    | SearchNode
    | SearchTrial
    | Change
    | AlertEvent
    | Confirmation
    | Notification
    | Expectation
    | Release
    | Calibration
    | ShadowChange
)


FACTS: tuple[type[Row], ...] = (
    Run, RunEnd, CaseResult, Measurement, Parity, Verdict, StreamStep, Invariant, Drift, Liveness, Finding, Divergence,
    Blame, Noise, WaiverEvent, Layer, ComparisonOverride, LedgerEntry, CalibrationRange, ClassQuality, Sensitivity, Search, SearchNode,
    SearchTrial, Change, AlertEvent, Confirmation, Notification, Expectation, Release, Calibration, ShadowChange,
)  # fmt: skip


DICTIONARIES: dict[type[Row], str] = {
    Environment: "environment_id",
    Artifact: "artifact_id",
    Policy: "policy_id",
    Metric: "metric",
}
"""Tables known by their content, with the column that is their key: a second arrival of one row is dropped."""


ALL: tuple[type[Row], ...] = (*FACTS, *DICTIONARIES)

__all__ = [
    "ALL",
    "DICTIONARIES",
    "FACTS",
    "AlertEvent",
    "Artifact",
    "Blame",
    "Calibration",
    "CalibrationRange",
    "CaseResult",
    "Change",
    "ClassQuality",
    "ComparisonOverride",
    "Confirmation",
    "Divergence",
    "Drift",
    "Environment",
    "Expectation",
    "Finding",
    "Invariant",
    "Layer",
    "LedgerEntry",
    "Liveness",
    "Measurement",
    "Metric",
    "Noise",
    "Notification",
    "Parity",
    "Policy",
    "Release",
    "Row",
    "Run",
    "RunEnd",
    "Search",
    "SearchNode",
    "SearchTrial",
    "Sensitivity",
    "ShadowChange",
    "StreamStep",
    "Verdict",
    "WaiverEvent",
]
