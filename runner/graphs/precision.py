"""Whether products run in the precision that is asked for, or that their file says. Pure: counts in, words out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

WIDE = ("float64", "float32")
HALVES = ("float16", "bfloat16")
Counts = dict[str, dict[str, int]]
"""`products`, and `others` that round: how many compute in each element type."""
HALF = 0.5
"""A graph computes in a type if at least this share of its products does."""
_WEIGHTS_ONLY = ("int4", "float4")
"""Types that nothing multiplies in: weights alone are held so."""

_NARROW = (*HALVES, "float8", "float4", "int4", "int8", "int16")


def share_in(asked: str, executed: Counts | None) -> float | None:
    """How much of the products ran in a precision (of all that rounds, where nothing multiplies).

    Products on weights of four bits count as those of four bits. None where nothing computes, or nothing is known.
    """
    if executed is None:
        return None
    counts = executed["products"] or executed["others"]
    total = sum(counts.values())
    return sum(count for kind, count in counts.items() if _is_in(asked, kind)) / total if total else None


def _is_in(asked: str, kind: str) -> bool:
    plain, _, weights = kind.partition(" (")
    return plain == asked or (asked in _WEIGHTS_ONLY and weights == f"{asked} weights)")


def narrow(counts: Counts) -> list[str]:
    """Types below 32 bits that products or other nodes compute in, or hold weights in."""
    return sorted(kind for some in counts.values() for kind in some if _plain(kind) not in WIDE or "(" in kind)


def widened(stored: Counts, executed: Counts) -> tuple[str, int, int] | None:
    """What is narrow in the file and ran wider, in words (`products in float16`), with how many of how many.

    Fusing lowers both counts, so that what tells is a wide type that more nodes run in than are stored in it. None
    where everything ran as it is stored. Of what is no product, halves alone are looked at.
    """
    for what, kinds in (("products", _NARROW), ("others", HALVES)):
        narrow = {kind: count for kind, count in stored[what].items() if kind.startswith(kinds)}
        gained = sum(_wide(executed[what]).values()) - sum(_wide(stored[what]).values())
        if narrow and gained > 0:
            total = sum(narrow.values())
            named = " and ".join(sorted(narrow))
            return f"{'products' if what == 'products' else 'other nodes'} in {named}", min(gained, total), total
    return None


def _plain(kind: str) -> str:
    return kind.partition(" (")[0]


def _wide(counts: Mapping[str, int]) -> Counter[str]:
    made: Counter[str] = Counter()
    for kind, count in counts.items():
        if _plain(kind) in WIDE:
            made[_plain(kind)] += count
    return made


def words(executed: Counts | None) -> str:
    """`products 3 int8, 1 float32`; empty where nothing is known, or nothing computes."""
    if executed is None:
        return ""
    what = "products" if executed["products"] else "nodes"
    counted = Counter(executed["products"] or executed["others"]).most_common()
    return f"{what} " + ", ".join(f"{count} {kind}" for kind, count in counted) if counted else ""
