"""What annotations say, as far as they can be resolved, and whether they mark a secret."""

from __future__ import annotations

import ast
import dataclasses
import enum
import re
import types
import typing
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final


class _Secret:
    """Type of `SECRET`."""

    def __repr__(self) -> str:
        return "SECRET"

    def __reduce__(self) -> str:
        return "SECRET"


class _Unrecorded:
    """Type of `UNRECORDED`."""

    def __repr__(self) -> str:
        return "UNRECORDED"

    def __reduce__(self) -> str:
        return "UNRECORDED"


class _Added:
    """Type of `ADDED`."""

    def __repr__(self) -> str:
        return "ADDED"

    def __reduce__(self) -> str:
        return "ADDED"


SECRET: Final = _Secret()
"""Annotation marker: ``token: Annotated[str, SECRET]`` is stored nowhere."""

UNRECORDED: Final = _Unrecorded()
"""Annotation marker: an argument that is no part of the configuration, and no secret either."""

ADDED: Final = _Added()
"""Annotation marker: an argument that a later release added. It is part of the configuration where it is not its
default, so that what was processed before it was there is not processed again."""

_UNRESOLVABLE = (NameError, AttributeError, TypeError, ValueError, SyntaxError, LookupError, ImportError)
_SECRET_NAME = re.compile(r"token|passw|secret|credential|api_?key|auth(?!or)", re.IGNORECASE)


_known: weakref.WeakKeyDictionary[types.FunctionType, tuple[dict[str, Any], dict[str, Any]]] = (
    weakref.WeakKeyDictionary()
)
"""Annotations of functions and what they were resolved to, by the names of their modules alone."""


@dataclass(frozen=True)
class Unresolved:
    """An annotation that names what is not there at run time."""

    annotation: Any
    """As it is written."""
    names: Mapping[str, Any]
    """What the function's module knows."""

    def marks(self, marker: object) -> bool:
        """Whether its text, or what can be resolved of it, holds the marker."""
        return any(self._is_marker(text, marker) for text in _texts(self.annotation)) or _holds(self.annotation, marker)

    def _is_marker(self, text: str, marker: object) -> bool:
        try:
            tree = ast.parse(text, mode="eval")
        except SyntaxError:
            return repr(marker) in text
        return any(self._stands_for(node, marker) for node in ast.walk(tree))

    def _stands_for(self, node: ast.AST, marker: object) -> bool:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return self._is_marker(node.value, marker)
        if not isinstance(node, ast.Name | ast.Attribute):
            return False
        name = node.id if isinstance(node, ast.Name) else node.attr
        if name == repr(marker):
            return True
        if isinstance(node, ast.Name):
            return _holds(self.names.get(name), marker)
        owner = self.names.get(node.value.id) if isinstance(node.value, ast.Name) else None
        return _holds(getattr(owner, name, None), marker)


def resolved_hints(function: object, owner: type | None = None) -> dict[str, Any]:
    """Annotations of a function's parameters, each resolved by itself; `Unresolved` where that is not possible.

    Parameters
    ----------
    function
        The function, such as a constructor.
    owner
        Class whose names its annotations may use.
    """
    inner = function
    while hasattr(inner, "__wrapped__"):
        inner = inner.__wrapped__
    names = getattr(inner, "__globals__", {})
    annotations = dict(getattr(function, "__annotations__", {}))
    annotations.pop("return", None)
    if not isinstance(function, types.FunctionType) or function.__module__ == "__main__":  # names change in a notebook
        return {name: _resolved(annotation, names, owner) for name, annotation in annotations.items()}
    known = _known.get(function)
    if known is None or known[0] != annotations:
        found = {name: _resolved(annotation, names, None) for name, annotation in annotations.items()}
        if any(isinstance(hint, Unresolved) for hint in found.values()):  # by names of the owner, or of later on
            return {name: _resolved(annotation, names, owner) for name, annotation in annotations.items()}
        known = _known[function] = annotations, found
    return dict(known[1])


def _resolved(annotation: Any, names: dict[str, Any], owner: type | None) -> Any:  # noqa: ANN401 - an annotation
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    for local in ({}, {} if owner is None else dict(vars(owner))):
        try:
            return typing.get_type_hints(holder, names, local, include_extras=True)["it"]
        except _UNRESOLVABLE:
            continue
    return Unresolved(annotation, names)


