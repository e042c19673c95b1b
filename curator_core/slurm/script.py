"""Scripts for sbatch: directives, environment, one command."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

from curator_core.errors import ConfigError
from curator_core.slurm.resources import Option, SlurmCluster, check_variable

_PLAIN = re.compile(r"[\w@%+=:,./-]+")


def render_script(
    command: Sequence[str],
    *,
    cluster: SlurmCluster,
    options: Mapping[str, Option],
    environment: Mapping[str, str] | None = None,
) -> str:
    """A script that runs one Python module in the cluster's environment.

    Nothing but `SlurmCluster.env_setup` is read as commands: all other names and values are quoted.

    Parameters
    ----------
    command
        Arguments of Python, such as ``("-m", "package.module", "--flag")``.
    cluster
        Where it runs.
    options
        Options of sbatch by name: ``True`` is written without a value, ``False`` not at all.
    environment
        Further environment variables.

    Raises
    ------
    ConfigError
        A value cannot be written in one line, or not at all.
    """
    given = {**cluster.options(), **options}
    directives = [_directive(name, value) for name, value in given.items() if value is not False]
    for name, value in (environment or {}).items():
        check_variable(name, value)
    variables = {**cluster.env_vars, **(environment or {})}
    exports = [f"export {name}={_literal(value)}" for name, value in variables.items()]
    run = shlex.join([*shlex.split(cluster.runner), *command])
    # A value is literal whatever is in it; `--`, because a command may begin with a dash.
    check = "# shellcheck disable=SC1003,SC2016"
    lines = ["#!/bin/bash", *directives, check, "set -e", *cluster.env_setup, *exports, f"exec -- {run}"]
    script = "\n".join(lines) + "\n"
    if "\0" in script or any("\ud800" <= character <= "\udfff" for character in script):
        raise ConfigError("The script of a job can hold neither NUL nor bytes that are not UTF-8.")
    return script


def _literal(value: str) -> str:
    return "'" + value.replace("'", r"'\''") + "'"


def _directive(name: str, value: Option) -> str:
    return f"#SBATCH --{name}" if value is True else f"#SBATCH --{name}={_quoted(name, str(value))}"


def _quoted(name: str, value: str) -> str:
    """As sbatch reads a directive: in double quotes, where a backslash protects the next character."""
    if not value.isprintable():
        raise ConfigError(f"--{name} of sbatch must be a text in one line, not {value!r}.")
    if _PLAIN.fullmatch(value):
        return value
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
