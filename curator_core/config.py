"""Stable representation of components: canonical JSON, its hash, and back from a file.

A value is represented by what it is, never by where it lives in memory; one that has no such
representation is an error. Files name components by registered name or ``module:Class``, and nothing
but subclasses of `Source`, `Filter` and `Sink` is ever built from one.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import hashlib
import json
import math
import os
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from curator_core.annotations import secret_fields
from curator_core.components import Component
from curator_core.errors import ConfigError
from curator_core.registry import components, imported, stable_module_name

Json = Any
CONFIG_FORMAT = 2
"""Of configurations, which are compared with those of the same format alone; the first one did not say so."""
ComponentT = TypeVar("ComponentT", bound=Component)


def class_reference(cls: type) -> str:
    """``module:Class``, the same in every process also for classes of the user's own script."""
    return f"{stable_module_name(cls.__module__)}:{cls.__qualname__}"


def component_identity(cls: type[Component]) -> str:
    """The registered name, which does not depend on where the class is; ``module:Class`` where there is none."""
    return components.name_of(cls) or class_reference(cls)


def component_config(component: Component) -> dict[str, Json]:
    """Identity, version and canonical arguments of a component, secrets left out.

    Raises
    ------
    ConfigError
        An argument has no stable representation, or the version is no text.
    """
    left_out = component.secret_parameters() | {param.name for param in component.params() if not param.recorded}
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


