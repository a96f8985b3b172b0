"""The two forms of GPT-2 that are exported.

Flat inputs and outputs, an own causal mask (the older exporter has no `aten::diff`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import DynamicCache


def _causal_mask(tokens: torch.Tensor, past: torch.Tensor | None) -> torch.Tensor:
    """0 where a token may look, the least float where it may not: [1, 1, T, P + T].

    P is read from a key, if there is one.
    """
    length = tokens.shape[1]
    before = 0 if past is None else past.shape[2]
    rows = torch.arange(length).unsqueeze(1) + before
    hidden = torch.arange(before + length).unsqueeze(0) > rows
    least = torch.finfo(torch.float32).min
    return torch.where(hidden, torch.full((), least), torch.zeros(())).unsqueeze(0).unsqueeze(0)


class Basic(nn.Module):
    """input_ids [B, T] -> logits [B, T, V], next_token [B, 1]: the whole context at every step."""

    def __init__(self, network: nn.Module, weights_origin: str) -> None:
        super().__init__()
        self.network = network
        self.weights_origin = weights_origin

    def forward(self, input_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mask = _causal_mask(input_ids, None).to(self.network.dtype)
        positions = torch.arange(input_ids.shape[1]).unsqueeze(0)
        logits = self.network(input_ids=input_ids, attention_mask=mask, position_ids=positions, use_cache=False).logits
        return logits, logits[:, -1:].argmax(-1)


class WithPast(nn.Module):
    """As `Basic`, with keys and values of the past as inputs and outputs.

    In: past_key_i, past_value_i [B, H, P, D]. Out: present_key_i, present_value_i [B, H, P + T, D].
    """

    def __init__(self, network: Any, weights_origin: str) -> None:
        super().__init__()
        self.network = network
        self.weights_origin = weights_origin

    def forward(  # noqa: PLR0917  exporters name a graph's inputs by position
        self,
        input_ids: torch.Tensor,
        past_key_0: torch.Tensor,
        past_value_0: torch.Tensor,
        past_key_1: torch.Tensor | None = None,
        past_value_1: torch.Tensor | None = None,
        past_key_2: torch.Tensor | None = None,
        past_value_2: torch.Tensor | None = None,
        past_key_3: torch.Tensor | None = None,
        past_value_3: torch.Tensor | None = None,
        past_key_4: torch.Tensor | None = None,
        past_value_4: torch.Tensor | None = None,
        past_key_5: torch.Tensor | None = None,
        past_value_5: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, ...]:
        """Named one by one, because exporters name a graph's inputs by these; fewer layers take fewer."""
        given = (
            past_key_0,
            past_value_0,
            past_key_1,
            past_value_1,
            past_key_2,
            past_value_2,
            past_key_3,
            past_value_3,
            past_key_4,
            past_value_4,
            past_key_5,
            past_value_5,
        )
        past = [tensor for tensor in given if tensor is not None]
        cache = DynamicCache()
        for layer in range(len(past) // 2):
            cache.update(past[2 * layer], past[2 * layer + 1], layer)
        before = past[0].shape[2]
        positions = (torch.arange(input_ids.shape[1]) + before).unsqueeze(0)
        mask = _causal_mask(input_ids, past[0]).to(self.network.dtype)
        made = self.network(
            input_ids=input_ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
        )
        present = [part for layer in made.past_key_values.layers for part in (layer.keys, layer.values)]
        return made.logits, made.logits[:, -1:].argmax(-1), *present
