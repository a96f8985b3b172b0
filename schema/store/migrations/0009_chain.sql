alter table bundle add column position bigint;
comment on column bundle.position is 'Count of bundles up to this one, in the order of their ingestion; null of those from before schema version 9.';
alter table bundle add column chain varchar;
comment on column bundle.chain is 'SHA-256 of the chain before, the bundle''s id and its manifest''s SHA-256: what the books hold, in one word.';
