"""A waiver lives as long as its premise, its date and its limit."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from assay.runner.rules.waiver import Waiver, in_force, waiver_id

NOW = datetime.fromisoformat("2026-11-21T00:00:00")
WAIVER = Waiver("w1", "encoder/*", "cache", "length == 0", 0.1, "mira", "nothing reads it", NOW + timedelta(days=30))
HELD = {"expression": "length == 0", "checked": 50, "broken": 0, "observed": None}
RECEIPT = {"max_abs": 0.05, "problem": None, "nonfinite_mismatches": 0}


def test_it_helps_while_everything_holds():
    assert WAIVER.void(RECEIPT, [HELD], NOW) is None


@pytest.mark.parametrize(
    ("receipt", "premises", "days", "words"),
    [
        (RECEIPT, [{**HELD, "broken": 1, "observed": "step 7: length = [1]"}], 0, "broke at step 7"),
        (RECEIPT, [{**HELD, "checked": 0}], 0, "was not checked"),
        (RECEIPT, [], 0, "was not checked"),
        (RECEIPT, [HELD], 31, "expired on 2026-12-21"),
        ({**RECEIPT, "max_abs": 0.11}, [HELD], 0, "beyond the waived 0.1"),
        ({**RECEIPT, "problem": "shape (1,) was expected"}, [HELD], 0, "not one"),
        ({**RECEIPT, "nonfinite_mismatches": 3}, [HELD], 0, "not one"),
    ],
)
def test_it_is_void_and_says_why(receipt: Any, premises: Any, days: int, words: str):
    assert words in str(WAIVER.void(receipt, premises, NOW + timedelta(days=days)))


def test_it_covers_its_cases_and_its_output_only():
    assert WAIVER.covers("encoder/fp32/onnxruntime/noise/parity", "cache")
    assert not WAIVER.covers("encoder/fp32/onnxruntime/noise/parity", "out")
    assert not WAIVER.covers("decoder/fp32/onnxruntime/noise/parity", "cache")


def event(action: str, number: int, **changes: Any) -> dict[str, Any]:
    facts = {name: getattr(WAIVER, name) for name in Waiver.__dataclass_fields__}
    return {
        **facts,
        "action": action,
        "event_id": str(number),
        "recorded_at": NOW + timedelta(minutes=number),
        **changes,
    }


def test_waivers_in_force_are_the_fold_of_their_events_in_any_order_of_arrival():
    events = [
        event("grant", 1),
        event("revoke", 2),
        event("grant", 3, max_abs=0.2),
        event("grant", 1, waiver_id="w2"),
        event("revoke", 4, waiver_id="w2"),
    ]
    assert [(w.waiver_id, w.max_abs) for w in in_force(events)] == [("w1", 0.2)]
    assert in_force(events) == in_force(reversed(events))


def test_the_same_waiver_granted_again_has_the_same_id():
    assert waiver_id("a", "b", "c", "d") == waiver_id("a", "b", "c", "d") != waiver_id("a", "b", "c", "e")
