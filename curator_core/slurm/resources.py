"""What a job asks for, and where it runs."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

from curator_core.config import plain_mapping, read_mapping
from curator_core.errors import ConfigError, UnknownNameError

_TIME = re.compile(r"\d+|\d+:\d\d|\d+:\d\d:\d\d|\d+-\d+(:\d\d){0,2}|UNLIMITED|INFINITE")  # sbatch(1), --time
_MEMORY = re.compile(r"\d+[KMGT]?")  # sbatch(1), --mem
_OPTION = re.compile(r"[a-z][a-z0-9-]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_BASHS_OWN = re.compile(
    "_|BASHOPTS|BASHPID|BASH_(ALIASES|ARGC|ARGV|CMDS|COMMAND|LINENO|SOURCE|SUBSHELL|VERSINFO)|DIRSTACK|EPOCHREALTIME"
    "|EPOCHSECONDS|EUID|FUNCNAME|GROUPS|HISTCMD|LINENO|OPTIND|PIPESTATUS|PPID|S?RANDOM|SECONDS|SHELLOPTS|SHLVL|UID"
)
"""Variables that bash sets itself: a value would be refused, lost, or worked out as a sum, commands in it included."""
_OURS = ("array", "dependency", "wait", "wrap", "parsable", "output", "error", "comment", "test-only")

Option = str | int | bool
"""Value of an option of sbatch: ``True`` is written without a value, ``False`` not at all."""


class Settings:
    """A dataclass that can be made of a configuration."""

    @classmethod
    def from_yaml(cls, config: object) -> Self:
        """From a file's path, a mapping, or an OmegaConf configuration.

        Raises
        ------
        ConfigError
            It has unknown settings, or wrong values.
        """
        return cls(**cls._converted(_settings(cls, config)))

    @classmethod
    def of(cls, given: object) -> Self:
        """What is given, made of a configuration if it is one; the defaults for ``None``."""
        return given if isinstance(given, cls) else cls.from_yaml({} if given is None else given)

    @classmethod
    def _converted(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """Settings of a file as the constructor takes them."""
        return settings


@dataclass(frozen=True)
class SlurmResources(Settings):
    """What every job of a step, or every task of an array, gets.

    Raises
    ------
    ConfigError
        A value is not what sbatch takes.
    """

    time: str = "01:00:00"
    """Time limit: minutes, or ``[days-]hours:minutes:seconds``."""
    mem: str = "4G"
    """Memory per node."""
    cpus_per_task: int = 1
    """CPUs of a task."""
    nodes: int = 1
    """Nodes of a job."""
    max_array_size: int = 900
    """Tasks of an array at most; with more to do, each task does several. Clusters take 1,000 by default."""
    max_concurrent: int = 64
    """Tasks of an array that run at the same time."""
    extra_sbatch: Mapping[str, Option] = field(default_factory=dict)
    """Further options of sbatch by name, such as ``{"gres": "gpu:1", "exclusive": True}``."""

    def __post_init__(self) -> None:
        for name, pattern in (("time", _TIME), ("mem", _MEMORY)):
            value = getattr(self, name)
            if not isinstance(value, str):  # YAML takes 10:00:00 for the number 36000
                raise ConfigError(f"SlurmResources: {name}={value!r} is no text; in a file, put it in quotes.")
            if not pattern.fullmatch(value):
                raise ConfigError(f"SlurmResources: {name}={value!r} is nothing that sbatch takes; see its manual.")
        for name in ("cpus_per_task", "nodes", "max_array_size", "max_concurrent"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigError(f"SlurmResources: {name} must be a positive number, not {value!r}.")
        _check_mapping("SlurmResources: extra_sbatch", self.extra_sbatch)
        for option, value in self.extra_sbatch.items():
            _check_option(option, value)

    def options(self) -> dict[str, Option]:
        """Options of sbatch by name."""
        return {
            "time": self.time,
            "mem": self.mem,
            "cpus-per-task": self.cpus_per_task,
            "nodes": self.nodes,
            "ntasks": self.nodes,
            **self.extra_sbatch,
        }


@dataclass(frozen=True)
class SlurmCluster(Settings):
    """Where jobs run, and what they need before they begin.

    Raises
    ------
    ConfigError
        A name or value cannot be part of a script.
    """

    partition: str = "batch"
    """Partition, ``sinfo`` lists them."""
    account: str = "default"
    """Account that is charged; an empty one leaves it to the cluster."""
    env_setup: Sequence[str] = ()
    """Commands that are run first, as they are, such as ``module load python``."""
    env_vars: Mapping[str, str] = field(default_factory=dict)
    """Environment variables; values are taken literally."""
    runner: str = "python"
    """Command that runs Python, such as ``uv run python``."""
    log_dir: str = "logs/{project_job}"
    """Folder of the jobs' output; ``{project_job}`` is the name of the job's folder."""

    def __post_init__(self) -> None:
        for name in ("partition", "account", "runner", "log_dir"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value.isprintable():
                raise ConfigError(f"SlurmCluster: {name} must be a text in one line, not {value!r}.")
        if "\\" in self.log_dir:  # SLURM would no longer put in the number of the job
            raise ConfigError(f"SlurmCluster: log_dir must not hold a backslash: {self.log_dir!r}.")
        lines: object = self.env_setup  # a text is a sequence of texts
        if isinstance(lines, str) or not all(isinstance(line, str) for line in self.env_setup):
            raise ConfigError(f"SlurmCluster: env_setup must be a list of commands, not {self.env_setup!r}.")
        _check_mapping("SlurmCluster: env_vars", self.env_vars)
        for name, value in self.env_vars.items():
            if not isinstance(value, str):
                raise ConfigError(f"SlurmCluster: env_vars: {name}={value!r} is no text; in a file, put it in quotes.")
            check_variable(name, value)
        try:
            words = shlex.split(self.runner)
        except ValueError as exc:
            raise ConfigError(f"SlurmCluster: runner={self.runner!r} is no command: {exc}.") from exc
        if not words or not words[0]:
            raise ConfigError("SlurmCluster: runner must not be empty.")

    def options(self) -> dict[str, Option]:
        """Options of sbatch by name."""
        return {"partition": self.partition, **({"account": self.account} if self.account else {})}

    @classmethod
    def _converted(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """Numbers among the variables are texts: ``OMP_NUM_THREADS: 4``."""
        given = settings.get("env_vars")
        if not isinstance(given, Mapping):
            return settings
        is_number = {
            name: isinstance(value, int | float) and not isinstance(value, bool) for name, value in given.items()
        }
        return settings | {"env_vars": {n: str(value) if is_number[n] else value for n, value in given.items()}}


def _check_option(option: str, value: object) -> None:
    if not _OPTION.fullmatch(option):
        raise ConfigError(f"SlurmResources: extra_sbatch has no option of sbatch in {option!r}.")
    if any(reserved.startswith(option) for reserved in _OURS):  # sbatch takes abbreviations
        raise ConfigError(f"SlurmResources: extra_sbatch must leave --{option} to curator.")
    if not isinstance(value, Option):
        raise ConfigError(f"SlurmResources: extra_sbatch[{option!r}] must be a text, number or bool.")
    if not str(value).isprintable():
        raise ConfigError(f"SlurmResources: extra_sbatch[{option!r}] must be in one line, not {value!r}.")


def check_variable(name: str, value: object) -> None:
    """Whether a script can set an environment variable.

    Raises
    ------
    ConfigError
        It is no name of a variable, one of bash's own, or no text that the environment can hold.
    """
    if not _VARIABLE.fullmatch(name) or not isinstance(value, str) or "\0" in value:
        raise ConfigError(f"The environment of a job cannot have {name!r}={value!r}.")
    if _BASHS_OWN.fullmatch(name):
        raise ConfigError(f"The environment of a job cannot have {name!r}: bash sets it itself.")


def _settings(cls: type, config: object) -> dict[str, Any]:
    if isinstance(config, str | os.PathLike):
        config = read_mapping(config)
    settings = plain_mapping(config, where=cls.__name__)
    known = [entry.name for entry in fields(cls)]
    for name in settings:
        if name not in known:
            raise UnknownNameError.of(f"setting of {cls.__name__}", name, known)
    return {name: value for name, value in settings.items() if value is not None}


def _check_mapping(where: str, value: object) -> None:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ConfigError(f"{where} must be a mapping with names that are texts, not {value!r}.")
