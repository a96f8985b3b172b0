"""A suite looked at before it runs: its cases, what it leaves out, and what its models take and give."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from assay.runner.errors import UsageError
from assay.runner.investigate.held import Held, held
from assay.runner.investigate.rehearse import rehearse
from assay.runner.suites.case import Case, Expansion, expansion
from assay.runner.suites.checks import CHECKS
from assay.runner.suites.notes import Note, notes
from assay.runner.suites.suite import find_suite, load_suite
from assay.runner.workloads import golden as goldens


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found."""

    asked: Expansion
    notes: list[Note]
    models: list[Held]
    """Empty where no model was to be opened."""

    @property
    def problems(self) -> list[str]:
        return [text for model in self.models for text in model.problems]

    @property
    def unmet_words(self) -> list[str]:
        return [one.words for one in self.asked.unmet]

    @property
    def compares_nothing(self) -> list[str]:
        """What is asked for and compared with nothing: such a run ends with exit code 4."""
        alone = [case for case in self.asked.cases if CHECKS[case.check].compares and case.is_reference]
        return [
            *self.unmet_words,
            *(f"{case.name}: it is the reference itself, and nothing is compared with it" for case in alone),
        ]

    def as_document(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "cases": [_line(case) for case in self.asked.cases],
            "left_out": [{"case": one.name, "why": one.why} for one in self.asked.left_out],
            "nothing_compared": self.compares_nothing,
            "notes": [asdict(note) for note in self.notes],
            "models": [asdict(model) for model in self.models],
            "ok": not self.problems,
        }


def _line(case: Case) -> dict[str, Any]:
    return {
        "case": case.name,
        "version": case.version,
        "recipe": case.recipe.recipe,
        "reference": (case.golden and f"golden:{case.golden}") or case.reference,
        "policy": case.policy_name,
    }


def check_suite(name: str, goldens_folder: Path, *, opened: bool) -> Checked:
    """Read a suite, and open its models unless they are to stay closed.

    Raises:
        UsageError: the suite is wrong, or there is none of this name.
    """
    path = find_suite(name)
    suite = load_suite(path)
    found = expansion(suite)
    said = [*notes(suite, found), *_goldens(found, goldens_folder)]
    models: list[Held] = []
    if opened:
        models.extend(
            held(suite, [case for case in found.cases if case.model == seen.model], seen)
            for seen in rehearse(suite, path.parent.absolute(), found.cases)
        )
    return Checked(found, said, models)


def _goldens(found: Expansion, folder: Path) -> list[Note]:
    """Goldens that are not there: they may be on the host that runs the suite, where it would be refused without."""
    said = []
    for name in dict.fromkeys(case.golden for case in found.cases if case.golden):
        try:
            goldens.read(folder, name)
        except UsageError as error:
            said.append(Note(f"golden {name}", f"{error} A run is refused without it."))
    return said
