"""Reading lines of handwritten digits.

A small recogniser with connectionist temporal classification, as speech recognisers have it.

Lines are put together from scikit-learn's scans (8x8 each), in words of one to four digits; those of the test part are
scans that were not learnt from. Word and character error rates are counted as for speech.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from assay.runner.models import digits
from assay.runner.models.trained import once

ALPHABET = "0123456789 "
_CELLS = 12


def lines(seed: int, batches: int, size: int, part: str = "test") -> Iterator[dict[str, Any]]:
    """Batches of lines: image [B, 1, 8, 96], and the text as code points [B, 12], padded with 0."""
    pictures, labels = digits.part_of(part)
    random = np.random.default_rng((seed, len(pictures)))
    for _ in range(batches):
        made = [_line(random, pictures, labels) for _ in range(size)]
        yield {"image": np.stack([image for image, _ in made]), "label": np.stack([text for _, text in made])}


def _line(random: np.random.Generator, pictures: Any, labels: Any) -> tuple[Any, Any]:
    image, text = np.zeros((1, 8, 8 * _CELLS), np.float32), np.zeros(_CELLS, np.int64)
    cell = 0
    while cell < _CELLS:
        for _ in range(min(int(random.integers(1, 5)), _CELLS - cell)):
            chosen = int(random.integers(len(pictures)))
            image[:, :, 8 * cell : 8 * cell + 8], text[cell] = pictures[chosen], ord("0") + int(labels[chosen])
            cell += 1
        if cell < _CELLS - 1:  # a line ends with a word
            text[cell] = ord(" ")
            cell += 1
        elif cell < _CELLS:
            break
    return image, text


def recogniser(width: int = 32, steps: int = 300, seed: int = 0) -> Any:
    """The trained recogniser: image [B, 1, 8, W] in; logits [B, W / 4, 12] out, symbol 0 the blank."""
    return once("lines", (width, steps, seed), __file__, lambda: _recogniser(width), lambda n: _train(n, steps, seed))


def _recogniser(width: int) -> Any:
    import torch
    from torch import nn

    class Recogniser(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(1, width, 3, padding=1),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Conv2d(width, 2 * width, 3, padding=1),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Conv2d(2 * width, 2 * width, (2, 5), padding=(0, 2)),
                nn.ReLU(),
            )
            self.head = nn.Linear(2 * width, len(ALPHABET) + 1)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            columns = self.body(image).squeeze(2).transpose(1, 2)
            logits: torch.Tensor = self.head(columns)
            return logits

    return Recogniser()


def _train(network: Any, steps: int, seed: int) -> None:
    import torch

    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=steps)
    symbols = np.zeros(128, np.int64)
    for number, symbol in enumerate(ALPHABET, 1):
        symbols[ord(symbol)] = number
    for batch in lines(seed, steps, 32, part="train"):
        targets = torch.from_numpy(symbols[batch["label"]])
        optimizer.zero_grad()
        scores = network(torch.from_numpy(batch["image"])).log_softmax(2).transpose(0, 1)
        steps_of = torch.full((len(targets),), len(scores))
        torch.nn.functional.ctc_loss(scores, targets, steps_of, (targets > 0).sum(1)).backward()
        optimizer.step()
        schedule.step()
