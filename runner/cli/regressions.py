"""`assay detect`, `assay calibrate`, `assay gate`.

Which nights moved a figure, how often that is said without a reason, and whether a run may pass.
"""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from assay.runner.cli.options import DB_DEFAULT, Db, Json, Wait, published, store_at
from assay.runner.errors import ExitCode, UsageError, nearest

_LEAST, _ENOUGH = 4, 20
"""Nights that a change needs, and those that tell a series' noise."""


def detect(
    suite: Annotated[str, typer.Option("--suite", help="Of this suite alone.")] = "",
    model: Annotated[
        list[str] | None, typer.Option("--model", help="Of this model alone; can be given more than once.")
    ] = None,
    jsonl: Annotated[
        bool,
        typer.Option(
            "--jsonl",
            help=(
                'Series from stdin instead, one a line: {"id", "values", "samples", "env", "better"}; an answer a line'
                " on stdout."
            ),
        ),
    ] = False,
    online: Annotated[
        bool,
        typer.Option(
            "--online", help="What a nightly job would have known on the last night, not what hindsight shows."
        ),
    ] = False,
    record: Annotated[
        bool, typer.Option("--record", help="As the nightly job does: record what is new, open and close alerts.")
    ] = False,
    floor: Annotated[
        list[str] | None,
        typer.Option(
            "--floor", help="With --record: METRIC=5%, the smallest change that is told; can be given more than once."
        ),
    ] = None,
    db: Db = Path(DB_DEFAULT),
    json: Json = False,
) -> None:
    """Find the nights from which on a figure has another level.

    Robust to outliers, drift and noise that depends on itself.

    Of what is recorded: with the version and the run that the new level begins with. Nothing is compared across a
    change of the environment.

    Example: assay detect --suite quickstart
    """
    if jsonl:
        _lines(online=online)
        return
    if record:
        _look(db, suite, model or [], floor or [], json=json)
        return
    from assay.runner.regressions.detection.fleet import over_all
    from assay.runner.reports import console

    histories = _recorded(db, suite, model or [], _LEAST)
    if not histories:
        print(f"error: no series of {_LEAST} nights or more is recorded.", file=sys.stderr)
        raise typer.Exit(int(ExitCode.NOTHING))
    found = over_all(histories, online=online)
    if json:
        console.print_json({"series": len(histories), "changes": [asdict(one) for one in found]})
        return
    lines = [
        {
            "what": one.name,
            "metric": one.metric,
            "change": f"{one.ratio:.3g}x [{one.low:.3g}, {one.high:.3g}]",
            "kind": one.kind,
            "from": one.version_before,
            "to": one.version,
            "night": f"{one.started_at:%Y-%m-%d %H:%M}",
            "q": f"{one.q_value:.1g}",
            "run": one.run_id[:13],
        }
        for one in found
    ]
    columns = ["what", "metric", "change", "kind", "from", "to", "night", "q", "run"]
    console.print_table(lines, columns, f"{len(found)} changes in {len(histories)} series")


def _look(db: Path, suite: str, models: Sequence[str], floors: list[str], *, json: bool) -> None:
    """One look of the nightly job; exit code 1 where an alert opened or came back."""
    from assay.runner.nights.look import look
    from assay.runner.regressions.alerts.new_changes import Watching
    from assay.runner.regressions.detection.floors import parse
    from assay.runner.reports import console
    from assay.schema.queries.base import Filters
    from assay.schema.store import ingest

    ingest.sync(store_at(db), 30.0)
    night = look(store_at(db), Watching(floors=parse(floors)), Filters(suite=suite, models=tuple(models)))
    if json:
        console.print_json(
            {
                "changes": [asdict(change) for change in night.changes],
                "events": [asdict(event) for event in night.events],
            }
        )
    else:
        lines = [
            {
                "alert": event.alert_id,
                "action": event.action,
                "severity": event.severity or "-",
                "why": event.title or event.reason,
            }
            for event in night.events
        ]
        console.print_table(
            lines,
            ["alert", "action", "severity", "why"],
            f"{len(night.changes)} new changes, {len(night.events)} steps of alerts",
        )
    raise typer.Exit(int(ExitCode.FAILED if night.of("opened", "reopened", "unmuted") else ExitCode.OK))


