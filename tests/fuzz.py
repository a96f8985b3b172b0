"""Parsers under hostile documents: how many kinds of traceback come up that are not the documented error.

    python tests/fuzz.py [--documents 14000] [--seed 0]
    python tests/fuzz.py --atheris PARSER [libFuzzer's options]     needs: pip install atheris

Valid documents of each format are mutated: bytes flipped, cut, doubled, and words put in that parsers stumble over.
Prints one JSON line: documents, parsers, and every kind of traceback with its parser and how often it came.
"""

from __future__ import annotations

import argparse
import base64
import inspect
import io
import json
import pickle
import random
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from assay.runner.cli.series_lines import _series
from assay.runner.errors import AssayError
from assay.runner.graphs import engine_layers, engine_pair
from assay.runner.identity.model import kept_parts
from assay.runner.identity.programs import hash_archive
from assay.runner.nights.config import load_nightly
from assay.runner.rules.contract import load_contract
from assay.runner.rules.expression import parse
from assay.runner.rules.policies import read_policy
from assay.runner.suites.case import expand
from assay.runner.suites.suite import load_suite
from assay.runner.tensors import texts_of_bytes
from assay.runner.worker import job
from assay.runner.worker.events import wire
from assay.runner.workloads import golden, read_arrays
from assay.runner.workloads.datasets import coco, table
from assay.runner.workloads.golden_files import read_reference
from assay.schema.errors import StoreError
from assay.schema.store.bundle import MANIFEST, manifest_hash, read_manifest

HOSTILE = (
    b"null",
    b"[]",
    b"{}",
    b"-1",
    b"1e999",
    b"NaN",
    b"Infinity",
    b"9" * 400,
    b"9" * 5000,
    b'"\\ud800"',
    b'"\\u0000"',
    b"[" * 3000,
    b'""',
    b"true",
    b"0",
    b"\x00",
    b"\x1b[31m",
    b"\xff\xfe",
    b"1.5",
    b'{"a":{}}',
    b"[[1],[1,2]]",
    b"a" * 70000,
    b"\n",
    b'"',
)
SCRATCH = tempfile.TemporaryDirectory(prefix="assay-fuzz-")
"""Goes with the process."""
SUITE = b"""name = "s"
[model.m]
fake = {}
[workload.w]
generator = "g.py:make"
[[case]]
check = "parity"
models = ["m"]
backends = ["fake"]
workloads = ["w"]
"""
ENGINE = (
    b'{"Layers": [{"Name": "a", "LayerType": "conv", "Inputs": [{"Name": "x", "Dimensions": [1, 2],'
    b' "Format/Datatype": "Row FP16"}], "Outputs": [], "Metadata": "n", "StreamId": 0,'
    b' "Weights": {"Type": "Half", "Count": 3}}], "Bindings": ["x"]}'
)
SAFETENSORS = (56).to_bytes(8, "little") + b'{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}  abcd'
CONTRACT = b'{"inputs": [{"name": "x", "dtype": "float", "shape": [1]}], "outputs": [{"name": "y", "shape": [1]}]}'
NIGHT = b'suites = ["s.toml"]\n[[notify]]\nname = "a"\nkind = "webhook"\nurl_env = "URL"\n'
PYTEST = b'{"benchmarks": [{"name": "a", "stats": {"data": [1]}}]}'
RUN = b'[{"cat": "Session", "name": "model_run", "dur": 5, "ts": 1}]'
PARTS = b'{"parts": {"source": "a"}, "unseen": []}'
COCO = (
    b'{"images": [], "categories": [{"id": 1, "name": "a"}],'
    b' "annotations": [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1]}]}'
)
INDEX = b'{"format": 1, "facts": {}, "steps": []}'
TIMES = b'[{"latencyMs": 1.5, "computeMs": 1.2}, {"latencyMs": 1.6, "computeMs": 1.2}]'
STEP = b'{"inputs": {"x": [1.0, 2.0]}, "outputs": {"y": {"dtype": "float32", "shape": [1], "data_b64": "AACAPw=="}}}\n'


