"""Names that a policy or a waiver holds and a case does not have: said, since otherwise they do nothing in silence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from assay.runner.errors import nearest
from assay.runner.rules.policies import shipped_policies
from assay.runner.rules.waiver import Waiver
from assay.runner.run.outcome import Facts, Outcome, is_main


def unknown_names(outcome: Outcome, waivers: Sequence[Waiver]) -> Iterator[Facts]:
    """Findings on outputs that are named and are not there; none of a case that compared nothing."""
    outputs = list(dict.fromkeys(r["output"] for r in outcome.receipts if is_main(r)))
    if not outputs:
        return
    policy = outcome.case.policy
    is_shipped = shipped_policies().get(outcome.case.policy_name) == policy  # written for several models
    for name in () if is_shipped else policy.outputs:
        if name not in outputs:
            yield _finding(
                "unknown_output",
                name,
                "warning",
                f"the policy {outcome.case.policy_name!r} has an entry for output {name!r}, which the model does not"
                f" have: it judges nothing.{nearest(name, outputs)}",
            )
    for name in outputs:
        if why := policy.for_output(name).ignore:
            yield _finding("ignored_output", name, "note", f"output {name!r} is not judged: {why}")
    for waiver in waivers:
        if waiver.covers(outcome.case.name) and waiver.output not in outputs:
            yield _finding(
                "unknown_output",
                waiver.output,
                "note",
                f"waiver {waiver.waiver_id} of {waiver.owner} is for output {waiver.output!r}, which the model does not"
                f" have: it covers nothing.{nearest(waiver.output, outputs)}",
            )


def _finding(kind: str, subject: str, severity: str, message: str) -> Facts:
    return {"kind": kind, "subject": subject, "severity": severity, "message": message}
