"""What a job asks for, and where it runs."""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from numbers import Real
from typing import Any, ClassVar, Self

from curator_core.errors import ConfigError, UnknownNameError
from curator_core.pipeline.mapping_files import plain_mapping, read_mapping
from curator_core.slurm.quantities import memory_of, mib_of, time_of, whole

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

    left_out: ClassVar[tuple[str, ...]] = ()
    """Entries that files made for other programs have, and that mean nothing here."""

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

    time: str | int | timedelta = "01:00:00"
    """Time limit: minutes, ``[days-]hours:minutes:seconds``, or a `timedelta`."""
    mem: str | int = "4G"
    """Memory per node: MiB, or with a unit."""
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
    ntasks: int | None = None
    """Tasks that a job has room for, one per node by default. Python is started once: start others with ``srun``."""
    mem_per_cpu: str | int | None = None
    """Memory per CPU, in place of `mem`, where a cluster counts it so."""
    max_jobs_per_task: int | None = None
    """What a task of an array does at most: with more to do, arrays follow one another, so that `time` need not grow
    with it; without it, there is one array, however much its tasks do."""

    def __post_init__(self) -> None:
        where = "SlurmResources: "
        for name, read in (("time", time_of), ("mem", memory_of), ("mem_per_cpu", memory_of)):
            value = getattr(self, name)
            if value is not None or name != "mem_per_cpu":
                object.__setattr__(self, name, read(value, f"{where}{name}"))
        for name in ("cpus_per_task", "nodes", "max_array_size", "max_concurrent", "ntasks", "max_jobs_per_task"):
            value = getattr(self, name)
            if value is None and name in ("ntasks", "max_jobs_per_task"):
                continue
            number = whole(value)
            if not number:
                raise ConfigError(f"{where}{name} must be a positive number, not {value!r}.")
            object.__setattr__(self, name, number)
        _check_mapping(f"{where}extra_sbatch", self.extra_sbatch)
        options = {option: _option(option, value) for option, value in self.extra_sbatch.items()}
        object.__setattr__(self, "extra_sbatch", options)

    def options(self, *, most_per_cpu: str | int | None = None) -> dict[str, Option]:
        """Options of sbatch by name.

        Parameters
        ----------
        most_per_cpu
            `SlurmCluster.mem_per_cpu`.
        """
        n_cpus, per_cpu = self.cpus_per_task, self.mem_per_cpu
        if per_cpu is None and most_per_cpu is not None:
            n_mib, most_mib = mib_of(str(self.mem)), max(1.0, mib_of(str(most_per_cpu)))
            n_cpus = max(n_cpus, math.ceil(n_mib / most_mib))
            per_cpu = f"{math.ceil(n_mib / n_cpus)}M" if n_mib else most_per_cpu
        memory: dict[str, Option] = {"mem": self.mem} if per_cpu is None else {"mem-per-cpu": per_cpu}
        if any(name.startswith("mem-per-") for name in self.extra_sbatch):  # sbatch takes one of them
            memory = {}
        return {
            "time": time_of(self.time, "time"),
            **memory,
            "cpus-per-task": n_cpus,
            # With memory per CPU, sbatch warns of a number of nodes that says nothing.
            **({} if "mem-per-cpu" in memory and self.nodes == 1 else {"nodes": self.nodes}),
            "ntasks": self.nodes if self.ntasks is None else self.ntasks,
            **self.extra_sbatch,
        }

    @classmethod
    def _converted(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """YAML takes 10:00:00 for the number 36000, which cannot be undone."""
        time = settings.get("time")
        if time is not None and not isinstance(time, str):
            raise ConfigError(f"SlurmResources: time={time!r} is no text; in a file, put it in quotes.")
        return settings


@dataclass(frozen=True)
class SlurmCluster(Settings):
    """Where jobs run, and what they need before they begin.

    Raises
    ------
    ConfigError
        A name or value cannot be part of a script.
    """

    left_out: ClassVar[tuple[str, ...]] = ("enabled",)

    partition: str = "batch"
    """Partition, ``sinfo`` lists them; an empty one leaves it to the cluster."""
    account: str = "default"
    """Account that is charged; an empty one leaves it to the cluster."""
    env_setup: Sequence[str] = ()
    """Commands that are run first, as they are, such as ``module load python``; a failure is in the log."""
    env_vars: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Environment variables. Values are taken literally, ``$HOME`` too: what bash is to read belongs to `env_setup`."""
    runner: str = "python"
    """Command that runs Python, such as ``uv run python``."""
    log_dir: str = "logs/{project_job}"
    """Folder of the jobs' output; ``{project_job}`` is the name of the job's folder."""
    mem_per_cpu: str | int | None = None
    """Most memory per CPU, where the cluster counts it so: jobs ask for their `mem` per CPU, and for more CPUs where
    theirs have too little."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "runner", _command(self.runner))
        object.__setattr__(self, "log_dir", _text_of(self.log_dir))
        for name in ("partition", "account", "runner", "log_dir"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value.isprintable():
                raise ConfigError(f"SlurmCluster: {name} must be a text in one line, not {value!r}.")
        if "\\" in self.log_dir:  # SLURM would no longer put in the number of the job
            raise ConfigError(f"SlurmCluster: log_dir must not hold a backslash: {self.log_dir!r}.")
        lines: object = self.env_setup  # a text is a sequence of texts
        is_list = isinstance(lines, Sequence) and not isinstance(lines, str)
        if not (is_list and all(isinstance(line, str) for line in self.env_setup)):
            raise ConfigError(f"SlurmCluster: env_setup must be a list of commands, not {self.env_setup!r}.")
        if self.mem_per_cpu is not None:
            object.__setattr__(self, "mem_per_cpu", memory_of(self.mem_per_cpu, "SlurmCluster: mem_per_cpu"))
        _check_mapping("SlurmCluster: env_vars", self.env_vars)
        object.__setattr__(
            self, "env_vars", {name: _number_as_text(_text_of(found)) for name, found in self.env_vars.items()}
        )
        for name, value in self.env_vars.items():
            if not isinstance(value, str):
                raise ConfigError(
                    f"SlurmCluster: env_vars: {name} is no text, but of type {type(value).__name__}; in a file, put it "
                    "in quotes."
                )
            check_variable(name, value)
        try:
            words = shlex.split(self.runner)
        except ValueError as exc:
            raise ConfigError(f"SlurmCluster: runner={self.runner!r} is no command: {exc}.") from exc
        if not words or not words[0]:
            raise ConfigError("SlurmCluster: runner must not be empty.")

    def options(self) -> dict[str, Option]:
        """Options of sbatch by name."""
        return {name: value for name in ("partition", "account") if (value := getattr(self, name))}


def _number_as_text(value: object) -> Any:  # noqa: ANN401 - what is no number is checked as it is
    return value if isinstance(value, bool) or not isinstance(value, Real) else str(value)


def _command(runner: object) -> object:
    return shlex.quote(os.fspath(runner)) if isinstance(runner, os.PathLike) else runner


def _text_of(value: object) -> object:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _option(option: str, value: object) -> Option:
    if not _OPTION.fullmatch(option):
        raise ConfigError(f"SlurmResources: extra_sbatch has no option of sbatch in {option!r}.")
    if any(reserved.startswith(option) for reserved in _OURS):  # sbatch takes abbreviations
        raise ConfigError(f"SlurmResources: extra_sbatch must leave --{option} to curator.")
    found = _text_of(value)
    if isinstance(found, timedelta):
        found = time_of(found, f"SlurmResources: extra_sbatch[{option!r}]")
    if isinstance(found, list | tuple) and found and all(type(one) in (str, int) for one in found):
        found = ",".join(map(str, found))
    if not isinstance(found, Option):
        number = whole(found)
        if number is None:
            raise ConfigError(
                f"SlurmResources: extra_sbatch[{option!r}] must be a text, number or bool, or a list of texts, not "
                f"{value!r:.80}."
            )
        found = number
    if not str(found).isprintable():
        raise ConfigError(f"SlurmResources: extra_sbatch[{option!r}] must be in one line, not {value!r}.")
    return found


def check_variable(name: str, value: object) -> None:
    """Whether a script can set an environment variable.

    Raises
    ------
    ConfigError
        It is no name of a variable, one of bash's own, or no text that the environment can hold.
    """
    if not _VARIABLE.fullmatch(name) or not isinstance(value, str) or "\0" in value:
        raise ConfigError(f"The environment of a job cannot have {name!r}, or not with this value.")  # maybe a secret
    if _BASHS_OWN.fullmatch(name):
        raise ConfigError(f"The environment of a job cannot have {name!r}: bash sets it itself.")


def _settings(cls: type[Settings], config: object) -> dict[str, Any]:
    if isinstance(config, str | os.PathLike):
        config = read_mapping(config)
    settings = plain_mapping(config, where=cls.__name__)
    known = [entry.name for entry in fields(cls)]  # type: ignore[arg-type] # those that have settings are
    for name in settings:
        if name not in known and name not in cls.left_out:
            raise UnknownNameError.of(f"setting of {cls.__name__}", name, known)
    return {name: value for name, value in settings.items() if value is not None and name not in cls.left_out}


def _check_mapping(where: str, value: object) -> None:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ConfigError(f"{where} must be a mapping with names that are texts, not {value!r}.")
