"""The `assay` command: parse, call one function, print. Heavy libraries load inside the commands that need them.

stdout is results, stderr is everything else. Exit codes: see `runner.errors.ExitCode`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from runner.errors import AssayError, ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

    from schema.store import Store

app = typer.Typer(
    help="Keep the books on optimized models: parity, speed, size, and which version broke it.",
    no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False, rich_markup_mode=None,
)  # fmt: skip
suite_app = typer.Typer(help="Check and describe suite files.", no_args_is_help=True)
golden_app = typer.Typer(help="Record reference outputs once, and keep them.", no_args_is_help=True)
db_app = typer.Typer(help="Look after the database.", no_args_is_help=True)
app.add_typer(suite_app, name="suite")
app.add_typer(golden_app, name="golden")
app.add_typer(db_app, name="db")

_DB_DEFAULT = ".assay/assay.duckdb"
Db = Annotated[Path, typer.Option("--db", envvar="ASSAY_DB", help="The database file; everything else lies beside it.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, and nothing more.")]
Wait = Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for another writer.")]


def main() -> None:
    """Run the command line; errors meant for people become one message and an exit code, never a traceback."""
    from click.exceptions import Abort

    try:
        app(standalone_mode=True)
    except AssayError as error:
        _quit(str(error), error.exit_code)
    except (KeyboardInterrupt, Abort):
        _quit("interrupted; finished cases are recorded. Continue with --resume.", ExitCode.INTERRUPTED)
    except BrokenPipeError:  # `assay list runs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(ExitCode.OK)
    except Exception as error:
        from schema.errors import StoreError, UnknownRun

        if not isinstance(error, StoreError):
            raise
        _quit(str(error), ExitCode.USAGE if isinstance(error, UnknownRun) else ExitCode.ENVIRONMENT)


def _quit(message: str, code: ExitCode) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(int(code))


def _store(db: Path) -> Store:
    from schema.store import Store

    if db.is_dir():
        raise UsageError(f"--db {db} is a folder; name a file in it, e.g. {db / 'assay.duckdb'}.")
    return Store(db.absolute())


def _snapshot(db: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    from schema.errors import StoreError
    from schema.store import reading, snapshot

    published = snapshot(_store(db))
    if published is None:
        raise StoreError(f"nothing is recorded in {db} yet. Record something: assay run quickstart")
    with reading(published) as connection:
        yield connection


@app.command()
def run(
    suite: Annotated[str, typer.Argument(help="A suite file, or the name of a suite that ships.")],
    db: Db = Path(_DB_DEFAULT),
    version: Annotated[
        list[str] | None, typer.Option("--version", help="MODEL=VERSION, one of the suite's named versions.")
    ] = None,
    only: Annotated[
        str | None, typer.Option("--only", help="Only cases whose name matches this pattern or contains it.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the newest unfinished run of this suite.")] = False,
    trigger: Annotated[str, typer.Option("--trigger", help="manual, nightly or ci.")] = "manual",
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Run every case of a suite and record the results.

    Example: assay run quickstart --only scaling
    """
    from contextlib import nullcontext

    from runner import report
    from runner.case import expand
    from runner.execute import Options, run_suite
    from runner.suite import find_suite, load_suite

    if trigger not in ("manual", "nightly", "ci"):
        raise UsageError(f"--trigger is manual, nightly or ci, not {trigger!r}.")
    path = find_suite(suite)
    loaded = load_suite(path)
    options = Options(suite, _pairs(version or []), only, resume, trigger, wait)
    total = len(expand(loaded, options.versions))
    live = sys.stderr.isatty()
    progress = report.LiveProgress(total) if live else report.LineProgress(total)
    with progress if isinstance(progress, report.LiveProgress) else nullcontext():
        finished = run_suite(loaded, path.parent.absolute(), _store(db), options, progress)
    if finished.not_published:
        print(f"warning: {finished.not_published}", file=sys.stderr)
    if json:
        report.print_json(report.run_document(finished))
    else:
        report.print_run(finished)
    raise typer.Exit(int(finished.exit_code))


