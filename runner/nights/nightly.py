"""A whole night, made for cron: run, sync, detect, confirm, notify, clean up.

One at a time; quiet unless it matters; everything in a log.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

from assay.runner.errors import ENDS_WITH, AssayError, EnvironmentMissing, ExitCode
from assay.runner.investigate.confirm import confirm, confirm_suspicions, gravest_first
from assay.runner.investigate.explain import explain_case, record
from assay.runner.investigate.rerun import Budget, here
from assay.runner.nights.config import Nightly
from assay.runner.nights.look import look, suspected
from assay.runner.nights.notify import digest_for, send
from assay.runner.nights.retention import prune_artifacts, prune_logs, wanted
from assay.runner.regressions.alerts.life import Night
from assay.runner.regressions.alerts.new_changes import Watching
from assay.runner.run.outcome import Progress
from assay.schema.errors import StoreError
from assay.schema.queries import alerts as alert_queries
from assay.schema.queries.base import Filters
from assay.schema.rows.alerts import Change
from assay.schema.store import ingest
from assay.schema.store.database import Store, reading, snapshot
from assay.schema.store.spool import now, write_bundle

_UNTOLD = timedelta(days=14)
"""A digest that did not arrive is tried again for so long."""
_GRACE_S = 30.0
"""Between asking a run to stop and killing it: it records what it has."""


@dataclass(slots=True)
class Report:
    """What one night came to."""

    runs: dict[str, int] = field(default_factory=dict)
    """Suite -> exit code; 124 where it ran past the night's time."""
    opened: list[dict[str, Any]] = field(default_factory=list)
    """Alerts that opened or came back."""
    recovered: list[str] = field(default_factory=list)
    confirmations: list[dict[str, Any]] = field(default_factory=list)
    notified: dict[str, str] = field(default_factory=dict)
    """Channel -> `sent`, or why not."""
    deleted: int = 0
    """Artifacts that nothing used any more."""
    notes: list[str] = field(default_factory=list)
    """What the first divergences are, or why there are none."""
    problems: list[str] = field(default_factory=list)
    log: str = ""

    @property
    def exit_code(self) -> ExitCode:
        """1 where an alert opened or came back; 3 where something could not be done.

        4 where no suite measured anything; else 0.
        """
        if self.opened:
            return ExitCode.FAILED
        if self.problems:
            return ExitCode.ENVIRONMENT
        if self.runs and all(code == ExitCode.NOTHING for code in self.runs.values()):
            return ExitCode.NOTHING
        return ExitCode.OK


def logs_of(store: Store) -> Path:
    return store.database.with_name(store.database.name + ".log")


