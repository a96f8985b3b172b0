"""What a rule of the field accounted for: the words of a receipt's `detail`, and back where a verdict needs them."""

from __future__ import annotations

import re
from collections.abc import Mapping

ONE_CLASS = "top-1 does not apply to a single class"
_TOP = re.compile(r"top-1 the same in (\d+) of (\d+) rows")


def detail(rule: str, counts: Mapping[str, int], within: str = "") -> str | None:
    """The words for what was counted; None where nothing was. `within` says how near scores count as equal."""
    said = [_WORDS[rule](counts, within)] if rule in _WORDS and counts.get("of") is not None else []
    if counts.get("rows"):
        said.append(f"top-1 the same in {counts['same_top']} of {counts['rows']} rows")
    elif "rows" in counts:
        said.append(ONE_CLASS)
    return "; ".join(said) or None


def same_top(detail: str | None) -> tuple[int, int] | None:
    """Rows with the same largest element, and all rows, read from a receipt; None where they were not counted."""
    found = _TOP.search(detail or "")
    return (int(found[1]), int(found[2])) if found else None


def _order(counts: Mapping[str, int], within: str) -> str:
    if "left_out" in counts:
        return f"{counts['elsewhere']} of {counts['of']} stand elsewhere and were compared by their index" + (
            f"; {counts['left_out']} left out, whose index is on one side only" if counts["left_out"] else ""
        )
    ties = (
        (counts["tied"], "among equal scores"),
        (counts["near"], f"among scores {within}"),
        (counts["unproven"], "at the cut, with the score of the last one kept (unproven)"),
        (counts["broken"], "without a tie"),
    )
    return _shared(f"{counts['differ']} of {counts['of']} indices differ", counts["differ"], ties)


def _set(counts: Mapping[str, int], _: str) -> str:
    return f"{counts['elsewhere']} of {counts['of']} stand elsewhere, which does not count"


def _angle(counts: Mapping[str, int], _: str) -> str:
    return f"{counts['wrapped']} of {counts['of']} differences were taken round the period"


def _boxes(counts: Mapping[str, int], _: str) -> str:
    alone = f"{counts['alone_expected']} expected and {counts['alone_actual']} that came have no partner"
    return f"{counts['paired']} of {counts['of']} boxes paired, {counts['elsewhere']} of them stand elsewhere; {alone}"


def _tokens(counts: Mapping[str, int], _: str) -> str:
    padding = f"{counts['padding']} places after the end did not count"
    return f"{counts['of']} tokens up to the end of {counts['sequences']} sequences; {padding}"


_WORDS = {"order": _order, "set": _set, "angle": _angle, "boxes": _boxes, "tokens": _tokens}


def _shared(head: str, total: int, parts: tuple[tuple[int, str], ...]) -> str:
    some = [(number, words) for number, words in parts if number]
    if not some:
        return head
    if len(some) == 1 and some[0][0] == total:
        return f"{head}, all {some[0][1]}"
    return f"{head}: " + ", ".join(f"{number} {words}" for number, words in some)