def _file(parse: Callable[[Path], object], suffix: str, folder: str = ".") -> Callable[[bytes], object]:
    path = Path(tempfile.mkdtemp(dir=SCRATCH.name)) / folder / f"g{suffix}"
    path.parent.mkdir(exist_ok=True)

    def one(content: bytes) -> object:
        path.write_bytes(content)
        return parse(path)

    return one


def _coco(path: Path) -> list[object]:
    sizes = {"width": 2, "height": 2}
    return [*coco(seed=0, batches=1, folder=path.parent, annotations=path.name, images=".", **sizes)]


def _stored(parse: Callable[[Path], object]) -> Callable[[bytes], object]:
    path = Path(tempfile.mkdtemp(dir=SCRATCH.name)) / "b" / MANIFEST
    path.parent.mkdir()

    def one(content: bytes) -> object:
        path.write_bytes(content)
        try:
            return parse(path)
        except StoreError as error:
            raise AssayError(str(error)) from None

    return one


def _manifest() -> bytes:
    told = {"bundle_id": "b", "run_id": "r", "host": "h", "written_at": "2026-01-02T00:00:00", "files": {}}
    told["schema_version"] = 9
    return json.dumps({**told, "sha256": manifest_hash(told)}).encode()


def _program() -> bytes:
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w") as archive:
        archive.writestr("m/models/model.json", '{"graph": {"nodes": [{"target": "add", "metadata": {}}]}}')
        archive.writestr("m/data.pkl", pickle.dumps({"a": [1, 2]}))
    return kept.getvalue()


def _npy() -> bytes:
    kept = io.BytesIO()
    np.save(kept, np.zeros((2, 3), np.float32))
    return kept.getvalue()


def _imported(kind: str, *mapping: str) -> Callable[[bytes], object]:
    from assay.runner.books.imports import _read

    return _file(lambda path: _read(kind, path, mapping), ".txt")


def _wire(parse: Callable[[bytes], object]) -> Callable[[bytes], object]:
    def one(content: bytes) -> object:
        try:
            return parse(content)
        except ValueError as error:  # what they document
            raise AssayError(str(error)) from None

    return one


