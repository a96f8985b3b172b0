"""`assay detect`, `assay calibrate`: which nights moved a figure, and how often that is said without a reason."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from assay.runner.cli import series_lines, words
from assay.runner.cli.family import Family, Panel
from assay.runner.cli.options import DB, Db, Json, OfModels, OfSuite, Wait, Wide, one_of, published, several, store_at
from assay.runner.errors import ExitCode

family = Family(Panel.NIGHTS)


_LEAST, _ENOUGH = 4, 20
"""Nights that a change needs, and those that tell a series' noise."""


@family.command()
def detect(
    suite: OfSuite = "",
    model: OfModels = None,
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
        several("--floor", "With --record: METRIC=5%, the smallest change that is told"),
    ] = None,
    db: Db = DB,
    wide: Wide = False,
    json: Json = False,
) -> None:
    """Find the nights from which on a figure has another level.

    Robust to outliers, drift and noise that depends on itself.

    Of what is recorded: with the version and the run that the new level begins with. Nothing is compared across a
    change of the environment.

    Example: assay detect --suite quickstart
    """
    from assay.runner.reports.tables import print_table

    if jsonl:
        series_lines.answer_lines(online=online)
        return
    if record:
        _look(db, suite, model or [], floor or [], wide=wide, json=json)
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
            "run": one.run_id,
        }
        for one in found
    ]
    columns = ["what", "metric", "change", "kind", "from", "to", "night", "q", "run"]
    print_table(lines, columns, f"{len(found)} changes in {len(histories)} series", wide=wide)


def _look(db: Path, suite: str, models: Sequence[str], floors: list[str], *, wide: bool, json: bool) -> None:
    """One look of the nightly job; exit code 1 where an alert opened or came back."""
    from assay.runner.nights.look import look
    from assay.runner.regressions.alerts.new_changes import Watching
    from assay.runner.regressions.detection.floors import parse
    from assay.runner.reports import console
    from assay.runner.reports.tables import print_table
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
        print_table(
            lines,
            ["alert", "action", "severity", "why"],
            f"{len(night.changes)} new changes, {len(night.events)} steps of alerts",
            wide=wide,
        )
    raise typer.Exit(int(ExitCode.FAILED if night.of("opened", "reopened", "unmuted") else ExitCode.OK))


@family.command()
def calibrate(
    suite: OfSuite = "",
    detector: Annotated[
        words.Detector,
        typer.Option("--detector", **one_of(words.Detector, "--detector", say="The rule, or one in its shadow")),
    ] = words.Detector.NIGHTLY,
    seed: Annotated[int, typer.Option("--seed", help="Of the resampling.")] = 0,
    most: Annotated[int, typer.Option("--series", min=7, help="Replay at most so many series.")] = 60,
    record: Annotated[
        bool, typer.Option("--record/--no-record", help="Keep the figures with the rule's version.")
    ] = True,
    db: Db = DB,
    wait: Wait = 30.0,
    wide: Wide = False,
    json: Json = False,
) -> None:
    """Say what a rule costs and finds.

    False alarms per 100 nights, and how soon planted steps are reported.

    The noise is that of the recorded series of 20 nights or more, resampled in blocks; where none is recorded, seven
    made-up kinds of it. Beside it, what the rule says of recorded neighbours of one artifact in one environment (A/A),
    between which nothing changed.

    Example: assay calibrate --suite quickstart
    """
    from assay.runner.nights.calibration import calibrated, detector_named
    from assay.runner.reports import console
    from assay.runner.reports.tables import print_table

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
    print_table(lines, list(lines[0]), "share of planted steps that is reported within so many nights", wide=wide)


def _recorded(db: Path, suite: str, models: Sequence[str], least: int) -> list[dict[str, Any]]:
    """Series of the newest snapshot; none where nothing is recorded."""
    from assay.schema.queries.base import Filters
    from assay.schema.queries.series import series
    from assay.schema.store.database import snapshot

    if snapshot(store_at(db)) is None:
        return []
    with published(db) as connection:
        return series(connection, Filters(suite=suite, models=tuple(models)), least)
