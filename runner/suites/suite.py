"""Suites: a TOML file in, checked types out. A suite is only data: no templates, no inheritance, no code.

`load_suite` validates and explains; `assay.runner.suites.case.expand` makes one case of each combination that it asks
for.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import types
import typing
from collections.abc import Callable
from functools import partial
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from assay.runner import permission
from assay.runner.backends import BACKENDS, SETTINGS, check_session_options, check_settings
from assay.runner.errors import UsageError, nearest
from assay.runner.recipes import check_recipe
from assay.runner.rules.coverage import COVERAGE, coverage_words
from assay.runner.rules.policies import shipped_policies
from assay.runner.rules.policy import Policy
from assay.runner.rules.strict import StrictModel
from assay.runner.source import present_name
from assay.runner.suites.checks import CHECKS, known_checks, validate_modes
from assay.runner.workloads.asked import Workload
from assay.schema.reading import WRITTEN, read_text, reading, toml

MOST_CASES = 20_000
"""Of one suite: at a second each, a night of six hours."""


class ModelFiles(StrictModel):
    """Where a model comes from. `pytorch` is the reference; `onnx` an export that you already have."""

    pytorch: str | None = Field(
        default=None, description="`file.py:factory`, `module:factory`, a TorchScript .pt or a .pt2."
    )
    onnx: str | None = Field(default=None, description="A path, or a factory that returns a ModelProto or a path.")
    fake: dict[str, Any] | None = Field(default=None, description="Options of the fake backend.")
    options: dict[str, Any] = Field(default={}, description="Keyword arguments of the pytorch factory.")
    onnx_options: dict[str, Any] = Field(default={}, description="Keyword arguments of the onnx factory.")


class Model(ModelFiles):
    why: str = ""
    version: str = Field(
        default="artifact", description="A name, `git` (the commit), or `artifact` (the hash of what runs)."
    )
    versions: dict[str, ModelFiles] = Field(default={}, description="Named versions, each overriding the files above.")
    outputs: tuple[str, ...] | None = Field(default=None, description="Names of the outputs, in the module's order.")
    export: dict[str, Any] = Field(
        default={}, description="Options of the export recipe when a variant has no table of its own."
    )
    rename: dict[str, str] = Field(default={}, description="Candidate's output name -> the reference's.")
    rename_inputs: dict[str, str] = Field(default={}, description="Reference's input name -> the candidate's.")
    contract: str | None = Field(
        default=None,
        description="A contract file beside the suite, or a factory that returns one: states, masks, invariants.",
    )
    contract_options: dict[str, Any] = Field(default={}, description="Keyword arguments of the contract factory.")

    @model_validator(mode="after")
    def _has_files(self) -> Model:
        for files in (self.versions or {"": ModelFiles()}).values():
            merged = self.files(files)
            if merged.pytorch is None and merged.onnx is None and merged.fake is None:
                raise ValueError("a model needs pytorch, onnx or fake")
        return self

    def files(self, own: ModelFiles) -> ModelFiles:
        return ModelFiles(
            pytorch=own.pytorch or self.pytorch,
            onnx=own.onnx or self.onnx,
            fake=self.fake if own.fake is None else own.fake,
            options={**self.options, **own.options},
            onnx_options={**self.onnx_options, **own.onnx_options},
        )


Precision = Literal["float32", "float16", "bfloat16", "int8", "float8", "int4", "float4"]


class Variant(StrictModel):
    """How an artifact is made."""

    recipe: str
    options: dict[str, Any] = {}
    base: str | None = Field(
        default=None, alias="from", description="The variant that a quantizer starts from; `fp32` if left out."
    )
    calibration: str | None = Field(
        default=None, description="The workload that a static quantizer learns its ranges from; never made up."
    )
    precision: Precision | None = Field(
        default=None,
        description=(
            "What its products are meant to run in, where the recipe does not say; an engine that runs another one"
            " fails."
        ),
    )


class BackendChoice(StrictModel):
    """A backend with its settings, under a name of your own."""

    kind: str
    device: str | None = Field(
        default=None, description="`cpu`, `cuda` or `cuda:1`; the CPU if left out, or where the provider runs."
    )
    provider: str | None = Field(
        default=None, description="ONNX Runtime's execution provider; the device's own if left out."
    )
    threads: PositiveInt | None = None
    allow_fallback: bool = Field(
        default=False,
        description="Whether nodes on another provider, or products in another precision, than asked are accepted.",
    )
    python: str | None = Field(default=None, description="Interpreter of another environment that has this backend.")
    options: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _settings_among_options(cls, data: Any) -> Any:
        """Settings that are written among the options are settings all the same."""
        if not isinstance(data, dict) or not isinstance(data.get("options"), dict):
            return data
        among = {name: value for name, value in data["options"].items() if name in SETTINGS}
        if twice := [name for name in among if name in data]:
            raise ValueError(f"{twice[0]!r} is given twice: beside the options, and among them")
        left = {name: value for name, value in data["options"].items() if name not in SETTINGS}
        return {**data, "options": left, **among}

    @model_validator(mode="after")
    def _takes_what_is_given(self) -> BackendChoice:
        if self.kind not in BACKENDS:
            raise ValueError(f"unknown backend {self.kind!r}.{nearest(self.kind, BACKENDS)}")
        written = {name: getattr(self, name) for name in SETTINGS if name in self.model_fields_set}
        try:
            check_settings(self.kind, {name: value for name, value in written.items() if value is not None})
        except UsageError as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def runs_on(self) -> str:
        """The device that is asked for, by itself, by the provider, or by the backend's own choice."""
        row = BACKENDS[self.kind]
        if self.device is not None:
            return self.device
        return row.providers.get(self.provider or "") or (*row.devices, "cpu")[0]

    def session_options(self) -> dict[str, Any]:
        """What a session is opened with: the options, and the settings beside them."""
        row = BACKENDS[self.kind]
        options = dict(self.options)
        if self.threads is not None:
            options["threads"] = self.threads
        if row.devices:
            options["device"] = self.runs_on
        if row.providers:
            options["allow_fallback"] = self.allow_fallback
            if self.provider is not None:
                options["provider"] = self.provider
        return options


