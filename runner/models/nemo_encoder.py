"""Streaming encoders from real NeMo checkpoints, with the inputs and outputs of `streaming_encoder`.

NeMo is not a dependency of Assay: it brings some 150 packages of its own. Install it beside Assay into an environment
of its own (`pip install 'nemo_toolkit[asr]' assay onnx`), and let the backend name that interpreter: `[backend.pytorch]
kind = "pytorch", python = "nemo/bin/python"`. Export with `exporter = "legacy"` or dynamo; candidates run as always.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from assay.runner.errors import EnvironmentMissing, UsageError

OUTPUTS = (
    "encoder_output",
    "encoded_lengths",
    "cache_last_channel_out",
    "cache_last_time_out",
    "cache_last_channel_len_out",
)


def load(checkpoint: str, cache_size: int | None = None, layers_first: bool = True) -> Any:
    """The encoder of a `.nemo` checkpoint as a module that takes and gives its caches.

    `cache_size` sets the attention cache's frames where the checkpoint leaves them open; `layers_first` gives caches as
    [layers, batch, ...], as older exports have them, instead of NeMo's batch first.

    Raises:
        EnvironmentMissing: NeMo is not installed in this interpreter.
        UsageError: the file is not there, or is no checkpoint with a cache-aware encoder.
    """
    if importlib.util.find_spec("nemo") is None:
        raise EnvironmentMissing(
            "a .nemo checkpoint needs the package nemo_toolkit, which is not installed in this interpreter. Install it"
            " into an environment of its own (pip install 'nemo_toolkit[asr]') and give the backend that environment's"
            " `python`."
        )
    path = Path(checkpoint)
    if not path.is_file():
        raise UsageError(f"checkpoint {path} is not there.")
    from nemo.collections.asr.models import ASRModel

    try:
        encoder = ASRModel.restore_from(str(path), map_location="cpu").encoder
        encoder.setup_streaming_params(
            **({} if cache_size is None else {"left_chunks": None, "max_context": cache_size})
        )
    except Exception as error:
        raise UsageError(
            f"{path.name} has no cache-aware streaming encoder: {type(error).__name__}: {str(error)[:300]}"
        ) from error
    return streaming(encoder, layers_first=layers_first)


def streaming(encoder: Any, *, layers_first: bool = True) -> Any:
    """A module around a NeMo encoder: one chunk and its caches in, the encoding and the new caches out."""
    import torch

    class NemoEncoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder

        def forward(
            self,
            audio_signal: torch.Tensor,
            length: torch.Tensor,
            cache_last_channel: torch.Tensor,
            cache_last_time: torch.Tensor,
            cache_last_channel_len: torch.Tensor,
        ) -> tuple[torch.Tensor, ...]:
            caches = [c.transpose(0, 1) if layers_first else c for c in (cache_last_channel, cache_last_time)]
            encoded, lengths, channel, time, held = self.encoder.forward_for_export(
                audio_signal=audio_signal,
                length=length,
                cache_last_channel=caches[0],
                cache_last_time=caches[1],
                cache_last_channel_len=cache_last_channel_len,
            )
            if layers_first:
                channel, time = channel.transpose(0, 1), time.transpose(0, 1)
            return encoded, lengths, channel, time, held

    return NemoEncoder().eval()
