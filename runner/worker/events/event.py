"""What every event is, and the way out for it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Event:
    """Anything that a worker says."""

    def facts(self) -> dict[str, Any]:
        """Field -> value, not copied; what it is about (`workload`, `variant`) left out."""
        names = (f.name for f in fields(self) if f.name not in ABOUT)
        return {name: getattr(self, name) for name in names}


class Events(Protocol):
    """The way out of a worker."""

    def emit(self, event: Event) -> None: ...


ABOUT = ("workload", "variant")
"""Fields that say which cases an event of the preparation is about; None stands for all of them."""