class Timing(StrictModel):
    """The measurement protocol of a benchmark."""

    launches: PositiveInt = Field(
        default=3, description="Processes that each case is timed in, one after the other; fewer than 3 decide nothing."
    )
    rounds: PositiveInt = Field(default=5, description="ABBA rounds of a launch: every case gets two blocks in each.")
    block_ms: PositiveFloat = Field(default=100.0, description="Aimed length of one block.")
    max_warmup_s: PositiveFloat = Field(
        default=5.0, description="Warm-up ends at steady state, and here at the latest."
    )
    min_block_calls: PositiveInt = 3
    margin: float = Field(
        default=0.02, ge=0, lt=1, description="Relative difference that does not matter: within it is `equivalent`."
    )
    profile_calls: PositiveInt = Field(
        default=20, description="Of the check `profile`: calls with every operator timed."
    )


class Generate(StrictModel):
    """How a generation goes on: what a step's output is to the next one."""

    tokens: PositiveInt = Field(default=32, description="Steps after the prompt.")
    token: str = Field(
        default="next_token", description="The output that is fed back: as the contract's state, or appended to `into`."
    )
    into: str = Field(default="input_ids", description="The input that grows by it, where no contract has states.")


_CHECK_NAME = {"enum": [*CHECKS], "type": "string"}
CheckNames = Annotated[
    str | tuple[str, ...],
    AfterValidator(known_checks),
    WithJsonSchema({"anyOf": [_CHECK_NAME, {"items": _CHECK_NAME, "type": "array"}]}),
]
CoverageWords = Annotated[
    tuple[str, ...],
    BeforeValidator(coverage_words),
    WithJsonSchema(
        {"anyOf": [{"type": "boolean"}, {"items": {"enum": [*COVERAGE], "type": "string"}, "type": "array"}]}
    ),
]


class CaseTable(StrictModel):
    """One `[[case]]`: every combination of its lists is a case."""

    check: CheckNames
    models: tuple[str, ...]
    variants: tuple[str, ...] = ("fp32",)
    backends: tuple[str, ...] = ("onnxruntime",)
    workloads: tuple[str, ...] = Field(
        default=(), description="May be left out with `golden`, which has its own inputs."
    )
    reference: str | None = Field(
        default=None, description="Backend that is right by definition; `pytorch` if the model has it."
    )
    golden: str | None = Field(default=None, description="A recorded golden to compare with instead of a reference.")
    policy: str | None = None
    tolerance: Policy | None = Field(default=None, description="A policy written in place.")
    modes: tuple[str, ...] = Field(
        default=(),
        description=(
            "Of parity: `functional` (default), `closed_loop`, `mixed-K` (states anew every K steps). Of generation:"
            " `cached` (default: states are fed back), `recomputed` (the whole context at every step). Of a benchmark"
            " on a GPU: words joined by + (`events`, `graph`, `transfers`, `spin`); the host's clock if left out."
        ),
    )
    max_steps: PositiveInt | None = Field(default=None, description="Of parity: no more than these; all if left out.")
    timing: Timing = Timing()
    generate: Generate = Generate()
    against: str | None = Field(
        default=None,
        description="`variant/backend` that ratios are over; the reference, where it is timed too, if left out.",
    )
    timeout_s: PositiveFloat | None = None
    coverage: CoverageWords = Field(
        default=(),
        description=(
            "What has to have been exercised, `true` for all of it: where a note says that it was not, the case fails."
            " `inputs` (each varied, and could be perturbed), `states` (filled), `axes` (open ones at two sizes or"
            " more), `labels` (calibration data of most classes), `golden` (of this version), `mode` (came in"
            " evaluation mode)."
        ),
    )
    expect: Literal["fail", "vacuous"] | None = Field(
        default=None, description="Of a known-bad case: what its verdict has to be; anything else fails the run."
    )
    expect_finding: str | None = Field(
        default=None, description="And the kind of finding, or words of the reason, that it has to come with."
    )

    @property
    def checks(self) -> tuple[str, ...]:
        return (self.check,) if isinstance(self.check, str) else self.check

    @model_validator(mode="after")
    def _modes_exist(self) -> CaseTable:
        try:
            validate_modes(self.checks, self.modes)
        except UsageError as error:
            raise ValueError(str(error)) from None
        return self

    @model_validator(mode="after")
    def _against_is_timed(self) -> CaseTable:
        if self.against is None:
            return self
        pairs = (f"{variant}/{backend}" for variant in self.variants for backend in self.backends)
        known = [*islice(pairs, MOST_CASES)]
        if self.against not in known:
            raise ValueError(
                f"against names {self.against!r}, which this case does not time.{nearest(self.against, known)}"
            )
        return self

    @model_validator(mode="after")
    def _one_right_side(self) -> CaseTable:
        if self.reference and self.golden:
            raise ValueError("give reference or golden, not both")
        if not self.workloads and not self.golden:
            raise ValueError("a case needs workloads, or a golden that has its own inputs")
        if self.policy and self.tolerance:
            raise ValueError("give policy or tolerance, not both")
        return self


