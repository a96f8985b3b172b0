"""What a worker process can be asked to do: one file each, with `run(job, events)`.

`prepare` loads the reference, records it and builds artifacts; `parity`, `consistency` and `benchmark` run a case;
`explain`
looks for the operator that diverges first.
"""
