"""Labelled data of your own, as generators of a workload: COCO annotations, a folder for each class, a table.

    [workload.mine]
    generator = "assay.runner.workloads.datasets:coco"
    options = { annotations = "instances.json", images = "val", width = 640, height = 640, size = 8 }
    batches = 100
    labels = ["label_boxes", "label_classes"]
    task = { kind = "detection" }

Paths are relative to the suite's folder. Every item comes once, in the order of names or rows; `batches` and `size`
bound how many. A labelled npz needs no generator: `file`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from assay.runner.errors import BadDocument, EnvironmentMissing, UsageError
from assay.runner.tensors import Array, Tensors
from assay.schema.reading import MEASURED, csv_rows, json_document, read_text, reading

_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


def coco(
    *,
    seed: int,
    batches: int,
    folder: Path,
    annotations: str,
    images: str,
    width: int,
    height: int,
    size: int = 1,
    name: str = "image",
    scale: float = 1 / 255,
    mean: list[float] | None = None,
    std: list[float] | None = None,
) -> Iterator[Tensors]:
    """Images [B, 3, height, width] and their boxes in pixels of that size, from a COCO instances file.

    Classes are the file's categories in the order of their ids, from 0 on; crowd boxes are left out. Labels are padded
    with class -1.

    Raises:
        UsageError: the file is no COCO file, or an image is missing.
    """
    del seed  # data: nothing is drawn
    found = _json(folder / annotations)
    try:
        numbers = {c["id"]: i for i, c in enumerate(sorted(found["categories"], key=lambda c: c["id"]))}
        pictures = sorted(found["images"], key=lambda i: i["id"])[: batches * size]
        by_image: dict[Any, list[Any]] = {}
        for box in found["annotations"]:
            if not box.get("iscrowd"):
                by_image.setdefault(box["image_id"], []).append((box["bbox"], numbers[box["category_id"]]))
        most = max((len(boxes) for boxes in by_image.values()), default=1)
        for start in range(0, len(pictures), size):
            some = pictures[start : start + size]
            arrays = [_picture(folder / images / p["file_name"], width, height, scale, mean, std) for p in some]
            boxes, classes = np.zeros((len(some), most, 4), np.float32), np.full((len(some), most), -1, np.int64)
            for i, p in enumerate(some):
                stretch = np.array([width / p["width"], height / p["height"]] * 2)
                for k, ((x, y, w, h), number) in enumerate(by_image.get(p["id"], [])):
                    boxes[i, k], classes[i, k] = np.array([x, y, x + w, y + h]) * stretch, number
            yield {name: np.stack(arrays), "label_boxes": boxes, "label_classes": classes}
    except (EnvironmentMissing, UsageError):
        raise
    except Exception as error:  # noqa: BLE001  whatever a value of another kind leads to
        raise BadDocument(f"{annotations} is no COCO instances file: {error} is missing or of another kind.") from None


def folders(
    *,
    seed: int,
    batches: int,
    folder: Path,
    images: str,
    width: int,
    height: int,
    size: int = 1,
    name: str = "image",
    scale: float = 1 / 255,
    mean: list[float] | None = None,
    std: list[float] | None = None,
) -> Iterator[Tensors]:
    """Images [B, 3, height, width] and labels [B], from one folder for each class.

    Classes are the folders in the order of their names.

    Raises:
        UsageError: there is no such folder, or no picture in it.
    """
    del seed
    root = folder / images
    classes = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    pictures = [(p, i) for i, c in enumerate(classes) for p in sorted(c.iterdir()) if p.suffix.lower() in _PICTURES]
    if not pictures:
        raise UsageError(f"{root} holds no folder with pictures ({', '.join(_PICTURES)}).")
    for start in range(0, min(len(pictures), batches * size), size):
        some = pictures[start : start + size]
        arrays = [_picture(path, width, height, scale, mean, std) for path, _ in some]
        yield {name: np.stack(arrays), "label": np.array([number for _, number in some], np.int64)}


def table(
    *,
    seed: int,
    batches: int,
    folder: Path,
    path: str,
    label: str,
    size: int = 1,
    name: str = "features",
    columns: list[str] | None = None,
) -> Iterator[Tensors]:
    """Features [B, columns] float32 and labels [B], from a CSV file with a header.

    A label that is no number is its place among the sorted labels.

    Raises:
        UsageError: the file is missing, a column is, or a value is no number.
    """
    del seed
    _, rows = csv_rows(read_text(folder / path, MEASURED, f"{path} cannot be read"), path)
    if not rows or label not in rows[0]:
        raise UsageError(f"{path} has no column {label!r}; it has {', '.join(rows[0]) if rows else 'no rows'}.")
    chosen = columns or [column for column in rows[0] if column != label]
    meant = f"a table of numbers: every column but {label!r} has to be there and hold numbers of 32 bits"
    with reading(path, meant), np.errstate(over="raise"):
        values = np.array([[float(row[column]) for column in chosen] for row in rows], np.float32)
    said = [row[label] for row in rows]
    if all(word.removeprefix("-").isdecimal() for word in said):
        with reading(f"{path}, column {label!r}", "labels of 64 bits"):
            labels = np.array([int(word) for word in said], np.int64)
    else:
        order = {word: number for number, word in enumerate(sorted(set(said)))}
        labels = np.array([order[word] for word in said], np.int64)
    for start in range(0, min(len(rows), batches * size), size):
        yield {name: values[start : start + size], "label": labels[start : start + size]}


def _json(path: Path) -> Any:
    return json_document(read_text(path, MEASURED), f"{path} cannot be read as JSON: it", MEASURED)


def _picture(
    path: Path, width: int, height: int, scale: float, mean: list[float] | None, std: list[float] | None
) -> Array:
    """RGB [3, height, width] float32: stretched, scaled, less the mean and over the deviation."""
    try:
        from PIL import Image
    except ImportError as error:
        raise EnvironmentMissing(
            f"pictures need the Python package 'pillow' ({error}). Install it with: pip install 'assay[quality]'"
        ) from error
    try:
        with Image.open(path) as picture:
            array = np.asarray(picture.convert("RGB").resize((width, height)), np.float32) * scale
    except Exception as error:  # noqa: BLE001  Pillow's plugins raise their own; DecompressionBombError is one
        raise BadDocument(f"{path} cannot be read as a picture: {error}") from None
    centred: Array = (array - np.array(mean or [0.0] * 3, np.float32)) / np.array(std or [1.0] * 3, np.float32)
    return np.asarray(centred.transpose(2, 0, 1), np.float32, order="C")
