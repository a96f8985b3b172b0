"""Runs in the quantizers' environment, as a program of its own: `python modelopt_script.py <folder>`.

Reads `request.json` in the folder and writes `model.onnx` and `reply.json` beside it. It imports nothing of Assay: that
environment has
its own pins.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


def main(folder: Path) -> None:
    """Do what was asked; an error is an answer too."""
    request = json.loads((folder / "request.json").read_text())
    try:
        {"quantize": _quantize, "autocast": _autocast}[request["op"]](folder, request)
        reply: dict[str, Any] = {"versions": {name: importlib.metadata.version(name) for name in request["libraries"]}}
    except Exception as error:  # noqa: BLE001  whatever it was, the caller has to hear it
        reply = {"error": f"{type(error).__name__}: {str(error).strip()[:1200]}"}
    (folder / "reply.json").write_text(json.dumps(reply))


class _Batches:
    """Calibration batches from files: one is in memory at a time."""

    def __init__(self, folder: Path) -> None:
        self._files = sorted(folder.glob("*.npz"))
        self._left = iter(self._files)

    def get_next(self) -> dict[str, Any] | None:
        file = next(self._left, None)
        return None if file is None else _read(file)

    def get_first(self) -> dict[str, Any]:
        return _read(self._files[0])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(_read, self._files)

    def rewind(self) -> None:
        self._left = iter(self._files)


def _read(file: Path) -> dict[str, Any]:
    with np.load(file) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _quantize(folder: Path, request: dict[str, Any]) -> None:
    from modelopt.onnx.quantization import quantize

    quantize(
        request["base"],
        output_path=str(folder / "model.onnx"),
        calibration_data_reader=_Batches(folder / "calibration"),
        log_level="WARNING",
        **request["settings"],
    )


def _autocast(folder: Path, request: dict[str, Any]) -> None:
    import onnx
    from modelopt.onnx.autocast import convert_to_mixed_precision

    model = convert_to_mixed_precision(
        request["base"], calibration_data=str(folder / "calibration"), **request["settings"]
    )
    onnx.save(model, folder / "model.onnx")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
