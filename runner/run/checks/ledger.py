"""The ledger: every tensor in codes, weights and activations, with what its codes lose."""

from __future__ import annotations

from assay.runner.run.checks.quantized import QuantizedCheck

CHECK = QuantizedCheck(nothing="no tensor of this graph is held in codes: there is nothing to put on the ledger")
