"""Every figure of a timed case: what was sampled, with its interval, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from assay.runner.run.checks import check_named
from assay.runner.run.outcome import Outcome
from assay.runner.timing import gpu, statistics
from assay.runner.timing.statistics import Estimate, Samples
from assay.runner.worker.events.facts import Measured

_QUANTILES = (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99))


@dataclass(frozen=True, slots=True)
class Figure:
    metric: str
    estimate: Estimate
    provenance: str = "measured"
    samples: Samples | None = None
    """Kept with the row: [launches, blocks, calls]."""

    @classmethod
    def told(cls, event: Measured) -> Figure:
        """A figure as a worker tells it."""
        return cls(event.metric, Estimate(event.value, event.low, event.high, event.n), event.provenance)


def figures_of(outcome: Outcome) -> list[Figure]:
    """Figures of a case that came to its end.

    What its worker told, and for a timed or profiled one what follows from its samples.
    """
    if outcome.status not in ("ok", "vacuous"):
        return []
    return [*check_named(outcome.case.check).figures(outcome)]


def of_calls(samples: Samples, batch: int | None) -> Iterator[Figure]:
    """Figures of calls, [launches, blocks, calls] in milliseconds; items a second where the batch is known."""
    average = statistics.mean(samples)
    yield from _quantiles("latency", samples)
    yield Figure("latency_mean_ms", average)
    yield Figure("latency_std_ms", exactly(float(samples.std(ddof=1)) if samples.size > 1 else 0.0, samples.size))
    yield Figure("throughput_per_s", _inverse(average, 1000.0), "derived")
    if batch:
        yield Figure("items_per_s", _inverse(average, 1000.0 * batch), "derived")
    yield from _noise(samples)


def of_generations(samples: Samples, batch: int | None) -> Iterator[Figure]:
    """The prompt's time is the time to the first token.

    The others are of one token each (of every row of the batch).
    """
    prompt, tokens = samples[:, :, :1], samples[:, :, 1:]
    yield Figure("ttft_ms", statistics.quantile(prompt, 0.5), samples=prompt)
    yield from _quantiles("token_latency", tokens)
    yield Figure("tokens_per_s", _inverse(statistics.mean(tokens), 1000.0 * (batch or 1)), "derived")
    yield Figure(
        "generation_ms",
        statistics.quantile(samples.sum(axis=2, keepdims=True), 0.5),
        samples=samples.sum(axis=2, keepdims=True),
    )
    if tokens.shape[2] > 2:
        yield Figure("token_latency_slope_us", _slope(tokens), "derived")
    yield from _noise(samples.sum(axis=2, keepdims=True))


def _quantiles(name: str, samples: Samples) -> Iterator[Figure]:
    for suffix, q in _QUANTILES:
        estimate = statistics.quantile(samples, q)
        yield Figure(f"{name}_{suffix}_ms", estimate, samples=samples if suffix == "p50" else None)


def _slope(tokens: Samples) -> Estimate:
    """Microseconds that each step takes longer than the one before (Theil-Sen over medians of steps, 95 % interval)."""
    from scipy.stats import theilslopes

    by_step = np.median(tokens.reshape(-1, tokens.shape[2]), axis=0)
    slope, _, low, high = theilslopes(by_step)
    return Estimate(float(slope) * 1e3, float(low) * 1e3, float(high) * 1e3, tokens.size)


def _inverse(average: Estimate, numerator: float) -> Estimate:
    low, high = (None if end is None else numerator / end for end in (average.high, average.low))
    return Estimate(numerator / average.value, low, high, average.n)


def _noise(samples: Samples) -> Iterator[Figure]:
    yield Figure("noise", exactly(statistics.spread(samples), samples.shape[0] * samples.shape[1]), "derived")
    if (between := statistics.launch_spread(samples)) is not None:
        yield Figure("launch_noise", exactly(between, len(samples)), "derived")


def phases(outcome: Outcome) -> Iterator[Figure]:
    """Medians of what a call consists of on a device, and of what the device did meanwhile."""
    for name, blocks in outcome.phases.items():
        yield Figure(f"{name}_ms", statistics.quantile(np.array(blocks), 0.5))
    for metric, value in gpu.figures(outcome.gpu).items():
        yield Figure(metric, exactly(value, len(outcome.gpu)))


def ratio(outcome: Outcome) -> Iterator[Figure]:
    """The ratio to what the case is compared with, and what it could have shown; nothing where there is none."""
    ratio = outcome.ratio
    if ratio:
        yield Figure("latency_ratio", Estimate(ratio.value, ratio.low, ratio.high, ratio.n), "derived")
        if ratio.detectable is not None:
            yield Figure("latency_ratio_detectable", exactly(ratio.detectable, ratio.n), "derived")


def of_launches(outcome: Outcome) -> Iterator[Figure]:
    """What is done once a process: the median of the launches."""
    for metric, values in (
        ("first_inference_ms", [launch.ready.first_ms for launch in outcome.launched]),
        ("warmup_calls", [launch.ready.calls for launch in outcome.launched]),
        ("load_ms", [launch.opened.load_ms for launch in outcome.launched]),
    ):
        if values:
            yield Figure(metric, exactly(float(np.median(values)), len(values)))


def memory(outcome: Outcome) -> Iterator[Figure]:
    """The most that any launch needed; what loading took is the median."""
    if outcome.memory:
        yield Figure(
            "peak_rss_bytes", exactly(max(held.peak_rss_bytes for held in outcome.memory), len(outcome.memory))
        )
    for metric in (
        "arena_bytes",
        "allocator_peak_bytes",
        "gpu_peak_bytes",
        "gpu_memory_bytes",
        "engine_weights_bytes",
        "engine_scratch_bytes",
    ):
        values = [told.held[metric] for told in outcome.memory if metric in told.held]
        if values:
            yield Figure(metric, exactly(max(values), len(values)))
    grown = [
        memory.loaded_rss_bytes - launch.imported.rss_bytes
        for memory, launch in zip(outcome.memory, outcome.launched, strict=False)
    ]
    if grown:
        yield Figure("load_rss_bytes", exactly(float(np.median(grown)), len(grown)))


def size(outcome: Outcome) -> Iterator[Figure]:
    """Bytes of the artifact and bits of a weight, as far as they are known."""
    artifact = outcome.artifact
    if artifact is None:
        return
    yield Figure("parameter_bytes" if artifact.format == "python" else "model_bytes", exactly(artifact.bytes))
    if artifact.bits_per_weight is not None:
        yield Figure("bits_per_weight", exactly(artifact.bits_per_weight), "derived")


def batch_of(outcome: Outcome) -> int | None:
    """Items in one call: several streams run the batch at the same time."""
    return outcome.batch and outcome.batch * int(outcome.opened.get("streams", 1))


def exactly(value: float, n: int = 1) -> Estimate:
    return Estimate(float(value), None, None, n)
