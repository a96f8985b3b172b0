"""Boxes of one image, matched one to one."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from assay.runner.rules.tolerance import Resolved
from assay.runner.tensors import Array


def match(x: Array, y: Array, kinds: tuple[Array, Array] | None, tolerance: Resolved) -> tuple[Array, Array]:
    """Pairs of boxes, one to one: the largest sum of intersections over unions (Kuhn 1955), none below `iou`.

    Only boxes of one class are paired. Boxes without area are paired where they are equal.
    """
    overlap = _iou(_corners(x, tolerance.format), _corners(y, tolerance.format))
    overlap[(x[:, None] == y[None]).all(axis=-1)] = 1.0
    able = overlap >= tolerance.iou
    if kinds is not None:
        able &= kinds[0][:, None] == kinds[1][None]
    rows, columns = linear_sum_assignment(np.where(able, 1.0 + overlap, 0.0), maximize=True)
    kept = able[rows, columns]
    return rows[kept], columns[kept]


def _corners(boxes: Array, form: str) -> Array:
    if form == "xyxy":
        return boxes
    low = boxes[:, :2] - (boxes[:, 2:] / 2 if form == "cxcywh" else 0)
    return np.concatenate([low, low + boxes[:, 2:]], axis=1)


def _iou(x: Array, y: Array) -> Array:
    """Intersection over union of every pair of (n, 4) and (m, 4) corners; 0 where the union is empty."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        low, high = np.maximum(x[:, None, :2], y[None, :, :2]), np.minimum(x[:, None, 2:], y[None, :, 2:])
        shared = np.clip(high - low, 0, None).prod(axis=-1)
        areas = [np.clip(side[:, 2:] - side[:, :2], 0, None).prod(axis=-1) for side in (x, y)]
        return np.asarray(np.nan_to_num(shared / (areas[0][:, None] + areas[1][None] - shared), posinf=0.0))
