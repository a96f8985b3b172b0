"""Checking a stated ratio ("int8 is 1.69x faster than fp32") against what was measured, like with like only."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from assay.runner.errors import NothingMeasured, UsageError, nearest
from assay.runner.timing import statistics
from assay.schema.comparability import unlike
from assay.schema.metrics import LATENCY, MODEL_BYTES, PARAMETER_BYTES, PEAK_RSS_BYTES

Row = Mapping[str, Any]

_SENTENCE = re.compile(
    r"^\s*(?P<a>.+?)\s+(?:is|are|runs|uses|needs|takes)\s+(?:about\s+)?(?P<number>\d+(?:\.\d+)?)\s*"
    r"(?P<unit>x|\u00d7|times|%|percent)\s*(?P<word>faster|slower|smaller|larger|bigger|less memory|more"
    r" memory)\s+than\s+(?P<b>.+?)"
    r"(?:\s+(?:on|for|at|with)\s+(?P<workload>\S+?))?\s*[.!]?\s*$",
    re.IGNORECASE,
)
_MEANS = {
    "faster": ("latency", "lower"), "slower": ("latency", "higher"), "smaller": ("size", "lower"), "larger": ("size", "higher"),
    "bigger": ("size", "higher"), "less memory": ("memory", "lower"), "more memory": ("memory", "higher"),
}  # fmt: skip
_METRICS = {
    "latency": LATENCY, "size": (MODEL_BYTES, PARAMETER_BYTES),
    "memory": (PEAK_RSS_BYTES,),
}  # fmt: skip
_EXACT = "size"


@dataclass(frozen=True, slots=True)
class Claim:
    a: str
    b: str
    kind: str
    """`latency`, `size` or `memory`."""
    ratio: float
    """What is claimed of a's figure over b's: "2x faster" is 0.5, "20 % slower" 1.2, "50 % smaller" 0.5."""
    low: float
    """The least ratio that is written so, by the digits that are written."""
    high: float
    workload: str | None


def parse(sentence: str) -> Claim:
    """Read a sentence such as `A is NUMBERx faster than B [on WORKLOAD]`.

    The words are `faster`, `slower`, `smaller` and `larger`, or `A uses NUMBERx less memory than B`.

    Raises:
        UsageError: it is not of that form, or states an impossible number.
    """
    found = _SENTENCE.match(sentence)
    if found is None:
        raise UsageError(
            f"cannot read the claim {sentence!r}. Write: A is 1.69x faster than B [on WORKLOAD]; also slower, smaller,"
            " larger, and 'uses 2x less memory'. A and B are variants, backends or variant/backend."
        )
    kind, direction = _MEANS[found["word"].lower()]
    digits = len(found["number"].partition(".")[2])
    half = 0.5 * 10.0**-digits
    stated = float(found["number"])
    ends = [_as_ratio(n, found["unit"], direction, kind, sentence) for n in (stated, stated - half, stated + half)]
    return Claim(found["a"].strip(), found["b"].strip(), kind, ends[0], min(ends), max(ends), found["workload"])


def _as_ratio(number: float, unit: str, direction: str, kind: str, sentence: str) -> float:
    """A's figure over b's. "x % faster" raises the speed by x %; "x % smaller" takes x % of the bytes away."""
    if unit.lower() not in ("%", "percent"):
        if number <= 0:
            raise UsageError(f"{sentence!r} states {number:g} times, which is no ratio.")
        return 1 / number if direction == "lower" else number
    part = number / 100
    if direction == "higher":
        return 1 + part
    if kind == "latency":
        return 1 / (1 + part)
    if part >= 1:
        raise UsageError(f"{sentence!r} takes {number:g} % away: nothing would be left.")
    return 1 - part


@dataclass(frozen=True, slots=True)
class Checked:
    """A claim on one model and workload."""

    model: str
    workload: str
    check: str
    a: str
    b: str
    metric: str
    ratio: float | None
    """Measured, a over b; None where it may not be computed."""
    low: float | None
    high: float | None
    verdict: str
    """`holds`, `contradicted`, `not enough evidence` or `not comparable`."""
    reason: str
    provenance: str

    def as_document(self) -> dict[str, Any]:
        return asdict(self)


def check(
    claim: Claim, measured: Sequence[Row], model: str | None = None, workload: str | None = None
) -> list[Checked]:
    """The claim on every model and workload of a run that has both sides; `measured` as `queries.measurements_of`.

    Raises:
        UsageError: one side names nothing that was measured; the nearest are listed.
        NothingMeasured: no model and workload has both sides.
    """
    metrics, wanted = _METRICS[claim.kind], workload or claim.workload
    rows = [
        row
        for row in measured
        if row["metric"] in metrics
        and (model is None or row["model"] == model)
        and (wanted is None or row["workload"] == wanted)
    ]
    if not rows and wanted is not None:
        raise NothingMeasured(
            f"nothing was measured on {wanted!r}.{nearest(wanted, {row['workload'] for row in measured})}"
        )
    sides = [[row for row in rows if _is_called(row, name)] for name in (claim.a, claim.b)]
    for name, side in zip((claim.a, claim.b), sides, strict=True):
        if not side:
            known = {row["variant"] for row in rows} | {row["backend"] for row in rows}
            raise UsageError(
                f"no measured case is called {name!r}.{nearest(name, known)} There are: {', '.join(sorted(known))}."
            )
    found = [
        _checked(claim, a, b)
        for a in sides[0]
        for b in sides[1]
        if a["model"] == b["model"]
        and a["workload"] == b["workload"]
        and a["check_kind"] == b["check_kind"]
        and a["case_id"] != b["case_id"]
        and _alike(a, b, sides[1])
    ]
    if not found:
        raise NothingMeasured(f"{claim.a!r} and {claim.b!r} were measured, but never on the same model and workload.")
    return found


def _alike(a: Row, b: Row, others: Iterable[Row]) -> bool:
    """Whether b is a's own counterpart.

    A variant is compared on one backend and in one mode, where the other side has it so.
    """
    same = [
        row
        for row in others
        if (row["backend"], row["mode"]) == (a["backend"], a["mode"]) and row["workload"] == a["workload"]
    ]
    return not same or b in same


def _is_called(row: Row, name: str) -> bool:
    """Whether every word of a name is this case's variant, backend, model or mode."""
    mode = str(row["mode"]).partition(", ")[2]
    known = {str(row[field]).lower() for field in ("variant", "backend", "model")} | ({mode} if mode else set())
    return all(word in known for word in re.split(r"[\s/,]+", name.lower()))


