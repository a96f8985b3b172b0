"""A suite's names, dtypes and shapes held against what a model was seen to take and give. Pure: facts in, words out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from assay.runner.errors import nearest
from assay.runner.investigate.rehearse import Rehearsal
from assay.runner.session import refused
from assay.runner.suites.case import Case
from assay.runner.suites.checks import CHECKS
from assay.runner.suites.suite import Model, Suite
from assay.runner.worker.events.facts import PortsRead, Rehearsed

Ports = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Held:
    """What a model and its suite disagree about."""

    model: str
    state: str
    """`opened`, `failed` or `not here`."""
    problems: list[str] = field(default_factory=list)
    """What makes cases fail, or judge nothing."""
    notes: list[str] = field(default_factory=list)


def held(suite: Suite, cases: Sequence[Case], seen: Rehearsal) -> Held:
    """Everything that the suite says of a model, against the model; `cases` are that model's own."""
    if seen.missing is not None:
        return Held(seen.model, "not here", notes=[f"it was not opened: {seen.missing}"])
    if why := seen.failed.get(""):
        return Held(seen.model, "failed", [f"it cannot be opened: {why}", *_unusable(seen.file)])
    model = suite.model[seen.model]
    problems = [*_unusable(seen.file)]
    problems += [f"it cannot run workload {name!r}: {why}" for name, why in seen.failed.items()]
    notes: list[str] = []
    for name, batch in seen.batches.items():
        problems += [f"contract, workload {name!r}: {text}" for text in batch.violations]
        if seen.file is not None:
            problems += _inputs(model, name, batch, seen.file)
            notes += _not_taken(model, name, batch, seen.file)
    for batch in [*seen.batches.values()][:1]:
        problems += [*_outputs(model, batch, seen), *_policies(suite, cases, batch), *_exports(suite, cases, batch)]
        problems += [*_generations(cases, batch), *_renamed_inputs(model, batch, seen)]
        notes += _not_compared(model, batch, seen)
    problems += _tasks(suite, cases, seen)
    own = [case for case in cases if case.model == seen.model]
    if own and all(case.expect for case in own):  # it is bad on purpose: what is wrong with it is what it is for
        problems, notes = [], [*notes, *(f"as its cases expect: {problem}" for problem in problems)]
    return Held(seen.model, "opened", list(dict.fromkeys(problems)), list(dict.fromkeys(notes)))


def _unusable(file: PortsRead | None) -> Iterator[str]:
    """Ports of a type that no workload can feed, or no comparison can read."""
    if file is not None:
        for side, ports in (("input", file.inputs), ("output", file.outputs)):
            for name, port in ports.items():
                if why := refused(port["dtype"], side):
                    yield f"{side} {name!r} of the ONNX file {why}"


def _inputs(model: Model, workload: str, batch: Rehearsed, file: PortsRead) -> Iterator[str]:
    """A workload's arrays, as the given file takes them."""
    ours = {model.rename_inputs.get(name, name): facts for name, facts in batch.inputs.items()}
    for name, port in file.inputs.items():
        whole = ours.get(name)
        if whole is None:
            if not port["dtype"].startswith(("seq(", "optional(")):
                yield (
                    f"workload {workload!r} has no input {name!r}, which the ONNX file takes (map names with"
                    f" rename_inputs).{nearest(name, ours)}"
                )
            continue
        where = f"input {name!r} of workload {workload!r}"
        if "(" in port["dtype"]:
            continue  # a sequence is fed by its elements
        if whole["dtype"] != port["dtype"] and not (port["dtype"] == "string" and _is_text(whole["dtype"])):
            yield f"{where} is {whole['dtype']}, the ONNX file takes {port['dtype']}"
        if not _fits(whole["shape"], port["shape"]):
            yield f"{where} has shape {whole['shape']}, the ONNX file takes {port['shape']}"


def _is_text(dtype: str) -> bool:
    return dtype.startswith(("str", "object", "bytes"))


def _fits(shape: Sequence[int], wanted: Sequence[int | str]) -> bool:
    """Sizes agree where the file fixes them; a symbol takes any."""
    if not wanted and shape:
        return False
    return len(shape) == len(wanted) and all(
        isinstance(want, str) or want == have for have, want in zip(shape, wanted, strict=True)
    )


def _not_taken(model: Model, workload: str, batch: Rehearsed, file: PortsRead) -> Iterator[str]:
    for name in batch.given:
        theirs = model.rename_inputs.get(name, name)
        if theirs not in file.inputs and not any(
            port.startswith(f"{theirs.partition('.')[0]}") for port in file.inputs
        ):
            yield f"input {name!r} of workload {workload!r} is none of the ONNX file's, which runs without it"


