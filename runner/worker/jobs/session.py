"""What every job needs: opening the session, and saying what really runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.runner.backends import load_backend
from assay.runner.errors import AssayError, UsageError, in_full, says_its_cause
from assay.runner.session import Session, Source
from assay.runner.source import is_factory, load_factory
from assay.runner.tensors import Tensors
from assay.runner.worker.events.event import Events
from assay.runner.worker.events.facts import Opened
from assay.runner.worker.in_force import in_force
from assay.runner.worker.job import ModelJob, SessionJob

if TYPE_CHECKING:  # a benchmark's process loads no more than it measures
    from assay.runner.rules.contract import Contract
    from assay.runner.rules.policy import Policy


def plain(error: Exception) -> str:
    """The message without the colours that some libraries put into it; its first line says what began it."""
    said = str(error) if isinstance(error, AssayError) or says_its_cause(error) else in_full(error)
    return re.sub(r"\x1b\[[0-9;]*m", "", said)[:2000]


def open_session(job: SessionJob) -> AbstractContextManager[Session]:
    """The session that a job asks for.

    Raises:
        UsageError: the backend does not open this kind of source.
    """
    backend = load_backend(job.backend)
    source = Source(**{**job.source, "folder": Path(job.source["folder"])})
    options = job.options
    if options.get("provider") == "TensorrtExecutionProvider":  # it builds engines as it is opened
        from assay.runner.worker.jobs.engine import sizes_of

        options = {**options, "sizes": sizes_of(job, [job.golden])}
    if source.kind not in backend.accepts():
        raise UsageError(f"backend {job.backend!r} opens {', '.join(backend.accepts())}; this model is {source.kind}.")
    return backend.open_session(source, options)


def announce(session: Session, events: Events, load_ms: float) -> None:
    """Say what really runs; a silent fallback ends the case.

    Raises:
        UsageError: the session runs elsewhere than it was asked to.
    """
    from assay.runner.environment import library_versions

    placement = session.placement()
    parameters = session.parameters()
    events.emit(
        Opened(
            load_ms=load_ms,
            **asdict(placement),
            versions=library_versions(),
            parameters=parameters[0],
            parameter_bytes=parameters[1],
            in_force=in_force(placement.threads),
        )
    )
    if placement.fell_back:
        raise UsageError(
            f"silent fallback: {placement.fell_back}. Set allow_fallback = true on the backend to accept it."
        )


def contract_of(job: ModelJob) -> Contract:
    """The contract that the job names: a file beside the suite, or a factory; an empty one without.

    Raises:
        UsageError: it is missing or wrong, or the factory raised.
    """
    from assay.runner.rules.contract import Contract, load_contract, parse_contract

    reference = job.contract
    if not reference:
        return Contract()
    folder = Path(job.folder)
    if not is_factory(reference):
        return load_contract(folder / reference)
    try:
        return parse_contract(load_factory(reference, folder)(**job.contract_options))
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"the contract {reference} raised {type(error).__name__}: {error}") from error


class Renamed:
    """A session spoken to in the reference's names."""

    def __init__(self, session: Session, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> None:
        self._session = session
        self._inputs, self._outputs = inputs, outputs

    def infer(self, inputs: Tensors) -> Tensors:
        made = self._session.infer({self._inputs.get(name, name): array for name, array in inputs.items()})
        return {self._outputs.get(name, name): array for name, array in made.items()}


def spread_steps(count: int, most: int = 3) -> list[int]:
    """A few step numbers from the first to the last."""
    return sorted({round(i * (count - 1) / max(most - 1, 1)) for i in range(most)}) if count else []


def with_itself(policy: Policy) -> Policy:
    """The policy for comparing a model with itself: NaN twice is the same answer twice, and nothing is forgiven."""
    return policy.with_itself()


def probe_receipts(comparison: Any, mode: str) -> Iterator[dict[str, Any]]:
    """Receipts of a comparison that is no parity by itself, under the name of the probe."""
    for receipt in comparison.merged():
        yield {**receipt, "mode": mode}
