"""`assay search` against what is done by hand, on the shipped models.

Quantize everything, and leave the k worst tensors by SQNR in float.

    python benchmarks/selective_search.py [--budget 4m] [--db FILE]

All are tried in one search, on the same labelled data, in turns with the float variant. Prints one JSON line for each
network: what the search chose, what quantizing everything gives, and the fastest set of k worst tensors that keeps the
same limit (null where none does), each as loss and latency over float with 95 % intervals. Targets: within ten minutes
on two cores, and no slower than the best of the others that keeps the limit.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SEARCHES = (
    ("digits-int8", ("--model", "digits", "--version", "wide", "--variant", "distribution"), 0.01),
    ("digits-int8", ("--model", "digits", "--version", "wide", "--variant", "minmax"), 0.01),
    ("text", ("--model", "language", "--variant", "static-everything"), 0.02),
    ("shapes", ("--model", "detector", "--variant", "minmax"), 0.03),
)


def figures(trial: dict[str, Any] | None) -> dict[str, Any] | None:
    """Loss and latency ratio of a trial, each with its interval."""
    if trial is None:
        return None
    return {
        "excluded": len(trial["excluded"] or ()),
        "loss": [trial[k] for k in ("drop_relative", "drop_low", "drop_high")],
        "over_float": [trial[k] for k in ("latency_ratio", "ratio_low", "ratio_high")],
    }


def judged(found: dict[str, Any], limit: float) -> dict[str, Any]:
    """The three ways side by side."""
    trials = found["tried"]
    keeps = [
        t for t in trials if t["latency_ratio"] is not None and t["drop_high"] is not None and t["drop_high"] <= limit
    ]
    by_hand = [t for t in keeps if t["origin"] == "worst by SQNR"]
    return {
        "chosen": figures(next(t for t in trials if t["chosen"])),
        "quantize_all": figures(next((t for t in trials if t["origin"] == "quantize all"), None)),
        "k_worst_by_sqnr": figures(min(by_hand, key=lambda t: t["latency_ratio"], default=None)),
        "trials": found["trials"],
        "spent_s": round(found["spent_s"], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", default="4m")
    parser.add_argument("--db", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        db = arguments.db or Path(folder) / "search.duckdb"
        for suite, asked, limit in SEARCHES:
            command = [
                sys.executable,
                "-m",
                "assay",
                "search",
                suite,
                *asked,
                "--budget",
                arguments.budget,
                "--max-drop",
                str(limit),
                "--db",
                str(db),
                "--json",
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(done.stderr)
            told = judged(json.loads(done.stdout), limit)
            print(
                json.dumps(
                    {"benchmark": "selective_search", "of": " ".join((suite, *asked[1::2])), "max_loss": limit, **told}
                ),
                flush=True,
            )


if __name__ == "__main__":
    main()
