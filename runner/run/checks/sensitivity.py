"""Sensitivity: what the outputs lose when one node alone is quantized."""

from __future__ import annotations

from assay.runner.run.checks.quantized import QuantizedCheck

CHECK = QuantizedCheck(nothing="no node of this graph can be quantized by itself")
