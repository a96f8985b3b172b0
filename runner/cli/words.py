"""Words that an option takes and no others: shown in help, completed by the shell, the nearest one named in an error.

They stand here and not beside what they choose among, because help and completion load no library; a test holds each
against its table.
"""

from __future__ import annotations

from enum import StrEnum


class Trigger(StrEnum):
    MANUAL = "manual"
    NIGHTLY = "nightly"
    CI = "ci"


class PadSide(StrEnum):
    CONTRACT = "contract"
    LEFT = "left"
    RIGHT = "right"
    SWEEP = "sweep"


class ToleranceRule(StrEnum):
    """How an absolute and a relative tolerance are joined."""

    MIXED = "mixed"
    EITHER = "either"
    EXACT = "exact"


class Listed(StrEnum):
    """What `assay list` lists."""

    SUITES = "suites"
    MODELS = "models"
    BACKENDS = "backends"
    RECIPES = "recipes"
    METRICS = "metrics"
    POLICIES = "policies"
    WAIVERS = "waivers"
    RUNS = "runs"
    GOLDENS = "goldens"


class Topic(StrEnum):
    """What `assay show` shows every row of."""

    CASES = "cases"
    VERDICTS = "verdicts"
    RECEIPTS = "receipts"
    MEASUREMENTS = "measurements"
    FINDINGS = "findings"
    INVARIANTS = "invariants"
    NOISE = "noise"


class ReportFormat(StrEnum):
    MD = "md"
    HTML = "html"
    CSV = "csv"
    JSON = "json"


class GateFormat(StrEnum):
    TABLE = "table"
    MD = "md"
    JUNIT = "junit"
    JSON = "json"


class ExportFormat(StrEnum):
    PARQUET = "parquet"
    CSV = "csv"


class ImportFormat(StrEnum):
    TRTEXEC = "trtexec"
    POLYGRAPHY = "polygraphy"
    ONNXRUNTIME = "onnxruntime"
    PYTEST_BENCHMARK = "pytest-benchmark"
    CSV = "csv"


class Precision(StrEnum):
    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"
    FLOAT8 = "float8"
    INT4 = "int4"
    FLOAT4 = "float4"


class Detector(StrEnum):
    """The nightly rule, and the candidates that run in its shadow."""

    NIGHTLY = "nightly"
    STRICT = "strict"
    EAGER = "eager"
