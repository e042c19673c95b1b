"""What several items that share a file say of its variables: one answer, or both are named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from curator_core.domains.grid.netcdf.heads import MEANING, VariableHead, is_same
from curator_core.domains.grid.netcdf.steps import Steps
from curator_core.errors import MergeError


class MergedHead:
    """Dimensions, variables and attributes of a file that several items share.

    Attributes in which items differ are left out, unless they say what values are.

    Parameters
    ----------
    steps
        What the items give, in their order.
    where
        Name of the file, for messages.

    Raises
    ------
    MergeError
        Two items do not go together.
    """

    def __init__(self, steps: Sequence[Steps], where: str) -> None:
        self.where = where
        self.dim = steps[0].head.dim
        """The dimension of time."""
        self.sizes: dict[str, int] = {}
        """Lengths of the other dimensions."""
        self.variables: dict[str, VariableHead] = {}
        """By name."""
        self._first: dict[str, str] = {}
        for each in steps:
            if each.head.dim != self.dim:
                raise self._error(steps[0].key, each.key, f"the time is {self.dim!r}, and {each.head.dim!r}")
            for dim, size in each.head.sizes.items():
                if self.sizes.setdefault(dim, size) != size:
                    first = next(one.key for one in steps if dim in one.head.sizes)
                    raise self._error(first, each.key, f"{dim!r} has the length {self.sizes[dim]}, and {size}")
            for name, head in each.head.variables.items():
                self._add(name, head, each.key)
        for name, head in self.variables.items():
            given = [each.head.variables[name].attributes for each in steps if name in each.head.variables]
            self.variables[name] = replace(head, attributes=_common(given))
        self.attributes = _common([each.head.attributes for each in steps])
        """Of the file, in which its items agree."""
        self.calendar = str(self.variables[self.dim].attributes.get("calendar", "standard"))
        """Of the times."""

    def dims(self) -> list[str]:
        """Dimensions in the order in which variables have them."""
        return list(dict.fromkeys(dim for head in self.variables.values() for dim in head.dims))

    def _error(self, first: str, second: str, why: str) -> MergeError:
        return MergeError(
            f"{self.where}: the items {first!r} and {second!r} do not go together in one file: {why}. Make them alike "
            "with a filter, or write them to other folders."
        )

    def _add(self, name: str, head: VariableHead, key: str) -> None:
        known = self.variables.setdefault(name, head)
        first = self._first.setdefault(name, key)
        for what in ("dims", "dtype", "fill", "is_data", "is_time"):
            one, other = getattr(known, what), getattr(head, what)
            if not is_same(one, other):
                raise self._error(first, key, f"{name!r} has {what} {one!r}, and {other!r}")
        if known.digest != head.digest:
            raise self._error(first, key, f"{name!r} has other values, and does not vary in time")
        for attribute in sorted(MEANING & (known.attributes.keys() | head.attributes.keys())):
            one, other = known.attributes.get(attribute), head.attributes.get(attribute)
            if not is_same(one, other):
                raise self._error(first, key, f"{attribute} of {name!r} is {_shown(one)}, and {_shown(other)}")


def _shown(form: Any) -> str:  # noqa: ANN401 - JSON
    if form is None:
        return "not said"
    return repr(form if isinstance(form, str) else form.get("texts", form.get("value")))


def _common(given: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Attributes of which none has another value, in the order in which they come."""
    found: dict[str, Any] = {}
    for attributes in given:
        for name, form in attributes.items():
            found.setdefault(name, form)
    return {name: form for name, form in found.items() if all(is_same(form, each.get(name, form)) for each in given)}
