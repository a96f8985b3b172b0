"""A cache-aware streaming Conformer encoder, with the inputs and outputs that speech teams deploy.

    audio_signal [B, F, T], length [B], cache_last_channel [L, B, C, D], cache_last_time [L, B, D, K],
    cache_last_channel_len [B]
      -> encoder_output [B, D, V], encoded_lengths [B], cache_last_channel_out, cache_last_time_out,
         cache_last_channel_len_out

L layers, D wide, C frames of attention cache, K = kernel - 1 frames of convolution cache. A chunk of T feature frames
is subsampled by 8; its last V frames are new, the frames before them are left context. `isolated` is the configuration
that resets after every chunk: the cache length stays 0, and whatever the caches hold is masked.

Gulati et al. 2020 (Conformer), Noroozi et al. 2023 (stateful Conformer with cache-based inference). The relative
position is a learned bias by distance and head. Weights are seeded, not trained.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

OUTPUTS = (
    "encoder_output",
    "encoded_lengths",
    "cache_last_channel_out",
    "cache_last_time_out",
    "cache_last_channel_len_out",
)


@dataclass(frozen=True, slots=True)
class Size:
    """Widths of the network, and how many frames a chunk has."""

    layers: int
    width: int
    heads: int
    features: int
    cache: int
    kernel: int
    """Of the depthwise convolution; its cache is one shorter."""
    first: int
    """Feature frames of the first chunk."""
    steady: int
    """Feature frames of every later chunk."""
    new: int
    """Encoded frames that come out of a chunk."""
    expansion: int = 4


SIZES = {
    "tiny": Size(layers=2, width=32, heads=4, features=80, cache=16, kernel=5, first=41, steady=48, new=4),
    "small": Size(layers=4, width=128, heads=4, features=80, cache=56, kernel=9, first=41, steady=48, new=4),
    "medium": Size(layers=12, width=384, heads=8, features=80, cache=128, kernel=5, first=113, steady=120, new=8),
    "full": Size(layers=24, width=1024, heads=8, features=128, cache=256, kernel=5, first=592, steady=584, new=1),
}


def size_named(name: str) -> Size:
    """Raises ValueError: there is no such size."""
    if name not in SIZES:
        raise ValueError(f"there is no size {name!r}; there are {', '.join(SIZES)}")
    return SIZES[name]


def module(
    size: str = "tiny", seed: int = 0, isolated: bool = False, fault: str = "", amount: float = 0.0, layer: int = 1
) -> Any:
    """The encoder with seeded weights.

    `fault` plants one of the mistakes that the suites have to catch, of size `amount`, in `layer` (counted from 0):
    `norm` (another epsilon), `attention` (scores scaled), `convolution` (weights moved), `state_bias` (the channel
    cache handed on is off), `time_bias` (the time cache handed on is off).

    Raises:
        ValueError: no size or fault has this name.
    """
    from assay.runner.models.streaming_encoder_layers import StreamingEncoder

    return StreamingEncoder(size_named(size), seed=seed, isolated=isolated, fault=fault, amount=amount, layer=layer)


def features(
    seed: int, batches: int, size: str = "tiny", rows: int = 1, source: str = "noise"
) -> Iterator[dict[str, Any]]:
    """Chunks of a stream, without states: a contract feeds those back.

    `source` is `noise` (seeded features) or `speech` (log-mel features of real read speech, from the start; it begins
    anew when it ends).
    """
    shape = size_named(size)
    stream = _noise(seed, shape, rows) if source == "noise" else _speech(shape, rows)
    for step in range(batches):
        length = shape.first if step == 0 else shape.steady
        # A chunk begins before the end of the one before it: what it has beyond its new frames is left context.
        yield {"audio_signal": stream(step * shape.new * 8, length), "length": np.full(rows, length, np.int64)}


def _noise(seed: int, shape: Size, rows: int) -> Any:
    random = np.random.default_rng(seed)

    def chunk(_: int, length: int) -> Any:
        return random.standard_normal((rows, shape.features, length)).astype(np.float32)

    return chunk


def _speech(shape: Size, rows: int) -> Any:
    from assay.runner.workloads.speech import log_mel, read_speech

    mel = log_mel(read_speech(), shape.features)

    def chunk(start: int, length: int) -> Any:
        positions = (start + np.arange(length)) % mel.shape[1]
        return np.asarray(np.broadcast_to(mel[:, positions], (rows, shape.features, length)), order="C")

    return chunk


def contract(size: str = "tiny", isolated: bool = False) -> dict[str, Any]:
    """The contract of one size, as `assay contract init` would start it."""
    s = size_named(size)
    channel, time = [s.layers, "B", s.cache, s.width], [s.layers, "B", s.width, s.kernel - 1]
    masked = {"valid_length": {"tensor": "cache_last_channel_len_out", "axis": 2, "batch_axis": 1, "align": "end"}}
    rules = ["finite(encoder_output)", f"encoder_output.shape[-1] == {s.new}", f"encoded_lengths == {s.new}"]
    rules.append("cache_last_channel_len_out == 0" if isolated else f"cache_last_channel_len_out <= {s.cache}")
    return {
        "model": "streaming_encoder",
        "symbols": {"B": 1},
        "invariants": rules,
        "inputs": {
            "audio_signal": {"shape": ["B", s.features, "T"]},
            "length": {"dtype": "int64", "shape": ["B"]},
            "cache_last_channel": {"shape": channel},
            "cache_last_time": {"shape": time},
            "cache_last_channel_len": {"dtype": "int64", "shape": ["B"]},
        },
        "outputs": {
            "encoder_output": {
                "shape": ["B", s.width, s.new],
                "valid_length": {"tensor": "encoded_lengths", "axis": 2},
            },
            "encoded_lengths": {"dtype": "int64", "shape": ["B"]},
            "cache_last_channel_out": {"shape": channel, **masked},
            "cache_last_time_out": {"shape": time},
            "cache_last_channel_len_out": {"dtype": "int64", "shape": ["B"]},
        },
        "state": [
            {"output": "cache_last_channel_out", "input": "cache_last_channel", "pad": {"axis": 2, "side": "left"}},
            {"output": "cache_last_time_out", "input": "cache_last_time", "pad": {"axis": 3, "side": "right"}},
            {"output": "cache_last_channel_len_out", "input": "cache_last_channel_len"},
        ],
        "profile": {
            "first": {"steps": "first", "symbols": {"T": [s.first] * 3, "B": [1, 1, 1]}},
            "steady": {"steps": "steady", "symbols": {"T": [s.steady] * 3, "B": [1, 1, 1]}},
            "unified": {
                "steps": "all",
                "symbols": {"T": [min(s.first, s.steady), s.first, max(s.first, s.steady)], "B": [1, 1, 8]},
            },
        },
    }
