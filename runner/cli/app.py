"""The `assay` command: parse, call one function, print. Heavy libraries load inside the commands that need them.

stdout is results, stderr is everything else. Exit codes: see `assay.runner.errors.ExitCode`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from assay.runner.cli.alerts import alerts_app, release, schedule_app
from assay.runner.cli.doctor import doctor
from assay.runner.cli.engines import engines, trtexec
from assay.runner.cli.figures import claim, compare, import_, report
from assay.runner.cli.nights import bisect, confirm, nightly, selftest_app
from assay.runner.cli.options import DB_DEFAULT, Db, Json, Wait, published, store_at
from assay.runner.cli.parity import contract_app, explain, parity, policy_app, unwaive, waive
from assay.runner.cli.quality import graph, search
from assay.runner.cli.regressions import calibrate, detect, gate
from assay.runner.cli.running import finish, pad_sides, pairs, progress_of
from assay.runner.cli.upkeep import db_app, golden_app, suite_app
from assay.runner.errors import AssayError, ExitCode, UsageError

app = typer.Typer(
    help="Keep the books on optimized models: parity, speed, size, and which version broke it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
app.add_typer(suite_app, name="suite")
app.add_typer(golden_app, name="golden")
app.add_typer(db_app, name="db")
app.add_typer(contract_app, name="contract")
app.add_typer(policy_app, name="policy")
app.add_typer(alerts_app, name="alerts")
app.add_typer(schedule_app, name="schedule")
app.add_typer(selftest_app, name="selftest")
app.command()(parity)
app.command()(explain)
app.command()(waive)
app.command()(unwaive)
app.command()(compare)
app.command()(claim)
app.command()(report)
app.command()(search)
app.command()(graph)
app.command()(engines)
app.command()(trtexec)
app.command()(doctor)
app.command()(detect)
app.command()(calibrate)
app.command()(gate)
app.command()(release)
app.command()(nightly)
app.command()(confirm)
app.command()(bisect)
app.command(name="import")(import_)


def main() -> None:
    """Run the command line; errors meant for people become one message and an exit code, never a traceback."""
    try:
        app(standalone_mode=True)
    except AssayError as error:
        _quit(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _quit("interrupted; finished cases are recorded. Continue with --resume.", ExitCode.INTERRUPTED)
    except BrokenPipeError:  # `assay list runs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(ExitCode.OK)
    except Exception as error:
        from assay.schema.errors import BadTriage, StoreError, UnknownRun

        if not isinstance(error, StoreError):
            raise
        _quit(str(error), ExitCode.USAGE if isinstance(error, UnknownRun | BadTriage) else ExitCode.ENVIRONMENT)


def _quit(message: str, code: ExitCode) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(int(code))


@app.command()
def run(
    suite: Annotated[str, typer.Argument(help="A suite file, or the name of a suite that ships.")],
    db: Db = Path(DB_DEFAULT),
    version: Annotated[
        list[str] | None, typer.Option("--version", help="MODEL=VERSION, one of the suite's named versions.")
    ] = None,
    only: Annotated[
        str | None, typer.Option("--only", help="Only cases whose name matches this pattern or contains it.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the newest unfinished run of this suite.")] = False,
    trigger: Annotated[str, typer.Option("--trigger", help="manual, nightly or ci.")] = "manual",
    max_steps: Annotated[
        int | None, typer.Option("--max-steps", min=1, help="Of parity: no more steps than these.")
    ] = None,
    dump_dir: Annotated[
        Path | None, typer.Option("--dump-dir", help="Keep inputs and outputs of failing steps here, as npz.")
    ] = None,
    pad_side: Annotated[
        str, typer.Option("--pad-side", help="contract, left, right, or sweep: both, a case each.")
    ] = "contract",
    summary_json: Annotated[
        Path | None, typer.Option("--summary-json", help="Write a summary by output and step to this file.")
    ] = None,
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Run every case of a suite and record the results.

    Example: assay run quickstart --only scaling
    """
    from assay.runner.run.execute import Options, planned, run_suite
    from assay.runner.suites.suite import find_suite, load_suite

    if trigger not in ("manual", "nightly", "ci"):
        raise UsageError(f"--trigger is manual, nightly or ci, not {trigger!r}.")
    path = find_suite(suite)
    loaded = load_suite(path)
    options = Options(
        suite, pairs(version or []), only, resume, trigger, wait, max_steps, pad_sides(pad_side), dump_dir
    )
    with progress_of(len(planned(loaded, options))) as progress:
        finished = run_suite(loaded, path.parent.absolute(), store_at(db), options, progress)
    finish(finished, summary_json, json=json)


