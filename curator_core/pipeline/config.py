"""Stable representation of components: canonical JSON, its hash, and back from a file.

A value is represented by what it is, never by where it lives in memory; one that has no such
representation is an error. Files name components by registered name or ``module:Class``, and nothing
but subclasses of `Source`, `Filter` and `Sink` is ever built from one.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
import logging
import math
import os
import sys
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from typing import Any, TypeVar, cast

from curator_core.errors import ConfigError, CuratorError
from curator_core.moved import former_name
from curator_core.pipeline.abilities import ReadsFiles
from curator_core.pipeline.annotations import parts, secret_fields
from curator_core.pipeline.calls import call_arguments, inherited_defaults, takes_any
from curator_core.pipeline.components import Component
from curator_core.pipeline.file_values import ENTRY_NAMES, MAX_DEPTH, filed, holds_secrets, restored
from curator_core.pipeline.fitting import fitted
from curator_core.pipeline.kinds import is_array, kind_of
from curator_core.pipeline.params import Param, hints_of
from curator_core.pipeline.registry import components, imported, stable_module_name
from curator_core.redaction import Redactor, secret_variable

_logger = logging.getLogger("curator")
Json = Any
CONFIG_FORMAT = 2
"""Of configurations, which are compared with those of the same format alone; the first one did not say so."""
ComponentT = TypeVar("ComponentT", bound=Component)
_ARRAY_KINDS = "biufcMmSU"
"""Kinds of NumPy types whose bytes are their values."""


def class_reference(cls: type) -> str:
    """``module:Class``, the same in every process also for classes of the user's own script."""
    return f"{stable_module_name(cls.__module__)}:{cls.__qualname__}"


def component_identity(cls: type[Component]) -> str:
    """The registered name, which does not depend on where the class is; ``module:Class`` where there is none."""
    return components.name_of(cls) or class_reference(cls)


def component_config(component: Component) -> dict[str, Json]:
    """Identity, version and canonical arguments of a component, secrets left out, and what identifies files it reads.

    Raises
    ------
    ConfigError
        An argument has no stable representation, the version is no text, or a file cannot be read.
    """
    files = component.file_identities() if isinstance(component, ReadsFiles) else {}
    return _described(component) | ({"files": dict(sorted(files.items()))} if files else {})


def _described(component: Component) -> dict[str, Json]:
    """The same without the files."""
    left_out = component.secret_parameters(component.arguments) | {
        each.name for each in component.params() if not each.is_recorded(component.arguments.get(each.name))
    }
    given = {name: value for name, value in component.arguments.items() if name not in left_out}
    where = type(component).component_name()
    return {
        "component": component_identity(type(component)),
        **({"version": version} if (version := _version(type(component))) else {}),
        "params": {name: canonical(value, where=f"{where}({name}=…)") for name, value in sorted(given.items())},
    }


def _version(cls: type[Component]) -> str:
    version: object = cls.version
    if not isinstance(version, str):
        raise ConfigError(f"{cls.component_name()}: its version must be a text, such as '2', not {version!r}.")
    return version


def config_hash(config: Json) -> str:
    """SHA-256, in hexadecimal, of the canonical JSON of `config`."""
    return hashlib.sha256(canonical_json(config).encode()).hexdigest()


