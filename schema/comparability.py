"""The comparability key of a case: what two figures have to share before a ratio is made of them.

Parts `name=value`, joined by `; `. A part that one side does not have was not recorded there, which is no difference:
what was recorded before threads and variables were read in the worker goes on, and what is not known is named. A
variable that was recorded to be absent is a difference: `variables` says that they were looked at.
"""

from __future__ import annotations

from collections.abc import Mapping

VARIABLES = "variables"
"""The part that says how many variables were set; each has a part by its own name, in capitals."""
_NOT_KNOWN = ("threads", "default")
"""What is written where nobody asked for a number of threads and nothing told it."""


def key_of(parts: Mapping[str, object], variables: Mapping[str, str] | None = None) -> str:
    """The key as text; `variables` are None where nobody looked at them."""
    told = {name: str(value) for name, value in parts.items()}
    if variables is not None:
        told |= {VARIABLES: f"{len(variables)} set" if variables else "none", **dict(sorted(variables.items()))}
    return "; ".join(f"{name}={value.replace(';', ',')}" for name, value in told.items())


def parts_of(key: str) -> dict[str, str]:
    """Name -> value; `threads=default` of older rows is left out: it is not known what was in force."""
    pairs = (part.split("=", 1) for part in key.split("; ") if "=" in part)
    return {name: value for name, value in pairs if (name, value) != _NOT_KNOWN}


def unlike(a: str, b: str) -> str:
    """The parts of two keys that differ, in words; "" where none does."""
    left, right = parts_of(a), parts_of(b)
    both = VARIABLES in left and VARIABLES in right
    found = []
    for name in dict.fromkeys([*left, *right]):
        if name == VARIABLES or (not (name in left and name in right) and not (both and name.isupper())):
            continue
        one, other = left.get(name, "unset"), right.get(name, "unset")
        if one != other:
            found.append(f"{name}: {one} against {other}")
    return "; ".join(found)


def not_recorded(a: str, b: str) -> dict[str, list[str]]:
    """`a` and `b` -> parts that only the other one has; variables by the one word, for they come and go."""
    left, right = ({name for name in parts_of(key) if not name.isupper()} for key in (a, b))
    return {side: sorted(missing) for side, missing in (("a", right - left), ("b", left - right)) if missing}
