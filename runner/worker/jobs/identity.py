"""What the model of a preparation is: read while it is made, and once more when it has run for the first time."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from assay.runner.errors import UsageError
from assay.runner.identity.commit import commit_of, version_at
from assay.runner.identity.loaded import Watched, label_of, parts_of
from assay.runner.identity.model import Identity
from assay.runner.identity.values import Hasher
from assay.runner.session import Session
from assay.runner.source import is_factory, module_of
from assay.runner.worker.job import PrepareJob


class Model:
    """A model while it is read: what it is made of, and from which commit."""

    def __init__(self, job: PrepareJob) -> None:
        self._job = job
        self._folder = Path(job.folder)
        self._given = job.onnx
        self._unseen: set[str] = set()
        self._parts: dict[str, str] = {}
        self.watched = Watched()
        """Entered while code of the model runs: at loading, and at the first inference."""

    @contextmanager
    def with_graph(self) -> Iterator[PrepareJob]:
        """The job with its ONNX file: what a factory makes is made once, and kept as long as the job runs.

        Raises:
            UsageError: the file is missing or cannot be read, or the factory raised.
        """
        job = self._job
        if not job.onnx:
            yield job
            return
        from assay.runner.identity.graphs import hash_onnx
        from assay.runner.recipes.given import made_by

        with TemporaryDirectory(prefix="assay-given-") as scratch:
            if is_factory(job.onnx):
                with self.watched:
                    path = made_by(job.onnx, job.onnx_options, self._folder, Path(scratch))
            else:
                path = self._folder / job.onnx
            if path.is_file():  # what is not there, or is no graph, the recipe refuses in words
                try:
                    self._parts["graph"] = hash_onnx(path)
                except Exception:  # noqa: BLE001
                    self._unseen.add(f"graph {path.name}")
            yield replace(job, onnx=str(path), onnx_options={})

    def read(self, session: Session) -> None:
        """Take what is known of a session that has just been opened, before it runs."""
        source = self._job.source
        hasher = Hasher(self._folder)
        if source["kind"] == "factory":
            module, _, name = source["location"].rpartition(":")
            del module
            self._parts["entry"] = hasher.of(f"{label_of(self._module_name())}:{name}")
            self._parts["options"] = hasher.of(source["options"])
            from assay.runner.identity.modules import parts_of_module

            self._parts |= parts_of_module(session.module, hasher)
        elif source["kind"] in ("torchscript", "exported-program"):
            from assay.runner.identity.programs import hash_program

            self._parts["program"] = hash_program(Path(source["location"]))
        elif source["kind"] == "fake":
            self._parts["options"] = hasher.of(source["options"])
        self._unseen |= hasher.unseen

    def identity(self) -> Identity:
        """What has been read so far, with the sources and files of everything that has run."""
        roots = [self._module_name()] if self._job.source["kind"] == "factory" else []
        sources = self.watched.sources(*roots)
        files = self.watched.files()
        parts = dict(self._parts)
        if self._job.source["kind"] == "factory":
            parts |= parts_of(sources, files, self._folder)
        return Identity(parts, tuple(sorted(self._unseen)), (*sources.values(), *files))

    def version(self, identity: Identity) -> str:
        """The version by name, by commit, or by content, as the suite asks for it.

        Raises:
            UsageError: the commit is asked for, and the model lies in no repository.
        """
        job = self._job
        if job.version == "artifact":
            return identity.sha256[:12]
        if job.version != "git":
            return job.version
        place = self._place()
        commit = commit_of(place)
        if commit is None:
            raise UsageError(f'model {job.model!r} has version = "git", and {place} is in no git repository.')
        return version_at(commit, place, [place, *identity.files, *self._graph_files()])

    def _graph_files(self) -> list[Path]:
        if not self._given or is_factory(self._given) or not (path := self._folder / self._given).is_file():
            return []
        from assay.runner.identity.graphs import external_files

        return [path, *external_files(path)]

    def _module_name(self) -> str:
        return module_of(self._job.source["location"], self._folder)

    def _place(self) -> Path:
        """The file that the model is in."""
        source: dict[str, Any] = self._job.source
        named = source["location"] if source["kind"] != "onnx" else str(self._given)
        if source["kind"] == "fake":
            return self._folder
        if source["kind"] in ("factory", "onnx") and is_factory(named):
            file = getattr(sys.modules.get(module_of(named, self._folder)), "__file__", None)
            return Path(str(file)) if file else self._folder
        return self._folder / named