@app.command(name="list")
def list_(
    what: Annotated[
        str, typer.Argument(help="suites, models, backends, recipes, metrics, policies, waivers, runs or goldens.")
    ],
    db: Db = Path(DB_DEFAULT),
    json: Json = False,
) -> None:
    """List what there is.

    Example: assay list suites
    """
    from assay.runner.cli import catalogue
    from assay.runner.errors import nearest
    from assay.runner.reports import console

    if what not in catalogue.LISTS:
        raise UsageError(f"there is no list of {what!r}.{nearest(what, catalogue.LISTS)}")
    rows = catalogue.LISTS[what](store_at(db))
    if json:
        console.print_json(rows)
    else:
        console.print_table(rows, rows[0] if rows else ["nothing here yet"])


@app.command()
def show(
    run: Annotated[str, typer.Argument(help="A run: id or prefix, latest, latest~1, version:X, branch:X.")] = "latest",
    db: Db = Path(DB_DEFAULT),
    json: Json = False,
) -> None:
    """Show one run: its cases, verdicts and figures.

    Example: assay show latest
    """
    from assay.runner.reports import console
    from assay.schema.queries import parity as parity_queries
    from assay.schema.queries import runs as run_queries
    from assay.schema.queries.comparison import resolve

    with published(db) as connection:
        run_id = resolve(connection, run)
        document: dict[str, Any] = {
            "run": run_id,
            "environment": run_queries.environment_of(connection, run_id),
            "cases": run_queries.cases_of(connection, run_id),
            "verdicts": parity_queries.verdicts_of(connection, run_id),
            "receipts": parity_queries.receipts_of(connection, run_id),
            "measurements": run_queries.measurements_of(connection, run_id),
            "findings": parity_queries.findings_of(connection, run_id),
            "noise": parity_queries.noise_of(connection, run_id),
            "invariants": parity_queries.invariants_of(connection, run_id),
        }
        if json:
            console.print_json(document)
            return
        environment = document["environment"]
        print(
            f"run {run_id} on {environment['hardware_class']} ({environment['os']}, torch {environment['torch']},"
            f" onnxruntime {environment['onnxruntime']})"
        )
        console.print_table(
            document["cases"],
            ["name", "model_version", "status", "placement", "precision", "duration_s", "error_message"],
            "cases",
        )
        console.print_table(
            document["verdicts"],
            ["case_name", "subject", "name", "outcome", "grade", "observed", "limit_value", "margin", "reason"],
            "verdicts",
        )
        _print_what_explains(document)
        console.print_table(
            document["measurements"],
            ["name", "metric", "value", "low", "high", "n", "unit", "provenance"],
            "measurements",
        )


def _print_what_explains(document: dict[str, Any]) -> None:
    """Findings, broken invariants and proposed tolerances of a run, where there are any."""
    from assay.runner.reports import console

    broken = [row for row in document["invariants"] if row["broken"]]
    proposed = [row for row in document["noise"] if row["source"] == "advice"]
    if document["findings"]:
        console.print_table(document["findings"], ["name", "severity", "kind", "subject", "message"], "findings")
    if broken:
        console.print_table(
            broken, ["case_name", "kind", "expression", "side", "checked", "broken", "observed"], "broken invariants"
        )
    if proposed:
        console.print_table(
            proposed, ["name", "output", "atol", "rtol", "n", "problem"], "tolerances that the noise proposes"
        )


