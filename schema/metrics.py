"""Every metric that Assay measures: a row each, and everything that any room has to know of it.

Adding a metric: a row here, and its value where it is computed. Nothing else knows a metric by its name's ending or
keeps a list of its own. Books may hold metrics that are not here (imported, or of a later release): ask `known`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from assay.schema.rows.dictionaries import Metric

# Names that another module reads; a misspelt one is found by mypy. Any other name is written in its row, and where its
# value is computed.
LATENCY_P50_MS = "latency_p50_ms"
LATENCY_P90_MS = "latency_p90_ms"
LATENCY_P95_MS = "latency_p95_ms"
LATENCY_P99_MS = "latency_p99_ms"
LATENCY_MEAN_MS = "latency_mean_ms"
LATENCY_RATIO = "latency_ratio"
ENQUEUE_MS = "enqueue_ms"
H2D_MS = "h2d_ms"
COMPUTE_MS = "compute_ms"
D2H_MS = "d2h_ms"
GPU_CLOCK_MHZ = "gpu_clock_mhz"
GPU_POWER_W = "gpu_power_w"
GPU_THROTTLED_SHARE = "gpu_throttled_share"
ITEMS_PER_S = "items_per_s"
TTFT_MS = "ttft_ms"
TOKEN_LATENCY_P50_MS = "token_latency_p50_ms"  # noqa: S105  a token of text
TOKEN_LATENCY_SLOPE_US = "token_latency_slope_us"  # noqa: S105  a token of text
TOKENS_PER_S = "tokens_per_s"
PEAK_RSS_BYTES = "peak_rss_bytes"
PARAMETER_BYTES = "parameter_bytes"
MODEL_BYTES = "model_bytes"
QUALITY_DROP_RELATIVE = "quality_drop_relative"
ALL_NODES_SQNR_DB = "all_nodes_sqnr_db"
MAP_50_95 = "map_50_95"
MAP_50 = "map_50"
MAP_75 = "map_75"

LATENCY = (LATENCY_P50_MS, TOKEN_LATENCY_P50_MS)
"""The median time of a call, or of a token."""
AVERAGE_PRECISIONS = (MAP_50_95, MAP_50, MAP_75)

Better = Literal["lower", "higher", "neither"]
Task = Literal["classification", "detection", "segmentation", "transcription", "language"]


@dataclass(frozen=True, slots=True)
class NamedMetric:
    """One metric."""

    name: str
    unit: str
    """`1` for a share or a ratio."""
    better: Better
    description: str
    """What it is, in one sentence: it is shown beside every figure."""
    exact: bool = False
    """Whether the same artifact gives the same value every night: sizes, and what is computed from answers alone."""
    floor: float = 0.01
    """The smallest change of ln(value) that is told. Tails, the memory of a whole process and what happens once move
    more than a median does without anybody having changed anything."""
    shown: bool = False
    """In comparisons of two runs."""
    watched: bool = True
    """Every night. Not those that say how a figure was measured, and nothing of the model."""
    paired: bool = False
    """Whether the ratio of latencies that are timed in turns speaks for it: a median time, or a rate made of it."""
    primary: Task | None = None
    """The task whose main metric it is: what a candidate loses of it is `quality_drop`."""

    @property
    def least(self) -> float:
        """Of an exact metric: the smallest difference that is told in its own unit; shares near 0 have no percent."""
        return {"dB": 0.1, "1": 5e-4}.get(self.unit, 0.0)

    @property
    def row(self) -> Metric:
        """As it lies in the books."""
        return Metric(metric=self.name, unit=self.unit, better=self.better, description=self.description)


def _of_task(name: str, better: Better, description: str, primary: Task | None = None) -> tuple[NamedMetric, ...]:
    """A metric of a task, and what is lost of it against the reference."""
    return (
        NamedMetric(name, "1", better, description, exact=True, primary=primary),
        NamedMetric(
            f"{name}_drop",
            "1",
            "lower",
            f"What {name} loses against the reference on the same items; positive is worse.",
            exact=True,
        ),
        NamedMetric(f"{name}_drop_relative", "1", "lower", f"{name}_drop over the reference's {name}.", exact=True),
    )


_TASKS = (
    *_of_task("top1", "higher", "Share of items whose best score is the label's (accuracy).", primary="classification"),
    *_of_task("top5", "higher", "Share of items whose label is among the five best scores."),
    *_of_task(MAP_50_95, "higher", "COCO's mean average precision over IoU .50 to .95 in steps of .05.", primary="detection"),
    *_of_task(MAP_50, "higher", "Mean average precision at IoU .50."),
    *_of_task(MAP_75, "higher", "Mean average precision at IoU .75."),
    *_of_task("precision", "higher", "Of boxes from the task's score on, the share that hits a labelled one at IoU .50."),
    *_of_task("recall", "higher", "Of labelled boxes, the share that is hit."),
    *_of_task("f1", "higher", "Harmonic mean of precision and recall."),
    *_of_task("iou", "higher", "Intersection over union of pixels, averaged over classes.", primary="segmentation"),
    *_of_task("dice", "higher", "Twice the intersection over the sum of both areas, averaged over classes."),
    *_of_task("wer", "lower", "Word error rate: substitutions, deletions and insertions over the words of the label.", primary="transcription"),
    *_of_task("cer", "lower", "Character error rate, likewise."),
    *_of_task("perplexity", "lower", "exp of the mean negative log likelihood of the next token.", primary="language"),
)  # fmt: skip

_ROWS = (
    NamedMetric(LATENCY_P50_MS, "ms", "lower", "Median wall time of one call, device synchronised, warm-up excluded.", paired=True, shown=True),
    NamedMetric(LATENCY_P90_MS, "ms", "lower", "90th percentile wall time of one call.", floor=0.02),
    NamedMetric(LATENCY_P95_MS, "ms", "lower", "95th percentile wall time of one call.", floor=0.02),
    NamedMetric(LATENCY_P99_MS, "ms", "lower", "99th percentile wall time of one call.", floor=0.03, shown=True),
    NamedMetric(LATENCY_MEAN_MS, "ms", "lower", "Mean wall time of one call.", paired=True),
    NamedMetric("latency_std_ms", "ms", "lower", "Standard deviation of the wall time of one call.", floor=0.1),
    NamedMetric("throughput_per_s", "calls/s", "higher", "1000 / mean wall time in ms, one call at a time.", paired=True, shown=True),
    NamedMetric(LATENCY_RATIO, "1", "lower", "Median latency over the reference's, paired by interleaved round; 0.5 is twice as fast."),
    NamedMetric("latency_ratio_detectable", "1", "lower", "Smallest relative change that this measurement would show (95 %, power 80 %).", watched=False),
    NamedMetric(ENQUEUE_MS, "ms", "lower", "Median time that the host needed to queue the work."),
    NamedMetric(H2D_MS, "ms", "lower", "Median time of copying inputs from host to device."),
    NamedMetric(COMPUTE_MS, "ms", "lower", "Median time of computing on the device."),
    NamedMetric(D2H_MS, "ms", "lower", "Median time of copying outputs from device to host."),
    NamedMetric(GPU_CLOCK_MHZ, "MHz", "neither", "Median clock of the streaming multiprocessors while blocks were timed."),
    NamedMetric("gpu_memory_clock_mhz", "MHz", "neither", "Median clock of the GPU's memory while blocks were timed."),
    NamedMetric(GPU_POWER_W, "W", "lower", "Median power draw of the GPU while blocks were timed."),
    NamedMetric("gpu_temperature_c", "C", "lower", "Median temperature of the GPU while blocks were timed.", watched=False),
    NamedMetric(GPU_THROTTLED_SHARE, "1", "lower", "Share of looks at the GPU at which it was held back: by power, heat or the hardware.", watched=False),
    NamedMetric("first_inference_ms", "ms", "lower", "The first call after loading, with everything that is done once.", floor=0.05),
    NamedMetric("load_ms", "ms", "lower", "From the file to a session that can run.", floor=0.05, shown=True),
    NamedMetric("warmup_calls", "calls", "neither", "Calls before the time of a call had settled."),
    NamedMetric(ITEMS_PER_S, "items/s", "higher", "Items in a call times 1000 / mean wall time in ms; an item is a row of the batch unless the workload says otherwise.", paired=True, shown=True),
    NamedMetric(TTFT_MS, "ms", "lower", "Time to first token: median wall time of the prompt's step.", shown=True),
    NamedMetric(TOKEN_LATENCY_P50_MS, "ms", "lower", "Median wall time of a step of a generation, the prompt's excluded.", paired=True, shown=True),
    NamedMetric("token_latency_p90_ms", "ms", "lower", "90th percentile wall time of a step of a generation.", floor=0.02),
    NamedMetric("token_latency_p95_ms", "ms", "lower", "95th percentile wall time of a step of a generation.", floor=0.02),
    NamedMetric("token_latency_p99_ms", "ms", "lower", "99th percentile wall time of a step of a generation.", floor=0.03),
    NamedMetric(TOKEN_LATENCY_SLOPE_US, "us/step", "lower", "What each step takes longer than the one before: Theil-Sen over the medians of the steps."),
    NamedMetric(TOKENS_PER_S, "tokens/s", "higher", "Tokens of all rows of the batch over the time of their steps, the prompt's excluded.", paired=True, shown=True),
    NamedMetric("generation_ms", "ms", "lower", "Median wall time of a whole generation, prompt included."),
    NamedMetric("launch_noise", "1", "lower", "Standard deviation of the log medians of the launches: what another process does to the same measurement.", watched=False),
    NamedMetric("noise", "1", "lower", "Half the middle 80 % range of block medians over their median: the host's noise.", watched=False),
    NamedMetric(PEAK_RSS_BYTES, "bytes", "lower", "Largest resident memory of the case's own process.", floor=0.02, shown=True),
    NamedMetric("load_rss_bytes", "bytes", "lower", "Growth of the resident memory while the model was loaded, the library being there already.", floor=0.02),
    NamedMetric("arena_bytes", "bytes", "lower", "The most that ONNX Runtime's arena held while profiled."),
    NamedMetric("allocator_peak_bytes", "bytes", "lower", "The most that ONNX Runtime's allocator had in use while profiled: activations, and weights that were packed."),
    NamedMetric("gpu_peak_bytes", "bytes", "lower", "The most that PyTorch's allocator held on the GPU."),
    NamedMetric("gpu_memory_bytes", "bytes", "lower", "What the process held on the GPU at the end, as NVML counts it: every allocator, and the context."),
    NamedMetric("engine_weights_bytes", "bytes", "lower", "Weights in a TensorRT engine, as it says.", exact=True),
    NamedMetric("engine_scratch_bytes", "bytes", "lower", "Scratch memory of one execution context, as the engine says."),
    NamedMetric(PARAMETER_BYTES, "bytes", "lower", "Weights in memory of a model that runs from Python.", exact=True),
    NamedMetric(MODEL_BYTES, "bytes", "lower", "The artifact on disk, external data included.", exact=True, shown=True),
    NamedMetric("mcnemar_p", "1", "neither", "Exact p of McNemar's test: how often items that one side alone has right would fall so unevenly by chance.", exact=True, watched=False),
    NamedMetric("agreement", "1", "higher", "Share of answers that are the reference's, right or wrong.", exact=True),
    NamedMetric("quality_drop", "1", "lower", "What the task's main metric loses against the reference on the same items; positive is worse.", exact=True),
    NamedMetric(QUALITY_DROP_RELATIVE, "1", "lower", "quality_drop over the reference's value.", exact=True),
    NamedMetric("weight_sqnr_db", "dB", "higher", "Of the weights in codes, the worst signal-to-quantization-noise ratio.", exact=True),
    NamedMetric("activation_sqnr_db", "dB", "higher", "Of the activations in codes, the worst ratio of the original's values through the codes alone.", exact=True),
    NamedMetric("node_sqnr_db", "dB", "higher", "Of the nodes that can be quantized by themselves, the worst signal-to-quantization-noise ratio at the outputs.", exact=True),
    NamedMetric(ALL_NODES_SQNR_DB, "dB", "higher", "Signal-to-quantization-noise ratio at the outputs with every node quantized, on the batches that sensitivity is measured on.", exact=True),
    NamedMetric("weight_max_abs", "1", "lower", "Largest error of any weight in codes.", exact=True),
    NamedMetric("weight_mean_abs", "1", "lower", "Mean error of all weights in codes.", exact=True),
    NamedMetric("quantized_bits_per_weight", "bits", "lower", "Of the weights in codes: codes, signs, tables, scales and zero points, over their number.", exact=True),
    *_TASKS,
    NamedMetric("bits_per_weight", "bits", "lower", "8 * bytes of the stored weights / their number.", exact=True),
)  # fmt: skip

METRICS: dict[str, NamedMetric] = {row.name: row for row in _ROWS}
"""Name -> metric, in the order in which they are listed."""

PRIMARY: dict[str, str] = {row.primary: row.name for row in _ROWS if row.primary}
"""Task -> its main metric."""

SHOWN = tuple(row.name for row in _ROWS if row.shown)
NOT_WATCHED = tuple(row.name for row in _ROWS if not row.watched)


def known(name: str) -> NamedMetric:
    """A metric by its name; one that is not here is noisy, lower is better, and of no unit."""
    return METRICS.get(name) or NamedMetric(name, "", "lower", "")
