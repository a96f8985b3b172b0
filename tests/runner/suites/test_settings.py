"""Every setting and option that a suite may write is taken, and passed on, or refused before anything runs."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from assay.runner.backends import BACKENDS, SETTINGS
from assay.runner.errors import UsageError
from assay.runner.recipes import RECIPES, VARIANT_RECIPES
from assay.runner.recipes.options import Option
from assay.runner.suites.suite import BackendChoice, load_suite
from assay.schema.queries import runs as run_queries
from assay.schema.store.database import Store, reading, snapshot
from tests.conftest import assay


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "assay.duckdb"


MODEL = 'name = "mine"\n[model.mine]\nonnx = "mine.onnx"\n[workload.random]\ninputs = { x = { shape = [2] } }\n'
CASE = '[[case]]\ncheck = "parity"\nmodels = ["mine"]\nworkloads = ["random"]\nbackends = ["BACKEND"]\n'


def written(value: Any) -> str:
    """A value as TOML."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f'"{key}" = {written(item)}' for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return f"[{', '.join(written(item) for item in value)}]"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def checked(tmp_path: Path, tables: str, backend: str = "onnxruntime") -> Any:
    path = tmp_path / "mine.toml"
    path.write_text(MODEL + tables + CASE.replace("BACKEND", backend))
    return load_suite(path)


def backend(kind: str, **settings: Any) -> str:
    lines = [f"{name} = {written(value)}\n" for name, value in settings.items()]
    return f'[backend.mine]\nkind = "{kind}"\n{"".join(lines)}'


