"""Checking a stated ratio ("int8 is 1.69x faster than fp32") against what was measured, like with like only."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from assay.runner.errors import NothingMeasured, UsageError, nearest
from assay.runner.reports.claimed import Bound, Stated, of_interval, of_size, what_it_takes
from assay.runner.timing import statistics
from assay.runner.timing.statistics import NOT_ENOUGH
from assay.schema.comparability import unlike
from assay.schema.metrics import LATENCY, MODEL_BYTES, PARAMETER_BYTES, PEAK_RSS_BYTES

Row = Mapping[str, Any]

_NAMED = r"\s+(?:is|are|runs|uses|needs|takes)\s+"
_WHERE = r"(?:\s+(?:on|for|at|with)\s+(?P<workload>\S+?))?\s*[.!]?\s*$"
_SENTENCE = re.compile(
    rf"^\s*(?P<a>.+?){_NAMED}(?:about\s+|(?P<bound>at least|no less than|more than|over|at most|no more than|less than)"
    r"\s+)?(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>x|\u00d7|times|%|percent)\s*(?P<word>faster|slower|smaller|larger"
    rf"|bigger|less memory|more memory)\s+than\s+(?P<b>.+?){_WHERE}",
    re.IGNORECASE,
)
_ALIKE = re.compile(
    rf"^\s*(?P<a>.+?){_NAMED}(?:as (?P<word>fast|small|large|big|much memory) as|(?:at |of )?the same"
    rf" (?P<noun>speed|size|memory) as)\s+(?P<b>.+?){_WHERE}",
    re.IGNORECASE,
)
_AT_LEAST = ("at least", "no less than", "more than", "over")
_SAME = {
    "fast": "latency", "speed": "latency", "small": "size", "large": "size", "big": "size", "size": "size", "much memory": "memory",
    "memory": "memory",
}  # fmt: skip
_MEANS = {
    "faster": ("latency", "lower"), "slower": ("latency", "higher"), "smaller": ("size", "lower"), "larger": ("size", "higher"),
    "bigger": ("size", "higher"), "less memory": ("memory", "lower"), "more memory": ("memory", "higher"),
}  # fmt: skip
_METRICS = {
    "latency": LATENCY, "size": (MODEL_BYTES, PARAMETER_BYTES),
    "memory": (PEAK_RSS_BYTES,),
}  # fmt: skip
_EXACT = "size"
_CALLED = {"latency": "speed", "size": "size", "memory": "memory"}
_LEAST = 3
"""Launches: what a process does to its own timings is seen by having several."""


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
    word: str
    """`faster`, `smaller`, ... as it is written; of what is alike `as fast`, `as large`, `as much memory`."""
    direction: str
    """Of a's figure against b's: `lower` or `higher`."""
    bound: Bound = "about"

    def told(self, ratio: float) -> float:
        """A ratio of a over b in the direction of the claim: times faster, or times slower."""
        return 1 / ratio if self.direction == "lower" else ratio

    @property
    def stated(self) -> Stated:
        ends = sorted((self.told(self.low), self.told(self.high)))
        return Stated(self.bound, self.told(self.ratio), *ends)


def parse(sentence: str) -> Claim:
    """Read a sentence such as `A is NUMBERx faster than B [on WORKLOAD]`.

    The words are `faster`, `slower`, `smaller` and `larger`, or `A uses NUMBERx less memory than B`; before the number
    `at least`, `at most` and what means the same; without one `A is as fast as B`, `as large as`, `uses as much memory
    as`.

    Raises:
        UsageError: it is not of that form, or states an impossible number.
    """
    if alike := _ALIKE.match(sentence):
        kind = _SAME[(alike["word"] or alike["noun"]).lower()]
        word = {"latency": "as fast", "size": "as large", "memory": "as much memory"}[kind]
        direction = "lower" if kind == "latency" else "higher"
        names = alike["a"].strip(), alike["b"].strip()
        return Claim(*names, kind, 1.0, 1.0, 1.0, alike["workload"], word, direction, "same")
    found = _SENTENCE.match(sentence)
    if found is None:
        raise UsageError(
            f"cannot read the claim {sentence!r}. Write: A is 1.69x faster than B [on WORKLOAD]; also slower, smaller,"
            " larger, 'uses 2x less memory', 'at least 2x', 'at most 5%', and 'A is as fast as B'. A and B are variants,"
            " backends or variant/backend."
        )
    word = found["word"].lower()
    kind, direction = _MEANS[word]
    digits = len(found["number"].partition(".")[2])
    half = 0.5 * 10.0**-digits
    number = float(found["number"])
    ends = [_as_ratio(n, found["unit"], direction, kind, sentence) for n in (number, number - half, number + half)]
    bound: Bound = "about" if not found["bound"] else "at least" if found["bound"].lower() in _AT_LEAST else "at most"
    return Claim(
        found["a"].strip(), found["b"].strip(), kind, ends[0], min(ends), max(ends), found["workload"], word, direction, bound
    )  # fmt: skip


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
    if not rows:
        raise _nothing(claim, measured, model, wanted)
    sides = [[row for row in rows if _is_called(row, name)] for name in (claim.a, claim.b)]
    for name, side in zip((claim.a, claim.b), sides, strict=True):
        if not side:
            known = {row["variant"] for row in rows} | {row["backend"] for row in rows}
            raise UsageError(f"no measured case is called {name!r}.{nearest(name, known)}")
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


def _nothing(claim: Claim, measured: Sequence[Row], model: str | None, workload: str | None) -> NothingMeasured:
    """Why there is no row to ask: another name was meant, or nothing of this kind was measured at all."""
    of_kind = [row for row in measured if row["metric"] in _METRICS[claim.kind]]
    for name, field in ((model, "model"), (workload, "workload")):
        if of_kind and name is not None and name not in {row[field] for row in of_kind}:
            return NothingMeasured(
                f"nothing was measured on {field} {name!r}.{nearest(name, {row[field] for row in of_kind})}"
            )
    if of_kind:
        return NothingMeasured(f"nothing was measured of model {model!r} on workload {workload!r}.")
    return NothingMeasured(
        f"this run measured no {_CALLED[claim.kind]} of any case, so that nothing can be said of the claim. Ask for it"
        ' in the suite, check = "benchmark", and run that.'
    )


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
    if differs := _unlike(claim, a, b):
        return None, None, None, "not comparable", differs
    stated = claim.stated
    if claim.kind == _EXACT:
        ratio = a["value"] / b["value"]
        return ratio, ratio, ratio, of_size(stated, claim.told(ratio)), _told(claim, ratio, ratio, ratio)
    ratio, low, high, launches = _ratio(a, b)
    if claim.kind == "memory" or low is None or high is None or launches < _LEAST:
        why = (
            "the most of all launches, which has no interval"
            if claim.kind == "memory"
            else f"an interval needs {_LEAST}"
        )
        return ratio, low, high, NOT_ENOUGH, f"measured {_words(claim, ratio)}, in {launches} launches: {why}"
    least, most = sorted((claim.told(low), claim.told(high)))
    verdict, told = of_interval(stated, least, most), _told(claim, ratio, low, high)
    if verdict == NOT_ENOUGH:
        told += f": {what_it_takes(stated, claim.told(ratio), least, most, launches)}"
    return ratio, low, high, verdict, told


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


def _unlike(claim: Claim, a: Row, b: Row) -> str:
    """What keeps two rows from being compared; a file has the same bytes wherever it runs, in however many threads."""
    if a["metric"] != b["metric"]:
        return f"{a['metric']} against {b['metric']}"
    return "" if claim.kind == _EXACT else unlike(a["comparability"], b["comparability"])


def _told(claim: Claim, ratio: float, low: float, high: float) -> str:
    ends = sorted((claim.told(low), claim.told(high)))
    interval = "" if low == high else f" [{ends[0]:.3g}, {ends[1]:.3g}]"
    claimed = "the same" if claim.bound == "same" else f"{claim.told(claim.ratio):.3g}x"
    bound = claim.bound if claim.bound in ("at least", "at most") else ""
    return f"measured {_words(claim, ratio)}{interval}, claimed {f'{bound} {claimed}'.strip()}"


def _words(claim: Claim, ratio: float) -> str:
    return f"{claim.told(ratio):.3g}x {claim.word}"
