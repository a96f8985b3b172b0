"""Models with a mistake in them, each one that teams have shipped: what the suite `known-faults` has to catch.

Every `*_reference` is a PyTorch module that is right; the function of the same name makes the wrong ONNX file for it.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

WIDTH = 16


def streaming_encoder(
    size: str = "tiny", isolated: bool = False, fault: str = "state_bias", amount: float = 9e-5, layer: int = 1
) -> Any:
    """The encoder exported with a fault inside; see `assay.runner.models.streaming_encoder.module`."""
    from assay.runner.models import streaming_encoder as encoder

    module = encoder.module(size, isolated=isolated, fault=fault, amount=amount, layer=layer).eval()
    example = next(encoder.features(0, 1, size))
    states = _states(encoder.contract(size, isolated), example)
    return exported(module, {**example, **states}, encoder.OUTPUTS, dynamic={"audio_signal": {2: "T"}})


def _states(contract: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    from assay.runner.rules.contract import parse_contract

    return parse_contract(contract).initial_states(example)


def exported(
    module: Any,
    example: dict[str, Any],
    outputs: tuple[str, ...],
    dynamic: dict[str, dict[int, str]] | None = None,
    *,
    dynamo: bool = True,
    **settings: Any,
) -> Any:
    """A ModelProto by either of PyTorch's exporters, quietly."""
    import onnx
    import torch

    arguments = tuple(torch.from_numpy(array.copy()) for array in example.values())
    named = {
        name: {axis: torch.export.Dim(size) for axis, size in (dynamic or {}).get(name, {}).items()} for name in example
    }
    how = {"dynamic_shapes": tuple(named.values())} if dynamo else {"dynamic_axes": dynamic, "opset_version": 17}
    target = io.BytesIO()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            arguments,
            None if dynamo else target,
            input_names=list(example),
            output_names=list(outputs),
            dynamo=dynamo,
            verbose=False,
            **how,
            **settings,
        )
    return program.model_proto if dynamo else onnx.load_from_string(target.getvalue())


def recurrent_reference() -> Any:
    """Input x [B, T, W], h [1, B, W], c [1, B, W] -> y [B, T, W], h_out, c_out."""
    import torch

    class Recurrent(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                self.cell = torch.nn.LSTM(WIDTH, WIDTH, batch_first=True)

        def forward(
            self, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            y, (h_out, c_out) = self.cell(x, (h, c))
            return y, h_out, c_out

    return Recurrent()


def recurrent() -> Any:
    """Exported with one zero tensor as the example of both states: the exporter takes the two inputs for one."""
    import torch

    zero = torch.zeros(1, 1, WIDTH)
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            recurrent_reference().eval(),
            (torch.zeros(1, 4, WIDTH), zero, zero),
            input_names=["x", "h", "c"],
            output_names=["y", "h_out", "c_out"],
            dynamo=True,
            verbose=False,
        )
    return program.model_proto


def recurrent_contract() -> dict[str, Any]:
    state = {"shape": [1, "B", WIDTH]}
    return {
        "model": "recurrent",
        "symbols": {"B": 1},
        "inputs": {"x": {"shape": ["B", 4, WIDTH]}, "h": state, "c": state},
        "outputs": {"y": {"shape": ["B", 4, WIDTH]}, "h_out": state, "c_out": state},
        "state": [{"output": "h_out", "input": "h"}, {"output": "c_out", "input": "c"}],
    }


def sequences(seed: int, batches: int) -> Iterator[dict[str, Any]]:
    random = np.random.default_rng(seed)
    for _ in range(batches):
        yield {"x": random.standard_normal((1, 4, WIDTH)).astype(np.float32)}


def rows(seed: int, batches: int, size: int = 4) -> Iterator[dict[str, Any]]:
    random = np.random.default_rng(seed)
    for _ in range(batches):
        yield {"x": random.standard_normal((size, WIDTH)).astype(np.float32)}


def _layers(middle: Any) -> Any:
    import torch

    class Layers(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                self.first, self.last = torch.nn.Linear(WIDTH, 32), torch.nn.Linear(32, 4)
            self.middle = middle

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(torch.relu(self.middle(self.first(x))))

    return Layers()


def dropout_reference() -> Any:
    """Input x [B, W] -> y [B, 4], with a dropout that evaluation switches off."""
    import torch

    return _layers(torch.nn.Dropout(0.2))


def dropout() -> Any:
    """Exported without eval()."""
    import torch

    example = next(rows(0, 1))
    return exported(
        dropout_reference().train(),
        example,
        ("y",),
        {"x": {0: "B"}},
        dynamo=False,
        training=torch.onnx.TrainingMode.TRAINING,
        do_constant_folding=False,
    )


def stuck_dropout_reference() -> Any:
    """A module that drops out whatever mode it is in: the reference itself is not repeatable."""
    import torch

    class Always(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.dropout(x, 0.2, training=True)

    return _layers(Always())


def stuck_dropout() -> Any:
    """What it should have been."""
    return exported(dropout_reference().eval(), next(rows(0, 1)), ("y",), {"x": {0: "B"}})


def constant_reference() -> Any:
    """Input x [B, W] -> y [B, 4] that no x moves: its last layer's weights are zero."""
    import torch

    module = _layers(torch.nn.Identity())
    with torch.no_grad():
        module.last.weight.zero_()
        module.last.bias.copy_(torch.tensor([0.1, 0.2, 0.3, 0.4]))
    return module


def constant() -> Any:
    return exported(constant_reference().eval(), next(rows(0, 1)), ("y",), {"x": {0: "B"}})


def upper_quartile_reference() -> Any:
    """Input x [B, N] -> y [B], the element at 3/4 of the sorted row, for any N."""
    import torch

    class UpperQuartile(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.sort(x, dim=1).values[:, int(0.75 * (x.shape[1] - 1))]

    return UpperQuartile()


def upper_quartile() -> Any:
    """Traced: the index of the traced length is a constant in the file, whose axis says that any length will do."""
    return exported(upper_quartile_reference().eval(), next(rows(0, 1)), ("y",), {"x": {0: "B", 1: "N"}}, dynamo=False)
