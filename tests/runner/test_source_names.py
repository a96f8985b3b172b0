"""What a suite of release 0.5.0 called ours is found under its name of today, unless the user has one of that name."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.runner.source import present_name


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ("runner.models.scaling:traces", "assay.runner.models.scaling:traces"),
        ("runner.workloads.datasets:coco", "assay.runner.workloads.datasets:coco"),
        ("runner.workloads.speech:recordings", "assay.runner.workloads.speech:recordings"),
        ("runner.workloads:make_batches", "assay.runner.workloads:make_batches"),
        ("runner.nothing.of_ours:net", "runner.nothing.of_ours:net"),
        ("models.scaling:traces", "models.scaling:traces"),
        ("model.py:net", "model.py:net"),
    ],
)
def test_a_name_of_ours_is_the_one_of_today(then: str, now: str, tmp_path: Path):
    assert present_name(then, tmp_path) == now


def test_a_package_of_the_users_own_keeps_its_name(tmp_path: Path):
    own = tmp_path / "runner" / "workloads"
    own.mkdir(parents=True)
    (own / "datasets.py").write_text("")
    assert present_name("runner.workloads.datasets:coco", tmp_path) == "runner.workloads.datasets:coco"
