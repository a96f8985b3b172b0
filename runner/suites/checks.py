"""Checks, as a suite asks for them: the modes of each, and what a case of it may combine.

Adding one touches three places: its row in `CHECKS` here, `assay/runner/run/checks/NAME.py` (what a run does with it),
and `assay/runner/worker/jobs/NAME.py` (what its worker does). Everything else asks the row, or that class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from assay.runner.errors import UsageError, nearest
from assay.runner.parity.steps import FUNCTIONAL, resync_every
from assay.runner.recipes import RECIPES
from assay.runner.timing.device import parse_mode

if TYPE_CHECKING:
    from assay.runner.suites.suite import Variant


Row = TypeVar("Row", bound=Mapping[str, Any])


@dataclass(frozen=True, slots=True)
class Combination:
    """What a `[[case]]` table puts together, of which not everything means something to every check."""

    kind: str
    """Of the backend."""
    recipe: Variant


def _anything(_: Combination) -> str | None:
    return None


def _stream_mode(mode: str) -> str:
    resync_every(mode)
    return mode


@dataclass(frozen=True, slots=True)
class CheckKind:
    """A check by what may be asked of it."""

    timed: bool = False
    """Whether its cases are measured beside the others of their table, and not compared with a right side."""
    in_turns: bool = False
    """Whether they are timed in turns, block by block."""
    streams: bool = False
    """Whether its modes but the first feed states back, so that they have a side to pad on."""
    default_mode: str = FUNCTIONAL
    parse_mode: Callable[[str], str] | None = None
    """A mode as it is kept; UsageError for one that there is not. None: it runs in its default mode alone."""
    named_by_mode: bool = True
    """Whether a mode says enough for a case's name (`closed_loop`) or stands behind the check (`benchmark-events`)."""
    compares: bool = False
    """Whether its cases are held against their reference, so that the reference itself is nothing to hold."""
    generates: bool = False
    """Whether what its model gives goes in again, by the table's `generate`."""
    counts: bool = False
    """Whether it counts answers against labels, by the workload's `task`."""
    proves: bool = False
    """Whether it holds what is computed against what is right; the others measure it, or hold it against itself."""
    refuses: Callable[[Combination], str | None] = _anything
    """Why a combination means nothing to it, and is left out; None where it means something."""

    def modes(self, asked: Iterable[str]) -> tuple[str, ...]:
        """The modes that its cases run in, each once; those of another check in the same table are not its own.

        Raises:
            UsageError: it has no such mode.
        """
        own = tuple(dict.fromkeys(self.parse_mode(mode) for mode in asked)) if self.parse_mode else ()
        return own or (self.default_mode,)

    def word(self, name: str, mode: str) -> str:
        """The last part of a case's name."""
        if mode == self.default_mode:
            return name
        return mode if self.named_by_mode else f"{name}-{mode}"


GENERATION_MODES = ("cached", "recomputed")


def _generation_mode(mode: str) -> str:
    if mode not in GENERATION_MODES:
        raise UsageError(f"there is no mode {mode!r} of generation.{nearest(mode, GENERATION_MODES)}")
    return mode


def _without_codes(asked: Combination) -> str | None:
    """A float file has no tensor in codes: made by a quantizer, or given beside the float file that it is `from`."""
    if asked.kind != "onnxruntime":
        return f"it looks at an ONNX file as ONNX Runtime runs it, not at what the {asked.kind} backend runs"
    if RECIPES[asked.recipe.recipe].quantizes or asked.recipe.base is not None:
        return None
    return f"recipe {asked.recipe.recipe!r} makes a float file, which has no tensor in codes"


def _not_by_node(asked: Combination) -> str | None:
    """Nodes are quantized one by one by that recipe alone."""
    if (why := _without_codes(asked)) or asked.recipe.recipe == "onnxruntime-static":
        return why
    return f"recipe {asked.recipe.recipe!r} does not quantize node by node, as 'onnxruntime-static' does"


CHECKS: dict[str, CheckKind] = {
    "parity": CheckKind(streams=True, parse_mode=_stream_mode, compares=True, proves=True),
    "benchmark": CheckKind(
        timed=True, in_turns=True, parse_mode=lambda mode: str(parse_mode(mode)), named_by_mode=False
    ),
    "consistency": CheckKind(),
    "generation": CheckKind(
        timed=True, in_turns=True, default_mode=GENERATION_MODES[0], parse_mode=_generation_mode, generates=True
    ),
    "profile": CheckKind(timed=True),
    "quality": CheckKind(proves=True, counts=True),
    "ledger": CheckKind(refuses=_without_codes),
    "sensitivity": CheckKind(refuses=_not_by_node),
}


def known_checks(names: str | tuple[str, ...]) -> str | tuple[str, ...]:
    """The same name, or names.

    Raises:
        ValueError: there is no such check.
    """
    for name in (names,) if isinstance(names, str) else names:
        if name not in CHECKS:
            raise ValueError(f"there is no check {name!r}.{nearest(name, CHECKS)}")
    return names


def validate_modes(checks: Iterable[str], modes: Iterable[str]) -> None:
    """Whether every check of a table that has modes of its own takes those that the table names.

    Raises:
        UsageError: one does not; or no check of the table has modes, and they are no modes of parity's either.
    """
    parsers = [parse for name in checks if (parse := CHECKS[name].parse_mode)] or [_stream_mode]
    for mode in modes:
        for parse in parsers:
            parse(mode)


def recorded_as(check: str, cases: Iterable[Row]) -> list[Row]:
    """Of rows with a `check_kind`, those of one check; a misspelt name finds nothing, and is an error.

    Raises:
        ValueError: there is no such check.
    """
    known_checks(check)
    return [case for case in cases if case["check_kind"] == check]
