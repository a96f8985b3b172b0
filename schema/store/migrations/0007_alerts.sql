-- 0007: changes and alerts: what moved, who answered for it, what was re-run, told, expected, released, and what a detector costs.

create table change (
    change_id varchar not null,
    series_id varchar not null,
    kind varchar not null,
    direction varchar not null,
    suite varchar not null,
    model varchar not null,
    variant varchar not null,
    backend varchar not null,
    workload varchar not null,
    name varchar not null,
    metric varchar not null,
    hardware_class varchar not null,
    host varchar not null,
    run_before varchar not null,
    run_id varchar not null,
    started_at timestamp not null,
    version_before varchar not null,
    version varchar not null,
    commit_before varchar,
    commit_after varchar,
    artifact_before varchar,
    artifact varchar,
    ratio double,
    low double,
    high double,
    p_value double not null,
    q_value double not null,
    noise double,
    before double[] not null,
    after double[] not null,
    message varchar not null,
    rule varchar not null,
    alert_id varchar,
    detected_at timestamp not null
);
comment on table change is 'A night from which on a figure, a verdict or a status has another level, as a nightly job knew it.';
comment on column change.change_id is 'Hash of series, kind, direction and the run that the new level begins with.';
comment on column change.kind is '`step`, `drift` (against the best level or a release), `spread` (of the nights), `verdict`, `pass_rate`, `status` or `exact` (a figure without noise).';
comment on column change.direction is '`regression` or `improvement`.';
comment on column change.name is 'The case.';
comment on column change.metric is 'The metric; of a verdict `subject: name`; of a status `status`.';
comment on column change.run_before is 'The last run of the old level (of a drift: of the level that it is held against).';
comment on column change.run_id is 'The first run of the new level.';
comment on column change.started_at is 'Of that run, UTC.';
comment on column change.artifact_before is 'SHA-256 of what ran; None where the case has no artifact.';
comment on column change.ratio is 'New level over the old one (of a spread: of the standard deviations); None of verdicts and statuses.';
comment on column change.low is '95 % interval of the ratio.';
comment on column change.p_value is '0 where nothing is random: a verdict that had always been the same, a size in bytes.';
comment on column change.q_value is 'Of the night''s changes that are at least as clear, the share that is expected to be false.';
comment on column change.noise is 'Relative standard deviation of a night.';
comment on column change.before is 'The last nights of the old level (1 passed and 0 failed, of verdicts and statuses).';
comment on column change.rule is 'Version of the rule that found it.';
comment on column change.alert_id is 'None where it begins no alert: an improvement, or older than what a nightly job tells.';

create table alert_event (
    event_id varchar not null,
    alert_id varchar not null,
    action varchar not null,
    recorded_at timestamp not null,
    actor varchar not null,
    reason varchar not null,
    cause_kind varchar,
    cause varchar,
    title varchar,
    severity varchar,
    assignee varchar,
    until timestamp,
    until_version varchar,
    version varchar,
    run_ids varchar[]
);
comment on table alert_event is 'One step in the life of an alert; what an alert is now is the fold of these (view `alert`).';
comment on column alert_event.action is '`opened`, `grew`, `acknowledged`, `assigned`, `muted`, `unmuted`, `expected`, `invalid`, `fixed`, `recovered`, `reopened`, `confirmed` or `refuted`.';
comment on column alert_event.actor is 'Who did it; `assay` where the nightly job did.';
comment on column alert_event.cause_kind is 'Of `opened`: `model`, `commit`, `variant`, `runtime`, `suite`, `host`, `case` or `absence`.';
comment on column alert_event.severity is '`critical`, `high`, `medium` or `low`; of `opened` and `grew`.';
comment on column alert_event.until is 'Of `muted`: when it ends.';
comment on column alert_event.until_version is 'Of `muted`: it ends when this version has run.';
comment on column alert_event.version is 'Of `fixed`: the version (or commit) that fixes it.';
comment on column alert_event.run_ids is 'Of `invalid`: the runs whose figures of the alert''s series count no more.';

create table confirmation (
    confirmation_id varchar not null,
    alert_id varchar,
    recorded_at timestamp not null,
    suite varchar not null,
    name varchar not null,
    metric varchar not null,
    version_before varchar not null,
    version varchar not null,
    artifact_before varchar,
    artifact varchar,
    recorded_ratio double,
    ratio double,
    low double,
    high double,
    outcome varchar not null,
    reason varchar not null,
    seconds double not null,
    host varchar not null
);
comment on table confirmation is 'A re-run that was made to tell whether a change is real: old and new artifact in turns on one host, or one step of a bisection.';
comment on column confirmation.alert_id is 'None of a bisection, and of a suspicion that has no alert.';
comment on column confirmation.name is 'The case.';
comment on column confirmation.recorded_ratio is 'What the history says.';
comment on column confirmation.ratio is 'What the re-run says, new over old.';
comment on column confirmation.outcome is '`confirmed`, `refuted`, `undecided`, `impossible`; of a bisection `good` or `bad`.';