def _checked(claim: Claim, a: Row, b: Row) -> Checked:
    ratio, low, high, verdict, reason = _judged(claim, a, b)
    provenance = f"{a['provenance']}: {a['metric']} of {a['n']} and {b['n']} samples in {a['launches'] or 1} launches"
    return Checked(
        a["model"], a["workload"], a["check_kind"], _name(a), _name(b), a["metric"], ratio, low, high, verdict, reason, provenance
    )  # fmt: skip


def _name(row: Row) -> str:
    mode = str(row["mode"]).partition(", ")[2]
    return f"{row['variant']}/{row['backend']}" + (f" ({mode})" if mode else "")


def _judged(claim: Claim, a: Row, b: Row) -> tuple[float | None, float | None, float | None, str, str]:
    if a["metric"] != b["metric"] or a["comparability"] != b["comparability"]:
        return None, None, None, "not comparable", _unlike(a, b)
    if claim.kind == _EXACT:
        ratio = a["value"] / b["value"]
        holds = claim.low <= ratio <= claim.high
        return ratio, ratio, ratio, "holds" if holds else "contradicted", _told(claim, ratio, ratio, ratio)
    ratio, low, high, launches = _ratio(a, b)
    if low is None or high is None or (claim.kind == "latency" and launches < 3):
        words = f"measured {_words(claim, ratio)}, in {launches} launches: an interval needs 3"
        return ratio, low, high, statistics.NOT_ENOUGH, words
    holds = low <= claim.high and claim.low <= high
    return ratio, low, high, "holds" if holds else "contradicted", _told(claim, ratio, low, high)


def _ratio(a: Row, b: Row) -> tuple[float, float | None, float | None, int]:
    """Paired from the samples where both were timed in the same turns.

    Else of the two figures, which have no common interval.
    """
    if a["group_id"] and a["group_id"] == b["group_id"] and a["samples"] and b["samples"]:
        sides = [statistics.as_samples(row["samples"], row["block_length"], row["launches"] or 1) for row in (a, b)]
        paired = statistics.paired_ratio(*sides)
        return paired.value, paired.low, paired.high, paired.launches
    ratio = a["value"] / b["value"] if b["value"] else math.nan
    if any(row[end] is None or row[end] <= 0 for row in (a, b) for end in ("low", "high")):
        return ratio, None, None, 1
    half = math.hypot(*(math.log(row["high"] / row["low"]) / 2 for row in (a, b)))
    return ratio, ratio * math.exp(-half), ratio * math.exp(half), min(a["launches"] or 1, b["launches"] or 1)


def _unlike(a: Row, b: Row) -> str:
    return unlike(a["comparability"], b["comparability"]) or f"{a['metric']} against {b['metric']}"


def _told(claim: Claim, ratio: float, low: float, high: float) -> str:
    ends = (
        ""
        if low == high
        else (
            f" [{_number(claim, high)}, {_number(claim, low)}]"
            if claim.ratio < 1
            else f" [{_number(claim, low)}, {_number(claim, high)}]"
        )
    )
    return f"measured {_words(claim, ratio)}{ends}, claimed {_number(claim, claim.ratio)}"


def _number(claim: Claim, ratio: float) -> str:
    """A ratio in the direction of the claim: times faster, or times slower."""
    return f"{1 / ratio if claim.ratio < 1 else ratio:.3g}x"


def _words(claim: Claim, ratio: float) -> str:
    words = {"latency": ("faster", "slower"), "size": ("smaller", "larger"), "memory": ("less memory", "more memory")}[
        claim.kind
    ]
    return f"{_number(claim, ratio)} {words[0] if claim.ratio < 1 else words[1]}"
