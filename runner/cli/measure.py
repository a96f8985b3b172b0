"""`assay run`, `assay parity`, `assay diff`: measure a suite, one ONNX file, or two files of arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from assay.runner.cli import complete, words
from assay.runner.cli.family import Family, Panel
from assay.runner.cli.options import (
    DB,
    Db,
    DumpDir,
    Json,
    MaxSteps,
    PadSide,
    Suite,
    SummaryJson,
    Wait,
    Wide,
    one_of,
    several,
    store_at,
)
from assay.runner.cli.running import (
    can_be_written,
    finish,
    pad_sides,
    pairs,
    progress_of,
    say_what_changes_nothing,
)
from assay.runner.errors import ExitCode, UsageError

family = Family(Panel.MEASURE)


@family.command()
def run(
    suite: Suite,
    db: Db = DB,
    version: Annotated[
        list[str] | None, typer.Option("--version", help="MODEL=VERSION, one of the suite's named versions.")
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(
            "--only",
            help="Only cases whose name matches this pattern or contains it.",
            autocompletion=complete.cases,
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the newest unfinished run of this suite.")] = False,
    trigger: Annotated[
        words.Trigger, typer.Option("--trigger", **one_of(words.Trigger, "--trigger", say="What started it"))
    ] = words.Trigger.MANUAL,
    max_steps: MaxSteps = None,
    dump_dir: DumpDir = None,
    pad_side: PadSide = words.PadSide.CONTRACT,
    summary_json: SummaryJson = None,
    wait: Wait = 30.0,
    wide: Wide = False,
    json: Json = False,
) -> None:
    """Run every case of a suite and record the results.

    Example: assay run quickstart --only scaling
    """
    from assay.runner.run.execute import Options, asked_for, planned, run_suite
    from assay.runner.suites.run_here import remember
    from assay.runner.suites.suite import find_suite, load_suite

    can_be_written(summary_json, "--summary-json")
    path = find_suite(suite)
    loaded = load_suite(path)
    options = Options(
        suite, pairs(version or []), only, resume, trigger, wait, max_steps, pad_sides(pad_side), dump_dir
    )
    cases = planned(asked_for(loaded, options), options)
    say_what_changes_nothing(cases, pad_side, max_steps)
    with progress_of(len(cases)) as progress:
        remember(store_at(db), loaded.name, path)
        finished = run_suite(loaded, path.parent.absolute(), store_at(db), options, progress)
    finish(finished, summary_json, wide=wide, json=json)


@family.command()
def parity(
    model: Annotated[Path, typer.Argument(help="An ONNX file: the candidate.")],
    golden: Annotated[
        str,
        typer.Option(
            "--golden", help="What is right: a golden by name (assay golden import).", autocompletion=complete.goldens
        ),
    ],
    contract: Annotated[
        Path | None, typer.Option("--contract", help="Its contract: states, masks, invariants.")
    ] = None,
    mode: Annotated[list[str] | None, several("--mode", "functional, closed_loop or mixed-K", complete.modes)] = None,
    policy: Annotated[
        str, typer.Option("--policy", help="A policy file, or the name of one that ships.")
    ] = "streaming-strict",
    provider: Annotated[
        str | None, typer.Option("--provider", help="Execution provider, e.g. CUDAExecutionProvider.")
    ] = None,
    max_steps: MaxSteps = None,
    dump_dir: DumpDir = None,
    pad_side: PadSide = words.PadSide.CONTRACT,
    summary_json: SummaryJson = None,
    db: Db = DB,
    wait: Wait = 30.0,
    wide: Wide = False,
    json: Json = False,
) -> None:
    """Compare one ONNX file with a golden, without a suite.

    It is recorded like any run.

    Example: assay parity encoder.onnx --golden encoder-50 --contract encoder.contract.json --mode closed_loop
    """
    import shlex
    import sys

    from assay.runner.backends import check_settings
    from assay.runner.rules.policies import find_policy
    from assay.runner.run.execute import Options, asked_for, planned, run_suite
    from assay.runner.suites.suite import BackendChoice, CaseTable, Model, Suite

    can_be_written(summary_json, "--summary-json")
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
    cases = planned(asked_for(suite, options), options)
    say_what_changes_nothing(cases, pad_side, max_steps)
    with progress_of(len(cases)) as progress:
        finished = run_suite(suite, Path.cwd(), store_at(db), options, progress)
    finish(finished, summary_json, wide=wide, json=json)


@family.command()
def diff(
    expected: Annotated[Path, typer.Argument(help=".npy, .npz or .safetensors: the side that is right.")],
    actual: Annotated[Path, typer.Argument(help="The side that is checked.")],
    atol: Annotated[float, typer.Option(min=0, help="Absolute tolerance; whole numbers are exact.")] = 1e-5,
    rtol: Annotated[float, typer.Option(min=0, help="Relative tolerance; whole numbers are exact.")] = 1e-4,
    rule: Annotated[
        words.ToleranceRule,
        typer.Option("--rule", **one_of(words.ToleranceRule, "--rule", say="How the two tolerances join")),
    ] = words.ToleranceRule.MIXED,
    nan_equal: Annotated[bool, typer.Option("--nan-equal", help="NaN in the same place agrees.")] = False,
    any_dtype: Annotated[
        bool, typer.Option("--any-dtype", help="Another dtype of the same values is no failure.")
    ] = False,
    units: Annotated[
        float | None, typer.Option("--units", min=0, help="How far whole numbers may be apart; not at all if left out.")
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option("--policy", help="A policy file or a shipped one's name, in place of the other tolerances."),
    ] = None,
    wide: Wide = False,
    json: Json = False,
) -> None:
    """Compare two files of arrays and print the receipt.

    Whole numbers, bools and text are compared exactly. A policy's entries go by the arrays' names; the one array of a
    .npy file is named `array`.

    Example: assay diff expected.npy actual.npy --atol 1e-4
    """
    from assay.runner.parity.diff import diff_files
    from assay.runner.reports import console
    from assay.runner.reports.tables import print_table
    from assay.runner.rules.policies import find_policy
    from assay.runner.rules.policy import Policy

    asked = Policy(rule=rule.value, atol=atol, rtol=rtol, nan_equal=nan_equal, same_dtype=not any_dtype)
    results = diff_files(expected, actual, find_policy(policy)[1] if policy else asked, units=units)
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
                for key, value in {**document, **console.worst_pair(document)}.items()
                if key not in ("histogram", "worst_pair")
            ]
            print_table(
                rows,
                ["field", "value"],
                f"{document['name']}: {document['verdict']}: {document['reason']}",
                wide=wide,
            )
    raise typer.Exit(int({"fail": ExitCode.FAILED, "vacuous": ExitCode.NOTHING}.get(_worst(outcomes), ExitCode.OK)))


def _worst(outcomes: set[str]) -> str:
    return next((word for word in ("fail", "vacuous", "unknown", "pass") if word in outcomes), "vacuous")
