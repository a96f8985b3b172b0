"""The shipped language and line models have learnt something, from real data that their checks do not reuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from assay.runner.models import digits, language, lines
from assay.runner.quality.tasks import evaluator_for
from assay.runner.workloads.asked import Task

SYMBOLS = dict(enumerate(lines.ALPHABET, 1))


def test_no_passage_that_is_checked_was_learnt_from():
    learnt = bytes(language.text("train").astype(np.uint8))
    assert len(learnt) > 200_000
    for part in ("calibration", "test"):
        checked = bytes(language.text(part).astype(np.uint8))
        assert not [at for at in range(0, len(checked) - 96, 96) if checked[at : at + 96] in learnt]


def test_a_passages_label_is_the_character_that_follows():
    (batch,) = language.passages(seed=0, batches=1, size=3, length=10)
    assert batch["input_ids"].shape == batch["label"].shape == (3, 10)
    np.testing.assert_array_equal(batch["input_ids"][:, 1:], batch["label"][:, :-1])
    np.testing.assert_array_equal(batch["input_ids"][1:, 0], batch["label"][:-1, -1])


def test_a_little_training_beats_the_frequencies_of_characters():
    network = language.trained(width=32, layers=1, steps=40)
    assert "trained on the reference manual" in network.weights_origin
    judge = evaluator_for(Task(kind="language"))
    with torch.inference_mode():
        for batch in language.passages(seed=0, batches=2, size=16):
            judge.add({"logits": network(torch.from_numpy(batch["input_ids"])).numpy()}, {"label": batch["label"]})
    counts = np.bincount(language.text("train"), minlength=128) + 1
    entropy = -sum(share * math.log(share) for share in counts / counts.sum())
    assert judge.counts()["perplexity"].value() < math.exp(entropy)


def test_a_line_is_read_back_from_the_cells_that_it_was_put_together_of():
    pictures, labels = digits.part_of("test")
    known = {picture.tobytes(): str(label) for picture, label in zip(pictures, labels, strict=True)}
    (batch,) = lines.lines(seed=3, batches=1, size=8)
    for image, text in zip(batch["image"], batch["label"], strict=True):
        cells = [np.asarray(image[:, :, at : at + 8], order="C") for at in range(0, image.shape[2], 8)]
        said = "".join(known[cell.tobytes()] if cell.any() else " " for cell in cells).strip()
        assert said == "".join(chr(code) for code in text if code)
        assert not said.startswith(" ")


@pytest.mark.parametrize("part", ["train", "test"])
def test_the_recogniser_reads_most_characters_of_scans_that_it_has_seen_and_of_others(part: str):
    network = lines.recogniser()
    judge = evaluator_for(Task(kind="transcription", alphabet=lines.ALPHABET))
    with torch.inference_mode():
        for batch in lines.lines(seed=9, batches=4, size=32, part=part):
            judge.add({"logits": network(torch.from_numpy(batch["image"])).numpy()}, {"label": batch["label"]})
    assert judge.counts()["cer"].value() < 0.15
