"""Task metrics against hand-worked values, and against other libraries."""

import numpy as np
import pytest

from assay.runner.errors import UsageError
from assay.runner.quality.tasks import evaluator_for
from assay.runner.workloads.asked import Task


def value(task, outputs, labels, metric):
    evaluator = evaluator_for(task)
    evaluator.add(outputs, labels)
    return evaluator.counts()[metric].value()


def test_top_1_and_top_5_are_scikit_learns():
    from sklearn.metrics import accuracy_score, top_k_accuracy_score

    random = np.random.default_rng(0)
    scores, label = random.normal(size=(500, 10)), random.integers(0, 10, 500)
    task = Task(kind="classification")
    assert value(task, {"logits": scores}, {"label": label}, "top1") == pytest.approx(
        accuracy_score(label, scores.argmax(1))
    )
    assert value(task, {"logits": scores}, {"label": label}, "top5") == pytest.approx(
        top_k_accuracy_score(label, scores, k=5)
    )


def test_a_score_that_is_not_a_number_is_wrong():
    task = Task(kind="classification")
    assert value(task, {"logits": np.full((2, 3), np.nan)}, {"label": np.array([0, 1])}, "top1") == 0.0


def test_five_classes_have_no_top_5():
    evaluator = evaluator_for(Task(kind="classification"))
    evaluator.add({"logits": np.zeros((1, 5))}, {"label": np.array([0])})
    assert set(evaluator.counts()) == {"top1"}


def test_labels_in_text_are_right_where_they_are_equal_to_the_character():
    task = Task(kind="classification", output="said")
    said, label = np.array(["cat", "dog", "Owl", "é"], object), np.array(["cat", "cow", "owl", "é"])
    assert value(task, {"said": said}, {"label": label}, "top1") == 0.5
    evaluator = evaluator_for(task)
    evaluator.add({"said": said}, {"label": label})
    assert [answer.tolist() for answer in evaluator.answers()] == [["cat"], ["dog"], ["Owl"], ["é"]]
    with pytest.raises(UsageError, match=r"one label of text an item on both sides; they are string \(4,\) and int64"):
        value(task, {"said": said}, {"label": np.arange(4)}, "top1")


def test_a_label_without_a_class_is_refused():
    with pytest.raises(UsageError, match="labels run from 7 to 7, and there are 3 classes"):
        value(Task(kind="classification"), {"logits": np.zeros((1, 3))}, {"label": np.array([7])}, "top1")


def test_an_output_of_another_name_is_named():
    with pytest.raises(UsageError, match="output 'logits' is missing; there are scores"):
        value(Task(kind="classification"), {"scores": np.zeros((1, 3))}, {"label": np.array([0])}, "top1")


def test_iou_and_dice_are_those_of_overlapping_squares():
    # class 1: 4 pixels said, 4 true, 2 both: IoU 2/6, Dice 4/8; class 0: 12 said, 12 true, 10 both: 10/14, 20/24
    said, true = np.zeros((1, 4, 4), int), np.zeros((1, 4, 4), int)
    said[0, 0, :] = 1
    true[0, :2, :2] = 1
    task = Task(kind="segmentation", output="mask", label="mask", names=("ground", "thing"))
    assert value(task, {"mask": said}, {"mask": true}, "iou") == pytest.approx((2 / 6 + 10 / 14) / 2)
    assert value(task, {"mask": said}, {"mask": true}, "dice") == pytest.approx((4 / 8 + 20 / 24) / 2)


def test_segmentation_is_scikit_learns_jaccard_score():
    from sklearn.metrics import f1_score, jaccard_score

    random = np.random.default_rng(0)
    scores, true = random.normal(size=(3, 4, 8, 8)), random.integers(0, 4, (3, 8, 8))
    said = scores.argmax(1).ravel()
    task = Task(kind="segmentation")
    made = value(task, {"logits": scores}, {"label": true}, "iou")
    assert made == pytest.approx(jaccard_score(true.ravel(), said, average="macro"))
    assert value(task, {"logits": scores}, {"label": true}, "dice") == pytest.approx(
        f1_score(true.ravel(), said, average="macro")
    )


def test_unlabelled_pixels_do_not_count():
    task = Task(kind="segmentation", names=("a", "b"))
    made = value(task, {"logits": np.array([[0, 1, 1]])}, {"label": np.array([[0, 1, -1]])}, "iou")
    assert made == 1.0


def test_perplexity_of_equal_scores_is_the_vocabulary():
    made = value(Task(kind="language"), {"logits": np.zeros((2, 3, 7))}, {"label": np.zeros((2, 3), int)}, "perplexity")
    assert made == pytest.approx(7.0)


def test_perplexity_is_the_exponential_of_torchs_cross_entropy():
    import torch

    random = np.random.default_rng(0)
    logits, label = random.normal(size=(2, 5, 11)), random.integers(-1, 11, (2, 5))
    expected = torch.nn.functional.cross_entropy(
        torch.tensor(logits).flatten(0, 1), torch.tensor(label).flatten(), ignore_index=-1
    )
    assert value(Task(kind="language"), {"logits": logits}, {"label": label}, "perplexity") == pytest.approx(
        float(expected.exp())
    )


def spoken(text):
    return np.array([[ord(letter) for letter in text]])


def test_word_and_character_errors_are_counted_by_hand():
    # "ab c" said "ab d": one word of two, one character of four; repeats merge, blanks part
    alphabet = "abcd "
    task = Task(kind="transcription", output="symbols", label="text", alphabet=alphabet)
    said = np.array([[1, 1, 0, 2, 5, 5, 4]])
    assert value(task, {"symbols": said}, {"text": spoken("ab c")}, "wer") == 0.5
    assert value(task, {"symbols": said}, {"text": spoken("ab c")}, "cer") == 0.25


def test_words_where_nothing_was_said_are_all_errors():
    task = Task(kind="transcription", output="symbols", label="text", alphabet="ab ")
    evaluator = evaluator_for(task)
    evaluator.add({"symbols": np.array([[1, 3, 2]])}, {"text": np.zeros((1, 2), int)})
    evaluator.add({"symbols": np.array([[1]])}, {"text": spoken("a")})
    assert evaluator.counts()["wer"].value() == 2.0


def test_nothing_transcribed_is_one_error_a_word():
    task = Task(kind="transcription", output="symbols", label="text", alphabet="ab ")
    assert value(task, {"symbols": np.zeros((1, 4), int)}, {"text": spoken("a b")}, "wer") == 1.0


def test_every_task_has_one_main_metric_and_pages_know_it():
    from typing import get_args

    from assay.schema.metrics import METRICS, PRIMARY
    from assay.schema.queries.quality import MAIN_METRICS

    kinds = get_args(Task.model_fields["kind"].annotation)
    assert sorted(PRIMARY) == sorted(kinds)
    assert len([row for row in METRICS.values() if row.primary]) == len(kinds)
    assert sorted(MAIN_METRICS) == ["iou", "map_50_95", "perplexity", "top1", "wer"]
