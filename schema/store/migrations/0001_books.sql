-- 0001: the books: runs, cases, what was measured, what was compared, and what was judged of it.
-- Only what DuckLake has too: no keys, no indexes, no enums; ids are made by the writer.

create table run (
    run_id varchar not null,
    suite varchar not null,
    suite_sha256 varchar not null,
    trigger varchar not null,
    started_at timestamp not null,
    host varchar not null,
    environment_id varchar not null,
    git_commit varchar,
    git_branch varchar,
    git_dirty boolean,
    seed bigint not null,
    tool_version varchar not null,
    command varchar not null,
    cases_planned bigint not null
);
comment on table run is 'One execution of a suite on one host, written when it starts.';
comment on column run.run_id is 'UUIDv7: sorts by start time.';
comment on column run.suite_sha256 is 'Of the suite''s meaning (parsed, sorted JSON), so that a comment does not make a new suite.';
comment on column run.trigger is '`manual`, `nightly` or `ci`.';
comment on column run.started_at is 'UTC.';

create table run_end (
    run_id varchar not null,
    ended_at timestamp not null,
    exit_code bigint not null
);
comment on table run_end is 'The run came to its end, with every case recorded.';

create table case_result (
    case_id varchar not null,
    run_id varchar not null,
    case_key varchar not null,
    name varchar not null,
    model varchar not null,
    model_version varchar not null,
    variant varchar not null,
    backend varchar not null,
    device varchar not null,
    provider varchar,
    workload varchar not null,
    check_kind varchar not null,
    mode varchar not null,
    reference varchar,
    status varchar not null,
    error_type varchar,
    error_message varchar,
    started_at timestamp not null,
    duration_s double not null,
    placement varchar,
    precision varchar,
    workload_sha256 varchar,
    artifact_id varchar,
    environment_id varchar not null,
    comparability varchar not null,
    threads bigint,
    reproduce varchar not null
);
comment on table case_result is 'One case of one run: what was asked, what really ran, and how it ended.';
comment on column case_result.case_id is 'UUIDv7.';
comment on column case_result.case_key is 'Hash of what is asked (suite, model, variant, backend, workload, check), the same in every run.';
comment on column case_result.name is '`model/variant/backend/workload/check`.';
comment on column case_result.backend is 'The suite''s name for it, e.g. `onnxruntime`.';
comment on column case_result.provider is 'Execution provider that was asked for.';
comment on column case_result.check_kind is '`parity` or `benchmark`.';
comment on column case_result.mode is '`functional` for parity; the measurement mode (`interleaved`, `alone`) for a benchmark.';
comment on column case_result.reference is 'What counted as right: a backend, or `golden:NAME`.';
comment on column case_result.status is '`ok`, `failed`, `vacuous`, `skipped`, `crashed` or `timeout`.';
comment on column case_result.placement is 'Providers in force with the nodes each one got, e.g. `CPUExecutionProvider:41`.';
comment on column case_result.precision is 'Element types of weights and activations that really ran.';
comment on column case_result.workload_sha256 is 'Hash of every input array.';
comment on column case_result.comparability is 'Model, workload, mode, hardware class, device and threads: ratios are made only inside one value.';
comment on column case_result.reproduce is 'The command that runs this case alone.';

create table measurement (
    case_id varchar not null,
    run_id varchar not null,
    series_id varchar not null,
    metric varchar not null,
    value double not null,
    low double,
    high double,
    n bigint not null,
    samples double[],
    block_length bigint,
    provenance varchar not null
);
comment on table measurement is 'One metric of one case; unit and direction come from the metric dictionary.';
comment on column measurement.series_id is 'Hash of case key, metric and hardware class: the history this value belongs to.';
comment on column measurement.low is 'Lower end of the 95 % interval; None when no interval was estimated.';
comment on column measurement.n is 'Observations behind the value.';
comment on column measurement.samples is 'Raw observations in the order taken, warm-up excluded.';
comment on column measurement.block_length is 'Consecutive samples taken without a pause for another case.';
comment on column measurement.provenance is '`measured`, `derived` or `imported`.';

create table parity (
    case_id varchar not null,
    run_id varchar not null,
    output varchar not null,
    step bigint not null,
    mode varchar not null,
    elements bigint not null,
    skipped bigint not null,
    nan_expected bigint not null,
    nan_actual bigint not null,
    inf_expected bigint not null,
    inf_actual bigint not null,
    nonfinite_mismatches bigint not null,
    expected_min double,
    expected_max double,
    expected_std double,
    max_abs double,
    mean_abs double,
    p50_abs double,
    p95_abs double,
    p99_abs double,
    p999_abs double,
    max_rel double,
    rel_l2 double,
    mse double,
    mean_signed double,
    sqnr_db double,
    psnr_db double,
    psnr_peak double,
    cosine double,
    violations bigint not null,
    worst_index bigint[],
    worst_expected double,
    worst_actual double,
    first_failing_index bigint[],
    histogram bigint[] not null,
    rule varchar not null,
    atol double not null,
    rtol double not null,
    expected_dtype varchar,
    actual_dtype varchar,
    shape bigint[],
    problem varchar,
    model_sha256 varchar,
    inputs_sha256 varchar,
    reference_sha256 varchar
);
comment on table parity is 'The receipt: stored facts of one comparison of one output. Errors are actual minus expected.';
comment on column parity.step is 'Batch or step; -1 is all of them merged.';
comment on column parity.elements is 'Pairs compared: everything that was not skipped.';
comment on column parity.skipped is 'Pairs a mask left out.';
comment on column parity.nonfinite_mismatches is 'Pairs where one side is NaN or infinite and the other is not the same; each is a violation.';
comment on column parity.expected_min is 'Over finite elements, like every statistic below; None when there is none.';
comment on column parity.expected_std is 'Population standard deviation.';
comment on column parity.p50_abs is 'Quantiles are exact up to 65,536 elements, then read from a histogram with a relative error under 0.8 %.';
comment on column parity.max_rel is 'Largest |error| / |expected|; infinite when an expected zero came out as something else.';
comment on column parity.rel_l2 is 'Root of sum error^2 / sum expected^2.';
comment on column parity.mean_signed is 'Bias: mean of actual - expected.';
comment on column parity.sqnr_db is '10 log10(sum expected^2 / sum error^2); infinite when equal.';
comment on column parity.psnr_db is '10 log10(psnr_peak^2 / mse); infinite when equal.';
comment on column parity.psnr_peak is 'expected_max - expected_min, so that a shift of both sides changes nothing.';
comment on column parity.cosine is 'Of both sides as vectors; None when one of them is all zeros.';
comment on column parity.violations is 'Elements outside the rule that was in force at the time (rule, atol, rtol).';
comment on column parity.worst_index is 'Index of the first largest error (for all steps merged, the step comes first); a non-finite mismatch comes before any finite error.';
comment on column parity.histogram is '64 counts: [0] exact, [1] |error| < 2^-49, [i] 2^(i-51) <= |error| < 2^(i-50), [63] from 2^12 up.';
comment on column parity.shape is 'Of the expected side; the worst and first failing index count in it. None for all steps merged.';
comment on column parity.problem is 'Why nothing could be compared (shape, missing output), else None.';

