"""What a search for nodes to leave in float decides by.

Nodes with their cost and saving, sets to try, the front, the choice. Pure.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field

from assay.schema.metrics import LATENCY_RATIO, QUALITY_DROP_RELATIVE

PRODUCTS = ("Conv", "ConvTranspose", "MatMul", "Gemm")
"""Operators that integers make faster; the others only pass codes on."""


@dataclass(slots=True)
class CandidateNode:
    """What is known of one node."""

    name: str
    op_type: str
    alone_db: float | None
    without_db: float | None
    ledger_db: float | None = None
    float_us: float | None = None
    quantized_us: float | None = None
    everything_db: float | None = None
    """Of the outputs with every node quantized."""

    @property
    def noise(self) -> float:
        """Noise power at the outputs over the signal's that is its doing.

        Quantized alone, or what goes when it alone is left out; 0 where unknown.
        """
        alone = 0.0 if self.alone_db is None else 10 ** (-self.alone_db / 10)
        if self.everything_db is None or self.without_db is None:
            return alone
        return max(alone, 10 ** (-self.everything_db / 10) - 10 ** (-self.without_db / 10))

    @property
    def saved_us(self) -> float | None:
        """Time that quantizing it saves; negative where it is slower."""
        return None if self.float_us is None or self.quantized_us is None else self.float_us - self.quantized_us


@dataclass(slots=True)
class TimedTrial:
    """One set of excluded nodes, and what came of it."""

    variant: str
    origin: str
    excluded: tuple[str, ...]
    predicted_db: float | None
    predicted_us: float | None
    run_id: str = ""
    figures: dict[str, tuple[float, float | None, float | None]] = field(default_factory=dict)
    """Metric -> value, low, high; empty where the trial failed."""

    def value(self, metric: str) -> float | None:
        return self.figures[metric][0] if metric in self.figures else None

    @property
    def drop(self) -> float | None:
        return self.value(QUALITY_DROP_RELATIVE)

    @property
    def surest_drop(self) -> float:
        """Upper end of the loss's interval, the loss itself without one, infinite when it was not measured."""
        found = self.figures.get(QUALITY_DROP_RELATIVE)
        return math.inf if found is None else found[0] if found[2] is None else found[2]


def candidates(nodes: list[CandidateNode], variant: str) -> list[TimedTrial]:
    """Sets to try, the most telling first: everything, products only, then growing sets in three orders by turns.

    `worst by SQNR` is what is done by hand: the nodes whose own tensors the ledger shows worst.
    """
    known = [node for node in nodes if node.alone_db is not None or node.without_db is not None]
    by_ledger = sorted(known, key=lambda node: math.inf if node.ledger_db is None else node.ledger_db)
    by_worth = sorted(known, key=_worth, reverse=True)
    rest = tuple(sorted(node.name for node in nodes if node.op_type not in PRODUCTS))
    sets: list[tuple[str, tuple[str, ...]]] = [("quantize all", ())]
    if rest and len(rest) < len(nodes):
        sets.append(("products only", rest))
    for size in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32):
        if size > len(known):
            break
        sets.append(("noise per time", tuple(node.name for node in by_worth[:size])))
        sets.append(("worst by SQNR", tuple(node.name for node in by_ledger[:size])))
        products = [node for node in by_worth if node.name not in rest]
        if len(sets) > 1 and size < len(products):
            sets.append(("products only, noise per time", (*rest, *(node.name for node in products[:size]))))
    made, seen = [], set()
    for origin, chosen in sets:
        if frozenset(chosen) not in seen:
            seen.add(frozenset(chosen))
            made.append(_trial(nodes, variant, tuple(sorted(chosen)), origin))
    return made


def _worth(node: CandidateNode) -> float:
    """Noise that goes for each microsecond that it costs to leave the node in float.

    Time that was not seen counts as one.
    """
    return node.noise / max(node.saved_us if node.saved_us is not None else 1.0, 0.1)


def _trial(nodes: list[CandidateNode], variant: str, excluded: tuple[str, ...], origin: str) -> TimedTrial:
    left = [node for node in nodes if node.name not in excluded]
    noise = sum(node.noise for node in left)
    times = [(node.float_us if node.name in excluded else node.quantized_us) for node in nodes]
    total = None if any(us is None for us in times) else sum(us for us in times if us is not None)
    digest = hashlib.sha256("/".join(excluded).encode()).hexdigest()[:8]
    return TimedTrial(
        f"{variant}-without-{len(excluded)}-{digest}" if excluded else f"{variant}-everywhere",
        origin,
        excluded,
        -10 * math.log10(noise) if noise else None,
        total,
    )


def front(trials: list[TimedTrial]) -> list[TimedTrial]:
    """Trials that no other beats in both loss and latency (and in one of them truly)."""

    def beaten(one: TimedTrial) -> bool:
        mine = (one.drop, one.value(LATENCY_RATIO))
        return any(
            all(a is not None and b is not None and a <= b for a, b in zip(theirs, mine, strict=True))
            and theirs != mine
            for theirs in ((other.drop, other.value(LATENCY_RATIO)) for other in trials)
        )

    return [trial for trial in trials if trial.drop is not None and not beaten(trial)]


def choose(measured: list[TimedTrial], max_drop: float) -> tuple[TimedTrial, str]:
    """The fastest trial that surely keeps the loss; else the fastest whose loss does; else the smallest loss."""

    def speed(trial: TimedTrial) -> float:
        return trial.value(LATENCY_RATIO) or math.inf

    if sure := [trial for trial in measured if trial.surest_drop <= max_drop]:
        fastest = min(sure, key=speed)
        pays = "quantizing does not pay here: float is " if fastest.variant == "fp32" else ""
        return (
            fastest,
            f"{pays}the fastest of {len(sure)} trials whose loss is at most {max_drop:.1%}, its 95 % interval included",
        )
    if kept := [trial for trial in measured if (trial.drop or 0.0) <= max_drop]:
        why = "no interval excludes more: label more items to be sure"
        return (
            min(kept, key=speed),
            f"the fastest of {len(kept)} trials whose measured loss is at most {max_drop:.1%}; {why}",
        )
    least = min(measured, key=lambda trial: trial.drop if trial.drop is not None else math.inf)
    return least, f"no trial keeps {max_drop:.1%}: this one loses least"


def explained(node: CandidateNode, excluded: bool) -> str:
    """Why a node is where it is, in dB and microseconds."""
    cost = (
        [
            (
                f"quantized alone it leaves {node.alone_db:.1f} dB at the outputs"
                if math.isfinite(node.alone_db)
                else "quantized alone it changes nothing"
            )
        ]
        if node.alone_db is not None
        else []
    )
    if node.everything_db is not None and node.without_db is not None:
        cost.append(f"left out alone it takes them from {node.everything_db:.1f} to {node.without_db:.1f} dB")
    saved = node.saved_us
    if saved is None:
        gain = "its time was not seen in both profiles"
    elif saved > 0:
        gain = f"quantizing it saves {saved:.1f} us ({node.float_us:.1f} to {node.quantized_us:.1f})"
    elif saved < 0:
        gain = f"quantizing it costs {-saved:.1f} us ({node.float_us:.1f} to {node.quantized_us:.1f})"
    else:
        gain = f"quantizing it saves no time ({node.float_us:.1f} us)"
    return f"{'left in float' if excluded else 'quantized'}: {'; '.join(cost) or 'its noise is not known'}; {gain}"
