"""What a configuration names: ``_target_`` and its arguments, written as for Hydra.

A configuration can name what it likes, and naming is calling. So Python's own library is out of its reach, and of
installed packages it reaches classes alone, and functions that say that they give a block: whoever wants another one
calls it in a function of their own.
"""

from __future__ import annotations

import functools
import inspect
import re
import site
import sys
import sysconfig
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, get_type_hints

from curator_core.errors import ConfigError, CuratorError, UnknownNameError
from curator_core.pipeline.registry import imported

TARGET = "_target_"
"""Key of a configuration that names what is called, as ``package.module.Class``."""
_ARGS, _PARTIAL, _RECURSIVE, _CONVERT = "_args_", "_partial_", "_recursive_", "_convert_"
_KEYS = (TARGET, _ARGS, _PARTIAL, _RECURSIVE, _CONVERT)
_VALUES = ("pathlib", "datetime", "decimal", "fractions")
"""Modules of Python whose classes are values and do nothing when they are made."""
_OWN = ("curator_core", "curator_dagster")

_REFERENCE = re.compile(r"\$\{[A-Za-z_.:][^{}]*\}")
_CONVERSIONS = ("none", "partial", "object", "all")

Callee = Callable[..., Any]


def filled(value: object, *, where: str, kind: type) -> Any:  # noqa: ANN401 - whatever is configured
    """A value with everything built that it names, in mappings and lists within it, too.

    Parameters
    ----------
    value
        Of a configuration.
    where
        What it is the value of, for messages.
    kind
        What functions of installed packages have to say that they give.

    Raises
    ------
    ConfigError
        Something cannot be built; the message names it.
    """
    if isinstance(value, Mapping) and TARGET in value:
        return built(value, where=where, kind=kind)
    if isinstance(value, Mapping):
        return {name: filled(one, where=_within(where, name), kind=kind) for name, one in value.items()}
    if type(value) in (list, tuple):
        found = [filled(one, where=f"{where}[{at}]", kind=kind) for at, one in enumerate(value)]  # type: ignore[arg-type, var-annotated] # one of the two
        return found if isinstance(value, list) else tuple(found)
    return value


def check_resolved(value: object, where: str) -> None:
    """Refuse references such as ``${study.seed}``, which are plain text in a mapping that is not of OmegaConf.

    Raises
    ------
    ConfigError
        There is one; the message names it.
    """
    if isinstance(value, str) and (found := _REFERENCE.search(value)):
        raise ConfigError(
            f"{where}: {found[0]!r} is not followed in a plain mapping. Give the configuration of OmegaConf itself, or "
            "write the value in its place."
        )
    if isinstance(value, Mapping):
        for name, one in value.items():
            check_resolved(one, f"{where}: {name}")
    elif isinstance(value, list | tuple):
        for one in value:
            check_resolved(one, where)


def built(config: Mapping[str, Any], *, where: str, kind: type) -> Any:  # noqa: ANN401 - whatever is configured
    """What a mapping with ``_target_`` describes.

    Raises
    ------
    ConfigError
        It cannot be built.
    """
    return called(callee_of(config[TARGET], where=where, kind=kind), config, where=where, kind=kind)


def called(callee: Callee, config: Mapping[str, Any], *, where: str, kind: type) -> Any:  # noqa: ANN401 - as above
    """What a class or a function gives for the arguments of a configuration.

    Raises
    ------
    ConfigError
        It does not take them, or fails.
    """
    settings = {name: value for name, value in config.items() if name not in _KEYS}
    for name in settings:
        if name.startswith("_") and name.endswith("_"):
            raise UnknownNameError(f"{_at(where)}{UnknownNameError.of('key', name, _KEYS)}")
    args = config.get(_ARGS, [])
    if not isinstance(args, list | tuple):
        raise ConfigError(f"{_at(where)}{_ARGS} must be a list, not {args!r}.")
    if config.get(_CONVERT, "none") not in _CONVERSIONS:
        raise UnknownNameError(f"{_at(where)}{UnknownNameError.of(_CONVERT, config[_CONVERT], _CONVERSIONS)}")
    if config.get(_RECURSIVE, True):
        args = filled(list(args), where=_within(where, _ARGS), kind=kind)
        settings = {name: filled(value, where=_within(where, name), kind=kind) for name, value in settings.items()}
    if config.get(_PARTIAL, False):
        return functools.partial(callee, *args, **settings)
    return _result(callee, args, settings, where)


