"""The metrics that Assay measures: unit, direction and meaning are data, so that nothing has to know a metric's name."""

from __future__ import annotations

from schema.rows import Metric

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
        Metric(metric="first_inference_ms", unit="ms", better="lower", description="The first call after loading, with everything that is done once."),
        Metric(metric="load_ms", unit="ms", better="lower", description="From the file to a session that can run."),
        Metric(metric="warmup_calls", unit="calls", better="neither", description="Calls before the time of a call had settled."),
        Metric(metric="noise", unit="1", better="lower", description="Half the middle 80 % range of block medians over their median: the host's noise."),
        Metric(metric="peak_rss_bytes", unit="bytes", better="lower", description="Largest resident memory of the case's own process."),
        Metric(metric="model_bytes", unit="bytes", better="lower", description="The artifact on disk, external data included."),
        Metric(metric="bits_per_weight", unit="bits", better="lower", description="8 * bytes of the stored weights / their number."),
    )
}  # fmt: skip
