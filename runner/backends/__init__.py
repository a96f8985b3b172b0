"""What executes a model. A backend is one file: open, infer, close; nothing else imports its library.

Add one: a file here with `open_session` and `accepts`, a row in BACKENDS with the settings and options that it takes,
and an extra of the same name in pyproject.toml. The contract test in `tests/runner/backends/test_backends.py` and the
tests over the table then run over it.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from assay.runner.errors import EnvironmentMissing, UsageError, nearest
from assay.runner.recipes import RECIPES
from assay.runner.recipes.options import Option, refuse_wrong
from assay.runner.session import Backend

Device = Literal["cpu", "cuda"]
SETTINGS = ("device", "provider", "threads", "allow_fallback", "python", "options")
"""What a suite may write of a backend; which of them a backend takes, its row says."""


@dataclass(frozen=True, slots=True)
class BackendKind:
    """A row of BACKENDS."""

    module: str
    """Imported on first use."""
    library: str
    """The Python package that has to be installed."""
    opens: tuple[str, ...]
    """Kinds of source (`assay.runner.session.Source.kind`)."""
    extra: str | None = None
    """The extra that installs the library; None where Assay itself does."""
    devices: tuple[Device, ...] = ()
    """Where it runs, its own choice first; empty where the setting `device` is not taken."""
    providers: Mapping[str, Device] = field(default_factory=dict)
    """Execution providers, each with the device that it runs on; empty where there is no such setting."""
    threads: bool = False
    allow_fallback: bool = False
    options: Mapping[str, Option] = field(default_factory=dict)
    added: tuple[str, ...] = ()
    """Options that a run adds by itself; a suite may not write them."""
    recipe: str | None = None
    """The recipe that makes what it opens from a variant's ONNX file."""
    profiles: bool = False
    """Whether its sessions have `profile`."""

    @property
    def settings(self) -> tuple[str, ...]:
        """Those of SETTINGS that it takes."""
        takes = {
            "device": bool(self.devices),
            "provider": bool(self.providers),
            "threads": self.threads,
            "allow_fallback": self.allow_fallback,
        }
        return tuple(name for name in SETTINGS if takes.get(name, True))


_TENSORRT = RECIPES["tensorrt"].options
_TF32 = Option("flag", "Let float32 products run in TF32; off, because parity comes before speed.", False)

BACKENDS: dict[str, BackendKind] = {
    "pytorch": BackendKind(
        "assay.runner.backends.pytorch_module", "torch", ("factory", "torchscript", "exported-program"), "pytorch",
        devices=("cpu", "cuda"), threads=True, profiles=True, added=("profile",),
        options={
            "compile": Option("flag", "Compile the module by torch.compile.", False),
            "autocast": Option("text", "Run operators in a narrower type where PyTorch holds that to be safe.", None,
                               ("float16", "bfloat16")),
            "rounding": Option("text", "Emulate matrix products whose inputs are rounded so, on float32.", None,
                               ("tf32", "bfloat16")),
            "tf32": _TF32,
        },
    ),
    "onnxruntime": BackendKind(
        "assay.runner.backends.onnxruntime_session", "onnxruntime", ("onnx",), "onnxruntime",
        devices=("cpu", "cuda"), threads=True, allow_fallback=True, profiles=True,
        providers={
            "CPUExecutionProvider": "cpu", "CUDAExecutionProvider": "cuda", "TensorrtExecutionProvider": "cuda",
            "OpenVINOExecutionProvider": "cpu", "DnnlExecutionProvider": "cpu", "XnnpackExecutionProvider": "cpu",
        },
        options={
            "provider_options": Option("table", "The provider's own options, by name.", {}),
            "graph_optimization": Option("text", "How far graphs are rewritten.", "all",
                                         ("all", "extended", "basic", "none")),
            "session": Option("table", "Entries of the session's configuration, by name.", {}),
            "tf32": _TF32,
        },
        added=("profile", "sizes", "device_stream", "cuda_graph", "asked"),
    ),
    "tensorrt": BackendKind(
        "assay.runner.backends.tensorrt_engine", "tensorrt", ("engine",), "tensorrt",
        devices=("cuda",), allow_fallback=True, profiles=True, recipe="tensorrt",
        options={
            "streams": Option("integer", "Contexts that run a batch at the same time; latency is of all.", 1, least=1),
            **{name: option for name, option in _TENSORRT.items() if name != "device"},
        },
        added=("asked", "profile"),
    ),
    "fake": BackendKind(
        "assay.runner.backends.fake", "numpy", ("fake",), threads=True,
        options={
            "gain": Option("number", "What inputs are multiplied by.", 1),
            "offset": Option("number", "What is added to them.", 0),
            "delay_ms": Option("number", "How long a call sleeps.", 0, least=0),
            "noise": Option("number", "Standard deviation of seeded noise.", 0, least=0),
            "fault": Option("text", "What goes wrong.", None, (
                "raise", "nan", "shape", "dtype", "segfault", "hang", "kill", "memory", "fallback")),
        },
    ),
}  # fmt: skip
"""Name -> backend. No library is imported for it: a suite is checked anywhere."""

