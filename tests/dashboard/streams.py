"""The steps of a stream as pages ask for them."""

from __future__ import annotations

from typing import Any

import pandas as pd


def stream_steps(**changes: Any) -> pd.DataFrame:
    rows = {
        "mode": ["functional"] * 3 + ["closed_loop"] * 3,
        "output": "y",
        "step": [0, 1, 2] * 2,
        "max_abs": [1e-6, 0.0, 1e-6, 1e-6, 1e-4, 1e-2],
        "violations": [0, 0, 0, 0, 1, 1],
        "elements": 4,
        "atol": 1e-5,
        "latency_ms": 1.0,
    }
    return pd.DataFrame({**rows, **changes})
