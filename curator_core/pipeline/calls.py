"""Calls of constructors: which arguments there are, captured by name, and given again."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import types
import weakref
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter
from typing import Any

from curator_core.errors import ConfigError
from curator_core.pipeline.annotations import is_named_tuple
from curator_core.pipeline.kinds import is_array

_MAX_DEPTH = 100
_VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)

_known: weakref.WeakKeyDictionary[types.FunctionType, list[Parameter]] = weakref.WeakKeyDictionary()
"""Parameters of constructors without the first: each is asked for a dozen times a run."""


def constructors(cls: type) -> list[type]:
    """The class whose constructor is called, and those that it passes ``*args`` or ``**kwargs`` on to."""
    found = []
    for owner in cls.__mro__:
        if owner is object or "__init__" not in vars(owner) or getattr(owner, "_is_protocol", False):
            continue
        found.append(owner)
        if not any(parameter.kind in _VARIADIC for parameter in _own(owner)):
            break
    return found


def _own(owner: type) -> list[Parameter]:
    function = vars(owner)["__init__"]
    if not isinstance(function, types.FunctionType):
        return _after_self(function)
    known = _known.get(function)
    if known is None:
        known = _known[function] = _after_self(function)
    return known


def _after_self(function: Callable[..., object]) -> list[Parameter]:
    return list(inspect.signature(function).parameters.values())[1:]


def parameters_of(cls: type) -> list[Parameter]:
    """Parameters by which the class is made, each name once; none that only collects others."""
    found: dict[str, Parameter] = {}
    for owner in constructors(cls):
        for parameter in _own(owner):
            if parameter.kind not in _VARIADIC:
                found.setdefault(parameter.name, parameter)
    return list(found.values())


def takes_any(cls: type) -> bool:
    """Whether the last constructor takes arguments of any name, or any number of them."""
    owners = constructors(cls)
    return bool(owners) and any(parameter.kind in _VARIADIC for parameter in _own(owners[-1]))


def collecting(cls: type) -> dict[str, str]:
    """Names of the parameters that collect others, by ``*`` and ``**``: of the last constructor that has such."""
    signs = {Parameter.VAR_POSITIONAL: "*", Parameter.VAR_KEYWORD: "**"}
    return {signs[one.kind]: one.name for owner in constructors(cls) for one in _own(owner) if one.kind in signs}


def bind_arguments(cls: type, args: Sequence[object], kwargs: Mapping[str, object]) -> dict[str, object] | None:
    """Arguments by name, defaults included, or ``None`` when they do not fit the constructor."""
    owners = constructors(cls)
    if not owners:
        return None if args or kwargs else {}
    found = _bound(owners, tuple(args), dict(kwargs), set())
    return None if found is None else {name: _snapshot(value) for name, value in found.items()}


def _bound(
    owners: list[type], args: tuple[object, ...], kwargs: dict[str, object], taken: set[str]
) -> dict[str, object] | None:
    owner, *others = owners
    parameters = [parameter for parameter in _own(owner) if parameter.name not in taken]
    try:
        signature = inspect.Signature(parameters)
        bound = signature.bind_partial(*args, **kwargs) if taken else signature.bind(*args, **kwargs)
    except (TypeError, ValueError):  # the constructor itself reports it, with its own words
        return None
    bound.apply_defaults()
    found = dict(bound.arguments)
    variadic = {
        parameter.kind: found.pop(parameter.name, None) for parameter in parameters if parameter.kind in _VARIADIC
    }
    rest_args: Any = variadic.get(Parameter.VAR_POSITIONAL) or ()
    rest_kwargs: Any = variadic.get(Parameter.VAR_KEYWORD) or {}
    passed_on = _bound(others, rest_args, rest_kwargs, taken | set(found)) if others and variadic else None
    if passed_on is not None:
        return found | passed_on
    names = {parameter.kind: parameter.name for parameter in parameters}
    rest: dict[str, object] = ({names[Parameter.VAR_POSITIONAL]: rest_args} if rest_args else {}) | rest_kwargs
    return found | rest


def call_arguments(cls: type, named: Mapping[str, object]) -> tuple[list[object], dict[str, object]]:
    """The arguments by position and by name with which the constructor is given `named` again."""
    owners = constructors(cls)
    rest = dict(named)
    if not owners:
        return [], rest
    own = _own(owners[0])
    collected = next((parameter for parameter in own if parameter.kind is Parameter.VAR_POSITIONAL), None)
    extra: list[object] = []
    if collected is not None:
        if collected.name in rest:
            extra = list(rest.pop(collected.name))  # type: ignore[call-overload]
        elif not any(parameter.kind is Parameter.VAR_KEYWORD for parameter in own):
            mine = {parameter.name for parameter in own}
            extra = [rest.pop(p.name) for p in parameters_of(cls) if p.name not in mine and p.name in rest]
    by_position = [
        parameter
        for parameter in own
        if parameter.kind is Parameter.POSITIONAL_ONLY or (extra and parameter.kind is Parameter.POSITIONAL_OR_KEYWORD)
    ]
    return [*(rest.pop(p.name) for p in by_position if p.name in rest), *extra], rest


def inherited_defaults(cls: type, named: Mapping[str, object]) -> set[str]:
    """Names of the arguments that are defaults of a constructor further up: it may be given something else."""
    owners = constructors(cls)
    own = {parameter.name for parameter in _own(owners[0])} if owners else set()
    return {p.name for p in parameters_of(cls) if p.name not in own and named.get(p.name) is p.default}


def _snapshot(value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - any value, of the same type
    """Copy of what the constructor or its caller may change later: lists, mappings, sets, arrays, dataclasses."""
    if depth > _MAX_DEPTH:
        raise ConfigError(f"An argument is nested more than {_MAX_DEPTH} levels deep, or contains itself.")
    if type(value) in (list, tuple, set):
        return type(value)(_snapshot(member, depth + 1) for member in value)
    if type(value) is dict:
        return {key: _snapshot(member, depth + 1) for key, member in value.items()}
    if isinstance(value, tuple) and is_named_tuple(type(value)):
        return type(value)._make(_snapshot(member, depth + 1) for member in value)  # type: ignore[attr-defined]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        copied = copy.copy(value)
        for field in dataclasses.fields(value):
            if hasattr(value, field.name):
                object.__setattr__(copied, field.name, _snapshot(getattr(value, field.name), depth + 1))
        return copied
    if type(value) is bytearray or is_array(value):
        return value.copy()
    return value
