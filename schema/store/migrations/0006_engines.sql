-- 0006: engines: what they were built from and with, and the precision that was asked for beside the one that ran.

alter table artifact add column made_from varchar;
alter table artifact add column settings varchar;
alter table case_result add column precision_asked varchar;
