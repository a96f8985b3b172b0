-- Run at the end of every ingest for the runs in touched_run.

delete from superseded_verdict where run_id in (select run_id from touched_run);

insert into superseded_verdict
select verdict_id, run_id from (
    select verdict_id, run_id, row_number() over (
        partition by case_id, subject, name order by judged_at desc, verdict_id desc) as age
    from verdict where run_id in (select run_id from touched_run)
) where age > 1;

delete from run_summary where run_id in (select run_id from touched_run);

insert into run_summary by name
with judged as (
    -- As assay.schema.queries.outcome says it: a case that is expected to fail is judged by that expectation alone.
    select run_id, case_id, bool_or(subject = 'expectation' and outcome = 'pass') as caught,
        bool_or(outcome in ('fail', 'vacuous', 'unknown')) as spoiled
    from current_verdict where run_id in (select run_id from touched_run) group by run_id, case_id
), told as (
    select c.run_id, coalesce(j.caught or (c.status = 'ok' and not j.spoiled), c.status = 'ok') as well
    from case_result c left join judged j using (run_id, case_id) where c.run_id in (select run_id from touched_run)
), cases as (
    select run_id, count(*) as cases, count(*) filter (well) as ok, count(*) filter (not well) as not_ok
    from told group by run_id
), verdicts as (
    select run_id,
        count(*) filter (outcome = 'pass') as verdicts_pass, count(*) filter (outcome = 'fail') as verdicts_fail,
        count(*) filter (outcome = 'vacuous') as verdicts_vacuous, count(*) filter (outcome = 'unknown') as verdicts_unknown,
        count(*) filter (outcome = 'waived') as verdicts_waived
    from current_verdict where run_id in (select run_id from touched_run) group by run_id
)
select run_id, cases, ok, not_ok,
    coalesce(verdicts_pass, 0) as verdicts_pass, coalesce(verdicts_fail, 0) as verdicts_fail,
    coalesce(verdicts_vacuous, 0) as verdicts_vacuous, coalesce(verdicts_unknown, 0) as verdicts_unknown,
    coalesce(verdicts_waived, 0) as verdicts_waived
from cases left join verdicts using (run_id);

create or replace temp table touched_series as
select distinct series_id from measurement where run_id in (select run_id from touched_run);

-- The newest 90 points of what was known and what is new: the history of a series is not read again.
create or replace temp table known_trend as
select * from series_trend where series_id in (select series_id from touched_series);

delete from series_trend where series_id in (select series_id from touched_series);

insert into series_trend by name
with fresh as (
    select m.series_id, m.metric, r.suite, c.model, c.variant, c.backend, c.device, c.workload, e.hardware_class,
        r.started_at, c.model_version, r.run_id, m.value, m.low, m.high
    from measurement m
    join case_result c on c.run_id = m.run_id and c.case_id = m.case_id
    join run r on r.run_id = m.run_id
    join environment e on e.environment_id = c.environment_id
    where m.run_id in (select run_id from touched_run)
), known as (
    select * from (
        select series_id, metric, suite, model, variant, backend, device, workload, hardware_class,
            unnest(started_at) as started_at, unnest(model_versions) as model_version, unnest(run_ids) as run_id,
            unnest(vals) as value, unnest(lows) as low, unnest(highs) as high
        from known_trend
    ) where run_id not in (select run_id from touched_run)
), point as (
    select *, row_number() over (partition by series_id order by started_at desc, run_id desc) as age
    from (select * from known union all by name select * from fresh)
)
select series_id, any_value(metric) as metric, any_value(suite) as suite, any_value(model) as model,
    any_value(variant) as variant, any_value(backend) as backend, any_value(device) as device,
    any_value(workload) as workload, any_value(hardware_class) as hardware_class, count(*) as points,
    list(started_at order by age desc) as started_at, list(model_version order by age desc) as model_versions,
    list(run_id order by age desc) as run_ids, list(value order by age desc) as vals,
    list(low order by age desc) as lows, list(high order by age desc) as highs
from point where age <= 90 group by series_id;

drop table known_trend;
