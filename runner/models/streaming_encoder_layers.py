"""The layers of the streaming encoder, in PyTorch. Shapes: B rows, T feature frames, N encoded frames, D wide."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from assay.runner.models.streaming_encoder import Size

FAULTS = ("", "norm", "attention", "convolution", "state_bias", "time_bias")


class Subsampling(nn.Module):
    """Three strided convolutions: [B, F, T] -> [B, ceil(T / 8), D]."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        channels = max(8, width // 4)
        self.first = nn.Conv2d(1, channels, 3, stride=2, padding=1)
        self.depthwise = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, stride=2, padding=1, groups=channels) for _ in range(2)
        )
        self.pointwise = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(2))
        self.out = nn.Linear(channels * math.ceil(features / 8), width)

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.first(audio.transpose(1, 2).unsqueeze(1)))
        for depthwise, pointwise in zip(self.depthwise, self.pointwise, strict=True):
            x = functional.relu(pointwise(depthwise(x)))
        return self.out(x.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    def __init__(self, width: int, expansion: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, width * expansion)
        self.down = nn.Linear(width * expansion, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(functional.silu(self.up(self.norm(x))))


class CachedAttention(nn.Module):
    """New frames attend to the cache and to themselves; what lies before the cache's length is masked."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.heads, self.head_width = size.heads, size.width // size.heads
        self.scale = 1 / math.sqrt(self.head_width)
        self.norm = nn.LayerNorm(size.width)
        self.query, self.key, self.value, self.out = (nn.Linear(size.width, size.width) for _ in range(4))
        self.bias = nn.Parameter(torch.zeros(size.heads, size.new, size.cache + size.new))
        allowed = torch.ones(size.new, size.new, dtype=torch.bool).tril()
        self.register_buffer("causal", allowed, persistent=False)

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (self.heads, self.head_width)).transpose(1, 2)

    def forward(self, x: torch.Tensor, cache: torch.Tensor, visible: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.norm(x)
        whole = torch.cat([cache, x], dim=1)
        query, key, value = self._split(self.query(x)), self._split(self.key(whole)), self._split(self.value(whole))
        scores = query @ key.transpose(-1, -2) * self.scale + self.bias
        seen = torch.cat(
            [visible.unsqueeze(1).expand(-1, x.shape[1], -1), self.causal.expand(x.shape[0], -1, -1)], dim=-1
        )
        scores = scores.masked_fill(~seen.unsqueeze(1), -1e4)
        mixed = (torch.softmax(scores, dim=-1) @ value).transpose(1, 2).flatten(2)
        return self.out(mixed), whole[:, x.shape[1] :]


class CachedConvolution(nn.Module):
    """Gated pointwise, causal depthwise over [cache, new frames], pointwise."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(size.width)
        self.gate = nn.Linear(size.width, 2 * size.width)
        self.depthwise = nn.Conv1d(size.width, size.width, size.kernel, groups=size.width)
        self.inner_norm = nn.LayerNorm(size.width)
        self.out = nn.Linear(size.width, size.width)

    def forward(self, x: torch.Tensor, cache: torch.Tensor, live: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        gated = functional.glu(self.gate(self.norm(x)), dim=-1).transpose(1, 2)
        whole = torch.cat([cache * live, gated], dim=2)
        mixed = self.depthwise(whole).transpose(1, 2)
        return (
            self.out(functional.silu(self.inner_norm(mixed))),
            torch.cat([cache, gated], dim=2)[:, :, gated.shape[2] :],
        )


class ConformerLayer(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        self.feed_forward_1 = FeedForward(size.width, size.expansion)
        self.attention = CachedAttention(size)
        self.convolution = CachedConvolution(size)
        self.feed_forward_2 = FeedForward(size.width, size.expansion)
        self.norm = nn.LayerNorm(size.width)

    def forward(
        self, x: torch.Tensor, channel: torch.Tensor, time: torch.Tensor, visible: torch.Tensor, live: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        x = x + 0.5 * self.feed_forward_1(x)
        attended, channel = self.attention(x, channel, visible)
        convolved, time = self.convolution(x + attended, time, live)
        x = x + attended + convolved
        return self.norm(x + 0.5 * self.feed_forward_2(x)), channel, time


class StreamingEncoder(nn.Module):
    """See `assay.runner.models.streaming_encoder`."""

    def __init__(self, size: Size, *, seed: int, isolated: bool, fault: str, amount: float, layer: int) -> None:
        super().__init__()
        if fault not in FAULTS:
            raise ValueError(f"there is no fault {fault!r}; there are {', '.join(FAULTS[1:])}")
        self.size, self.isolated = size, isolated
        self.subsampling = Subsampling(size.features, size.width)
        self.layers = nn.ModuleList(ConformerLayer(size) for _ in range(size.layers))
        self.fault, self.amount = fault, amount
        self._seed_weights(seed)
        if fault:
            self._break(fault, amount, self.layers[layer])

    def _seed_weights(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if name.endswith("norm.weight"):
                    parameter.fill_(1.0)
                elif parameter.ndim == 1:
                    parameter.normal_(0, 0.02, generator=generator)
                else:
                    fan_in = parameter[0].numel() if "bias" not in name else 100
                    parameter.normal_(0, 1 / math.sqrt(fan_in), generator=generator)

    @staticmethod
    def _break(fault: str, amount: float, layer: Any) -> None:
        with torch.no_grad():
            if fault == "norm":
                layer.norm.eps = amount
            elif fault == "attention":
                layer.attention.scale *= 1 + amount
            elif fault == "convolution":
                layer.convolution.depthwise.weight += amount

    def forward(
        self,
        audio_signal: torch.Tensor,
        length: torch.Tensor,
        cache_last_channel: torch.Tensor,
        cache_last_time: torch.Tensor,
        cache_last_channel_len: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        encoded = self.subsampling(audio_signal)
        older = encoded.shape[1] - self.size.new
        lengths = ((length + 7) // 8 - older).clamp(0, self.size.new)
        x = encoded[:, -self.size.new :]
        held = torch.zeros_like(cache_last_channel_len) if self.isolated else cache_last_channel_len
        positions = torch.arange(self.size.cache, device=x.device)
        visible = positions.unsqueeze(0) >= (self.size.cache - held).unsqueeze(1)
        live = (held > 0).to(x.dtype).reshape(-1, 1, 1)
        channels, times = [], []
        for number, layer in enumerate(self.layers):
            x, channel, time = layer(x, cache_last_channel[number], cache_last_time[number], visible, live)
            channels.append(channel)
            times.append(time)
        # In the isolated configuration nothing counts as held, so the length that is handed on is 0 for ever.
        grown = torch.zeros_like(held) if self.isolated else (held + lengths).clamp(max=self.size.cache)
        channel_out, time_out = torch.stack(channels), torch.stack(times)
        if self.fault == "state_bias":
            channel_out = channel_out + self.amount
        if self.fault == "time_bias":
            time_out = time_out + self.amount
        return x.transpose(1, 2), lengths, channel_out, time_out, grown
