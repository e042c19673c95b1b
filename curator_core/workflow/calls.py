"""Whether what a step does takes the arguments that it would be called with, asked before any step is carried out."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from curator_core.errors import ConfigError
from curator_core.pipeline.pipeline import Pipeline
from curator_core.workflow.block import Block
from curator_core.workflow.experiments_pipeline import evaluation_of_step, is_plain_generator
from curator_core.workflow.step import Operation, Step


def check_calls(steps: Iterable[Step]) -> None:
    """Refuse steps that would be called wrongly.

    Raises
    ------
    ConfigError
        One of them would; the message names it.
    """
    for step in steps:
        check_operation(step.block, step.kwargs, f"Step {step.name!r}")


def check_operation(operation: Operation, kwargs: Mapping[str, Any], where: str) -> None:
    """Refuse arguments that an operation does not take.

    Raises
    ------
    ConfigError
        It does not take them; `where` names it.
    """
    if isinstance(operation, Pipeline):
        if kwargs:
            raise ConfigError(f"{where}: a pipeline takes no kwargs; its components have params.")
    elif not isinstance(operation, Block):
        if "project_dir" in kwargs:
            raise ConfigError(f"{where}: kwargs: project_dir is given by the step's own entry of that name.")
        check_call(operation, (), {"project_dir": Path(), **kwargs}, where)
    elif is_plain_generator(operation):
        given = {**operation.call_kwargs, **kwargs}
        try:
            evaluation = evaluation_of_step(operation, given)
        except ConfigError as exc:
            raise ConfigError(f"{where}: {exc}") from exc
        check_call(operation.execute, (None,), evaluation.arguments(0), where)
    else:
        check_call(operation.call, (None,), kwargs, where)


def check_call(called: Callable[..., object], args: tuple[None, ...], kwargs: Mapping[str, Any], where: str) -> None:
    """Refuse arguments that a function does not take.

    Raises
    ------
    ConfigError
        It does not take them; `where` names it.
    """
    try:
        signature = inspect.signature(called, follow_wrapped=False)  # a decorator may give more than it is given
    except (TypeError, ValueError):  # some of those written in C do not tell
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as exc:
        name = getattr(called, "__qualname__", type(called).__name__)
        raise ConfigError(f"{where}: {name}{signature} would be called wrongly: {exc}.") from exc
