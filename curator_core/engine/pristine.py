"""The state of a filter before its first item, to go back to after each."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from curator_core.engine.failure import annotate, describe
from curator_core.errors import ComponentError
from curator_core.interruption import is_interruption
from curator_core.pipeline.components import Component

_CONTAINERS = (list, dict, set, bytearray)
_ABSENT = object()


class PristineState:
    """Remembers the attributes of an accumulating filter of another package, and restores them.

    Attributes are copied, apart from those that cannot be (a lock, an open file), which stay as they are. So do
    objects that a `functools.cached_property` holds, since they follow from the other attributes: what takes long
    to load is loaded once. Other components are not copied.

    Parameters
    ----------
    component
        The filter, see `FlushingFilter`.
    others
        Components that it may refer to.
    """

    def __init__(self, component: Any, others: Iterable[Component]) -> None:  # noqa: ANN401 - fulfils the protocol
        self._component = component
        arguments = vars(component).get("_arguments")
        self._shared = {id(shared): shared for shared in (component, arguments, *others)}
        self._uncopied: set[str] = set()
        self._before = self._copies(_attributes(component))
        self._problem: str | None = None

    def check(self) -> None:
        """Raise `ComponentError` when what a failed item accumulated may still be there."""
        if self._problem is not None:
            raise ComponentError(self._problem, component=self._component.component_name())

    def discard(self, failure: BaseException) -> None:
        """Let the filter's own `flush` clear what it keeps of a failed item where copies do not reach.

        That is in attributes that cannot be copied, in its class or in its module.
        """
        component = self._component
        merged = component._output_path  # noqa: SLF001 - the protocol of those packages
        with TemporaryDirectory(prefix="curator-", ignore_cleanup_errors=True) as folder:
            component._output_path = type(merged)(str(Path(folder, Path(merged).name)))  # noqa: SLF001
            try:
                component.flush()
            except BaseException as exc:  # clean-up of an item that failed already; told with the next
                if is_interruption(exc):
                    raise
                self._tell(exc, failure)
            finally:
                component._output_path = merged  # noqa: SLF001

    def restore(self) -> None:
        """Bring the filter back to the state in which it was."""
        now = _attributes(self._component)
        for name, value in now.items():
            if name not in self._before and not self._follows(name, value):
                object.__delattr__(self._component, name)
        for name, value in self._copies(self._before).items():
            if now.get(name, _ABSENT) is not value:
                object.__setattr__(self._component, name, value)

    def _copies(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        memo: dict[int, Any] = dict(self._shared)
        copied = {}
        for name, value in attributes.items():
            if name not in self._uncopied:
                try:
                    copied[name] = copy.deepcopy(value, memo)
                    continue
                except Exception:  # noqa: BLE001 - copying runs the objects' own code; such an attribute stays
                    self._uncopied.add(name)
            copied[name] = value
        return copied

    def _follows(self, name: str, value: object) -> bool:
        is_cached = isinstance(getattr(type(self._component), name, None), cached_property)
        return is_cached and not isinstance(value, _CONTAINERS)

    def _tell(self, error: BaseException, failure: BaseException) -> None:
        """Remember that `flush` failed, if there are attributes that only it could have cleared."""
        if self._uncopied and self._problem is None:
            self._problem = (
                f"{self._component.component_name()}.flush() failed after an item had failed ({describe(error)}), so "
                f"what that item accumulated may still be in {', '.join(sorted(self._uncopied))}, which cannot be "
                "copied. Create such attributes on first use, or run again with resume=True."
            )
            annotate(failure, self._problem)


def _attributes(component: object) -> dict[str, Any]:
    """Everything an object holds by name, in slots, too."""
    slots = (name for kind in type(component).__mro__ for name in _names(vars(kind).get("__slots__", ())))
    return {name: getattr(component, name) for name in slots if hasattr(component, name)} | vars(component)


def _names(slots: str | Iterable[str]) -> Iterable[str]:
    return (slots,) if isinstance(slots, str) else (name for name in slots if name not in ("__dict__", "__weakref__"))
