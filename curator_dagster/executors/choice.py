"""Executors by name, for settings that come from a file or a function's arguments."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from dagster import (
    DagsterInvalidConfigError,
    ExecutorDefinition,
    GraphDefinition,
    in_process_executor,
    validate_run_config,
)

from curator_core.errors import ConfigError, UnknownNameError
from curator_core.pipeline import imported
from curator_dagster.definitions import curation_executor

_made: list[tuple[str, dict[str, Any], ExecutorDefinition]] = []
"""Executors by name and configuration: definitions can be merged only if they have the same executor."""


def named_executor(name: str, config: Mapping[str, Any] | None = None) -> ExecutorDefinition:
    """An executor with its configuration, which is checked; the same object for the same arguments.

    Parameters
    ----------
    name
        ``in_process``, ``multiprocess``, ``dask``, or ``module:attribute`` for any other.
    config
        As the executor has it; ``multiprocess`` takes the arguments of `curation_executor`.

    Raises
    ------
    ConfigError
        There is no such executor, or it has no such configuration.
    """
    if name not in _EXECUTORS and ":" not in name:
        raise UnknownNameError.of("executor", name, [*_EXECUTORS, "module:attribute"])
    settings = dict(config or {})
    for known, given, executor in _made:
        if (known, given) == (name, settings):
            return executor
    executor = _EXECUTORS[name](settings) if name in _EXECUTORS else _other(name, settings)
    try:  # with a job that does nothing: Dagster looks at an executor's configuration no earlier
        validate_run_config(GraphDefinition(name="check").to_job(executor_def=executor), {})
    except DagsterInvalidConfigError as exc:
        raise ConfigError(f"executor {name!r}: {' '.join(error.message for error in exc.errors)}") from exc
    _made.append((name, settings, executor))
    return executor


def reference_to(executor: ExecutorDefinition) -> str:
    """``module:attribute`` that other processes find an executor by.

    Raises
    ------
    ConfigError
        There is none.
    """
    modules = [(name, module) for name, module in sys.modules.items() if not name.startswith("__")]
    found = [f"{name}:{key}" for name, module in modules for key, value in vars(module).items() if value is executor]
    if found:
        return min(
            found, key=lambda reference: reference.count(".")
        )  # where it is public, rather than where it is used
    raise ConfigError(
        f"The executor {executor.name!r} cannot be sent to other processes: assign it to a name at the top of a "
        f"module that they can import, or name one of {', '.join(_EXECUTORS)}, with its configuration."
    )


def _other(reference: str, config: dict[str, Any]) -> ExecutorDefinition:
    found = imported(reference, where="executor")
    if not isinstance(found, ExecutorDefinition):
        raise ConfigError(f"{reference!r} is no executor, but {found!r}.")
    return found.configured(config) if config else found


def _in_process(config: dict[str, Any]) -> ExecutorDefinition:
    return in_process_executor.configured(config) if config else in_process_executor


def _multiprocess(config: dict[str, Any]) -> ExecutorDefinition:
    known = ("max_concurrent", "preload")
    for setting in config:
        if setting not in known:
            raise UnknownNameError.of("setting of the executor 'multiprocess'", setting, known)
    return curation_executor(**config)


def _dask(config: dict[str, Any]) -> ExecutorDefinition:
    package: Any = import_module("curator_dagster")
    executor: ExecutorDefinition = package.dask_executor.configured(config)
    return executor


_EXECUTORS: dict[str, Callable[[dict[str, Any]], ExecutorDefinition]] = {
    "in_process": _in_process,
    "multiprocess": _multiprocess,
    "dask": _dask,
}