@app.command()
def diff(
    expected: Annotated[Path, typer.Argument(help=".npy, .npz or .safetensors: the side that is right.")],
    actual: Annotated[Path, typer.Argument(help="The side that is checked.")],
    atol: Annotated[float, typer.Option(min=0, help="Absolute tolerance.")] = 1e-5,
    rtol: Annotated[float, typer.Option(min=0, help="Relative tolerance.")] = 1e-4,
    rule: Annotated[str, typer.Option(help="mixed, either or exact.")] = "mixed",
    nan_equal: Annotated[bool, typer.Option("--nan-equal", help="NaN in the same place agrees.")] = False,
    any_dtype: Annotated[
        bool, typer.Option("--any-dtype", help="Another dtype of the same values is no failure.")
    ] = False,
    json: Json = False,
) -> None:
    """Compare two files of arrays and print the receipt.

    Example: assay diff expected.npy actual.npy --atol 1e-4
    """
    from assay.runner.parity.compare import RULES
    from assay.runner.parity.diff import diff_files
    from assay.runner.reports import console
    from assay.runner.rules.policy import Policy

    if rule not in RULES:
        raise UsageError(f"--rule is {', '.join(RULES)}, not {rule!r}.")
    results = diff_files(
        expected,
        actual,
        Policy(rule=cast("Any", rule), atol=atol, rtol=rtol, nan_equal=nan_equal, same_dtype=not any_dtype),
    )
    documents = [
        {"name": name, **receipt, "verdict": judgement.outcome, "reason": judgement.reason, "margin": judgement.margin}
        for name, (receipt, judgement) in results.items()
    ]
    outcomes = {document["verdict"] for document in documents}
    if json:
        console.print_json(documents[0] if len(documents) == 1 else {"arrays": documents, "verdict": _worst(outcomes)})
    else:
        for document in documents:
            rows = [
                {"field": key, "value": console.number(value, 7) if isinstance(value, float) else str(value)}
                for key, value in document.items()
                if key != "histogram"
            ]
            console.print_table(
                rows, ["field", "value"], f"{document['name']}: {document['verdict']}: {document['reason']}"
            )
    raise typer.Exit(int({"fail": ExitCode.FAILED, "vacuous": ExitCode.NOTHING}.get(_worst(outcomes), ExitCode.OK)))


def _worst(outcomes: set[str]) -> str:
    return next((word for word in ("fail", "vacuous", "unknown", "pass") if word in outcomes), "vacuous")


@app.command()
def dashboard(
    db: Db = Path(DB_DEFAULT),
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8501,
    address: Annotated[str, typer.Option(help="Address to listen on; the default is this machine only.")] = "127.0.0.1",
    triage_as: Annotated[
        str,
        typer.Option(
            "--triage-as",
            envvar="ASSAY_TRIAGE_AS",
            help="Without a sign-in: everybody who reaches this address decides about alerts by this name.",
        ),
    ] = "",
) -> None:
    """Start the dashboard on the published snapshots.

    Example: assay dashboard --port 8600
    """
    import importlib.util

    from assay.runner.errors import EnvironmentMissing

    if importlib.util.find_spec("streamlit") is None:
        raise EnvironmentMissing(
            "the dashboard needs the package 'streamlit'. Install it with: pip install 'assay[dashboard]'"
        )
    os.environ["ASSAY_DB"] = str(db.absolute())
    os.environ["ASSAY_TRIAGE_AS"] = triage_as
    command = [sys.executable, "-P", "-m", "assay.dashboard", "--port", str(port), "--address", address]
    os.execv(sys.executable, command)  # noqa: S606  this process becomes the dashboard: no shell, no runner left behind


if __name__ == "__main__":
    main()
