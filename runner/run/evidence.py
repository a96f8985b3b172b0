"""What a pass leans on: whether the variant is another model at all, and ran in the precision that it stands for."""

from __future__ import annotations

from collections.abc import Iterator

from assay.runner.backends import ENGINES
from assay.runner.backends.onnxruntime_audit import words
