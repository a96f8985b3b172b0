"""The file of `assay nightly`: what to run, how long, whom to tell.

Secrets are named, never written: they come from the environment.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from assay.runner.errors import UsageError, nearest
from assay.runner.rules.strict import StrictModel
from assay.schema.metrics import METRICS
from assay.schema.reading import WRITTEN, read_text, reading, toml

Severity = Literal["low", "medium", "high", "critical"]


class Channel(StrictModel):
    """Where a digest goes."""

    name: str = Field(description="What the books call it.")
    kind: Literal["slack", "webhook", "email", "file"]
    least: Severity = Field(default="low", description="Alerts below this severity are not told here.")
    url_env: str | None = Field(
        default=None, description="Of slack and webhook: the environment variable that holds the address."
    )
    host: str | None = Field(default=None, description="Of email: the SMTP server.")
    port: Annotated[int, Field(gt=0, lt=65536)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str | None = None
    password_env: str | None = Field(default=None, description="The environment variable that holds the password.")
    sender: str | None = None
    to: tuple[str, ...] = ()
    path: str | None = Field(default=None, description="Of file: where digests are appended.")

    @model_validator(mode="after")
    def _complete(self) -> Channel:
        needs = {"slack": ("url_env",), "webhook": ("url_env",), "email": ("host", "sender", "to"), "file": ("path",)}[
            self.kind
        ]
        missing = [name for name in needs if not getattr(self, name)]
        if missing:
            raise ValueError(f"a channel of kind {self.kind!r} needs {', '.join(missing)}")
        return self

    def secret(self, variable: str) -> str:
        """The value of an environment variable.

        Raises:
            UsageError: it is not set.
        """
        value = os.environ.get(variable, "")
        if not value:
            raise UsageError(f"channel {self.name!r} needs the environment variable {variable}, which is not set.")
        return value


class Nightly(StrictModel):
    """A whole night."""

    suites: tuple[str, ...] = Field(
        default=(), description="Suites to run, by name or path (relative to this file), one after the other."
    )
    timeout_h: float = Field(
        default=8.0,
        gt=0,
        description="Of all suites together; what runs longer is ended, and what it finished is kept.",
    )
    confirm_minutes: float = Field(
        default=0.0, ge=0, description="To run what moved again, old and new in turns; 0 runs nothing again."
    )
    explain: bool = Field(
        default=True,
        description="With confirm_minutes: walk the graph of a parity case that broke, for the first divergence.",
    )
    fdr: float = Field(default=0.05, gt=0, lt=1, description="Share of a night's changes that may be false.")
    floors: dict[str, float] = Field(
        default_factory=dict, description="Metric -> smallest change that is told, as a share: 0.05 is 5 %."
    )
    keep_artifacts_days: float = Field(
        default=60.0, ge=0, description="Built models that nothing has used for so long are deleted; 0 keeps all."
    )
    keep_logs_days: float = Field(default=60.0, gt=0)
    dashboard: str = Field(default="", description="The dashboard's address, for links in digests.")
    notify: tuple[Channel, ...] = ()

    @model_validator(mode="after")
    def _known(self) -> Nightly:
        for metric, floor in self.floors.items():
            if metric not in METRICS:
                raise ValueError(f"floors: there is no metric {metric!r}.{nearest(metric, METRICS)}")
            if not 0 <= floor < 1:
                raise ValueError(f"floors: {metric} is a share such as 0.05, not {floor}")
        names = [channel.name for channel in self.notify]
        if len(set(names)) < len(names):
            raise ValueError("two channels have one name")
        return self


def load_nightly(path: Path) -> Nightly:
    """Read and check the file.

    Raises:
        UsageError: it is not there, not TOML, or says something that it must not; every fault is told with its place.
    """
    data = toml(read_text(path, WRITTEN, f"cannot read {path}"), str(path))
    try:
        with reading(str(path), "a night's configuration", ValidationError):
            return Nightly.model_validate(data)
    except ValidationError as error:
        told = []
        for fault in error.errors():
            place = ".".join(str(part) for part in fault["loc"])
            known = [*(Channel.model_fields if place.startswith("notify") else Nightly.model_fields)]
            hint = nearest(str(fault["loc"][-1]), known) if fault["type"] == "extra_forbidden" else ""
            told.append(f"{place or 'the file'}: {fault['msg'].removeprefix('Value error, ')}{hint}")
        raise UsageError(f"{path}: " + "; ".join(told)) from None
