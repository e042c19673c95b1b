"""Arguments as a file holds them, so that they are the same when it is read: as people write them, or tagged."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from curator_core.errors import ConfigError
from curator_core.pipeline.annotations import field_hints, is_named_tuple, parts, secret_fields
from curator_core.pipeline.components import Component
from curator_core.pipeline.fitting import fitted, member_of
from curator_core.pipeline.kinds import BY_TAG, is_array, kind_of

Json = Any
Build = Callable[[Json], Any]
ENTRY_NAMES = frozenset(("component", "from", "params"))
"""What the entry of a component may hold."""
MAX_DEPTH = 100
"""Levels of lists and mappings within each other."""
_MAX_ARRAY = 10_000
"""Values of an array that a file holds."""


class _NotPlainError(Exception):
    """The value cannot be written without a tag."""


def filed(value: object, hint: object, default: object, *, where: str, entry: Callable[[Component], Json]) -> Json:
    """What a file holds of an argument: plain where its annotation says what it is, tagged otherwise.

    Parameters
    ----------
    value
        The argument.
    hint, default
        Annotation and default of its parameter.
    where
        Which it is, for messages.
    entry
        Gives the entry of a component within it.

    Raises
    ------
    ConfigError
        A file cannot hold it so that it would be the same again.
    """
    for write in (_Plain(entry, where), _Tagged(entry, where)):
        try:
            found = write.of(value)
            write.has_secrets = True  # which make it whole again, when a file gives them
            again = restored(write.of(value), hint, default, where=where, build=write.component_of)
            if is_same(fitted(again, hint, where=where, is_secret=holds_secrets(hint, default)), value):
                return found
        except (_NotPlainError, ConfigError) as exc:
            problem: Exception | None = exc
        else:
            problem = None
    more = f" {problem}" if isinstance(problem, ConfigError) and "cannot hold" in str(problem) else ""
    raise ConfigError(
        f"{where}: a file cannot hold this {type(value).__qualname__} so that it is the same again.{more} Annotate the "
        "parameter with what it takes, such as an Enum or a dataclass, or build this pipeline in Python."
    )


class _Plain:
    """Writes values as people do."""

    def __init__(self, entry: Callable[[Component], Json], where: str) -> None:
        self.entry = entry
        self.where = where
        self.components: dict[int, Component] = {}
        self.has_secrets = False

    def of(self, value: Any, depth: int = 0) -> Json:  # noqa: ANN401, C901, PLR0911 - one case per kind of value
        """The JSON value."""
        if depth > MAX_DEPTH:
            raise ConfigError(f"{self.where}: nested more than {MAX_DEPTH} levels deep, or contains itself.")
        kind = kind_of(value)
        if kind is not None:
            return {kind.tag: _encoded(kind.encode, value, self.where)}
        if isinstance(value, enum.Enum):
            return self.member(value)
        if value is None or isinstance(value, bool | int | float | str):
            return _builtin(value)
        if isinstance(value, Component):
            entry = self.entry(value)
            self.components[id(entry)] = value
            return {"$component": entry}
        if isinstance(value, PurePath):
            return self.path(value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return self.fields(
                value, {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}, depth
            )
        if isinstance(value, tuple) and is_named_tuple(type(value)):
            return self.fields(value, value._asdict(), depth)  # type: ignore[attr-defined]
        if isinstance(value, Mapping):
            return self.mapping(value, depth)
        if isinstance(value, list | tuple):
            return self.sequence(value, [self.of(member, depth + 1) for member in value])
        if is_array(value) and value.size <= _MAX_ARRAY:
            return self.array(value)
        if isinstance(value, set | frozenset):
            members = sorted((self.of(member, depth + 1) for member in value), key=repr)
            return {"$frozenset" if isinstance(value, frozenset) else "$set": members}
        raise ConfigError(f"{self.where}: a file cannot hold {_tag_of(value)} values; build this pipeline in Python.")

    def component_of(self, entry: Json) -> Component:
        """The component that an entry was written for."""
        return self.components[id(entry)]

    def member(self, value: enum.Enum) -> Json:
        """Of an enumeration."""
        return value.value if isinstance(value.value, bool | int | float | str) else value.name

    def path(self, value: PurePath) -> Json:
        """Of a path."""
        return os.fspath(value)

    def sequence(self, value: list[Any] | tuple[Any, ...], members: list[Json]) -> Json:
        """Of a list or tuple."""
        return members

    def array(self, value: Any) -> Json:  # noqa: ANN401 - NumPy need not be there
        """Of a NumPy array."""
        return self.of(value.tolist())

    def mapping(self, value: Mapping[Any, Any], depth: int) -> Json:
        """Of a mapping, in its order."""
        if any(not isinstance(key, str | int | float) or isinstance(key, enum.Enum) for key in value):
            raise _NotPlainError
        return {str(key): self.of(member, depth + 1) for key, member in value.items()}

    def fields(self, value: object, members: Mapping[str, Any], depth: int) -> Json:
        """Of a dataclass or named tuple, without secrets."""
        secret = () if self.has_secrets else secret_fields(type(value))
        return {name: self.of(member, depth + 1) for name, member in members.items() if name not in secret}


class _Tagged(_Plain):
    """Writes values with what they are."""

    def member(self, value: enum.Enum) -> Json:
        return {"$enum": f"{type(value).__qualname__}.{value.name}"}

    def path(self, value: PurePath) -> Json:
        return {"$path": os.fspath(value)}

    def sequence(self, value: list[Any] | tuple[Any, ...], members: list[Json]) -> Json:
        return {"$tuple": members} if isinstance(value, tuple) else members

    def array(self, value: Any) -> Json:  # noqa: ANN401 - as above
        if value.dtype.kind not in "biufU":
            raise ConfigError(f"{self.where}: a file cannot hold an array of {value.dtype}.")
        members = [self.of(member) for member in value.ravel().tolist()]
        return {"$array": {"dtype": value.dtype.str, "shape": list(value.shape), "values": members}}

    def mapping(self, value: Mapping[Any, Any], depth: int) -> Json:
        if all(type(key) is str for key in value):
            return {key: self.of(member, depth + 1) for key, member in value.items()}
        return {"$mapping": [[self.of(key, depth + 1), self.of(member, depth + 1)] for key, member in value.items()]}

    def fields(self, value: object, members: Mapping[str, Any], depth: int) -> Json:
        return {"$dataclass": type(value).__qualname__, "fields": super().fields(value, members, depth)}


def _builtin(value: Any) -> Json:  # noqa: ANN401 - a builtin or a subclass, whose own type a file cannot say
    return None if value is None else next(kind for kind in (bool, int, float, str) if isinstance(value, kind))(value)


def _encoded(encode: Callable[[Any], Json], value: object, where: str) -> Json:
    try:
        return encode(value)
    except TypeError as exc:
        raise ConfigError(f"{where}: a file cannot hold {exc}.") from exc


def _tag_of(value: object) -> str:
    return "$array" if type(value).__name__ == "ndarray" else "$ref" if callable(value) else type(value).__qualname__


def restored(
    value: Json,
    hint: object,
    default: object,
    *,
    where: str,
    build: Build,
    has_entries: bool = False,
    variable: Callable[[Json], str] | None = None,
) -> Any:  # noqa: ANN401 - any value
    """Value that a file holds, its tags replaced by what they stand for.

    Enumerations and dataclasses are those of the annotation, or of the default: a file names no others.

    Parameters
    ----------
    value
        What the file holds.
    hint, default
        Annotation and default of the parameter.
    where
        Which it is, for messages.
    build
        Builds the component of an entry.
    has_entries
        Whether a mapping that looks like the entry of a component is one, without its tag.
    variable
        Gives the value of an environment variable; ``None`` where nothing is secret.

    Raises
    ------
    ConfigError
        A tag is unknown or holds something else, or values are nested too deep.
    """
    classes = {cls.__qualname__: cls for cls in _classes(hint, default)}
    return _Restoring(classes, where, build, has_entries, variable).of(value)


def holds_secrets(hint: object, default: object) -> bool:
    """Whether a value of an annotation has fields that are secret."""
    return any(dataclasses.is_dataclass(cls) and secret_fields(cls) for cls in _classes(hint, default))


def _classes(hint: object, default: object) -> Iterator[type]:
    waiting: list[object] = [hint, type(default)]
    seen: set[object] = set()
    while waiting:
        for part in parts(waiting.pop()):
            if not isinstance(part, type) or part in seen:
                continue
            seen.add(part)
            is_record = dataclasses.is_dataclass(part) or is_named_tuple(part)
            if is_record:
                waiting += field_hints(part).values()
            if is_record or issubclass(part, enum.Enum):
                yield part


@dataclasses.dataclass(frozen=True)
class _Restoring:
    """Replaces tags."""

    classes: Mapping[str, type]
    """Enumerations and dataclasses by name."""
    where: str
    """For messages."""
    build: Build
    """Builds components."""
    has_entries: bool
    """Whether untagged entries are components, too."""
    variable: Callable[[Json], str] | None
    """Gives the value of an environment variable."""

    def of(self, value: Json, depth: int = 0) -> Any:  # noqa: ANN401 - any value
        """The value."""
        if depth > MAX_DEPTH:
            raise ConfigError(f"{self.where}: nested more than {MAX_DEPTH} levels deep.")
        if isinstance(value, list):
            return [self.of(member, depth + 1) for member in value]
        if not isinstance(value, dict):
            return value
        tag = next((key for key in value if isinstance(key, str) and key.startswith("$")), None)
        if tag is None and self.has_entries and "component" in value and not set(value) - ENTRY_NAMES:
            return self.build(value)
        if tag is None:
            return {key: self.of(member, depth + 1) for key, member in value.items()}
        if tag == "$component" or (tag == "$env" and len(value) == 1):
            return self.build(value[tag]) if tag == "$component" else self._variable(value[tag])
        try:
            return self._tagged(tag, value, depth + 1)
        except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, ImportError) as exc:
            if isinstance(exc, ConfigError):
                raise
            raise ConfigError(f"{self.where}: {value[tag]!r} is no content of {tag}.") from exc

    def _variable(self, name: Json) -> str:
        if self.variable is None:
            raise ConfigError(
                f"{self.where}: $env gives secrets, which are stored nowhere, and this is none: write the value itself."
            )
        return self.variable(name)

    def _tagged(self, tag: str, value: dict[str, Json], depth: int) -> Any:  # noqa: ANN401 - one case per tag
        content = value[tag]
        if tag in BY_TAG:
            return BY_TAG[tag].decode(content)
        if len(value) != 1 + (tag == "$dataclass"):
            raise ConfigError(f"{self.where}: {tag} stands beside other entries.")
        if tag in ("$path", "$array"):
            return Path(content) if tag == "$path" else _restored_array(content, self.of(content["values"], depth))
        if tag in ("$tuple", "$set", "$frozenset"):
            members = [self.of(member, depth) for member in content]
            return {"$tuple": tuple, "$set": set, "$frozenset": frozenset}[tag](members)
        if tag == "$mapping":
            pairs = [(self.of(key, depth), self.of(member, depth)) for key, member in content]
            if len(dict(pairs)) < len(pairs):
                raise ConfigError(f"{self.where}: a name is there twice in {tag}.")
            return dict(pairs)
        if tag == "$enum":
            owner, _, name = content.rpartition(".")
            return member_of(self.classes[owner], name)
        if tag == "$dataclass":
            given = {name: self.of(member, depth) for name, member in value["fields"].items()}
            return fitted(given, self.classes[content], where=self.where)
        raise ConfigError(f"{self.where}: a file cannot hold {tag} values; build this pipeline in Python.")


def _restored_array(content: Json, values: list[Any]) -> Any:  # noqa: ANN401 - NumPy need not be there
    import numpy as np  # noqa: PLC0415 - as above

    dtype = np.dtype(content["dtype"])
    if dtype.kind not in "biufU" or dtype.itemsize > _MAX_ARRAY:
        raise TypeError(dtype)
    return np.array(values, dtype=dtype).reshape(content["shape"])


def is_same(one: Any, other: Any) -> bool:  # noqa: ANN401, PLR0911 - any two values
    """Whether two values are of the same types and equal, all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Component):
        return one is other
    if is_array(one):
        return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    if isinstance(one, float | complex):  # zeros have signs
        return repr(one) == repr(other)
    if isinstance(one, dt.datetime | dt.time) and one.fold != other.fold:  # an hour that is there twice
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, dict):
        pairs = zip(one.items(), other.items(), strict=False)
        return len(one) == len(other) and all(is_same(a, b) and is_same(c, d) for (a, c), (b, d) in pairs)
    if isinstance(one, set | frozenset):
        return sorted(map(repr, one)) == sorted(map(repr, other))
    if dataclasses.is_dataclass(one) and not isinstance(one, type):
        names = {f.name for f in dataclasses.fields(one)} - secret_fields(type(one))
        return all(is_same(getattr(one, name), getattr(other, name)) for name in names)
    return bool(one == other) or repr(one) == repr(other)  # NaN equals nothing
