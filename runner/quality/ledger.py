"""The layer ledger: for every tensor that quantization touches, what it costs there and what has piled up before it.

`local`: this tensor alone, the original's values through this tensor's codes. `accumulated`: what the quantized graph
holds there, against the original, every
node as it is written (*simulated*: products in float) or by the kernels that would be shipped (*executed*). One pass
over the data; the activations of one batch
(of several, up to 512 kB) are in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from assay.runner.graphs.quantized_graph import Pair
from assay.runner.quality.codes import counted, decode, encode, encode_counting, in_order, typed
from assay.runner.quality.moments import Moments, add_together
from assay.runner.quality.quantized_activations import Activation, activations
from assay.runner.quality.quantized_weights import Weight, weights
from assay.runner.quality.taps import Tapped
from assay.runner.tensors import Array, Tensors

_HELD = 1 << 19
"""Bytes of activations that are accounted for together; a batch that is larger is alone."""
_LOOKED_AT = 4096
"""Values of a tensor that are looked at to see how many different ones there are."""
_HISTOGRAM = 64
"""Bins over the codes of an activation."""


@dataclass(slots=True)
class _Account:
    """What is known of one activation so far."""

    site: Activation
    local: Moments = field(default_factory=Moments)
    simulated: Moments = field(default_factory=Moments)
    executed: Moments = field(default_factory=Moments)
    clipped: int = 0
    seen: int = 0
    codes: Array | None = None
    """How often each code came."""
    dtype: str = ""
    distinct: int = 0
    """Different values among the first of a batch, at the most."""


def weight_entries(pair: Pair) -> Iterator[dict[str, Any]]:
    """One entry for each coded constant."""
    for weight in weights(pair):
        yield _weight_entry(weight)


def _weight_entry(weight: Weight) -> dict[str, Any]:
    moments = Moments()
    moments.add(np.asarray(weight.expected), np.asarray(weight.actual))
    reach = np.abs(weight.actual).max(initial=0.0) * (1 + weight.precision)
    beyond_reach = np.count_nonzero(np.abs(weight.expected.astype(np.float64)) > reach)
    return {
        **_blank(),
        **moments.figures(),
        "name": weight.tensor,
        "node": weight.node,
        "op_type": weight.op_type,
        "kind": "bias" if weight.operand >= 2 else "weight",
        "scheme": weight.scheme,
        "elements": weight.expected.size,
        "batches": 0,
        "clipped": beyond_reach / weight.expected.size if weight.expected.size else None,
        "levels": weight.levels or None,
        "used_levels": weight.used_levels or None,
        "stored_bytes": weight.stored_bytes,
        "bits_per_weight": 8 * weight.stored_bytes / weight.expected.size,
        "scale_min": None if weight.scales is None else float(weight.scales.min()),
        "scale_max": None if weight.scales is None else float(weight.scales.max()),
    }


def activation_entries(
    pair: Pair,
    original: Path,
    simulated: Path | None,
    executed: Path,
    batches: Iterable[Tensors],
    optimization: str = "all",
) -> Iterator[dict[str, Any]]:
    """One entry for each coded activation, over all batches.

    `distinct` beside a row's columns: different values among the first 4096 of the original.

    `simulated` is a file whose nodes, run as they are written, compute in float; None where there is no such form.
    `executed` runs with
    the graph optimizations that it would be shipped with.
    """
    accounts = [_Account(site) for site in activations(pair)]
    if not accounts:
        return
    wanted = list(dict.fromkeys(name for account in accounts for name in account.site.reads))
    tensors = list(dict.fromkeys(account.site.tensor for account in accounts))
    # One thread for a small network: waking a second one takes longer than its share of the work.
    threads = 1 if sum(pair.original.sizes.get(name, _HELD) for name in tensors) < _HELD else None
    with ExitStack() as stack:
        float_run = stack.enter_context(Tapped(original, tensors, threads=threads))
        shipped = stack.enter_context(Tapped(executed, wanted, optimization, threads=threads))
        plain = stack.enter_context(Tapped(simulated, wanted, threads=threads)) if simulated else None
        count = _pass(accounts, batches, float_run, shipped, plain)
    for account in accounts:
        yield _activation_entry(account, count)


def _pass(
    accounts: list[_Account], batches: Iterable[Tensors], original: Tapped, shipped: Tapped, plain: Tapped | None
) -> int:
    count, held, size = 0, [], 0
    for batch in batches:
        made = (original.run(batch), shipped.run(batch), plain.run(batch) if plain else None)
        held.append(made)
        size += sum(array.nbytes for side in made if side for array in side.values())
        count += 1
        if size > _HELD:
            _settle(accounts, held)
            held, size = [], 0
    _settle(accounts, held)
    return count


def _settle(accounts: list[_Account], held: list[tuple[Tensors, Tensors, Tensors | None]]) -> None:
    """Account for some batches, together where one scale holds for all of them.

    A small batch costs as much as a large one.
    """
    for account in accounts:
        site = account.site
        one_scale = not isinstance(site.scale, str) and site.scale.size == 1
        if one_scale and len(held) > 1:
            right = _joined(r[site.tensor] for r, _, _ in held)
            executed = {site.codes: _joined(e[site.codes] for _, e, _ in held)}
            simulated = [s[site.codes] for _, _, s in held if s]
            _account(account, right, executed, {site.codes: _joined(simulated)} if simulated else None)
        else:
            for made, executed, plain in held:
                _account(account, made[site.tensor], executed, plain)


def _joined(arrays: Iterable[Array]) -> Array:
    return np.concatenate([array.reshape(-1) for array in arrays])


def _account(account: _Account, right: Array, executed: Tensors, simulated: Tensors | None) -> None:
    site = account.site
    codes = executed[site.codes] if site.dtype is None else typed(executed[site.codes], site.dtype)
    account.dtype = codes.dtype.name
    scale, zero = _range(site, executed)
    sides: list[tuple[list[Moments], Array]] = []
    if site.kind == "output":
        pass  # nothing is encoded here: only what has piled up is known
    elif not isinstance(site.scale, str):
        made, clipped = encode_counting(right, scale, zero, site.axis, codes.dtype)
        sides.append(([account.local], decode(made, scale, zero, site.axis)))
        account.clipped += clipped
    else:  # the range is that of the batch at hand: the original's own
        low, high = min(float(right.min()), 0.0), max(float(right.max()), 0.0)
        step = np.array((high - low) / 255 or 1.0, np.float32)
        offset = np.array(np.clip(np.rint(-low / step), 0, 255), np.uint8)
        sides.append(([account.local], decode(encode(right, step, offset, 1, np.uint8), step, offset, 1)))
    account.seen += right.size
    if not account.distinct:
        account.distinct = int(np.unique(right.reshape(-1)[:_LOOKED_AT]).size)
    as_run = ([account.executed], decode(codes, scale, zero, site.axis))
    sides.append(as_run)
    if simulated is not None:
        plain = typed(simulated[site.codes], codes.dtype)
        if not isinstance(site.scale, str) and np.array_equal(plain, codes):
            as_run[0].append(account.simulated)  # the kernels made the same codes
        else:
            sides.append(([account.simulated], decode(plain, *_range(site, simulated), site.axis)))
    add_together(right, sides)
    if codes.dtype.itemsize == 1:
        account.codes = counted(codes) if account.codes is None else account.codes + counted(codes)


def _range(site: Activation, made: Tensors) -> tuple[Array, Array | None]:
    scale = made[site.scale] if isinstance(site.scale, str) else site.scale
    zero = made[site.zero_point] if isinstance(site.zero_point, str) else site.zero_point
    return scale, zero


def _activation_entry(account: _Account, batches: int) -> dict[str, Any]:
    site, simulated, executed = account.site, account.simulated.figures(), account.executed.figures()
    known = None if isinstance(site.scale, str) else site.scale
    per = (
        "per tensor, ranges while running"
        if known is None
        else "per tensor"
        if known.size == 1
        else f"{known.size} scales"
    )
    scale = known if site.kind == "activation" else None
    codes, finite = account.codes, in_order(account.dtype)[1] if account.codes is not None else 0
    return {
        **_blank(),
        **account.local.figures(),
        "name": site.tensor,
        "node": site.node,
        "op_type": site.op_type,
        "kind": site.kind,
        "scheme": account.dtype if site.kind == "output" else f"{account.dtype} {per}",
        "elements": account.seen,
        "batches": batches,
        **{name: executed[name] for name in ("actual_min", "actual_max", "actual_mean", "actual_std")},
        "accumulated_sqnr_db": simulated["sqnr_db"],
        "accumulated_cosine": simulated["cosine"],
        "executed_sqnr_db": executed["sqnr_db"],
        "executed_cosine": executed["cosine"],
        "clipped": account.clipped / account.seen if scale is not None and account.seen else None,
        "saturated": None if codes is None or known is None else float(codes[[0, finite - 1]].sum() / codes.sum()),
        "levels": None if codes is None else finite,
        "used_levels": None if codes is None else int(np.count_nonzero(codes[:finite])),
        "scale_min": None if scale is None else float(scale.min()),
        "scale_max": None if scale is None else float(scale.max()),
        "distinct": account.distinct,
        "histogram": None if codes is None else [int(c) for c in codes.reshape(_HISTOGRAM, -1).sum(axis=1)],
    }


def _blank() -> dict[str, Any]:
    return dict.fromkeys(
        (
            "accumulated_sqnr_db",
            "accumulated_cosine",
            "executed_sqnr_db",
            "executed_cosine",
            "clipped",
            "saturated",
            "levels",
            "used_levels",
            "stored_bytes",
            "bits_per_weight",
            "scale_min",
            "scale_max",
            "histogram",
        )
    )
