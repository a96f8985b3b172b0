"""`latest` is the latest of the suite at hand, and the latest of another suite is never taken in silence."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import assay, fake_suite


def test_a_relative_name_is_of_the_suite_at_hand_or_says_whose_it_is(tmp_path: Path):
    db, suite = tmp_path / "a.duckdb", fake_suite(tmp_path)
    first = assay("run", suite, "--json", db=db).document["run"]
    alone = assay("show", "latest", "--json", db=db)
    assert (alone.document["run"], alone.err) == (first, "")
    suite.write_text(suite.read_text().replace('name = "fakes"', 'name = "others"'))
    other = assay("run", suite, "--json", db=db).document["run"]
    suite.write_text(suite.read_text().replace('name = "others"', 'name = "fakes"'))
    second = assay("run", suite, "--json", db=db).document["run"]
    assert assay("compare", "latest~1", "latest", "--json", db=db).document["a"] == first, "not the other suite's"
    named = assay("show", "latest", "--suite", "others", "--json", db=db)
    assert (named.document["run"], named.err) == (other, "")
    unnamed = assay("show", "latest", "--json", db=db)
    assert unnamed.document["run"] == second
    assert f"note: latest is run {second[:13]} of suite 'fakes'" in unnamed.err
    assert assay("show", "latest", "--suite", "nosuch", db=db).code == 2


def test_a_usage_error_leaves_no_run_in_the_books(tmp_path: Path):
    db = tmp_path / "a.duckdb"
    suite = fake_suite(tmp_path)
    suite.write_text(suite.read_text().replace('reference = "right"', 'golden = "nosuch"'))
    refused = assay("run", suite, db=db)
    assert (refused.code, "there is no golden 'nosuch'" in refused.err) == (2, True)
    nowhere = assay("run", fake_suite(tmp_path), "--summary-json", tmp_path / "no" / "s.json", db=db)
    assert (nowhere.code, "is not there" in nowhere.err) == (2, True)
    assert assay("list", "runs", "--json", db=db).document == []


def test_what_is_left_out_is_listed_and_a_check_of_which_nothing_is_left_exits_4(tmp_path: Path):
    db, suite = tmp_path / "a.duckdb", fake_suite(tmp_path)
    suite.write_text(suite.read_text().replace('backends = ["candidate"]', 'backends = ["pytorch", "candidate"]'))
    some = assay("run", suite, "--json", db=db)
    assert some.code == 0
    assert [one["case"] for one in some.document["left_out"]] == ["line/fp32/pytorch/noise/parity"]
    extra = '\n[[case]]\ncheck = "ledger"\nmodels = ["line"]\nbackends = ["candidate"]\nworkloads = ["noise"]\n'
    suite.write_text(suite.read_text() + extra)
    nothing = assay("run", suite, db=db)
    assert nothing.code == 4
    assert "nothing was compared: case 2 asks for ledger of 'line', and nothing of it can be done" in nothing.out
    assert assay("run", suite, "--only", "*parity", db=db).code == 0
    assert assay("run", suite, "--only", "*ledger", db=db).code == 4
