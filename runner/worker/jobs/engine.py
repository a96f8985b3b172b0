"""Build the engines that a backend runs from the variants' ONNX files, in the backend's own environment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from assay.runner.backends import ENGINES, load_backend
from assay.runner.worker.events.event import Events
from assay.runner.worker.events.facts import EngineMade, NotMade
from assay.runner.worker.job import EngineJob, ModelJob
from assay.runner.worker.jobs.session import contract_of, plain
from assay.runner.workloads import golden


def run(job: EngineJob, events: Events) -> None:
    """An `engine` event for each variant, `failed` for one that could not be built; the others go on.

    Raises:
        EnvironmentMissing: the backend's library is not installed.
    """
    backend: Any = load_backend(job.backend)
    options = {**backend.build_options(job.options), "sizes": sizes_of(job, job.recorded)}
    for variant in job.variants:
        try:
            made = make(job, options, variant["path"], variant["sha256"], Path(job.artifacts))
        except Exception as error:  # noqa: BLE001  the other variants go on
            events.emit(NotMade(variant=variant["name"], type=type(error).__name__, message=plain(error)))
            continue
        events.emit(EngineMade(variant=variant["name"], options=options, **asdict(made)))


def make(job: ModelJob, options: dict[str, Any], onnx: str, origin: str, cache: Path) -> Any:
    """An engine (`assay.runner.recipes.build.Built`) of an ONNX file, from the cache or new."""
    from assay.runner.recipes.build import Ingredients, build

    ingredients = Ingredients(
        target=Path(),
        options=options,
        example={},
        module=None,
        base=Path(onnx),
        onnx=None,
        onnx_options={},
        folder=Path(job.folder),
        output_names=(),
    )
    return build(ENGINES[job.backend], ingredients, origin, cache)


def sizes_of(job: ModelJob, recorded: Sequence[str]) -> dict[str, Any]:
    """What says how large dynamic axes are (`assay.runner.graphs.engine_sizes.Sizes`), in the candidate's names."""
    contract, rename = contract_of(job), job.rename_inputs
    seen: dict[str, set[tuple[int, ...]]] = {}
    for name in recorded:
        for step in golden.read(Path(job.goldens), name).steps:
            for tensor, entry in step["inputs"].items():
                seen.setdefault(rename.get(tensor, tensor), set()).add(tuple(entry["shape"]))
    return {
        "shapes": {rename.get(name, name): list(port.shape) for name, port in contract.inputs.items()},
        "profiles": {name: dict(profile.symbols) for name, profile in contract.profile.items() if profile.symbols},
        "symbols": dict(contract.symbols),
        "seen": {name: sorted(shapes) for name, shapes in seen.items()},
    }
