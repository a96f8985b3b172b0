"""The table of metrics: what every room knows of one is said there, and nowhere else."""

from __future__ import annotations

import ast
from dataclasses import fields
from pathlib import Path

import pytest

from assay.dashboard.figures.trade_offs import AXES
from assay.schema import rows
from assay.schema.metrics import AVERAGE_PRECISIONS, LATENCY, METRICS, NOT_WATCHED, PRIMARY, SHOWN, known
from tests.places import ROOT

VALUES = (
    "runner/backends",
    "runner/books/imports/readers.py",
    "runner/quality",
    "runner/run/figures.py",
    "runner/timing",
    "runner/worker/jobs",
)
"""Where values are computed, or read from another tool's file: a metric gets its name there."""
FRAMES = ("dashboard/figures", "dashboard/parts", "dashboard/tables")
"""What is drawn has the columns of a question, whatever they are called."""
WORDS = {field.name for row in rows.ALL for field in fields(row)} | {row.table for row in rows.ALL} | {"agreement"}
"""Names that are also those of a column, a table or a heading: a literal of them says nothing."""


def literals(path: Path, root: Path = ROOT) -> list[str]:
    """Names of metrics that a file writes itself, with their lines; not as the index of a row."""
    tree = ast.parse(path.read_text())
    columns = {id(node.slice) for node in ast.walk(tree) if isinstance(node, ast.Subscript)}
    return [
        f"{path.relative_to(root)}:{node.lineno} {node.value}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value in METRICS.keys() - WORDS
        and id(node) not in columns
    ]


def test_a_metric_is_named_in_the_table_and_where_its_value_is_computed_alone():
    allowed = [ROOT / place for place in ("schema/metrics.py", *VALUES, *FRAMES)]
    files = [path for room in ("runner", "schema", "dashboard") for path in sorted((ROOT / room).rglob("*.py"))]
    others = [path for path in files if not any(path.is_relative_to(place) for place in allowed)]
    assert len(others) > 100
    keys = {f"runner/rules/{file}" for file in ("tolerance.py", "pairing.py")}  # `top1` and `iou` are keys of a policy
    found = [line for path in others for line in literals(path)]
    assert [line for line in found if line.split(":")[0] not in keys or line.split()[1] not in ("top1", "iou")] == []


def test_a_name_written_again_is_found(tmp_path: Path):
    path = tmp_path / "a.py"
    path.write_text('best = next(m for m in found if m.metric == "ttft_ms")\nsize = row["model_bytes"]\n')
    assert literals(path, tmp_path) == ["a.py:1 ttft_ms"]


def test_every_place_that_may_name_a_metric_is_there():
    assert [place for place in (*VALUES, *FRAMES) if not (ROOT / place).exists()] == []


def test_a_metric_of_other_books_is_noisy_and_lower_is_better():
    """Whatever its name ends in: nothing is guessed."""
    metric = known("their_model_bytes")
    assert (metric.exact, metric.better, metric.unit, metric.floor, metric.least) == (False, "lower", "", 0.01, 0.0)
    assert (metric.shown, metric.watched, metric.paired, metric.primary) == (False, True, False, None)


def test_the_row_that_goes_into_the_books_says_what_the_table_says():
    assert METRICS["tokens_per_s"].row == rows.Metric(
        metric="tokens_per_s",
        unit="tokens/s",
        better="higher",
        description="Tokens of all rows of the batch over the time of their steps, the prompt's excluded.",
    )


def test_every_task_has_one_main_metric():
    assert PRIMARY == {
        "classification": "top1",
        "detection": "map_50_95",
        "segmentation": "iou",
        "transcription": "wer",
        "language": "perplexity",
    }
    assert all(METRICS[name].exact for name in PRIMARY.values())


def test_what_turns_speak_for_is_a_median_time_or_a_rate_of_one():
    """A re-run takes the ratio of latencies for it, turned over where higher is better."""
    paired = {name: metric.better for name, metric in METRICS.items() if metric.paired}
    assert paired == {
        "latency_p50_ms": "lower",
        "latency_mean_ms": "lower",
        "token_latency_p50_ms": "lower",
        "throughput_per_s": "higher",
        "items_per_s": "higher",
        "tokens_per_s": "higher",
    }
    assert not any(METRICS[name].exact for name in paired)


def test_groups_name_metrics_of_the_table():
    assert {*LATENCY, *AVERAGE_PRECISIONS, *SHOWN, *NOT_WATCHED} <= set(METRICS)
    assert set(SHOWN) & set(NOT_WATCHED) == set()


@pytest.mark.parametrize("axis", sorted(name for name, axis in AXES.items() if axis.column in METRICS))
def test_an_axis_knows_which_way_is_better_as_the_table_does(axis: str):
    assert AXES[axis].better == METRICS[AXES[axis].column].better
