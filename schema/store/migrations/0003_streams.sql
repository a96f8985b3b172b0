-- 0003: streams, what explains a failure, waivers; and verdicts that a later policy replaced.

alter table parity add column contract_sha256 varchar;
alter table verdict add column waiver_id varchar;
alter table run_summary add column verdicts_waived bigint default 0;

create table stream_step (
    case_id varchar not null,
    run_id varchar not null,
    step bigint not null,
    latency_ms double not null,
    resynced boolean not null
);
comment on table stream_step is 'One step of a stream on the candidate.';

create table invariant (
    case_id varchar not null,
    run_id varchar not null,
    name varchar not null,
    kind varchar not null,
    expression varchar not null,
    side varchar not null,
    checked bigint not null,
    broken bigint not null,
    first_broken bigint,
    broken_steps bigint[] not null,
    observed varchar
);
comment on table invariant is 'One invariant of a contract, or one premise of a waiver, over all steps of a case.';

create table drift (
    case_id varchar not null,
    run_id varchar not null,
    quantity varchar not null,
    output varchar not null,
    n bigint not null,
    slope double not null,
    low double not null,
    high double not null,
    p_value double not null,
    trend varchar not null,
    peak_step bigint not null,
    peak double not null
);
comment on table drift is 'How an error or the latency moves from step to step.';

create table liveness (
    case_id varchar not null,
    run_id varchar not null,
    side varchar not null,
    input varchar not null,
    is_state boolean not null,
    output varchar not null,
    steps bigint not null,
    moved double not null,
    relative double
);
comment on table liveness is 'How far an output moves when an input is perturbed.';

create table finding (
    case_id varchar not null,
    run_id varchar not null,
    kind varchar not null,
    subject varchar not null,
    severity varchar not null,
    message varchar not null
);
comment on table finding is 'Something that explains a verdict, or that makes one worth less.';

create table divergence (
    case_id varchar not null,
    run_id varchar not null,
    explanation_id varchar not null,
    position bigint not null,
    node varchar not null,
    op_type varchar not null,
    layer varchar,
    reference_node varchar,
    output varchar not null,
    shape bigint[] not null,
    elements bigint not null,
    accumulated_max_abs double,
    accumulated_rel_l2 double,
    local_max_abs double,
    local_rel_l2 double,
    local_typical_rel double,
    expected_rel_l2 double,
    suspect boolean not null,
    hint varchar
);
comment on table divergence is 'One node of a graph in an explanation: its own error, and what had piled up before it.';

create table blame (
    case_id varchar not null,
    run_id varchar not null,
    explanation_id varchar not null,
    position bigint not null,
    edge_from varchar not null,
    edge_to varchar not null,
    output varchar not null,
    max_abs double,
    rel_l2 double,
    share double,
    problem varchar
);
comment on table blame is 'One edge of the chain from exact arithmetic to what is shipped, and the error that it adds.';

create table noise (
    case_id varchar not null,
    run_id varchar not null,
    source varchar not null,
    output varchar not null,
    n bigint not null,
    max_abs double,
    p999_abs double,
    rel_l2 double,
    atol double,
    rtol double,
    problem varchar
);
comment on table noise is 'How much an output moves for a reason that is no fault: repetition, batching, rounding.';

create table waiver_event (
    event_id varchar not null,
    waiver_id varchar not null,
    action varchar not null,
    case_pattern varchar not null,
    output varchar not null,
    premise varchar not null,
    max_abs double,
    owner varchar not null,
    reason varchar not null,
    expires_at timestamp,
    recorded_at timestamp not null
);
comment on table waiver_event is 'A waiver granted or revoked; the waivers in force are the fold of these.';

create table superseded_verdict (
    verdict_id varchar not null,
    run_id varchar not null
);
comment on table superseded_verdict is 'Verdicts that a later policy judged anew: rebuilt at ingest for the runs that got new rows.';

create view current_verdict as
select v.* from verdict v where v.verdict_id not in (select s.verdict_id from superseded_verdict s);
