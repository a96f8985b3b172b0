"""Load the reference once: hash it, record its outputs for every workload, build the artifacts, ask it about itself.

A workload or a variant that fails is reported, and the others go on; a reference that cannot be loaded ends it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

from assay.runner.identity.graphs import hash_bytes
from assay.runner.identity.model import keep
from assay.runner.parity import coverage, probes
from assay.runner.parity.comparison import OutputComparison
from assay.runner.parity.steps import reference_steps
from assay.runner.recipes import RECIPES
from assay.runner.rules.contract import Contract
from assay.runner.rules.policy import Policy
from assay.runner.session import Session
from assay.runner.tensors import Tensors
from assay.runner.worker.events.event import Events
from assay.runner.worker.events.facts import (
    ArtifactMade,
    LargestErrors,
    ModelRead,
    NotMade,
    ReferenceRepeated,
    WorkloadRecorded,
)
from assay.runner.worker.events.rows import Noticed, Reached, Scattered
from assay.runner.worker.job import PrepareJob
from assay.runner.worker.jobs import other_sizes
from assay.runner.worker.jobs.identity import Model
from assay.runner.worker.jobs.session import (
    contract_of,
    open_session,
    plain,
    probe_receipts,
    spread_steps,
    with_itself,
)
from assay.runner.workloads import golden
from assay.runner.workloads.asked import Workload

Steps = Iterator[tuple[Tensors, Tensors]]
_NOISE_SOURCES = ("float64", "tf32", "bfloat16")
_ADVICE_STEPS = 32
_MOST_PARAMETERS = 50_000_000
"""Larger references are not run in other arithmetics: a copy in float64 doubles their memory."""


def run(job: PrepareJob, events: Events) -> None:
    model = Model(job)
    with model.with_graph() as asked, ExitStack() as stack:
        told = asked
        if asked.source["kind"] == "onnx":  # the given file is the reference itself
            told = replace(asked, source={**asked.source, "location": str(_given_base(asked))})
        with model.watched:
            session = stack.enter_context(open_session(told))
        model.read(session)
        contract = contract_of(told)
        begun = _begin(told, session, contract, model)
        identity = model.identity()
        keep(identity, Path(told.artifacts))
        version = model.version(identity)
        _tell_model(told, events, session, identity.sha256, version, contract)
        _prepare(told, events, session, begun, {"version": version, "state": identity.sha256}, contract)


def _tell_model(
    job: PrepareJob, events: Events, session: Session, sha256: str, version: str, contract: Contract
) -> None:
    """Say which model it is, and what of it stays in training mode."""
    parameters = session.parameters()
    events.emit(
        ModelRead(
            version=version,
            sha256=sha256,
            state_sha256=session.state_hash(),
            parameters=parameters[0],
            parameter_bytes=parameters[1],
            weights=session.weights_origin(),
            contract_sha256=contract.sha256() if job.contract else None,
        )
    )
    training = session.in_training()
    if training:
        events.emit(
            Noticed(
                kind="training_mode",
                subject=training[0],
                severity="fail",
                message=(
                    f"{len(training)} modules of the reference stay in training mode after eval():"
                    f" {', '.join(training[:3])}"
                ),
            )
        )
    _note(events, coverage.came_in_training(session.changed_by_eval()))


def _prepare(
    job: PrepareJob,
    events: Events,
    session: Session,
    begun: dict[str, Steps],
    facts: dict[str, str],
    contract: Contract,
) -> None:
    """Record every workload, ask the reference about itself, build the variants."""
    recorded = {}
    for name in job.golden_names:
        try:
            recorded[name] = _recorded(job, events, session, name, facts, contract, begun.get(name))
            if recorded[name].steps:
                _probe(job, events, session, name, recorded[name], contract)
                _note(events, coverage.never_varied(recorded[name], contract), workload=name)
                _note(events, coverage.never_filled(recorded[name], contract), workload=name)
        except Exception as error:  # noqa: BLE001  the other workloads go on
            events.emit(NotMade(workload=name, type=type(error).__name__, message=plain(error)))
    usable = {name: made for name, made in recorded.items() if made.steps}
    if usable:
        first = next(iter(usable.values()))
        _build_variants(job, events, session, facts["state"], _example(first), usable, contract)


def _begin(job: PrepareJob, session: Session, contract: Contract, model: Model) -> dict[str, Steps]:
    """The first workload's steps, the first of them computed already.

    Until a model has run once, it is not known what code it loads.
    """
    for name in job.golden_names:
        try:
            if name in job.given_goldens:
                given = golden.read(Path(job.goldens), job.given_goldens[name]).inputs(0)
                with model.watched:
                    session.infer(given)
                return {}
            steps = _steps(job, session, name, contract)
            with model.watched:
                first = [*islice(steps, 1)]
        except Exception:  # noqa: BLE001, S112  said where the workload is recorded; the next one may run
            continue
        return {name: chain(first, steps)}
    return {}


def _steps(job: PrepareJob, session: Session, name: str, contract: Contract) -> Steps:
    from assay.runner.workloads import make_batches

    batches = make_batches(Workload.model_validate(job.workloads[name]), seed=job.seed, folder=Path(job.folder))
    return reference_steps(session, batches[: job.max_steps], contract)


def _note(events: Events, notes: Iterable[coverage.Note], **which: str) -> None:
    """Tell what was never exercised, of a workload, a variant, or all of them."""
    for kind, subject, message in notes:
        events.emit(Noticed(**which, kind=kind, subject=subject, severity="note", message=message))


def _example(recorded: golden.Golden) -> Tensors:
    """A step with states that are no longer all alike, to trace a model on: exporters merge equal constants."""
    return recorded.inputs(min(1, len(recorded.steps) - 1))


def _recorded(
    job: PrepareJob,
    events: Events,
    session: Session,
    name: str,
    facts: dict[str, str],
    contract: Contract,
    begun: Steps | None,
) -> golden.Golden:
    """The reference's outputs for one workload: recorded now, or the golden that the case names.

    What is recorded is named after the model and the contract too: another model's is never taken for it.
    """
    if given := job.given_goldens.get(name):
        made = golden.read(Path(job.goldens), given)
        _same_generation(job, events, session, name, made, facts["state"])
        if made.facts.get("state") == facts["state"]:
            _tell_own_golden(events, name, given, made)
        _note(events, coverage.other_version(given, made.facts, job.model, facts["version"]), workload=name)
    else:
        steps = begun or _steps(job, session, name, contract)
        facts = {**facts, "model": job.model, "backend": job.reference, "workload": name}
        text = f"{job.golden_names[name]}/{facts['state']}/{contract.sha256()}"
        made = golden.write(Path(job.goldens), f"references/{_short(text)}", facts, steps)
        for what in session.left_out:
            message = f"the reference gives {what}, which is no tensor: it is left out, and nothing is compared there"
            events.emit(
                Noticed(workload=name, kind="no_tensor", subject=what.split("'")[1], severity="note", message=message)
            )
    events.emit(
        WorkloadRecorded(
            workload=name,
            golden=made.name,
            inputs_sha256=made.sha256("inputs"),
            reference_sha256=made.sha256("outputs"),
            steps=len(made.steps),
            constant=golden.unchanging_outputs(made),
            shapes={name: list(array.shape) for name, array in made.inputs(0).items()} if made.steps else {},
            inputs=[name for name, array in made.inputs(0).items() if array.ndim] if made.steps else [],
            states=[{"input": state.input, "output": state.output} for state in contract.state],
        )
    )
    return made


def _tell_own_golden(events: Events, workload: str, name: str, made: golden.Golden) -> None:
    """A golden that this model made by itself is right about nothing but the same on another backend."""
    backend = str(made.facts.get("backend"))
    message = f"golden {name!r} was recorded from this very model on {backend!r}: agreeing with itself proves nothing"
    events.emit(
        Noticed(workload=workload, kind="golden_of_this_model", subject=backend, severity="note", message=message)
    )


def _same_generation(
    job: PrepareJob, events: Events, session: Session, name: str, given: golden.Golden, state: str
) -> None:
    """A golden of another generation of the model is right about another model.

    Say so before anyone hunts for the bug.
    """
    if job.reference != "pytorch" or given.facts.get("state") == state or not given.steps:
        return  # only the original can say what it computes
    policy = with_itself(Policy.model_validate(job.policies[name]))
    compared = OutputComparison(policy, {})
    for step in spread_steps(len(given.steps)):
        list(compared.step(step, given.outputs(step), session.infer(given.inputs(step))))
    off = [r for r in compared.merged() if r["violations"] or r["problem"]]
    if off:
        recorded = given.facts.get("version", "unknown")
        worst = max(off, key=lambda r: r["rel_l2"] or 0.0)
        events.emit(
            Noticed(
                workload=name,
                kind="other_generation",
                subject=worst["output"],
                severity="fail",
                message=(
                    f"golden {given.name!r} (version {recorded}) is of another generation: the reference itself, on its"
                    f" inputs, is off in {worst['output']!r}: {worst['problem'] or _how_far(worst)}"
                ),
            )
        )


def _how_far(receipt: dict[str, Any]) -> str:
    if receipt["max_abs"] is None or receipt["nonfinite_mismatches"]:
        return f"{receipt['nonfinite_mismatches']} elements are NaN or infinite on one side only"
    return f"max |error| {receipt['max_abs']:.3g}, relative L2 {receipt['rel_l2']:.2g}"


def _probe(
    job: PrepareJob, events: Events, session: Session, name: str, recorded: golden.Golden, contract: Contract
) -> None:
    """Whether the reference says the same twice, what reaches its outputs, and what other arithmetic makes of them."""
    some = [recorded.inputs(step) for step in spread_steps(len(recorded.steps))]
    policy = Policy.model_validate(job.policies[name])
    again = OutputComparison(with_itself(policy), {})
    first, second = probes.repeat(session, some[0])
    list(again.step(0, first, second))
    for receipt in probe_receipts(again, "repeat"):
        events.emit(ReferenceRepeated(workload=name, receipt=receipt))
    for event in probes.reach(session, some).events("reference", contract.state_inputs):
        events.emit(Reached(workload=name, **event))
    infer_as = session.infer_as
    if not session.arithmetics or (session.parameters()[0] or 0) > _MOST_PARAMETERS:
        return
    for source in _NOISE_SOURCES:
        _other_arithmetic(events, name, source, infer_as, [(some[-1], session.infer(some[-1]))])
    if job.advise:  # a consistency case proposes a tolerance: float64 at more steps says how largest errors vary
        steps = [recorded.inputs(step) for step in spread_steps(len(recorded.steps), _ADVICE_STEPS)]
        _other_arithmetic(events, name, "float64", infer_as, [(inputs, session.infer(inputs)) for inputs in steps])


def _other_arithmetic(
    events: Events, workload: str, source: str, infer_as: Any, steps: list[tuple[Tensors, Tensors]]
) -> None:
    """How far the reference's outputs move in other arithmetic; the largest error of each step beside."""
    compared = OutputComparison(Policy(same_dtype=False), {})
    largest: dict[str, list[float]] = {}
    for number, (inputs, right) in enumerate(steps):
        try:
            other = infer_as(inputs, source)
        except Exception as error:  # noqa: BLE001  whatever a user's module raises in other arithmetic
            events.emit(
                Scattered(
                    workload=workload,
                    source=source,
                    output="",
                    n=0,
                    max_abs=None,
                    p999_abs=None,
                    rel_l2=None,
                    atol=None,
                    rtol=None,
                    problem=f"{type(error).__name__}: {plain(error)[:200]}",
                )
            )
            return
        wide = {name: array.astype("float64") for name, array in right.items() if array.dtype.kind == "f"}
        same = {name: array.astype("float64") for name, array in other.items() if name in wide}
        for receipt in compared.step(number, wide, same):
            if receipt["max_abs"] is not None:
                largest.setdefault(receipt["output"], []).append(receipt["max_abs"])
    for r in compared.merged():
        events.emit(
            Scattered(
                workload=workload,
                source=source,
                output=r["output"],
                n=r["elements"],
                max_abs=r["max_abs"],
                p999_abs=r["p999_abs"],
                rel_l2=r["rel_l2"],
                atol=None,
                rtol=None,
                problem=r["problem"],
            )
        )
        events.emit(
            LargestErrors(
                workload=workload,
                source=source,
                output=r["output"],
                values=largest.get(r["output"], []),
                expected_max=max(abs(r["expected_min"] or 0.0), abs(r["expected_max"] or 0.0)),
            )
        )


