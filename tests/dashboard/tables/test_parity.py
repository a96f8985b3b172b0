"""Tables of parity: what is read first."""

from __future__ import annotations

import pandas as pd

from assay.dashboard.tables import parity as parity_tables
from tests.dashboard.streams import stream_steps


def test_the_output_that_broke_most_steps_is_shown_first():
    steps = pd.concat([stream_steps(output="fine", violations=0), stream_steps(output="bad")])
    assert parity_tables.worst_outputs(steps) == ["bad", "fine"]
