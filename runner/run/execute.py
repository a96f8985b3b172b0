"""A run, from a suite to rows. Read `run_suite` first: it is the whole story."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path

from assay.runner import environment
from assay.runner.errors import AlreadyEnded, ExitCode, NothingMeasured, UsageError, nearest
from assay.runner.rules.waiver import Waiver, in_force
from assay.runner.run.measure import run_group
from assay.runner.run.outcome import Context, Outcome, Progress
from assay.runner.run.prepare import prepare_models
from assay.runner.run.refused import refuse
from assay.runner.run.rows import case_rows
from assay.runner.run.same_version import SAME_VERSION, Held
from assay.runner.run.verdicts import judge
from assay.runner.suites.case import Case, Expansion, expand, expansion
from assay.runner.suites.suite import Suite
from assay.schema import rows
from assay.schema.errors import StoreError
from assay.schema.queries import parity as parity_queries
from assay.schema.queries import runs as run_queries
from assay.schema.store import ingest
from assay.schema.store.database import Store, reading, snapshot
from assay.schema.store.spool import new_id, now, write_bundle


@dataclass(frozen=True, slots=True)
class Options:
    suite_argument: str
    versions: dict[str, str] = field(default_factory=dict)
    only: str | None = None
    resume: bool = False
    trigger: str = "manual"
    wait_s: float = 30.0
    max_steps: int | None = None
    pad_sides: tuple[str | None, ...] = (None,)
    """Sides to pad states on, instead of the contract's; every parity case runs with each."""
    dump: Path | None = None
    reproduce: str | None = None
    """The command that does the same again, where that is not `assay run SUITE`."""
    identity: str | None = None
    """What the run's meaning is told by, where the suite was made for it alone."""


@dataclass(frozen=True, slots=True)
class Finished:
    run_id: str
    outcomes: list[Outcome]
    exit_code: ExitCode
    not_published: str | None
    """Why the snapshot does not show this run yet; its bundles are safe in the spool."""
    idle_waivers: tuple[str, ...] = ()
    """Waivers in force that name a model of the suite and cover no case of it."""
    asked: Expansion | None = None
    """What the suite came to: what was left out, and what was asked for and could not be met."""


def run_suite(suite: Suite, folder: Path, store: Store, options: Options, progress: Progress) -> Finished:
    """Run every case of a suite, each in its own process, and record each as it ends.

    What is wrong with the suite or its options is said before anything is recorded.

    Raises:
        UsageError: a golden that a case names is not there, or something else that `refuse` looks at.
        NothingMeasured: `only` matches no case, or there is nothing to resume.
        StoreError: a row could not be written; what was written before is intact.
    """
    asked = asked_for(suite, options)
    cases = planned(asked, options)
    refuse(suite, folder, store, cases)
    begun = _resumed(suite, store, options) if options.resume else Begun(new_id())
    run_id, context = (
        begun.run_id,
        Context(begun.run_id, environment.capture(), options.suite_argument, options.reproduce),
    )
    if not options.resume:
        write_bundle(store, run_id, [_run_row(suite, folder, context, options, len(cases)), context.environment])
    outcomes = []
    waivers = waivers_of(store)
    left = [case for case in cases if case.name not in begun.cases]
    held = Held(store, suite.name, context.environment.environment_id)
    try:
        for prepared, group in prepare_models(suite, folder, store, left, progress, held):
            for outcome in run_group(suite, folder, store, prepared, group, progress, waivers, options.dump):
                judge(outcome, waivers)
                write_bundle(store, run_id, case_rows(outcome, _seen_from(context, outcome)))
                outcomes.append(outcome)
                progress.finished(outcome)
    except UsageError as error:  # it would be refused the same way again: there is nothing to resume
        write_bundle(store, run_id, [rows.RunEnd(run_id=run_id, ended_at=now(), exit_code=int(error.exit_code))])
        raise
    exit_code = verdict_of_run(outcomes, begun.outcomes, unmet=bool(asked.unmet))
    write_bundle(store, run_id, [rows.RunEnd(run_id=run_id, ended_at=now(), exit_code=int(exit_code))])
    idle = _idle(waivers, expand(suite, options.versions))
    return Finished(run_id, outcomes, exit_code, _publish(store, options.wait_s), idle, asked)


def _idle(waivers: Sequence[Waiver], cases: Sequence[Case]) -> tuple[str, ...]:
    """Waivers whose pattern begins with a model of these cases, and covers none of them."""
    models = {case.model for case in cases}
    return tuple(
        f"waiver {waiver.waiver_id} of {waiver.owner} covers no case of this suite: {waiver.case_pattern!r}"
        f" (output {waiver.output!r})"
        for waiver in waivers
        if waiver.case_pattern.partition("/")[0] in models and not any(waiver.covers(case.name) for case in cases)
    )


