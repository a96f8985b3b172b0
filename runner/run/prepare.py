"""Preparing models: the reference is loaded once for each model, in a process of its own, before its cases run.

That process hashes the model, records the reference's outputs for every workload, and builds the artifacts.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assay.runner import environment
from assay.runner.backends import ENGINES
from assay.runner.errors import UsageError, nearest
from assay.runner.recipes import MODULE_RECIPES
from assay.runner.run.checks import check_named
from assay.runner.run.outcome import Facts, Progress
from assay.runner.run.same_version import Held
from assay.runner.source import is_factory
from assay.runner.suites.case import Case, expand, pytorch_kind
from assay.runner.suites.suite import ModelFiles, Suite, Variant
from assay.runner.worker.events.event import Event
from assay.runner.worker.events.facts import (
    ArtifactMade,
    EngineMade,
    LargestErrors,
    LengthsRecorded,
    ModelRead,
    NotMade,
    ReferenceRepeated,
    WorkloadRecorded,
)
from assay.runner.worker.events.rows import Noticed, Reached, Scattered
from assay.runner.worker.events.wire import name_of
from assay.runner.worker.job import EngineJob, PrepareJob
from assay.runner.worker.process import Worker, WorkerFailed
from assay.runner.workloads import golden as goldens
from assay.schema.store.database import Store
from assay.schema.store.spool import now

OfReference = Reached | Scattered | Noticed | ReferenceRepeated | LargestErrors
"""What the reference says of itself, about a workload, a variant, or all of them."""
_BUILD_TIMEOUT_S = 1800.0


@dataclass(slots=True)
class Prepared:
    """What the cases of one model and reference share."""

    version: str
    model: Facts = field(default_factory=dict)
    workloads: dict[str, Facts] = field(default_factory=dict)
    golden_names: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, Facts] = field(default_factory=dict)
    failures: dict[str, WorkerFailed] = field(default_factory=dict)
    """Variant -> why it could not be made; "" stands for all of them."""
    unusable: dict[str, WorkerFailed] = field(default_factory=dict)
    """Workload -> why the reference has no outputs for it."""
    told: dict[str, list[OfReference]] = field(default_factory=dict)
    """Kind of event (`liveness`, `noise`, `finding`, `reference_repeat`) -> what the reference said of itself."""
    engines: dict[tuple[str, str], Facts] = field(default_factory=dict)
    """(variant, backend) -> the engine that the backend runs."""
    not_built: dict[tuple[str, str], WorkerFailed] = field(default_factory=dict)
    lengths: dict[tuple[str, str], str] = field(default_factory=dict)
    """(variant, workload) -> golden of the reference at other lengths."""

    def of(self, kind: str, case: Case) -> list[Facts]:
        """What was said of the case's workload and variant, or of all."""
        return [
            event.facts()
            for event in self.told.get(kind, [])
            if event.workload in (None, case.workload) and event.variant in (None, case.variant)
        ]

    def failure_for(self, case: Case) -> WorkerFailed | None:
        """Why a case cannot run; a backend that runs the source itself needs no artifact."""
        for_variant = None if case.choice.kind == "pytorch" else self.failures.get(case.variant)
        not_built = self.not_built.get((case.variant, case.backend))
        return self.failures.get("") or self.unusable.get(case.workload) or for_variant or not_built


def prepare_models(
    suite: Suite, folder: Path, store: Store, cases: list[Case], progress: Progress, held: Held
) -> Iterator[tuple[Prepared, list[Case]]]:
    """Groups of cases with one model and one right side, each when its model is ready and held against the books."""
    groups: dict[tuple[str, str | None, str | None], list[Case]] = {}
    for case in cases:
        groups.setdefault((case.model, case.reference, case.golden), []).append(case)
    for (model, _, _), group in groups.items():
        progress.starting(f"{model}: reference and artifacts")
        prepared = prepare(suite, folder, store, group)
        held.look(prepared, group[0])
        yield prepared, group


