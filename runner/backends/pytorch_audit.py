"""In which element types PyTorch really computes: every operator of one call is looked at as it is dispatched."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_PRODUCTS = (
    "mm", "addmm", "bmm", "baddbmm", "convolution", "mkldnn_convolution", "linear", "matmul", "mv", "addmv", "dot",
    "_scaled_dot_product", "mkldnn_rnn_layer", "_thnn_fused_lstm_cell", "conv1d", "conv2d", "conv3d", "lstm", "gru",
)  # fmt: skip
_INTEGER = ("quantized", "int8", "_int_mm", "qlinear", "qconv")
_MOVES = (
    "view", "_unsafe_view", "reshape", "t", "transpose", "permute", "expand", "slice", "select", "cat", "stack", "copy_",
    "clone", "_to_copy", "detach", "unsqueeze", "squeeze", "split", "index", "empty", "zeros", "ones", "full", "alias",
    "lift_fresh", "relu", "neg", "abs", "as_strided", "unbind", "contiguous", "embedding", "gather", "where",
)  # fmt: skip
"""Operators that round nothing."""


def arithmetic_of(call: Any) -> dict[str, dict[str, int]]:
    """Operators of a call by the type that they computed in: products, and the others that round."""
    with _Watching() as seen:
        call()
    return {"products": dict(seen.products), "others": dict(seen.others)}


class _Watching(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.products: Counter[str] = Counter()
        self.others: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        space, _, name = function._schema.name.partition("::")  # noqa: SLF001  no public name
        tensors = [a for a in torch.utils._pytree.tree_leaves(args) if isinstance(a, torch.Tensor)]  # noqa: SLF001
        floating = next((t.dtype for t in tensors if t.is_floating_point()), None)
        if any(word in f"{space}::{name}" for word in _INTEGER):
            self.products["int8"] += not name.endswith(("prepack", "unpack"))
        elif floating is None or name in _MOVES:
            pass
        elif name.startswith(_PRODUCTS):
            self.products[str(floating).removeprefix("torch.")] += 1
        else:
            self.others[str(floating).removeprefix("torch.")] += 1
        return result


def parts(module: Any) -> Counter[tuple[str, tuple[str, ...]]]:
    """Parts of a module that compute or hold weights: each one's class, with the dtypes of what it holds itself."""
    found: Counter[tuple[str, tuple[str, ...]]] = Counter()
    for part in module.modules():
        held = [*part._parameters.values(), *part._buffers.values()]  # noqa: SLF001  those of the part alone
        dtypes = tuple(str(tensor.dtype) for tensor in held if tensor is not None and tensor.is_floating_point())
        if dtypes or next(part.children(), None) is None:
            found[type(part).__qualname__, dtypes] += 1
    return found


def changed(after: Counter[tuple[str, tuple[str, ...]]], before: Counter[tuple[str, tuple[str, ...]]]) -> int | None:
    """Parts that are of another class, or hold another dtype; None of a module that holds no weights at all."""
    if not any(dtypes for _, dtypes in before):
        return None
    return (after - before).total()