def _at(where: str) -> str:
    return f"{where}: " if where else ""


def _within(where: str, name: object) -> str:
    return f"{where}.{name}" if where else str(name)


def _result(callee: Callee, args: list[Any], settings: dict[str, Any], where: str) -> Any:  # noqa: ANN401 - as above
    name = getattr(callee, "__qualname__", repr(callee))
    if isinstance(callee, type) and (missing := sorted(getattr(callee, "__abstractmethods__", ()))):
        raise ConfigError(f"{_at(where)}{name} has no {missing[0]}(), so it does nothing.")
    try:
        return callee(*args, **settings)
    except CuratorError:
        raise
    except (
        ArithmeticError,
        AttributeError,
        ImportError,
        LookupError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as exc:
        given = ", ".join([*(f"{len(args)} without a name" for _ in args[:1]), *settings]) or "no arguments"
        raise ConfigError(
            f"{_at(where)}{name} cannot be made of {given}: {type(exc).__name__}: {exc}. It takes {_taken(callee)}."
        ) from exc


def _taken(callee: Callee) -> str:
    try:
        return ", ".join(inspect.signature(callee).parameters) or "no arguments"
    except (TypeError, ValueError):  # some of those written in C do not tell
        return "what its documentation says"


def callee_of(target: object, *, where: str, kind: type) -> Callee:
    """The class or function that is named.

    Raises
    ------
    ConfigError
        There is none, or a configuration must not call it.
    """
    found = _named(target, f"{_at(where)}{TARGET}") if isinstance(target, str) else target
    if not callable(found):
        raise ConfigError(f"{_at(where)}{target!r} is no class or function, but {found!r}.")
    module = getattr(found, "__module__", None) or type(found).__module__
    root = module.partition(".")[0]
    if root in sys.stdlib_module_names or not isinstance(module, str):
        if not (isinstance(found, type) and root in _VALUES):
            raise ConfigError(f"{_at(where)}a configuration cannot call {target!r}, which belongs to Python. {_ADVICE}")
    elif not isinstance(found, type) and _is_installed(module) and not _gives(found, kind):
        raise ConfigError(
            f"{_at(where)}a configuration can name classes of installed packages, and functions that are annotated to "
            f"give a {kind.__name__}; {target!r} is neither. {_ADVICE}"
        )
    return found


def _named(target: str, where: str) -> object:
    try:
        return imported(target, where=where)
    except ConfigError:
        module, dot, name = target.rpartition(".")
        owner, another_dot, cls = module.rpartition(".")
        if ":" in target or not (dot and another_dot):
            raise
        with suppress(ConfigError):  # package.module.Class.method
            return imported(f"{owner}:{cls}.{name}", where=where)
        raise


_ADVICE = "Call it in a function of your own module, and name that one."


def _is_installed(module: str) -> bool:
    if module.partition(".")[0] in _OWN:
        return True
    file = getattr(sys.modules.get(module), "__file__", None)
    folders = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()}
    return file is not None and any(
        Path(file).is_relative_to(folder) for folder in [*folders, site.getusersitepackages()]
    )


def _gives(function: Callee, kind: type) -> bool:
    try:
        given = get_type_hints(function).get("return")
    except (AttributeError, NameError, TypeError):  # what it names is imported for type checkers alone
        return False
    return isinstance(given, type) and issubclass(given, kind)
