"""The version of a rule is a hash of its settings: what a calibration is of, and what a change was found by."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any


def version_of(settings: Any) -> str:
    """12 hexadecimal digits of a dataclass; the same settings have the same, whatever order they are in.

    Raises:
        TypeError: it is no instance of a dataclass.
    """
    return hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode()).hexdigest()[:12]
