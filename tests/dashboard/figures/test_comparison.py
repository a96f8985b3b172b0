"""Two runs beside each other: ratios with their intervals."""

from __future__ import annotations

import pandas as pd

from assay.dashboard import theme
from assay.dashboard.figures import comparison as comparison_figures


def test_the_forest_shows_ratios_with_intervals_and_skips_what_has_none():
    frame = pd.DataFrame(
        {
            "case": ["a", "b"],
            "name": "p50",
            "ratio": [2.0, None],
            "ratio_low": [1.9, None],
            "ratio_high": [2.1, None],
            "outcome": ["worse", "not comparable"],
        }
    )
    figure = comparison_figures.forest(frame)
    assert len(figure.data[0].x) == 1
    assert figure.data[0].marker.color == (theme.OUTCOMES["fail"],)
