-- 0004: benchmarks that can be believed: what was timed together, generations, layers, where numbers come from, overrides.

alter table case_result add column group_id varchar;
alter table case_result add column batch bigint;
alter table case_result add column input_shapes varchar;
alter table artifact add column weights varchar;
alter table measurement add column launches bigint;

create table layer (
    case_id varchar not null,
    run_id varchar not null,
    position bigint not null,
    name varchar not null,
    op_type varchar not null,
    provider varchar not null,
    precision varchar,
    calls bigint not null,
    total_ms double not null,
    median_us double not null,
    share double not null,
    output_shape varchar,
    output_bytes bigint,
    parameter_bytes bigint,
    reference_name varchar,
    reference_us double,
    provenance varchar not null
);
comment on table layer is 'One operator or layer of a profiled case, and the time that it took.';

create table comparison_override (
    override_id varchar not null,
    recorded_at timestamp not null,
    owner varchar not null,
    run_a varchar not null,
    run_b varchar not null,
    differs varchar not null,
    reason varchar not null
);
comment on table comparison_override is 'Someone asked for ratios of unlike things: what differed, who, and why.';