create table notification (
    notification_id varchar not null,
    digest_id varchar not null,
    recorded_at timestamp not null,
    channel varchar not null,
    outcome varchar not null,
    attempts bigint not null,
    error varchar,
    events varchar[] not null,
    text varchar not null
);
comment on table notification is 'One attempt to tell people; a digest that did not arrive is sent again the next night.';
comment on column notification.digest_id is 'Hash of what is told and of the channel.';
comment on column notification.channel is 'The name in the configuration, never its address: addresses can hold secrets.';
comment on column notification.outcome is '`sent` or `failed`.';
comment on column notification.events is 'The alert events that it tells of.';

create table expectation (
    event_id varchar not null,
    action varchar not null,
    suite varchar not null,
    host varchar not null,
    model varchar not null,
    every_h double not null,
    grace_h double not null,
    owner varchar not null,
    reason varchar not null,
    recorded_at timestamp not null
);
comment on table expectation is 'What has to be measured how often, or that something was retired on purpose; the newest event of a suite, host and model holds.';
comment on column expectation.action is '`expect` or `retire`.';
comment on column expectation.model is 'Empty: any.';

create table release (
    event_id varchar not null,
    model varchar not null,
    version varchar not null,
    owner varchar not null,
    reason varchar not null,
    recorded_at timestamp not null
);
comment on table release is 'A version of a model that was shipped: drift and the gate are held against it.';

create table calibration (
    calibration_id varchar not null,
    recorded_at timestamp not null,
    rule varchar not null,
    detector varchar not null,
    noise varchar not null,
    series bigint not null,
    nights bigint not null,
    alarms bigint not null,
    per_100 double not null,
    low double not null,
    high double not null,
    same_pairs bigint not null,
    same_alarms bigint not null,
    sizes double[] not null,
    within_3 double[] not null,
    within_5 double[] not null,
    within_10 double[] not null
);
comment on table calibration is 'What a rule cost and found when it was replayed.';
comment on column calibration.rule is 'Version of the rule: a hash of its settings.';
comment on column calibration.detector is '`nightly`, or the name of a candidate.';
comment on column calibration.noise is 'Where the nights came from, in words.';
comment on column calibration.per_100 is 'False alarms a series in 100 nights.';
comment on column calibration.low is 'Exact 95 % interval.';
comment on column calibration.same_pairs is 'Neighbouring nights of one artifact in one environment, as they were recorded: nothing changed between them.';
comment on column calibration.same_alarms is 'Reports whose new level begins between two such nights.';
comment on column calibration.sizes is 'Steps that were planted: 0.05 is 5 %.';
comment on column calibration.within_3 is 'Share of the steps of each size that was reported within 3 nights.';

create table shadow_change (
    detector varchar not null,
    rule varchar not null,
    series_id varchar not null,
    name varchar not null,
    metric varchar not null,
    run_id varchar not null,
    started_at timestamp not null,
    ratio double not null,
    p_value double not null,
    direction varchar not null,
    detected_at timestamp not null
);
comment on table shadow_change is 'What a candidate detector would have reported. Nothing that notifies or opens alerts reads this table.';
comment on column shadow_change.run_id is 'The first run of the new level.';

create view alert as
with opening as (
    select alert_id, arg_min(cause_kind, recorded_at) as cause_kind, arg_min(cause, recorded_at) as cause, arg_min(title, recorded_at) as title,
        min(recorded_at) as opened_at
    from alert_event where action = 'opened' group by alert_id
), deciding as (
    select *, row_number() over (partition by alert_id order by recorded_at desc, event_id desc) as age from alert_event
    where action in ('opened', 'acknowledged', 'muted', 'unmuted', 'expected', 'invalid', 'fixed', 'recovered', 'reopened')
), folded as (
    select alert_id, max(recorded_at) as updated_at, arg_max(assignee, recorded_at) filter (action = 'assigned') as assignee,
        arg_max(severity, recorded_at) filter (severity is not null) as severity, count(*) filter (action = 'reopened') as reopened
    from alert_event group by alert_id
)
select o.alert_id, o.cause_kind, o.cause, o.title, f.severity,
    case d.action when 'opened' then 'open' when 'reopened' then 'open' when 'unmuted' then 'open' else d.action end as state,
    f.assignee, d.actor as decided_by, d.reason, d.recorded_at as decided_at, d.until, d.until_version, d.version as fixed_by, f.reopened, o.opened_at, f.updated_at
from opening o join folded f using (alert_id) join deciding d on d.alert_id = o.alert_id and d.age = 1;
comment on view alert is 'What every alert is now: open, acknowledged, muted, expected, invalid, fixed or recovered.';

create view invalid_sample as
select distinct c.series_id, unnest(e.run_ids) as run_id from alert_event e join change c on c.alert_id = e.alert_id where e.action = 'invalid';
comment on view invalid_sample is 'Figures that somebody has called invalid: no series counts them.';
