"""Cases: every combination that a suite asks for, with everything resolved that is known before it runs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from math import prod

from assay.runner.errors import UsageError, nearest
from assay.runner.recipes import MODULE_RECIPES, asked_of
from assay.runner.rules.policy import Policy
from assay.runner.source import is_factory
from assay.runner.suites.checks import CHECKS, Combination
from assay.runner.suites.suite import MOST_CASES, BackendChoice, CaseTable, Generate, ModelFiles, Suite, Timing, Variant


@dataclass(frozen=True, slots=True)
class Case:
    """The smallest thing that runs."""

    suite: str
    model: str
    version: str
    """As named in the suite; `git` and `artifact` are resolved when the model is prepared."""
    files: ModelFiles
    variant: str
    recipe: Variant
    backend: str
    choice: BackendChoice
    workload: str
    check: str
    reference: str | None
    golden: str | None
    policy_name: str
    policy: Policy
    timing: Timing
    generate: Generate
    against: str | None
    """`variant/backend` that ratios are over."""
    timeout_s: float
    group: int
    """Which `[[case]]` table it came from: a benchmark is interleaved inside one model, workload and table."""
    mode: str = "functional"
    """Of parity, see `assay.runner.parity.steps`; of a benchmark on a device, see `assay.runner.timing.device`."""
    max_steps: int | None = None
    pad_side: str | None = None
    expect: str | None = None
    """What a known-bad case has to come to."""
    expect_finding: str | None = None
    coverage: tuple[str, ...] = ()
    """What has to have been exercised: words of `assay.runner.rules.coverage`."""

    @property
    def name(self) -> str:
        asked = CHECKS[self.check].word(self.check, self.mode)
        side = f"-pad-{self.pad_side}" if self.pad_side else ""
        return f"{self.model}/{self.variant}/{self.backend}/{self.workload}/{asked}{side}"

    @property
    def is_reference(self) -> bool:
        """Whether it is what its reference's outputs are recorded from: the same backend on the same source."""
        if self.reference is None or self.backend != self.reference:
            return False
        if self.choice.kind == "pytorch":
            return self.recipe.recipe not in MODULE_RECIPES
        return self.choice.kind == "fake" or self.recipe.recipe == "given"

    @property
    def is_base(self) -> bool:
        """Whether the others of its table are compared with its time."""
        if self.against is None:
            return self.backend == self.reference
        return f"{self.variant}/{self.backend}" == self.against

    @property
    def precision_asked(self) -> str | None:
        """What the variant's products are meant to run in; None where nothing says it."""
        return self.recipe.precision or asked_of(self.recipe.recipe, self.recipe.options)

    @property
    def is_timed(self) -> bool:
        """Whether it is measured in turns with the others of its table, and not compared with a right side."""
        return CHECKS[self.check].timed

    @property
    def in_turns(self) -> bool:
        """Whether it is timed block by block with the others of its table."""
        return CHECKS[self.check].in_turns

    @property
    def has_sides(self) -> bool:
        """Whether states are fed back, so that they may be padded on one side or the other."""
        kind = CHECKS[self.check]
        return kind.streams and self.mode != kind.default_mode

    @property
    def key(self) -> str:
        return hashlib.sha256(f"{self.suite}/{self.name}".encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A combination that a `[[case]]` table asks for and that is no case."""

    name: str
    """As a case, it would be called so."""
    why: str


@dataclass(frozen=True, slots=True)
class Unmet:
    """A check of a model that a table asks for, of which nothing is left."""

    model: str
    check: str
    table: int
    """Which `[[case]]`, from 1 on."""
    left_out: tuple[LeftOut, ...]

    @property
    def words(self) -> str:
        reasons = "; ".join(dict.fromkeys(one.why for one in self.left_out))
        return f"case {self.table} asks for {self.check} of {self.model!r}, and nothing of it can be done: {reasons}"


@dataclass(frozen=True, slots=True)
class Expansion:
    """What a suite comes to: its cases, and what it asks for that is none."""

    cases: list[Case]
    left_out: list[LeftOut]
    unmet: list[Unmet]

    def only(self, matches: Callable[[str], bool]) -> Expansion:
        """The part whose names match; what is asked for and not met counts where one of its names does."""
        return Expansion(
            [case for case in self.cases if matches(case.name)],
            [one for one in self.left_out if matches(one.name)],
            [one for one in self.unmet if any(matches(combination.name) for combination in one.left_out)],
        )


def expand(suite: Suite, versions: dict[str, str] | None = None) -> list[Case]:
    """Every case of a suite; `versions` picks one of a model's named versions (its last is the default).

    Raises:
        UsageError: a version or model that the suite does not have.
    """
    return expansion(suite, versions).cases


def expansion(suite: Suite, versions: dict[str, str] | None = None) -> Expansion:
    """Every case of a suite, and every combination that is none with why.

    Left out is what a backend cannot open, what means nothing to a check, and the reference itself where a table
    compares something with it; where it compares nothing else, the reference stays, and its verdict is vacuous.

    Raises:
        UsageError: a version or model that the suite does not have, or the suite asks for more than MOST_CASES.
    """
    versions = versions or {}
    for model in versions:
        if model not in suite.model:
            raise UsageError(f"suite {suite.name!r} has no model {model!r}.{nearest(model, suite.model)}")
    _bounded(suite)
    found = Expansion([], [], [])
    for group, table in enumerate(suite.case):
        made = [
            _combined(suite, group, _version(suite, combination[0], versions.get(combination[0])), combination)
            for combination in _combinations(table)
        ]
        compared = {_compared_as(case) for case, why in made if why is None and not case.is_reference}
        told: list[tuple[Case, str | None]] = []
        for case, why in made:
            itself = why is None and CHECKS[case.check].compares and case.is_reference
            told.append((case, _ITSELF if itself and _compared_as(case) in compared else why))
        found.cases.extend(case for case, why in told if why is None)
        found.left_out.extend(LeftOut(case.name, why) for case, why in told if why is not None)
        found.unmet.extend(_unmet(group, told))
    return found


def _bounded(suite: Suite) -> None:
    """Raises UsageError: the combinations of all tables are too many; none of them is made to find out."""
    asked = 0
    for number, table in enumerate(suite.case, 1):
        modes = sum(len(CHECKS[check].modes(table.modes)) for check in table.checks)
        parts = {
            "models": len(table.models),
            "workloads": len(table.workloads) or 1,
            "variants": len(table.variants),
            "backends": len(table.backends),
            "checks and modes": modes,
        }
        asked += prod(parts.values())
        if asked > MOST_CASES:
            factors = " x ".join(f"{count} {name}" for name, count in parts.items())
            raise UsageError(
                f"suite {suite.name!r} asks for {asked} cases up to case {number} ({factors} ="
                f" {prod(parts.values())}); the most is {MOST_CASES}. Split it into suites, or name fewer in each list."
            )


_ITSELF = "it is the reference itself, which the others are compared with"


_Combined = tuple[str, str, str, str, tuple[str, str]]
"""Model, workload, variant, backend, and check with its mode."""


def _combinations(table: CaseTable) -> Iterator[_Combined]:
    """Everything that a table asks for, in the order in which it runs."""
    asked = [(check, mode) for check in table.checks for mode in CHECKS[check].modes(table.modes)]
    yield from product(table.models, table.workloads or (table.golden or "",), table.variants, table.backends, asked)


def _combined(
    suite: Suite, group: int, made_from: tuple[str, ModelFiles], combination: _Combined
) -> tuple[Case, str | None]:
    """One combination as a case, and why it is none."""
    model, workload, variant, backend, (check, mode) = combination
    table, (version, files) = suite.case[group], made_from
    recipe, choice = suite.variant_named(variant, model, files), suite.backend_named(backend)
    policy = table.tolerance or (suite.policy_named(table.policy) if table.policy else Policy())
    case = Case(
        suite=suite.name, model=model, version=version, files=files, variant=variant, recipe=recipe,
        backend=backend, choice=choice, workload=workload, check=check,
        reference=None if table.golden else table.reference or default_reference(files), golden=table.golden,
        policy_name=table.policy or ("in place" if table.tolerance else "default"), policy=policy,
        timing=table.timing, generate=table.generate, against=table.against, timeout_s=table.timeout_s or suite.timeout_s, group=group,
        mode=mode, max_steps=table.max_steps, expect=table.expect, expect_finding=table.expect_finding,
        coverage=table.coverage,
    )  # fmt: skip
    cannot = _cannot_open(choice.kind, recipe.recipe, files)
    return case, cannot or CHECKS[check].refuses(Combination(choice.kind, recipe))


def _compared_as(case: Case) -> tuple[str, str, str, str]:
    """What cases of one table have in common that are held against the same outputs."""
    return case.model, case.workload, case.check, case.mode


def _unmet(group: int, told: list[tuple[Case, str | None]]) -> Iterator[Unmet]:
    """Checks of a model of which a table has no case at all."""
    met = {(case.model, case.check) for case, why in told if why is None}
    left: dict[tuple[str, str], list[LeftOut]] = {}
    for case, why in told:
        if (case.model, case.check) not in met and why:
            left.setdefault((case.model, case.check), []).append(LeftOut(case.name, why))
    for (model, check), ones in left.items():
        yield Unmet(model, check, group + 1, tuple(ones))


def _version(suite: Suite, model_name: str, asked: str | None) -> tuple[str, ModelFiles]:
    model = suite.model[model_name]
    if not model.versions:
        return asked or model.version, model.files(ModelFiles())
    version = asked or list(model.versions)[-1]
    if version not in model.versions:
        raise UsageError(f"model {model_name!r} has no version {version!r}.{nearest(version, model.versions)}")
    return version, model.files(model.versions[version])


def default_reference(files: ModelFiles) -> str:
    """The backend that is right by definition, where a suite names none."""
    if files.pytorch:
        return "pytorch"
    return "fake" if files.fake is not None else "onnxruntime"


def _cannot_open(kind: str, recipe: str, files: ModelFiles) -> str | None:
    """Why a backend cannot run what a recipe makes of a model; None where it can."""
    if kind == "pytorch":
        if files.pytorch is None:
            return "the model has no `pytorch`, which is all that the pytorch backend opens"
        runs = recipe in ("export", "given", *MODULE_RECIPES)
        return None if runs else f"recipe {recipe!r} makes an ONNX file, which the pytorch backend does not open"
    if recipe in MODULE_RECIPES:
        return f"recipe {recipe!r} changes the module itself, which the pytorch backend alone runs"
    if kind == "fake":
        return None if files.fake is not None else "the model has no `fake`, which is all that the fake backend opens"
    is_fake = files.fake is not None and files.onnx is None
    return "the model is a fake, which the fake backend alone opens" if is_fake else None


def pytorch_kind(location: str) -> str:
    """`factory`, `torchscript` or `exported-program`, from how a suite writes it."""
    if is_factory(location):
        return "factory"
    return "exported-program" if location.endswith(".pt2") else "torchscript"
