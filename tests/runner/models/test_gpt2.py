"""A study of GPT-2 on a tiny network, through the command line.

Exports, INT8, generations, profiles, claims, reports.
"""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from assay.runner.models import gpt2
from assay.schema.queries import speed as speed_queries
from assay.schema.store.database import Store, reading, snapshot
from tests.conftest import assay


def _case(document: dict, name: str) -> dict:
    return next(case for case in document["cases"] if case["case"] == name)


def _measured(document: dict, name: str) -> dict:
    return {m["metric"]: m for m in _case(document, name)["measurements"]}


def test_a_greedy_generation_is_the_same_token_for_token_in_closed_loop(study):
    _, document = study
    verdicts = {
        v["name"]: v["outcome"]
        for v in _case(document, "gpt2_past/fp32/onnxruntime/prompt-16/closed_loop")["verdicts"]
        if v["subject"] == "parity"
    }
    assert (verdicts["logits"], verdicts["next_token"]) == ("pass", "pass")


def test_the_random_network_generates_more_than_one_token():
    network = gpt2.with_past("tiny", weights="random").eval()
    import torch

    (step,) = gpt2.prompts(0, 1, size="tiny")
    inputs, past = torch.from_numpy(step["input_ids"]), [torch.zeros(1, 4, 0, 16) for _ in range(4)]
    tokens = []
    for _ in range(16):
        _, inputs, *past = network(inputs, *past)
        tokens.append(int(inputs))
    assert len(set(tokens)) > 8
    assert network.weights_origin == "random weights, seed 0"


def test_what_is_cached_is_what_is_computed_anew():
    import torch

    basic, cached = (make("tiny", weights="random").eval() for make in (gpt2.module, gpt2.with_past))
    ids = torch.from_numpy(next(gpt2.prompts(3, 1, batch=2, context=9, size="tiny"))["input_ids"])
    with torch.no_grad():
        whole, _ = basic(ids)
        empty = [torch.zeros(2, 4, 0, 16) for _ in range(4)]
        _, _, *past = cached(ids[:, :5], *empty)
        rest, _, *_ = cached(ids[:, 5:], *past)
    np.testing.assert_allclose(rest.numpy(), whole[:, 5:].numpy(), atol=2e-5)


@pytest.mark.parametrize(
    ("options", "words"), [({"size": "huge"}, "full, tiny"), ({"weights": "/nowhere"}, "model.safetensors")]
)
def test_a_model_that_cannot_be_made_says_what_can(options: dict, words: str):
    from assay.runner.errors import UsageError

    with pytest.raises(UsageError, match=words):
        gpt2.module(**{"size": "tiny", **options})


def test_the_older_exporter_stores_the_tied_embedding_twice_and_the_rows_show_it(study):
    db, _ = study
    with reading(snapshot(Store(db))) as connection:
        rows = connection.execute(
            "select variant, parameters, bytes, weights from artifact where model = 'gpt2' and format = 'onnx'"
        ).fetchall()
    by_variant = {row[0]: row[1:] for row in rows}
    embedding = 1024 * 64
    assert by_variant["legacy"][0] - by_variant["fp32"][0] == pytest.approx(embedding, rel=0.02)
    assert by_variant["int8-tied"][0] < by_variant["int8"][0]
    assert {row[2] for row in by_variant.values()} == {"random weights, seed 0"}


def test_a_generation_tells_the_prompt_from_its_tokens_and_a_cache_from_none(study):
    db, document = study
    cached = _measured(document, "gpt2_past/fp32/onnxruntime/prompt-16/generation")
    anew = _measured(document, "gpt2_past/fp32/onnxruntime/prompt-16/recomputed")
    assert cached["token_latency_p50_ms"]["value"] < anew["token_latency_p50_ms"]["value"]
    assert cached["token_latency_p50_ms"]["n"] == 3 * 6 * 16, "launches x blocks x tokens"
    assert cached["latency_ratio"]["high"] < 1
    assert {"ttft_ms", "tokens_per_s", "generation_ms", "token_latency_slope_us"} <= {*cached}
    with reading(snapshot(Store(db))) as connection:
        steps = connection.execute(
            "select count(*) from stream_step s join case_result c using (case_id) where c.mode like '%cached'"
        ).fetchone()
    assert steps == (17,)


def test_the_reports_of_a_run_hold_the_same_figures(study):
    db, document = study
    run = document["run"]
    texts = {kind: assay("report", run, "--as", kind, db=db).out for kind in ("md", "html", "csv", "json")}
    median = _measured(document, "gpt2/fp32/onnxruntime/context-16/benchmark")["latency_p50_ms"]["value"]
    rows = [
        row
        for row in csv.DictReader(io.StringIO(texts["csv"]))
        if row["metric"] == "latency_p50_ms" and row["name"] == "gpt2/fp32/onnxruntime/context-16/benchmark"
    ]
    assert float(rows[0]["value"]) == median
    assert rows[0]["provenance"] == "measured"
    for kind in ("md", "html", "json"):
        assert f"{median:.4g}" in texts[kind], kind
        assert "random weights, seed 0" in texts[kind]
    assert "| variant / backend |" in texts["md"]
    assert texts["html"].startswith("<!doctype html>")


def test_a_claim_is_checked_against_the_rows_and_its_exit_code_says_so(study):
    db, document = study
    ratio = _measured(document, "gpt2/int8/onnxruntime/context-16/benchmark")["latency_ratio"]["value"]
    faster = f"{1 / ratio:.2f}x faster" if ratio < 1 else f"{ratio:.2f}x slower"
    assert assay("claim", f"int8 is {faster} than fp32 on context-16", db=db).code in (0, 4)  # 4: a noisy host
    assert assay("claim", "int8 is at least 0.001x faster than fp32 on context-16", db=db).code == 0
    contradicted = assay("claim", "int8 is 25x faster than fp32", "--json", db=db)
    assert contradicted.code == 1
    assert {one["verdict"] for one in contradicted.document["checked"]} == {"contradicted"}
    assert assay("claim", "int8 is fast", db=db).code == 2
    assert assay("claim", "int7 is 2x faster than fp32", db=db).code == 2


def test_the_profile_says_which_product_the_tied_weight_kept_in_float(study):
    db, document = study
    with reading(snapshot(Store(db))) as connection:
        layers = speed_queries.layers_of(connection, document["run"])
    tied = [layer for layer in layers if layer["variant"] == "int8-tied"]
    assert sum(layer["share"] for layer in tied) == pytest.approx(1)
    head = next(layer for layer in tied if layer["name"].startswith("node_linear") and layer["op_type"] == "MatMul")
    assert head["reference_us"] > 0
    told = _case(document, "gpt2/int8-tied/onnxruntime/context-16/profile")["findings"]
    assert any("still run in float" in finding["message"] or "could be won" in finding["message"] for finding in told)


def test_integer_products_are_executed_as_exactly_as_they_can_be_computed(study):
    _, document = study
    told = {f["kind"] for f in _case(document, "gpt2/int8/onnxruntime/context-16/parity")["findings"]}
    assert told & {"executed_as_simulated", "executed_worse_than_simulated"}
