"""A small language model of characters, trained on the reference manual that comes with Python.

A decoder of Phi-3.5's shape (see `lut_linear`) over bytes. The manual's last tenth is never learnt from: perplexity on
it is that of real, unseen text, for a model that has learnt something, so that what quantization takes from it can be
counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from assay.runner.models.trained import once

_VOCABULARY = 128
_PARTS = {"train": (0.0, 0.8), "calibration": (0.8, 0.9), "test": (0.9, 1.0)}
_LENGTH = 96


def text(part: str) -> Any:
    """Characters of a part of the manual as numbers. Topics repeat paragraphs of each other: each is read once.

    What is not ASCII is left out.
    """
    from pydoc_data.topics import topics

    paragraphs = dict.fromkeys(paragraph.strip() for name in sorted(topics) for paragraph in topics[name].split("\n\n"))
    whole = "\n\n".join(paragraphs).encode("ascii", "ignore")
    start, stop = (int(share * len(whole)) for share in _PARTS[part])
    return np.frombuffer(whole, np.uint8)[start:stop].astype(np.int64)


def passages(seed: int, batches: int, size: int, part: str = "test", length: int = _LENGTH) -> Iterator[dict[str, Any]]:
    """Passages of `length` characters with the character that follows each.

    No two of a part overlap until all were read.
    """
    del seed  # real text: nothing is drawn
    characters = text(part)
    most = (len(characters) - 1) // length
    for batch in range(batches):
        rows = [(batch * size + row) % most * length for row in range(size)]
        yield {
            "input_ids": np.stack([characters[start : start + length] for start in rows]),
            "label": np.stack([characters[start + 1 : start + length + 1] for start in rows]),
        }


def trained(width: int = 128, layers: int = 3, steps: int = 300, seed: int = 0) -> Any:
    """The model after training: input_ids [B, T] in, logits [B, T, 128] out."""
    from assay.runner.models.lut_linear import Decoder

    learnt = text("train")
    edition = hashlib.sha256(learnt.tobytes()).hexdigest()[:12]  # each Python has its own manual

    def train(network: Any) -> None:
        _train(network, learnt, steps, seed)

    network = once(
        "language",
        (edition, width, layers, steps, seed),
        __file__,
        lambda: Decoder(width, 4, 2 * width, layers, _VOCABULARY),
        train,
    )
    network.weights_origin = f"trained on the reference manual of this Python ({edition}), seed {seed}"
    return network


def _train(network: Any, learnt: Any, steps: int, seed: int) -> None:
    import torch

    random = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for _ in range(steps):
        starts = random.integers(0, len(learnt) - _LENGTH - 1, 32)
        rows = torch.from_numpy(np.stack([learnt[start : start + _LENGTH + 1] for start in starts]))
        optimizer.zero_grad()
        logits = network(rows[:, :-1])
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten()).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