def _pairs(texts: list[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (equals and name and value):
            raise UsageError(f"--version takes MODEL=VERSION, not {text!r}.")
        pairs[name] = value
    return pairs


@app.command(name="list")
def list_(
    what: Annotated[str, typer.Argument(help="suites, models, backends, recipes, metrics, runs or goldens.")],
    db: Db = Path(_DB_DEFAULT),
    json: Json = False,
) -> None:
    """List what there is.

    Example: assay list suites
    """
    from runner import catalogue, report
    from runner.errors import nearest

    if what not in catalogue.LISTS:
        raise UsageError(f"there is no list of {what!r}.{nearest(what, catalogue.LISTS)}")
    rows = catalogue.LISTS[what](_store(db))
    if json:
        report.print_json(rows)
    else:
        report.print_table(rows, rows[0] if rows else ["nothing here yet"])


@app.command()
def show(
    run: Annotated[str, typer.Argument(help="A run: id or prefix, latest, latest~1, version:X, branch:X.")] = "latest",
    db: Db = Path(_DB_DEFAULT),
    json: Json = False,
) -> None:
    """Show one run: its cases, verdicts and figures.

    Example: assay show latest
    """
    from runner import report
    from schema import queries
    from schema.comparison import resolve

    for connection in _snapshot(db):
        run_id = resolve(connection, run)
        document: dict[str, Any] = {
            "run": run_id, "environment": queries.environment_of(connection, run_id),
            "cases": queries.cases_of(connection, run_id), "verdicts": queries.verdicts_of(connection, run_id),
            "receipts": queries.receipts_of(connection, run_id), "measurements": queries.measurements_of(connection, run_id),
        }  # fmt: skip
        if json:
            report.print_json(document)
            return
        environment = document["environment"]
        print(
            f"run {run_id} on {environment['hardware_class']} ({environment['os']}, torch {environment['torch']}, onnxruntime {environment['onnxruntime']})"
        )
        report.print_table(
            document["cases"],
            ["name", "model_version", "status", "placement", "precision", "duration_s", "error_message"],
            "cases",
        )
        report.print_table(
            document["verdicts"],
            ["case_name", "name", "outcome", "grade", "observed", "limit_value", "margin", "reason"],
            "verdicts",
        )
        report.print_table(
            document["measurements"],
            ["name", "metric", "value", "low", "high", "n", "unit", "provenance"],
            "measurements",
        )


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="The run to compare from.")],
    b: Annotated[str, typer.Argument(help="The run to compare to.")] = "latest",
    db: Db = Path(_DB_DEFAULT),
    force: Annotated[
        bool, typer.Option("--force", help="Give ratios of unlike things too; what differs is still named.")
    ] = False,
    json: Json = False,
) -> None:
    """Compare two runs: speed, size and parity side by side, unlike things named.

    Example: assay compare latest~1 latest
    """
    from runner import report
    from schema.comparison import compare_runs, resolve

    for connection in _snapshot(db):
        compared = compare_runs(connection, resolve(connection, a), resolve(connection, b), force=force)
        if json:
            report.print_json(compared.as_document())
            return
        print(f"A {compared.a}\nB {compared.b}")
        for name, (left, right) in compared.environment.items():
            print(f"differs: {name}: {left} -> {right}")
        lines = [{**line, "A": report.interval(line["a"], line["a_low"], line["a_high"]), "B": report.interval(line["b"], line["b_low"], line["b_high"]),
                  "B/A": report.interval(line["ratio"], line["ratio_low"], line["ratio_high"])} for line in compared.as_document()["measurements"]]  # fmt: skip
        report.print_table(lines, ["case", "name", "A", "B", "B/A", "outcome", "differs"], "speed and size")
        receipts = [{**line, "A": line["a"], "B": line["b"]} for line in compared.as_document()["parity"]]
        report.print_table(receipts, ["case", "name", "A", "B", "outcome", "differs"], "parity")
        if not any(line.ratio or line.outcome.startswith("both") for line in [*compared.speed, *compared.parity]):
            raise typer.Exit(int(ExitCode.NOTHING))


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
    from runner import report
    from runner.difference import diff_files
    from runner.parity.compare import RULES
    from runner.parity.policy import Policy

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
        report.print_json(documents[0] if len(documents) == 1 else {"arrays": documents, "verdict": _worst(outcomes)})
    else:
        for document in documents:
            rows = [{"field": key, "value": report.number(value, 7) if isinstance(value, float) else str(value)}
                    for key, value in document.items() if key != "histogram"]  # fmt: skip
            report.print_table(
                rows, ["field", "value"], f"{document['name']}: {document['verdict']}: {document['reason']}"
            )
    raise typer.Exit(int({"fail": ExitCode.FAILED, "vacuous": ExitCode.NOTHING}.get(_worst(outcomes), ExitCode.OK)))


