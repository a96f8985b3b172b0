"""TensorRT engines from ONNX files, by TensorRT 10 and 11 alike.

Strongly typed on both, so the graph says every precision.

Options: `device` (cuda, cuda:1: engines are built where they run), `workspace_mib`, `optimization_level` (0 to 5),
`tf32` (off unless asked for), `hardware` (none, ampere_plus,
same_compute_capability: which other GPUs may load it), `version_compatible`, `refit` (weights can be replaced),
`strict_nans`,
`distributive_independence` (meant to make a row's result independent of its batch), `aux_streams`, `timing_cache` (a
file beside the suite; else one is kept for each TensorRT and GPU), `pin_timing_cache` (a tactic that it does not have
is an error, and it is not changed).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorrt as trt

from assay.runner.backends import cuda_device
from assay.runner.errors import UsageError
from assay.runner.graphs.engine_sizes import Range, Sizes, profiles
from assay.runner.recipes import RECIPES
from assay.runner.recipes.build import Ingredients
from assay.runner.recipes.options import defaults, refuse_wrong
from assay.runner.tensors import hash_file

OPTIONS = RECIPES["tensorrt"].options
_MIB = 1 << 20


class Log(trt.ILogger):
    """Keeps what TensorRT says is wrong, for the message of whatever fails next."""

    def __init__(self) -> None:
        trt.ILogger.__init__(self)
        self.errors: list[str] = []

    def log(self, severity: Any, msg: str) -> None:
        if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
            self.errors.append(str(msg).strip())

    def said(self) -> str:
        return " ".join(self.errors[-3:])[:1000] or "TensorRT gives no reason"


def tools(options: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """What an engine depends on beside its graph: TensorRT, the GPU, the driver, a timing cache that was named."""
    cache = options.get("timing_cache")
    return {
        "tensorrt": trt.__version__,
        **gpu(options.get("device", "cuda")),
        "timing_cache": hash_file(folder / cache) if cache and (folder / cache).is_file() else "",
    }


def gpu(device: str) -> dict[str, str]:
    """Name and compute capability of the GPU that engines are built on, and its driver."""
    import torch

    from assay.runner.timing.gpu import driver_version

    if not torch.cuda.is_available():
        return {"gpu": "none", "driver": ""}
    facts = torch.cuda.get_device_properties(torch.device(device).index or 0)
    return {"gpu": f"{facts.name} sm_{facts.major}{facts.minor}", "driver": driver_version() or ""}


@dataclass(slots=True)
class Parsed:
    """An ONNX file as TensorRT's network, with everything that has to live as long."""

    log: Log
    builder: Any
    network: Any
    parser: Any

    @property
    def inputs(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape, -1 for a dynamic axis."""
        tensors = [self.network.get_input(i) for i in range(self.network.num_inputs)]
        return {tensor.name: tuple(tensor.shape) for tensor in tensors}


def parse(path: Path) -> Parsed:
    """Read an ONNX file into a strongly typed network.

    Raises:
        UsageError: TensorRT cannot; its words, with the node.
    """
    log = Log()
    trt.init_libnvinfer_plugins(log, "")
    builder = trt.Builder(log)
    flags = 0
    if hasattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH"):  # 10: ask for what 11 does anyhow
        flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, log)
    if not parser.parse_from_file(str(path)):
        told = [parser.get_error(i) for i in range(parser.num_errors)]
        words = "; ".join(
            f"{error.node_name() or 'the file'} ({error.node_operator()}): {error.desc()}" for error in told[:3]
        )
        raise UsageError(f"TensorRT {trt.__version__} cannot read the graph: {words[:1000] or log.said()}")
    return Parsed(log, builder, network, parser)


def build(ingredients: Ingredients) -> dict[str, Any]:
    """Build the engine and write it; returns its settings, with the timing cache's hash before and after.

    `options` hold the builder's options (see the top) and `sizes` (`assay.runner.graphs.engine_sizes.Sizes` as a
    dictionary).

    Raises:
        EnvironmentMissing: there is no such device.
        UsageError: an option is unknown, an axis has no size, or TensorRT cannot read or build the graph.
    """
    options, base = checked(ingredients.options), ingredients.base
    if base is None:
        raise UsageError("TensorRT builds engines from ONNX files, and this model has none.")
    cuda_device.open_device(options["device"])
    parsed = parse(base)
    ranges = profiles(parsed.inputs, Sizes(**ingredients.options.get("sizes", {})))
    cache = TimingCache.of(options, ingredients)
    plan = serialize(parsed, options, ranges, cache)
    ingredients.target.write_bytes(plan)
    return {
        **options,
        "tensorrt": trt.__version__,
        **gpu(options["device"]),
        "profiles": ranges,
        "made_from": hash_file(base),
        "timing_cache_sha256": cache.before,
        "timing_cache_after_sha256": cache.after,
    }


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """All options of the builder, those left out as they are by default.

    Raises:
        UsageError: one is unknown, or has no such value.
    """
    refuse_wrong("the tensorrt backend", given, OPTIONS, ["sizes"])
    options = {**defaults(OPTIONS), **{name: value for name, value in given.items() if name in OPTIONS}}
    if options["pin_timing_cache"] and not options["timing_cache"]:
        raise UsageError("pin_timing_cache needs timing_cache, the file that is pinned.")
    return options


def serialize(
    parsed: Parsed, options: Mapping[str, Any], ranges: list[dict[str, Range]], cache: TimingCache | None = None
) -> bytes:
    """The engine's plan.

    Raises:
        UsageError: TensorRT built none; its last errors.
    """
    config = parsed.builder.create_builder_config()
    _set(config, options)
    for ranged in ranges:
        profile = parsed.builder.create_optimization_profile()
        for name, (least, usual, largest) in ranged.items():
            profile.set_shape(name, least, usual, largest)
        if config.add_optimization_profile(profile) < 0:
            raise UsageError(f"TensorRT refuses a profile: {ranged}: {parsed.log.said()}")
    if cache is not None:
        cache.use(config)
    plan = parsed.builder.build_serialized_network(parsed.network, config)
    if plan is None:
        raise UsageError(f"TensorRT {trt.__version__} built no engine: {parsed.log.said()}")
    if cache is not None:
        cache.keep(config)
    return bytes(plan)


def _set(config: Any, options: Mapping[str, Any]) -> None:
    if options["workspace_mib"] is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, int(options["workspace_mib"]) * _MIB)
    config.builder_optimization_level = int(options["optimization_level"])
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # without it no layer says its precision
    if options["aux_streams"] is not None:
        config.max_aux_streams = int(options["aux_streams"])
    config.hardware_compatibility_level = getattr(trt.HardwareCompatibilityLevel, options["hardware"].upper())
    if not options["tf32"]:
        config.clear_flag(trt.BuilderFlag.TF32)
    flags = {
        "version_compatible": trt.BuilderFlag.VERSION_COMPATIBLE,
        "refit": trt.BuilderFlag.REFIT,
        "strict_nans": trt.BuilderFlag.STRICT_NANS,
        "distributive_independence": trt.BuilderFlag.DISTRIBUTIVE_INDEPENDENCE,
        "pin_timing_cache": trt.BuilderFlag.ERROR_ON_TIMING_CACHE_MISS,
    }
    for name, flag in flags.items():
        if options[name]:
            config.set_flag(flag)
    config.set_flag(trt.BuilderFlag.EDITABLE_TIMING_CACHE)


@dataclass(slots=True)
class TimingCache:
    """The measured tactics of earlier builds: with them, the same graph builds to the same engine."""

    path: Path
    pinned: bool
    before: str | None = None
    after: str | None = None
    _held: Any = None

    @staticmethod
    def of(options: Mapping[str, Any], ingredients: Ingredients) -> TimingCache:
        """The suite's file, or the one of this TensorRT on this GPU among the artifacts.

        Raises:
            UsageError: a pinned file is not there.
        """
        if named := options["timing_cache"]:
            path = ingredients.folder / named
            if options["pin_timing_cache"] and not path.is_file():
                raise UsageError(f"the pinned timing cache {named} is not there.")
        else:
            name = re.sub(r"[^\w.]+", "-", f"{trt.__version__}-{gpu(options['device'])['gpu']}")
            path = ingredients.target.parent.parent / "timing" / f"{name}.cache"
        return TimingCache(path, bool(options["pin_timing_cache"]), hash_file(path) if path.is_file() else None)

    def use(self, config: Any) -> None:
        """Raises UsageError where the file is of another TensorRT or GPU and is pinned; else it is started anew."""
        content = self.path.read_bytes() if self.path.is_file() else b""
        self._held = config.create_timing_cache(content)
        if self._held is None or not config.set_timing_cache(self._held, ignore_mismatch=False):
            if self.pinned:
                raise UsageError(
                    f"the pinned timing cache {self.path.name} is damaged, or of another TensorRT, GPU or driver."
                )
            self._held = config.create_timing_cache(b"")
            config.set_timing_cache(self._held, ignore_mismatch=False)

    def keep(self, config: Any) -> None:
        """Write what was measured, whole or not at all; a pinned file stays as it is."""
        if self.pinned:
            self.after = self.before
            return
        content = bytes(config.get_timing_cache().serialize())
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        temporary.write_bytes(content)
        temporary.replace(self.path)
        self.after = hashlib.sha256(content).hexdigest()
