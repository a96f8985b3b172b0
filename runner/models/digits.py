"""A small residual CNN trained on scikit-learn's digits: 1797 real 8x8 scans of handwriting."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from assay.runner.models.trained import once

_TRAIN = 1257
"""The first 1257 images are learnt from, the other 540 are for checks."""


def images() -> tuple[Any, Any]:
    """All images [1797, 1, 8, 8] in 0..1, and their labels."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return (data.images / 16).astype(np.float32)[:, None], data.target.astype(np.int64)


def part_of(name: str) -> tuple[Any, Any]:
    """Images and labels of the `train` part, which is learnt from, or of the `test` part."""
    pictures, labels = images()
    chosen = slice(_TRAIN, None) if name == "test" else slice(0, _TRAIN)
    return pictures[chosen], labels[chosen]


def test_batches(seed: int, batches: int, size: int) -> Iterator[dict[str, Any]]:
    """Batches of `size` images that were not learnt from, in the data set's order."""
    del seed  # real data: nothing is drawn
    held_out = images()[0][_TRAIN:]
    for i in range(batches):
        yield {"image": np.take(held_out, range(i * size, (i + 1) * size), axis=0, mode="wrap")}


def labelled_batches(seed: int, batches: int, size: int, part: str = "test") -> Iterator[dict[str, Any]]:
    """Images with their labels, each once: of the `test` part, or of the `train` part that was learnt from.

    The last batch may be smaller.
    """
    del seed
    pictures, digits = part_of(part)
    for start in range(0, min(batches * size, len(pictures)), size):
        yield {"image": pictures[start : start + size], "label": digits[start : start + size]}


def trained(width: int = 16, epochs: int = 8, seed: int = 0) -> Any:
    """The network after training; weights are kept in the cache by the hash of this file and the settings."""
    return once("digits", (width, epochs, seed), __file__, lambda: _network(width), lambda n: _train(n, epochs))


def _network(width: int) -> Any:
    import torch
    from torch import nn

    class Residual(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1)
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(x + self.body(x))

    class Digits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential(
                nn.Conv2d(1, width, 3, padding=1),
                nn.ReLU(),
                Residual(width),
                nn.MaxPool2d(2),
                nn.Conv2d(width, 2 * width, 3, padding=1),
                nn.ReLU(),
                Residual(2 * width),
                nn.MaxPool2d(2),
            )
            self.head = nn.Sequential(nn.Flatten(), nn.Linear(8 * width, 128), nn.ReLU(), nn.Linear(128, 10))

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.head(self.features(image))
            return logits

    return Digits()


def _train(network: Any, epochs: int) -> None:
    import torch

    inputs, labels = (torch.from_numpy(array[:_TRAIN]) for array in images())
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(epochs):
        for picked in torch.randperm(_TRAIN).split(64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(inputs[picked]), labels[picked]).backward()
            optimizer.step()