def _worst(outcomes: set[str]) -> str:
    return next((word for word in ("fail", "vacuous", "unknown", "pass") if word in outcomes), "vacuous")


@suite_app.command()
def check(
    file: Annotated[str, typer.Argument(help="A suite file, or the name of a suite that ships.")], json: Json = False
) -> None:
    """Validate a suite and list the cases that it makes.

    Example: assay suite check my_suite.toml
    """
    from runner import report
    from runner.case import expand
    from runner.suite import find_suite, load_suite

    cases = [
        {
            "case": c.name,
            "version": c.version,
            "recipe": c.recipe.recipe,
            "reference": (c.golden and f"golden:{c.golden}") or c.reference,
            "policy": c.policy_name,
        }
        for c in expand(load_suite(find_suite(file)))
    ]
    if json:
        report.print_json({"suite": file, "cases": cases})
    else:
        report.print_table(cases, ["case", "version", "recipe", "reference", "policy"], f"{file}: {len(cases)} cases")


@suite_app.command(name="schema")
def suite_schema() -> None:
    """Print the JSON Schema of suite files, for editors.

    Example: assay suite schema > assay-suite.schema.json
    """
    from runner import report
    from runner.suite import Suite

    report.print_json({"$schema": "https://json-schema.org/draft/2020-12/schema", **Suite.model_json_schema()})


@golden_app.command()
def record(
    suite: Annotated[str, typer.Argument(help="A suite file, or the name of a suite that ships.")],
    model: Annotated[str, typer.Option("--model", help="Which of the suite's models.")],
    workload: Annotated[str, typer.Option("--workload", help="Which of the suite's workloads.")],
    name: Annotated[str, typer.Option("--name", help="What to call it.")],
    version: Annotated[str | None, typer.Option("--version", help="One of the model's named versions.")] = None,
    db: Db = Path(_DB_DEFAULT),
    json: Json = False,
) -> None:
    """Run the reference once and keep its inputs and outputs.

    Example: assay golden record quickstart --model digits --workload handwriting --name digits-v2
    """
    from runner import catalogue, report
    from runner.prepare import record_golden
    from runner.suite import find_suite, load_suite

    path = find_suite(suite)
    recorded = record_golden(load_suite(path), path.parent.absolute(), _store(db), model, version, workload, name)
    document = catalogue.golden_row(recorded)
    if json:
        report.print_json(document)
    else:
        report.print_table([document], document)


@golden_app.command(name="show")
def golden_show(name: str, db: Db = Path(_DB_DEFAULT), json: Json = False) -> None:
    """Show what a golden holds, step by step.

    Example: assay golden show digits-v2
    """
    from runner import report
    from runner.parity import golden

    found = golden.read(_store(db).goldens, name)
    rows = [
        {"step": number, "side": side, "name": key, **entry}
        for number, step in enumerate(found.steps) for side, entries in step.items() for key, entry in entries.items()
    ]  # fmt: skip
    if json:
        report.print_json({"name": name, **found.facts, "arrays": rows})
    else:
        report.print_table(
            rows, ["step", "side", "name", "dtype", "shape", "bytes", "sha256"], f"{name}: {found.facts}"
        )


@golden_app.command()
def verify(name: str, db: Db = Path(_DB_DEFAULT), json: Json = False) -> None:
    """Check that every array is the one that was recorded.

    Example: assay golden verify digits-v2
    """
    from runner import report
    from runner.parity import golden

    problems = golden.verify(golden.read(_store(db).goldens, name))
    if json:
        report.print_json({"name": name, "ok": not problems, "problems": problems})
    else:
        print(f"{name}: every array is the one that was recorded" if not problems else "\n".join(problems))
    raise typer.Exit(int(ExitCode.FAILED if problems else ExitCode.OK))


