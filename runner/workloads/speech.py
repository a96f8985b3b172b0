"""Real read speech and its log-mel features.

The recording is from Debian's package pocketsphinx-testdata (LibriVox readings, BSD licence): about 25 s, 16 kHz, mono,
with transcripts. `ASSAY_SPEECH` names another folder or file.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from assay.runner.errors import EnvironmentMissing

SAMPLE_RATE = 16_000
_PLACES = ("/usr/share/pocketsphinx/test/data/librivox", "/usr/share/pocketsphinx")
Signal = np.ndarray[Any, np.dtype[np.float32]]


def recordings() -> list[Path]:
    """Sound files, in order of name.

    Raises:
        EnvironmentMissing: there is none; the message says how to get it.
    """
    for place in (os.environ.get("ASSAY_SPEECH"), *_PLACES):
        if place and (root := Path(place)).exists():
            found = [root] if root.is_file() else sorted([*root.rglob("*.wav"), *root.rglob("*.raw")])
            if found:
                return found
    raise EnvironmentMissing(
        "no recorded speech is here. Install Debian's package (make speech, or apt-get install pocketsphinx-testdata), "
        "or let ASSAY_SPEECH name a folder of 16 kHz mono WAV files."
    )


@cache
def read_speech(at_least_s: float = 20.0) -> Signal:
    """Recordings joined until they are long enough, as float32 in [-1, 1]."""
    parts: list[Signal] = []
    for path in recordings():
        samples = _read(path)
        if samples is not None:
            parts.append(samples)
        if sum(part.size for part in parts) >= at_least_s * SAMPLE_RATE:
            break
    if not parts:
        raise EnvironmentMissing("none of the recordings is 16 kHz mono 16-bit sound.")
    return np.concatenate(parts)


def _read(path: Path) -> Signal | None:
    """16-bit mono samples at 16 kHz, or None for any other kind of file."""
    if path.suffix == ".raw":  # headerless little-endian 16-bit samples, as the package has them
        return np.fromfile(path, "<i2").astype(np.float32) / np.float32(32768)
    import wave

    try:
        with wave.open(str(path)) as file:
            if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (SAMPLE_RATE, 1, 2):
                return None
            return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / np.float32(32768)
    except Exception:  # noqa: BLE001  a chunk may claim any size, of any kind
        return None


def log_mel(signal: Signal, bands: int, *, window: int = 400, hop: int = 160, n_fft: int = 512) -> Signal:
    """Log-mel features [bands, frames], each band normalised to mean 0 and standard deviation 1 over the recording.

    25 ms Hann windows every 10 ms, power spectrum, triangular mel filters (HTK scale) from 0 to 8 kHz, log(x + 2^-24).
    """
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(signal, (n_fft // 2, n_fft // 2)), n_fft)[::hop]
    taper = np.zeros(n_fft)
    taper[(n_fft - window) // 2 : (n_fft + window) // 2] = np.hanning(window)
    power = np.abs(np.fft.rfft(frames * taper, axis=1)) ** 2
    mel = np.log(power @ _mel_filters(bands, n_fft).T + 2.0**-24).T
    normal = (mel - mel.mean(axis=1, keepdims=True)) / (mel.std(axis=1, keepdims=True) + 1e-5)
    return np.asarray(normal, np.float32, order="C")


def _mel_filters(bands: int, n_fft: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Triangles [bands, n_fft / 2 + 1] with unit peak, equally spaced on 2595 log10(1 + f / 700)."""
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700), bands + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(n_fft, 1 / SAMPLE_RATE)
    up = (bins - edges[:-2, None]) / np.maximum(edges[1:-1] - edges[:-2], 1e-9)[:, None]
    down = (edges[2:, None] - bins) / np.maximum(edges[2:] - edges[1:-1], 1e-9)[:, None]
    return np.maximum(0, np.minimum(up, down))