def _build_variants(
    job: PrepareJob,
    events: Events,
    session: Any,
    state: str,
    example: Tensors,
    recorded: dict[str, golden.Golden],
    contract: Contract,
) -> None:
    from assay.runner.graphs.audit import audit, stored_twice
    from assay.runner.recipes import changes

    base: Path | None = None
    sizes = other_sizes.Recorder(job, events, session, contract)
    for variant in job.variants:
        make = partial(_make, job, events, variant["name"], state)
        try:
            if base is None and variant["recipe"] not in ("given", "export"):
                recipe = "given" if job.onnx else "export"
                base = make(recipe, _ingredients(job, job.export, session, example, None)).path
            start = base
            if named := variant.get("base"):
                ingredients = _ingredients(job, named["options"], session, example, base, named["calibration"])
                start = make(named["recipe"], ingredients).path
            ingredients = _ingredients(job, variant["options"], session, example, start, variant["calibration"])
            made = make(variant["recipe"], ingredients)
            audited = audit(made.path)
            changed = changes.of(variant["recipe"], variant["options"], start, made.path)
        except Exception as error:  # noqa: BLE001  the other variants go on
            events.emit(NotMade(variant=variant["name"], type=type(error).__name__, message=plain(error)))
            continue
        if variant["recipe"] in ("given", "export") and variant["name"] == "fp32":
            base = made.path
        learnt_from = variant["calibration"]["name"] if variant["calibration"] else None
        events.emit(
            ArtifactMade(
                variant=variant["name"],
                base=str(start) if start else None,
                calibration=learnt_from,
                nodes=changed.nodes,
                nodes_changed=changed.changed,
                **asdict(made),
            )
        )
        for finding in [*audited.findings, *stored_twice(made.path), *changed.findings]:
            events.emit(Noticed(variant=variant["name"], **finding))
        if variant["calibration"]:
            _note(
                events,
                _few_classes(job, variant["calibration"], next(iter(recorded.values()))),
                variant=variant["name"],
            )
        for name, steps in recorded.items():
            which = {"variant": variant["name"], "workload": name}
            sizes.record(which, steps, audited.dynamic_axes)


