"""A small detector and a small segmenter of generated scenes.

Circles, squares and triangles on a noisy ground, some over others.

Scenes are drawn, so that labels are exact; the networks are trained on other scenes than they are checked on (by seed),
in seconds. The detector is a center network (Zhou et al. 2019, "Objects as Points"): peaks of a heat map are boxes,
with sizes and offsets beside; its decoding is a part of the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from assay.runner.models.trained import once

NAMES = ("circle", "square", "triangle")
SIZE = 64
_MOST = 6
_STRIDE = 4


def scene(random: np.random.Generator) -> tuple[Any, Any, Any, Any]:
    """One scene with its labels.

    Image [1, 64, 64], boxes [6, 4], classes [6] (-1 where there is none), and the class of each pixel [64, 64] (0 is
    the ground).
    """
    image = random.normal(0.3, 0.08, (SIZE, SIZE))
    mask = np.zeros((SIZE, SIZE), np.int64)
    boxes, classes = np.zeros((_MOST, 4), np.float32), np.full(_MOST, -1, np.int64)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    for number in range(int(random.integers(1, _MOST + 1))):
        kind, half = int(random.integers(0, 3)), float(random.uniform(4, 10))
        x, y = random.uniform(half, SIZE - half, 2)
        inside = _inside(kind, rows + 0.5 - y, columns + 0.5 - x, half)
        image[inside] = random.uniform(0.45, 1.0) + random.normal(0, 0.04, int(inside.sum()))
        mask[inside] = kind + 1
        boxes[number], classes[number] = (x - half, y - half, x + half, y + half), kind
    return image.astype(np.float32)[None], boxes, classes, mask


def _inside(kind: int, dy: Any, dx: Any, half: float) -> Any:
    if kind == 0:
        return dx**2 + dy**2 <= half**2
    if kind == 1:
        return (np.abs(dx) <= half) & (np.abs(dy) <= half)
    return (np.abs(dy) <= half) & (np.abs(dx) <= (dy + half) / 2)  # a triangle with its point at the top


def scenes(seed: int, batches: int, size: int, shift: int = 1000) -> Iterator[dict[str, Any]]:
    """Labelled batches; `shift` keeps checks apart from what was learnt (0) and from calibration."""
    random = np.random.default_rng(seed + shift)
    for _ in range(batches):
        image, boxes, classes, mask = (
            np.stack(part) for part in zip(*(scene(random) for _ in range(size)), strict=True)
        )
        yield {"image": image, "label_boxes": boxes, "label_classes": classes, "label": mask}


def detector(width: int = 16, steps: int = 400, seed: int = 0) -> Any:
    """The trained detector: image [B, 1, 64, 64] in; boxes [B, 12, 4], scores [B, 12] and classes [B, 12] out."""
    return _kept("detector", width, steps, seed, _detector, _detection_loss)


def segmenter(width: int = 16, steps: int = 300, seed: int = 0) -> Any:
    """The trained segmenter: image [B, 1, 64, 64] in, logits [B, 4, 64, 64] out."""
    return _kept("segmenter", width, steps, seed, _segmenter, _segmentation_loss)


def _kept(
    kind: str, width: int, steps: int, seed: int, make: Callable[[int], Any], loss: Callable[[Any, Any], Any]
) -> Any:
    return once(
        f"shapes-{kind}", (width, steps, seed), __file__, lambda: make(width), lambda n: _train(n, loss, steps, seed)
    )


def _train(network: Any, loss: Callable[[Any, Any], Any], steps: int, seed: int) -> None:
    import torch

    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=steps)
    for batch in scenes(seed, steps, 32, shift=0):
        optimizer.zero_grad()
        loss(network, {name: torch.from_numpy(array) for name, array in batch.items()}).backward()
        optimizer.step()
        schedule.step()


def _block(inputs: int, outputs: int, stride: int = 1) -> Any:
    from torch import nn

    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


def _detector(width: int) -> Any:
    import torch
    from torch import nn

    class Detector(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(
                _block(1, width, 2),
                _block(width, width),
                _block(width, 2 * width, 2),
                _block(2 * width, 2 * width),
                _block(2 * width, 2 * width),
                _block(2 * width, 2 * width),
            )
            self.heat, self.box = nn.Conv2d(2 * width, len(NAMES), 1), nn.Conv2d(2 * width, 4, 1)
            nn.init.constant_(self.heat.bias, -2.0)

        def maps(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            """Logits of centers [B, 3, 16, 16], and offset and size in cells [B, 4, 16, 16]."""
            features = self.body(image)
            return self.heat(features), self.box(features)

        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            heat, box = self.maps(image)
            heat = torch.sigmoid(heat)
            peaks = heat * (heat == nn.functional.max_pool2d(heat, 3, 1, 1)).float()
            scores, index = peaks.flatten(1).topk(12, dim=1)
            cells = SIZE // _STRIDE
            classes, place = index // (cells * cells), index % (cells * cells)
            values = box.flatten(2).gather(2, place[:, None, :].expand(-1, 4, -1))
            x = (place % cells).float() + values[:, 0]
            y = (place // cells).float() + values[:, 1]
            half = values[:, 2:].exp() / 2
            corners = torch.stack([x - half[:, 0], y - half[:, 1], x + half[:, 0], y + half[:, 1]], dim=2)
            return corners * _STRIDE, scores, classes

    return Detector()


def _detection_loss(network: Any, batch: Any) -> Any:
    """Penalty-reduced focal loss of centers, and L1 of offsets and log sizes at them (Zhou et al. 2019)."""
    import torch

    heat, box = network.maps(batch["image"])
    cells = SIZE // _STRIDE
    target = torch.zeros_like(heat)
    grid = torch.arange(cells).float() + 0.5
    loss, count = heat.new_zeros(()), 0
    for i, (boxes, classes) in enumerate(zip(batch["label_boxes"] / _STRIDE, batch["label_classes"], strict=True)):
        for corners, kind in zip(boxes, classes, strict=True):
            if kind < 0:
                continue
            center, size = (corners[:2] + corners[2:]) / 2, corners[2:] - corners[:2]
            near = torch.exp(
                -((grid[None, :] - center[0]) ** 2 + (grid[:, None] - center[1]) ** 2) / (2 * (size[0] / 6) ** 2)
            )
            column, row = (int(min(c, cells - 1)) for c in center)
            target[i, kind] = torch.maximum(target[i, kind], near)
            target[i, kind, row, column] = 1.0
            wanted = torch.stack([center[0] - column, center[1] - row, size[0].log(), size[1].log()])
            loss = loss + (box[i, :, row, column] - wanted).abs().sum()
            count += 1
    found = torch.sigmoid(heat).clamp(1e-4, 1 - 1e-4)
    hits = (target == 1).float()
    focal = -(
        hits * (1 - found) ** 2 * found.log() + (1 - hits) * (1 - target) ** 4 * found**2 * (1 - found).log()
    ).sum()
    return (focal + loss) / max(count, 1)


def _segmenter(width: int) -> Any:
    import torch
    from torch import nn

    class Segmenter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.near, self.far = (
                _block(1, width),
                nn.Sequential(_block(width, 2 * width, 2), _block(2 * width, 2 * width), _block(2 * width, 2 * width)),
            )
            self.up = nn.ConvTranspose2d(2 * width, width, 2, 2)
            self.head = nn.Sequential(_block(2 * width, width), nn.Conv2d(width, len(NAMES) + 1, 1))

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            near = self.near(image)
            logits: torch.Tensor = self.head(torch.cat([near, self.up(self.far(near))], dim=1))
            return logits

    return Segmenter()


def _segmentation_loss(network: Any, batch: Any) -> Any:
    import torch

    return torch.nn.functional.cross_entropy(network(batch["image"]), batch["label"])
