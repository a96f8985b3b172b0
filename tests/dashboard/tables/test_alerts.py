"""Alerts as a table: which of them wait."""

from __future__ import annotations

import pandas as pd

from assay.dashboard.tables import alerts as alert_tables
from assay.schema.rows.alerts import ACTIVE


def test_alerts_are_told_apart_by_what_is_left_to_do():
    found = pd.DataFrame({"state": ["open", "muted", "recovered", "fixed", "acknowledged"]})
    assert list(alert_tables.waiting(found, "Waiting", ACTIVE)["state"]) == ["open", "muted", "acknowledged"]
    assert list(alert_tables.waiting(found, "Over", ACTIVE)["state"]) == ["recovered", "fixed"]
    assert len(alert_tables.waiting(found, "All", ACTIVE)) == 5
