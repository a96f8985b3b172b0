"""Average precision is COCO's, judged by pycocotools; precision and recall are counted by hand."""

import contextlib
import io

import numpy as np
import pytest

from assay.runner.quality.detection import overlaps
from assay.runner.quality.tasks import evaluator_for
from assay.runner.workloads.asked import Task

TASK = Task(kind="detection", names=("cat", "dog", "bird"))


def scenes(images, seed=0, most=6):
    """Boxes of three classes, and a detector that is off by some pixels, misses some and invents others."""
    random = np.random.default_rng(seed)
    for _ in range(images):
        low = random.uniform(0, 80, (most, 2))
        boxes = np.concatenate([low, low + random.uniform(5, 40, (most, 2))], axis=1)
        classes = np.where(random.random(most) < 0.8, random.integers(0, 3, most), -1)
        said = boxes + random.normal(0, 2, boxes.shape)
        wrong = random.random(most) < 0.15
        yield (
            {
                "boxes": said[None],
                "scores": random.random((1, most)),
                "classes": np.where(wrong, random.integers(-1, 3, most), classes)[None],
            },
            {"label_boxes": boxes[None], "label_classes": classes[None]},
        )


def evaluated(images, seed=0):
    evaluator = evaluator_for(TASK)
    for outputs, labels in scenes(images, seed):
        evaluator.add(outputs, labels)
    return evaluator


def judged_by_pycocotools(images, seed=0):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth, said = [], []
    for i, (outputs, labels) in enumerate(scenes(images, seed)):
        for box, c in zip(labels["label_boxes"][0], labels["label_classes"][0], strict=True):
            if c >= 0:
                x, y, w, h = box[0], box[1], box[2] - box[0], box[3] - box[1]
                truth.append(
                    {
                        "id": len(truth) + 1,
                        "image_id": i,
                        "category_id": int(c),
                        "bbox": [x, y, w, h],
                        "area": w * h,
                        "iscrowd": 0,
                    }
                )
        for box, s, c in zip(outputs["boxes"][0], outputs["scores"][0], outputs["classes"][0], strict=True):
            if c >= 0:
                said.append(
                    {
                        "image_id": i,
                        "category_id": int(c),
                        "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
                        "score": s,
                    }
                )
    with contextlib.redirect_stdout(io.StringIO()):
        gold = COCO()
        gold.dataset = {
            "images": [{"id": i} for i in range(images)],
            "annotations": truth,
            "categories": [{"id": n} for n in range(3)],
        }
        gold.createIndex()
        made = COCOeval(gold, gold.loadRes(said), "bbox")
        made.evaluate()
        made.accumulate()
        made.summarize()
    return made.stats[:3]


def test_average_precision_on_500_images_is_that_of_pycocotools():
    made = evaluated(500).average_precision()
    right = judged_by_pycocotools(500)
    for name, expected in zip(("map_50_95", "map_50", "map_75"), right, strict=True):
        assert made[name] == pytest.approx(expected, abs=1e-6)


def test_a_perfect_detector_has_precision_one():
    evaluator = evaluator_for(TASK)
    boxes = np.array([[[0.0, 0, 10, 10], [20, 20, 30, 30]]])
    evaluator.add(
        {"boxes": boxes, "scores": np.ones((1, 2)), "classes": np.array([[0, 1]])},
        {"label_boxes": boxes, "label_classes": np.array([[0, 1]])},
    )
    assert evaluator.average_precision()["map_50_95"] == pytest.approx(1.0)
    assert {name: c.value() for name, c in evaluator.counts().items()} == {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    assert evaluator.class_precision() == [("cat", 1.0, 1), ("dog", 1.0, 1)]


def test_precision_and_recall_count_boxes_from_the_score_on():
    # said: a hit, a second box on the same label, a box below the score; labelled: two
    evaluator = evaluator_for(TASK)
    boxes = np.array([[[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]]])
    evaluator.add(
        {"boxes": boxes, "scores": np.array([[0.9, 0.8, 0.4]]), "classes": np.zeros((1, 3), int)},
        {"label_boxes": boxes[:, [0, 2]], "label_classes": np.zeros((1, 2), int)},
    )
    made = {name: c.value() for name, c in evaluator.counts().items()}
    assert made == {"precision": 0.5, "recall": 0.5, "f1": 0.5}


def test_a_detector_that_finds_nothing_has_precision_zero_and_a_scene_without_labels_none():
    evaluator = evaluator_for(TASK)
    nothing = {"boxes": np.zeros((1, 1, 4)), "scores": np.zeros((1, 1)), "classes": np.full((1, 1), -1)}
    evaluator.add(nothing, {"label_boxes": np.array([[[0.0, 0, 9, 9]]]), "label_classes": np.array([[2]])})
    assert evaluator.average_precision()["map_50"] == 0.0
    empty = evaluator_for(TASK)
    empty.add(nothing, {"label_boxes": np.zeros((1, 1, 4)), "label_classes": np.full((1, 1), -1)})
    assert set(empty.average_precision().values()) == {None}


def test_overlap_is_intersection_over_union():
    assert overlaps(np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 1, 3, 3], [5, 5, 6, 6], [0, 0, 2, 2]])).tolist() == [
        [1 / 7, 0.0, 1.0]
    ]