def prepare(suite: Suite, folder: Path, store: Store, group: list[Case]) -> Prepared:
    """Load the reference of a group of cases, record its outputs, build what the cases run.

    Failures are kept, not raised.
    """
    first = group[0]
    version = _named_version(first, folder)
    prepared = Prepared(version)
    reference = first.reference or ("pytorch" if first.files.pytorch else "onnxruntime" if first.files.onnx else "fake")
    choice = suite.backend_named(reference)
    asked = [case.max_steps for case in group]
    limit = None if None in asked else max(steps for steps in asked if steps is not None)
    names = {
        case.workload: case.golden or f"references/{_reference_key(suite, case, reference, limit)}" for case in group
    }
    variants = {
        case.variant: {
            "name": case.variant,
            "recipe": case.recipe.recipe,
            "options": case.recipe.options,
            "base": _base(suite, case),
            "calibration": calibration_of(suite, case.recipe),
        }
        for case in group
        if case.files.fake is None and case.choice.kind != "pytorch"
    }
    job = PrepareJob(
        folder=str(folder),
        seed=suite.seed,
        model=first.model,
        version=first.version if first.version == "git" else version,
        reference=reference,
        backend=choice.kind,
        source={**source_of(suite, first, choice.kind, folder), "recipe": None},
        options=choice.session_options(),
        onnx=first.files.onnx,
        onnx_options=first.files.onnx_options,
        export=suite.model[first.model].export,
        variants=sorted(variants.values(), key=lambda v: v["recipe"] not in ("given", "export")),
        workloads={
            name: suite.workload[name].model_dump(mode="json", exclude_none=True)
            for name in names
            if name in suite.workload
        },
        goldens=str(store.goldens),
        golden_names=names,
        artifacts=str(store.artifacts),
        given_goldens={case.workload: case.golden for case in group if case.golden},
        policies={case.workload: case.policy.model_dump(mode="json") for case in group},
        advise=any(check_named(case.check).advises for case in group),
        max_steps=limit,
        contract=suite.model[first.model].contract,
        contract_options=suite.model[first.model].contract_options,
        rename_inputs=suite.model[first.model].rename_inputs,
    )
    prepared.golden_names = names
    try:
        with Worker(job, python=choice.python, timeout_s=_time_for(group)) as worker:
            for event in worker.events():
                _take(prepared, event)
    except WorkerFailed as failure:
        prepared.failures[""] = failure
    for backend in dict.fromkeys(case.backend for case in group if case.choice.kind in ENGINES):
        _build_engines(suite, folder, store, prepared, [case for case in group if case.backend == backend])
    return prepared


def _time_for(group: list[Case]) -> float:
    """Seconds that preparing a model may take: what its cases may take together, a minute at least.

    A case's own time does not count it, but a factory that hangs must not hold a run for half an hour.
    """
    return min(_BUILD_TIMEOUT_S, max(60.0, sum(case.timeout_s for case in group)))


def _build_engines(suite: Suite, folder: Path, store: Store, prepared: Prepared, cases: list[Case]) -> None:
    """Build what a backend runs from the ONNX files, in its own environment; failures are kept for the cases."""
    first = cases[0]
    model = suite.model[first.model]
    variants = {case.variant: prepared.artifacts[case.variant] for case in cases if case.variant in prepared.artifacts}
    if not variants:
        return
    job = EngineJob(
        backend=first.choice.kind,
        options=first.choice.session_options(),
        folder=str(folder),
        artifacts=str(store.artifacts),
        goldens=str(store.goldens),
        recorded=sorted(
            {prepared.golden_names[case.workload] for case in cases if case.workload in prepared.workloads}
        ),
        contract=model.contract,
        contract_options=model.contract_options,
        rename_inputs=model.rename_inputs,
        variants=[{"name": name, "path": made["path"], "sha256": made["sha256"]} for name, made in variants.items()],
    )
    try:
        with Worker(job, python=first.choice.python, timeout_s=_BUILD_TIMEOUT_S) as worker:
            for event in worker.events():
                if isinstance(event, EngineMade):
                    prepared.engines[event.variant, first.backend] = event.facts()
                elif isinstance(event, NotMade) and event.variant:
                    failure = WorkerFailed("failed", event.type, event.message)
                    prepared.not_built[event.variant, first.backend] = failure
    except WorkerFailed as failure:
        prepared.not_built.update({(name, first.backend): failure for name in variants})


def _take(prepared: Prepared, event: Event) -> None:
    match event:
        case ModelRead():
            prepared.model, prepared.version = event.facts(), event.version
        case WorkloadRecorded():
            prepared.workloads[event.workload] = event.facts()
            prepared.golden_names[event.workload] = event.golden
        case ArtifactMade():
            prepared.artifacts[event.variant] = event.facts()
        case LengthsRecorded():
            prepared.lengths[event.variant, event.workload] = event.golden
        case Reached() | Scattered() | Noticed() | ReferenceRepeated() | LargestErrors():
            prepared.told.setdefault(name_of(event), []).append(event)
        case NotMade():
            failure = WorkerFailed("failed", event.type, event.message)
            if event.workload is not None:
                prepared.unusable[event.workload] = failure
            else:
                prepared.failures[event.variant or ""] = failure


def _named_version(case: Case, folder: Path) -> str:
    """The version by its name; of `git` the commit that the model lies in, until its worker says which files it has.

    Raises:
        UsageError: the model lies in no git repository.
    """
    if case.version != "git":
        return case.version
    place = _place_of(case.files, folder)
    commit, _, dirty = environment.git_state(place)
    if commit is None:
        raise UsageError(f'model {case.model!r} has version = "git", and {place} is not in a git repository.')
    return commit[:12] + ("-dirty" if dirty else "")