def is_secret(hint: object, name: str = "") -> bool:
    """Whether an annotation marks a secret, wherever in it the marker stands.

    One that cannot be resolved does when its text has the marker, or when the parameter is called like a secret.
    """
    if isinstance(hint, Unresolved):
        return hint.marks(SECRET) or is_secret_name(name)
    return _holds(hint, SECRET)


def is_secret_name(name: str) -> bool:
    """Whether a parameter or a field is called like a secret."""
    return _SECRET_NAME.search(name) is not None


def is_unrecorded(hint: object) -> bool:
    """Whether an annotation says that the argument is no part of the configuration."""
    return _holds(hint, UNRECORDED)


def is_added(hint: object) -> bool:
    """Whether an annotation says that a later release added the argument."""
    return _holds(hint, ADDED)


def secret_fields(cls: type) -> set[str]:
    """Names of a dataclass' fields that are secret."""
    hints = resolved_hints(types.SimpleNamespace(__annotations__=_field_types(cls), __globals__=_module_of(cls)), cls)
    return {name for name, hint in hints.items() if is_secret(hint, name)}


def field_hints(cls: type) -> dict[str, Any]:
    """Resolved annotations of a class' fields: of a dataclass, a named tuple or a typed dictionary."""
    found = types.SimpleNamespace(__annotations__=_field_types(cls), __globals__=_module_of(cls))
    return resolved_hints(found, cls)


def _field_types(cls: type) -> dict[str, Any]:
    if dataclasses.is_dataclass(cls):
        return {field.name: field.type for field in dataclasses.fields(cls)}
    return dict(getattr(cls, "__annotations__", {}))


def _module_of(cls: type) -> dict[str, Any]:
    import sys  # noqa: PLC0415 - beside its only use

    return dict(vars(sys.modules[cls.__module__])) if cls.__module__ in sys.modules else {}


def _holds(hint: object, marker: object) -> bool:
    return any(part is marker for part in parts(hint))


def parts(hint: object, seen: set[int] | None = None) -> Iterator[object]:
    """An annotation and all that it is made of: members of unions, what is marked, fields of typed dictionaries."""
    seen = set() if seen is None else seen
    if id(hint) in seen:
        return
    seen.add(id(hint))
    yield hint
    inner: list[object] = [*getattr(hint, "__metadata__", ()), *typing.get_args(hint)]
    inner += [getattr(hint, name) for name in ("__value__", "__supertype__", "__bound__") if _is_made(hint, name)]
    if isinstance(hint, type) and (typing.is_typeddict(hint) or is_named_tuple(hint)):
        inner += field_hints(hint).values()
    for part in inner:
        if isinstance(part, list | tuple):  # of a Callable's arguments
            for one in part:
                yield from parts(one, seen)
        elif isinstance(part, Unresolved):
            yield from (SECRET,) if part.marks(SECRET) else ()
        else:
            yield from parts(part, seen)


def _is_made(hint: object, name: str) -> bool:
    """Whether it is an alias, a new type or a type variable; an Enum's member has a value, too."""
    return not isinstance(hint, type | enum.Enum) and type(hint).__module__ == "typing" and hasattr(hint, name)


def is_named_tuple(cls: type) -> bool:
    """Whether a class is a named tuple."""
    return issubclass(cls, tuple) and hasattr(cls, "_fields")


def _texts(annotation: object) -> Iterator[str]:
    if isinstance(annotation, str):
        yield annotation
    for part in parts(annotation):
        if isinstance(part, typing.ForwardRef):
            yield part.__forward_arg__


def type_name(annotation: object) -> str:
    """How a person writes a type."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in (None, types.NoneType):
        name = "None"
    elif isinstance(annotation, Unresolved):
        name = str(annotation.annotation)
    elif origin is typing.Annotated:
        name = type_name(args[0])
    elif origin in (typing.Union, types.UnionType):
        name = " | ".join(map(type_name, args))
    elif origin is typing.Literal:
        name = " | ".join(map(repr, args))
    elif origin is not None and args:
        inner = ", ".join("..." if arg is ... else type_name(arg) for arg in args)
        name = f"{getattr(origin, '__name__', origin)}[{inner}]"
    else:
        name = getattr(annotation, "__name__", None) or str(annotation)
    return name
