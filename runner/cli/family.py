"""A family of verbs: a file each, every one in a panel of `assay --help`.

A verb is a function under `@family.command()`; its docstring's first line is its summary. `app.py` knows the families,
never their verbs.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import typer
from typer.core import TyperGroup


class Panel(StrEnum):
    """Headings of `assay --help`, in its order."""

    MEASURE = "Measure"
    READ = "Read"
    WHY = "Why"
    NIGHTS = "Nights"
    KEEP = "Keep"


class PanelledGroup(TyperGroup):
    """A group whose help lists its verbs by panel, every summary whole.

    rich could do it too, and is slow to load.
    """

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Panels in their order, and in each the verbs as they were registered."""
        shown = [(name, command) for name, command in self.commands.items() if not command.hidden]
        widest = max((len(name) for name, _ in shown), default=0)
        panels: dict[str, list[tuple[str, str]]] = {panel: [] for panel in Panel} | {"Commands": []}
        for name, command in shown:
            heading = str(getattr(command, "rich_help_panel", None) or "Commands")
            panels[heading].append((name.ljust(widest), summary(command)))
        for heading, rows in panels.items():
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)
        del ctx


def summary(command: Any) -> str:
    """The first paragraph of a command's help, whole."""
    return " ".join(str(command.help or "").partition("\n\n")[0].split())


class Family(typer.Typer):
    """Verbs of one panel; with a `name`, a group of its own in that panel (`assay NAME VERB`)."""

    def __init__(self, panel: Panel, *, name: str | None = None, help: str | None = None) -> None:  # noqa: A002
        """`help` is the group's summary; verbs without a group stand directly under `assay`."""
        super().__init__(name=name, help=help, cls=PanelledGroup, no_args_is_help=True)
        self._own, self._panel = panel.value, None if name else panel.value

    def join(self, app: typer.Typer) -> None:
        """Put these verbs (or, with a name, the group of them) into a command line, or into another family."""
        app.add_typer(self, rich_help_panel=self._own)

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        """Register the function below as a verb; its name is the function's, or `name`."""
        return super().command(name, rich_help_panel=self._panel, **settings)
