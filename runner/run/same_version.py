"""One version name, one model: what a run is about to measure is held against what the books hold under its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from assay.runner.identity.model import differing, is_of_the_host, kept_parts
from assay.runner.suites.case import Case, default_reference
from assay.runner.worker.events.rows import Noticed
from assay.schema.queries import runs as run_queries
from assay.schema.store.database import Store, reading, snapshot

if TYPE_CHECKING:
    from assay.runner.run.prepare import Prepared

SAME_VERSION = "same_version_other_model"
"""The finding that fails every case of the model."""
_SHOWN = 4


@dataclass(slots=True)
class Held:
    """What is held under the names of versions: in the books, and by this run itself."""

    store: Store
    suite: str
    environment_id: str
    """Of this host with its libraries."""
    _this_run: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def look(self, prepared: Prepared, case: Case) -> None:
        """Add the finding where a version that has a name is another model than the one held under it."""
        sha256 = prepared.model.get("sha256")
        if case.version in ("git", "artifact") or not sha256:
            return
        origin = _origin(case)
        before = self._this_run.setdefault((case.model, prepared.version, origin), sha256)
        if before != sha256:
            self._notice(prepared, case, before, "earlier in this run", same_host=True)
            return
        for row in self._recorded(case.model, prepared.version):
            if _origin_of(row["reference"], case) == origin:
                if row["model_sha256"] != sha256:
                    when = f"{row['started_at']:%Y-%m-%d %H:%M} (run {row['run_id']})"
                    same = row["environment_id"] == self.environment_id
                    self._notice(prepared, case, row["model_sha256"], when, same_host=same)
                return

    def _recorded(self, model: str, version: str) -> list[dict[str, Any]]:
        published = snapshot(self.store)
        if published is None:
            return []
        with reading(published) as connection:
            return run_queries.models_of_version(connection, self.suite, model, version, SAME_VERSION)

    def _notice(self, prepared: Prepared, case: Case, before: str, when: str, *, same_host: bool) -> None:
        now = str(prepared.model["sha256"])
        old, new = (kept_parts(self.store.artifacts, sha256) for sha256 in (before, now))
        parts = differing(old, new) if old is not None and new is not None else []
        by_itself = not same_host and all(is_of_the_host(part) for part in parts)
        message = (
            f"version {prepared.version!r} of {case.model!r} is another model than the one recorded {when}:"
            f" {before[:12]} then, {now[:12]} now{_words(parts)}. "
        )
        if by_itself:
            message += "That was on another host, or with other libraries, which may be all that differs."
        else:
            message += f"Give it a version of its own{_drawn(parts)}."
        prepared.told.setdefault("finding", []).append(
            Noticed(
                kind="other_host_other_model" if by_itself else SAME_VERSION,
                subject=prepared.version,
                severity="warning" if by_itself else "fail",
                message=message,
            )
        )


def _words(parts: list[str]) -> str:
    if not parts:
        return ""
    more = f" and {len(parts) - _SHOWN} more" if len(parts) > _SHOWN else ""
    return f" (other: {', '.join(parts[:_SHOWN])}{more})"


def _drawn(parts: list[str]) -> str:
    """A hint where nothing but weights differs: they may be drawn anew whenever the model is loaded."""
    alone = bool(parts) and all(part.startswith("tensor ") for part in parts)
    return ", or seed its weights, if they are drawn anew whenever it is loaded" if alone else ""


def _origin(case: Case) -> str:
    return _origin_of(f"golden:{case.golden}" if case.golden else case.reference, case)


def _origin_of(reference: str | None, case: Case) -> str:
    """Which of a model's files was loaded as the right side; beside a golden it is that of the default reference."""
    return default_reference(case.files) if reference is None or reference.startswith("golden:") else reference


def findings_of(told: Mapping[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The findings of this kind among what was told."""
    return [finding for finding in told.get("finding", []) if finding["kind"] == SAME_VERSION]
