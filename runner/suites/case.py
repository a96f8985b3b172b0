"""Cases: every combination that a suite asks for, with everything resolved that is known before it runs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import product

from assay.runner.errors import UsageError, nearest
from assay.runner.recipes import MODULE_RECIPES, asked_of
from assay.runner.rules.policy import Policy
from assay.runner.source import is_factory
from assay.runner.suites.checks import CHECKS, Combination
from assay.runner.suites.suite import BackendChoice, Generate, ModelFiles, Suite, Timing, Variant


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


def expand(suite: Suite, versions: dict[str, str] | None = None) -> list[Case]:
    """Every case of a suite; `versions` picks one of a model's named versions (its last is the default).

    Combinations that mean nothing are left out: a backend that cannot open what a variant's recipe makes.

    Raises:
        UsageError: a version or model that the suite does not have.
    """
    versions = versions or {}
    for model in versions:
        if model not in suite.model:
            raise UsageError(f"suite {suite.name!r} has no model {model!r}.{nearest(model, suite.model)}")
    cases = []
    for group, table in enumerate(suite.case):
        asked = [(check, mode) for check in table.checks for mode in CHECKS[check].modes(table.modes)]
        combinations = product(
            table.models, table.workloads or (table.golden or "",), table.variants, table.backends, asked
        )
        for model_name, workload, variant, backend, (check, mode) in combinations:
            version, files = _version(suite, model_name, versions.get(model_name))
            recipe, choice = suite.variant_named(variant, model_name, files), suite.backend_named(backend)
            reference = table.reference or _default_reference(files)
            if not _can_open(choice.kind, recipe.recipe, files):
                continue
            alone = len(table.backends) == 1
            together = Combination(backend, choice.kind, recipe, reference, table.golden, alone)
            if not CHECKS[check].combines(together):
                continue
            policy = table.tolerance or (suite.policy_named(table.policy) if table.policy else Policy())
            cases.append(
                Case(
                    suite=suite.name, model=model_name, version=version, files=files, variant=variant, recipe=recipe,
                    backend=backend, choice=choice, workload=workload, check=check,
                    reference=None if table.golden else reference, golden=table.golden,
                    policy_name=table.policy or ("in place" if table.tolerance else "default"), policy=policy,
                    timing=table.timing, generate=table.generate, against=table.against, timeout_s=table.timeout_s or suite.timeout_s, group=group,
                    mode=mode, max_steps=table.max_steps, expect=table.expect, expect_finding=table.expect_finding,
                    coverage=table.coverage,
                )
            )  # fmt: skip
    return cases


def _version(suite: Suite, model_name: str, asked: str | None) -> tuple[str, ModelFiles]:
    model = suite.model[model_name]
    if not model.versions:
        return asked or model.version, model.files(ModelFiles())
    version = asked or list(model.versions)[-1]
    if version not in model.versions:
        raise UsageError(f"model {model_name!r} has no version {version!r}.{nearest(version, model.versions)}")
    return version, model.files(model.versions[version])


def _default_reference(files: ModelFiles) -> str:
    if files.pytorch:
        return "pytorch"
    return "fake" if files.fake is not None else "onnxruntime"


def _can_open(kind: str, recipe: str, files: ModelFiles) -> bool:
    if kind == "pytorch":
        return files.pytorch is not None and recipe in ("export", "given", *MODULE_RECIPES)
    if recipe in MODULE_RECIPES:
        return False
    if kind == "fake":
        return files.fake is not None
    return files.fake is None or files.onnx is not None


def pytorch_kind(location: str) -> str:
    """`factory`, `torchscript` or `exported-program`, from how a suite writes it."""
    if is_factory(location):
        return "factory"
    return "exported-program" if location.endswith(".pt2") else "torchscript"
