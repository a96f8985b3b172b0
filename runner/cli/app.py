"""The `assay` command: parse, call one function, print. Heavy libraries load inside the commands that need them.

stdout is results, stderr is everything else. Exit codes: see `assay.runner.errors.ExitCode`. The verbs register
themselves: a family of them is a file, and a new verb is one function in it.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, TextIO, cast

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
from assay.runner.cli.process import end_as_asked, fault, fault_of_machine
from assay.runner.errors import AlreadyEnded, AssayError, ExitCode, Interrupted
from assay.runner.escaping import Terminal
from assay.runner.permission import take_flags

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


@app.callback(
    epilog="Begin with: assay run quickstart, then: assay show, assay dashboard. --allow-code[=WHAT], with any verb,"
    " runs code that a suite names and that lies neither beside it nor in Assay."
)
def assay(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Keep the books on optimized models: parity, speed, size, and which version broke it."""
    del version


def main() -> None:
    """Run the command line; errors meant for people become one message and an exit code, never a traceback."""
    end_as_asked()
    sys.stdout, sys.stderr = cast("TextIO", Terminal(sys.stdout)), cast("TextIO", Terminal(sys.stderr))
    try:
        app(take_flags(sys.argv[1:]), prog_name="assay")
    except AssayError as error:
        _quit(str(error), error.exit_code)
    except AlreadyEnded as ended:
        print(f"run {ended.run_id} had come to its end; see it with: assay show {ended.run_id}", file=sys.stderr)
        sys.exit(ended.exit_code)
    except (Interrupted, KeyboardInterrupt, typer.Abort):
        _quit("interrupted; finished cases are recorded. Continue with --resume.", ExitCode.INTERRUPTED)
    except BrokenPipeError:  # `assay list runs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(ExitCode.OK)
    except Exception as error:  # noqa: BLE001  CI reads 1 as a regression: nothing unforeseen may end with it
        from assay.schema.errors import BadTriage, StoreError, UnknownRun

        if isinstance(error, StoreError):
            _quit(str(error), ExitCode.USAGE if isinstance(error, UnknownRun | BadTriage) else ExitCode.ENVIRONMENT)
        if (told := fault_of_machine(error)) is not None:
            _quit(told, ExitCode.ENVIRONMENT)
        _quit(fault(error), ExitCode.FAULT)


def _quit(message: str, code: ExitCode) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(int(code))


if __name__ == "__main__":
    main()