DISTRIBUTIONS = {name: kind.library for name, kind in BACKENDS.items()}
ENGINES = {name: kind.recipe for name, kind in BACKENDS.items() if kind.recipe}


def load_backend(kind: str) -> Backend:
    """Import a backend's file.

    Raises:
        UsageError: no backend has this name.
        EnvironmentMissing: its library is not installed; the message is the command that installs it.
    """
    if kind not in BACKENDS:
        raise UsageError(f"unknown backend {kind!r}.{nearest(kind, BACKENDS)}")
    row = BACKENDS[kind]
    try:
        module: Any = importlib.import_module(row.module)
    except ImportError as error:
        install = f"pip install 'assay[{row.extra}]'" if row.extra else "pip install assay"
        raise EnvironmentMissing(
            f"backend {kind!r} needs the Python package {error.name or row.library!r}, which cannot be imported"
            f" ({error}). Install it with: {install}"
        ) from error
    backend: Backend = module
    return backend


def check_session_options(kind: str, options: Mapping[str, Any]) -> None:
    """Refuse what a session of this backend is not opened with; its settings are options there too.

    Raises:
        UsageError: an option is unknown, or has a value that it does not take.
    """
    row = BACKENDS[kind]
    settings = [name for name in row.settings if name not in ("python", "options")]
    refuse_wrong(f"the {kind} backend", options, row.options, (*settings, *row.added))


def check_settings(kind: str, given: Mapping[str, Any]) -> None:
    """Refuse what a suite writes of a backend that this one does not take, or that contradicts itself.

    `given` holds those of SETTINGS that are written, with their values.

    Raises:
        UsageError: names the backend, the setting, and the nearest one that it takes.
    """
    row, owner = BACKENDS[kind], f"the {kind} backend"
    for name in given:
        if name not in row.settings:
            raise UsageError(f"{owner} takes no {name!r}.{nearest(name, row.settings)}")
    device, provider = given.get("device"), given.get("provider")
    options = given.get("options") or {}
    refuse_wrong(owner, options, row.options)
    if device is not None and not _is_device(device, row.devices):
        raise UsageError(f"{owner} has no device {device!r}.{nearest(str(device), _device_words(row.devices))}")
    number = (options.get("provider_options") or {}).get("device_id")
    if number is not None and device_index(device) is not None and str(number) != str(device_index(device)):
        raise UsageError(
            f"{owner}: device {device!r} and provider_options' device_id {number!r} contradict each other."
            " Leave one of them out."
        )
    if provider is None:
        return
    if provider not in row.providers:
        raise UsageError(f"{owner} has no provider {provider!r}.{nearest(provider, row.providers)}")
    if device is not None and row.providers[provider] != device_type(device):
        raise UsageError(
            f"{owner}: device {device!r} and provider {provider!r} contradict each other: that provider runs on"
            f" {row.providers[provider]}. Leave one of them out."
        )


def device_type(device: str) -> str:
    """`cuda` of `cuda:1`."""
    return device.partition(":")[0]


def device_index(device: str | None) -> int | None:
    """1 of `cuda:1`; None where no number is written."""
    number = (device or "").partition(":")[2]
    return int(number) if number else None


def _is_device(device: str, types: tuple[str, ...]) -> bool:
    return re.fullmatch("|".join(_PATTERNS[kind] for kind in types), device) is not None


_PATTERNS = {"cpu": "cpu", "cuda": r"cuda(:\d+)?"}


def _device_words(types: tuple[str, ...]) -> list[str]:
    return [word for kind in types for word in ([kind, "cuda:0"] if kind == "cuda" else [kind])]
