"""Runs trtexec where it is installed: one engine, its times, and a profile in a run of its own.

The files are then imported as any of its files.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from assay.runner.errors import EnvironmentMissing, UsageError

_USUAL = "/usr/src/tensorrt/bin/trtexec"
_KEPT = (
    "--exportTimes",
    "--exportProfile",
    "--exportLayerInfo",
    "--onnx",
    "--saveEngine",
    "--profilingVerbosity",
    "--separateProfileRun",
)
"""Flags that are set here."""
_WEAK = ("--fp16", "--bf16", "--int8", "--fp8", "--int4", "--best")
"""Flags of weak typing: TensorRT 11 has none of them, and 10 may ignore what they ask for."""


@dataclass(frozen=True, slots=True)
class Files:
    times: Path
    profile: Path
    layers: Path
    engine: Path

    @property
    def written(self) -> list[Path]:
        """Those that can be imported."""
        return [path for path in (self.times, self.profile, self.layers) if path.is_file()]


def program(given: str | None) -> str:
    """Where trtexec is.

    Raises:
        EnvironmentMissing: nowhere.
    """
    for name in [given] if given else ["trtexec", _USUAL]:
        if found := shutil.which(name):
            return found
    where = repr(given) if given else f"neither on the PATH nor as {_USUAL}"
    raise EnvironmentMissing(f"there is no trtexec: {where}. It comes with TensorRT; name it by --program.")


def command(trtexec: str, model: Path, shapes: Sequence[str], flags: Sequence[str], files: Files) -> list[str]:
    """What is run. `shapes` are one range (`x:1x3x8x8`) or three (least, usual, most), as trtexec writes them.

    Raises:
        UsageError: two ranges, or a flag that is set here or asks for a precision that the graph has to say.
    """
    if len(shapes) not in (0, 1, 3):
        raise UsageError("--shapes is given once, or three times: the least, the usual and the largest.")
    for flag in flags:
        name = flag.partition("=")[0]
        if name in _WEAK:
            raise UsageError(
                f"{name} asks TensorRT to choose a precision, which 11 no longer does and 10 need not keep: put it into"
                " the graph (recipes modelopt, modelopt-autocast, onnx-fp16)."
            )
        if name in _KEPT:
            raise UsageError(f"{name} is set by this command.")
    ranges = [*shapes] * 3 if len(shapes) == 1 else [*shapes]
    profile = [f"--{which}Shapes={text}" for which, text in zip(("min", "opt", "max"), ranges, strict=False)]
    return [
        trtexec,
        f"--onnx={model}",
        f"--saveEngine={files.engine}",
        f"--exportTimes={files.times}",
        f"--exportProfile={files.profile}",
        f"--exportLayerInfo={files.layers}",
        "--profilingVerbosity=detailed",
        "--separateProfileRun",
        *profile,
        *flags,
    ]


def run(arguments: Sequence[str], files: Files, timeout_s: float) -> None:
    """Run it to its end.

    Raises:
        UsageError: it failed, with its own last errors, or wrote no times.
    """
    try:
        done = subprocess.run(
            arguments, capture_output=True, text=True, errors="replace", check=False, timeout=timeout_s, env=os.environ
        )
    except subprocess.TimeoutExpired:
        raise UsageError(f"trtexec was not done after {timeout_s:g} s; it was ended.") from None
    if done.returncode or not files.times.is_file():
        lines = (done.stdout + done.stderr).splitlines()
        told = [line for line in lines if "[E]" in line][-3:] or lines[-3:]
        raise UsageError(f"trtexec ended with {done.returncode}: {' '.join(told)[:1000] or 'it said nothing'}")
