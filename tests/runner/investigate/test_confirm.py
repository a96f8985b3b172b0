"""Which change of an alert is run again: the one that a re-run can tell most of."""

from __future__ import annotations

from typing import Any

from assay.runner.investigate.confirm import clearest
from assay.runner.investigate.rerun import here


def change(metric: str, p_value: float, **changes: Any) -> dict[str, Any]:
    return {"change_id": metric, "metric": metric, "p_value": p_value, "host": here(), **changes}


def test_a_median_latency_is_run_again_before_what_is_made_of_it():
    latency, rate = change("latency_p50_ms", 0.01), change("throughput_per_s", 1e-9)
    assert clearest([rate, latency]) == latency


def test_a_change_of_this_host_is_run_again_before_a_clearer_one_of_another():
    mine, theirs = change("latency_p50_ms", 0.01), change("latency_p50_ms", 1e-9, host="elsewhere")
    assert clearest([theirs, mine]) == mine