def asked_for(suite: Suite, options: Options) -> Expansion:
    """What a run's suite comes to, as far as its options choose.

    Raises:
        UsageError: a version or model that the suite does not have.
        NothingMeasured: no case is left, or none matches `only`; the nearest name is told.
    """
    found = expansion(suite, options.versions)
    only = options.only
    chosen = found if only is None else found.only(lambda name: fnmatch(name, only) or only in name)
    if chosen.cases:
        return chosen
    if chosen.left_out:
        named = "; ".join(f"{one.name}: {one.why}" for one in chosen.left_out[:_FEW])
        more = f"; and {len(chosen.left_out) - _FEW} more" if len(chosen.left_out) > _FEW else ""
        raise NothingMeasured(f"everything that was asked for is left out: {named}{more}.")
    if only is None:
        raise NothingMeasured(f"suite {suite.name!r} has no case.")
    raise NothingMeasured(f"no case matches {only!r}.{nearest(only, [case.name for case in found.cases])}")


_FEW = 5


def planned(asked: Expansion, options: Options) -> list[Case]:
    """The cases that a run has, with what its options change in them."""
    cases = asked.cases
    if options.max_steps is not None:
        cases = [replace(case, max_steps=min(options.max_steps, case.max_steps or options.max_steps)) for case in cases]
    return [
        replace(case, pad_side=side) for case in cases for side in (options.pad_sides if case.has_sides else (None,))
    ]


def waivers_of(store: Store) -> list[Waiver]:
    """The waivers in force, read from the newest snapshot; none when nothing has been recorded."""
    newest = snapshot(store)
    if newest is None:
        return []
    with reading(newest) as connection:
        return in_force(parity_queries.waiver_events(connection))


def _publish(store: Store, wait_s: float) -> str | None:
    """Ingest what was recorded; why not, if it has to wait. The run's result stands either way."""
    try:
        return "; ".join(ingest.sync(store, wait_s).problems()) or None
    except StoreError as error:
        return str(error)


def verdict_of_run(outcomes: list[Outcome], earlier: frozenset[str] = frozenset(), *, unmet: bool = False) -> ExitCode:
    """The exit code: a failure first, then a missing backend, then a case that compared nothing.

    `earlier` holds the words (statuses, verdicts) that a resumed run had recorded before; `unmet` says that the suite
    asks for something of which there is no case at all.
    """
    broken = [o for o in outcomes if o.status in ("failed", "crashed", "timeout") and not _refused_as_expected(o)]
    missing = [o for o in broken if o.error_type == "EnvironmentMissing"]
    failed = any(
        j.outcome == "fail"
        for o in outcomes
        for subject, _, j in o.judgements
        if not o.case.expect or subject in ("expectation", SAME_VERSION)
    )
    if failed or len(missing) < len(broken) or earlier & {"fail", "failed", "crashed", "timeout"}:
        return ExitCode.FAILED
    if missing:
        return ExitCode.ENVIRONMENT
    if (
        unmet
        or not (outcomes or earlier)
        or "vacuous" in earlier
        or any(o.status == "vacuous" and not o.case.expect for o in outcomes)
    ):
        return ExitCode.NOTHING
    return ExitCode.OK


def _refused_as_expected(outcome: Outcome) -> bool:
    """Whether a known-bad case was refused for the reason that it had to be."""
    return any(subject == "expectation" and j.outcome == "pass" for subject, _, j in outcome.judgements)


@dataclass(frozen=True, slots=True)
class Begun:
    """A run, and what it has recorded already."""

    run_id: str
    cases: frozenset[str] = frozenset()
    outcomes: frozenset[str] = frozenset()


def _identity(suite: Suite, options: Options) -> str:
    """What has to be the same for a run to be continued: the suite's meaning, and the versions picked."""
    picked = ",".join(f"{model}={version}" for model, version in sorted(options.versions.items()))
    return hashlib.sha256(f"{suite.sha256()}/{picked}".encode()).hexdigest()


def _resumed(suite: Suite, store: Store, options: Options) -> Begun:
    """The newest unfinished run of this suite and these versions.

    Raises:
        NothingMeasured: there is none.
    """
    ingest.sync(store, options.wait_s)
    published = snapshot(store)
    if published is not None:
        with reading(published) as connection:
            found = run_queries.unfinished_run(connection, suite.name, _identity(suite, options))
            if found is not None:
                cases = run_queries.recorded_cases(connection, found)
                return Begun(found, frozenset(cases), frozenset(run_queries.recorded_outcomes(connection, found)))
            if (ended := run_queries.ended_run(connection, suite.name, _identity(suite, options))) is not None:
                raise AlreadyEnded(*ended)
    raise NothingMeasured(
        f"there is no unfinished run of suite {suite.name!r} as it is now, with these versions. Start one without"
        " --resume."
    )


def _run_row(suite: Suite, folder: Path, context: Context, options: Options, planned: int) -> rows.Run:
    commit, branch, dirty = environment.git_state(folder)
    return rows.Run(
        run_id=context.run_id, suite=suite.name, suite_sha256=options.identity or _identity(suite, options), trigger=options.trigger, started_at=now(),
        host=socket.gethostname(), environment_id=context.environment.environment_id, git_commit=commit,
        git_branch=branch, git_dirty=dirty, seed=suite.seed, tool_version=environment.tool_version(),
        command=environment.command_line(), cases_planned=planned,
    )  # fmt: skip


def _seen_from(context: Context, outcome: Outcome) -> Context:
    """With another interpreter, the libraries are that one's."""
    if outcome.case.choice.python is None or not outcome.opened:
        return context
    return replace(context, environment=environment.with_versions(context.environment, outcome.opened["versions"]))
