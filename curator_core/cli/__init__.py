"""The `curator` command: one module per sub-command, loaded when it is asked for."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from curator_core.cli.exitcodes import ExitCode
from curator_core.cli.failure import exit_code_of, message_lines
from curator_core.cli.group import CommandGroup
from curator_core.cli.logs import log_to_stderr
from curator_core.cli.options import Settings, add_common_options
from curator_core.cli.output import say
from curator_core.moved import names_in

if TYPE_CHECKING:
    from curator_core.cli.loading import import_from_here as import_from_here
    from curator_core.cli.options import Age as Age
    from curator_core.cli.options import CuratorCommand as CuratorCommand
    from curator_core.cli.output import counted as counted
    from curator_core.cli.output import is_attended as is_attended
    from curator_core.cli.output import print_table as print_table
    from curator_core.cli.output import size as size

_HOME = {
    "import_from_here": "curator_core.cli.loading",
    "Age": "curator_core.cli.options",
    "CuratorCommand": "curator_core.cli.options",
    "counted": "curator_core.cli.output",
    "is_attended": "curator_core.cli.output",
    "print_table": "curator_core.cli.output",
    "size": "curator_core.cli.output",
}

__all__ = [
    "Age",
    "CuratorCommand",
    "ExitCode",
    "cli",
    "counted",
    "import_from_here",
    "is_attended",
    "main",
    "print_table",
    "say",
    "size",
]
__getattr__ = names_in(__name__, _HOME)


@click.group(
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "Exit status: 0 all done, 1 some items failed, 2 the command line, the configuration or the surroundings "
        "are wrong, 130 interrupted.\n\n\b\n"
        "Completion of commands, options and file names with the Tab key:\n"
        '  bash  eval "$(_CURATOR_COMPLETE=bash_source curator)"   in ~/.bashrc\n'
        '  zsh   eval "$(_CURATOR_COMPLETE=zsh_source curator)"    in ~/.zshrc\n'
        "  fish  _CURATOR_COMPLETE=fish_source curator | source    in ~/.config/fish/config.fish"
    ),
)
@click.version_option(package_name="curator-dagster", prog_name="curator", message="%(prog)s %(version)s")
def cli() -> None:
    """Turn piles of raw scientific data into AI-ready datasets, every single item accounted for.

    A pipeline file (YAML or JSON) names a source, filters and a sink. `run` processes every item and records
    how it went, `status` shows it, `gather` merges what is merged at the end. `curator COMMAND --help` has the
    details and examples.
    """


add_common_options(cli)


def main(args: Sequence[str] | None = None) -> int:
    """Run a command line; the exit status.

    Parameters
    ----------
    args
        Words after ``curator``; those of this process by default.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a character still gets the rest
    settings = Settings()
    with log_to_stderr():
        try:
            status = cli.main(
                None if args is None else list(args),
                prog_name="curator",
                complete_var="_CURATOR_COMPLETE",
                standalone_mode=False,
                obj=settings,
            )
        except Exception as exc:  # noqa: BLE001 - the end of the line: shown with its traceback on request
            for line in message_lines(exc, show_traceback=settings.show_traceback):
                say(line, err=True)
            return exit_code_of(exc)
    return int(status) if isinstance(status, int) else ExitCode.OK
