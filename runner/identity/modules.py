"""A PyTorch module as parts: its tree with every attribute, parameters, and all buffers, kept in its state or not."""

from __future__ import annotations

import hashlib
import io
from functools import cache
from typing import Any

from assay.runner.identity.programs import hash_archive
from assay.runner.identity.values import Hasher, joined, state_of, users_own

_KEPT = ("training", "_forward_hooks", "_forward_pre_hooks")
"""What every module has and its answers depend on, beside its tensors and its parts."""


@cache
def _of_every_module() -> frozenset[str]:
    import torch

    return frozenset(vars(torch.nn.Module())) - set(_KEPT)


def parts_of_module(root: Any, hasher: Hasher) -> dict[str, str]:
    """SHA-256 of every part of a module: the tree by path, tensors by name, and what libraries' objects hold.

    Tensors are hashed by their bytes on the host, so a device does not enter. Only `tensor` and `library` parts may
    change with the host or the libraries.
    """
    parts: dict[str, str] = {}
    _walk(root, "", parts, hasher, {})
    for name, value in _beyond_tensors(root).items():
        parts[f"tensor {name}"] = hasher.of(value)
    if hasher.beside:
        parts["library objects"] = joined(*hasher.beside)
    return parts


def _walk(module: Any, path: str, parts: dict[str, str], hasher: Hasher, seen: dict[int, str]) -> None:
    where = path or "."
    if id(module) in seen:
        parts[f"module {where}"] = joined("the same as", seen[id(module)])
        return
    seen[id(module)] = where
    if (scripted := _scripted(module)) is not None:
        parts[f"module {where}"] = scripted
        return
    children = dict(vars(module)["_modules"])
    names = [name for name, child in children.items() if child is not None]
    state = {n: v for n, v in state_of(module).items() if n not in _of_every_module()}
    own = {name: value for name, value in state.items() if name not in _KEPT}
    kept = [hasher.of(list(state[name].values()) if name != "training" else state[name]) for name in _KEPT]
    users = users_own(type(module))
    code = getattr(module, "code", None)
    told = [hasher.of(type(module)), *names, *kept, code if isinstance(code, str) else ""]
    parts[f"module {where}"] = joined(*told, hasher.attributes(own) if users else "")
    if not users and (shown := {name: value for name, value in own.items() if not name.startswith("_")}):
        parts[f"library {where}"] = hasher.attributes(shown)
    held = {**vars(module)["_parameters"], **vars(module)["_buffers"]}
    for name, tensor in held.items():
        if tensor is not None:
            parts[f"tensor {f'{path}.{name}' if path else name}"] = hasher.of(tensor)
    for name in names:
        _walk(children[name], f"{path}.{name}" if path else name, parts, hasher, seen)


def _beyond_tensors(root: Any) -> dict[str, Any]:
    """What a module's state holds beside parameters and buffers: packed weights, and states of the user's own."""
    try:
        known = {
            *dict(root.named_parameters(remove_duplicate=False)),
            *dict(root.named_buffers(remove_duplicate=False)),
        }
        return {name: value for name, value in root.state_dict().items() if name not in known}
    except Exception:  # noqa: BLE001  a user's own state_dict may raise anything
        return {}


def _scripted(module: Any) -> str | None:
    """Of TorchScript, what it would be saved as, notes for debugging left out; None of another module."""
    import torch

    if not isinstance(module, torch.jit.ScriptModule):
        return None
    saved = io.BytesIO()
    torch.jit.save(module, saved)
    saved.seek(0)
    return hash_archive(saved)


def hash_tensor(tensor: Any, hasher: Hasher) -> str:
    """Dtype, shape and bytes of a tensor wherever it lies; of a quantized one its codes and their scale beside."""
    import torch

    kind, shape = str(tensor.dtype), str(tuple(tensor.shape))
    if isinstance(tensor, torch.nn.parameter.UninitializedTensorMixin) or tensor.device.type == "meta":
        return joined("tensor", kind, "no values yet")
    plain = tensor.detach()
    if plain.is_quantized:
        codes, scheme = plain.int_repr(), str(plain.qscheme())
        scales = (
            [plain.q_scale(), plain.q_zero_point()]
            if "tensor" in scheme
            else [plain.q_per_channel_scales(), plain.q_per_channel_zero_points(), plain.q_per_channel_axis()]
        )
        return joined("quantized", kind, scheme, hasher.of(codes), hasher.of(scales))
    if plain.layout is not torch.strided:
        return joined("sparse", kind, shape, hasher.of(plain.to_dense()))
    inner = getattr(tensor, "__tensor_flatten__", None)
    if callable(inner):  # a tensor that is made of others: torchao's and the like
        names, notes = inner()
        return joined(
            "made of", kind, shape, hasher.attributes({n: getattr(tensor, n) for n in names}), hasher.of(notes)
        )
    data = plain.cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    raw = data.view(torch.uint8).numpy() if data.numel() else None
    return joined("tensor", kind, shape, hashlib.sha256(raw).hexdigest() if raw is not None else "")
