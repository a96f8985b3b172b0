"""Generate tokens on command: the prompt, then one step a token, with states fed back or the whole context anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.runner.errors import UsageError
from assay.runner.worker.events.event import Events
from assay.runner.worker.job import CaseJob
from assay.runner.worker.jobs.benchmark import Block, first_inputs, serve
from assay.runner.worker.jobs.session import contract_of

if TYPE_CHECKING:
    from assay.runner.session import Session


def run(job: CaseJob, events: Events) -> None:
    """As `benchmark`; a block is one generation: the prompt's milliseconds first, then those of every token."""
    contract, prompt, ask = contract_of(job), first_inputs(job), job.generate
    theirs = {ours: candidate for candidate, ours in job.rename.items()}
    states = {
        job.rename_inputs.get(state.input, state.input): theirs.get(state.output, state.output)
        for state in contract.state
    }
    asked: tuple[str, str] = (ask["token"], ask["into"])
    token, into = theirs.get(asked[0], asked[0]), job.rename_inputs.get(asked[1], asked[1])

    if job.mode == "cached" and not states:
        raise UsageError(
            "the model's contract names no states to keep between tokens. Write one (assay contract init), or set"
            ' modes = ["recomputed"].'
        )

    def prepare(session: Session) -> tuple[Callable[[], object], Block]:
        if job.mode == "cached":
            return _warming(lambda tokens: with_states(session, prompt, states, tokens), ask["tokens"])
        if into not in prompt:
            raise UsageError(f"the prompt has no input {into!r} to append tokens to; it has {', '.join(prompt)}.")
        return _warming(lambda tokens: anew(session, prompt, token, into, tokens), ask["tokens"])

    serve(job, events, prepare)


def _warming(generate: Callable[[int], list[float]], tokens: int) -> tuple[Callable[[], object], Block]:
    """A short generation to warm up with, and a whole one as the block."""

    def block(_: int) -> tuple[list[float], dict[str, list[float]]]:
        generate(1)  # the caches were another process's
        return generate(tokens), {}

    return lambda: generate(min(tokens, 3)), block


def with_states(session: Session, prompt: dict[str, Any], states: dict[str, str], tokens: int) -> list[float]:
    """Milliseconds of the prompt and of each token after it, what comes out going in again."""
    stream = session.open_stream(states)
    return [stream.step(prompt), *[stream.step({}) for _ in range(tokens)]]


def anew(session: Session, prompt: dict[str, Any], token: str, into: str, tokens: int) -> list[float]:
    """The same without states, those of the model left empty.

    Every token is appended, and the whole context runs again.

    Raises:
        UsageError: the model has no such output.
    """
    stream = session.open_stream({})
    inputs = dict(prompt)
    took = [stream.step(inputs)]
    for _ in range(tokens):
        made = stream.outputs()
        if token not in made:
            raise UsageError(f"the model has no output {token!r} to go on with; it has {', '.join(made)}.")
        chosen = made[token].astype(inputs[into].dtype).reshape(len(inputs[into]), 1)
        inputs[into] = np.concatenate([inputs[into], chosen], axis=1)
        took.append(stream.step(inputs))
    return took
