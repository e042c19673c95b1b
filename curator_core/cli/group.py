"""The group of all commands: curator's own and those that other packages bring."""

from __future__ import annotations

import logging
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

import click

from curator_core.cli.options import CuratorCommand, add_common_options
from curator_core.errors import ConfigError, CuratorError, MissingDependencyError, UnknownNameError

logger = logging.getLogger("curator")

ENTRY_POINT_GROUP = "curator.commands"
"""Entry-point group of other packages' commands."""

OWN_COMMANDS = (
    *("run", "plan", "status", "retry", "gather"),
    *("versions", "verify", "croissant", "report", "export", "cache"),
    "workflow",
    *("components", "backends"),
)
"""Each is the object of that name in the module of that name, in the order of the help text."""


class CommandGroup(click.Group):
    """Loads a command when it is invoked or listed; one that cannot be loaded says why and harms no other."""

    @cached_property
    def _foreign(self) -> dict[str, EntryPoint]:
        found = {}
        for entry in entry_points(group=ENTRY_POINT_GROUP):
            if entry.name in OWN_COMMANDS:
                logger.warning("the command %r of %s is ignored: curator has its own", entry.name, _origin(entry))
            else:
                found[entry.name] = entry
        return found

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, curator's own first."""
        return [*OWN_COMMANDS, *sorted(self._foreign)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command."""
        if cmd_name in OWN_COMMANDS:
            command: click.Command = getattr(import_module(f"curator_core.cli.commands.{cmd_name}"), cmd_name)
        elif cmd_name in self._foreign:
            command = _load(self._foreign[cmd_name])
        else:
            return None
        return add_common_options(command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that `args` begin with; an unknown one lists the known."""
        if args and not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            raise click.UsageError(str(UnknownNameError.of("command", args[0], self.list_commands(ctx))), ctx)
        return super().resolve_command(ctx, args)


def _load(entry: EntryPoint) -> click.Command:
    try:
        command = entry.load()
    except Exception as exc:  # noqa: BLE001 - importing another package runs its code; shown when it is invoked
        return _unavailable(entry, exc)
    if not isinstance(command, click.Command):
        return _unavailable(entry, ConfigError(f"{entry.value} is no click command"))
    return command


def _unavailable(entry: EntryPoint, reason: Exception) -> click.Command:
    """A command in place of one that cannot be loaded."""
    text = _explained(entry, reason)

    def refuse(**_: object) -> None:
        kind = MissingDependencyError if isinstance(reason, ImportError) else ConfigError
        raise kind(f"The command {entry.name!r} of {_origin(entry)} is unavailable: {text}") from reason

    return CuratorCommand(
        entry.name,
        callback=refuse,
        help=f"Unavailable: {text}",
        short_help=f"(unavailable: {text})",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
        params=[click.Argument(["rest"], nargs=-1, type=click.UNPROCESSED)],
    )


def _explained(entry: EntryPoint, reason: Exception) -> str:
    if isinstance(reason, CuratorError):
        return str(reason)
    if isinstance(reason, ModuleNotFoundError) and reason.name:
        package = reason.name.partition(".")[0]
        needed = f"{entry.dist.name}[{','.join(entry.extras)}]" if entry.dist and entry.extras else package
        return f"it needs {package}, which is not installed. Install it with: pip install '{needed}'"
    return f"{type(reason).__name__}: {reason}"


def _origin(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.value
