"""What every file of ours that people write is read by: an unknown key is an error, and nothing changes later."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class StrictModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