def canonical_json(config: Json) -> str:
    """JSON with sorted keys and no white space."""
    return json.dumps(config, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical(value: object, *, where: str, depth: int = 0) -> Json:  # noqa: C901, PLR0911, PLR0912 - one case per kind
    """JSON value that represents `value` in every process alike, wherever its class is.

    Raises
    ------
    ConfigError
        `value` has no such representation; the message names `where`.
    """
    if depth > MAX_DEPTH:
        raise ConfigError(f"{where}: nested more than {MAX_DEPTH} levels deep, or contains itself.")
    inner: dict[str, Any] = {"where": where, "depth": depth + 1}
    if isinstance(value, enum.Enum):
        return _canonical_member(value, inner)
    kind = kind_of(value)
    if kind is not None:
        try:
            return {kind.tag: kind.encode(value)}
        except TypeError as exc:
            raise ConfigError(f"{where}: {exc} has no stable representation.") from exc
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str):
        return _canonical_text(value, where)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"$float": repr(float(value))}
    if isinstance(value, os.PathLike):
        return canonical(os.fspath(value), **inner)
    if isinstance(value, list | tuple):
        return [canonical(v, **inner) for v in value]
    if isinstance(value, Mapping):
        return _canonical_mapping(value, where, inner)
    if isinstance(value, set | frozenset):
        return {"$set": sorted((canonical(v, **inner) for v in value), key=canonical_json)}
    if isinstance(value, Component):
        return {"$component": component_config(value)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = sorted({f.name for f in dataclasses.fields(value)} - secret_fields(type(value)))
        members = {name: canonical(getattr(value, name), **inner) for name in names}
        return {"$dataclass": type(value).__qualname__, "fields": members}
    if isinstance(value, type) and issubclass(value, Component):
        return {"$ref": component_identity(value)}
    if isinstance(value, type | types.FunctionType | types.BuiltinFunctionType):
        return _canonical_reference(value, where)
    return _canonical_array(value, where)


def _canonical_member(value: enum.Enum, inner: dict[str, Any]) -> Json:
    """Of an enumeration: its name and value, which code may compare it by."""
    found: dict[str, Json] = {"$enum": f"{type(value).__qualname__}.{value.name}"}
    try:
        return found | {"value": canonical(value.value, **inner)}
    except ConfigError:  # a value of any kind; the name says which it is
        return found


def _canonical_text(value: str, where: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise ConfigError(f"{where}: {value!r} cannot be written as UTF-8.") from exc
    return str(value)


def _canonical_mapping(value: Mapping[Any, object], where: str, inner: dict[str, Any]) -> Json:
    for key in value:
        if isinstance(key, str) and key.startswith("$"):
            raise ConfigError(f"{where}: mapping key {key!r} must not start with '$'.")
    if all(type(key) is str for key in value):
        return {_canonical_text(key, where): canonical(value[key], **inner) for key in sorted(value)}
    pairs = [[canonical(key, **inner), canonical(member, **inner)] for key, member in value.items()]
    return {"$mapping": sorted(pairs, key=canonical_json)}


def _canonical_reference(value: type | types.FunctionType | types.BuiltinFunctionType, where: str) -> Json:
    name = f"{former_name(stable_module_name(value.__module__ or 'builtins'))}:{value.__qualname__}"
    owner = getattr(value, "__self__", None)
    if "<" in name or not (owner is None or isinstance(owner, types.ModuleType)):
        raise ConfigError(f"{where}: {name} has no stable name; use a function defined at the top of a module.")
    return {"$ref": name}


def _canonical_array(value: Any, where: str) -> Json:  # noqa: ANN401 - any value
    np = sys.modules.get("numpy")
    if np is not None and is_array(value) and value.dtype.kind in _ARRAY_KINDS:
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return {"$array": {"dtype": value.dtype.str, "shape": list(value.shape), "sha256": digest}}
    raise ConfigError(
        f"{where}: {type(value).__qualname__} has no stable representation, so the same configuration could not "
        "be recognised in another process. Pass numbers, strings, paths, lists, mappings, dataclasses or "
        "functions defined at the top of a module."
    )


def component_entry(component: Component, *, where: str) -> dict[str, Json]:
    """What a pipeline file holds of a component: its name and arguments, secrets left out; the version is the code's.

    Raises
    ------
    ConfigError
        A file cannot hold an argument, or cannot name the class.
    """
    cls = type(component)
    config = _described(component)
    if "<" in config["component"]:
        raise ConfigError(
            f"{where}: a file cannot name {config['component']}; define the class at the top of a module."
        )
    hints, known = hints_of(cls), {param.name: param for param in cls.params()}
    names = [name for name in config["params"] if name not in inherited_defaults(cls, component.arguments)]
    params = {
        name: filed(
            component.arguments[name],
            hints.get(name, hints.get("**", Any)),
            known[name].default if name in known else None,
            where=f"{where}: {cls.component_name()}({name}=…)",
            entry=lambda inner, name=name: component_entry(inner, where=f"{where}.{name}"),  # type: ignore[misc]
        )
        for name in names
    }
    given = component.arguments
    left_out = [name for name in sorted(component.secret_parameters(given)) if given.get(name) is not None]
    left_out += [name for name in names if given[name] is not None and holds_secrets(hints.get(name, Any), given[name])]
    if left_out:
        _logger.warning(
            "%s: %s is secret and was not written; give it as {$env: NAME OF A VARIABLE} in the file",
            where,
            ", ".join(left_out),
        )
    entry = {"component": config["component"], "params": params}
    place = class_reference(cls)
    is_known = config["component"] == place or components.is_declared(config["component"]) or "<" in place
    return entry if is_known else {"component": entry["component"], "from": place, "params": params}


def build_component(entry: Json, kind: Callable[..., ComponentT], *, where: str) -> ComponentT:
    """Construct the component that `entry` (``{component: name, params: {…}}``) names.

    ``from`` says where a name is registered that no installed package declares: ``module:Class``.

    Raises
    ------
    ConfigError
        The entry is malformed, names no component of this `kind`, or has unknown or missing parameters.
    """
    if isinstance(entry, str):
        entry = {"component": entry}
    is_entry = isinstance(entry, dict) and isinstance(entry.get("component"), str)
    if not is_entry or set(entry) - ENTRY_NAMES:
        raise ConfigError(f"{where}: expected 'component' (a name or module:Class) and 'params', got {entry!r}.")
    cls = resolve_component(_registered(entry, where), kind, where=where)
    given = entry.get("params") or {}
    if not isinstance(given, dict):
        raise ConfigError(f"{where}: 'params' must be a mapping, got {given!r}.")
    known = {param.name: param for param in cls.params()}
    for name in given:
        if name not in known and not (isinstance(name, str) and takes_any(cls)):
            raise ConfigError(
                f"{where}: {entry['component']} has no parameter {name!r}. Known: {', '.join(known) or '(none)'}."
            )
    missing = [name for name, param in known.items() if param.required and name not in given]
    if missing:
        secret = [name for name in missing if name in cls.secret_parameters()]
        more = f" A secret is given as {secret[0]}: {{$env: NAME OF A VARIABLE}}." if secret else ""
        raise ConfigError(f"{where}: {entry['component']} needs {', '.join(missing)}.{more}")
    return _constructed(cls, _Given(cls, known, where).values(given), where)


def _registered(entry: Mapping[str, Json], where: str) -> str:
    """The name of an entry's component, once the module that registers it was imported, where that is needed."""
    name, place = str(entry["component"]), entry.get("from")
    if place is not None and (not isinstance(place, str) or ":" not in place):
        raise ConfigError(f"{where}: 'from' must be the module:Class of {name!r}, got {place!r}.")
    if place is None or components.has(name):
        return name
    imported(place, where=where)
    return name if components.has(name) else place


@dataclasses.dataclass(frozen=True)
class _Given:
    """Arguments that a file gives to a component."""

    cls: type[Component]
    """The component."""
    known: Mapping[str, Param]
    """Its parameters."""
    where: str
    """For messages."""

    def values(self, given: Mapping[str, Json]) -> dict[str, Any]:
        """The arguments, each as its annotation says."""
        hints, secret = hints_of(self.cls), self.cls.secret_parameters(given)
        rest = hints.get("**", Any)
        return {name: self._value(name, value, hints.get(name, rest), name in secret) for name, value in given.items()}

    def _value(self, name: str, value: Json, hint: object, is_secret: bool) -> Any:  # noqa: ANN401, FBT001
        where, param = f"{self.where}.{name}", self.known.get(name)
        default = param.default if param is not None else None
        is_secret = is_secret or holds_secrets(hint, default)
        is_variable = is_secret and isinstance(value, dict) and set(value) == {"$env"}
        found = restored(
            value,
            hint,
            default,
            where=where,
            build=lambda one: build_component(one, Component, where=where),
            has_entries=_takes_component(hint),
            variable=(lambda one: secret_variable(one, where)) if is_secret else None,
        )
        if is_variable and not any(isinstance(part, type) and part in _OF_TEXTS for part in parts(hint)):
            return found  # of a class that we know nothing of
        if param is not None and (type(found) is type(default) and found == default):
            return found
        if (
            param is not None
            and param.choices
            and not is_secret
            and typing.get_origin(param.type) is not typing.Literal
        ) and found not in param.choices:
            raise ConfigError(f"{where} must be one of {', '.join(map(repr, param.choices))}, not {found!r}.")
        return fitted(found, hint, where=where, is_secret=is_secret)


_OF_TEXTS = (int, float, Path, PurePath)
"""What a text is turned into."""


def _takes_component(hint: object) -> bool:
    kinds = (typing.get_origin(part) or part for part in parts(hint))  # Source[float] is one, too
    return any(isinstance(kind, type) and issubclass(kind, Component) for kind in kinds)


def _constructed(cls: type[ComponentT], named: dict[str, Any], where: str) -> ComponentT:
    args, kwargs = call_arguments(cls, named)
    secret = cls.secret_parameters(named)
    cleaned = Redactor(str(value) for name, value in named.items() if name in secret and isinstance(value, str))
    try:
        return cls(*args, **kwargs)
    except ConfigError as exc:
        raise type(exc)(f"{where}: {cleaned(str(exc))}") from None
    except CuratorError:
        raise
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, OSError) as exc:
        text = cleaned(f"{type(exc).__name__}: {exc}")
        raise ConfigError(f"{where}: {cls.component_name()} cannot be built: {text}") from (None if secret else exc)


def resolve_component(name: str, kind: Callable[..., ComponentT], *, where: str) -> type[ComponentT]:
    """Class for a registered name or ``module:Class``.

    Raises
    ------
    ConfigError
        There is none, or it is no subclass of `kind`.
    """
    cls: Any = imported(name, where=where) if ":" in name else components.get(name)
    base = cast("type", kind)
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise ConfigError(f"{where}: {name!r} is no {base.__name__}.")
    return cast("type[ComponentT]", cls)
