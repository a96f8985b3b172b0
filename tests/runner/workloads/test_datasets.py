"""Labelled data of one's own: what is on disk is what the model gets, and what it is judged by."""

import json

import numpy as np
import pytest
from PIL import Image

from assay.runner.errors import UsageError
from assay.runner.workloads import stream
from assay.runner.workloads.asked import Workload


def batches(folder, generator, labels, count=9, **options):
    workload = Workload(
        generator=f"assay.runner.workloads.datasets:{generator}", options=options, batches=count, labels=labels
    )
    return [*stream(workload, seed=0, folder=folder)]


def picture(path, colour, size=(4, 2)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def test_a_folder_for_each_class_gives_its_pictures_in_order(tmp_path):
    picture(tmp_path / "val/b/1.png", (255, 0, 0))
    picture(tmp_path / "val/a/2.png", (0, 255, 0))
    picture(tmp_path / "val/a/1.png", (0, 0, 255))
    found = batches(tmp_path, "folders", ["label"], images="val", width=2, height=3, size=2)
    assert [labels["label"].tolist() for _, labels in found] == [[0, 0], [1]]
    first = found[0][0]["image"]
    assert first.shape == (2, 3, 3, 2)
    assert first[0, :, 0, 0].tolist() == [0, 0, 1]


def test_pictures_are_normalized_as_they_were_for_training(tmp_path):
    picture(tmp_path / "val/a/1.png", (255, 255, 255))
    options = {"images": "val", "width": 1, "height": 1, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.5, 1.0]}
    assert batches(tmp_path, "folders", ["label"], **options)[0][0]["image"].ravel().tolist() == [2.0, 1.0, 0.5]


def coco_file(folder, **changes):
    found = {
        "images": [
            {"id": 7, "file_name": "x.png", "width": 4, "height": 2},
            {"id": 9, "file_name": "y.png", "width": 4, "height": 2},
        ],
        "categories": [{"id": 5, "name": "dog"}, {"id": 3, "name": "cat"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 5, "bbox": [1, 0, 2, 1]},
            {"id": 2, "image_id": 7, "category_id": 3, "bbox": [0, 0, 4, 2], "iscrowd": 1},
        ],
        **changes,
    }
    (folder / "instances.json").write_text(json.dumps(found))
    for name in ("x.png", "y.png"):
        picture(folder / "val" / name, (0, 0, 0))
    return {"annotations": "instances.json", "images": "val", "width": 8, "height": 8, "size": 2}


def test_boxes_of_a_coco_file_are_stretched_with_their_picture(tmp_path):
    options = coco_file(tmp_path)
    ((inputs, labels),) = batches(tmp_path, "coco", ["label_boxes", "label_classes"], **options)
    assert inputs["image"].shape == (2, 3, 8, 8)
    # x 1..3 of 4 in 8 is 2..6, y 0..1 of 2 in 8 is 0..4; dog is the second category; the crowd is left out
    assert labels["label_boxes"][0, 0].tolist() == [2, 0, 6, 4]
    assert labels["label_classes"].tolist() == [[1], [-1]]


def test_a_file_that_is_no_coco_file_says_so(tmp_path):
    options = coco_file(tmp_path, categories=[{"name": "cat"}])
    with pytest.raises(UsageError, match="is no COCO instances file: 'id' is missing"):
        batches(tmp_path, "coco", [], **options)


def test_a_table_gives_numbers_and_labels_by_name(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,kind\n1,2,red\n3,4,blue\n5,6,red\n")
    found = batches(tmp_path, "table", ["label"], path="t.csv", label="kind", size=2)
    assert [inputs["features"].tolist() for inputs, _ in found] == [[[1, 2], [3, 4]], [[5, 6]]]
    assert np.concatenate([labels["label"] for _, labels in found]).tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("generator", "options", "message"),
    [
        ("table", {"path": "no.csv", "label": "x"}, "no.csv cannot be read"),
        ("table", {"path": "t.csv", "label": "x"}, "no column 'x'; it has a, kind"),
        ("table", {"path": "t.csv", "label": "a"}, "could not convert string to float: 'red'"),
        ("folders", {"images": "none", "width": 1, "height": 1}, "holds no folder with pictures"),
        ("coco", {"annotations": "t.csv", "images": "v", "width": 1, "height": 1}, "cannot be read as JSON"),
    ],
)
def test_data_that_cannot_be_read_say_why(tmp_path, generator, options, message):
    (tmp_path / "t.csv").write_text("a,kind\n1,red\n")
    with pytest.raises(UsageError, match=message):
        batches(tmp_path, generator, [], **options)
