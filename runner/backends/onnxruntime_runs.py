"""One run of an ONNX Runtime session, by the way that its ports allow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from assay.runner.backends.onnxruntime_values import array_of, carried, value_of, wanted
from assay.runner.tensors import TEXT


class Runs:
    """How a session is called, chosen by its ports (name -> ONNX Runtime's type).

    What numpy has goes the plain way. Inputs that numpy has no dtype for are handed over as OrtValues, and outputs of
    such a dtype are asked for as OrtValues.
    """

    def __init__(self, session: Any, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> None:
        self._session = session
        self._bits_in = [name for name, kind in inputs.items() if carried(kind)]
        self._bits_out = [name for name, kind in outputs.items() if carried(kind)]
        self._others_out = [name for name in outputs if name not in self._bits_out]
        self._names = list(outputs)
        self._unbound = [
            name for name, kind in inputs.items() if not kind.startswith("tensor(") or wanted(kind) == TEXT
        ]
        """Inputs that no OrtValue can be made of."""
        ports = (*inputs.values(), *outputs.values())
        self.can_bind = all(kind.startswith("tensor(") and wanted(kind) != TEXT for kind in ports)
        """Whether every port is a tensor of numbers, which may lie on a device."""
        self.plain = self.can_bind and not self._bits_in and not self._bits_out
        """Whether numpy has the dtype of each, too."""

    def once(self, feed: Mapping[str, Any]) -> dict[str, Any]:
        """Outputs by name: arrays, lists (sequences), mappings (maps), None for an optional one without a value.

        Raises:
            ValueError: an output has a dtype that numpy lacks, and an input is text or no tensor.
        """
        given = self._handed_over(feed)
        found: dict[str, Any] = {}
        if self._others_out:
            found = dict(zip(self._others_out, self._session.run(self._others_out, given), strict=True))
        if self._bits_out:
            values = self._session.run_with_ort_values(self._bits_out, self._as_values(feed))
            found |= {name: array_of(value) for name, value in zip(self._bits_out, values, strict=True)}
        return {name: found[name] for name in self._names}

    def prepared(self, feed: Mapping[str, Any]) -> Callable[[], object]:
        """A call that runs one batch again and again; what it gives need not be an array.

        Raises:
            ValueError: as `once`.
        """
        run, names = self._session.run, self._names
        if not self._bits_out:
            given = self._handed_over(feed)
            return lambda: run(names, given)
        values, run_values = self._as_values(feed), self._session.run_with_ort_values
        return lambda: run_values(names, values)

    def _handed_over(self, feed: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value_of(value) if name in self._bits_in else value for name, value in feed.items()}

    def _as_values(self, feed: Mapping[str, Any]) -> dict[str, Any]:
        if held := [name for name in self._unbound if name in feed]:
            raise ValueError(
                f"output {self._bits_out[0]!r} has a dtype that numpy lacks, and input {held[0]!r} is text or no"
                " tensor: ONNX Runtime's Python gives no way to run both; cast the output in the graph"
            )
        return {name: value_of(value) for name, value in feed.items()}
