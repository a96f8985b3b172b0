"""Linear layers for the QINS codebook (lut8).

Its three tests as models, and a small transformer block of the shape that it was made for.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

_SEED_WEIGHTS = (0.5, -0.1098, 0.0152)
"""Three weights as a transformer has them; -0.1098 is the example of QINS's bug report."""


def three_weights() -> nn.Linear:
    """Test 1: three weights, whose products come out one by one."""
    layer = nn.Linear(1, 3, bias=False)
    layer.weight.data = torch.tensor(_SEED_WEIGHTS)[:, None]
    return layer


def projection(inputs: int = 768, outputs: int = 3072, seed: int = 0) -> nn.Linear:
    """Test 2: a transformer's projection, uniform in +-0.0996 as its errors tell."""
    torch.manual_seed(seed)
    layer = nn.Linear(inputs, outputs, bias=False)
    nn.init.uniform_(layer.weight, -0.0996, 0.0996)
    return layer


class LutBlock(nn.Module):
    """A pre-norm transformer decoder block: attention, and a gated feed-forward network as in Phi-3.5."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.RMSNorm(width), nn.RMSNorm(width)])
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.gate_up, self.down = nn.Linear(width, 2 * inner, bias=False), nn.Linear(inner, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        split = (
            self.qkv(self.norms[0](x)).reshape(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        )
        attended = nn.functional.scaled_dot_product_attention(split[0], split[1], split[2], is_causal=True)
        x = x + self.out(attended.transpose(1, 2).reshape(batch, length, width))
        gate, up = self.gate_up(self.norms[1](x)).chunk(2, dim=-1)
        return x + self.down(nn.functional.silu(gate) * up)


class Decoder(nn.Module):
    """Token numbers in, logits out."""

    def __init__(self, width: int, heads: int, inner: int, layers: int, vocabulary: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.blocks = nn.Sequential(*(LutBlock(width, heads, inner) for _ in range(layers)))
        self.norm, self.head = nn.RMSNorm(width), nn.Linear(width, vocabulary, bias=False)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.norm(self.blocks(self.embedding(input_ids))))
        return logits


def decoder(
    width: int = 256, heads: int = 8, inner: int = 512, layers: int = 2, vocabulary: int = 1024, seed: int = 0
) -> Any:
    """Phi-3.5's shape with other widths (its own: 3072, 32, 8192, 32, 32064), random weights.

    Rotary positions are left out: they have no weights. Each layer draws from a normal distribution of another width,
    as trained layers differ.
    """
    torch.manual_seed(seed)
    model = Decoder(width, heads, inner, layers, vocabulary)
    model.weights_origin = f"random, seed {seed}"
    for number, layer in enumerate(module for module in model.modules() if isinstance(module, nn.Linear)):
        nn.init.normal_(layer.weight, std=(0.5 + 0.25 * (number % 5)) * layer.in_features**-0.5)
    return model
