"""Codebooks: schemes that hold a weight as an index into a table, with a scale, and what can be proven of them.

A scheme is checked before any model is: its decoder has to be monotone, its codes have to decode to what they encode,
and its error has to stay within the bound that it states. QINS as first written decodes scale / code, which falls where
it should rise, and fails all of this in a millisecond.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import ml_dtypes
import numpy as np

from assay.runner.errors import UsageError, nearest
from assay.runner.tensors import Array

Grain = Literal["layer", "channel", "block"]
_GRID = 20_001
"""Points of its range that a scheme is tried on."""
_ROUNDING = 1e-6
"""Relative: values are float32."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """A table of values by code for scaled weights."""

    name: str
    why: str
    table: tuple[float, ...]
    """Code -> value, in the order of codes."""
    bits: int
    """Of a weight's code, its sign included; scales come on top."""
    grain: Grain = "layer"
    block: int = 0
    """Consecutive weights of a row that share a scale."""
    sign_apart: bool = False
    """Whether the table is of magnitudes, and the sign is held beside the code."""
    scale_bits: int = 32
    shared_exponent: bool = False
    """Whether a scale is the power of two at or below the largest magnitude (OCP MX 1.0): scaled values reach up to
    2."""
    first_code: int = 0
    """Codes below it are never made."""
    encoder: Callable[[Array], Array] | None = None
    """Scaled values (magnitudes, with the sign apart) -> codes; the nearest value's where there is none."""
    bound: float | None = None
    """Largest error that it states, over the scale; half the widest gap of the table where it states none."""

    def stated_bound(self) -> float:
        values = np.sort(np.array(self.table[self.first_code :]))
        return (
            self.bound
            if self.bound is not None
            else max(float(np.diff(values).max() / 2), self.reach - float(values[-1]))
        )

    @property
    def reach(self) -> float:
        """The largest magnitude that a scaled value can have."""
        return 2.0 if self.shared_exponent else 1.0

    def true_bits(self, shape: tuple[int, ...]) -> float:
        """Bits a weight when codes are packed: code, sign and its share of the scales."""
        count = int(np.prod(shape))
        return self.bits + self.scale_bits * _scales_of(self, shape) / count


@dataclass(frozen=True, slots=True)
class Coded:
    """A weight [rows, columns] in codes."""

    codes: Array
    """uint8, the weight's shape."""
    signs: Array | None
    """int8, -1 or 1; None where the code has it."""
    scales: Array
    """float32: [1, 1] for a layer, [rows, 1] for channels, [rows, blocks] for blocks."""


def encode(weight: Array, scheme: Scheme, scale: float | None = None) -> Coded:
    """Codes of a weight [rows, columns]; `scale` puts one of yours in place of the layer's own.

    Raises:
        UsageError: a value is not finite, or rows cannot be cut into the scheme's blocks.
    """
    if not np.isfinite(weight).all():
        raise UsageError(f"codebook {scheme.name!r}: the weight holds values that are not finite.")
    wide = weight.astype(np.float64)
    scales = np.array([[scale]]) if scale is not None else _scales(wide, scheme)
    scaled = wide / _spread(np.where(scales > 0, scales, 1.0), wide.shape[1], scheme)
    signs = np.where(scaled < 0, -1, 1).astype(np.int8) if scheme.sign_apart else None
    values = np.abs(scaled) if scheme.sign_apart else scaled
    codes = scheme.encoder(values) if scheme.encoder else _nearest(values, scheme)
    return Coded(codes.astype(np.uint8), signs, scales.astype(np.float32))


def decode(coded: Coded, scheme: Scheme) -> Array:
    """The weight that is computed with, float32 [rows, columns]."""
    values = np.array(scheme.table, np.float32)[coded.codes]
    if coded.signs is not None:
        values = values * coded.signs
    return (values * _spread(coded.scales, values.shape[1], scheme)).astype(np.float32)


def _nearest(values: Array, scheme: Scheme) -> Array:
    table = np.array(scheme.table[scheme.first_code :])
    order = np.argsort(table, kind="stable")
    middles = (table[order][1:] + table[order][:-1]) / 2
    found: Array = order[np.searchsorted(middles, values)] + scheme.first_code
    return found


def _scales(weight: Array, scheme: Scheme) -> Array:
    """The largest magnitude of each group, or the power of two below it."""
    if scheme.grain == "layer":
        largest = np.abs(weight).max(keepdims=True, initial=0.0).reshape(1, 1)
    elif scheme.grain == "channel":
        largest = np.abs(weight).max(axis=1, keepdims=True, initial=0.0)
    else:
        rows, columns = weight.shape
        padded = np.pad(weight, ((0, 0), (0, -columns % scheme.block)))
        largest = np.abs(padded).reshape(rows, -1, scheme.block).max(axis=2)
    if scheme.shared_exponent:
        largest = np.where(largest > 0, 2.0 ** np.floor(np.log2(np.where(largest > 0, largest, 1.0))), 0.0)
    scales: Array = largest
    return scales


