"""The metrics that Assay measures.

Unit, direction and meaning are data, so that nothing has to know a metric's name.
"""

from __future__ import annotations

from collections.abc import Iterator

from assay.schema.rows import Metric

_TASKS = {
    "top1": ("higher", "Share of items whose best score is the label's (accuracy)."),
    "top5": ("higher", "Share of items whose label is among the five best scores."),
    "map_50_95": ("higher", "COCO's mean average precision over IoU .50 to .95 in steps of .05."),
    "map_50": ("higher", "Mean average precision at IoU .50."),
    "map_75": ("higher", "Mean average precision at IoU .75."),
    "precision": ("higher", "Of boxes from the task's score on, the share that hits a labelled one at IoU .50."),
    "recall": ("higher", "Of labelled boxes, the share that is hit."),
    "f1": ("higher", "Harmonic mean of precision and recall."),
    "iou": ("higher", "Intersection over union of pixels, averaged over classes."),
    "dice": ("higher", "Twice the intersection over the sum of both areas, averaged over classes."),
    "wer": ("lower", "Word error rate: substitutions, deletions and insertions over the words of the label."),
    "cer": ("lower", "Character error rate, likewise."),
    "perplexity": ("lower", "exp of the mean negative log likelihood of the next token."),
}
"""Metric of a task -> direction, meaning."""


def _task_metrics() -> Iterator[Metric]:
    """Each metric with what it loses against the reference."""
    for name, (better, meaning) in _TASKS.items():
        yield Metric(metric=name, unit="1", better=better, description=meaning)
        yield Metric(
            metric=f"{name}_drop",
            unit="1",
            better="lower",
            description=f"What {name} loses against the reference on the same items; positive is worse.",
        )
        yield Metric(
            metric=f"{name}_drop_relative",
            unit="1",
            better="lower",
            description=f"{name}_drop over the reference's {name}.",
        )


