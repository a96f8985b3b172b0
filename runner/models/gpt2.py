"""DistilGPT2 (82 M parameters) through transformers, the model of many hand-written speed reports.

`module` is the basic form: input_ids [B, T] -> logits [B, T, V], next_token [B, 1]. `with_past` also takes and returns
keys and values, past_key_i and past_value_i [B, H, P, D], so that a step computes only its own tokens; its contract
feeds next_token back into input_ids: a closed loop is a greedy generation.

Weights are the real ones where a folder or the hub has them, and seeded random ones otherwise; `weights_origin` says
which.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from assay.runner.errors import UsageError

REPOSITORY = "distilbert/distilgpt2"
_SIZES = {
    "full": {"n_layer": 6, "n_head": 12, "n_embd": 768, "vocab_size": 50257, "n_positions": 1024},
    "tiny": {"n_layer": 2, "n_head": 4, "n_embd": 64, "vocab_size": 1024, "n_positions": 512},
}
_LOUDER = {"c_proj.weight": 8.0, "wpe.weight": 8.0, "ln_f.weight": 4.0}
"""Random weights as transformers draws them repeat the prompt's last token for ever: the tied embedding outweighs the
layers. Layers and positions that weigh more make a generation that moves on (23 tokens of 33 differ), and a louder last
norm brings the logits' standard deviation to that of trained ones (2; measured)."""


def module(size: str = "full", weights: str = "auto", seed: int = 0) -> Any:
    """The model without a cache.

    `weights` is `auto` (a folder named by ASSAY_GPT2_WEIGHTS, the hub or its local cache, or else random), `hub`,
    `random`, or a folder.

    Raises:
        UsageError: the size is unknown, or the weights that are asked for are not there.
    """
    return _Basic(*_network(size, weights, seed)).as_module()


def with_past(size: str = "full", weights: str = "auto", seed: int = 0) -> Any:
    """The model with keys and values as inputs and outputs; see `module`."""
    return _WithPast(*_network(size, weights, seed)).as_module()


class _Basic:
    """Builds the module; the class of the module itself needs torch, which a contract's reader does not."""

    def __init__(self, network: Any, origin: str) -> None:
        self.network, self.origin = network, origin

    def as_module(self) -> Any:
        from assay.runner.models.gpt2_modules import Basic

        return Basic(self.network, self.origin)


class _WithPast(_Basic):
    def as_module(self) -> Any:
        from assay.runner.models.gpt2_modules import WithPast

        return WithPast(self.network, self.origin)


def _network(size: str, weights: str, seed: int) -> tuple[Any, str]:
    """The transformers model, and where its weights are from."""
    if size not in _SIZES:
        raise UsageError(f"gpt2 comes in the sizes {', '.join(_SIZES)}, not {size!r}.")
    from transformers import GPT2Config, GPT2LMHeadModel

    folder = None if size == "tiny" and weights == "auto" else _folder_of(weights)
    if folder is not None:
        network = GPT2LMHeadModel.from_pretrained(folder, attn_implementation="sdpa", use_safetensors=True)
        return network, f"{REPOSITORY} from {'the hub' if weights in ('auto', 'hub') else 'a folder'}"
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config: Any = GPT2Config
        shape = {**_SIZES[size], "bos_token_id": None, "eos_token_id": None}
        network = GPT2LMHeadModel(config(**shape, attn_implementation="sdpa"))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.mul_(next((factor for ending, factor in _LOUDER.items() if name.endswith(ending)), 1.0))
    return network, f"random weights, seed {seed}"


def _folder_of(weights: str) -> str | None:
    """The folder that has the weights; None for random ones."""
    if weights == "random":
        return None
    named = os.environ.get("ASSAY_GPT2_WEIGHTS") if weights == "auto" else weights
    if named and named != "hub":
        if not (Path(named) / "model.safetensors").is_file():
            raise UsageError(f"{named} holds no model.safetensors: name a folder with the weights of {REPOSITORY}.")
        return named
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    wanted = ["config.json", "model.safetensors", "generation_config.json"]
    try:
        return snapshot_download(REPOSITORY, allow_patterns=wanted, local_files_only=not _hub_answers())
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        if weights == "hub":
            raise UsageError(f"the hub has no {REPOSITORY} for this host: {str(error).splitlines()[0]}") from error
        return None


def _hub_answers() -> bool:
    """Whether the hub can be reached, asked once and shortly: its own client tries for a minute."""
    if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
        return False
    try:
        socket.create_connection(("huggingface.co", 443), timeout=3).close()
    except OSError:
        return False
    return True


def outputs(size: str = "full") -> list[str]:
    """Names of `with_past`'s outputs, in order."""
    layers = range(_SIZES[size]["n_layer"])
    return ["logits", "next_token", *[f"present_{kind}_{i}" for i in layers for kind in ("key", "value")]]


def contract(size: str = "full") -> dict[str, Any]:
    """States of `with_past`: the cache, empty at first, and the token that is fed back."""
    heads, width = _SIZES[size]["n_head"], _SIZES[size]["n_embd"] // _SIZES[size]["n_head"]
    names = [
        (f"past_{kind}_{i}", f"present_{kind}_{i}") for i in range(_SIZES[size]["n_layer"]) for kind in ("key", "value")
    ]
    return {
        "model": "gpt2",
        "symbols": {"B": 1, "T": 1, "P": 0},
        "inputs": {
            "input_ids": {"dtype": "int64", "shape": ["B", "T"]},
            **{name: {"shape": ["B", heads, "P", width]} for name, _ in names},
        },
        "outputs": {
            "logits": {"shape": ["B", "T_out", _SIZES[size]["vocab_size"]]},
            "next_token": {"dtype": "int64", "shape": ["B", 1]},
            **{name: {"shape": ["B", heads, "P_out", width]} for _, name in names},
        },
        "state": [
            {"output": "next_token", "input": "input_ids"},
            *[{"output": out, "input": into} for into, out in names],
        ],
        "invariants": ["finite(logits)", "present_key_0.shape[2] == past_key_0.shape[2] + input_ids.shape[1]"],
    }


def prompts(seed: int, batches: int, batch: int = 1, context: int = 16, size: str = "full") -> Iterator[dict[str, Any]]:
    """Token ids [batch, context], a new draw for each batch."""
    random = np.random.default_rng(seed)
    for _ in range(batches):
        yield {"input_ids": random.integers(0, _SIZES[size]["vocab_size"], (batch, context))}


def generation(
    seed: int, batches: int, batch: int = 1, context: int = 16, size: str = "full"
) -> Iterator[dict[str, Any]]:
    """A prompt, then steps without any input of their own: the token before is fed back."""
    yield from prompts(seed, 1, batch, context, size)
    for _ in range(batches - 1):
        yield {}


def example(size: str = "full", past: bool = False) -> dict[str, Any]:
    """Inputs to trace on: no axis that may vary has the size 0 or 1, which exporters take for constants."""
    made: dict[str, Any] = next(prompts(0, 1, batch=2, context=3, size=size))
    if past:
        shape = (2, _SIZES[size]["n_head"], 5, _SIZES[size]["n_embd"] // _SIZES[size]["n_head"])
        for i in range(_SIZES[size]["n_layer"]):
            for kind in ("key", "value"):
                made[f"past_{kind}_{i}"] = np.random.default_rng(i).standard_normal(shape).astype(np.float32)
    return made
