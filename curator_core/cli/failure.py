"""What an error that ends a command looks like, and which exit status it gives."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

import click
from click.exceptions import NoArgsIsHelpError

from curator_core.cli.exitcodes import ExitCode
from curator_core.cli.output import one_line
from curator_core.errors import CuratorError, MergeError, RunFailed
from curator_core.printable import printable_lines
from curator_core.redaction import without_known
from curator_core.storage.disk import is_full, output_error


def exit_code_of(error: BaseException) -> ExitCode:
    """Exit status for an error that ended a command."""
    if isinstance(error, click.Abort):
        return ExitCode.INTERRUPTED
    if isinstance(error, RunFailed | MergeError):
        return ExitCode.ITEMS_FAILED
    return ExitCode.USAGE


def message_lines(error: BaseException, *, show_traceback: bool = False) -> Iterator[str]:
    """The text for stderr: one line, after the traceback where that is wanted."""
    if isinstance(error, NoArgsIsHelpError):
        yield error.format_message()
        return
    if show_traceback:
        yield printable_lines(without_known("".join(traceback.format_exception(error)).rstrip()))
    if isinstance(error, click.Abort):
        yield "Interrupted."
    elif isinstance(error, click.ClickException):
        text = one_line(without_known(error.format_message()))
        yield f"error: {text}{'' if text.endswith(('.', '?', '!')) else '.'}{_where_to_look(error)}"
    elif isinstance(error, CuratorError) or (isinstance(error, OSError) and error.strerror):
        if isinstance(error, OSError) and is_full(error) and error.filename is None:
            error = output_error("standard output", error)  # curator's own files are named
        yield f"error: {one_line(without_known(str(error)))}"
    else:
        hint = "" if show_traceback else " (--traceback shows where)"
        yield f"error: unexpected {type(error).__name__}: {one_line(without_known(str(error)))}{hint}"


def _where_to_look(error: click.ClickException) -> str:
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f" See: {error.ctx.command_path} --help"
    return ""
