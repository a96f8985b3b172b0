"""Two runs side by side: like with like, and what is unlike named."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import duckdb

from assay.schema.comparability import not_recorded, unlike
from assay.schema.errors import UnknownRun, nearest
from assay.schema.metrics import SHOWN, known
from assay.schema.queries import alerts as alert_queries
from assay.schema.queries import base
from assay.schema.queries import parity as parity_queries
from assay.schema.queries import runs as run_queries

BETWEEN_RUNS = 0.10
"""Two runs of one artifact on one idle host differed by up to this much here (docs/measuring.md): an interval from
inside a run does not know it, so a smaller change between two runs is not called one."""
_ENVIRONMENT_FIELDS = (
    "cpu_model",
    "cpu_cores",
    "gpu",
    "gpu_driver",
    "cuda",
    "python",
    "numpy",
    "torch",
    "onnx",
    "onnxruntime",
    "tensorrt",
)


def _runs_of(connection: duckdb.DuckDBPyConnection, suite: str) -> base.Answer:
    """Runs, newest first, of one suite or of all."""
    every = run_queries.run_ids(connection)
    if not every:
        raise UnknownRun("there are no runs yet. Record one: assay run quickstart")
    known = [row for row in every if not suite or row["suite"] == suite]
    if not known:
        raise UnknownRun(f"there is no run of suite {suite!r}.{nearest(suite, {row['suite'] for row in every})}")
    return known


def resolve(connection: duckdb.DuckDBPyConnection, name: str, suite: str = "") -> str:
    """A run's id from an id or its unique prefix, or from a name; among those of a suite if one is named.

    Names are `latest`, `latest~1`, `version:X`, `branch:X` and `release`.

    `release` is the newest run that has the version of the newest release of a model that the suite runs.

    Raises:
        UnknownRun: nothing, or more than one thing, has this name; the nearest are listed.
    """
    known = _runs_of(connection, suite)
    kind, _, rest = name.partition(":")
    if kind == "version" and rest:
        of_suite = {row["run_id"] for row in known}
        found = [run_id for run_id in run_queries.runs_of_version(connection, rest) if run_id in of_suite]
        if not found:
            raise UnknownRun(f"no run has model version {rest!r}.{nearest(rest, run_queries.versions(connection))}")
        return found[0]
    if kind == "branch" and rest:
        matching = [row["run_id"] for row in known if row["git_branch"] == rest]
        if not matching:
            raise UnknownRun(
                f"no run is from branch {rest!r}.{nearest(rest, {row['git_branch'] or '' for row in known} - {''})}"
            )
        return str(matching[0])
    if name == "release":
        return _of_release(connection, {row["run_id"] for row in known})
    head, _, back = name.partition("~")
    if head == "latest" and (not back or back.isdigit()):
        position = int(back or 0)
        if position >= len(known):
            raise UnknownRun(f"{name!r} is not there: there are {len(known)} runs.")
        return str(known[position]["run_id"])
    matching = [row["run_id"] for row in known if row["run_id"].startswith(name)]
    if len(matching) == 1:
        return str(matching[0])
    if matching:
        raise UnknownRun(f"{name!r} begins the ids of {len(matching)} runs: {', '.join(matching[:4])}.")
    close = nearest(name, [row["run_id"] for row in known[:20]] + ["latest"])
    raise UnknownRun(f"no run is called {name!r}.{close}")


def is_relative(name: str) -> bool:
    """Whether a run's name means another run when another one is recorded: `latest`, `version:X`, ..."""
    return name == "release" or name.partition("~")[0] == "latest" or name.startswith(("version:", "branch:"))


def suite_of(connection: duckdb.DuckDBPyConnection, run_id: str) -> str:
    """The suite of a run."""
    return str(base.ask(connection, "select suite from run where run_id = $run", run=run_id)[0]["suite"])


def resolve_pair(connection: duckdb.DuckDBPyConnection, a: str, b: str, suite: str = "") -> tuple[str, str]:
    """Two runs by name: `latest~1` and the like of the first are of the second one's suite, never of another.

    Raises:
        UnknownRun: as `resolve`.
    """
    second = resolve(connection, b, suite)
    of_second = suite_of(connection, second) if is_relative(a) else ""
    return resolve(connection, a, suite or of_second), second


def _of_release(connection: duckdb.DuckDBPyConnection, runs: set[str]) -> str:
    for shipped in alert_queries.releases(connection):
        sql = """select r.run_id from run r where r.run_id in
            (select run_id from case_result where model = $model
                and model_version = $version) order by r.started_at desc"""
        found = base.ask(connection, sql, model=shipped["model"], version=shipped["version"])
        if of_suite := [row["run_id"] for row in found if row["run_id"] in runs]:
            return str(of_suite[0])
    raise UnknownRun(
        "no released version has been run here. Record a release: assay release MODEL=VERSION --reason ..."
    )


@dataclass(frozen=True, slots=True)
class Line:
    """One figure of one case in both runs."""

    case: str
    name: str
    """The metric, or `output: figure`."""
    unit: str
    better: str
    a: float | None
    a_low: float | None
    a_high: float | None
    b: float | None
    b_low: float | None
    b_high: float | None
    ratio: float | None
    """b / a, where they can be compared."""
    ratio_low: float | None
    ratio_high: float | None
    outcome: str
    """`better`, `worse`, `not distinguishable`, `not enough evidence`, `same`, `only in A`, `only in B` or `not
    comparable`."""
    differs: str
    """Which parts of the comparability key are unlike."""


