"""The contract between what measures and what draws.

Rooms: `rows` is what a result is, `store` how it is kept (spool, ingester, migrations), `queries` every question that
can be asked, `triage` what people decide about alerts.

Tables and how they join (every column is described in `rows`):

- `run` -< `case_result` -< `measurement`, `parity`, `verdict`: what one execution of a suite found. `run_end` closes a
  run; a run without it was interrupted, or is still going on.
- `environment`, `artifact`, `policy`, `metric`: dictionaries, known by their content; any number of runs point at one
  row.
- `bundle`, `rejected_bundle`, `schema_migration`: what has been ingested, refused and applied.
- `series_trend`, `run_summary`: rollups that the ingester keeps, rebuilt from the tables above.

Nothing is updated in place: a row has an id made by its writer, and appending it twice changes nothing.
"""