def _make(job: PrepareJob, events: Events, variant: str, state: str, recipe: str, ingredients: Any) -> Any:
    """An artifact (`assay.runner.recipes.build.Built`), from the cache or new.

    A cached export is used where a fresh trace of the module has the graph that it was made of.
    """
    from assay.runner.recipes import build as recipes

    cache, origin = Path(job.artifacts), _origin(job, recipe, state)
    if recipe != "export" or ingredients.module is None:
        return recipes.build(recipe, ingredients, origin, cache)
    from assay.runner.recipes import traced

    key = recipes.key_of(recipe, ingredients, origin)
    trace = traced.too_long(cache, key) or traced.trace(ingredients)
    another = traced.is_another(cache, key, trace)
    made = recipes.build(recipe, replace(ingredients, graph=trace.sha256), origin, cache)
    if another:
        message = (
            "tracing the module gives another graph than the export that is cached for the same sources, attributes and"
            " weights, which was not used: something that none of them shows decides the graph (a closure, an extension"
            " in C, a variable of the environment, chance)"
        )
        events.emit(
            Noticed(variant=variant, kind="another_graph", subject=variant, severity="warning", message=message)
        )
    if trace.problem and made.build_s is None:
        message = f"the cached export was used without a fresh trace to hold it against: {trace.problem}"
        events.emit(Noticed(variant=variant, kind="not_traced", subject=variant, severity="note", message=message))
    return made