@db_app.command()
def migrate(db: Db = Path(_DB_DEFAULT), wait: Wait = 30.0, json: Json = False) -> None:
    """Bring the database to this version's schema (every sync does it too).

    Example: assay db migrate
    """
    sync(db, rebuild=False, wait=wait, json=json)


@db_app.command()
def sync(
    db: Db = Path(_DB_DEFAULT),
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Make the database anew from the log of bundles.")] = False,
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Take waiting bundles into the database and publish a snapshot.

    Example: assay db sync
    """
    from runner import report
    from schema import ingest

    done = (ingest.rebuild if rebuild else ingest.sync)(_store(db), wait)
    document = {
        "ingested": done.ingested,
        "already_there": done.already_there,
        "rejected": done.rejected,
        "snapshot": str(done.snapshot),
    }
    if json:
        report.print_json(document)
    else:
        print(
            f"{len(done.ingested)} bundles ingested, {len(done.already_there)} were there already, {len(done.rejected)} rejected"
        )
        for name, reason in done.rejected.items():
            print(f"rejected {name}: {reason}")
    raise typer.Exit(int(ExitCode.FAILED if done.rejected else ExitCode.OK))


@db_app.command()
def status(db: Db = Path(_DB_DEFAULT), json: Json = False) -> None:
    """Say what is recorded, waiting and rejected.

    Example: assay db status
    """
    from runner import catalogue, report

    document = catalogue.store_status(_store(db))
    if json:
        report.print_json(document)
    else:
        report.print_table([{"what": key, "value": str(value)} for key, value in document.items()], ["what", "value"])


@db_app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="A new folder; one file a table.")],
    db: Db = Path(_DB_DEFAULT),
    format_: Annotated[str, typer.Option("--as", help="parquet or csv.")] = "parquet",
) -> None:
    """Write every table to a folder.

    Example: assay db export books --as csv
    """
    from schema import queries

    if format_ not in ("parquet", "csv"):
        raise UsageError(f"--as is parquet or csv, not {format_!r}.")
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty; name a new folder.")
    folder.mkdir(parents=True, exist_ok=True)
    for connection in _snapshot(db):
        for table, rows in queries.table_counts(connection).items():
            connection.table(table).to_parquet(
                str(folder / f"{table}.parquet")
            ) if format_ == "parquet" else connection.table(table).to_csv(str(folder / f"{table}.csv"))
            print(f"{table}: {rows} rows")


@app.command()
def doctor(db: Db = Path(_DB_DEFAULT), json: Json = False) -> None:
    """Say what this host can run, and what is missing.

    Example: assay doctor
    """
    from runner import catalogue, report

    findings = catalogue.doctor(_store(db))
    if json:
        report.print_json(findings)
    else:
        report.print_table(findings, ["what", "state", "detail"])
    raise typer.Exit(int(ExitCode.ENVIRONMENT if any(f["state"] == "broken" for f in findings) else ExitCode.OK))


@app.command()
def dashboard(
    db: Db = Path(_DB_DEFAULT),
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8501,
    address: Annotated[str, typer.Option(help="Address to listen on; the default is this machine only.")] = "127.0.0.1",
) -> None:
    """Start the dashboard on the published snapshots.

    Example: assay dashboard --port 8600
    """
    import importlib.util

    from runner.errors import EnvironmentMissing

    if importlib.util.find_spec("streamlit") is None:
        raise EnvironmentMissing(
            "the dashboard needs the package 'streamlit'. Install it with: pip install 'assay[dashboard]'"
        )
    os.environ["ASSAY_DB"] = str(db.absolute())
    command = [sys.executable, "-m", "dashboard", "--port", str(port), "--address", address]
    os.execv(sys.executable, command)  # noqa: S606  this process becomes the dashboard: no shell, no runner left behind


if __name__ == "__main__":
    main()
