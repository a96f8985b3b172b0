"""Linear layers that hold codes into a table and decode them at every call, in PyTorch.

`codebook-linear`: options `scheme` (as for the recipe `codebook`), `scale`, `unchecked`, and `compute`: `lookup` (codes
index the table), `division` (the value
is computed from the code, for schemes of equal steps), `decoded` (once, when the model is loaded: float weights in
memory).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from assay.runner.errors import UsageError
from assay.runner.recipes import known_options
from assay.runner.recipes.codebook import sound
from assay.runner.recipes.codebooks import Scheme, decode, encode
from assay.runner.recipes.torch_modules import as_linears, replace_modules


def quantize_codebook(module: Any, options: dict[str, Any]) -> Any:
    """Every linear layer's weight in codes.

    Raises:
        UsageError: an option is unknown, the scheme is unsound, or there is no linear layer.
    """
    options = known_options("codebook-linear", options)
    scheme, compute = sound(options["scheme"], unchecked=options["unchecked"]), options["compute"]
    if compute == "division" and not _equal_steps(scheme):
        raise UsageError(
            f"recipe 'codebook-linear': the values of {scheme.name!r} are not in equal steps, so no division gives"
            " them."
        )

    def replaced(linear: nn.Linear) -> nn.Module:
        return CodedLinear(linear, scheme, options["scale"], compute)

    return replace_modules(as_linears("codebook-linear", module), nn.Linear, replaced)


def _equal_steps(scheme: Scheme) -> bool:
    return bool(np.ptp(np.diff(scheme.table[scheme.first_code :])) < 1e-9)


class CodedLinear(nn.Module):
    """y = x W^T + b with W decoded from codes; buffers are what is stored."""

    def __init__(self, linear: nn.Linear, scheme: Scheme, scale: float | None, compute: str) -> None:
        super().__init__()
        coded = encode(linear.weight.detach().float().cpu().numpy(), scheme, scale)
        self._compute, self._blocks = compute, coded.scales.shape[1]
        self._first, self._step = (
            scheme.first_code,
            scheme.table[scheme.first_code + 1] - scheme.table[scheme.first_code],
        )
        self._origin, self._block = scheme.table[scheme.first_code], scheme.block
        if compute == "decoded":
            self.register_buffer("weight", torch.from_numpy(decode(coded, scheme)))
        else:
            self.register_buffer("codes", torch.from_numpy(coded.codes))
            self.register_buffer("signs", None if coded.signs is None else torch.from_numpy(coded.signs))
            self.register_buffer("scales", torch.from_numpy(coded.scales))
            if compute == "lookup":
                self.register_buffer("table", torch.tensor(scheme.table, dtype=torch.float32))
        self.bias = linear.bias

    def decoded(self) -> torch.Tensor:
        """The weight that is computed with.

        In place where it can be: fresh memory for each step costs more than the step.
        """
        if self._compute == "decoded":
            return self.weight
        if self._compute == "lookup":
            values = self.table[self.codes.int()]
        else:  # code and value rise in equal steps: value = origin + (code - first) / (1 / step)
            values = self.codes.float().sub_(self._first).div_(1 / self._step).add_(self._origin)
        if self.signs is not None:
            values.mul_(self.signs)
        scales = (
            self.scales if self._blocks == 1 else self.scales.repeat_interleave(self._block, 1)[:, : values.shape[1]]
        )
        return values.mul_(scales)

    def weight_storage(self) -> tuple[int, int]:
        """Weights, and the bytes that they are held in: codes, signs, scales and table."""
        buffers = [buffer for buffer in self.buffers(recurse=False) if buffer is not None]
        return max(b.numel() for b in buffers), sum(b.numel() * b.element_size() for b in buffers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(x, self.decoded(), self.bias)