def _outputs(model: Model, batch: Rehearsed, seen: Rehearsal) -> Iterator[str]:
    """Names of outputs: as the suite lists them, and as `rename` maps the file's onto the reference's."""
    ours = batch.outputs
    for name in model.outputs or ():
        if name not in ours:
            yield f"outputs: the model gives no {name!r}; it gives {_listed(ours)}.{nearest(name, ours)}"
    theirs = ours if seen.file is None else seen.file.outputs
    for name, onto in model.rename.items():
        if name not in theirs:
            yield f"rename: the candidate has no output {name!r}.{nearest(name, theirs)}"
        if onto not in ours:
            yield f"rename: the reference has no output {onto!r}.{nearest(onto, ours)}"
    if seen.file is None or seen.reference == "onnxruntime" or len(ours) == len(theirs) == 1:
        return
    mapped = {model.rename.get(name, name) for name in theirs}
    for name in {*ours} - mapped - {name for name in ours if name.partition(".")[0] in mapped}:
        yield (
            f"output {name!r} of the reference is none of the ONNX file's: {_listed(theirs)} (map names with"
            f" rename).{nearest(name, theirs)}"
        )


def _renamed_inputs(model: Model, batch: Rehearsed, seen: Rehearsal) -> Iterator[str]:
    for name, into in model.rename_inputs.items():
        if name not in batch.inputs:
            yield f"rename_inputs: the reference has no input {name!r}.{nearest(name, batch.inputs)}"
        if seen.file is not None and into not in seen.file.inputs:
            yield f"rename_inputs: the ONNX file has no input {into!r}.{nearest(into, seen.file.inputs)}"


def _not_compared(model: Model, batch: Rehearsed, seen: Rehearsal) -> Iterator[str]:
    """What a given file gives beyond its reference, or in another dtype."""
    if seen.file is None or seen.reference == "onnxruntime" or len(batch.outputs) == len(seen.file.outputs) == 1:
        return
    for name, port in seen.file.outputs.items():
        right = batch.outputs.get(model.rename.get(name, name))
        if right is None:
            yield f"output {name!r} of the ONNX file is compared with nothing: the reference has no such output"
        elif right["dtype"] != port["dtype"] and "(" not in port["dtype"] and not _is_text(right["dtype"]):
            yield f"output {name!r} is {port['dtype']} in the ONNX file and {right['dtype']} in the reference"


def _policies(suite: Suite, cases: Sequence[Case], batch: Rehearsed) -> Iterator[str]:
    """Entries for outputs that there are not; the policies that ship are written for several models."""
    for case in cases:
        if case.policy_name in suite.policy or case.policy_name == "in place":
            for name in case.policy.outputs:
                if name not in batch.outputs:
                    yield (
                        f"policy {case.policy_name!r} has an entry for output {name!r}, which the model does not give."
                        f"{nearest(name, batch.outputs)}"
                    )


def _exports(suite: Suite, cases: Sequence[Case], batch: Rehearsed) -> Iterator[str]:
    """Axes that are to vary, of inputs that there are not, or beyond their axes."""
    asked = [suite.model[cases[0].model].export, *(c.recipe.options for c in cases if c.recipe.recipe == "export")]
    for options in asked:
        for name, axes in (options.get("dynamic") or {}).items():
            if name not in batch.inputs:
                yield f"export: dynamic names input {name!r}, which there is not.{nearest(name, batch.inputs)}"
                continue
            rank = len(batch.inputs[name]["shape"])
            for axis in axes:
                if not -rank <= int(axis) < rank:
                    yield f"export: dynamic names axis {axis} of input {name!r}, which has {rank} axes"


def _generations(cases: Sequence[Case], batch: Rehearsed) -> Iterator[str]:
    for case in cases:
        if CHECKS[case.check].generates and case.generate.token not in batch.outputs:
            yield (
                f"generate: the model gives no output {case.generate.token!r} to go on with."
                f"{nearest(case.generate.token, batch.outputs)}"
            )


def _tasks(suite: Suite, cases: Sequence[Case], seen: Rehearsal) -> Iterator[str]:
    """Labels and answers of what is counted."""
    for case in cases:
        batch, workload = seen.batches.get(case.workload), suite.workload.get(case.workload)
        if not CHECKS[case.check].counts or batch is None or workload is None:
            continue
        where, task = f"workload {case.workload!r}", workload.task
        if task is None:
            yield f"{where} has no task, and quality counts by one"
            continue
        detects = task.kind == "detection"
        answers = (task.boxes, task.scores, task.classes) if detects else (task.output,)
        labels = (task.label_boxes, task.label_classes) if detects else (task.label,)
        yield from _not_there(where, "task names output", answers, batch.outputs)
        yield from _not_there(where, "task names label", labels, batch.labels)


def _not_there(where: str, what: str, names: Iterable[str], there: Iterable[str]) -> Iterator[str]:
    known = list(there)
    for name in names:
        if name not in known:
            yield f"{where}: {what} {name!r}, which there is not.{nearest(name, known)}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)
