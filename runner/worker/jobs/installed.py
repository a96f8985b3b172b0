"""Whether this environment has a backend's library."""

from __future__ import annotations

from assay.runner.backends import DISTRIBUTIONS, load_backend
from assay.runner.worker.events.event import Events
from assay.runner.worker.events.facts import LibraryFound
from assay.runner.worker.job import InstalledJob


def run(job: InstalledJob, events: Events) -> None:
    """One event, `installed`.

    Raises:
        EnvironmentMissing: the library is not here; the message is the command that installs it.
    """
    from assay.runner.environment import library_versions

    load_backend(job.backend)
    library = DISTRIBUTIONS[job.backend]
    events.emit(LibraryFound(detail=f"{library} {library_versions().get(library, '')}".strip()))
