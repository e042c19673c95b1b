"""Options and arguments that several commands share."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


class Age(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """A span of time, such as ``30d``."""

    name = "age"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Parse a number with its unit."""
        if isinstance(value, timedelta):
            return value
        match = re.fullmatch(r"([0-9]{1,5})([hdw])", str(value).strip().lower())
        if match is None:
            self.fail(f"{value!r} is no span of time. Write 12h, 30d or 4w: hours, days or weeks.", param, ctx)
        return int(match[1]) * _UNITS[match[2]]


@dataclass(slots=True)
class Settings:
    """What the options that every command accepts have set."""

    show_traceback: bool = False
    """Whether an error is shown with its traceback."""


def settings_of(ctx: click.Context) -> Settings:
    """Settings of this invocation."""
    found = ctx.find_object(Settings)
    return found if found is not None else Settings()


def _set_traceback(ctx: click.Context, _param: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's call
    if value:
        settings_of(ctx).show_traceback = True


def _set_verbose(_ctx: click.Context, _param: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's call
    if value:
        logging.getLogger("curator").setLevel(logging.INFO)


def _common_options() -> list[click.Option]:
    flag: dict[str, Any] = {"is_flag": True, "expose_value": False, "is_eager": True}
    return [
        click.Option(["-v", "--verbose"], help="Also say what is decided on the way.", callback=_set_verbose, **flag),
        click.Option(["--traceback"], help="Show errors with their traceback.", callback=_set_traceback, **flag),
    ]


def add_common_options(command: click.Command) -> click.Command:
    """Give `command` and its sub-commands the options that every command accepts; those it has stay its own."""
    taken = {text for param in command.params for text in param.opts}
    command.params.extend(option for option in _common_options() if taken.isdisjoint(option.opts))
    if isinstance(command, click.Group):
        for child in command.commands.values():
            add_common_options(child)
    return command


class CuratorCommand(click.Command):
    """A command with examples under its help.

    Parameters
    ----------
    examples
        Command lines, without the leading ``curator``.
    """

    def __init__(self, name: str | None, *, examples: tuple[str, ...] = (), **attributes: Any) -> None:  # noqa: ANN401 - click's own
        super().__init__(name, **attributes)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, then the epilog."""
        if self.examples:
            with formatter.section("Examples" if len(self.examples) > 1 else "Example"):
                for example in self.examples:
                    formatter.write(f"{' ' * formatter.current_indent}curator {example}\n")
        super().format_epilog(ctx, formatter)


pipeline_argument = click.argument(
    "path", metavar="PIPELINE", type=click.Path(exists=True, dir_okay=False, path_type=str)
)
"""A pipeline file."""

recorded_argument = click.argument(
    "path", metavar="DB|PIPELINE", type=click.Path(exists=True, dir_okay=False, path_type=str)
)
"""A metrics database, or a pipeline file that names one; see `loading.recorded_at`."""

run_option = click.option(
    "--run", "run_id", metavar="N", type=int, help="Number of the run in the database; the newest by default."
)
"""One of the runs of a database."""


def output_option(
    help: str,  # noqa: A002 - click's name
    *,
    default: str | None = None,
) -> Callable[[F], F]:
    """A file to write.

    Parameters
    ----------
    help
        What is written.
    default
        Its name when none is given.
    """
    path = click.Path(dir_okay=False, path_type=Path)
    shown = default is not None
    return click.option("-o", "--output", metavar="FILE", type=path, default=default, show_default=shown, help=help)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead, for scripts.")
"""Machine-readable output."""

database_option = click.option(
    "--db",
    "db_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=str),
    help="Metrics database to use, in place of the pipeline's own.",
)
"""An explicit metrics database."""
