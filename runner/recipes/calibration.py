"""Calibration data: a workload under its name, hashed, and read one batch at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from assay.runner.errors import UsageError
from assay.runner.tensors import Tensors, dtype_name, to_bytes
from assay.runner.workloads import stream
from assay.runner.workloads.asked import Workload


@dataclass(frozen=True, slots=True)
class CalibrationData:
    """What a static quantizer learns its ranges from."""

    name: str
    workload: Workload
    seed: int
    folder: Path

    @classmethod
    def of(cls, named: Mapping[str, Any], seed: int, folder: Path) -> Self:
        """What a job says of a variant's calibration.

        `name` and `workload`, made with the job's seed in the suite's folder.
        """
        return cls(named["name"], Workload.model_validate(named["workload"]), seed, folder)

    def batches(self) -> Iterator[Tensors]:
        """Its inputs, labels left out; a generator makes them again each time it is asked.

        Raises:
            UsageError: the data are missing, or cannot be made.
        """
        return (inputs for inputs, _ in stream(self.workload, seed=self.seed, folder=self.folder))

    @property
    def is_random(self) -> bool:
        """Whether the values are drawn, and not data."""
        return bool(self.workload.inputs)

    def measure(self) -> Fingerprint:
        """Reads all of it once."""
        digest = hashlib.sha256()
        batches = items = 0
        for batch in self.batches():
            for name, array in sorted(batch.items()):
                digest.update(f"{name}/{dtype_name(array)}{array.shape}".encode())
                digest.update(to_bytes(array))
            batches += 1
            items += next((array.shape[0] for array in batch.values() if array.ndim), 1)
        return Fingerprint(digest.hexdigest(), batches, items)


def finite_batches(calibration: CalibrationData) -> Iterator[Tensors]:
    """Its batches, each checked as it is read.

    Raises:
        UsageError: the data are empty, or not finite.
    """
    seen = 0
    for batch in calibration.batches():
        for name, array in batch.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise UsageError(
                    f"calibration data {calibration.name!r}: batch {seen} holds NaN or infinity in {name!r}; no range"
                    " can be learnt from that."
                )
        yield batch
        seen += 1
    if not seen:
        raise UsageError(f"calibration data {calibration.name!r} are empty: there is nothing to learn ranges from.")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    sha256: str
    """Of every array with its name, type and shape."""
    batches: int
    items: int
    """First axes of the first inputs, summed."""
