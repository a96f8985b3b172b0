"""What one new bundle costs in books of 1, 10 and 50 million figures: seconds and bytes written, beside the books' size.

    python benchmarks/publication.py FOLDER [--figures 1000000 10000000 50000000]

Books are made by SQL, one figure a row and the columns that a night fills; then bundles of one case and 18 figures are
taken one by one. The exponent is that of the cost against the figures: 0 where a bundle costs the same in all books.
Bytes are what the kernel counts as written by this process (`/proc/self/io`), the log and the books too.
"""

import argparse
import dataclasses
import json
import math
import shutil
import statistics
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from assay.schema import rows
from assay.schema.store import ingest, migrate, spool
from assay.schema.store.database import Store, exclusive, writing

CASES, METRICS, HOSTS = 100, 18, 10
BUNDLES = 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--figures", type=int, nargs="+", default=[1_000_000, 10_000_000, 50_000_000])
    given = parser.parse_args()
    found = [cost(given.folder / f"books-{figures}", figures) for figures in given.figures]
    facts: dict[str, Any] = {"benchmark": "publication", "books": found}
    for what in ("wall_s", "written_mb"):
        facts[f"exponent_of_{what}"] = exponent([(f["figures"], f[what]) for f in found])
    print(json.dumps({**facts, "targets": {"wall_s": 1, "written_mb": 20}}))


def cost(folder: Path, figures: int) -> dict[str, float]:
    """The median of the bundles after the first three, which have no older copy to begin with."""
    store = Store(folder / "assay.duckdb")
    if not store.database.exists():
        with exclusive(store, 10), writing(store) as connection:
            migrate.migrate(connection)
            fill(connection, figures // (CASES * METRICS))
    seconds, written = [], []
    for number in range(BUNDLES):
        run = spool.new_id()
        spool.write_bundle(store, run, a_case(run, number))
        began, before = time.perf_counter(), written_bytes()
        ingest.sync(store)
        seconds.append(time.perf_counter() - began)
        written.append((written_bytes() - before) / 1e6)
    size = store.database.stat().st_size / 1e6
    shutil.rmtree(store.serve)
    return {
        "figures": figures,
        "books_mb": round(size, 1),
        "first_wall_s": round(seconds[0], 2),
        "first_written_mb": round(written[0], 1),
        "wall_s": round(statistics.median(seconds[3:]), 3),
        "written_mb": round(statistics.median(written[3:]), 2),
    }


def written_bytes() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def exponent(points: list[tuple[float, float]]) -> float | None:
    """The slope of the least-squares line through the logarithms; None of one point."""
    x, y = ([math.log(p[i]) for p in points] for i in (0, 1))
    return round(statistics.linear_regression(x, y).slope, 3) if len(points) > 1 else None


def fill(connection: duckdb.DuckDBPyConnection, runs: int) -> None:
    """Runs of 100 cases with 18 figures each, over ten hosts and three suites; no roll-ups, no samples."""
    columns = {row_type: [f.name for f in dataclasses.fields(row_type)] for row_type in FILLED}
    there = {
        row_type: FILLED[row_type] | {c: plain(row_type, c) for c in columns[row_type] if c not in FILLED[row_type]}
        for row_type in FILLED
    }
    for first in range(0, runs, 1000):
        spans = {
            "r": f"range({first}, {min(runs, first + 1000)}) t(r)",
            "c": f"range({CASES}) u(c)",
            "i": f"range({METRICS}) v(i)",
        }
        for row_type, depth in zip(FILLED, ("r", "rc", "rci"), strict=True):
            chosen = ", ".join(f"{value} as {name}" for name, value in there[row_type].items())
            source = ", ".join(spans[letter] for letter in depth)
            connection.execute(f"insert into {row_type.table} by name select {chosen} from {source}")


CASE = "md5(r::varchar || '/' || c::varchar)"
RUN = "printf('%08x', r)"
AT = "timestamp '2020-01-01' + to_seconds(r * 8640)"
FILLED: dict[type[rows.Row], dict[str, str]] = {
    rows.Run: {"run_id": RUN, "suite": "'suite' || (r % 3)", "host": f"'host' || (r % {HOSTS})", "started_at": AT},
    rows.CaseResult: {"case_id": CASE, "run_id": RUN, "name": "'model' || c", "started_at": AT},
    rows.Measurement: {
        "case_id": CASE,
        "run_id": RUN,
        "series_id": "md5((r % 15)::varchar || '/' || c || '/' || i)",
        "metric": "'metric_' || i",
        "value": "(1 + i) * (1 + 0.02 * random())",
    },
}


def plain(row_type: type[rows.Row], name: str) -> str:
    """A constant of the column's type, as SQL; null where it may be absent."""
    kind = str(next(f.type for f in dataclasses.fields(row_type) if f.name == name))
    return "null" if "None" in kind else PLAIN.get(kind, "'x'")


PLAIN = {"int": "1", "float": "1.0", "bool": "true", "datetime": "timestamp '2020-01-01'"}
VALUES: dict[str, Any] = {
    "str": "x",
    "int": 1,
    "float": 1.0,
    "bool": True,
    "datetime": datetime.fromisoformat("2040-01-01"),
}


def made(row_type: type[rows.Row], **given: Any) -> rows.Row:
    """A row with what is given; the rest absent where it may be, else plain."""
    values = {f.name: VALUES.get(str(f.type)) for f in dataclasses.fields(row_type)}
    return row_type(**{**values, **given})


def a_case(run: str, number: int) -> list[rows.Row]:
    case, at = spool.new_id(), datetime.fromisoformat(f"2040-01-{number + 1:02}")
    figures = [
        made(rows.Measurement, run_id=run, case_id=case, series_id=f"s{i}", metric=f"metric_{i}", value=1.0 + i)
        for i in range(METRICS)
    ]
    return [
        made(rows.Run, run_id=run, suite="suite0", started_at=at),
        made(rows.CaseResult, case_id=case, run_id=run, started_at=at, status="ok"),
        *figures,
    ]


if __name__ == "__main__":
    main()
