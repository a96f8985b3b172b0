"""A/A study: how many pairs of one and the same case are called different at 95 %.

    python benchmarks/same_again.py [RUNS]

Runs the suite `selftest` RUNS times (default 3) and prints one JSON line: pairs, those whose interval leaves out 1, and
those that are called faster or slower than the other. Target: at most 5 % called different, as far as that many pairs
can tell.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from scipy.stats import binom

from assay.runner.timing.statistics import Ratio

RUNS = int(sys.argv[1]) if len(sys.argv) > 1 else 3
MARGIN = 0.02

pairs: list[tuple[str, Ratio]] = []
with tempfile.TemporaryDirectory() as folder:
    for _ in range(RUNS):
        command = [sys.executable, "-m", "assay", "run", "selftest", "--json", "--db", str(Path(folder) / "a.duckdb")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        for case in json.loads(done.stdout)["cases"]:
            found = {m["metric"]: m for m in case["measurements"]}
            if ratio := found.get("latency_ratio"):
                pairs.append((case["case"], Ratio(ratio["value"], ratio["low"], ratio["high"], ratio["n"], 3, None)))

outside = [name for name, ratio in pairs if not (ratio.low or 0) <= 1 <= (ratio.high or 9)]
different = [name for name, ratio in pairs if ratio.outcome(MARGIN) in ("faster", "slower")]
print(
    json.dumps(
        {
            "benchmark": "same_again",
            "runs": RUNS,
            "pairs": len(pairs),
            "interval_leaves_out_1": len(outside),
            "called_different": len(different),
            "share_outside": round(len(outside) / len(pairs), 4),
            "share_different": round(len(different) / len(pairs), 4),
            "equivalent": sum(r.outcome(MARGIN) == "equivalent" for _, r in pairs),
            "target": 0.05,
            "p_value_of_more_than_5_percent_outside": round(float(binom.sf(len(outside) - 1, len(pairs), 0.05)), 4),
            "median_half_width": round(sorted((r.high or 9) / r.value - 1 for _, r in pairs)[len(pairs) // 2], 4),
            "outside": outside,
        }
    )
)
