"""Benchmark: how long a call takes, by the host's clock or by a device's events."""

from __future__ import annotations

from typing import Any

from assay.runner.run.checks.timed import TimedCheck
from assay.runner.run.outcome import Outcome
from assay.runner.suites.case import Case
from assay.runner.timing.device import parse_mode


class BenchmarkCheck(TimedCheck):
    def apart(self, case: Case) -> str:
        return case.mode

    def session_options(self, case: Case) -> dict[str, Any]:
        """ONNX Runtime has to be told beforehand that its stream will be timed."""
        if case.choice.kind != "onnxruntime" or case.mode == "functional":
            return {}
        return {"device_stream": True, "cuda_graph": parse_mode(case.mode).graph}

    def comparable_by(self, outcome: Outcome) -> str:
        case = outcome.case
        return case.check if case.mode == "functional" else f"{case.check} by {case.mode}"


CHECK = BenchmarkCheck()
