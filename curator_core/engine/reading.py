"""An item of a source by its key, also where the source lists otherwise than when the run was planned."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from itertools import chain
from typing import Any, cast

from curator_core.errors import ComponentError
from curator_core.pipeline.abilities import ChoosesFields, ReadsFields
from curator_core.pipeline.components import Filter, Source
from curator_core.records import Item

MAX_LOOKUPS = 5
"""How often an item is looked up while the listing changes under every one of them."""
_END = object()


def narrowed(source: Source[Any], filters: Sequence[Filter[Any]]) -> Source[Any]:
    """The source, reading no more than the first filter passes on, where both of them can say so."""
    if not (filters and isinstance(filters[0], ChoosesFields) and isinstance(source, ReadsFields)):
        return source
    fields = filters[0].chosen_fields()
    return source if fields is None else source.reading(fields)


class ItemReader:
    """Reads items of one source, each found by its key.

    Parameters
    ----------
    source
        The source, as this worker has it.
    """

    def __init__(self, source: Source[Any]) -> None:
        self._source = source
        self._name = source.component_name()
        self._positions: dict[str, int] | None = None

    def read(self, item: Item, opened: list[Generator[Any, None, None]]) -> object:
        """What the source gives for an item: an iterator of its pieces, unless the source is wrong.

        A source may list anew on every access, and then look up another item than the one it was asked for; so the
        first piece is read here, and counts only if the item is still where it was looked up.

        Parameters
        ----------
        item
            Which one.
        opened
            Takes what is to be closed.

        Raises
        ------
        ComponentError
            The source does not list the item any more, or in another order at every look.
        """
        for _ in range(MAX_LOOKUPS):
            position = self._locate(item)
            produced = cast("object", self._source[position])
            if not isinstance(produced, Iterator):
                return produced
            if isinstance(produced, Generator):
                opened.append(produced)
            try:
                first = next(produced, _END)
            except Exception:
                if self._is_at(position, item):
                    raise
            else:
                if self._is_at(position, item):
                    return produced if first is _END else chain((first,), produced)
            if isinstance(produced, Generator):
                opened.pop().close()
            self._positions = None
        raise ComponentError(
            f"{self._name} lists its items in another order at every look: {item.key!r} was looked up {MAX_LOOKUPS} "
            "times, and was not where it had been. List once, or wait until nothing writes there.",
            component=self._name,
            key=item.key,
        )

    def _is_at(self, position: int, item: Item) -> bool:
        try:
            return self._source.key(position) == item.key
        except IndexError:
            return False

    def _locate(self, item: Item) -> int:
        if self._is_at(item.index, item):
            return item.index
        if self._positions is None:
            keys = ((_key(self._source, i), i) for i in range(len(self._source)))
            self._positions = {key: i for key, i in keys if key is not None}
        if item.key not in self._positions:
            raise ComponentError(
                f"{self._name} no longer lists {item.key!r}: it was removed after the run was planned.",
                component=self._name,
                key=item.key,
            )
        return self._positions[item.key]


def _key(source: Source[Any], position: int) -> str | None:
    """Key at a position; ``None`` where it cannot be had, which is another item's failure."""
    try:
        return source.key(position)
    except Exception:  # noqa: BLE001 - the source's own code
        return None
