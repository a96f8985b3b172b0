alter table case_result add column model_sha256 varchar;
comment on column case_result.model_sha256 is 'Identity of the model: every source file, weight, buffer, attribute and configuration that its answers depend on.';
alter table case_result add column in_force varchar;
comment on column case_result.in_force is 'JSON: threads, affinity, governor and the variables that change speed, as they were in force in the worker.';

alter table artifact add column nodes bigint;
comment on column artifact.nodes is 'Nodes of the graph, bodies of control flow included.';
alter table artifact add column nodes_changed bigint;
comment on column artifact.nodes_changed is 'Nodes that the recipe changed, against what it started from; null of a recipe that changes none by its nature.';

alter table parity add column worst_pair varchar;
comment on column parity.worst_pair is 'JSON: the pair at worst_index as text, where doubles cannot hold it (integers, strings).';
alter table parity add column detail varchar;
comment on column parity.detail is 'What a rule of the field accounted for, e.g. 23 of 30 indices differ among equal scores only.';