def _few_classes(job: PrepareJob, named: dict[str, Any], recorded: golden.Golden) -> Iterable[coverage.Note]:
    """Whether the labels of calibration data, where they have any, cover the classes that the model tells apart."""
    from assay.runner.workloads import stream

    workload = Workload.model_validate(named["workload"])
    if not workload.labels or (workload.task is not None and workload.task.kind != "classification"):
        return ()
    task = workload.task
    label = task.label if task and task.label in workload.labels else workload.labels[0]
    answer = recorded.outputs(0).get(task.output) if task else None
    classes = (
        len(task.names) if task and task.names else answer.shape[-1] if answer is not None and answer.ndim else None
    )
    arrays = (labels[label] for _, labels in stream(workload, seed=job.seed, folder=Path(job.folder)))
    return coverage.few_classes(named["name"], arrays, classes)


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _origin(job: PrepareJob, recipe: str, state: str) -> str:
    """What a recipe starts from, by content: the model's identity, or the given file with its external data.

    What starts from an ONNX file is known by that file, which is hashed with everything else that a recipe reads.
    """
    if RECIPES[recipe].starts_from == "onnx":
        return "onnx"
    if recipe != "given" or not job.onnx:
        return state
    path = Path(job.folder) / job.onnx
    try:
        return hash_bytes(path)
    except Exception:  # noqa: BLE001  the recipe says in words what is wrong with the file
        return f"unreadable {path}"


def _given_base(job: PrepareJob) -> Path:
    from assay.runner.recipes import build as recipes

    made = recipes.build("given", _ingredients(job, {}, None, {}, None), _origin(job, "given", ""), Path(job.artifacts))
    return made.path


def _ingredients(
    job: PrepareJob,
    options: dict[str, Any],
    session: Any,
    example: Any,
    base: Path | None,
    calibration: dict[str, Any] | None = None,
) -> Any:
    from assay.runner.recipes.build import Ingredients
    from assay.runner.recipes.calibration import CalibrationData

    return Ingredients(
        target=Path(),
        options=options,
        example=example,
        module=session.module if session else None,
        base=base,
        onnx=job.onnx,
        onnx_options=job.onnx_options,
        folder=Path(job.folder),
        output_names=session.output_names if session else (),
        calibration=CalibrationData.of(calibration, job.seed, Path(job.folder)) if calibration else None,
    )
