"""What the closed-loop harness costs a step, against bare `session.run` calls that feed their own states back.

Prints one JSON line. `overhead` is the stream alone (binding, feeding back; target under 5 %), measured in turns with
the bare loop; `with_comparison` adds what a bare loop does not do: receipts of five outputs and invariants at every
step.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from assay.runner.backends.onnxruntime_session import open_session
from assay.runner.models import faults, streaming_encoder
from assay.runner.parity.comparison import OutputComparison
from assay.runner.parity.steps import StepPlan, walk
from assay.runner.rules.contract import Contract, parse_contract
from assay.runner.rules.policies import shipped_policies
from assay.runner.session import Source

SIZE = sys.argv[1] if len(sys.argv) > 1 else "small"
STEPS, ROUNDS = 100, 15


class Recorded:
    """A stream's inputs, with outputs to compare with."""

    def __init__(self, steps: list[Any], outputs: list[Any]) -> None:
        self.steps = steps
        self._outputs = outputs

    def inputs(self, step: int) -> Any:
        return self.steps[step]

    def outputs(self, step: int) -> Any:
        return self._outputs[step]


def bare(
    session: Any, chunks: list[Any], initial: Any, contract: Contract, *, keep: bool = False
) -> tuple[float, list[Any]]:
    """Seconds of plain session.run calls, states fed back by hand; and the outputs, if they are to be kept."""
    names = [port.name for port in session.get_outputs()]
    states, kept = dict(initial), []
    started = time.perf_counter()
    for chunk in chunks:
        outputs = dict(zip(names, session.run(names, {**chunk, **states}), strict=True))
        states = {state.input: outputs[state.output] for state in contract.state}
        if keep:
            kept.append(outputs)
    return time.perf_counter() - started, kept


def streamed(opened: Any, chunks: list[Any], initial: Any, contract: Contract) -> float:
    """Seconds of the harness's stream: one binding, states swapped, outputs taken to the host."""
    stream = opened.open_stream({state.input: state.output for state in contract.state})
    started = time.perf_counter()
    for number, chunk in enumerate(chunks):
        stream.step({**chunk, **initial} if number == 0 else chunk)
        stream.outputs()
    return time.perf_counter() - started


def compared(opened: Any, recorded: Recorded, contract: Contract) -> float:
    started = time.perf_counter()
    for _ in walk(
        recorded,
        opened.open_stream,
        OutputComparison(shipped_policies()["streaming-strict"], {}),
        StepPlan("closed_loop", contract),
    ):
        pass
    return time.perf_counter() - started


def main() -> None:
    """Rounds of all three in turns, forwards and backwards; medians of the paired ratios."""
    contract = parse_contract(streaming_encoder.contract(SIZE))
    chunks = list(streaming_encoder.features(0, STEPS, SIZE))
    initial = contract.initial_states(chunks[0])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "encoder.onnx"
        module = streaming_encoder.module(SIZE).eval()
        onnx.save(
            faults.exported(module, {**chunks[0], **initial}, streaming_encoder.OUTPUTS, {"audio_signal": {2: "T"}}),
            path,
        )
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = 1
        session = ort.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
        with open_session(Source("onnx", str(path), Path(folder)), {"threads": 1}) as opened:
            _, outputs = bare(session, chunks, initial, contract, keep=True)
            states = [initial, *({state.input: made[state.output] for state in contract.state} for made in outputs)]
            recorded = Recorded([{**chunk, **state} for chunk, state in zip(chunks, states, strict=False)], outputs)
            session = opened._session  # noqa: SLF001  one for both: the harness is measured, not the settings
            overhead, whole, step_ms = [], [], []
            for _ in range(ROUNDS):
                first = bare(session, chunks, initial, contract)[0]
                second = streamed(opened, chunks, initial, contract)
                third = compared(opened, recorded, contract)
                fourth = streamed(opened, chunks, initial, contract)
                fifth = bare(session, chunks, initial, contract)[0]
                overhead.append((second + fourth) / (first + fifth) - 1)
                whole.append(2 * third / (first + fifth) - 1)
                step_ms.append((first + fifth) / 2 / STEPS * 1e3)
    print(
        json.dumps(
            {
                "benchmark": "closed_loop",
                "size": SIZE,
                "steps": STEPS,
                "bare_step_ms": round(statistics.median(step_ms), 4),
                "overhead": round(statistics.median(overhead), 4),
                "overhead_range": [round(float(np.min(overhead)), 4), round(float(np.max(overhead)), 4)],
                "target": 0.05,
                "with_comparison": round(statistics.median(whole), 4),
                "comparison_ms_per_step": round(statistics.median(whole) * statistics.median(step_ms), 4),
            }
        )
    )


if __name__ == "__main__":
    main()