def _scales_of(scheme: Scheme, shape: tuple[int, ...]) -> int:
    rows, columns = shape[0], int(np.prod(shape[1:], dtype=np.int64))
    return {"layer": 1, "channel": rows, "block": rows * -(-columns // max(scheme.block, 1))}[scheme.grain]


def _spread(scales: Array, columns: int, scheme: Scheme) -> Array:
    """Scales beside every weight of a row."""
    return scales if scales.shape[1] == 1 else np.repeat(scales, scheme.block, axis=1)[:, :columns]


def problems(scheme: Scheme) -> list[str]:
    """What is wrong with a scheme, found without any model; empty for a sound one."""
    found = []
    used = np.array(scheme.table[scheme.first_code :])
    falling = int(np.count_nonzero(np.diff(used) <= 0))
    if scheme.sign_apart and falling:
        found.append(
            f"its decoder is not monotone: {falling} of {used.size - 1} steps from one code to the next do not rise"
        )
    grid = np.linspace(-scheme.reach, scheme.reach, _GRID)[None, :]
    made = decode(encode(grid, scheme, scale=1.0), scheme)
    if (backwards := int(np.count_nonzero(np.diff(made[0].astype(np.float64)) < -_ROUNDING))) > 0:
        found.append(f"a larger weight comes back smaller at {backwards} of {_GRID - 1} steps over its range")
    bound = scheme.stated_bound()
    worst = float(np.abs(made - grid).max())
    if worst > bound * (1 + _ROUNDING) + _ROUNDING:
        at = float(grid[0, int(np.abs(made - grid).argmax())])
        found.append(f"its error reaches {worst:.4g} of the scale (at {at:.4g}), and {bound:.4g} is its bound")
    again = encode(made, scheme, scale=1.0)
    if (moved := int(np.count_nonzero(np.abs(decode(again, scheme) - made) > _ROUNDING))) > 0:
        found.append(f"{moved} of {_GRID} decoded values come back as others when they are encoded again")
    return found


def scheme_named(name: str) -> Scheme:
    """Raises UsageError: there is none of that name."""
    known = schemes()
    if name not in known:
        raise UsageError(f"there is no codebook {name!r}.{nearest(name, known)}")
    return known[name]


@cache
def schemes() -> dict[str, Scheme]:
    """Every codebook that ships, by name."""
    magnitudes = tuple((code - 1) / 254 for code in range(256))
    inverse = (0.0, *(1 / code for code in range(1, 256)))
    integers = tuple(code / 127 for code in range(-127, 128))
    return {
        scheme.name: scheme
        for scheme in (
            Scheme(
                "lut8",
                "Magnitudes in 255 equal steps of the layer's largest, the sign apart (QINS as corrected).",
                magnitudes,
                9,
                sign_apart=True,
                first_code=1,
                bound=1 / 508,
            ),
            Scheme(
                "lut8-channel",
                "lut8 with a scale for each row.",
                magnitudes,
                9,
                "channel",
                sign_apart=True,
                first_code=1,
                bound=1 / 508,
            ),
            Scheme(
                "lut8-inverse",
                "Known to be bad: value = 1 / code (QINS as first written).",
                inverse,
                9,
                sign_apart=True,
                first_code=1,
                encoder=_inverse,
                bound=1 / 508,
            ),
            Scheme("int8", "Symmetric integers, one scale a layer.", integers, 8),
            Scheme("int8-channel", "Symmetric integers, one scale a row.", integers, 8, "channel"),
            Scheme(
                "nf4",
                "16 quantiles of a normal distribution, blocks of 64 (Dettmers et al. 2023, QLoRA).",
                _NF4,
                4,
                "block",
                64,
            ),
            Scheme("fp8", "Floating point e4m3, one scale a layer.", _floats(ml_dtypes.float8_e4m3fn), 8),
            Scheme("fp8-e5m2", "Floating point e5m2, one scale a layer.", _floats(ml_dtypes.float8_e5m2), 8),
            Scheme(
                "mxfp8",
                "e4m3 in blocks of 32 with a power of two each (OCP MX 1.0).",
                _floats(ml_dtypes.float8_e4m3fn, 2.0**8),
                8,
                "block",
                32,
                scale_bits=8,
                shared_exponent=True,
            ),
            Scheme(
                "mxfp6",
                "e3m2 in blocks of 32 with a power of two each (OCP MX 1.0).",
                _floats(ml_dtypes.float6_e3m2fn, 2.0**4),
                6,
                "block",
                32,
                scale_bits=8,
                shared_exponent=True,
            ),
            Scheme(
                "mxfp4",
                "e2m1 in blocks of 32 with a power of two each (OCP MX 1.0).",
                _floats(ml_dtypes.float4_e2m1fn, 2.0**2),
                4,
                "block",
                32,
                scale_bits=8,
                shared_exponent=True,
            ),
            Scheme(
                "mxint8",
                "Integers in blocks of 32 with a power of two each (OCP MX 1.0).",
                tuple(code / 64 for code in range(-127, 128)),
                8,
                "block",
                32,
                scale_bits=8,
                shared_exponent=True,
            ),
        )
    }


def _inverse(magnitudes: Array) -> Array:
    """256 / |w| as QINS first had it, clamped to 1..255."""
    return np.clip(np.rint(1.0 / np.maximum(magnitudes, 1e-12)), 1, 255)


def _floats(dtype: type, unit: float | None = None) -> tuple[float, ...]:
    """The finite values of an 8-bit or smaller type, sorted, zero once; over `unit`, or over the largest."""
    width = {"float8_e4m3fn": 8, "float8_e5m2": 8, "float6_e3m2fn": 6, "float4_e2m1fn": 4}[np.dtype(dtype).name]
    values = np.arange(2**width, dtype=np.uint8).view(dtype).astype(np.float64)
    finite = np.unique(values[np.isfinite(values)])
    return tuple(float(value) for value in finite / (unit or finite.max()))


_NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
    0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
    0.7229568362236023, 1.0,
)  # fmt: skip
"""The 16 values of bitsandbytes' NF4."""