class Suite(StrictModel):
    name: str
    why: str = ""
    seed: int = 0
    timeout_s: PositiveFloat = Field(default=600.0, description="Of one case, its model's build excluded.")
    model: dict[str, Model]
    workload: dict[str, Workload] = {}
    variant: dict[str, Variant] = {}
    backend: dict[str, BackendChoice] = {}
    policy: dict[str, Policy] = {}
    case: tuple[CaseTable, ...]

    def sha256(self) -> str:
        text = json.dumps(self.model_dump(mode="json", exclude_defaults=True), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def policy_named(self, name: str) -> Policy:
        """A policy of the suite, or one that ships."""
        return self.policy.get(name) or shipped_policies()[name]

    def backend_named(self, name: str) -> BackendChoice:
        """A backend of the suite, or one by its own name.

        Without `python` it runs where ASSAY_PYTHON_<KIND> says, if that is set.

        Raises:
            UsageError: the suite names an interpreter that nobody allowed.
        """
        choice = self.backend.get(name) or BackendChoice(kind=name)
        if choice.python is not None:
            permission.require_program(choice.python)
        elsewhere = os.environ.get(f"ASSAY_PYTHON_{choice.kind.upper()}")
        return choice.model_copy(update={"python": elsewhere}) if elsewhere and choice.python is None else choice

    def variant_named(self, name: str, model: str, files: ModelFiles) -> Variant:
        """A variant of the suite, or one of the two that need no table: `fp32` is the given ONNX file or an export."""
        if name in self.variant:
            return self.variant[name]
        if files.onnx or files.fake is not None:
            return Variant(recipe="given")
        return Variant(recipe="export", options=self.model[model].export)


def find_suite(name: str) -> Path:
    """A path, or the name of a suite that ships.

    Raises:
        UsageError: neither.
    """
    path = Path(name)
    if path.suffix == ".toml" or path.is_file():
        if not path.is_file():
            raise UsageError(f"suite file {name} is not there.")
        return path
    shipped = shipped_suites()
    if name not in shipped:
        raise UsageError(f"there is no suite {name!r}.{nearest(name, shipped)} Or give the path of a .toml file.")
    return shipped[name]


def shipped_suites() -> dict[str, Path]:
    folder = Path(str(resources.files("assay.runner.suites")))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load_suite(path: Path) -> Suite:
    """Read and validate a suite.

    Raises:
        UsageError: names the file, the case, the key, and the nearest right key.
    """
    data = toml(read_text(path, WRITTEN), path.name)
    with reading(path.name, "a suite"):
        return _validated(path, data)


def _validated(path: Path, data: dict[str, Any]) -> Suite:
    data, renamed = _with_present_names(data, path.parent)
    if renamed:
        was, now = renamed[0]
        more = f" ({len(renamed)} names in all)" if len(renamed) > 1 else ""
        print(f"note: {path.name}: {was} is {now} now; the old name still works{more}.", file=sys.stderr)  # noqa: T201
    try:
        suite = Suite.model_validate(data)
    except ValidationError as error:
        raise UsageError("\n".join(_explain(path.name, data, problem) for problem in error.errors())) from None
    _check_names(path.name, suite)
    return suite


def _with_present_names(data: Any, folder: Path) -> tuple[Any, list[tuple[str, str]]]:
    """A suite's document with our own factories by their names of today, and what was renamed: (before, after)."""
    renamed: dict[str, str] = {}

    def visit(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: visit(item) for key, item in value.items()}
        if isinstance(value, list):
            return [visit(item) for item in value]
        if isinstance(value, str) and (now := present_name(value, folder)) != value:
            renamed[value] = now
            return now
        return value

    return visit(data), list(renamed.items())


def _explain(file: str, data: dict[str, Any], problem: Any) -> str:
    location = [part for part in problem["loc"] if part not in ("function-after", "tuple[str, ...]")]
    place: list[str] = [file]
    keys: list[str] = []
    for part in location:
        if isinstance(part, int) and keys == ["case"]:
            table = data["case"][part] if isinstance(data["case"], list) else None
            models = table.get("models") if isinstance(table, dict) else None
            label = ", ".join(map(str, models)) if isinstance(models, list) else ""
            place.append(f"case {part + 1}" + (f" ({label})" if label else ""))
            keys = []
        else:
            keys.append(str(part))
    if problem["type"] == "extra_forbidden":
        known = _keys_at(location[:-1])
        text = f"unknown key {keys[-1]!r}.{nearest(keys[-1], known)}"
        keys = keys[:-1]
    elif problem["type"] == "missing":
        text = f"key {keys[-1]!r} is missing."
        keys = keys[:-1]
    else:
        text = problem["msg"].removeprefix("Value error, ").replace("valid tuple", "list") + "."
        text = text.replace("?.", "?")
    if keys:
        place.append(f"key '{'.'.join(keys)}'")
    return f"{', '.join(place)}: {text.replace('..', '.')}"


def _keys_at(location: list[int | str]) -> list[str]:
    """Names of the fields that exist at a place in a suite file."""
    at: Any = Suite
    for part in location:
        if isinstance(at, type) and issubclass(at, BaseModel) and part in at.model_fields:
            at = at.model_fields[str(part)].annotation
            if typing.get_origin(at) is types.UnionType or typing.get_origin(at) is typing.Union:
                at = next(arm for arm in typing.get_args(at) if arm is not type(None))
        elif typing.get_origin(at) in (dict, tuple):
            arguments = typing.get_args(at)
            at = arguments[1] if typing.get_origin(at) is dict else arguments[0]
    return list(at.model_fields) if isinstance(at, type) and issubclass(at, BaseModel) else []


def _check_names(file: str, suite: Suite) -> None:
    """Every name that a case uses must be declared, or be one that needs no table."""
    _check_options(file, suite)
    for name, variant in suite.variant.items():
        if variant.base is not None and variant.base not in suite.variant:
            raise UsageError(
                f"{file}, variant {name!r}: starts from {variant.base!r}, which is no"
                f" variant.{nearest(variant.base, suite.variant)}"
            )
        if variant.calibration is not None and variant.calibration not in suite.workload:
            raise UsageError(
                f"{file}, variant {name!r}: its calibration data {variant.calibration!r} is no"
                f" workload.{nearest(variant.calibration, suite.workload)}"
            )
    models, workloads, backends = {*suite.model}, {*suite.workload}, {*suite.backend, *BACKENDS}
    variants, policies = {*suite.variant, "fp32"}, {*suite.policy, *shipped_policies()}
    for number, table in enumerate(suite.case, 1):
        where = f"{file}, case {number} ({', '.join(table.models)})"
        kinds: tuple[tuple[str, tuple[str, ...], set[str]], ...] = (
            ("model", table.models, models),
            ("workload", () if table.golden else table.workloads, workloads),
            (
                "backend",
                (*table.backends, *([table.reference] if table.reference else ())),
                backends,
            ),
            ("variant", table.variants, variants),
            ("policy", (table.policy,) if table.policy else (), policies),
        )
        for kind, used, declared in kinds:
            for name in used:
                if name not in declared:
                    raise UsageError(f"{where}: unknown {kind} {name!r}.{nearest(name, declared)}")


def _check_options(file: str, suite: Suite) -> None:
    """Every option that a recipe, an exporter or the fake model is given must be one of its own, of its type."""
    given: list[tuple[str, Callable[[], None]]] = []
    for name, variant in suite.variant.items():
        given.append((f"variant {name!r}", partial(check_recipe, variant.recipe, variant.options)))
    for name, model in suite.model.items():
        given.append((f"model {name!r}, export", partial(check_recipe, "export", model.export)))
        fakes = [files.fake or {} for files in (model, *model.versions.values())]
        given += [(f"model {name!r}, fake", partial(check_session_options, "fake", fake)) for fake in fakes]
    for place, check in given:
        try:
            check()
        except UsageError as error:
            raise UsageError(f"{file}, {place}: {error}") from None
