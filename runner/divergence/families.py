"""Operators of one kind under the names that PyTorch and ONNX have for it.

A table, not a proof: it chooses among values that are made of the same partners, and never alone.
"""

from __future__ import annotations

_FAMILIES: dict[str, tuple[str, ...]] = {
    "product": ("matmul", "gemm", "linear", "addmm", "bmm", "mm", "einsum", "tensordot", "dot"),
    "convolution": ("conv",),
    "scatter": ("scatter", "index_put", "index_add", "index_copy", "index_fill"),
    "gather": ("gather", "index_select", "embedding", "take", "index", "select", "slice"),
    "normalization": ("layer_norm", "layernorm", "batch_norm", "batchnorm", "group_norm", "groupnorm", "instancenorm",
                      "rms_norm", "rmsnorm"),
    "softmax": ("softmax",),
    "attention": ("attention", "scaled_dot_product"),
    "recurrent": ("lstm", "gru", "rnn"),
    "pool": ("pool",),
    "order": ("topk", "sort", "argsort", "kthvalue", "median", "quantile"),
    "extreme index": ("argmax", "argmin"),
    "resize": ("resize", "upsample", "interpolate", "grid_sample", "gridsample"),
    "pad": ("pad",),
    "where": ("where", "masked_fill"),
    "round": ("round", "floor", "ceil", "trunc"),
    "remainder": ("remainder", "fmod", "mod"),
    "comparison": ("greater", "less", "equal", "gt", "ge", "lt", "le", "eq", "ne"),
    "logic": ("logical", "and", "or", "not", "xor", "bitwise"),
    "clamp": ("clamp", "clip", "hardtanh", "minimum", "maximum", "max", "min"),
    "cumulative": ("cumsum", "cumprod"),
    "mean": ("mean", "averagepool"),
    "sum": ("reducesum", "sum"),
    "cast": ("cast", "_to_copy", "to_dtype", "type_as"),
    "division": ("div", "true_divide"),
    "multiplication": ("mul",),
    "subtraction": ("sub",),
    "addition": ("add",),
    "power": ("pow", "square"),
    "root": ("sqrt", "rsqrt"),
    "random": ("rand", "bernoulli", "dropout", "multinomial"),
}  # fmt: skip
"""Kind -> parts of operators' names; of several kinds the first counts."""


def family(operator: str) -> str:
    """The kind of an operator such as `aten.index_put` or `ScatterND`; its own name where the table has none."""
    word = operator.lower().removeprefix("aten.").removeprefix("quantized_decomposed.").rstrip("_")
    for kind, parts in _FAMILIES.items():
        if any(
            part in word if len(part) > 3 else word in (part, f"{part}_") or word.startswith(part) for part in parts
        ):
            return kind
    return word


def same_kind(one: str, other: str) -> bool:
    """Whether two operators are of one kind."""
    return family(one) == family(other)
