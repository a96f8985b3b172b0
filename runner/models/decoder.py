"""A small decoder with a key/value cache that grows by one token a step: a stream whose states change their shape.

token [B, 1], past [L, 2, B, H, P, W] -> logits [B, V], present [L, 2, B, H, P + 1, W]. Weights are seeded, not trained.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

LAYERS, HEADS, HEAD_WIDTH, VOCABULARY = 2, 4, 16, 256


def module(seed: int = 0, fault: float = 0.0) -> Any:
    """The decoder; `fault` is added to the keys that are handed on."""
    import torch
    from torch import nn
    from torch.nn import functional

    width = HEADS * HEAD_WIDTH

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.project, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x: torch.Tensor, past: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            parts = self.project(self.norm_1(x)).unflatten(-1, (3, HEADS, HEAD_WIDTH))
            query, key, value = (parts[:, :, i].transpose(1, 2) for i in range(3))
            keys, values = torch.cat([past[0], key], dim=2), torch.cat([past[1], value], dim=2)
            weights = torch.softmax(query @ keys.transpose(-1, -2) / HEAD_WIDTH**0.5, dim=-1)
            x = x + self.out((weights @ values).transpose(1, 2).flatten(2))
            return x + self.down(functional.gelu(self.up(self.norm_2(x)))), torch.stack([keys + fault, values])

    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(VOCABULARY, width)
            self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
            self.norm = nn.LayerNorm(width)
            self.head = nn.Linear(width, VOCABULARY)
            generator = torch.Generator().manual_seed(seed)
            with torch.no_grad():
                for parameter in self.parameters():
                    if parameter.ndim > 1:
                        parameter.normal_(0, parameter.shape[-1] ** -0.5, generator=generator)

        def forward(self, token: torch.Tensor, past: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            x = self.embedding(token)
            present = []
            for number, layer in enumerate(self.layers):
                x, kept = layer(x, past[number])
                present.append(kept)
            return self.head(self.norm(x))[:, -1], torch.stack(present)

    return Decoder()


def contract() -> dict[str, Any]:
    """An empty cache to begin with; it grows by a token a step."""
    return {
        "model": "decoder",
        "symbols": {"B": 1, "P": 0},
        "inputs": {
            "token": {"dtype": "int64", "shape": ["B", 1]},
            "past": {"shape": [LAYERS, 2, "B", HEADS, "P", HEAD_WIDTH]},
        },
        "outputs": {
            "logits": {"shape": ["B", VOCABULARY]},
            "present": {"shape": [LAYERS, 2, "B", HEADS, "P_out", HEAD_WIDTH]},
        },
        "state": [{"output": "present", "input": "past"}],
        "invariants": ["finite(logits)", "present.shape[4] == past.shape[4] + 1"],
    }


def tokens(seed: int, batches: int) -> Iterator[dict[str, Any]]:
    random = np.random.default_rng(seed)
    for _ in range(batches):
        yield {"token": random.integers(0, VOCABULARY, (1, 1)).astype(np.int64)}