def canonical(value: object, *, where: str) -> Json:  # noqa: C901, PLR0911, PLR0912 - one case per kind of value
    """JSON value that represents `value` in every process alike.

    Raises
    ------
    ConfigError
        `value` has no such representation; the message names `where`.
    """
    if isinstance(value, enum.Enum):
        return canonical(value.value, where=where)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str):
        return _canonical_text(value, where)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"$float": repr(float(value))}
    if isinstance(value, os.PathLike):
        return canonical(os.fspath(value), where=where)
    if isinstance(value, list | tuple):
        return [canonical(v, where=where) for v in value]
    if isinstance(value, Mapping):
        return _canonical_mapping(value, where)
    if isinstance(value, set | frozenset):
        return {"$set": sorted((canonical(v, where=where) for v in value), key=canonical_json)}
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    if isinstance(value, dt.date | dt.time):
        return {"$time": value.isoformat()}
    if isinstance(value, Component):
        return {"$component": component_config(value)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = sorted({f.name for f in dataclasses.fields(value)} - secret_fields(type(value)))
        members = {name: canonical(getattr(value, name), where=where) for name in names}
        return {"$dataclass": class_reference(type(value)), "fields": members}
    if isinstance(value, type | types.FunctionType | types.BuiltinFunctionType):
        return _canonical_reference(value, where)
    return _canonical_array(value, where)


def _canonical_text(value: str, where: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise ConfigError(f"{where}: {value!r} cannot be written as UTF-8.") from exc
    return str(value)


def _canonical_mapping(value: Mapping[Any, object], where: str) -> Json:
    for key in value:
        if not isinstance(key, str) or key.startswith("$"):
            raise ConfigError(f"{where}: mapping key {key!r} must be a string that does not start with '$'.")
    return {key: canonical(value[key], where=where) for key in sorted(value)}


def _canonical_reference(value: type | types.FunctionType | types.BuiltinFunctionType, where: str) -> Json:
    name = f"{stable_module_name(value.__module__ or 'builtins')}:{value.__qualname__}"
    owner = getattr(value, "__self__", None)
    if "<" in name or not (owner is None or isinstance(owner, types.ModuleType)):
        raise ConfigError(f"{where}: {name} has no stable name; use a function defined at the top of a module.")
    return {"$ref": name}


def _canonical_array(value: object, where: str) -> Json:
    np = sys.modules.get("numpy")
    if np is not None and isinstance(value, np.generic) and value.dtype.kind in "biufSU":
        return canonical(value.item(), where=where)
    if np is not None and isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return {"$array": {"dtype": value.dtype.str, "shape": list(value.shape), "sha256": digest}}
    raise ConfigError(
        f"{where}: {type(value).__qualname__} has no stable representation, so the same configuration could not "
        "be recognised in another process. Pass numbers, strings, paths, lists, mappings, dataclasses or "
        "functions defined at the top of a module."
    )


def restore(value: Json, *, where: str) -> Json:
    """Value that `canonical` represented.

    Raises
    ------
    ConfigError
        It stands for code or data that a file cannot hold.
    """
    if isinstance(value, list):
        return [restore(v, where=where) for v in value]
    if not isinstance(value, dict):
        return value
    tag = next((key for key in value if isinstance(key, str) and key.startswith("$")), None)
    match tag:
        case None:
            return {key: restore(v, where=where) for key, v in value.items()}
        case "$component":
            return build_component(value[tag], Component, where=where)
        case "$float" | "$set" | "$bytes":
            return _restored_tag(tag, value[tag], where)
    raise _not_for_files(where, tag)


def _restored_tag(tag: str, content: Json, where: str) -> Json:
    try:
        if tag == "$float":
            return float(content)
        if tag == "$bytes":
            return bytes.fromhex(content)
        return {restore(member, where=where) for member in content}
    except (TypeError, ValueError) as exc:
        raise ConfigError(f"{where}: {content!r} is no content of {tag}.") from exc


def require_restorable(value: Json, *, where: str) -> None:
    """Raise `ConfigError` unless `restore` can build `value` again."""
    if isinstance(value, list):
        for member in value:
            require_restorable(member, where=where)
    elif isinstance(value, dict):
        for key, member in value.items():
            if key in _NOT_FOR_FILES:
                raise _not_for_files(where, key)
            require_restorable(member, where=where)


_NOT_FOR_FILES = ("$ref", "$array", "$dataclass", "$time")


def _not_for_files(where: str, tag: str) -> ConfigError:
    return ConfigError(f"{where}: a file cannot hold {tag} values; build this pipeline in Python.")


def build_component(entry: Json, kind: Callable[..., ComponentT], *, where: str) -> ComponentT:
    """Construct the component that `entry` (``{component: name, params: {…}}``) names.

    Raises
    ------
    ConfigError
        The entry is malformed, names no component of this `kind`, or has unknown or missing parameters.
    """
    if isinstance(entry, str):
        entry = {"component": entry}
    is_entry = isinstance(entry, dict) and isinstance(entry.get("component"), str)
    if not is_entry or set(entry) - {"component", "params"}:
        raise ConfigError(f"{where}: expected 'component' (a name or module:Class) and 'params', got {entry!r}.")
    cls = resolve_component(entry["component"], kind, where=where)
    given = entry.get("params") or {}
    if not isinstance(given, dict):
        raise ConfigError(f"{where}: 'params' must be a mapping, got {given!r}.")
    known = {param.name: param for param in cls.params()}
    for name in given:
        if name not in known:
            raise ConfigError(
                f"{where}: {entry['component']} has no parameter {name!r}. Known: {', '.join(known) or '(none)'}."
            )
    missing = [name for name, param in known.items() if param.required and name not in given]
    if missing:
        raise ConfigError(f"{where}: {entry['component']} needs {', '.join(missing)}.")
    return cls(**{name: restore(value, where=f"{where}.{name}") for name, value in given.items()})


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


def plain_mapping(config: object, *, where: str) -> dict[str, Json]:
    """A configuration as plain containers: of a mapping, or of an OmegaConf configuration, also within a mapping.

    Parameters
    ----------
    config
        The configuration.
    where
        What it is for, for messages.

    Raises
    ------
    ConfigError
        It is no mapping, or has values that are missing or refer to nothing.
    """
    found = plain(config, where=where)
    if not isinstance(found, Mapping):
        raise ConfigError(f"{where} must be a mapping, not {config!r}.")
    for name in found:
        if not isinstance(name, str):
            raise ConfigError(f"{where}: the name {name!r} is no text; put it in quotes.")
    return dict(found)


def plain(value: object, *, where: str) -> Json:
    """The same value, with plain containers in place of those of OmegaConf; references in them are followed.

    Raises
    ------
    ConfigError
        A value of OmegaConf is missing, or refers to nothing.
    """
    if type(value).__module__.partition(".")[0] == "omegaconf":
        omegaconf = sys.modules["omegaconf"]  # the configuration is one of its own
        try:
            return omegaconf.OmegaConf.to_container(value, resolve=True, throw_on_missing=True)
        except omegaconf.errors.OmegaConfBaseException as exc:
            raise ConfigError(f"{where}: {' '.join(str(exc).split())}") from exc
    if type(value) is dict:  # no subclass, which may hold more than its items
        return {name: plain(one, where=where) for name, one in value.items()}
    if type(value) is list:
        return [plain(one, where=where) for one in value]
    if type(value) is tuple:
        return tuple(plain(one, where=where) for one in value)
    return value
