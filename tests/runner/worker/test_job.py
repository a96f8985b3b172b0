"""Jobs travel as one line, and what is no job is told before anything runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from assay.runner.worker.job import CaseJob, EngineJob, InstalledJob, Job, decode, encode
from assay.runner.worker.process import Worker, WorkerFailed

CASE = CaseJob(
    op="parity", backend="fake", source={"kind": "fake", "location": ""}, options={"gain": 2.0}, rename={"y": "x"}
)


@pytest.mark.parametrize("job", [CASE, InstalledJob(backend="fake"), Job(op="none")], ids=lambda job: job.op)
def test_a_job_comes_out_as_it_went_in(job: Job):
    assert decode(encode(job)) == job


def test_what_the_parent_leaves_out_has_its_default_on_both_sides():
    read = decode(json.dumps({"job": "CaseJob", "op": "parity", "backend": "b", "source": {}, "options": {}}))
    assert isinstance(read, CaseJob)
    assert (read.mode, read.premises, read.dump) == ("functional", [], None)


def test_paths_travel_as_text():
    sent = EngineJob(backend="b", options={"cache": Path("a/b")}, artifacts="x", recorded=[], variants=[])
    read = decode(encode(sent))
    assert isinstance(read, EngineJob)
    assert read.options == {"cache": "a/b"}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ({"job": "CaseJobb", "op": "parity"}, "there is no job 'CaseJobb'"),
        ({"op": "parity"}, "there is no job None"),
        ({"job": "InstalledJob", "backened": "fake"}, "has no field 'backened'. Did you mean 'backend'"),
        ({"job": "InstalledJob"}, "missing 1 required keyword-only argument: 'backend'"),
    ],
)
def test_what_is_no_job_says_what_is_wrong(line: dict[str, str], says: str):
    with pytest.raises(ValueError, match=says):
        decode(json.dumps(line))


@pytest.mark.slow
def test_a_line_that_is_no_job_fails_the_case_with_its_reason(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("assay.runner.worker.process.encode", lambda _: json.dumps({"job": "InstalledJob", "x": 1}))
    with (
        Worker(InstalledJob(backend="fake"), python=None, timeout_s=60) as worker,
        pytest.raises(WorkerFailed, match="InstalledJob has no field 'x'"),
    ):
        list(worker.events())
