"""The shipped models: the right behaviours agree, and each wrong one is wrong in its own way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from assay.runner.models import digits, scaling, silero_vad

torch = pytest.importorskip("torch")
ort = pytest.importorskip("onnxruntime")


def run(quantile: str, median: str, traces: Any) -> dict[str, Any]:
    session = ort.InferenceSession(scaling.onnx_model(quantile, median).SerializeToString())
    return dict(zip(("iqr", "scaling"), session.run(None, {"traces": traces}), strict=True))


def right(traces: Any) -> dict[str, Any]:
    with torch.inference_mode():
        iqr, factor = scaling.module()(torch.from_numpy(traces))
    return {"iqr": iqr.numpy(), "scaling": factor.numpy()}


@pytest.mark.parametrize("regime", ["recording", "synthetic", "small"])
@pytest.mark.parametrize(("channels", "samples"), [(8, 12), (7, 101), (64, 400)])
def test_the_interpolated_graph_computes_what_pytorch_computes(regime: str, channels: int, samples: int):
    for batch in scaling.traces(0, 3, regime, channels, samples):
        wanted, got = right(batch["traces"]), run("linear", "lower", batch["traces"])
        for name in wanted:
            np.testing.assert_allclose(got[name], wanted[name], rtol=1e-5)


def test_the_interquartile_range_is_the_one_a_hand_computes():
    traces = np.array([[1, 2, 3, 4, 5, 6, 7, 8]], np.float32)
    assert run("linear", "lower", traces)["iqr"] == pytest.approx(3.5)  # 6.25 - 2.75
    assert run("round", "lower", traces)["iqr"] == pytest.approx(3.0)  # values at 5.25 -> 5 and 1.75 -> 2
    assert run("linear", "lower", traces)["scaling"] == pytest.approx(12.6 / 3.5)


def test_the_median_of_an_even_number_of_channels_is_pytorchs_lower_one():
    traces = np.array([[0, 4], [0, 8], [0, 16], [0, 2]], np.float32)  # iqr 2, 4, 8, 1
    factors = {m: float(run("linear", m, traces)["scaling"]) for m in ("lower", "mean", "first")}
    assert factors == {
        "lower": pytest.approx(12.6 / 2),
        "mean": pytest.approx(12.6 / 3),
        "first": pytest.approx(12.6 / 2),
    }


def test_the_first_element_instead_of_the_median_is_several_hundred_percent_wrong_on_a_recording():
    (batch,) = scaling.traces(0, 1, "recording", 384, 1000)
    wanted = float(right(batch["traces"])["scaling"])
    assert float(run("linear", "first", batch["traces"])["scaling"]) / wanted - 1 > 2
    rounded = run("round", "lower", batch["traces"])
    assert not np.allclose(rounded["iqr"], right(batch["traces"])["iqr"], rtol=1e-4)
    assert abs(float(rounded["scaling"]) / wanted - 1) < 0.05


def test_an_unknown_behaviour_is_an_error():
    with pytest.raises(ValueError, match="median 'third'"):
        scaling.onnx_model(median="third")
    with pytest.raises(ValueError, match="no regime"):
        list(scaling.traces(0, 1, "real", 2, 2))


def test_digits_learns_to_read_handwriting_it_has_not_seen_and_is_the_same_every_time():
    network, again = digits.trained(width=16, epochs=10), digits.trained(width=16, epochs=10)
    images, labels = (torch.from_numpy(array[1257:]) for array in digits.images())
    with torch.inference_mode():
        logits = network(images)
        assert (logits.argmax(1) == labels).float().mean() > 0.9
        assert torch.equal(logits, again(images))


def test_silero_hears_the_made_voice_and_not_its_absence():
    network = silero_vad.module()
    (batch,) = silero_vad.chunks(0, 1, size=24)
    assert batch["input"].shape == (24, 576)
    with torch.inference_mode():
        state = torch.zeros(2, 24, 128)
        spoken, _ = network(torch.from_numpy(batch["input"]), state, torch.tensor(16000))
        silent, _ = network(torch.zeros(24, 576), state, torch.tensor(16000))
    assert spoken.max() > silent.max()


def test_scenes_are_labelled_by_what_is_drawn():
    from assay.runner.models.shapes import scenes

    (batch,) = scenes(0, 1, 16)
    (again,) = scenes(0, 1, 16)
    assert all(np.array_equal(batch[name], again[name]) for name in batch)
    for boxes, classes, mask in zip(batch["label_boxes"], batch["label_classes"], batch["label"], strict=True):
        assert (classes >= 0).any()
        left, top, right, bottom = boxes[classes >= 0][-1].round().astype(int)  # the last one lies over the others
        assert (mask[top:bottom, left:right] == classes[classes >= 0][-1] + 1).mean() > 0.3


def test_a_detector_finds_most_shapes_of_scenes_it_has_not_seen(tmp_path):
    from tests.conftest import assay

    done = assay("run", "shapes", "--only", "detector/fp32/*quality", "--json", db=tmp_path / "a.duckdb", timeout=600)
    assert done.code == 0, done.err
    found = {m["metric"]: m["value"] for m in done.document["cases"][0]["measurements"]}
    assert found["map_50"] > 0.85
    assert found["f1"] > 0.85