def _text(parse: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda content: parse(content.decode("utf-8", "replace"))


def _npz() -> bytes:
    kept = io.BytesIO()
    np.savez_compressed(kept, **{"input.x": np.zeros((2, 3), np.float32), "output.y": np.ones(2)})
    return kept.getvalue()


def _results() -> bytes:
    array = {"values": {"array": base64.b64encode(_npy()).decode()}}
    return json.dumps({"lst": [["r", [{"outputs": {"y": array}}]]]}).encode()


def _polygraphy(path: Path) -> list[object]:
    fed = path.with_name("inputs.json")
    fed.write_text(json.dumps([{"x": {"values": {"array": base64.b64encode(_npy()).decode()}}}]))
    return [*read_reference(path, fed)]


def parsers() -> dict[str, tuple[Callable[[bytes], object], bytes]]:
    """Name -> what parses bytes, and a valid document."""
    read_table = lambda p: [*table(seed=0, batches=9, folder=p.parent, path=p.name, label="y")]  # noqa: E731
    return {
        "suite": (_file(lambda path: expand(load_suite(path)), ".toml"), SUITE),
        "policy": (_file(read_policy, ".toml"), b'why = "w"\natol = 0.1\n'),
        "contract": (_file(load_contract, ".toml"), b'[[state]]\ninput = "a"\noutput = "b"\n'),
        "contract json": (_file(load_contract, ".json"), CONTRACT),
        "nightly": (_file(load_nightly, ".toml"), NIGHT),
        "trtexec": (_imported("trtexec"), TIMES),
        "trtexec layers": (_imported("trtexec"), ENGINE),
        "polygraphy": (_imported("polygraphy"), b'{"lst": [["r", [{"runtime": 0.5, "outputs": {}}]]]}'),
        "onnxruntime": (_imported("onnxruntime"), RUN),
        "pytest-benchmark": (_imported("pytest-benchmark"), PYTEST),
        "csv": (_imported("csv", "latency_p50_ms=m", "name=n"), b"n,m\na,1.5\nb,2.5\n"),
        "engine": (_text(engine_layers.read), ENGINE),
        "engine profile": (_text(engine_pair.times), b'[{"count": 1}, {"name": "a", "averageMs": 0.5}]'),
        "reference jsonl": (_file(lambda path: [*read_reference(path)], ".jsonl"), STEP),
        "reference npz": (_file(lambda path: [*read_reference(path)], ".npz"), _npz()),
        "arrays": (_file(read_arrays, ".npz"), _npz()),
        "safetensors": (_file(read_arrays, ".safetensors"), SAFETENSORS),
        "table": (_file(read_table, ".csv"), b"a,y\n1,0\n2,1\n"),
        "golden index": (_file(lambda path: golden.read(path.parent, "g"), ".json"), INDEX),
        "coco": (_file(_coco, ".json"), COCO),
        "reference polygraphy": (_file(_polygraphy, ".json"), _results()),
        "array": (_file(read_arrays, ".npy"), _npy()),
        "stored text": (_wire(lambda content: texts_of_bytes(content, (2,))), b'["a", "b"]'),
        "saved program": (_file(hash_archive, ".pt2"), _program()),
        "kept identity": (_file(lambda path: kept_parts(path.parent.parent, path.stem), ".json", "identities"), PARTS),
        "series": (_text(lambda text: _series(text, 1)), b'{"id": "a", "values": [1, 2.5], "better": "lower"}'),
        "invariant": (_wire(_text(parse)), b"abs(output - 1) < 2 and input >= previous.input"),
        "manifest": (_stored(lambda path: read_manifest(path.parent)), _manifest()),
        "event": (_wire(wire.decode), b'{"event": "note", "message": "a"}'),
        "job": (_wire(job.decode), b'{"job": "InstalledJob", "op": "installed", "backend": "pytorch"}'),
    }


def mutated(document: bytes, draw: random.Random) -> bytes:
    """A document with one to four of its places changed."""
    made = bytearray(document)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(made) + 1)
        until = min(len(made), at + draw.choice((0, 1, 2, 8, 32)))
        match draw.randrange(5):
            case 0:
                made[at:until] = draw.choice(HOSTILE)
            case 1:
                made[at:until] = b""
            case 2:
                made[at:at] = made[at:until] * draw.randint(1, 3)
            case 3:
                made[at:until] = draw.randbytes(until - at)
            case _:
                places = [n for n, byte in enumerate(made) if byte in b"0123456789[{\"'"]
                if places:
                    at = draw.choice(places)
                    made[at : at + 1] = draw.choice(HOSTILE)
    return bytes(made)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--documents", type=int, default=14_000)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--atheris", metavar="PARSER")
    options, rest = asked.parse_known_args()
    every = parsers()
    if options.atheris:
        with_atheris(every[options.atheris][0], rest)
        return
    draw, kinds, names = random.Random(options.seed), Counter[str](), [*every]
    for number in range(options.documents):
        parse, valid = every[name := names[number % len(names)]]
        try:
            parse(mutated(valid, draw))
        except AssayError:
            pass
        except Exception as error:  # noqa: BLE001  it is what is counted
            kinds[f"{name}: {type(error).__name__}"] += 1
    failing = {kind.partition(":")[0] for kind in kinds}
    print(json.dumps({"documents": options.documents, "parsers": len(names), "failing": len(failing), "kinds": kinds}))
    sys.exit(bool(kinds))


def with_atheris(parse: Callable[[bytes], object], options: list[str]) -> None:
    try:
        import atheris  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        sys.exit("atheris is not installed. Get it with: pip install atheris. Without --atheris its own mutator runs.")

    def one(content: bytes) -> None:
        with suppress(AssayError):
            parse(content)

    for name, module in [*sys.modules.items()]:  # everything that is loaded would take minutes
        if name.partition(".")[0] in ("assay", "json", "tomllib"):
            for function in vars(module).values():
                if inspect.isfunction(function) and function.__module__ == name:
                    atheris.instrument_func(function)
    atheris.Setup([sys.argv[0], *options], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
