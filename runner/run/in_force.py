"""What was in force in a case's process: its comparability key, and what is not as it was asked for."""

from __future__ import annotations

from collections.abc import Iterator

from assay.runner.run.checks import check_named
from assay.runner.run.outcome import Facts, Outcome
from assay.schema.comparability import key_of, unlike

_HOST = ("affinity", "governor", "boost", "cpu_quota", "nice", "scheduler", "allocator", "denormals")
_NOT_COMPARED = frozenset({"CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES"})
"""Which of a host's devices it was: schedulers give another one every night, and `hardware` and `device` say what it
is. They are recorded all the same."""


def threads_of(outcome: Outcome) -> int | None:
    """Threads that were in force, told by the worker; of one that does not know, those that were asked for."""
    told = outcome.opened.get("threads")
    return outcome.case.choice.threads if told is None else int(told)


def comparability_of(outcome: Outcome, hardware_class: str) -> str:
    """The key of a case: what is asked, on what, and what was in force in its process.

    A case that never opened has the first half alone. On a device the host's threads move little, and are compared
    where they were asked for.
    """
    case, opened = outcome.case, outcome.opened
    device = opened.get("device", case.choice.runs_on)
    threads = threads_of(outcome) if device == "cpu" else case.choice.threads
    parts: dict[str, object] = {
        "model": case.model,
        "workload": f"{case.workload}:{outcome.prepared.get('inputs_sha256', '')[:12]}",
        "mode": check_named(case.check).comparable_by(outcome),
        "hardware": hardware_class,
        "device": device,
        "threads": threads or "default",
    }
    facts = opened.get("in_force")
    if facts is None:
        return key_of(parts)
    parts |= {name: "none" if facts.get(name) is None else facts[name] for name in _HOST}
    return key_of(parts, {n: v for n, v in facts["variables"].items() if n not in _NOT_COMPARED})


def in_force_findings(outcome: Outcome) -> Iterator[Facts]:
    """Threads that were asked for and not in force: a figure of them is a figure of something else."""
    asked, told = outcome.case.choice.threads, outcome.opened.get("threads")
    if asked is not None and told is not None and told != asked:
        yield {
            "kind": "threads_not_in_force",
            "subject": "threads",
            "severity": "fail" if outcome.case.is_timed else "warning",
            "message": f"{asked} threads were asked for, and {told} were in force: the model's own code, a variable or"
            " the library has set another number",
        }


def add_unlike(outcomes: list[Outcome], hardware_class: str = "") -> None:
    """Say of every case what was in force otherwise than in the one that its ratio is over."""
    base = next((o for o in outcomes if o.case.is_base and o.opened), None)
    for outcome in outcomes:
        if base is None or outcome is base or outcome.ratio is None:
            continue
        keys = (comparability_of(one, hardware_class) for one in (base, outcome))
        if differs := unlike(*keys):
            outcome.told.setdefault("finding", []).append(
                {
                    "kind": "unlike_in_force",
                    "subject": "latency_ratio",
                    "severity": "warning",
                    "message": f"the ratio to {outcome.compared_with} is not of the models alone: {differs}",
                }
            )
