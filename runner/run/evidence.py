"""What a pass leans on: whether the variant is another model at all, and ran in the precision that it stands for."""

from __future__ import annotations

from collections.abc import Iterator

from assay.runner.backends import ENGINES
from assay.runner.graphs.precision import HALF, Counts, narrow, share_in, widened, words
from assay.runner.recipes import RECIPES
from assay.runner.run.outcome import Facts, Outcome, is_main

PROVES_NOTHING = (
    "nothing_changed",
    "same_as_reference",
    "own_golden",
    "precision_not_as_stored",
    "precision_unknown",
)
"""Kinds of findings with severity `vacuous` that make every pass of the case one that proves nothing."""


def nothing_proved(outcome: Outcome) -> str | None:
    """Why no pass of the case proves anything; None where it may."""
    found = outcome.told.get("finding", [])
    return next((f["message"] for f in found if f["kind"] in PROVES_NOTHING and f["severity"] == "vacuous"), None)


def evidence_findings(outcome: Outcome) -> Iterator[Facts]:
    """What makes a pass worth less, of a case that came to its end."""
    unchanged = [*_unchanged_module(outcome), *_own_golden(outcome)]
    yield from unchanged
    yield from _precision(outcome)
    told = [f["kind"] for f in (*outcome.told.get("finding", []), *unchanged)]
    if not {"nothing_changed", "own_golden"} & set(told) and not any(r["mode"] == "rounded" for r in _probes(outcome)):
        yield from _same_as_reference(outcome)


def say_what_ran(outcome: Outcome) -> None:
    """Put the element types that products really ran in beside those that are stored."""
    executed = next((event["executed"] for event in outcome.told.get("arithmetic", [])), None)
    ran, stored = words(executed), outcome.opened.get("precision") or ""
    if ran and ran not in stored:
        outcome.opened["precision"] = f"{stored}, {ran}" if stored else ran


def _probes(outcome: Outcome) -> list[Facts]:
    return [receipt for receipt in outcome.receipts if not is_main(receipt)]


def _alters(outcome: Outcome) -> bool:
    return RECIPES[outcome.case.recipe.recipe].alters


def _unchanged_module(outcome: Outcome) -> Iterator[Facts]:
    """A recipe that changes modules once they are loaded, and changed none."""
    count = outcome.opened.get("modules_changed")
    if _alters(outcome) and count == 0:
        recipe = outcome.case.recipe.recipe
        message = (
            f"recipe {recipe!r} changed none of {outcome.opened['modules']} modules: agreeing with the original proves"
            " nothing"
        )
        yield {"kind": "nothing_changed", "subject": recipe, "severity": "vacuous", "message": message}


def _own_golden(outcome: Outcome) -> Iterator[Facts]:
    """A golden that this very model made, on this very backend."""
    case = outcome.case
    if case.golden is None or _alters(outcome):
        return
    for told in outcome.told.get("finding", []):
        if told["kind"] == "golden_of_this_model" and told["subject"] == case.backend:
            yield {**told, "kind": "own_golden", "subject": case.golden, "severity": "vacuous"}


def _same_as_reference(outcome: Outcome) -> Iterator[Facts]:
    """A variant that should differ, and is equal to the last bit in every float output of every step."""
    merged = [r for r in outcome.receipts if r["step"] < 0 and is_main(r)]
    floats = [r for r in merged if "float" in str(r["expected_dtype"]) and r["elements"] and r["max_abs"] is not None]
    if not _alters(outcome) or not floats or any(r["max_abs"] or r["violations"] for r in merged):
        return
    message = (
        f"recipe {outcome.case.recipe.recipe!r} is there to change what is computed, and every output is equal to the"
        " last bit: it is the original under another name, or what it changed does not reach an output"
    )
    yield {"kind": "same_as_reference", "subject": outcome.case.variant, "severity": "vacuous", "message": message}


def _precision(outcome: Outcome) -> Iterator[Facts]:
    """What ran in another type than was asked for, or than the file says."""
    case, asked = outcome.case, outcome.case.recipe.precision
    if case.choice.kind in ENGINES:  # an engine says in which precision each of its layers runs, and fails by itself
        return
    for told in outcome.told.get("arithmetic", []):
        executed: Counts | None = told["executed"]
        stored: Counts | None = told["stored"]
        if executed is None:
            yield from _unknown(outcome, stored)
        elif asked and not case.choice.allow_fallback and (share_in(asked, executed) or 0.0) < HALF:
            message = f"{asked} was asked for; {words(executed) or 'nothing that multiplies'} ran"
            yield {"kind": "precision_not_as_asked", "subject": asked, "severity": "fail", "message": message}
        elif stored is not None and (wider := widened(stored, executed)) is not None:
            yield _not_as_stored(wider, executed, told["rounded_steps"], told["not_rounded"])


def _unknown(outcome: Outcome, stored: Counts | None) -> Iterator[Facts]:
    """The backend does not say what it computed in: a pass says nothing of a precision that was asked for."""
    case = outcome.case
    asked = None if case.choice.allow_fallback else case.recipe.precision
    held = narrow(stored) if stored is not None else []
    if not asked and not held:
        return
    message = f"{case.backend} does not say in which precision it computed; " + (
        f"{asked} was asked for" if asked else f"the file holds {', '.join(held)}"
    )
    severity = "vacuous" if asked else "note"
    yield {"kind": "precision_unknown", "subject": case.backend, "severity": severity, "message": message}


def _not_as_stored(wider: tuple[str, int, int], executed: Counts, steps: int, why: str | None) -> Facts:
    what, some, total = wider
    ran = f"{what} were computed wider than they are stored ({some} of {total}; {words(executed)} ran)"
    if steps:
        message = (
            f"{ran}. The verdict `rounded` is of the same file with every result rounded to its own type, on"
            f" {steps} steps; the other verdicts are of what ran here"
        )
        severity = "warning"
    else:
        message = f"{ran}: what it computes where it runs as stored is not known ({why or 'it was not evaluated'})"
        severity = "vacuous"
    return {"kind": "precision_not_as_stored", "subject": what, "severity": severity, "message": message}
