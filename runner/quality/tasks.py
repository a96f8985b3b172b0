"""Task metrics on labelled items: what each item adds, so that differences between models can be resampled.

Classification, segmentation, transcription and language are sums over items; detection is matched and ranked by
faster-coco-eval (its AP is no sum).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from assay.runner.errors import EnvironmentMissing, UsageError
from assay.runner.quality.degradation import Counts
from assay.runner.tensors import Array, Tensors, dtype_name, is_text, texts
from assay.runner.workloads.asked import Task


class Evaluator(Protocol):
    """Takes batches of answers and labels; gives counts by metric."""

    def add(self, outputs: Tensors, labels: Tensors) -> None: ...

    def counts(self) -> dict[str, Counts]: ...

    def answers(self) -> list[Array]:
        """What was answered, an array an item, to see how often two models agree.

        Empty where there is no such thing.
        """
        ...


def evaluator_for(task: Task) -> Evaluator:
    if task.kind == "detection":
        from assay.runner.quality.detection import Detection

        return Detection(task)
    kinds: dict[str, Callable[[Task], Evaluator]] = {
        "classification": Classification,
        "segmentation": Segmentation,
        "transcription": Transcription,
        "language": Language,
    }
    return kinds[task.kind](task)


def needed(module: str, task: str) -> Any:
    """A library that one task alone needs.

    Raises:
        EnvironmentMissing: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise EnvironmentMissing(
            f"the task {task!r} needs the Python package {module.replace('_', '-')!r} ({error}). Install it with: pip"
            " install 'assay[quality]'"
        ) from error


def pick(arrays: Tensors, name: str, what: str) -> Array:
    """Raises UsageError: there is no array of that name; says which there are."""
    if name not in arrays:
        raise UsageError(f"the task's {what} {name!r} is missing; there are {', '.join(arrays) or 'none'}.")
    return arrays[name]


def _column(parts: Sequence[Array]) -> Array:
    return np.concatenate(parts).astype(np.float64)[:, None] if parts else np.zeros((0, 1))


class Classification:
    """top-1 and top-5 of scores [B, classes] and labels [B]; a tie is lost to the higher index, NaN is always wrong.

    An output of text [B] is the label itself, compared exactly with labels of text: top-1 alone.
    """

    def __init__(self, task: Task) -> None:
        self._output, self._label = task.output, task.label
        self._top: dict[int, list[Array]] = {1: [], 5: []}
        self._said: list[Array] = []

    def add(self, outputs: Tensors, labels: Tensors) -> None:
        said = pick(outputs, self._output, "output")
        truth = pick(labels, self._label, "label").reshape(-1)
        if is_text(said) or is_text(truth):
            self._add_text(said.reshape(-1), truth)
            return
        scores = said.astype(np.float64)
        if scores.ndim != 2 or len(scores) != len(truth):
            raise UsageError(
                f"classification needs scores [items, classes] and as many labels; they are {scores.shape} and"
                f" {truth.shape}."
            )
        if truth.size and (truth.min() < 0 or truth.max() >= scores.shape[1]):
            raise UsageError(
                f"labels run from {truth.min()} to {truth.max()}, and there are {scores.shape[1]} classes."
            )
        scores = np.where(np.isnan(scores), -np.inf, scores)
        order = np.argsort(-scores, axis=1, kind="stable")
        usable = np.isfinite(scores).any(axis=1)
        for most, found in self._top.items():
            if most < scores.shape[1]:
                found.append((order[:, :most] == truth[:, None]).any(axis=1) & usable)
        self._said += [*order[:, :1]]

    def _add_text(self, said: Array, truth: Array) -> None:
        if not (is_text(said) and is_text(truth)) or said.shape != truth.shape:
            raise UsageError(
                f"classification by text needs one label of text an item on both sides; they are {dtype_name(said)}"
                f" {said.shape} and {dtype_name(truth)} {truth.shape}."
            )
        answers = texts(said)
        self._top[1].append(answers == texts(truth))
        self._said += [answers[i : i + 1] for i in range(answers.size)]

    def counts(self) -> dict[str, Counts]:
        made = {}
        for most, found in self._top.items():
            if found:
                right = _column(found)
                made[f"top{most}"] = Counts(right, np.ones_like(right))
        return made

    def answers(self) -> list[Array]:
        return self._said


class Segmentation:
    """Mean IoU and Dice over classes, of scores [B, classes, ...] (or class numbers [B, ...]) and labels [B, ...].

    Negative labels do not count.
    """

    def __init__(self, task: Task) -> None:
        self._output, self._label, self._names = task.output, task.label, task.names
        self._parts: list[tuple[Array, Array, Array]] = []
        """(intersection, predicted, true) pixels [B, classes]"""
        self._said: list[Array] = []

    def add(self, outputs: Tensors, labels: Tensors) -> None:
        scores, truth = pick(outputs, self._output, "output"), pick(labels, self._label, "label")
        classes = (
            scores.shape[1]
            if scores.ndim == truth.ndim + 1
            else max(len(self._names), int(max(truth.max(), scores.max())) + 1)
        )
        said = scores.argmax(axis=1) if scores.ndim == truth.ndim + 1 else scores
        if said.shape != truth.shape:
            raise UsageError(
                f"segmentation needs answers and labels of one shape; they are {said.shape} and {truth.shape}."
            )
        counted = truth >= 0
        both = [
            [(said == c) & (truth == c) & counted, (said == c) & counted, (truth == c) & counted]
            for c in range(classes)
        ]
        pixels = [np.stack([one[i].reshape(len(truth), -1).sum(axis=1) for one in both], axis=1) for i in range(3)]
        self._parts.append((pixels[0], pixels[1], pixels[2]))
        self._said += [one[known] for one, known in zip(said, counted, strict=True)]

    def counts(self) -> dict[str, Counts]:
        if not self._parts:
            return {}
        width = max(part[0].shape[1] for part in self._parts)
        inter, said, true = (
            np.concatenate([np.pad(part[i], ((0, 0), (0, width - part[i].shape[1]))) for part in self._parts]).astype(
                np.float64
            )
            for i in range(3)
        )
        return {"iou": Counts(inter, said + true - inter), "dice": Counts(2 * inter, said + true)}

    def answers(self) -> list[Array]:
        return self._said


