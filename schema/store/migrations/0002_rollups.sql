-- 0002: pages asked the same two questions of millions of rows; the ingester now keeps the answers.

create table run_summary (
    run_id varchar not null,
    cases bigint not null,
    ok bigint not null,
    not_ok bigint not null,
    verdicts_pass bigint not null,
    verdicts_fail bigint not null,
    verdicts_vacuous bigint not null,
    verdicts_unknown bigint not null
);
comment on table run_summary is 'One line per run: rebuilt at ingest for the runs that got new rows.';

create table series_trend (
    series_id varchar not null,
    metric varchar not null,
    suite varchar not null,
    model varchar not null,
    variant varchar not null,
    backend varchar not null,
    device varchar not null,
    workload varchar not null,
    hardware_class varchar not null,
    points bigint not null,
    started_at timestamp[] not null,
    model_versions varchar[] not null,
    run_ids varchar[] not null,
    vals double[] not null,
    lows double[] not null,
    highs double[] not null
);
comment on table series_trend is 'The last 90 points of every series, oldest first: rebuilt at ingest for the series that got new rows.';
