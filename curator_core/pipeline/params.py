"""Parameters of components: derived from the constructor, captured when it is called."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from curator_core.pipeline.annotations import Unresolved, is_added, is_secret, is_unrecorded, resolved_hints
from curator_core.pipeline.calls import collecting, parameters_of
from curator_core.pipeline.calls import constructors as _constructors


class _Required:
    """Type of `REQUIRED`, the default of a parameter that has none."""

    def __repr__(self) -> str:
        return "REQUIRED"

    def __reduce__(self) -> str:
        return "REQUIRED"


REQUIRED: Final = _Required()
"""Default of a parameter that must be given."""


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
    recorded: bool = True
    """Whether the value is part of the configuration."""
    added: bool = False
    """Whether a later release added it, so that the default is no part of the configuration."""

    @property
    def required(self) -> bool:
        """Whether the parameter must be given."""
        return self.default is REQUIRED

    def is_recorded(self, value: object) -> bool:
        """Whether a value of it is part of the configuration."""
        if self.added and type(value) is type(self.default) and value == self.default:
            return False
        return self.recorded


def derive_params(cls: type) -> list[Param]:
    """Parameters of `cls` from its constructor's signature, annotations and docstring.

    ``Literal`` annotations become `Param.choices`, a `SECRET` anywhere in an annotation marks a secret, and the
    NumPy-style ``Parameters`` section of the class (or its ``__init__``) gives the descriptions. What a constructor
    passes on with ``*args, **kwargs`` are the parameters of the next one.
    """
    found = []
    hints, secrets = hints_of(cls), secret_names(cls)
    for parameter in parameters_of(cls):
        hint = hints.get(parameter.name, str)
        plain = typing.get_args(hint)[0] if hasattr(hint, "__metadata__") else hint
        plain = plain.annotation if isinstance(plain, Unresolved) else plain
        choices = typing.get_args(plain) if typing.get_origin(plain) is typing.Literal else None
        found.append(
            Param(
                parameter.name,
                _description(cls, parameter.name),
                plain,
                REQUIRED if parameter.default is inspect.Parameter.empty else parameter.default,
                choices,
                parameter.name in secrets,
                not is_unrecorded(hint),
                is_added(hint),
            )
        )
    return found


def hints_of(cls: type) -> dict[str, Any]:
    """Resolved annotations of the parameters, by name; `Unresolved` for those that cannot be resolved.

    That of ``*values`` is of a tuple of them, and that of ``**values`` stands under ``**``.
    """
    found: dict[str, Any] = {}
    for owner in _constructors(cls):
        for name, hint in resolved_hints(vars(owner)["__init__"], owner).items():
            found.setdefault(name, hint)
    rest = collecting(cls)
    if rest.get("*") in found:
        found[rest["*"]] = types.GenericAlias(tuple, (found[rest["*"]], ...))
    if rest.get("**") in found:
        found["**"] = found.pop(rest["**"])
    return found


def secret_names(cls: type) -> set[str]:
    """Names of the parameters that this class, or one that it is made of, marks as secret."""
    owners = [owner for owner in cls.__mro__ if owner is not object and "__init__" in vars(owner)]
    hints = [item for owner in owners for item in resolved_hints(vars(owner)["__init__"], owner).items()]
    return {name for name, hint in hints if is_secret(hint, name)}


def _description(cls: type, name: str) -> str:
    for owner in cls.__mro__:
        for documented in (owner, vars(owner).get("__init__")):
            text = _described(getattr(documented, "__doc__", None) or "").get(name)
            if text:
                return text
    return ""


_SECTION = re.compile(r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n-{3,}|\Z)", re.MULTILINE | re.DOTALL)
_ENTRY = re.compile(r"^(\w[\w, ]*?)(?: *:[^\n]*)?\n((?:[ \t]+\S[^\n]*\n?|\n)*)", re.MULTILINE)


@lru_cache(maxsize=1024)
def _described(docstring: str) -> Mapping[str, str]:
    texts: dict[str, str] = {}
    section = _SECTION.search(inspect.cleandoc(docstring))
    if section is None:
        return texts
    for names, body in _ENTRY.findall(section.group(1) + "\n"):
        for name in names.split(","):
            texts[name.strip()] = " ".join(body.split())
    return texts
