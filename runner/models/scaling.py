"""Inference scaling: 12.6 over the median, across channels, of the interquartile range of each channel's trace.

The PyTorch side is right by definition. The ONNX side is made by hand, as people do when an exporter has no operator
(torch.median exports with neither of PyTorch's exporters), and comes with the mistakes that people make: indices
rounded instead of interpolated, and something else taken for the median.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

NUMERATOR = 12.6


def module() -> Any:
    """The reference: traces [channels, samples] -> iqr [channels], scaling []."""
    import torch

    class Scaling(torch.nn.Module):
        def forward(self, traces: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            quartiles = torch.quantile(traces, torch.tensor([0.25, 0.75]), dim=1)
            iqr = quartiles[1] - quartiles[0]
            return iqr, NUMERATOR / torch.median(iqr)

    return Scaling()


def onnx_model(quantile: str = "linear", median: str = "lower") -> Any:
    """Opset 17, any number of channels and samples.

    `quantile`: `linear` interpolates as torch.quantile does, `round` takes the nearest index. `median`: `lower` is
    torch.median's (the lower of two middle values), `mean` the average of the two, `first` the first channel's.

    Raises:
        ValueError: another word.
    """
    from onnx import TensorProto, helper

    if quantile not in ("linear", "round") or median not in ("lower", "mean", "first"):
        raise ValueError(f"no quantile {quantile!r} with median {median!r}")
    graph = _Graph()
    ascending = graph.sorted_ascending("traces", axis=1)
    last = graph.node(
        "Sub", graph.node("Cast", graph.size_of("traces", 1), to=TensorProto.FLOAT), graph.constant([1.0])
    )
    q25, q75 = (graph.quantile(ascending, last, q, quantile) for q in (0.25, 0.75))
    graph.node("Squeeze", graph.node("Sub", q75, q25), graph.constant([1], "int64"), output="iqr")
    middle = graph.median("iqr", median)
    graph.node(
        "Squeeze",
        graph.node("Div", graph.constant([NUMERATOR]), middle),
        graph.constant([0], "int64"),
        output="scaling",
    )
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "inference_scaling",
            [helper.make_tensor_value_info("traces", TensorProto.FLOAT, ["channels", "samples"])],
            [
                helper.make_tensor_value_info("iqr", TensorProto.FLOAT, ["channels"]),
                helper.make_tensor_value_info("scaling", TensorProto.FLOAT, []),
            ],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
    )
    model.ir_version = 9
    return model


class _Graph:
    """Nodes in the making."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []

    def node(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        from onnx import helper

        name = output or f"{operator.lower()}_{len(self.nodes)}"
        outputs = [name, f"{name}_indices"] if operator == "TopK" else [name]
        self.nodes.append(
            helper.make_node(operator, list(inputs), outputs, name=f"{operator}_{len(self.nodes)}", **attributes)
        )
        return name

    def constant(self, values: list[Any], dtype: str = "float32") -> str:
        from onnx import numpy_helper

        return self.node("Constant", value=numpy_helper.from_array(np.array(values, dtype)))

    def size_of(self, tensor: str, axis: int) -> str:
        return self.node("Gather", self.node("Shape", tensor), self.constant([axis], "int64"), axis=0)

    def sorted_ascending(self, tensor: str, axis: int) -> str:
        """TopK of everything; K is a 1-D tensor, which a scalar is not."""
        return self.node("TopK", tensor, self.size_of(tensor, axis), axis=axis, largest=0, sorted=1)

    def quantile(self, ascending: str, last: str, q: float, kind: str) -> str:
        from onnx import TensorProto

        position = self.node("Mul", last, self.constant([q]))
        if kind == "round":
            return self.node(
                "Gather", ascending, self.node("Cast", self.node("Round", position), to=TensorProto.INT64), axis=1
            )
        floor = self.node("Floor", position)
        ceiling = self.node("Min", self.node("Add", floor, self.constant([1.0])), last)
        fraction = self.node("Sub", position, floor)
        low, high = (
            self.node("Gather", ascending, self.node("Cast", index, to=TensorProto.INT64), axis=1)
            for index in (floor, ceiling)
        )
        return self.node("Add", low, self.node("Mul", self.node("Sub", high, low), fraction))

    def median(self, values: str, kind: str) -> str:
        if kind == "first":
            return self.node("Gather", values, self.constant([0], "int64"), axis=0)
        ascending = self.sorted_ascending(values, axis=0)
        count = self.size_of(values, 0)
        two, one = self.constant([2], "int64"), self.constant([1], "int64")
        lower = self.node("Gather", ascending, self.node("Div", self.node("Sub", count, one), two), axis=0)
        if kind == "lower":
            return lower
        upper = self.node("Gather", ascending, self.node("Div", count, two), axis=0)
        return self.node("Mul", self.node("Add", lower, upper), self.constant([0.5]))


def traces(seed: int, batches: int, regime: str, channels: int, samples: int) -> Iterator[dict[str, Any]]:
    """Recordings [channels, samples], float32.

    `recording`: integer counts with heavy tails, spikes, channels of different loudness, and a quiet first channel.
    `synthetic`: equal Gaussian channels. `small`: heavy-tailed and few, where rounding an index shows.

    Raises:
        ValueError: another regime.
    """
    random = np.random.default_rng(seed)
    for _ in range(batches):
        if regime == "recording":
            loudness = random.uniform(0.6, 1.6, (channels, 1)) * 22
            loudness[0] /= 5
            values = np.round(random.standard_t(3, (channels, samples)) * loudness)
            values[random.integers(0, channels, 60), random.integers(0, samples, 60)] -= 400
        elif regime == "synthetic":
            values = random.standard_normal((channels, samples))
        elif regime == "small":
            values = random.standard_t(2, (channels, samples))
        else:
            raise ValueError(f"there is no regime {regime!r}; there are recording, synthetic and small")
        yield {"traces": values.astype(np.float32)}
