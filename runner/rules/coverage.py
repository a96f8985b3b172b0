"""What a case may be asked to have exercised, and the notes that say what it has not.

A note stops nobody, until a suite's `coverage` or `assay gate --coverage` asks for what it is about.
"""

from __future__ import annotations

from collections.abc import Iterable

from assay.runner.errors import UsageError, nearest

COVERAGE: dict[str, dict[str, str]] = {
    "inputs": {
        "input_never_varied": "an input has one value at every step of the workload",
        "input_not_tried": "no other value of an input could be tried: whether it reaches an output is not known",
    },
    "states": {"state_never_filled": "a cache or counter never came to its size, its bound or its profile's largest"},
    "axes": {"axis_tried_once": "an open axis was tried at one size"},
    "labels": {"few_classes": "the labels of calibration data cover few of the classes"},
    "golden": {"golden_of_other_version": "the golden was recorded from another version, or another model"},
    "mode": {"eval_changed": "the module came in training mode, and evaluation mode changes what it computes"},
}
"""Word of a suite's `coverage` -> kind of note -> what it says."""


def kinds_of(asked: Iterable[str]) -> frozenset[str]:
    """Kinds of notes that words of a `coverage` are about.

    Raises:
        UsageError: a word is none.
    """
    found: set[str] = set()
    for word in asked:
        if word not in COVERAGE:
            raise UsageError(
                f"there is no coverage {word!r}.{nearest(word, COVERAGE)} There are {', '.join(COVERAGE)}."
            )
        found |= set(COVERAGE[word])
    return frozenset(found)


def coverage_words(asked: object) -> tuple[str, ...]:
    """What a suite writes as its words: `true` is all of them, `false` none.

    Raises:
        ValueError: it is something else, or has a word that there is not.
    """
    if isinstance(asked, bool):
        return tuple(COVERAGE) if asked else ()
    if not isinstance(asked, list | tuple):
        raise ValueError(f"coverage is true, or a list of {', '.join(COVERAGE)}")  # noqa: TRY004  pydantic takes it
    try:
        kinds_of(map(str, asked))
    except UsageError as error:
        raise ValueError(str(error)) from None
    return tuple(map(str, asked))
