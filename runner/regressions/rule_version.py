"""The version of a rule is a hash of its settings: what a calibration is of, and what a change was found by."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def version_of(settings: DataclassInstance) -> str:
    """12 hexadecimal digits; the same settings have the same, whatever order they are in."""
    return hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode()).hexdigest()[:12]
