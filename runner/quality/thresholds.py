"""From where on a quantization is looked at twice, for the ledger, the checklist and the doctor alike. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

FLOAT = ("fp32", "fp16", "bfloat16")
"""Variants that nothing was quantized in."""
RETRAIN = 0.02
"""Relative loss of the main metric from which its cause is asked for, and quantization-aware training is worth a
thought."""
POOR_DB = 20.0
"""Signal-to-noise of one tensor below which it is a candidate for exclusion."""
GAP_DB = 3.0
"""What kernels may lose of what exact products would keep; rounding alone loses less."""

Entry = Mapping[str, Any]
"""One entry of a ledger, or a row of it."""


def poor_tensors(entries: Iterable[Entry]) -> list[Entry]:
    """Weights and activations that are poor by themselves, in the order given.

    Not a weight whose product is good: one that was scaled to what it is multiplied by is poor where nothing comes in.
    """
    entries = list(entries)
    good = {e["node"] for e in entries if e["kind"] == "output" and (e["executed_sqnr_db"] or 0) > POOR_DB}
    return [
        e
        for e in entries
        if e["kind"] != "bias" and e["sqnr_db"] is not None and e["sqnr_db"] < POOR_DB and e["node"] not in good
    ]


def lost_by_kernels(entries: Sequence[Entry]) -> Entry | None:
    """The last activation or output that is known simulated and executed, if the kernels lost more than GAP_DB there.

    None where they did not, or where none is known.
    """
    both = [
        e
        for e in entries
        if e["kind"] in ("activation", "output")
        and e["accumulated_sqnr_db"] is not None
        and e["executed_sqnr_db"] is not None
    ]
    return both[-1] if both and both[-1]["accumulated_sqnr_db"] - both[-1]["executed_sqnr_db"] > GAP_DB else None
