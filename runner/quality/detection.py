"""Detection: COCO's average precision by faster-coco-eval.

Precision, recall and F1 at one threshold from the same boxes.
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from assay.runner.errors import UsageError
from assay.runner.quality.degradation import Counts
from assay.runner.quality.tasks import named, needed, pick
from assay.runner.tensors import Array, Tensors
from assay.runner.workloads.asked import Task
from assay.schema.metrics import AVERAGE_PRECISIONS

_IOU = 0.5


@dataclass(frozen=True, slots=True)
class Image:
    """Boxes [n, 4] as x0, y0, x1, y1."""

    true_boxes: Array
    true_classes: Array
    boxes: Array
    scores: Array
    classes: Array


class Detection:
    """Boxes, scores and classes of a batch of images against labelled boxes."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self.images: list[Image] = []

    def add(self, outputs: Tensors, labels: Tensors) -> None:
        task = self._task
        boxes, scores, classes = (pick(outputs, name, "output") for name in (task.boxes, task.scores, task.classes))
        true_boxes, true_classes = pick(labels, task.label_boxes, "label"), pick(labels, task.label_classes, "label")
        if boxes.shape[:-1] != scores.shape or scores.shape != classes.shape or boxes.shape[-1:] != (4,):
            raise UsageError(
                f"detection needs boxes [B, N, 4], scores [B, N] and classes [B, N]; they are {boxes.shape},"
                f" {scores.shape}, {classes.shape}."
            )
        for i in range(len(boxes)):
            there, said = (
                true_classes[i] >= 0,
                (classes[i] >= 0) & np.isfinite(scores[i]) & np.isfinite(boxes[i]).all(axis=1),
            )
            self.images.append(
                Image(
                    true_boxes[i][there].astype(float),
                    true_classes[i][there].astype(int),
                    boxes[i][said].astype(float),
                    scores[i][said].astype(float),
                    classes[i][said].astype(int),
                )
            )

    def counts(self) -> dict[str, Counts]:
        """Precision, recall and F1 over all boxes from the task's score on, matched at IoU 0.5, best score first."""
        found = np.array([_matched(image, self._task.score) for image in self.images], float).reshape(-1, 3)
        hits, said, true = (found[:, i : i + 1] for i in range(3))
        return {"precision": Counts(hits, said), "recall": Counts(hits, true), "f1": Counts(2 * hits, said + true)}

    def answers(self) -> list[Array]:
        return []  # boxes have no order that two models share

    def average_precision(self, chosen: Array | None = None) -> dict[str, float | None]:
        """AP over the chosen images (all by default) and over classes; None where no box is labelled."""
        made = self._evaluated(range(len(self.images)) if chosen is None else chosen)
        if made is None:
            return dict.fromkeys(AVERAGE_PRECISIONS)
        return {
            name: None if value < 0 else float(value)
            for name, value in zip(AVERAGE_PRECISIONS, made.stats[:3], strict=True)
        }

    def class_precision(self) -> list[tuple[str, float | None, int]]:
        """(class, AP over IoU .50:.95, labelled boxes)."""
        made = self._evaluated(range(len(self.images)))
        if made is None:
            return []
        precision = made.eval["precision"][:, :, :, 0, -1]
        out = []
        for position, number in enumerate(made.params.catIds):
            known = precision[:, :, position]
            known = known[known > -1]
            boxes = sum(int((image.true_classes == number).sum()) for image in self.images)
            out.append((named(self._task, int(number)), float(known.mean()) if known.size else None, boxes))
        return out

    def _evaluated(self, chosen: Any) -> Any:
        """COCO's evaluation of some images; None where there is nothing to find."""
        library = needed("faster_coco_eval", "detection")
        images = [self.images[i] for i in chosen]
        numbers = sorted({int(c) for image in self.images for c in (*image.true_classes, *image.classes)})
        truth = [
            {"id": k, "image_id": i, "category_id": int(c), "bbox": _xywh(box), "area": _area(box), "iscrowd": 0}
            for k, (i, c, box) in enumerate(
                (
                    (i, c, b)
                    for i, image in enumerate(images)
                    for c, b in zip(image.true_classes, image.true_boxes, strict=True)
                ),
                1,
            )
        ]
        said = [
            {"image_id": i, "category_id": int(c), "bbox": _xywh(box), "score": float(score)}
            for i, image in enumerate(images)
            for c, box, score in zip(image.classes, image.boxes, image.scores, strict=True)
        ]
        if not truth:
            return None
        with contextlib.redirect_stdout(io.StringIO()):
            gold = library.COCO(
                {
                    "images": [{"id": i} for i in range(len(images))],
                    "annotations": truth,
                    "categories": [{"id": n, "name": str(n)} for n in numbers],
                }
            )
            if not said:
                said = [{"image_id": 0, "category_id": numbers[0], "bbox": [0.0, 0.0, 0.0, 0.0], "score": 0.0}]
            made = library.COCOeval_faster(gold, gold.loadRes(said), "bbox")
            made.evaluate()
            made.accumulate()
            made.summarize()
        return made


def _xywh(box: Array) -> list[float]:
    return [float(box[0]), float(box[1]), float(box[2] - box[0]), float(box[3] - box[1])]


def _area(box: Array) -> float:
    return float(max(box[2] - box[0], 0) * max(box[3] - box[1], 0))


def overlaps(one: Array, other: Array) -> Array:
    """IoU [n, m] of boxes [n, 4] and [m, 4]; 0 where both are empty."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    inter = np.clip(high - low, 0, None).prod(axis=2)
    sizes = [np.clip(b[:, 2:] - b[:, :2], 0, None).prod(axis=1) for b in (one, other)]
    union = sizes[0][:, None] + sizes[1][None, :] - inter
    made: Array = np.divide(inter, union, where=union > 0, out=np.zeros_like(inter))
    return made


def _matched(image: Image, least: float) -> tuple[int, int, int]:
    """(hits, boxes said, boxes labelled) of an image; each label is hit once, by the best box that is left."""
    kept = np.flatnonzero(image.scores >= least)
    kept = kept[np.argsort(-image.scores[kept], kind="stable")]
    overlap = overlaps(image.boxes, image.true_boxes) * (image.classes[:, None] == image.true_classes[None, :])
    free, hits = np.ones(len(image.true_classes), bool), 0
    for box in kept:
        best = np.where(free, overlap[box], 0.0)
        if best.size and best.max() >= _IOU:
            free[int(best.argmax())] = False
            hits += 1
    return hits, len(kept), len(image.true_classes)