def _place_of(files: ModelFiles, folder: Path) -> Path:
    """The folder that a model's file lies in, as far as it can be told without loading it."""
    named = files.pytorch or files.onnx
    if named is None:
        return folder
    head = named.rpartition(":")[0] if is_factory(named) else named
    if not is_factory(named) or head.endswith(".py"):
        return (folder / head).resolve().parent
    package = head.split(".")[0]
    for place in (folder, Path.cwd()):
        if (place / package).is_dir() or (place / f"{package}.py").is_file():
            return (place / package).resolve() if (place / package).is_dir() else place
    found = importlib.util.find_spec(package)
    return Path(found.origin).parent if found is not None and found.origin is not None else folder


def _reference_key(suite: Suite, case: Case, reference: str, max_steps: int | None) -> str:
    text = f"{suite.sha256()}/{case.model}/{case.version}/{reference}/{case.workload}/{max_steps}"
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def source_of(suite: Suite, case: Case, kind: str, folder: Path) -> Facts:
    """What a session of this backend is opened from; the path of an ONNX file is filled in when it is built."""
    files, outputs = case.files, suite.model[case.model].outputs
    base: Facts = {"folder": str(folder), "options": files.options, "outputs": outputs}
    if kind == "fake":
        return {**base, "kind": "fake", "location": "", "options": files.fake or {}}
    if kind == "pytorch" and files.pytorch:
        file_kind = pytorch_kind(files.pytorch)
        location = files.pytorch if file_kind == "factory" else str(folder / files.pytorch)
        return {**base, "kind": file_kind, "location": location, **_changed(case)}
    return {**base, "kind": "onnx", "location": ""}


def made_for(prepared: Prepared, case: Case) -> Facts:
    """What a worker may need beside the session's source.

    The variant's ONNX file, and what an engine was built from it with.
    """
    engine = prepared.engines.get((case.variant, case.backend))
    return {
        "onnx": prepared.artifacts.get(case.variant, {}).get("path") or "",
        "engine_options": engine["options"] if engine else {},
    }


def opened_from(suite: Suite, folder: Path, prepared: Prepared, case: Case) -> tuple[Facts, dict[str, Any]]:
    """The source of a case's session, with the file that was made for it, and the backend's options."""
    source, options = source_of(suite, case, case.choice.kind, folder), case.choice.session_options()
    if (engine := prepared.engines.get((case.variant, case.backend))) is not None:
        source |= {"kind": "engine", "location": engine["path"], "sha256": engine["file_sha256"]}
        options["asked"] = None if case.choice.allow_fallback else case.precision_asked
    elif source["kind"] == "onnx":
        source["location"] = prepared.artifacts[case.variant]["path"]
        if case.recipe.precision and not case.choice.allow_fallback:
            options["asked"] = case.recipe.precision
    return source, options | check_named(case.check).session_options(case)


def _base(suite: Suite, case: Case) -> Facts | None:
    """The recipe of the variant that this one starts from, where it names one."""
    if case.recipe.base is None:
        return None
    base = suite.variant[case.recipe.base]
    return {**base.model_dump(include={"recipe", "options"}), "calibration": calibration_of(suite, base)}


def calibration_of(suite: Suite, variant: Variant) -> Facts | None:
    """The data that a variant's quantizer learns from, where it names some."""
    if variant.calibration is None:
        return None
    workload = suite.workload[variant.calibration].model_dump(mode="json", exclude_none=True)
    return {"name": variant.calibration, "workload": workload}


def _changed(case: Case) -> Facts:
    """What is done to the loaded module, for variants that are made so."""
    if case.recipe.recipe not in MODULE_RECIPES:
        return {}
    return {"recipe": case.recipe.recipe, "recipe_options": case.recipe.options}


def record_golden(
    suite: Suite, folder: Path, store: Store, model: str, version: str | None, workload: str, name: str
) -> goldens.Golden:
    """Run the reference of a model on a workload once, and keep it under a name.

    Raises:
        UsageError: the suite has no such model or workload together, or the reference failed.
    """
    cases = [
        c for c in expand(suite, {model: version} if version else None) if c.model == model and c.workload == workload
    ]
    if not cases:
        pairs = {f"{c.model} with {c.workload}" for c in expand(suite)}
        raise UsageError(
            f"suite {suite.name!r} has no case of {model!r} with"
            f" {workload!r}.{nearest(f'{model} with {workload}', pairs)}"
        )
    goldens.check_name(name)
    prepared = prepare(suite, folder, store, cases[:1])
    if failure := prepared.failure_for(cases[0]):
        raise UsageError(f"the reference of {model!r} failed: {failure.message}")
    recorded = goldens.read(store.goldens, prepared.golden_names[workload])
    steps = ((recorded.inputs(i), recorded.outputs(i)) for i in range(len(recorded.steps)))
    return goldens.write(
        store.goldens, name, {**recorded.facts, "suite": suite.name, "recorded_at": now().isoformat()}, steps
    )
