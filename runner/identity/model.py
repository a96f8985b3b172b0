"""The identity of a model: a hash of its parts, and what differs between two of them in words."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from assay.schema.errors import BadDocument
from assay.schema.reading import json_document, read_text, reading

_OF_THE_HOST = ("tensor ", "library ")
"""Parts that another processor or another version of a library may change by itself: computed at loading."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Everything that a model's answers depend on, by part."""

    parts: Mapping[str, str]
    """What it is (`source helpers`, `file config.json`, `module encoder.0`, `tensor head.weight`, ...) -> SHA-256."""
    unseen: tuple[str, ...] = ()
    """Types of values that could not be seen into: what they hold is no part of it."""
    files: tuple[Path, ...] = field(default=())
    """Source files and files that were read, here."""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(json.dumps(sorted(self.parts.items())).encode()).hexdigest()


def keep(identity: Identity, folder: Path) -> None:
    """Write the parts under the identity's hash, so that a later run can say which of them differ."""
    path = _kept_at(folder, identity.sha256)
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps({"parts": dict(sorted(identity.parts.items())), "unseen": identity.unseen}))
    temporary.replace(path)


def kept_parts(folder: Path, sha256: str) -> dict[str, str] | None:
    """The parts of an identity that was seen here; None of another."""
    path = _kept_at(folder, sha256)
    try:
        with reading(path.name, "an identity that was kept"):
            parts = json_document(read_text(path), path.name)["parts"]
            return {str(name): str(value) for name, value in parts.items()}
    except BadDocument:
        return None


def _kept_at(folder: Path, sha256: str) -> Path:
    return folder / "identities" / f"{sha256}.json"


def differing(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Parts that are not the same, what people write first, tensors last."""
    names = {name for name in {*before, *now} if before.get(name) != now.get(name)}
    return sorted(names, key=lambda name: (is_of_the_host(name), not name.startswith(("source", "file")), name))


def is_of_the_host(part: str) -> bool:
    """Whether another host or another version of a library may change a part by itself."""
    return part.startswith(_OF_THE_HOST)
