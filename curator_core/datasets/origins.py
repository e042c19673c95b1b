"""Where the rows of an item come from: the part that a worker wrote, or the dataset before."""

from __future__ import annotations

from collections.abc import Mapping

from curator_core.datasets.layout import RaggedFormat, Rows
from curator_core.datasets.parts import Part
from curator_core.datasets.published import Place, PublishedRagged
from curator_core.errors import MergeError
from curator_core.pipeline.components import MergeItem


class Origin:
    """Where the rows of one item come from.

    Parameters
    ----------
    ragged
        What the domain says of its datasets.
    item
        The item.
    previous
        The dataset before, if any.

    Raises
    ------
    MergeError
        The item's part is missing or damaged, or it has none and is not in the dataset before.
    """

    __slots__ = ("_number", "_previous", "_ragged", "part")

    def __init__(self, ragged: RaggedFormat, item: MergeItem, previous: PublishedRagged | None) -> None:
        self._ragged, self._previous, self._number = ragged, previous, -1
        self.part = None if item.shard is None else Part(item.shard)
        """The part that a worker wrote, if there is one."""
        if self.part is not None:
            return
        number = None if previous is None else previous.find(item.key, item.version)
        if number is None:
            raise MergeError(f"Item {item.key!r} has no shard and is not in the previous dataset; process it again.")
        self._number = number

    @property
    def schema(self) -> str:
        """The item's own schema."""
        if self.part is not None:
            return self.part.schema
        assert self._previous is not None  # noqa: S101 - or there was an error above
        return self._previous.tables.schemas[self._number]

    @property
    def sizes(self) -> Mapping[str, int]:
        """Number of rows by axis."""
        if self.part is not None:
            return self.part.rows
        assert self._previous is not None  # noqa: S101 - as above
        return self._previous.sizes(self._number)

    @property
    def place(self) -> str | Place:
        """Path of the part, or where the item lies in the dataset before."""
        if self.part is not None:
            return str(self.part.path.absolute())
        assert self._previous is not None  # noqa: S101 - or there was an error above
        return self._previous.place(self._number)

    @property
    def digest(self) -> bytes:
        """Changes with the bytes of the part, or of the segment that holds the item before."""
        if self.part is not None:
            return self.part.digest
        assert self._previous is not None  # noqa: S101 - as above
        return self._previous.digest(self._number)

    def rows(self) -> Rows:
        """The rows under the item's own schema."""
        if self.part is not None:
            return self.part.read(self._ragged)
        assert self._previous is not None  # noqa: S101 - as above
        return self._previous.rows.read(self._previous.place(self._number), self.schema)

    def release(self) -> None:
        """Let go of what was read."""
        if self.part is not None:
            self.part.release()
