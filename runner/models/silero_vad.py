"""silero-vad, a real voice-activity network: TorchScript and ONNX files from its own package.

The TorchScript file keeps the state inside; here its inner network is called with the state as an input and an output,
which is what the ONNX files have.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

SAMPLE_RATE = 16_000
WINDOW = 576
"""64 samples of context and 512 new ones."""


def _data() -> Path:
    spec = importlib.util.find_spec("silero_vad")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the package silero-vad is not installed: pip install --no-deps silero-vad")
    return Path(spec.origin).parent / "data"


def module() -> Any:
    """Input [B, 576], state [2, B, 128], sr [] -> output [B, 1], stateN [2, B, 128]."""
    import torch

    class Stateless(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = torch.jit.load(_data() / "silero_vad.jit", map_location="cpu")._model  # noqa: SLF001

        def forward(
            self,
            input: torch.Tensor,  # noqa: A002  its name in the ONNX file
            state: torch.Tensor,
            sr: torch.Tensor,
        ) -> tuple[torch.Tensor, torch.Tensor]:
            del sr  # this half of the file is the 16 kHz network
            result: tuple[torch.Tensor, torch.Tensor] = self.network(input, state)
            return result

    return Stateless()


def onnx_file(name: str = "silero_vad_16k_op15.onnx") -> Path:
    return _data() / name


def contract() -> dict[str, Any]:
    """One state of fixed size."""
    state = {"shape": [2, "B", 128]}
    return {
        "model": "silero_vad",
        "symbols": {"B": 1},
        "inputs": {"input": {"shape": ["B", WINDOW]}, "state": state, "sr": {"dtype": "int64", "shape": []}},
        "outputs": {"output": {"shape": ["B", 1]}, "stateN": state},
        "state": [{"output": "stateN", "input": "state"}],
        "invariants": ["finite(stateN)", "0 <= output.min", "output.max <= 1"],
    }


def speech(seed: int, batches: int) -> Iterator[dict[str, Any]]:
    """Windows of real read speech, 512 new samples after 64 of context; the state is fed back."""
    from assay.runner.workloads.speech import read_speech

    del seed  # the recording is what it is
    signal = read_speech()
    for step in range(batches):
        positions = np.arange(step * 512, step * 512 + WINDOW) % signal.size
        yield {"input": signal[positions][None], "sr": np.array(SAMPLE_RATE, np.int64)}


def chunks(seed: int, batches: int, size: int = 1) -> Iterator[dict[str, Any]]:
    """Windows of a made voice: a gliding pulse train through three formants, with pauses and breath noise.

    The state is drawn, not fed back: each chunk stands alone.
    """
    random = np.random.default_rng(seed)
    length = WINDOW * batches * size
    time = np.arange(length) / SAMPLE_RATE
    pitch = 120 + 25 * np.sin(2 * np.pi * 0.7 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    voice = sum(
        np.exp(-(((k * 120 - formant) / 350) ** 2)) * np.sin(k * phase)
        for formant in (600, 1500, 2600)
        for k in range(1, 30)
    )
    loud = (np.sin(2 * np.pi * 1.3 * time) > -0.4) * 0.08
    signal = (voice * loud + 0.004 * random.standard_normal(length)).astype(np.float32)
    for window in signal.reshape(batches, size, WINDOW):
        state = (0.3 * random.standard_normal((2, size, 128))).astype(np.float32)
        yield {"input": window, "state": state, "sr": np.array(SAMPLE_RATE, np.int64)}
