"""Filters that look at one value after the other."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Generator, Sequence
from typing import Any, Literal

from curator_core.errors import ComponentError
from curator_core.filters.values.fields import FieldError, Fields
from curator_core.filters.values.kinds import fields_of
from curator_core.pipeline.components import Filter

Missing = Literal["fail", "ignore"]
"""What is done where no value of an item has a field that is named."""
_SHOWN = 10
"""Names that a message lists."""


class FieldFilter(Filter[Any]):
    """A filter that changes the fields of each value by itself, whatever their domain; write `apply`.

    An item of which no value has a field that is named fails, unless `missing` says otherwise.
    """

    missing: Missing = "fail"
    """``ignore``: items may lack fields that are named."""

    @abstractmethod
    def apply(self, fields: Fields) -> Any:  # noqa: ANN401 - a value of the same kind
        """The changed value; `fields` where nothing changes, ``None`` to leave the value out.

        Raises
        ------
        FieldError
            It cannot be changed like that.
        """

    def wanted(self) -> Collection[str]:
        """Names of fields that an item must have."""
        return ()

    def names_in(self, fields: Fields) -> Collection[str]:
        """Names that a value has, of which `wanted` can be one."""
        return fields.known()

    def __call__(self, items: Generator[Any, None, None]) -> Generator[Any, None, None]:
        """Change values on their way.

        Raises
        ------
        ComponentError
            A value cannot be changed, none has a field that is named, or all are left out.
        """
        unseen, known = dict.fromkeys(self.wanted()), dict[str, None]()
        n_values = n_left = 0
        for value in items:
            try:
                fields = fields_of(value)
                names = self.names_in(fields)
                changed = self.apply(fields)
            except FieldError as exc:
                raise self._failed(f"value {n_values}: {exc}") from exc
            n_values += 1
            known |= dict.fromkeys(names)
            for name in names:
                unseen.pop(name, None)
            if changed is not None:
                n_left += 1
                yield value if changed is fields else changed
        if unseen and n_values and self.missing == "fail":
            raise self._failed(f"no value of the item has {_listed(unseen)}; they have {_listed(known) or 'no fields'}")
        if n_values and not n_left:
            raise self._failed("every value of the item was left out")

    def _failed(self, why: str) -> ComponentError:
        name = self.component_name()
        return ComponentError(f"{name}: {why}.", component=name)


def present(names: Sequence[str], fields: Fields) -> list[str]:
    """Those of some names that a value has."""
    known = set(fields.known())
    return [name for name in names if name in known]


def _listed(names: Collection[str]) -> str:
    shown = [repr(name) for name in names][:_SHOWN]
    return ", ".join(shown) + (", …" if len(names) > _SHOWN else "")
