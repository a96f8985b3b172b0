"""What a worker process can be asked to do: one file each, named as the operation, with `run(job, events)`.

`prepare` loads the reference, records it and builds artifacts; a check's file runs a case of it; `explain` looks for
the operator that diverges first. `session.py` is what they have in common.
"""