def calibrate(
    suite: Annotated[str, typer.Option("--suite", help="Of this suite alone.")] = "",
    detector: Annotated[
        str, typer.Option("--detector", help="nightly, or a candidate that runs in the shadow: strict, eager.")
    ] = "nightly",
    seed: Annotated[int, typer.Option("--seed", help="Of the resampling.")] = 0,
    most: Annotated[int, typer.Option("--series", min=7, help="Replay at most so many series.")] = 60,
    record: Annotated[
        bool, typer.Option("--record/--no-record", help="Keep the figures with the rule's version.")
    ] = True,
    db: Db = Path(DB_DEFAULT),
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Say what a rule costs and finds: false alarms per 100 nights, and how soon planted steps are reported.

    The noise is that of the recorded series of 20 nights or more, resampled in blocks; where none is recorded, seven
    made-up kinds of it. Beside it, what the rule says of recorded neighbours of one artifact in one environment (A/A),
    between which nothing changed.

    Example: assay calibrate --suite quickstart
    """
    from assay.runner.nights.calibration import calibrated, detector_named
    from assay.runner.reports import console

    rule = detector_named(detector)
    histories = _recorded(db, suite, [], _ENOUGH)
    row = calibrated(histories, detector, rule, seed, most)
    if record and histories:  # what made-up noise says is not of these books
        from assay.schema.store import ingest
        from assay.schema.store.spool import write_bundle

        write_bundle(store_at(db), "calibration", [row])
        ingest.sync(store_at(db), wait)
    if json:
        console.print_json({**asdict(row), "series_recorded": len(histories)})
        return
    print(f"rule {row.detector} ({row.rule}); noise: {row.noise}")
    print(
        f"false alarms: {row.per_100:.2f} [{row.low:.2f}, {row.high:.2f}] per series in 100 nights ({row.alarms} in"
        f" {row.nights} nights)"
    )
    if row.same_pairs:
        print(
            f"of one artifact in one environment: {row.same_alarms} reports between {row.same_pairs} pairs of"
            " neighbouring nights"
        )
    if histories:
        print(f"of all {len(histories)} series: {row.per_100 * len(histories) / 100:.2g} a night")
    found = zip(row.sizes, row.within_3, row.within_5, row.within_10, strict=True)
    lines = [
        {"step": f"{size:.0%}", "within 3": f"{three:.0%}", "within 5": f"{five:.0%}", "within 10": f"{ten:.0%}"}
        for size, three, five, ten in found
    ]
    console.print_table(lines, list(lines[0]), "share of planted steps that is reported within so many nights")


def gate(
    suite: Annotated[str, typer.Option("--suite", help="The suite whose runs are held against each other.")],
    against: Annotated[
        str,
        typer.Option(
            "--against", help="The baseline: a run's id, latest~1, version:X, branch:X, release, of this suite."
        ),
    ] = "latest~1",
    run: Annotated[str, typer.Option("--run", help="The run that is asked about, likewise.")] = "latest",
    as_: Annotated[str, typer.Option("--as", help="table, md (for a pull request), junit or json.")] = "table",
    out: Annotated[Path | None, typer.Option("--out", help="Write it to this file.")] = None,
    db: Db = Path(DB_DEFAULT),
) -> None:
    """Hold a run against a baseline, for CI.

    Exit code 1 where something regressed, 4 where nothing could be told, 2 where the two are not alike.

    Regressed: a figure beyond what two runs differ by anyway (its whole interval), a verdict that got worse, a case
    that broke, compares nothing
    any more, or is gone. What there is not enough evidence for is listed, and stops nobody.

    Example: assay gate --suite quickstart --against branch:main --as junit --out gate.xml
    """
    from assay.runner.reports import console
    from assay.runner.reports.gate import REGRESSED, UNKNOWN, as_junit, as_markdown, judge
    from assay.schema.queries import runs as run_queries
    from assay.schema.queries.comparison import compare_runs, resolve

    if as_ not in (shapes := ("table", "md", "junit", "json")):
        raise UsageError(f"--as is {', '.join(shapes)}, not {as_!r}.{nearest(as_, shapes)}")
    with published(db) as connection:
        before, after = resolve(connection, against, suite), resolve(connection, run, suite)
        if before == after:
            raise UsageError(f"--against names the run itself ({after}): a run is no baseline of its own.")
        compared = compare_runs(connection, before, after)
        found = judge(compared, *(run_queries.cases_of(connection, one) for one in (before, after)))
    told = {
        "run": after,
        "against": before,
        "exit_code": int(found.exit_code),
        "checks": [asdict(check) for check in found.checks],
    }
    text = (
        {"md": as_markdown, "junit": as_junit}[as_](found)
        if as_ in ("md", "junit")
        else json_module.dumps(told, indent=1)
    )
    if out is not None:
        _write(out, text)
    elif as_ != "table":
        print(text, end="" if text.endswith("\n") else "\n")
    else:
        shown = [asdict(check) for check in (*found.of(REGRESSED), *found.of(UNKNOWN))]
        console.print_table(
            shown,
            ["case", "what", "outcome", "message"],
            f"{after} against {before}: {len(found.of(REGRESSED))} regressed of {len(found.checks)}",
        )
    raise typer.Exit(int(found.exit_code))


def _write(out: Path, text: str) -> None:
    try:
        out.write_text(text)
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}.") from None


def _recorded(db: Path, suite: str, models: Sequence[str], least: int) -> list[dict[str, Any]]:
    """Series of the newest snapshot; none where nothing is recorded."""
    from assay.schema.queries.base import Filters
    from assay.schema.queries.series import series
    from assay.schema.store.database import snapshot

    if snapshot(store_at(db)) is None:
        return []
    with published(db) as connection:
        return series(connection, Filters(suite=suite, models=tuple(models)), least)


def _lines(*, online: bool) -> None:
    """Answer the series on stdin, a line each."""
    count = 0
    for number, line in enumerate(sys.stdin, 1):
        if line.strip():
            print(
                json_module.dumps(_answer(_series(line, number), number, online=online), separators=(",", ":")),
                flush=True,
            )
            count += 1
    if not count:
        print("error: no series came on stdin.", file=sys.stderr)
        raise typer.Exit(int(ExitCode.NOTHING))


def _series(line: str, number: int) -> dict[str, Any]:
    try:
        series = json_module.loads(line)
    except ValueError as error:
        raise UsageError(f"line {number} is not JSON: {error}") from None
    if not isinstance(series, dict) or not isinstance(series.get("values"), list):
        raise UsageError(f'line {number} is no series: it needs {{"id": ..., "values": [...]}}.')
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in series["values"]):
        raise UsageError(f"line {number}: a value of series {series.get('id')!r} is not a number.")
    if series.get("better", "lower") not in ("lower", "higher", "neither"):
        raise UsageError(f"line {number}: better is lower, higher or neither, not {series['better']!r}.")
    return series


def _answer(series: dict[str, Any], number: int, *, online: bool) -> dict[str, Any]:
    from assay.runner.regressions.detection.detect import changes, known_tonight

    look = known_tonight if online else changes
    try:
        found = look(
            series["values"],
            samples=series.get("samples"),
            better=series.get("better", "lower"),
            environment=series.get("env"),
        )
    except (ValueError, TypeError) as error:
        raise UsageError(f"line {number}, series {series.get('id')!r}: {error}") from None
    return {
        "id": series.get("id"),
        "changes": [change.index for change in found],
        "directions": ["up" if change.ratio > 1 else "down" for change in found],
        "evidence": [*_evidence(found)],
    }


def _evidence(found: list[Any]) -> Iterator[dict[str, Any]]:
    for change in found:
        kind = {True: "regression", False: "improvement", None: "change"}[change.regression]
        yield {
            "index": change.index,
            "kind": kind,
            "ratio": change.ratio,
            "interval": [change.low, change.high],
            "p_value": change.p_value,
            "noise": change.noise,
        }
