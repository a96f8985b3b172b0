"""Small networks that are trained once on this machine, in seconds, and then kept in the user's cache."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def once(name: str, settings: tuple[Any, ...], code: str, make: Callable[[], Any], train: Callable[[Any], None]) -> Any:
    """The network that `make` gives, after `train`, in evaluation mode; `settings` end with the seed.

    Weights are kept under $XDG_CACHE_HOME/assay by the hash of the file `code`, the settings and PyTorch's version, so
    that a change of any of them trains anew. Two that train at once write the same file.
    """
    import torch
    from safetensors.torch import load_file, save_file

    digest = hashlib.sha256(Path(code).read_bytes() + repr((name, settings, torch.__version__)).encode())
    folder = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "assay"
    cache = folder / f"{name}-{digest.hexdigest()[:24]}.safetensors"
    torch.manual_seed(settings[-1])
    network = make()
    if cache.is_file():
        network.load_state_dict(load_file(cache))
        return network.eval()
    train(network)
    folder.mkdir(parents=True, exist_ok=True)
    temporary = cache.with_suffix(f".{os.getpid()}.tmp")
    save_file(network.state_dict(), temporary)
    temporary.replace(cache)
    return network.eval()
