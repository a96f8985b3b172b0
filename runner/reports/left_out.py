"""What a suite asks for and a run does not do: a line each, with why."""

from __future__ import annotations

from typing import Any

from assay.runner.suites.case import Expansion

_MOST = 20
"""So many lines; the rest is a number, and every one is in `assay suite check`."""


def as_document(asked: Expansion) -> dict[str, Any]:
    """For `--json`: `left_out` names combinations that are no case, `unmet` what no case at all is left of."""
    return {
        "left_out": [{"case": one.name, "why": one.why} for one in asked.left_out],
        "unmet": [{"model": one.model, "check": one.check, "why": one.words} for one in asked.unmet],
    }


def lines(asked: Expansion, most: int = _MOST) -> list[str]:
    """Of each reason the combinations that it leaves out, then what nothing is left of."""
    said = [f"left out: {one.name}: {one.why}" for one in asked.left_out]
    if len(said) > most:
        said = [*said[:most], f"and {len(asked.left_out) - most} more left out: assay suite check lists them"]
    return [*said, *(f"nothing was compared: {one.words}" for one in asked.unmet)]
