"""Contracts as hand-made harnesses wrote them: one JSON file with I/O shapes, optimization profiles and cache rules.

Read: `inputs` and `outputs` (a list with names, or an object by name; `dtype` or `type`; `shape` or `dims`), `profiles`
(a list or an object of {"input.symbol": {min, opt, max}}), states under `states`, `state`, `caches` or `cache_pairs`
(pairs out -> in; without them, every output NAME_out, NAME_next or NAMEN with an input NAME), `padding` by state, and
`invariants`, `assertions` or `validation` (texts). Other keys are remarks, and are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from assay.runner.errors import UsageError

_OURS = {"state", "profile"}
_STATE_KEYS = ("states", "state", "caches", "cache_pairs", "state_pairs")
_INVARIANT_KEYS = ("invariants", "assertions", "validation", "runtime_assertions")
_DTYPES = {
    "float": "float32", "fp32": "float32", "fp16": "float16", "half": "float16", "bf16": "bfloat16", "double": "float64",
    "long": "int64", "int": "int32", "tensor(float)": "float32", "tensor(int64)": "int64", "tensor(int32)": "int32",
    "tensor(float16)": "float16", "tensor(bool)": "bool",
}  # fmt: skip


def is_json_contract(data: Mapping[str, Any]) -> bool:
    """Whether this is the older shape: lists of ports, or keys that ours does not have."""
    listed = any(isinstance(data.get(side), list) for side in ("inputs", "outputs"))
    return (
        listed
        or bool({"profiles", "states", "caches", "cache_pairs", "state_pairs", "io"} & set(data))
        or isinstance(data.get("state"), dict)
    )


def from_json(data: Mapping[str, Any]) -> dict[str, Any]:
    """Our dictionary from the older one.

    Raises:
        UsageError: there are no inputs or outputs, or a port or state has no name.
    """
    io = {**data, **data.get("io", {})}
    inputs, outputs = (_ports(io.get(side), side) for side in ("inputs", "outputs"))
    if not inputs or not outputs:
        raise UsageError("this JSON has no `inputs` or no `outputs`: it is not a contract.")
    states = _states(next((data[key] for key in _STATE_KEYS if key in data), None), inputs, outputs)
    padding = data.get("padding") or data.get("pad") or {}
    for state in states:
        rule = state.get("pad") or padding.get(state["output"]) or padding.get(state["input"])
        if isinstance(rule, dict):
            state["pad"] = _padding(rule)
    texts = [text for key in _INVARIANT_KEYS for text in data.get(key, []) if isinstance(text, str)]
    return {
        "model": str(data.get("model", data.get("name", ""))),
        "inputs": inputs,
        "outputs": outputs,
        "state": states,
        "profile": _profiles(data.get("profiles", {})),
        "invariants": [_clean(text) for text in texts],
    }


def _ports(given: Any, side: str) -> dict[str, Any]:
    if isinstance(given, list):
        entries: list[tuple[str, Any]] = [
            (str(port.get("name", "")) if isinstance(port, dict) else str(port), port) for port in given
        ]
    else:
        entries = list((given or {}).items())
    made = {}
    for name, port in entries:
        if not name:
            raise UsageError(f"one of the contract's {side} has no name.")
        facts = port if isinstance(port, dict) else {"shape": port} if isinstance(port, list) else {}
        dtype = str(facts.get("dtype", facts.get("type", "float32")))
        shape: Any = facts.get("shape", facts.get("dims", []))
        made[name] = {
            "dtype": _DTYPES.get(dtype.lower(), dtype.lower()),
            "shape": [d if isinstance(d, int) else str(d) for d in shape],
        }
    return made


def _states(given: Any, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> list[dict[str, Any]]:
    if given is None:
        return [{"output": out, "input": into} for out, into in guess_states(inputs, outputs)]
    if isinstance(given, dict):
        pairs = [
            (out, into if isinstance(into, str) else into.get("input", into.get("in", "")))
            for out, into in given.items()
        ]
        if all(out in inputs for out, _ in pairs):  # written input -> output
            pairs = [(into, out) for out, into in pairs]
        return [{"output": out, "input": into} for out, into in pairs]
    made = []
    listed: Any = given
    for entry in listed:
        out, into = (
            entry
            if isinstance(entry, list)
            else (entry.get("output", entry.get("out")), entry.get("input", entry.get("in")))
        )
        if not out or not into:
            raise UsageError(f"a state of the contract names no output and input: {entry!r}")
        facts = entry if isinstance(entry, dict) else {}
        rule = facts.get("pad", facts.get("padding"))
        made.append({"output": out, "input": into, **({"pad": rule} if isinstance(rule, dict) else {})})
    return made


def guess_states(inputs: Iterable[str], outputs: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs (output, input) that go by their names.

    `NAME_out`, `NAME_next`, `NAME_new`, `new_NAME` with NAME, `present*` with `past*`, `stateN` with `state`, `hn` with
    `h`.
    """
    known = list(inputs)
    pairs = []
    for out in outputs:
        bare = [out.removesuffix(end) for end in ("_out", "_next", "_new", "_output", "N", "n") if out.endswith(end)]
        bare += [out.removeprefix("new_")] if out.startswith("new_") else []
        bare += [out.replace("present", word, 1) for word in ("past", "past_key_values") if out.startswith("present")]
        candidates = [name for stem in bare for name in (stem, f"{stem}_in", f"{stem}0", f"{stem}_0") if name in known]
        if candidates:
            pairs.append((out, candidates[0]))
    return pairs


def _padding(rule: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "axis": rule.get("axis", rule.get("pad_axis", -1)),
        "side": rule.get("side", rule.get("pad_side", "right")),
    }
    made["fill"] = float(rule.get("fill", rule.get("value", rule.get("pad_value", 0.0))))
    if (size := rule.get("size", rule.get("to"))) is not None:
        made["size"] = size
    return made


def _profiles(given: Any) -> dict[str, Any]:
    if isinstance(given, list):
        given = {str(profile.get("name", number)): profile for number, profile in enumerate(given)}
    made = {}
    named: Any = given
    for name, profile in named.items():
        sizes: Any = profile.get("shapes", profile.get("symbols", profile)) if isinstance(profile, dict) else {}
        symbols = {}
        for key, bound in sizes.items():
            if isinstance(bound, dict) and "min" in bound:
                low, high = int(bound["min"]), int(bound["max"])
                symbols[str(key).rpartition(".")[2]] = [low, int(bound.get("opt", high)), high]
        word = name.lower()
        steps = (
            "first"
            if "first" in word
            else "steady"
            if any(w in word for w in ("steady", "subsequent", "next"))
            else "all"
        )
        made[name] = {"steps": steps, "symbols": symbols}
    return made


def _clean(text: str) -> str:
    """An assertion without the words that people put behind it: `x == 1 for all chunks`."""
    for word in (" for all", " at every", " at each", " for each", " for every"):
        text = text.split(word, maxsplit=1)[0]
    return text.strip()
