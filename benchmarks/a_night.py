"""What one look of the nightly job costs on a store with 5,000 series of 400 nights.

Asking the books, detecting, deciding, writing; single process.
"""

import json
import tempfile
import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from assay.runner.nights.look import books_of, look
from assay.runner.regressions.alerts.life import decide
from assay.runner.regressions.alerts.new_changes import Watching, new_changes
from assay.runner.regressions.detection.histories import KINDS, nights
from assay.schema.metrics import METRICS
from assay.schema.queries.base import Filters
from assay.schema.store import ingest
from assay.schema.store.database import Store, exclusive, reading, snapshot, writing

CASES, NIGHTS = 500, 400
WATCHED = (
    "latency_p50_ms", "latency_p90_ms", "latency_p95_ms", "latency_p99_ms", "latency_mean_ms", "throughput_per_s", "peak_rss_bytes", "load_ms",
    "items_per_s", "ttft_ms",
)  # fmt: skip
START = datetime.fromisoformat("2025-10-01T02:00:00")


def history(number: int) -> np.ndarray:
    """A series of one of the seven noises; every tenth has a step of 8 % somewhere."""
    generator = np.random.default_rng(number)
    y = nights(KINDS[number % len(KINDS)], NIGHTS, generator)
    if number % 10 == 0:
        y[int(generator.integers(50, 395)) :] += np.log(1.08)
    return np.exp(y) * 10


def fill(store: Store) -> None:
    """Runs, cases and measurements, written straight into the database: filling is not what is timed."""
    ingest.sync(store)
    runs = [f"run-{night:04d}" for night in range(NIGHTS)]
    at = [START + timedelta(days=night) for night in range(NIGHTS)]
    values = np.stack([history(number) for number in range(CASES * len(WATCHED))]).reshape(CASES, len(WATCHED), NIGHTS)
    with exclusive(store, 30), writing(store) as connection:
        run_rows = pa.table({"run_id": runs, "began": pa.array(at, pa.timestamp("us"))})  # noqa: F841  read by name
        night = np.tile(np.arange(NIGHTS), CASES * len(WATCHED))
        case = np.repeat(np.arange(CASES), len(WATCHED) * NIGHTS)
        metric = np.tile(np.repeat(np.arange(len(WATCHED)), NIGHTS), CASES)
        point = pa.table({"night": night, "c": case, "m": metric, "value": values.reshape(-1)})  # noqa: F841
        names = pa.table({"m": np.arange(len(WATCHED)), "metric": list(WATCHED)})  # noqa: F841
        connection.execute(
            "insert into environment by name select 'e' as environment_id, 'cpu' as hardware_class, * from (select "
            + ", ".join(f"'x' as {name}" for name in ("os", "kernel", "cpu_model", "cpu_features", "python", "numpy"))
            + ", 1 as cpu_cores, 1 as memory_bytes, 0 as gpu_count)"
        )
        for name in WATCHED:
            m = METRICS[name].row
            connection.execute("insert into metric values (?, ?, ?, ?)", [m.metric, m.unit, m.better, m.description])
        connection.execute(
            "insert into run by name select run_id, 'nightly' as suite, '' as suite_sha256, 'nightly' as trigger, began"
            " as started_at, 'gpu-1' as host, 'e' as environment_id, 0 as seed, '' as tool_version, '' as command, 1 as"
            " cases_planned from run_rows"
        )
        connection.execute(
            "insert into case_result by name select r.run_id || '-' || c as case_id, r.run_id, 'k' || c as case_key,"
            " 'm' || (c // 25) || '/v' || (c % 5) || '/b/w' || c || '/benchmark' as name, 'm' || (c // 25) as model,"
            " 'v1' as model_version, 'v' || (c % 5) as variant, 'b' as backend, 'cpu' as device, 'w' || c as workload,"
            " 'benchmark' as check_kind, 'alone' as mode, 'ok' as status, began as started_at, 1.0 as duration_s, 'e'"
            f" as environment_id, '' as comparability, '' as reproduce from run_rows r, range({CASES}) as t(c)"
        )
        connection.execute(
            "insert into measurement by name select 'run-' || lpad(night::varchar, 4, '0') || '-' || c as case_id,"
            " 'run-' || lpad(night::varchar, 4, '0') as run_id, 's' || c || '-' || m as series_id, metric, value, value"
            " * 0.99 as low, value * 1.01 as high, 30 as n, 'measured' as provenance from point join names using (m)"
            " order by run_id"
        )
    ingest.sync(store)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "assay.duckdb")
        fill(store)
        at = START + timedelta(days=NIGHTS)
        first_start = time.perf_counter()
        first = look(store, Watching(), at=at)
        first_s = time.perf_counter() - first_start
        start = time.perf_counter()
        with reading(snapshot(store)) as connection:
            books = books_of(connection, Filters())
        asked = time.perf_counter()
        fresh = new_changes(books, Watching(), at)
        detected = time.perf_counter()
        decide(fresh, [], books, at)
        decided = time.perf_counter()
        whole = time.perf_counter()
        look(store, Watching(), at=at)
        whole = time.perf_counter() - whole
    print(
        json.dumps(
            {
                "benchmark": "a_night",
                "series": CASES * len(WATCHED),
                "nights": NIGHTS,
                "measurements": CASES * len(WATCHED) * NIGHTS,
                "first_look_s": first_s,
                "ask_s": asked - start,
                "detect_s": detected - asked,
                "decide_s": decided - detected,
                "look_s": whole,
                "kinds": Counter(change.kind for change in first.changes),
                "alerts_opened": len(first.of("opened")),
                "targets": {"look_s": 5},
            }
        )
    )


if __name__ == "__main__":
    main()
