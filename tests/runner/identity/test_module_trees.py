"""Random trees of modules: equal twice, and another model after any one change."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.runner.identity.modules import parts_of_module
from assay.runner.identity.values import Hasher

ATTRIBUTES = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=4),
    st.none(),
    st.lists(st.integers(0, 3), max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
    st.sampled_from([torch.float32, torch.int8, np.dtype("int16")]),
)


class Block(torch.nn.Module):
    def forward(self, x):
        return x


@st.composite
def trees(draw: Any, depth: int = 2) -> torch.nn.Module:
    """A module with attributes, tensors and children; it is never called."""
    block = Block()
    for place in range(draw(st.integers(0, 2))):
        setattr(block, f"plain{place}", draw(ATTRIBUTES))
    for place in range(draw(st.integers(0, 2))):
        value = torch.tensor(draw(st.lists(st.integers(-3, 3), min_size=1, max_size=3)))
        block.register_buffer(f"held{place}", value, persistent=draw(st.booleans()))
    block.register_parameter("weight", torch.nn.Parameter(torch.full((2,), draw(st.floats(-2, 2, width=32)))))
    layers = st.sampled_from([torch.nn.ReLU, torch.nn.Tanh, lambda: torch.nn.Dropout(0.5), torch.nn.Identity])
    for place in range(draw(st.integers(0, 2)) if depth else 0):
        child = draw(st.one_of(trees(depth - 1), layers.map(lambda make: make())))
        block.add_module(f"part{place}", child)
    return block


def attribute(module: torch.nn.Module) -> None:
    module.plain0 = ("another", getattr(module, "plain0", None))


def new_attribute(module: torch.nn.Module) -> None:
    module.added = 0


def buffer(module: torch.nn.Module) -> None:
    held = dict(module.named_buffers(recurse=False))
    name = next(iter(held), "held9")
    module.register_buffer(name, held.get(name, torch.zeros(1, dtype=torch.int64)) + 1, persistent=False)


def parameter(module: torch.nn.Module) -> None:
    weight = module.get_parameter("weight")
    module.register_parameter("weight", torch.nn.Parameter(weight.detach() + 1))


def dtype(module: torch.nn.Module) -> None:
    module.register_parameter("weight", torch.nn.Parameter(module.get_parameter("weight").detach().double()))


def structure(module: torch.nn.Module) -> None:
    module.add_module("part0", torch.nn.Sequential(module._modules.get("part0") or torch.nn.Identity()))


def layer(module: torch.nn.Module) -> None:
    module.add_module("part0", torch.nn.Softmax(dim=len(str(module._modules.get("part0")))))


def mode(module: torch.nn.Module) -> None:
    module.training = not module.training


def hook(module: torch.nn.Module) -> None:
    module.register_forward_hook(lambda _module, _inputs, output: output + 1)


MUTATIONS = [attribute, new_attribute, buffer, parameter, dtype, structure, layer, mode, hook]


def parts(module: torch.nn.Module) -> dict[str, str]:
    return parts_of_module(module, Hasher(Path()))


@settings(max_examples=60, deadline=None)
@given(tree=trees(), data=st.data())
def test_a_tree_equals_its_copy_and_no_tree_with_one_change(tree: torch.nn.Module, data: st.DataObject):
    other = copy.deepcopy(tree)
    assert parts(tree) == parts(other)
    blocks = [module for module in other.modules() if isinstance(module, Block)]
    data.draw(st.sampled_from(MUTATIONS))(data.draw(st.sampled_from(blocks)))
    assert parts(tree) != parts(other)


def test_the_order_of_layers_counts():
    one = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Tanh())
    other = torch.nn.Sequential(torch.nn.Tanh(), torch.nn.ReLU())
    assert parts(one) != parts(other)


def test_packed_weights_of_quantized_layers_count():
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        layer = torch.nn.Sequential(torch.nn.Linear(4, 4))
        found.append(parts(torch.ao.quantization.quantize_dynamic(layer)))
    assert found[0] == found[1] != found[2]


def test_a_scripted_part_counts_by_its_code_and_its_constants():
    class Scaled(torch.nn.Module):
        def __init__(self, by: float) -> None:
            super().__init__()
            self.by = by

        def forward(self, x):
            return x * self.by

    def scripted(by: float) -> dict[str, str]:
        return parts(torch.nn.Sequential(torch.jit.trace(Scaled(by), torch.ones(2))))

    assert scripted(2.0) == scripted(2.0) != scripted(3.0)
