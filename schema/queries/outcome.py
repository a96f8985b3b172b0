"""What a case came to, in one word, computed here for every table, page and document. Pure."""

from __future__ import annotations

from collections.abc import Iterable

_GRAVEST = ("fail", "vacuous", "unknown", "waived")
_RAN = ("ok", "vacuous")


def came_to(status: str, verdicts: Iterable[tuple[str, str]]) -> str:
    """How a case ended where it did not run to its end, else its gravest verdict; `ok` where nothing speaks against it.

    `verdicts` are (subject, outcome). `fail` ran and failed a verdict, `failed` did not run. A case that is expected to
    fail is judged by that expectation alone: caught, it is `ok`, also where it was refused before it ran.
    """
    told = [*verdicts]
    if expected := [outcome for subject, outcome in told if subject == "expectation"]:
        if all(outcome == "pass" for outcome in expected):
            return "ok"
        return "fail" if status in _RAN else status
    if status not in _RAN:
        return status
    outcomes = {outcome for _, outcome in told}
    if status == "vacuous":
        outcomes.add("vacuous")
    return next((word for word in _GRAVEST if word in outcomes), "ok")
