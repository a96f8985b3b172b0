"""Suite files: what is wrong is said with file, case, key and the nearest right key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from assay.runner.errors import UsageError
from assay.runner.suites.case import expand
from assay.runner.suites.suite import Suite, find_suite, load_suite, shipped_suites
from tests.conftest import fake_suite
from tests.places import GOLDEN


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            ("atol = 1e-6", "atoll = 1e-6"),
            "fakes.toml, case 1 (line), key 'tolerance': unknown key 'atoll'. Did you mean 'atol'?",
        ),
        (("timeout_s = 20", "timeout = 20"), "fakes.toml: unknown key 'timeout'. Did you mean 'timeout_s'?"),
        (
            ("shape = [4, 5]", "shap = [4, 5]"),
            "key 'workload.noise.inputs.x': unknown key 'shap'. Did you mean 'shape'?",
        ),
        (('kind = "fake"', 'kind = "fak"'), "unknown backend 'fak'. Did you mean 'fake'?"),
        (
            ('backends = ["candidate"]', 'backends = ["candidat"]'),
            "case 1 (line): unknown backend 'candidat'. Did you mean 'candidate'?",
        ),
        (('workloads = ["noise"]', 'workloads = ["nois"]'), "case 1 (line): unknown workload 'nois'"),
        (('models = ["line"]', "models = 3"), "case 1"),
        (('check = "parity"', 'check = "party"'), "case 1 (line)"),
        (("fake = { gain = 2.0 }", 'why = "nothing"'), "a model needs pytorch, onnx or fake"),
        (("atol = 1e-6", "atol = -1"), "greater than or equal to 0"),
        (('name = "fakes"', "name = "), "not valid TOML"),
        (("shape = [4, 5]", 'shape = [4, 5], dtype = "float23"'), "there is no dtype 'float23'"),
        (('models = ["line"]', 'models = ["line"]\nvariants = ["int4"]'), "unknown variant 'int4'"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_the_nearest_right_word(
    tmp_path: Path, change: tuple[str, str], says: str
):
    path = fake_suite(tmp_path)
    text = path.read_text()
    assert change[0] in text
    path.write_text(text.replace(*change))
    with pytest.raises(UsageError) as error:
        load_suite(path)
    assert says in str(error.value)


def test_unknown_names_of_suites_versions_and_models_are_told(tmp_path: Path):
    with pytest.raises(UsageError, match="Did you mean 'quickstart'"):
        find_suite("quickstat")
    with pytest.raises(UsageError, match="is not there"):
        find_suite(str(tmp_path / "missing.toml"))
    suite = load_suite(find_suite("quickstart"))
    with pytest.raises(UsageError, match="no version 'round'. Did you mean 'rounded'"):
        expand(suite, {"scaling": "round"})
    with pytest.raises(UsageError, match="no model 'scalin'"):
        expand(suite, {"scalin": "rounded"})


def test_every_shipped_suite_is_valid_and_has_cases_with_unique_names():
    for path in shipped_suites().values():
        names = [case.name for case in expand(load_suite(path))]
        assert names
        assert len(set(names)) == len(names)


def test_the_reference_is_timed_but_not_compared_with_itself():
    cases = expand(load_suite(find_suite("quickstart")))
    assert not [c for c in cases if c.check == "parity" and c.backend == c.reference]
    assert {c.backend for c in cases if c.check == "benchmark"} == {"pytorch", "onnxruntime"}


def test_a_named_version_overrides_the_model_and_the_last_is_the_default():
    suite = load_suite(find_suite("quickstart"))
    rounded = next(c for c in expand(suite, {"scaling": "rounded"}) if c.model == "scaling")
    newest = next(c for c in expand(suite) if c.model == "scaling")
    assert rounded.files.onnx_options == {"quantile": "round", "median": "first"}
    assert (newest.version, newest.files.onnx_options["quantile"]) == ("interpolated", "linear")
    assert rounded.key == newest.key, "a version is a point of a series, not another series"


def test_a_comment_does_not_make_another_suite(tmp_path: Path):
    path = fake_suite(tmp_path)
    before = load_suite(path).sha256()
    path.write_text(path.read_text() + "\n# a remark\n")
    assert load_suite(path).sha256() == before


def test_the_schema_for_editors_is_the_published_one():
    """Renew with: assay suite schema > tests/golden/suite.schema.json"""
    published = json.loads((GOLDEN / "suite.schema.json").read_text())
    assert published == {"$schema": "https://json-schema.org/draft/2020-12/schema", **Suite.model_json_schema()}
