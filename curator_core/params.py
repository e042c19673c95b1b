"""Parameters of components: derived from the constructor, captured when it is called."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


class _Required:
    """Type of `REQUIRED`, the default of a parameter that has none."""

    def __repr__(self) -> str:
        return "REQUIRED"

    def __reduce__(self) -> str:
        return "REQUIRED"


class _Secret:
    """Type of `SECRET`."""

    def __repr__(self) -> str:
        return "SECRET"

    def __reduce__(self) -> str:
        return "SECRET"


REQUIRED: Final = _Required()
"""Default of a parameter that must be given."""

SECRET: Final = _Secret()
"""Annotation marker: ``token: Annotated[str, SECRET]`` is stored nowhere."""


@dataclass(frozen=True, slots=True)
class Param:
    """One configurable parameter of a component."""

    name: str
    """Name of the constructor's argument."""
    description: str = ""
    """What it does, from the docstring."""
    type: Any = str
    """Annotated type."""
    default: Any = REQUIRED
    """Default value, or `REQUIRED`."""
    choices: tuple[Any, ...] | None = None
    """The allowed values, where they are few."""
    secret: bool = False
    """Whether the value must not be stored, hashed or shown."""

    @property
    def required(self) -> bool:
        """Whether the parameter must be given."""
        return self.default is REQUIRED


_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def derive_params(cls: type) -> list[Param]:
    """Parameters of `cls` from its constructor's signature, annotations and docstring.

    ``Literal`` annotations become `Param.choices`, ``Annotated[..., SECRET]`` marks a secret, and the
    NumPy-style ``Parameters`` section of the class (or its ``__init__``) gives the descriptions.
    """
    init = cls.__init__  # type: ignore[misc]  # read only, to look at its signature
    try:
        hints = typing.get_type_hints(init, include_extras=True)
    except NameError:  # annotations that only a type checker can resolve
        hints = dict(getattr(init, "__annotations__", {}))
    texts = _described(inspect.getdoc(init) or "") | _described(inspect.getdoc(cls) or "")
    found = []
    for parameter in _parameters(cls):
        hint = hints.get(parameter.name, str)
        extras = getattr(hint, "__metadata__", ())
        plain = typing.get_args(hint)[0] if extras else hint
        choices = typing.get_args(plain) if typing.get_origin(plain) is typing.Literal else None
        default = REQUIRED if parameter.default is inspect.Parameter.empty else parameter.default
        secret = any(isinstance(extra, _Secret) for extra in extras)
        found.append(Param(parameter.name, texts.get(parameter.name, ""), plain, default, choices, secret))
    return found


def bind_arguments(cls: type, args: tuple[object, ...], kwargs: Mapping[str, object]) -> dict[str, object] | None:
    """Arguments by name, defaults included, or ``None`` when they do not fit the constructor."""
    signature = inspect.Signature(_parameters(cls, variadic=True))
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError:  # the constructor itself reports it, with its own words
        return None
    bound.apply_defaults()
    arguments = {name: _snapshot(value) for name, value in bound.arguments.items()}
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            arguments.update(arguments.pop(parameter.name))
    return arguments


def _snapshot(value: Any) -> Any:  # noqa: ANN401 - any value, of the same type
    """Copy of nested lists, mappings and sets, which the constructor or its caller may change later."""
    if type(value) in (list, tuple, set):
        return type(value)(map(_snapshot, value))
    if type(value) is dict:
        return {key: _snapshot(member) for key, member in value.items()}
    return value


def _parameters(cls: type, *, variadic: bool = False) -> list[inspect.Parameter]:
    if cls.__init__ is object.__init__:  # type: ignore[misc]
        return []
    own = list(inspect.signature(cls.__init__).parameters.values())[1:]  # type: ignore[misc]
    return [p for p in own if variadic or p.kind not in _VARIADIC]


_SECTION = re.compile(r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n-{3,}|\Z)", re.MULTILINE | re.DOTALL)
_ENTRY = re.compile(r"^(\w[\w, ]*?)(?: *:[^\n]*)?\n((?:[ \t]+\S[^\n]*\n?|\n)*)", re.MULTILINE)


def _described(docstring: str) -> dict[str, str]:
    section = _SECTION.search(docstring)
    if section is None:
        return {}
    texts = {}
    for names, body in _ENTRY.findall(section.group(1) + "\n"):
        for name in names.split(","):
            texts[name.strip()] = " ".join(body.split())
    return texts