def right_and_wrong(option: Option, chosen: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """Values that an option takes, and such that it does not, from its row alone."""
    words = option.words(chosen)
    right: dict[str, list[Any]] = {
        "flag": [True, False],
        "integer": [int(option.least or 0), int(option.most or 9)],
        "number": [float(option.least or 0.5), int(option.most or 9)],
        "text": [*words] or ["any"],
        "names": [["a", "b"], []],
        "table": [{"key": "value"}],
        "axes": [{"x": {"0": "batch"}}],
    }
    wrong: dict[str, list[Any]] = {
        "flag": ["yes", 1],
        "integer": [1.5, "3", True],
        "number": ["3", True],
        "text": [3, *(["no-such-word"] if words else [])],
        "names": ["a", [1]],
        "table": ["value"],
        "axes": [{"x": "batch"}, {"x": {"first": "batch"}}, {"x": {"0": 1}}],
    }
    low = [] if option.least is None else [option.least - 1]
    high = [] if option.most is None else [option.most + 1]
    bounds = [int(bound) for bound in (*low, *high)]
    return right[option.kind], [*wrong[option.kind], *bounds]


TAKEN: dict[str, list[Any]] = {
    "device": ["cpu", "cuda", "cuda:1"],
    "provider": ["CPUExecutionProvider", "CUDAExecutionProvider"],
    "threads": [1, 3],
    "allow_fallback": [True, False],
    "python": ["/opt/python"],
    "options": [{}],
}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("kind", BACKENDS)
def test_a_backend_takes_a_setting_and_opens_with_it_or_names_the_nearest_that_it_takes(
    kind: str, setting: str, tmp_path: Path
):
    for value in TAKEN[setting]:
        table = backend(kind, **{setting: value})
        if setting not in BACKENDS[kind].settings:
            with pytest.raises(UsageError, match=rf"key 'backend\.mine': the {kind} backend takes no '{setting}'\."):
                checked(tmp_path, table)
        elif setting == "device" and value.partition(":")[0] not in BACKENDS[kind].devices:
            with pytest.raises(UsageError, match=rf"the {kind} backend has no device '{value}'\. "):
                checked(tmp_path, table)
        else:
            choice = checked(tmp_path, table).backend["mine"]
            opened = choice.session_options()
            held = {**opened, "python": choice.python, "options": choice.options}
            # An engine's fallback is judged by the precision that its case asks for, and not by the session.
            assert held.get(setting, value) == value
            assert setting in held or (kind, setting) == ("tensorrt", "allow_fallback")


@pytest.mark.parametrize(
    ("kind", "settings", "says"),
    [
        ("onnxruntime", {"device": "gpu"}, "no device 'gpu'. Did you mean 'cpu'"),
        ("onnxruntime", {"device": "cuda:x"}, "no device 'cuda:x'. Did you mean 'cuda:0'"),
        ("pytorch", {"device": "cudda"}, "no device 'cudda'. Did you mean 'cuda'"),
        ("tensorrt", {"device": "cpu"}, "no device 'cpu'. "),
        ("onnxruntime", {"provider": "CUDAExecutionProvidr"}, "Did you mean 'CUDAExecutionProvider'"),
        ("onnxruntime", {"threads": 0}, "greater than 0"),
        ("onnxruntime", {"threads": "many"}, "integer"),
        ("onnxruntime", {"allow_fallback": "perhaps"}, "boolean"),
        ("onnxruntime", {"python": 3}, "string"),
        ("onnxruntime", {"options": 3}, "dictionary"),
        ("pytorch", {"provider": "CUDAExecutionProvider"}, "takes no 'provider'. There is: device, options, python"),
        ("fake", {"thread": 1}, "Did you mean 'threads'"),
        ("onnxruntime", {"device": "cuda", "provider": "CPUExecutionProvider"}, "contradict each other"),
        ("onnxruntime", {"device": "cpu", "provider": "CUDAExecutionProvider"}, "runs on cuda"),
        ("onnxruntime", {"device": "cuda:1", "options": {"provider_options": {"device_id": 0}}}, "device_id"),
        ("onnxruntime", {"threads": 1, "options": {"threads": 2}}, "'threads' is given twice"),
        ("onnxruntime", {"options": {"sizes": {}}}, "no option 'sizes'"),
    ],
)
def test_a_wrong_value_or_a_contradiction_is_refused_in_words(
    kind: str, settings: dict[str, Any], says: str, tmp_path: Path
):
    with pytest.raises(UsageError, match=r"backend\.mine") as refused:
        checked(tmp_path, backend(kind, **settings))
    assert says in str(refused.value)


@pytest.mark.parametrize(("kind", "option"), [(kind, name) for kind, row in BACKENDS.items() for name in row.options])
def test_a_backends_option_is_passed_on_if_it_is_of_its_type_and_refused_if_not(kind: str, option: str, tmp_path: Path):
    right, wrong = right_and_wrong(BACKENDS[kind].options[option], {})
    for value in right:
        choice = checked(tmp_path, backend(kind, options={option: value})).backend["mine"]
        assert choice.session_options()[option] == value
    for value in wrong:
        with pytest.raises(UsageError, match=rf"the {kind} backend: {option} "):
            checked(tmp_path, backend(kind, options={option: value}))
    with pytest.raises(UsageError, match=rf"the {kind} backend has no option '{option}_'\. Did you mean"):
        checked(tmp_path, backend(kind, options={f"{option}_": right[0]}))


@pytest.mark.parametrize("setting", ["device", "threads"])
def test_a_setting_among_the_options_is_the_setting(setting: str):
    value = {"device": "cuda", "threads": 2}[setting]
    choice = BackendChoice(kind="pytorch", options={setting: value})
    assert (getattr(choice, setting), choice.options) == (value, {})
    assert choice.session_options()[setting] == value


@pytest.mark.parametrize(
    ("kind", "settings", "device"),
    [
        ("onnxruntime", {}, "cpu"),
        ("onnxruntime", {"device": "cuda:1"}, "cuda:1"),
        ("onnxruntime", {"provider": "CUDAExecutionProvider"}, "cuda"),
        ("onnxruntime", {"provider": "TensorrtExecutionProvider"}, "cuda"),
        ("onnxruntime", {"provider": "OpenVINOExecutionProvider"}, "cpu"),
        ("pytorch", {}, "cpu"),
        ("tensorrt", {}, "cuda"),
        ("fake", {}, "cpu"),
    ],
)
def test_a_backend_is_recorded_on_the_device_that_it_was_asked_for(kind: str, settings: dict[str, Any], device: str):
    assert BackendChoice(kind=kind, **settings).runs_on == device


OPTIONS = [(recipe, name) for recipe, row in VARIANT_RECIPES.items() for name in row.options]


@pytest.mark.parametrize(("recipe", "option"), OPTIONS)
def test_a_recipes_option_is_of_its_type_or_refused_when_the_suite_is_read(recipe: str, option: str, tmp_path: Path):
    row = RECIPES[recipe].options[option]
    chosen = {name: known.default for name, known in RECIPES[recipe].options.items()}
    right, wrong = right_and_wrong(row, chosen)
    places = [f'[variant.mine]\nrecipe = "{recipe}"\noptions = OPTIONS\n']
    if recipe == "export":
        places.append("[model.mine.export]\nPAIRS\n")
    for place in places:

        def tables(name: str, value: Any, place: str = place) -> str:
            pairs = f"{name} = {written(value)}"
            return place.replace("OPTIONS", f"{{ {pairs} }}").replace("PAIRS", pairs)

        for value in right:
            suite = checked(tmp_path, tables(option, value))
            held = suite.variant["mine"].options if "variant" in place else suite.model["mine"].export
            assert held == {option: value}
        for value in wrong:
            with pytest.raises(UsageError, match=rf"(variant|model) 'mine'.*recipe '{recipe}': {option} "):
                checked(tmp_path, tables(option, value))
        with pytest.raises(UsageError, match=rf"recipe '{recipe}' has no option '{option}_'\. Did you mean"):
            checked(tmp_path, tables(f"{option}_", right[0]))


def test_a_recipe_without_options_takes_none(tmp_path: Path):
    with pytest.raises(UsageError, match=r"recipe 'given' has no option 'opset'\. There is none yet"):
        checked(tmp_path, '[variant.mine]\nrecipe = "given"\noptions = { opset = 17 }\n')


def test_an_engine_recipe_is_no_variants_recipe(tmp_path: Path):
    with pytest.raises(UsageError, match="variant 'mine': unknown recipe 'tensorrt'"):
        checked(tmp_path, '[variant.mine]\nrecipe = "tensorrt"\n')


def test_a_fake_models_options_are_checked_too(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_text((MODEL + CASE).replace('onnx = "mine.onnx"', "fake = { gian = 2 }").replace("BACKEND", "fake"))
    with pytest.raises(UsageError, match=r"model 'mine', fake: .*no option 'gian'\. Did you mean 'gain'"):
        load_suite(path)


def test_the_check_of_a_suite_refuses_and_so_does_its_run_before_anything_runs(tmp_path: Path, db: Path):
    path = tmp_path / "mine.toml"
    path.write_text(MODEL + backend("fake", device="cuda") + CASE.replace("BACKEND", "mine"))
    for command in (("suite", "check"), ("run",)):
        done = assay(*command, path, db=db)
        assert done.code == 2
        assert "the fake backend takes no 'device'" in done.err
        assert not (db.parent / "artifacts").exists()


IDENTITY = """
from onnx import TensorProto, helper

def model():
    port = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", port[:1], port[1:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 9
    return made
"""


@pytest.mark.skipif(importlib.util.find_spec("onnxruntime") is None, reason="onnxruntime is not installed")
@pytest.mark.parametrize("settings", [{"device": "cuda"}, {"device": "cuda:1", "allow_fallback": True}])
def test_onnxruntime_on_cuda_without_its_provider_fails_and_never_runs_on_the_cpu(
    settings: dict[str, Any], tmp_path: Path, db: Path
):
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has the CUDA provider")
    (tmp_path / "mine.py").write_text(IDENTITY)
    path = tmp_path / "mine.toml"
    tables = backend("onnxruntime", **settings).replace("backend.mine", "backend.gpu")
    path.write_text(
        (MODEL + tables + CASE).replace("BACKEND", "gpu").replace("mine.onnx", "mine.py:model")
        + 'reference = "onnxruntime"\n'
    )
    done = assay("run", path, "--json", db=db)
    (case,) = done.document["cases"]
    assert done.code == 3, "a backend, device or database that this run needs is not there"
    assert case["status"] == "failed"
    assert "has no CUDAExecutionProvider" in case["error"]
    published = snapshot(Store(db))
    assert published
    with reading(published) as connection:
        (row,) = run_queries.cases_of(connection, done.document["run"])
    assert (row["name"], row["device"]) == ("mine/fp32/gpu/random/parity", settings["device"])
