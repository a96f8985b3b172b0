"""`assay explain`, `assay doctor`, `assay bisect`: what is wrong, where, and since when."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from assay.runner.cli import complete
from assay.runner.cli.family import Family, Panel
from assay.runner.cli.options import (
    DB,
    Case,
    Db,
    Json,
    MovedSuite,
    OfRun,
    OfSuite,
    Suite,
    Wait,
    Wide,
    published,
    run_named,
    store_at,
)
from assay.runner.cli.running import bytes_of, progress_of
from assay.runner.errors import ExitCode, UsageError
from assay.schema.metrics import LATENCY_P50_MS

family = Family(Panel.WHY)


@family.command()
def explain(
    case: Case,
    run: OfRun = "latest",
    step: Annotated[int | None, typer.Option("--step", min=0, help="Which step to walk; the worst without.")] = None,
    max_memory: Annotated[
        str | None, typer.Option("--max-memory", help="Bytes that the walk may hold, e.g. 2GB.")
    ] = None,
    suite: MovedSuite = None,
    out: Annotated[
        Path, typer.Option("--out", help="Where the reproduction goes; a folder of the case's name in it.")
    ] = Path("explained"),
    db: Db = DB,
    wait: Wait = 30.0,
    wide: Wide = False,
    json: Json = False,
) -> None:
    """Find the operator that diverges first.

    And the link of the chain that adds the error.

    Example: assay explain scaling/fp32/onnxruntime/recording/parity --run version:rounded
    """
    from assay.runner.investigate.explain import explain_case, record
    from assay.runner.reports import console, explanation
    from assay.runner.suites.suite import find_suite, load_suite
    from assay.schema.store import ingest

    named = load_suite(find_suite(suite)).name if suite else ""

    with published(db) as connection:
        answer = explain_case(
            connection,
            store_at(db),
            run_named(connection, run, named),
            case,
            suite=suite,
            step=step,
            max_memory=bytes_of(max_memory),
            out=out,
        )
    record(store_at(db), answer)
    ingest.sync(store_at(db), wait)
    if json:
        console.print_json(answer.as_document())
    else:
        explanation.print_explanation(answer, wide=wide)


@family.command()
def doctor(
    run: Annotated[
        str | None,
        typer.Argument(help="A run, as for assay show; without one: this host.", autocompletion=complete.runs),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            help="The run to compare with; the one before it of its suite if left out.",
            autocompletion=complete.runs,
        ),
    ] = None,
    suite: OfSuite = "",
    db: Db = DB,
    wide: Wide = False,
    json: Json = False,
) -> None:
    """Say what this host can run; of a run, why it is worse.

    Without a run: what can run here and what is missing.
    Of a run: why accuracy fell, why it is not faster, why it differs from another run.

    Example: assay doctor latest
    """
    if run is None:
        if against is not None:
            raise UsageError(
                "--against compares two runs: name the first one too, e.g. assay doctor latest --against latest~1."
            )
        _host(db, wide=wide, json=json)
    else:
        _run(run, against, suite, db, wide=wide, json=json)


def _host(db: Path, *, wide: bool, json: bool) -> None:
    from assay.runner.cli import catalogue
    from assay.runner.reports import console
    from assay.runner.reports.tables import print_table

    findings = catalogue.doctor(store_at(db))
    if json:
        console.print_json(findings)
    else:
        print_table(findings, ["what", "state", "detail"], wide=wide)
    raise typer.Exit(int(ExitCode.ENVIRONMENT if any(f["state"] == "broken" for f in findings) else ExitCode.OK))


def _run(run: str, against: str | None, suite: str, db: Path, *, wide: bool, json: bool) -> None:
    from assay.runner.reports import console
    from assay.runner.reports.doctor import consult
    from assay.runner.reports.doctor.outputs import nothing
    from assay.runner.reports.tables import print_table
    from assay.schema.queries import runs as run_queries
    from assay.schema.queries.comparison import resolve_pair

    with published(db) as connection:
        run_id = run_named(connection, run, suite)
        before = run_queries.run_before(connection, run_id)
        if against:
            before, _ = resolve_pair(connection, against, run_id, suite)
        found = consult.of_run(connection, run_id)
        none = nothing(consult.facts_of(connection, run_id)) if not found else ""
        if before is not None and before != run_id:
            found += consult.against(connection, run_id, before)
    if json:
        console.print_json({"run": run_id, "against": before, "diagnoses": [asdict(one) for one in found]})
        return
    print_table(
        [asdict(one) for one in found],
        ["problem", "subject", "because", "evidence", "remedy"],
        f"run {run_id}",
        wide=wide,
    )
    if not found:
        compared = (
            f"; it answers as {before} does" if before else "; there is no earlier run of its suite to compare with"
        )
        print(f"{none}{compared}")


@family.command()
def bisect(
    suite: Suite,
    case: Annotated[str, typer.Option("--case", help="The case, by its whole name.", autocompletion=complete.cases)],
    good: Annotated[str, typer.Option("--good", help="A version that was right.")],
    bad: Annotated[str, typer.Option("--bad", help="A later one that is not.")],
    metric: Annotated[
        str,
        typer.Option("--metric", help="The figure, or 'parity: OUTPUT', or status.", autocompletion=complete.metrics),
    ] = LATENCY_P50_MS,
    db: Db = DB,
    wait: Wait = 30.0,
    wide: Wide = False,
    json: Json = False,
) -> None:
    """Find the version that began it.

    Those between a good and a bad one, halved, each run against the good one on this host.

    Example: assay bisect quickstart --case scaling/fp32/onnxruntime/recording/parity --metric 'parity: iqr' --good
    interpolated --bad rounded
    """
    from assay.runner.investigate.bisect import bisect as halve
    from assay.runner.reports import console
    from assay.runner.reports.tables import print_table

    with published(db) as connection, progress_of(0, 3600) as progress:
        found = halve(
            connection, store_at(db), progress, suite=suite, name=case, metric=metric, good=good, bad=bad, wait_s=wait
        )
    if json:
        console.print_json(asdict(found))
        return
    print_table(
        [asdict(step) for step in found.steps],
        ["version", "outcome", "reason", "seconds"],
        f"{found.name} {found.metric}",
        wide=wide,
    )
    between = f" (or one of {', '.join(found.between)}, which could not be told)" if found.between else ""
    print(f"{found.last_good} is the last good version, {found.first_bad} the first bad one{between}")
