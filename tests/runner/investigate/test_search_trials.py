"""What a search decides by, on nodes and trials written by hand."""

import math

from assay.runner.investigate.search.trials import CandidateNode, TimedTrial, candidates, choose, explained, front


def node(name, alone, saved, ledger=None, kind="Conv", **more):
    return CandidateNode(name, kind, alone, more.get("without"), ledger, 10.0, 10.0 - saved, more.get("everything"))


def trial(variant, drop, ratio, high=None):
    figures = {"quality_drop_relative": (drop, drop - 0.001, drop + 0.001 if high is None else high)}
    return TimedTrial(variant, "o", (), None, None, figures={**figures, "latency_ratio": (ratio, ratio, ratio)})


def test_noise_is_power_and_what_goes_with_the_node_counts_where_it_is_more():
    assert node("a", 20.0, 1.0).noise == 10**-2
    # everything leaves 10 dB, without the node 20 dB: 0.1 - 0.01 goes
    assert math.isclose(node("a", 40.0, 1.0, everything=10.0, without=20.0).noise, 0.09)


def test_nodes_that_are_noisy_and_save_nothing_are_left_out_first():
    nodes = [node("noisy", 10.0, 5.0, 30.0), node("slow", 20.0, -1.0, 40.0), node("good", 40.0, 5.0, 20.0)]
    tried = {trial.origin: trial.excluded for trial in candidates(nodes, "v") if len(trial.excluded) == 1}
    assert tried["noise per time"] == ("slow",)
    assert tried["worst by SQNR"] == ("good",)


def test_everything_is_tried_first_and_products_alone_next():
    nodes = [node("conv", 30.0, 1.0), node("pool", 30.0, 1.0, kind="MaxPool")]
    first, second, *_ = candidates(nodes, "v")
    assert (first.variant, first.excluded) == ("v-everywhere", ())
    assert (second.origin, second.excluded) == ("products only", ("pool",))


def test_no_set_is_tried_twice():
    nodes = [node(f"n{i}", 20.0 + i, 1.0, 20.0 + i) for i in range(5)]
    sets = [frozenset(trial.excluded) for trial in candidates(nodes, "v")]
    assert len(sets) == len(set(sets))


def test_a_set_is_predicted_by_adding_noise_and_times():
    nodes = [node("a", 20.0, 4.0), node("b", 20.0, 2.0)]
    everything = candidates(nodes, "v")[0]
    assert everything.predicted_db is not None
    assert math.isclose(everything.predicted_db, -10 * math.log10(0.02))
    assert everything.predicted_us == 14.0


def test_the_front_has_what_nothing_else_beats():
    best, fast, beaten = trial("best", 0.0, 1.0), trial("fast", 0.02, 0.5), trial("beaten", 0.02, 0.6)
    assert front([best, fast, beaten]) == [best, fast]


def test_the_fastest_that_surely_keeps_the_loss_is_chosen():
    doubtful, sure = trial("doubtful", 0.005, 0.4, high=0.02), trial("sure", 0.005, 0.6)
    chosen, reason = choose([trial("fp32", 0.0, 1.0), doubtful, sure], 0.01)
    assert chosen is sure
    assert "interval included" in reason


def test_float_is_chosen_where_quantizing_does_not_pay():
    chosen, reason = choose([trial("fp32", 0.0, 1.0), trial("slow", 0.0, 1.2)], 0.01)
    assert chosen.variant == "fp32"
    assert reason.startswith("quantizing does not pay here")


def test_without_a_sure_one_the_measured_loss_decides_and_says_so():
    chosen, reason = choose([trial("a", 0.005, 0.4, high=0.02), trial("b", 0.03, 0.3)], 0.01)
    assert chosen.variant == "a"
    assert "label more items" in reason
    assert choose([trial("b", 0.03, 0.3)], 0.01)[1] == "no trial keeps 1.0%: this one loses least"


def test_an_exclusion_is_explained_in_decibels_and_microseconds():
    words = explained(node("a", 20.0, 4.0, everything=10.0, without=12.0), excluded=True)
    assert (
        words
        == "left in float: quantized alone it leaves 20.0 dB at the outputs; left out alone it takes them from 10.0 to"
        " 12.0 dB; quantizing it saves 4.0 us (10.0 to 6.0)"
    )
    assert "its noise is not known; its time was not seen" in explained(
        CandidateNode("a", "Conv", None, None), excluded=False
    )
