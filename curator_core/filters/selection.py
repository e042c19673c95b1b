"""Filter that chooses, drops, renames and reorders fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from curator_core.errors import ConfigError
from curator_core.filters.values.fields import FieldError, Fields
from curator_core.filters.values.kinds import fields_of
from curator_core.filters.values.stepwise import FieldFilter, Missing, present


class SelectFilter(FieldFilter):
    """Chooses fields by name, in the order in which they are named, drops and renames them.

    Coordinates of datasets stay with what they belong to, bounds and grid mappings among them; they can be renamed, and
    with them what attributes say of them. A value with none of the fields is left out; an item without one of them
    fails. Where it is the first filter, sources of grids and tables read nothing but its `fields`.

    Parameters
    ----------
    fields
        Names of those that stay, in this order; by default all.
    drop
        Names of those that do not; not together with `fields`.
    rename
        New name by former name, of what stays and of coordinates.
    missing
        ``fail``: an item without one of the named fields fails. ``ignore``: it does not.

    Raises
    ------
    ConfigError
        Nothing would be done, both `fields` and `drop` are given, or two fields would have one name.
    """

    name: ClassVar[str] = "select"
    description: ClassVar[str] = "Fields chosen, dropped, renamed and put into another order"
    checks_arguments: ClassVar[bool] = True

    def __init__(
        self,
        fields: Sequence[str] | None = None,
        *,
        drop: Sequence[str] | None = None,
        rename: Mapping[str, str] | None = None,
        missing: Missing = "fail",
    ) -> None:
        if not (fields or drop or rename) or (fields and drop):
            raise ConfigError(f"{self.name}: give the fields that stay, or those that drop= names, or new names.")
        self._fields = None if fields is None else tuple(fields)
        self._drop, self._rename = tuple(drop or ()), dict(rename or {})
        for what, names in (("fields", self._fields or ()), ("rename", tuple(self._rename.values()))):
            if repeated := [name for name, times in Counter(names).items() if times > 1]:
                raise ConfigError(f"{self.name}: {what} has {repeated[0]!r} twice.")
        self.missing = missing

    def chosen_fields(self) -> Sequence[str] | None:
        """Names of what is to be read; all where items may lack some of them."""
        return self._fields if self.missing == "fail" else None

    def wanted(self) -> Collection[str]:
        return dict.fromkeys([*(self._fields or ()), *self._drop, *self._rename])

    def names_in(self, fields: Fields) -> Collection[str]:
        """Of dimensions, too, which can be renamed."""
        known = fields.known()
        return dict.fromkeys([*known, *(dim for name in known for dim in fields.dims(name))])

    def apply(self, fields: Fields) -> Any:  # noqa: ANN401 - a value of the same kind
        names = fields.names()
        if self._fields is not None:
            named = [fields.full_name(name) for name in present(self._fields, fields)]
            kept = list(dict.fromkeys(name for name in named if name in names))
            if absent := [name for name in named if name not in names]:
                raise FieldError(f"{absent[0]!r} is a coordinate, which stays with what it belongs to")
        else:
            dropped = {fields.full_name(name) for name in self._drop}
            kept = [name for name in names if name not in dropped]
        if not kept:
            return None
        rename = {fields.full_name(old): new for old, new in self._rename.items()}
        for name in rename:
            if name in names and name not in kept:
                raise FieldError(f"{name!r} is renamed, and not among the fields that stay")
        chosen = fields if kept == names else fields_of(fields.chosen(kept))
        known = self.names_in(chosen)
        renamed = {old: chosen.full_name(new, old) for old, new in rename.items() if old in known}
        self._require_free(chosen, renamed)
        if renamed:
            return chosen.renamed(renamed)
        return fields if chosen is fields else fields.chosen(kept)

    def _require_free(self, fields: Fields, renamed: Mapping[str, str]) -> None:
        others = set(self.names_in(fields)) - renamed.keys()
        taken = [new for new in renamed.values() if new in others]
        if taken:
            raise FieldError(f"two fields would be named {taken[0]!r}")
