"""`assay nightly`, `assay confirm`, `assay selftest`: the night, and what is run again on suspicion."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from assay.runner.cli import complete
from assay.runner.cli.family import Family, Panel
from assay.runner.cli.options import DB, Alert, Db, Json, MovedSuite, Wait, published, several, store_at
from assay.runner.cli.running import progress_of
from assay.runner.errors import EnvironmentMissing, ExitCode, UsageError

family = Family(Panel.NIGHTS)
selftest = Family(Panel.NIGHTS, name="selftest", help="Check that the checks work.")
selftest.join(family)


@family.command()
def nightly(
    config: Annotated[
        Path | None, typer.Argument(help="The night's file (TOML): suites, times, whom to tell. See docs/nightly.md.")
    ] = None,
    suite: Annotated[list[str] | None, several("--suite", "Without a file: run this suite", complete.suites)] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Say what was done even if nothing matters.")] = False,
    db: Db = DB,
    json: Json = False,
) -> None:
    """Do a whole night: run, detect, run again, tell, delete.

    Run the suites, sync, detect, run again what moved, tell people, delete what is old. Made for cron and systemd
    timers: one at a time, quiet unless it matters.

    Exit code: 1 where an alert opened or came back, 3 where something could not
    be done, 4
    where nothing was measured, else 0.

    Example: assay nightly nightly.toml
    """
    from assay.runner.nights.config import Nightly, load_nightly
    from assay.runner.nights.nightly import night
    from assay.runner.reports import console
    from assay.runner.reports.progress import LineProgress

    if config is not None and suite:
        raise UsageError("suites are in the file, or given by --suite: not both.")
    loaded = load_nightly(config) if config else Nightly(suites=tuple(suite or ()))
    folder = config.parent.absolute() if config else Path.cwd()
    _check_suites(loaded.suites, folder)
    try:
        done = night(loaded, folder, store_at(db), LineProgress(0) if verbose else _Silent())
    except OSError as error:
        raise EnvironmentMissing(
            f"cannot write beside {db}: {error.strerror}. What was recorded is safe in the spool."
        ) from None
    if json:
        console.print_json({**asdict(done), "exit_code": int(done.exit_code)})
    else:
        for alert in done.opened:
            print(f"[{alert['severity']}] {alert['title']} (alert {alert['alert']})")
        for row in done.confirmations:
            print(f"  {row['outcome']}: {row['name']}: {row['reason']}")
        for note in done.notes:
            print(f"  {note}")
        if verbose:
            told = ", ".join(f"{name}: {outcome}" for name, outcome in done.notified.items()) or "nobody to tell"
            print(
                f"{len(done.runs)} suites run, {len(done.opened)} alerts opened, {len(done.recovered)} back; {told};"
                f" log {done.log}"
            )
    for problem in done.problems:
        print(f"error: {problem}", file=sys.stderr)
    raise typer.Exit(int(done.exit_code))


def _check_suites(suites: tuple[str, ...], folder: Path) -> None:
    """Raises UsageError: a suite is not there or is wrong; better known in the evening than in the morning."""
    from assay.runner.suites.suite import find_suite, load_suite

    for name in suites:
        load_suite(find_suite(str(folder / name) if name.endswith(".toml") else name))


class _Silent:
    """Progress that nobody sees."""

    def starting(self, what: str) -> None: ...

    def finished(self, outcome: object) -> None: ...


@family.command()
def confirm(
    alert: Alert,
    suite: MovedSuite = None,
    budget: Annotated[float, typer.Option("--budget", min=0.1, help="Minutes that it may take.")] = 30.0,
    db: Db = DB,
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Run an alert's clearest change again, old and new in turns.

    Both artifacts on this host. The answer stays with the alert.

    Exit code: 0 where it is refuted, 1 where it is confirmed, 4 where nothing could be told.

    Example: assay confirm 4093f9
    """
    from assay.runner.investigate.confirm import confirm as run_again
    from assay.runner.investigate.rerun import Budget
    from assay.runner.reports import console
    from assay.schema.queries.alerts import alert_of

    with published(db) as connection:
        found = alert_of(connection, alert)
    with progress_of(1, budget * 60) as progress:
        (row,) = run_again(store_at(db), [found["alert_id"]], Budget(budget * 60), progress, suite=suite, wait_s=wait)
    if json:
        console.print_json(asdict(row))
    else:
        print(f"{row.outcome}: {row.name} {row.metric}: {row.reason}")
    raise typer.Exit(int({"confirmed": ExitCode.FAILED, "refuted": ExitCode.OK}.get(row.outcome, ExitCode.NOTHING)))


@selftest.command("alerts")
def selftest_alerts(
    seed: Annotated[int, typer.Option("--seed", help="Of the planted nights.")] = 0,
    db: Db = DB,
    json: Json = False,
) -> None:
    """Plant a regression in a scratch copy; fail if it is not caught.

    The copy is one of these books. Nights without it have to stay silent.

    Example: assay selftest alerts
    """
    from assay.runner.nights.selftest import selftest_alerts as plant
    from assay.runner.reports import console

    try:
        found = plant(store_at(db), seed)
    except OSError as error:
        raise EnvironmentMissing(f"cannot make a scratch copy in {tempfile.gettempdir()}: {error.strerror}.") from None
    if json:
        console.print_json({**asdict(found), "passed": found.passed})
    else:
        origin = "its recorded history" if found.recorded else "a made-up history: no series of 12 nights is recorded"
        print(f"planted a step of {found.size:.0%} in {found.series} ({origin})")
        print(f"caught after {found.after_nights} nights" if found.after_nights else "NOT caught in 8 nights")
        print("the digest names it" if found.told else "the digest does NOT name it")
        print("nights without it raised an alarm" if found.false_alarm else "nights without it stayed silent")
    raise typer.Exit(int(ExitCode.OK if found.passed else ExitCode.FAILED))
