"""Names of classes and functions: registered, from installed packages' entry points, or as ``module:name``."""

from __future__ import annotations

import difflib
import sys
import threading
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Generic, TypeVar

from curator_core.components import Component
from curator_core.errors import ConfigError, DuplicateNameError, MissingDependencyError, UnknownNameError

C = TypeVar("C")


class Registry(Generic[C]):
    """Classes by name; those of other packages are loaded when first asked for.

    Parameters
    ----------
    kind
        What is registered, for messages.
    group
        Entry-point group that other packages use.
    base
        Class that every entry must be a subclass of.
    """

    def __init__(self, kind: str, group: str, base: type[C]) -> None:
        self.kind = kind
        self.group = group
        self.base = base
        self._lock = threading.Lock()
        self._classes: dict[str, type[C]] = {}
        self._found: dict[str, EntryPoint] | None = None

    def register(self, name: str, cls: type[C]) -> type[C]:
        """Add a class.

        Raises
        ------
        DuplicateNameError
            The name is taken by another class.
        """
        if not _is_subclass(cls, self.base):
            raise ConfigError(f"The {self.kind} {name!r} must be a subclass of {self.base.__name__}, not {cls!r}.")
        with self._lock:
            taken = self._classes.get(name)
            if (taken is not None and taken is not cls) or (taken is None and name in self._entry_points()):
                raise DuplicateNameError(f"A {self.kind} named {name!r} is registered already.")
            self._classes[name] = cls
        return cls

    def get(self, name: str) -> type[C]:
        """Look a class up, loading it if need be.

        Raises
        ------
        UnknownNameError
            No such name; the message lists the known ones.
        ConfigError
            The entry point gives something that is no such class.
        """
        cls = self._classes.get(name)
        if cls is not None:
            return cls
        entry = self._entry_points().get(name)
        if entry is None:
            raise UnknownNameError.of(self.kind, name, self.names())
        try:
            loaded = entry.load()
        except MissingDependencyError:  # says which extra to install
            raise
        except (ImportError, AttributeError) as exc:
            raise ConfigError(
                f"Cannot load the {self.kind} {name!r} from {entry.value!r} "
                f"(an entry point of group {self.group!r}): {exc}."
            ) from exc
        if not (isinstance(loaded, type) and issubclass(loaded, self.base)):
            raise ConfigError(
                f"Entry point {name!r} of group {self.group!r} gives {loaded!r}, no subclass of {self.base.__name__}."
            )
        self._classes[name] = loaded
        return loaded

    def names(self) -> list[str]:
        """All known names, sorted."""
        return sorted({*self._classes, *self._entry_points()})

    def _entry_points(self) -> dict[str, EntryPoint]:
        if self._found is None:
            self._found = {entry.name: entry for entry in entry_points(group=self.group)}
        return self._found


def _is_subclass(cls: object, base: type) -> bool:
    return isinstance(cls, type) and issubclass(cls, base)


components: Registry[Component] = Registry("component", "curator.components", Component)
"""Sources, filters and sinks by name."""


def register_component(cls: type[Component]) -> type[Component]:
    """Class decorator: make a component known under its `name`."""
    return components.register(cls.component_name(), cls)


def imported(reference: str, *, where: str) -> object:
    """What ``module:name`` or ``package.module.name`` names; the module is imported, which runs it.

    Parameters
    ----------
    reference
        The name.
    where
        What asks for it, for messages.

    Raises
    ------
    ConfigError
        There is no such module, or nothing of that name in it.
    MissingDependencyError
        The module needs a package that is not installed.
    """
    module_name, separator, name = reference.partition(":") if ":" in reference else reference.rpartition(".")
    if not (module_name and separator and name):
        raise ConfigError(f"{where}: {reference!r} names nothing that can be imported; write module:name.")
    try:
        found: object = _imported_module(module_name)
        for part in name.split("."):
            found = getattr(found, part)
    except MissingDependencyError:  # says which extra to install
        raise
    except (ImportError, AttributeError, SyntaxError, TypeError, ValueError) as exc:
        raise ConfigError(f"{where}: cannot load {reference!r}: {exc}.{_meant(exc)}") from exc
    return found


def _meant(error: Exception) -> str:
    if not isinstance(error, AttributeError) or error.name is None:
        return ""
    near = difflib.get_close_matches(error.name, dir(error.obj), n=3)
    return f" Is {' or '.join(map(repr, near))} meant?" if near else ""


def _imported_module(name: str) -> ModuleType:
    return sys.modules["__main__"] if stable_module_name("__main__") == name else import_module(name)


def stable_module_name(module: str) -> str:
    """The same name in every process, also for the user's own script, which is ``__main__`` in one."""
    if module not in ("__main__", "__mp_main__"):
        return module
    main = sys.modules.get(module) or sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name not in ("__main__", "__mp_main__"):
        return str(spec.name.removesuffix(".__main__"))
    file = getattr(main, "__file__", None)
    return Path(file).stem if file else "__main__"
