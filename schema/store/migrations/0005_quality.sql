-- 0005: quantization: the ledger of its tensors, the ranges it learnt, and quality class by class.

alter table artifact add column calibration varchar;
alter table artifact add column calibration_sha256 varchar;

create table ledger (
    case_id varchar not null,
    run_id varchar not null,
    position bigint not null,
    name varchar not null,
    node varchar not null,
    op_type varchar not null,
    kind varchar not null,
    scheme varchar not null,
    elements bigint not null,
    batches bigint not null,
    sqnr_db double,
    snr_db double,
    psnr_db double,
    cosine double,
    mse double,
    mean_abs double,
    max_abs double,
    expected_min double,
    expected_max double,
    expected_mean double,
    expected_std double,
    actual_min double,
    actual_max double,
    actual_mean double,
    actual_std double,
    accumulated_sqnr_db double,
    accumulated_cosine double,
    executed_sqnr_db double,
    executed_cosine double,
    clipped double,
    saturated double,
    levels bigint,
    used_levels bigint,
    stored_bytes bigint,
    bits_per_weight double,
    scale_min double,
    scale_max double,
    histogram bigint[]
);
comment on table ledger is 'One tensor that quantization touches: what it costs there, and what has piled up before it.';

create table calibration_range (
    case_id varchar not null,
    run_id varchar not null,
    name varchar not null,
    batches bigint not null,
    low double not null,
    high double not null,
    settled_at bigint not null,
    widest_batch bigint not null,
    influence double not null
);
comment on table calibration_range is 'The range of one activation over the calibration data, and how it came about.';

create table class_quality (
    case_id varchar not null,
    run_id varchar not null,
    metric varchar not null,
    class_name varchar not null,
    value double,
    reference_value double,
    n bigint not null
);
comment on table class_quality is 'A task metric of one class of the labels.';

create table sensitivity (
    case_id varchar not null,
    run_id varchar not null,
    position bigint not null,
    node varchar not null,
    op_type varchar not null,
    alone_sqnr_db double,
    without_sqnr_db double
);
comment on table sensitivity is 'What quantizing one node, or all but one, does to the outputs.';

create table search (
    search_id varchar not null,
    run_id varchar not null,
    recorded_at timestamp not null,
    suite varchar not null,
    model varchar not null,
    model_version varchar not null,
    variant varchar not null,
    workload varchar not null,
    metric varchar not null,
    budget_s double not null,
    spent_s double not null,
    trials bigint not null,
    excluded varchar[],
    reason varchar not null
);
comment on table search is 'One search for the nodes that are better left in float.';

create table search_node (
    search_id varchar not null,
    run_id varchar not null,
    position bigint not null,
    node varchar not null,
    op_type varchar not null,
    alone_sqnr_db double,
    without_sqnr_db double,
    ledger_sqnr_db double,
    float_us double,
    quantized_us double,
    excluded boolean not null,
    reason varchar not null
);
comment on table search_node is 'What quantizing one node costs in quality and saves in time, and whether the search left it in float.';

create table search_trial (
    search_id varchar not null,
    run_id varchar not null,
    position bigint not null,
    variant varchar not null,
    origin varchar not null,
    excluded varchar[],
    predicted_sqnr_db double,
    predicted_us double,
    value double,
    drop_relative double,
    drop_low double,
    drop_high double,
    sqnr_db double,
    latency_ms double,
    latency_ratio double,
    ratio_low double,
    ratio_high double,
    bytes bigint,
    front boolean not null,
    chosen boolean not null
);
comment on table search_trial is 'One set of excluded nodes, tried on the real metric and the real latency.';