METRICS = {
    row.metric: row
    for row in (
        Metric(metric="latency_p50_ms", unit="ms", better="lower", description="Median wall time of one call, device synchronised, warm-up excluded."),
        Metric(metric="latency_p90_ms", unit="ms", better="lower", description="90th percentile wall time of one call."),
        Metric(metric="latency_p95_ms", unit="ms", better="lower", description="95th percentile wall time of one call."),
        Metric(metric="latency_p99_ms", unit="ms", better="lower", description="99th percentile wall time of one call."),
        Metric(metric="latency_mean_ms", unit="ms", better="lower", description="Mean wall time of one call."),
        Metric(metric="latency_std_ms", unit="ms", better="lower", description="Standard deviation of the wall time of one call."),
        Metric(metric="throughput_per_s", unit="calls/s", better="higher", description="1000 / mean wall time in ms, one call at a time."),
        Metric(metric="latency_ratio", unit="1", better="lower", description="Median latency over the reference's, paired by interleaved round; 0.5 is twice as fast."),
        Metric(metric="latency_ratio_detectable", unit="1", better="lower", description="Smallest relative change that this measurement would show (95 %, power 80 %)."),
        Metric(metric="enqueue_ms", unit="ms", better="lower", description="Median time that the host needed to queue the work."),
        Metric(metric="h2d_ms", unit="ms", better="lower", description="Median time of copying inputs from host to device."),
        Metric(metric="compute_ms", unit="ms", better="lower", description="Median time of computing on the device."),
        Metric(metric="d2h_ms", unit="ms", better="lower", description="Median time of copying outputs from device to host."),
        Metric(metric="gpu_clock_mhz", unit="MHz", better="neither", description="Median clock of the streaming multiprocessors while blocks were timed."),
        Metric(metric="gpu_memory_clock_mhz", unit="MHz", better="neither", description="Median clock of the GPU's memory while blocks were timed."),
        Metric(metric="gpu_power_w", unit="W", better="lower", description="Median power draw of the GPU while blocks were timed."),
        Metric(metric="gpu_temperature_c", unit="C", better="lower", description="Median temperature of the GPU while blocks were timed."),
        Metric(metric="gpu_throttled_share", unit="1", better="lower", description="Share of looks at the GPU at which it was held back: by power, heat or the hardware."),
        Metric(metric="first_inference_ms", unit="ms", better="lower", description="The first call after loading, with everything that is done once."),
        Metric(metric="load_ms", unit="ms", better="lower", description="From the file to a session that can run."),
        Metric(metric="warmup_calls", unit="calls", better="neither", description="Calls before the time of a call had settled."),
        Metric(metric="items_per_s", unit="items/s", better="higher", description="Items in a call times 1000 / mean wall time in ms; an item is a row of the batch unless the workload says otherwise."),
        Metric(metric="ttft_ms", unit="ms", better="lower", description="Time to first token: median wall time of the prompt's step."),
        Metric(metric="token_latency_p50_ms", unit="ms", better="lower", description="Median wall time of a step of a generation, the prompt's excluded."),
        Metric(metric="token_latency_p90_ms", unit="ms", better="lower", description="90th percentile wall time of a step of a generation."),
        Metric(metric="token_latency_p95_ms", unit="ms", better="lower", description="95th percentile wall time of a step of a generation."),
        Metric(metric="token_latency_p99_ms", unit="ms", better="lower", description="99th percentile wall time of a step of a generation."),
        Metric(metric="token_latency_slope_us", unit="us/step", better="lower", description="What each step takes longer than the one before: Theil-Sen over the medians of the steps."),
        Metric(metric="tokens_per_s", unit="tokens/s", better="higher", description="Tokens of all rows of the batch over the time of their steps, the prompt's excluded."),
        Metric(metric="generation_ms", unit="ms", better="lower", description="Median wall time of a whole generation, prompt included."),
        Metric(metric="launch_noise", unit="1", better="lower", description="Standard deviation of the log medians of the launches: what another process does to the same measurement."),
        Metric(metric="noise", unit="1", better="lower", description="Half the middle 80 % range of block medians over their median: the host's noise."),
        Metric(metric="peak_rss_bytes", unit="bytes", better="lower", description="Largest resident memory of the case's own process."),
        Metric(metric="load_rss_bytes", unit="bytes", better="lower", description="Growth of the resident memory while the model was loaded, the library being there already."),
        Metric(metric="arena_bytes", unit="bytes", better="lower", description="The most that ONNX Runtime's arena held while profiled."),
        Metric(metric="allocator_peak_bytes", unit="bytes", better="lower", description="The most that ONNX Runtime's allocator had in use while profiled: activations, and weights that were packed."),
        Metric(metric="gpu_peak_bytes", unit="bytes", better="lower", description="The most that PyTorch's allocator held on the GPU."),
        Metric(metric="gpu_memory_bytes", unit="bytes", better="lower", description="What the process held on the GPU at the end, as NVML counts it: every allocator, and the context."),
        Metric(metric="engine_weights_bytes", unit="bytes", better="lower", description="Weights in a TensorRT engine, as it says."),
        Metric(metric="engine_scratch_bytes", unit="bytes", better="lower", description="Scratch memory of one execution context, as the engine says."),
        Metric(metric="parameter_bytes", unit="bytes", better="lower", description="Weights in memory of a model that runs from Python."),
        Metric(metric="model_bytes", unit="bytes", better="lower", description="The artifact on disk, external data included."),
        Metric(metric="mcnemar_p", unit="1", better="neither", description="Exact p of McNemar's test: how often items that one side alone has right would fall so unevenly by chance."),
        Metric(metric="agreement", unit="1", better="higher", description="Share of answers that are the reference's, right or wrong."),
        Metric(metric="quality_drop", unit="1", better="lower", description="What the task's main metric loses against the reference on the same items; positive is worse."),
        Metric(metric="quality_drop_relative", unit="1", better="lower", description="quality_drop over the reference's value."),
        Metric(metric="weight_sqnr_db", unit="dB", better="higher", description="Of the weights in codes, the worst signal-to-quantization-noise ratio."),
        Metric(metric="activation_sqnr_db", unit="dB", better="higher", description="Of the activations in codes, the worst ratio of the original's values through the codes alone."),
        Metric(metric="node_sqnr_db", unit="dB", better="higher", description="Of the nodes that can be quantized by themselves, the worst signal-to-quantization-noise ratio at the outputs."),
        Metric(metric="all_nodes_sqnr_db", unit="dB", better="higher", description="Signal-to-quantization-noise ratio at the outputs with every node quantized, on the batches that sensitivity is measured on."),
        Metric(metric="weight_max_abs", unit="1", better="lower", description="Largest error of any weight in codes."),
        Metric(metric="weight_mean_abs", unit="1", better="lower", description="Mean error of all weights in codes."),
        Metric(metric="quantized_bits_per_weight", unit="bits", better="lower", description="Of the weights in codes: codes, signs, tables, scales and zero points, over their number."),
        *_task_metrics(),
        Metric(metric="bits_per_weight", unit="bits", better="lower", description="8 * bytes of the stored weights / their number."),
    )
}  # fmt: skip
