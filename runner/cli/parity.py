"""Commands about parity: contracts, policies over history, waivers, and why a case fails."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from assay.runner.cli.options import DB_DEFAULT, Db, Json, Wait, published, store_at
from assay.runner.cli.running import bytes_of, finish, pad_sides, progress_of
from assay.runner.errors import ExitCode, UsageError

contract_app = typer.Typer(help="Say what a model takes, gives and feeds back.", no_args_is_help=True)
policy_app = typer.Typer(help="Judge what is recorded by other rules.", no_args_is_help=True)


@contract_app.command()
def init(
    model: Annotated[str, typer.Argument(help="An ONNX file, or MODEL of a suite as SUITE:MODEL.")],
    out: Annotated[Path | None, typer.Option("--out", help="Where to write it; stdout without.")] = None,
    json: Json = False,
) -> None:
    """Write a contract from a model: ports, symbols, and the states that go by their names.

    Example: assay contract init encoder.onnx --out encoder.contract.toml
    """
    from assay.runner.investigate.contract import contract_of_model
    from assay.runner.reports import console
    from assay.runner.rules.contract import to_toml

    contract = contract_of_model(model)
    text = to_toml(contract)
    if out is not None:
        if out.exists():
            raise UsageError(f"{out} is there already; name a new file.")
        out.write_text(text)
    if json:
        console.print_json(contract.model_dump(mode="json", exclude_defaults=True))
    elif out is None:
        print(text, end="")
    else:
        print(
            f"{out}: {len(contract.inputs)} inputs, {len(contract.outputs)} outputs, {len(contract.state)} states. Read"
            " it, and add what always holds."
        )


@contract_app.command()
def check(
    contract: Annotated[Path, typer.Argument(help="A contract, .toml or .json.")],
    model: Annotated[
        str | None, typer.Option("--model", help="An ONNX file or SUITE:MODEL to hold it against.")
    ] = None,
    golden: Annotated[
        str | None, typer.Option("--golden", help="A golden whose every step is held against it.")
    ] = None,
    db: Db = Path(DB_DEFAULT),
    json: Json = False,
) -> None:
    """Check a contract, alone or against a model and recorded steps.

    Example: assay contract check encoder.contract.toml --model encoder.onnx
    """
    from assay.runner.investigate.contract import disagreements
    from assay.runner.reports import console

    problems = disagreements(contract, model, store_at(db).goldens, golden)
    if json:
        console.print_json({"contract": str(contract), "ok": not problems, "problems": problems})
    else:
        print("\n".join(problems) or f"{contract.name}: sound" + (f", and {model} keeps it" if model else ""))
    raise typer.Exit(int(ExitCode.FAILED if problems else ExitCode.OK))


Pattern = Annotated[
    str | None, typer.Option("--case", help="Only cases whose name matches this pattern or contains it.")
]


@policy_app.command(name="try")
def try_(
    policy: Annotated[str, typer.Argument(help="A policy file, or the name of a policy that ships.")],
    case: Pattern = None,
    db: Db = Path(DB_DEFAULT),
    json: Json = False,
) -> None:
    """Judge everything that is recorded by a policy, and list what would change. Writes nothing.

    Example: assay policy try streaming-guidance --case 'streaming_encoder*'
    """
    _judge_again(policy, case, db, json=json, write=False, wait=0.0)


@policy_app.command()
def apply(
    policy: Annotated[str, typer.Argument(help="A policy file, or the name of a policy that ships.")],
    case: Pattern = None,
    db: Db = Path(DB_DEFAULT),
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Judge everything that is recorded by a policy, and record the verdicts that change; the old ones are kept.

    Example: assay policy apply my.policy.toml --case 'streaming_encoder*'
    """
    _judge_again(policy, case, db, json=json, write=True, wait=wait)


