"""Load the reference once: hash it, record its outputs for every workload, build the artifacts, ask it about itself.

A workload or a variant that fails is reported, and the others go on; a reference that cannot be loaded ends it.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from assay.runner.parity import probes
from assay.runner.parity.comparison import OutputComparison
from assay.runner.parity.steps import reference_steps
from assay.runner.rules.contract import Contract
from assay.runner.rules.policy import Policy
from assay.runner.session import Session
from assay.runner.tensors import Tensors
from assay.runner.worker.events.event import Events
from assay.runner.worker.events.facts import (
    ArtifactMade,
    LargestErrors,
    LengthsRecorded,
    ModelRead,
    NotMade,
    ReferenceRepeated,
    WorkloadRecorded,
)
from assay.runner.worker.events.rows import Noticed, Reached, Scattered
from assay.runner.worker.job import PrepareJob
from assay.runner.worker.jobs.session import (
    contract_of,
    open_session,
    plain,
    probe_receipts,
    spread_steps,
    with_itself,
)
from assay.runner.workloads import golden

_NOISE_SOURCES = ("float64", "tf32", "bfloat16")
_ADVICE_STEPS = 32
_MOST_PARAMETERS = 50_000_000
"""Larger references are not run in other arithmetics: a copy in float64 doubles their memory."""


def run(job: PrepareJob, events: Events) -> None:
    if job.source["kind"] == "onnx":  # the given file is the reference itself
        job = replace(job, source={**job.source, "location": str(_given_base(job))})
    contract = contract_of(job)
    with open_session(job) as session:
        state = session.state_hash()
        version = state[:12] if job.version == "artifact" else job.version
        parameters = session.parameters()
        events.emit(
            ModelRead(
                version=version,
                sha256=state,
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
        recorded = {}
        for name in job.golden_names:
            try:
                recorded[name] = _recorded(job, events, session, name, {"version": version, "state": state}, contract)
                if recorded[name].steps:
                    _probe(job, events, session, name, recorded[name], contract)
            except Exception as error:  # noqa: BLE001  the other workloads go on
                events.emit(NotMade(workload=name, type=type(error).__name__, message=plain(error)))
        usable = {name: made for name, made in recorded.items() if made.steps}
        if usable:
            first = next(iter(usable.values()))
            _build_variants(job, events, session, state, _example(first), usable, contract)


def _example(recorded: golden.Golden) -> Tensors:
    """A step with states that are no longer all alike, to trace a model on: exporters merge equal constants."""
    return recorded.inputs(min(1, len(recorded.steps) - 1))


def _recorded(
    job: PrepareJob, events: Events, session: Session, name: str, facts: dict[str, str], contract: Contract
) -> golden.Golden:
    """The reference's outputs for one workload: recorded now, or the golden that the case names."""
    from assay.runner.workloads import make_batches
    from assay.runner.workloads.asked import Workload

    if given := job.given_goldens.get(name):
        made = golden.read(Path(job.goldens), given)
        _same_generation(job, events, session, name, made, facts["state"])
    else:
        batches = make_batches(Workload.model_validate(job.workloads[name]), seed=job.seed, folder=Path(job.folder))
        facts = {**facts, "model": job.model, "backend": job.reference, "workload": name}
        steps = reference_steps(session, batches[: job.max_steps], contract)
        made = golden.write(Path(job.goldens), job.golden_names[name], facts, steps)
    events.emit(
        WorkloadRecorded(
            workload=name,
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


def _same_generation(
    job: PrepareJob, events: Events, session: Session, name: str, given: golden.Golden, state: str
) -> None:
    """A golden of another generation of the model is right about another model.

    Say so before anyone hunts for the bug.
    """
    if job.reference != "pytorch" or given.facts.get("state") == state or not given.steps:
        return  # only the original can say what it computes
    compared = OutputComparison(Policy.model_validate(job.policies[name]), {})
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
    for event in probes.reach(session, some, contract).events("reference", contract.state_inputs):
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
        for receipt in compared.step(number, wide, {name: array.astype("float64") for name, array in other.items()}):
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
    from assay.runner.recipes import build as recipes
    from assay.runner.recipes import changes

    base: Path | None = None
    for variant in job.variants:
        try:
            origin = _origin(job, state)
            if base is None and variant["recipe"] not in ("given", "export"):
                recipe = "given" if job.onnx else "export"
                base = recipes.build(
                    recipe, _ingredients(job, job.export, session, example, None), origin, Path(job.artifacts)
                ).path
            start = base
            if named := variant.get("base"):
                ingredients = _ingredients(job, named["options"], session, example, base, named["calibration"])
                start = recipes.build(named["recipe"], ingredients, origin, Path(job.artifacts)).path
            made = recipes.build(
                variant["recipe"],
                _ingredients(job, variant["options"], session, example, start, variant["calibration"]),
                origin,
                Path(job.artifacts),
            )
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
        for name, steps in recorded.items():
            _record_lengths(
                job,
                events,
                session,
                {"variant": variant["name"], "workload": name},
                steps,
                audited.dynamic_axes,
                contract,
            )


def _record_lengths(
    job: PrepareJob,
    events: Events,
    session: Session,
    which: dict[str, str],
    recorded: golden.Golden,
    axes: dict[str, dict[int, str]],
    contract: Contract,
) -> None:
    """What the reference computes at other sizes of the axes that the artifact leaves open."""
    ours = {theirs: name for name, theirs in job.rename_inputs.items()}
    named = {ours.get(name, name): by_axis for name, by_axis in axes.items() if by_axis}
    steps, labels = [], []
    for label, inputs in probes.lengths(_example(recorded), named, contract):
        try:
            outputs = session.infer(inputs)
        except Exception:  # noqa: BLE001,S112  the reference has no answer there, so there is nothing to ask
            continue
        steps.append((inputs, outputs))
        labels.append(label)
    if steps:
        asked = json.dumps([job.golden_names[which["workload"]], which])
        name = f"references/{hashlib.sha256(asked.encode()).hexdigest()[:24]}"
        golden.write(Path(job.goldens), name, {"labels": labels}, steps)
        events.emit(LengthsRecorded(**which, golden=name))


def _origin(job: PrepareJob, state: str) -> str:
    """What a recipe starts from, by content: the module's state, or the given file or factory."""
    if not job.onnx:
        return state
    digest = hashlib.sha256(json.dumps([job.onnx, job.onnx_options], sort_keys=True).encode())
    path = Path(job.folder) / job.onnx.rpartition(":")[0] if ":" in job.onnx else Path(job.folder) / job.onnx
    if path.is_file():
        digest.update(path.read_bytes())
    elif ":" in job.onnx:
        from assay.runner.source import load_factory

        module = sys.modules[load_factory(job.onnx, Path(job.folder)).__module__]
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()


def _given_base(job: PrepareJob) -> Path:
    from assay.runner.recipes import build as recipes

    made = recipes.build("given", _ingredients(job, {}, None, {}, None), _origin(job, ""), Path(job.artifacts))
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
