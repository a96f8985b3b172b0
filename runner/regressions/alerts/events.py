"""The steps in an alert's life that the nightly job takes itself."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from assay.schema.rows.alerts import AlertEvent
from assay.schema.store.spool import new_id


def event_of(alert_id: str, action: str, at: datetime, reason: str, **more: Any) -> AlertEvent:
    """One step, by `assay` and not by a person."""
    return AlertEvent(
        event_id=new_id(), alert_id=alert_id, action=action, recorded_at=at, actor="assay", reason=reason, **more
    )