class Language:
    """Perplexity of logits [B, T, vocabulary] for the next tokens, labels [B, T] (negative ones do not count)."""

    def __init__(self, task: Task) -> None:
        self._output, self._label = task.output, task.label
        self._loss: list[Array] = []
        self._tokens: list[Array] = []
        self._said: list[Array] = []

    def add(self, outputs: Tensors, labels: Tensors) -> None:
        logits, truth = pick(outputs, self._output, "output"), pick(labels, self._label, "label")
        if logits.ndim != 3 or logits.shape[:2] != truth.shape:
            raise UsageError(
                f"language needs logits [items, tokens, vocabulary] and labels [items, tokens]; they are {logits.shape}"
                f" and {truth.shape}."
            )
        counted = truth >= 0
        for row, (scores, right, known) in enumerate(zip(logits, truth, counted, strict=True)):
            del row
            wide = scores.astype(np.float64)
            largest = wide.max(axis=-1)
            total = largest + np.log(np.exp(wide - largest[:, None]).sum(axis=-1))
            chosen = np.take_along_axis(wide, np.where(known, right, 0)[:, None], axis=-1)[:, 0]
            self._loss.append(np.array([(total - chosen)[known].sum()]))
            self._tokens.append(np.array([known.sum()]))
            self._said.append(scores.argmax(axis=-1)[known])

    def counts(self) -> dict[str, Counts]:
        return {"perplexity": Counts(_column(self._loss), _column(self._tokens), exponential=True)}

    def answers(self) -> list[Array]:
        return self._said


class Transcription:
    """Word and character error rates (jiwer).

    Answers are CTC scores [B, T, symbols] or symbols [B, T], labels are text as code points [B, L] padded with 0.
    `alphabet` names the symbols from 1 on; 0 is the blank. Repeated symbols are one unless a blank is between them
    (Graves et al. 2006).
    """

    def __init__(self, task: Task) -> None:
        self._output, self._label, self._alphabet = task.output, task.label, task.alphabet
        if not self._alphabet:
            raise UsageError("the task 'transcription' needs an alphabet: the symbols from 1 on, as one string.")
        self._texts: list[tuple[str, str]] = []

    def add(self, outputs: Tensors, labels: Tensors) -> None:
        scores, truth = pick(outputs, self._output, "output"), pick(labels, self._label, "label")
        said = scores.argmax(axis=-1) if scores.ndim == 3 else scores
        for symbols, points in zip(said, truth, strict=True):
            self._texts.append((self._decoded(symbols), "".join(chr(point) for point in points if point)))

    def _decoded(self, symbols: Array) -> str:
        kept = [int(s) for i, s in enumerate(symbols) if s and (i == 0 or s != symbols[i - 1])]
        return "".join(self._alphabet[s - 1] if s <= len(self._alphabet) else "?" for s in kept)

    def counts(self) -> dict[str, Counts]:
        jiwer = needed("jiwer", "transcription")
        made: dict[str, list[tuple[int, int]]] = {"wer": [], "cer": []}
        for said, right in self._texts:
            words = jiwer.process_words(right or " ", said) if right.strip() else None
            letters = jiwer.process_characters(right, said) if right.strip() else None
            for metric, out in (("wer", words), ("cer", letters)):
                if out is None:  # nothing was said: every word is an insertion, and there is nothing to divide by
                    made[metric].append((len(said.split()) if metric == "wer" else len(said), 0))
                else:
                    errors = out.substitutions + out.deletions + out.insertions
                    made[metric].append((errors, out.hits + out.substitutions + out.deletions))
        return {
            metric: Counts(_column([np.array([e]) for e, _ in pairs]), _column([np.array([n]) for _, n in pairs]))
            for metric, pairs in made.items()
        }

    def answers(self) -> list[Array]:
        return [np.array([said]) for said, _ in self._texts]


def class_values(task: Task, counts: dict[str, Counts]) -> dict[str, list[tuple[str, float | None, int]]]:
    """Metric -> (class, value, its share's denominator) for metrics that average over classes."""
    made = {}
    for metric, one in counts.items():
        if one.numerator.shape[1] > 1:
            bottoms = one.denominator.sum(axis=0)
            made[metric] = [(named(task, c), value, int(bottoms[c])) for c, value in enumerate(one.by_group())]
    return made


def named(task: Task, number: int) -> str:
    return task.names[number] if number < len(task.names) else str(number)
