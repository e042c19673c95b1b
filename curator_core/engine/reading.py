"""An item of a source by its key, also where the source lists otherwise than when the run was planned."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any, cast

from curator_core.components import Source
from curator_core.errors import ComponentError
from curator_core.records import Item

MAX_LOOKUPS = 5
"""How often an item is looked up while the listing changes under every one of them."""
_END = object()


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

    def read(self, item: Item) -> object:
        """What the source gives for an item, which is an iterator of its pieces unless the source is wrong.

        Raises
        ------
        ComponentError
            The source does not list the item any more.
        """
        position = self._locate(item)
        produced = cast("object", self._source[position])
        return self._checked(item, position, produced) if isinstance(produced, Iterator) else produced

    def _checked(self, item: Item, position: int, produced: Iterator[Any]) -> Generator[Any, None, None]:
        """Its pieces, from a fresh lookup where the listing shifted before the first of them was there.

        A source may list anew on every access, and then look up another item than the one it was asked for.
        """
        for _ in range(MAX_LOOKUPS):
            try:
                try:
                    first = next(produced, _END)
                except Exception:
                    if self._is_at(position, item):
                        raise
                else:
                    if self._is_at(position, item):
                        if first is not _END:
                            yield first
                            yield from produced
                        return
            finally:
                if isinstance(produced, Generator):
                    produced.close()
            self._positions = None
            position = self._locate(item)
            produced = self._source[position]
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
            self._positions = {self._source.key(i): i for i in range(len(self._source))}
        if item.key not in self._positions:
            raise ComponentError(
                f"{self._name} no longer lists {item.key!r}: it was removed after the run was planned.",
                component=self._name,
                key=item.key,
            )
        return self._positions[item.key]