@dataclass(frozen=True, slots=True)
class RunComparison:
    a: str
    b: str
    environment: dict[str, tuple[Any, Any]]
    """What differs between the hosts and libraries."""
    speed: list[Line]
    parity: list[Line]
    overrides: list[dict[str, Any]] = field(default_factory=list)
    """When the two were compared although they are unlike: who, why, what differed."""
    not_recorded: dict[str, list[str]] = field(default_factory=dict)
    """`a` or `b` -> what the other run recorded of its processes and this one did not: nothing is said of it."""

    @property
    def unlike(self) -> list[str]:
        """What differs between lines that are compared, each once."""
        return list(dict.fromkeys(line.differs for line in self.speed if line.differs))

    def as_document(self) -> dict[str, Any]:
        return {
            "a": self.a,
            "b": self.b,
            "environment": {name: list(pair) for name, pair in self.environment.items()},
            "unlike": self.unlike,
            "overrides": self.overrides,
            "not_recorded": self.not_recorded,
            "measurements": [asdict(line) for line in self.speed],
            "parity": [asdict(line) for line in self.parity],
        }


def compare_runs(connection: duckdb.DuckDBPyConnection, a: str, b: str, *, force: bool = False) -> RunComparison:
    """Speed, size and parity of two runs. Unlike things get no ratio and say why, unless `force` is asked for."""
    measured = [{(m["name"], m["metric"]): m for m in run_queries.measurements_of(connection, run)} for run in (a, b)]
    keys = [key for key in dict.fromkeys([*measured[0], *measured[1]]) if key[1] in SHOWN]
    speed = [_measurement_line(*key, measured[0].get(key), measured[1].get(key), force=force) for key in keys]
    receipts = [{(r["name"], r["output"]): r for r in parity_queries.receipts_of(connection, run)} for run in (a, b)]
    parity = [
        _parity_line(*key, receipts[0].get(key), receipts[1].get(key))
        for key in dict.fromkeys([*receipts[0], *receipts[1]])
    ]
    unknown: dict[str, list[str]] = {}
    for case in measured[0].keys() & measured[1].keys():
        for side, parts in not_recorded(*(of[case]["comparability"] for of in measured)).items():
            unknown[side] = sorted({*unknown.get(side, []), *parts})
    environment = differing_environment(connection, a, b)
    return RunComparison(a, b, environment, speed, parity, run_queries.overrides(connection, a, b), unknown)


def differing_environment(connection: duckdb.DuckDBPyConnection, a: str, b: str) -> dict[str, tuple[Any, Any]]:
    """What differs between the hosts and libraries of two runs."""
    left, right = run_queries.environment_of(connection, a), run_queries.environment_of(connection, b)
    return {name: (left[name], right[name]) for name in _ENVIRONMENT_FIELDS if left[name] != right[name]}


def _measurement_line(case: str, metric: str, a: Any, b: Any, *, force: bool) -> Line:
    one: Any = a or b
    a_value, a_low, a_high, b_value, b_low, b_high = (
        m[field] if m else None for m in (a, b) for field in ("value", "low", "high")
    )
    differs = unlike(a["comparability"], b["comparability"]) if a and b else ""
    ratio: tuple[float, float | None, float | None] | None = None
    if not (a and b):
        outcome = "only in A" if a else "only in B"
    elif differs and not force:
        outcome = "not comparable"
    else:
        ratio = ratio_of(a, b)
        outcome = _direction(ratio, metric, one["better"])
    value, low, high = ratio or (None, None, None)
    return Line(
        case,
        metric,
        one["unit"],
        one["better"],
        a_value,
        a_low,
        a_high,
        b_value,
        b_low,
        b_high,
        value,
        low,
        high,
        outcome,
        differs,
    )


def ratio_of(a: Any, b: Any) -> tuple[float, float | None, float | None]:
    """B / a with its 95 % interval, from the two intervals: log errors add in squares (delta method).

    NaN when a is zero; no interval where one side has none.
    """
    if not a["value"]:
        return math.nan, None, None
    value = b["value"] / a["value"]
    if any(side[end] is None or side[end] <= 0 for side in (a, b) for end in ("low", "high")):
        return value, None, None
    half = math.hypot(*(math.log(side["high"] / side["low"]) / 2 for side in (a, b)))
    return value, value * math.exp(-half), value * math.exp(half)


def _direction(ratio: tuple[float, float | None, float | None], metric: str, better: str) -> str:
    value, low, high = ratio
    if value == 1:
        return "same"
    if not known(metric).exact:
        if low is None or high is None:  # one observation on each side
            return "not distinguishable" if abs(value - 1) <= BETWEEN_RUNS else "not enough evidence"
        if not (low > 1 + BETWEEN_RUNS or high < 1 - BETWEEN_RUNS):
            return "not distinguishable"
    return "better" if (value < 1) == (better == "lower") else "worse"


_RANK = {"pass": 0, "vacuous": 1, "unknown": 1, "fail": 2}


def _parity_line(case: str, output: str, a: Any, b: Any) -> Line:
    verdicts = [side["outcome"] if side else None for side in (a, b)]
    if not (a and b):
        outcome = "only in A" if a else "only in B"
    elif verdicts[0] == verdicts[1]:
        outcome = f"both {verdicts[0]}"
    else:
        worse = _RANK.get(str(verdicts[1]), 1) > _RANK.get(str(verdicts[0]), 1)
        outcome = f"{'worse' if worse else 'better'}: {verdicts[0]} -> {verdicts[1]}"
    differs = ""
    if a and b and a["inputs_sha256"] != b["inputs_sha256"]:
        differs = "the inputs differ"
    elif a and b and a["reference_sha256"] != b["reference_sha256"]:
        differs = "the reference's outputs differ"
    values = [side["max_abs"] if side else None for side in (a, b)]
    return Line(
        case, f"{output}: max_abs", "output units", "lower", values[0], None, None, values[1], None, None,
        None, None, None, outcome, differs,
    )  # fmt: skip
