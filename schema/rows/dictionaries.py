"""What rows point at: policies and metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Rules by their hash."""

    table: ClassVar[str] = "policy"
    policy_id: str
    name: str
    definition: str
    """Canonical JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    table: ClassVar[str] = "metric"
    metric: str
    unit: str
    better: str
    """`lower`, `higher` or `neither`."""
    description: str