@contextmanager
def alone(store: Store) -> Iterator[None]:
    """Hold the night's own lock; the kernel frees it when the holder dies.

    Raises:
        EnvironmentMissing: another night of this store is under way.
    """
    path = store.database.with_name(store.database.name + ".nightly.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise EnvironmentMissing(
                f"another night of {store.database} is under way (process {file.read().strip() or 'unknown'}). "
                "It holds the lock until it ends; give nights more time apart, or a smaller timeout_h."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def night(config: Nightly, folder: Path, store: Store, progress: Progress) -> Report:
    """Everything of one night, each step whatever became of the one before it.

    Raises:
        EnvironmentMissing: another night is under way.
        StoreError: the books cannot be read or written.
    """
    report = Report()
    with alone(store):
        logs_of(store).mkdir(parents=True, exist_ok=True)
        path = logs_of(store) / f"nightly-{now():%Y%m%dT%H%M%S}-{os.getpid()}.log"
        report.log = str(path)
        with path.open("w") as log:
            _run(config, folder, store, report, log)
            _sync(store, report)
            budget = Budget(config.confirm_minutes * 60)
            watching = Watching(fdr=config.fdr, floors=config.floors)
            found = look(store, watching, believed=_suspect(config, store, report, watching, budget, progress))
            _confirm(config, store, report, found, budget, progress)
            _tell(config, folder, store, report)
            _clean(config, store, report)
            log.write(f"{now():%Y-%m-%d %H:%M:%S} {asdict(report)}\n")
    return report


def _run(config: Nightly, folder: Path, store: Store, report: Report, log: IO[str]) -> None:
    """Every suite in a process of its own, so that whatever happens to one costs the others nothing."""
    deadline = time.monotonic() + config.timeout_h * 3600
    for suite in config.suites:
        named = str(folder / suite) if suite.endswith(".toml") else suite
        log.write(f"{now():%Y-%m-%d %H:%M:%S} assay run {named}\n")
        log.flush()
        command = [
            sys.executable,
            "-P",
            "-m",
            "assay",
            "run",
            named,
            "--trigger",
            "nightly",
            "--db",
            str(store.database),
        ]
        told = {**os.environ, ENDS_WITH: str(os.getpid())}
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, env=told)
        try:
            code = process.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            code = 124
            _end(process)
        except BaseException:
            _end(process)
            raise
        report.runs[suite] = code
        if code not in (ExitCode.OK, ExitCode.FAILED, ExitCode.NOTHING):
            reason = f"ran past {config.timeout_h:g} h and was ended" if code == 124 else f"ended with exit code {code}"
            report.problems.append(f"suite {suite} {reason}; see {report.log}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask a run and its workers to stop, then make them."""
    for sign, wait_s in ((signal.SIGINT, _GRACE_S), (signal.SIGKILL, _GRACE_S)):
        try:
            os.killpg(process.pid, sign)
            process.wait(timeout=wait_s)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
        else:
            break


def _sync(store: Store, report: Report) -> None:
    done = ingest.sync(store, wait_s=300)
    report.problems += [problem for problem in done.problems() if problem not in report.problems]


def _suspect(
    config: Nightly, store: Store, report: Report, watching: Watching, budget: Budget, progress: Progress
) -> list[Change]:
    """What is worse for one night only is run again at once: a re-run turns nights into minutes."""
    if not config.confirm_minutes:
        return []
    believed, answers = confirm_suspicions(store, suspected(store, watching), budget, progress)
    report.confirmations += [asdict(row) for row in answers]
    return believed


def _confirm(config: Nightly, store: Store, report: Report, found: Night, budget: Budget, progress: Progress) -> None:
    opened = [event.alert_id for event in found.of("opened", "reopened", "unmuted")]
    alerts = _alerts(store)
    report.opened = [
        {"alert": alert, **{key: alerts[alert][key] for key in ("severity", "title", "cause_kind", "cause")}}
        for alert in opened
        if alert in alerts
    ]
    report.recovered = [event.alert_id for event in found.of("recovered")]
    moved = [alerts[alert] for alert in opened if alert in alerts and alerts[alert]["cause_kind"] != "absence"]
    if config.confirm_minutes and moved:
        report.confirmations += [asdict(row) for row in confirm(store, gravest_first(moved), budget, progress)]
        if config.explain:
            _explain(store, report, [alert["alert_id"] for alert in moved], budget)


def _explain(store: Store, report: Report, alerts: Sequence[str], budget: Budget) -> None:
    """The first divergence of parity cases that broke, kept with their alerts.

    One a case and night, while there is time.
    """
    published, done = snapshot(store), set[str]()
    assert published is not None  # noqa: S101  alerts come from one
    with reading(published) as connection:
        for change in (row for alert in alerts for row in alert_queries.changes_of(connection, alert)):
            if change["kind"] != "verdict" or not change["metric"].startswith("parity: ") or change["name"] in done:
                continue
            if change["host"] != here() or budget.left_s <= 0:
                continue
            done.add(change["name"])
            try:
                answer = explain_case(
                    connection,
                    store,
                    change["run_id"],
                    change["name"],
                    suite=None,
                    step=None,
                    max_memory=None,
                    out=logs_of(store) / "explained",
                )
            except AssayError as error:
                report.notes.append(f"{change['name']} could not be explained: {error}")
                continue
            record(store, answer)
            report.notes.append(
                f"{change['name']}: "
                + (
                    f"first divergence {answer.suspect['node']}"
                    if answer.suspect
                    else answer.note or "no node is wrong by itself"
                )
            )
    if done:
        _sync(store, report)


def _alerts(store: Store) -> dict[str, dict[str, Any]]:
    published = snapshot(store)
    if published is None:
        return {}
    with reading(published) as connection:
        return {row["alert_id"]: row for row in alert_queries.alerts(connection, Filters())}


def _tell(config: Nightly, folder: Path, store: Store, report: Report) -> None:
    published = snapshot(store)
    if published is None or not config.notify:
        return
    with reading(published) as connection:
        events = alert_queries.events_since(connection, now() - _UNTOLD)
        sent = alert_queries.notifications(connection)
    alerts = [*_alerts(store).values()]
    rows = []
    for channel in config.notify:
        digest = digest_for(channel, events, alerts, sent, config.dashboard)
        if digest is None:
            continue
        rows.append(send(channel, digest, folder))
        report.notified[channel.name] = rows[-1].error or "sent"
        if rows[-1].error:
            report.problems.append(
                f"channel {channel.name} was not told: {rows[-1].error}. It is tried again the next night."
            )
    if rows:
        write_bundle(store, "notifications", rows)
        _sync(store, report)


def _clean(config: Nightly, store: Store, report: Report) -> None:
    prune_logs(logs_of(store), config.keep_logs_days)
    published = snapshot(store)
    if published is None:
        return
    try:
        with reading(published) as connection:
            keep = wanted(connection)
        report.deleted = len(prune_artifacts(store, keep, config.keep_artifacts_days))
    except (OSError, StoreError) as error:
        report.problems.append(f"old artifacts were not deleted: {error}")