create table verdict (
    verdict_id varchar not null,
    case_id varchar not null,
    run_id varchar not null,
    subject varchar not null,
    name varchar not null,
    policy_id varchar not null,
    outcome varchar not null,
    grade varchar,
    rule varchar not null,
    observed double,
    limit_value double,
    margin double,
    reason varchar not null,
    judged_at timestamp not null
);
comment on table verdict is 'What a policy says of a receipt or a measurement. A new policy adds verdicts, it changes none.';
comment on column verdict.subject is '`parity` or `measurement`.';
comment on column verdict.name is 'The output or the metric.';
comment on column verdict.outcome is '`pass`, `fail`, `vacuous` or `unknown`.';
comment on column verdict.grade is 'The band of a graded policy.';
comment on column verdict.rule is 'The rule that decided, in words.';
comment on column verdict.margin is 'limit_value / observed for the deciding figure: above 1 is room to spare, below 1 is too much error.';

create table environment (
    environment_id varchar not null,
    hardware_class varchar not null,
    os varchar not null,
    kernel varchar not null,
    cpu_model varchar not null,
    cpu_features varchar not null,
    cpu_cores bigint not null,
    memory_bytes bigint not null,
    gpu varchar,
    gpu_count bigint not null,
    gpu_memory_bytes bigint,
    gpu_driver varchar,
    gpu_clocks varchar,
    gpu_ecc boolean,
    gpu_mig boolean,
    cuda varchar,
    cudnn varchar,
    python varchar not null,
    numpy varchar not null,
    torch varchar,
    onnx varchar,
    onnxruntime varchar,
    tensorrt varchar
);
comment on table environment is 'Everything about a host that can move a number; its id is the hash of the other columns.';
comment on column environment.hardware_class is 'What makes two hosts comparable: GPU name and count if there is one, else CPU model and cores.';
comment on column environment.cpu_features is 'Instruction sets that change integer and reduced-precision kernels (avx2, avx512f, avx512_vnni, amx...).';
comment on column environment.cpu_cores is 'Logical cores this process may use.';
comment on column environment.gpu_clocks is 'Application clocks policy, `default` unless someone locked them.';

create table artifact (
    artifact_id varchar not null,
    sha256 varchar not null,
    model varchar not null,
    model_version varchar not null,
    variant varchar not null,
    format varchar not null,
    bytes bigint not null,
    parameters bigint,
    bits_per_weight double,
    opset bigint,
    recipe varchar not null,
    recipe_sha256 varchar not null,
    build_s double
);
comment on table artifact is 'A file that can be executed, made by a recipe or given.';
comment on column artifact.artifact_id is 'Hash of content, model, version and variant.';
comment on column artifact.sha256 is 'Of the file, and of its external data.';
comment on column artifact.format is '`onnx`, `torchscript`, `exported-program` or `python` (a factory: bytes are those of its parameters).';
comment on column artifact.bytes is 'On disk, external data included.';
comment on column artifact.parameters is 'Elements of the stored weights.';
comment on column artifact.bits_per_weight is '8 * bytes of stored weights / parameters.';
comment on column artifact.recipe_sha256 is 'Hash of everything the recipe read: the cache key.';
comment on column artifact.build_s is 'None when the artifact was given, or came from the cache.';

create table policy (
    policy_id varchar not null,
    name varchar not null,
    definition varchar not null
);
comment on table policy is 'Rules by their hash.';
comment on column policy.definition is 'Canonical JSON.';

create table metric (
    metric varchar not null,
    unit varchar not null,
    better varchar not null,
    description varchar not null
);
comment on column metric.better is '`lower`, `higher` or `neither`.';

create table bundle (
    bundle_id varchar not null,
    run_id varchar not null,
    host varchar not null,
    written_at timestamp not null,
    schema_version bigint not null,
    row_count bigint not null,
    ingested_at timestamp not null
);
comment on table bundle is 'Every bundle that has been ingested: the idempotency key of appends.';

create table rejected_bundle (
    bundle_id varchar not null,
    reason varchar not null,
    rejected_at timestamp not null
);
comment on table rejected_bundle is 'Bundles that could not be ingested; their files lie in the rejected folder.';
