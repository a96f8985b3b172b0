"""The `assay` command: parse, call one function, print. Heavy libraries load inside the commands that need them.

stdout is results, stderr is everything else. Exit codes: see `assay.runner.errors.ExitCode`. The verbs register
themselves: a family of them is a file, and a new verb is one function in it.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from assay.runner.cli import (
    alerts,
    compare,
    contract,
    db,
    detect,
    documents,
    golden,
    measure,
    model_files,
    nights,
    other_tools,
    policy,
    read,
    schedule,
    search,
    suite,
    waivers,
    why,
)
from assay.runner.cli.family import PanelledGroup
from assay.runner.errors import AssayError, ExitCode

_FAMILIES = (
    *(measure, search, other_tools),
    *(read, compare, documents),
    *(why, model_files),
    *(nights, detect, alerts, schedule),
    *(suite, golden, contract, policy, waivers, db),
)
"""In the order of `assay --help`."""

app = typer.Typer(
    cls=PanelledGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["--help", "-h"]},
)
for family in _FAMILIES:
    family.family.join(app)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"assay {version('assay')}")
        raise typer.Exit


@app.callback(epilog="Begin with: assay run quickstart, then: assay show, assay dashboard.")
def assay(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Keep the books on optimized models: parity, speed, size, and which version broke it."""
    del version


def main() -> None:
    """Run the command line; errors meant for people become one message and an exit code, never a traceback."""
    try:
        app(prog_name="assay")
    except AssayError as error:
        _quit(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _quit("interrupted; finished cases are recorded. Continue with --resume.", ExitCode.INTERRUPTED)
    except BrokenPipeError:  # `assay list runs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(ExitCode.OK)
    except Exception as error:
        from assay.schema.errors import BadTriage, StoreError, UnknownRun

        if not isinstance(error, StoreError):
            raise
        _quit(str(error), ExitCode.USAGE if isinstance(error, UnknownRun | BadTriage) else ExitCode.ENVIRONMENT)


def _quit(message: str, code: ExitCode) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(int(code))


if __name__ == "__main__":
    main()
