"""Scripts for sbatch: directives, environment, one command."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence

from curator_core.errors import ConfigError
from curator_core.slurm.resources import Option, SlurmCluster, check_variable

_PLAIN = re.compile(r"[\w@%+=:,./-]+")
_INSTALLATION = re.compile(r"/(site-packages|dist-packages|lib(64)?/python3[^/]*)(/|$)|python3\d+\.zip$")

_THREADS = '[ -z "${SLURM_CPUS_PER_TASK:-}" ] || export ' + " ".join(
    f'{name}_NUM_THREADS="$SLURM_CPUS_PER_TASK"' for name in ("OMP", "MKL", "OPENBLAS")
)
"""Before `env_setup`, which may set others; what the submitter's own shell has set was not meant for this job."""
_TELL_FAILURE = """trap 'echo "curator: env_setup: line $LINENO of the script returned $?" >&2' ERR"""
"""Not the command itself, in which there may be a secret."""


def render_script(
    command: Sequence[str],
    *,
    cluster: SlurmCluster,
    options: Mapping[str, Option],
    environment: Mapping[str, str] | None = None,
    required: Sequence[str] = (),
    remark: str = "",
) -> str:
    """A script that runs one Python module in the cluster's environment.

    Nothing but `SlurmCluster.env_setup` is read as commands: all other names and values are quoted. Modules are found
    where this process finds them, those of its Python's installation apart. Numbers of threads are those of the
    task's CPUs, unless `env_setup` or `env_vars` set them. A command of `env_setup` that fails is in the log, and
    the script goes on: ``module load`` often says that it failed where it did not.

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
    required
        Names of variables that whoever submits it has to set.
    remark
        A comment for those who read the script, one line.

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
    exports += [f'export {name}="${{{name}:?is set by what submits this script}}"' for name in required]
    if paths := ":".join(_own_paths()):
        exports.append(f'export PYTHONPATH={_literal(paths)}"${{PYTHONPATH:+:$PYTHONPATH}}"')
    run = shlex.join([*shlex.split(cluster.runner), *command])
    # A value is literal whatever is in it; `--`, because a command may begin with a dash.
    check = "# shellcheck disable=SC1003,SC2016"
    said = [f"# {remark}"] if remark else []
    setup = [_TELL_FAILURE, *cluster.env_setup, "trap - ERR"] if cluster.env_setup else []
    lines = ["#!/bin/bash", *directives, *said, check, _THREADS, *setup, *exports, f"exec -- {run}"]
    script = "\n".join(lines) + "\n"
    if "\0" in script or any("\ud800" <= character <= "\udfff" for character in script):
        raise ConfigError("The script of a job can hold neither NUL nor bytes that are not UTF-8.")
    return script


def _literal(value: str) -> str:
    return "'" + value.replace("'", r"'\''") + "'"


def import_paths() -> tuple[str, ...]:
    """Where this process finds modules, as absolute paths."""
    return tuple(os.path.abspath(path) for path in sys.path)  # noqa: PTH100 - an empty one is the current folder


def _own_paths() -> list[str]:
    """Those that do not belong to a Python installation, which may be another one on a node."""
    found = dict.fromkeys(import_paths())
    return [path for path in found if not _INSTALLATION.search(path) and ":" not in path and path.isprintable()]


def _directive(name: str, value: Option) -> str:
    return f"#SBATCH --{name}" if value is True else f"#SBATCH --{name}={_quoted(name, str(value))}"


def _quoted(name: str, value: str) -> str:
    """As sbatch reads a directive: in double quotes, where a backslash protects the next character."""
    if not value.isprintable():
        raise ConfigError(f"--{name} of sbatch must be a text in one line, not {value!r}.")
    if _PLAIN.fullmatch(value):
        return value
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
