"""A single night that looks worse after something was built anew.

Too little to tell anybody, and enough to run it again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import numpy as np
from scipy.special import stdtr

from assay.runner.regressions.alerts.new_changes import LATELY, Books, NewChanges, Watching, row_of
from assay.runner.regressions.detection.detect import as_log, pieces, prune
from assay.runner.regressions.detection.evidence import residual_noise
from assay.runner.regressions.detection.fleet import within
from assay.runner.regressions.detection.floors import floor_of, is_exact
from assay.schema.rows.alerts import Change

_FEWEST = 6
"""Nights before, without which the noise of a night is not known."""
_NOISES = 3.0
_ALPHA = 0.01


def suspicions(books: Books, watching: Watching, at: datetime) -> list[Change]:
    """Series whose newest night is worse than the level before it, and whose version or artifact changed with it.

    Worse is by 3 standard deviations of a night and by twice the metric's floor, p < 0.01. What is the same on both
    sides has nothing to be held against.
    """
    version = watching.version()
    return [
        row_of(history, found, found.p_value, version, at)
        for history in books.series
        for found in _of(history, watching)
    ]


def _of(history: Mapping[str, Any], watching: Watching) -> Iterator[NewChanges]:
    start = max(pieces(history["values"], None, history["environments"])[-1][0], len(history["values"]) - LATELY)
    values = history["values"][start:]
    if len(values) <= _FEWEST or min(values) <= 0 or is_exact(history["metric"]) or not _is_new(history):
        return
    y = as_log(values)
    cuts = [evidence.index for evidence in prune(y[:-1], within(history["errors"][start:]), watching.rule)]
    level = y[(cuts[-1] if cuts else 0) : -1]
    noise = residual_noise([level])
    size = float(y[-1] - np.median(level))
    worse = size if history["better"] == "lower" else -size
    p = 2 * float(stdtr(max(len(level) - 1, 1), -abs(size) / (noise * math.sqrt(1 + 1 / len(level)))))
    if worse >= max(2 * floor_of(history["metric"], watching.floors), _NOISES * noise) and p < _ALPHA:
        ratio = math.exp(size)
        yield NewChanges(
            len(history["values"]) - 1,
            "step",
            regression=True,
            p_value=p,
            message=f"{ratio:.3g}x in one night",
            ratio=ratio,
            noise=noise,
        )


def _is_new(history: Mapping[str, Any]) -> bool:
    artifacts, versions = history["artifacts"][-2:], history["versions"][-2:]
    return bool(versions[0] != versions[1] if None in artifacts else artifacts[0] != artifacts[1])