def _judge_again(policy: str, case: str | None, db: Path, *, json: bool, write: bool, wait: float) -> None:
    from assay.runner.books.policies import apply_policy, judged_again
    from assay.runner.reports import console
    from assay.runner.rules.policies import find_policy
    from assay.runner.run.execute import waivers_of
    from assay.schema.store import ingest

    name, found = find_policy(policy)
    store = store_at(db)
    if write:
        ingest.sync(store, wait)  # what waits in the spool is judged too
    with published(db) as connection:
        judged = list(judged_again(connection, found, case, waivers_of(store)))
    changed = [one for one in judged if one.changes]
    if write and changed:
        apply_policy(store, name, found, judged)
        ingest.sync(store, wait)
    if json:
        console.print_json(
            {
                "policy": name,
                "judged": len(judged),
                "changed": [one.as_row() for one in changed],
                "written": len(changed) if write else 0,
            }
        )
    else:
        rows = [one.as_row() for one in changed]
        console.print_table(
            rows,
            ["run", "case", "version", "output", "was", "becomes", "reason"],
            f"{name}: {len(changed)} of {len(judged)} verdicts {'changed' if write else 'would change'}",
        )
    if not judged:
        raise typer.Exit(int(ExitCode.NOTHING))


def parity(
    model: Annotated[Path, typer.Argument(help="An ONNX file: the candidate.")],
    golden: Annotated[str, typer.Option("--golden", help="What is right: a golden by name (assay golden import).")],
    contract: Annotated[
        Path | None, typer.Option("--contract", help="Its contract: states, masks, invariants.")
    ] = None,
    mode: Annotated[
        list[str] | None, typer.Option("--mode", help="functional, closed_loop or mixed-K; may be given again.")
    ] = None,
    policy: Annotated[
        str, typer.Option("--policy", help="A policy file, or the name of one that ships.")
    ] = "streaming-strict",
    provider: Annotated[
        str | None, typer.Option("--provider", help="Execution provider, e.g. CUDAExecutionProvider.")
    ] = None,
    max_steps: Annotated[int | None, typer.Option("--max-steps", min=1, help="No more steps than these.")] = None,
    dump_dir: Annotated[
        Path | None, typer.Option("--dump-dir", help="Keep inputs and outputs of failing steps here, as npz.")
    ] = None,
    pad_side: Annotated[
        str, typer.Option("--pad-side", help="contract, left, right, or sweep: both, a case each.")
    ] = "contract",
    summary_json: Annotated[
        Path | None, typer.Option("--summary-json", help="Write a summary by output and step to this file.")
    ] = None,
    db: Db = Path(DB_DEFAULT),
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Compare one ONNX file with a golden, without a suite; it is recorded like any run.

    Example: assay parity encoder.onnx --golden encoder-50 --contract encoder.contract.json --mode closed_loop
    """
    import shlex
    import sys

    from assay.runner.backends import check_settings
    from assay.runner.rules.policies import find_policy
    from assay.runner.run.execute import Options, planned, run_suite
    from assay.runner.suites.suite import BackendChoice, CaseTable, Model, Suite

    if not model.is_file():
        raise UsageError(f"ONNX file {model} is not there.")
    check_settings("onnxruntime", {"provider": provider} if provider else {})
    name, found = find_policy(policy)
    suite = Suite(
        name="parity",
        model={model.stem: Model(onnx=str(model.absolute()), contract=str(contract.absolute()) if contract else None)},
        backend={"onnxruntime": BackendChoice(kind="onnxruntime", provider=provider)},
        policy={name: found},
        case=(
            CaseTable(
                check="parity", models=(model.stem,), golden=golden, policy=name, modes=tuple(mode or ["functional"])
            ),
        ),
    )
    options = Options(
        "parity",
        max_steps=max_steps,
        pad_sides=pad_sides(pad_side),
        dump=dump_dir,
        wait_s=wait,
        reproduce=shlex.join(["assay", *sys.argv[1:]]),
    )
    with progress_of(len(planned(suite, options))) as progress:
        finished = run_suite(suite, Path.cwd(), store_at(db), options, progress)
    finish(finished, summary_json, json=json)


def explain(
    case: Annotated[str, typer.Argument(help="A recorded parity case, by its name or a part of it.")],
    run: Annotated[str, typer.Option("--run", help="Of which run: id, latest, version:X.")] = "latest",
    step: Annotated[int | None, typer.Option("--step", min=0, help="Which step to walk; the worst without.")] = None,
    max_memory: Annotated[
        str | None, typer.Option("--max-memory", help="Bytes that the walk may hold, e.g. 2GB.")
    ] = None,
    suite: Annotated[str | None, typer.Option("--suite", help="The suite file, if it has moved since.")] = None,
    out: Annotated[
        Path, typer.Option("--out", help="Where the reproduction goes; a folder of the case's name in it.")
    ] = Path("explained"),
    db: Db = Path(DB_DEFAULT),
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Find the operator that diverges first, and the link of the chain that adds the error.

    Example: assay explain scaling/fp32/onnxruntime/recording/parity --run version:rounded
    """
    from assay.runner.investigate.explain import explain_case, record
    from assay.runner.reports import console, explanation
    from assay.schema.queries.comparison import resolve
    from assay.schema.store import ingest

    with published(db) as connection:
        answer = explain_case(
            connection,
            store_at(db),
            resolve(connection, run),
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
        explanation.print_explanation(answer)


def waive(
    case: Annotated[str, typer.Argument(help="A case by name, or a pattern.")],
    output: Annotated[str, typer.Option("--output", help="The output that may fail.")],
    premise: Annotated[
        str, typer.Option("--premise", help="An invariant: while it holds at every step, the failure is harmless.")
    ],
    owner: Annotated[str, typer.Option("--owner", help="Who answers for it.")],
    reason: Annotated[str, typer.Option("--reason", help="Why the failure is harmless.")],
    until: Annotated[str, typer.Option("--until", help="When it expires: a date, YYYY-MM-DD.")],
    max_abs: Annotated[float | None, typer.Option("--max-abs", min=0, help="The largest error that it covers.")] = None,
    db: Db = Path(DB_DEFAULT),
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Accept a known failure, for as long as its premise holds in the same run.

    Example: assay waive 'streaming_encoder/*' --output cache_last_time_out --premise 'cache_last_channel_len_out == 0'
    --owner mira --reason 'chunks stand alone, nothing reads it' --until 2027-03-01 --max-abs 0.1
    """
    from assay.runner.books.waivers import grant
    from assay.runner.reports import console

    try:
        expires = datetime.fromisoformat(until).replace(tzinfo=None)
    except ValueError:
        raise UsageError(f"--until is a date such as 2027-03-01, not {until!r}.") from None
    waiver = grant(
        store_at(db),
        case_pattern=case,
        output=output,
        premise=premise,
        owner=owner,
        reason=reason,
        expires_at=expires,
        max_abs=max_abs,
        wait_s=wait,
    )
    if json:
        console.print_json({"waiver": waiver})
    else:
        print(
            f"waiver {waiver}: from the next run on. Take it back with: assay unwaive {waiver} --owner {owner}"
            " --reason ..."
        )


def unwaive(
    waiver: Annotated[str, typer.Argument(help="The waiver's id (assay list waivers).")],
    owner: Annotated[str, typer.Option("--owner", help="Who takes it back.")],
    reason: Annotated[str, typer.Option("--reason", help="Why.")],
    db: Db = Path(DB_DEFAULT),
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Take a waiver back: from the next run on the failure is a failure again.

    Example: assay unwaive 1f0c2a9b7d3e --owner mira --reason 'the export is fixed'
    """
    from assay.runner.books.waivers import revoke
    from assay.runner.reports import console

    revoke(store_at(db), waiver, owner=owner, reason=reason, wait_s=wait)
    if json:
        console.print_json({"waiver": waiver, "revoked": True})
    else:
        print(f"waiver {waiver} is revoked")
