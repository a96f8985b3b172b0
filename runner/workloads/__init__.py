"""The inputs of a case: seeded arrays, a generator of yours, or a file."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from assay.runner.errors import BadDocument, UsageError, nearest
from assay.runner.source import load_factory
from assay.runner.tensors import Tensors
from assay.runner.workloads.array_files import npy_file, npz
from assay.runner.workloads.asked import Workload
from assay.runner.workloads.drawing import draw
from assay.schema.reading import reading


def make_batches(workload: Workload, *, seed: int, folder: Path) -> list[Tensors]:
    """Every batch of a workload, the same for the same seed, without its labels.

    Raises:
        UsageError: the file is missing or unreadable, or the generator raised or yielded something else.
    """
    return [inputs for inputs, _ in stream(workload, seed=seed, folder=folder)]


def stream(workload: Workload, *, seed: int, folder: Path) -> Iterator[tuple[Tensors, Tensors]]:
    """Inputs and labels of each batch, one batch in memory at a time where a generator makes them so.

    Raises:
        UsageError: as `make_batches`; and a label that the workload names is in no batch.
    """
    for batch in _batches(workload, seed, folder):
        for name in workload.labels:
            if name not in batch:
                raise UsageError(f"label {name!r} is not in the workload.{nearest(name, batch)}")
        labels = {name: batch[name] for name in workload.labels}
        yield {name: array for name, array in batch.items() if name not in labels}, labels


def _batches(workload: Workload, seed: int, folder: Path) -> Iterator[Tensors]:
    if workload.file is not None:
        yield from _split(read_arrays(folder / workload.file), workload.batches)
    elif workload.generator is not None:
        yield from _generated(workload, workload.generator, seed, folder)
    else:
        random = np.random.default_rng(seed)
        for _ in range(workload.batches):
            yield {name: draw(spec, random) for name, spec in workload.inputs.items()}


def _generated(workload: Workload, reference: str, seed: int, folder: Path) -> Iterator[Tensors]:
    generator = load_factory(reference, folder)
    try:
        where = {"folder": folder} if "folder" in inspect.signature(generator).parameters else {}
        made = iter(generator(seed=seed, batches=workload.batches, **where, **workload.options))
        while (batch := next(made, None)) is not None:
            yield _checked(batch, reference)
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"the generator {reference} raised {type(error).__name__}: {error}") from error


def _checked(batch: Any, reference: str) -> Tensors:
    if not isinstance(batch, dict) or not all(isinstance(value, np.ndarray) for value in batch.values()):
        raise UsageError(f"the generator {reference} must yield dicts of numpy arrays by input name.")
    return batch


def read_arrays(path: Path) -> Tensors:
    """Arrays by name from .npy (one, named `array`), .npz or .safetensors; never unpickles.

    Raises:
        UsageError: missing, of another kind, or damaged.
    """
    if not path.is_file():
        raise UsageError(f"{path} is not there.")
    try:
        if path.suffix == ".npy":
            return {"array": npy_file(path)}
        if path.suffix == ".npz":
            return dict(npz(path))
        if path.suffix == ".safetensors":
            from assay.runner.workloads.safetensors_files import read

            with reading(str(path), "a file of safetensors"):
                return read(path)
    except BadDocument as error:
        raise BadDocument(f"{path} cannot be read as {path.suffix}: {error}") from None
    raise UsageError(
        f"{path}: {path.suffix or 'no suffix'} is not a kind that Assay reads. It reads .npy, .npz and .safetensors."
    )


def _split(arrays: Tensors, batches: int) -> list[Tensors]:
    if batches == 1:
        return [arrays]
    for name, array in arrays.items():
        if array.ndim == 0 or array.shape[0] != batches:
            raise UsageError(
                f"array {name!r} has shape {array.shape}; to split it into {batches} batches, its first axis must be"
                f" {batches}."
            )
    return [{name: np.asarray(array[i], order="C") for name, array in arrays.items()} for i in range(batches)]
