"""What a component may do in addition: optional abilities, each a protocol that the run asks for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from curator_core.pipeline.components import Source
    from curator_core.pipeline.splits import SplitRule


@runtime_checkable
class MergesContents(Protocol):
    """A `ShardedFilter` that merges shards without a file for each of them; optional."""

    def merge_contents(self, contents: Iterable[bytes], output_path: str) -> None:
        """Merge the contents of shards, read one by one in index order; the same file as from `merge`."""


@runtime_checkable
class ReadsValues(Protocol):
    """A `ShardedSink` that reads the variables of its published dataset, so that they can be checked; optional."""

    def values(self, output_path: str, names: Collection[str]) -> Iterator[tuple[str, str, npt.NDArray[np.generic]]]:
        """Read some variables of the schema: key of an item, name of a variable, its values there.

        Values come piece by piece, any number of pieces for an item, and missing ones are left out.
        """


@runtime_checkable
class ReadsFields(Protocol):
    """A `Source` that can read some fields of its items and leave out the others; optional."""

    def reading(self, fields: Sequence[str]) -> Source[Any]:
        """A source of the same items, with these fields alone."""


@runtime_checkable
class ChoosesFields(Protocol):
    """A `Filter` that passes on some fields of values, so that the others need not be read; optional."""

    def chosen_fields(self) -> Sequence[str] | None:
        """Their names; ``None`` where others have to be read, too."""


@runtime_checkable
class ReadsFiles(Protocol):
    """A component that reads files beside the items, such as a mask; optional.

    What they hold is part of its configuration: where one changed, all items are processed again.
    """

    def file_identities(self) -> Mapping[str, str]:
        """What identifies the content of each, by name of the argument that says where it is.

        Raises
        ------
        ConfigError
            One cannot be read.
        """


@runtime_checkable
class RetainsSplits(Protocol):
    """A `ShardedSink` whose dataset says which split each item is in; optional."""

    def retained_splits(self, output_path: str) -> dict[str, str]:
        """Split by key of what a published dataset holds; empty when there are none."""


@runtime_checkable
class RetainsFailed(Protocol):
    """A `ShardedSink` whose dataset keeps what items gave before they changed, as long as they fail; optional."""

    def retained_failed(self, output_path: str) -> Mapping[str, str]:
        """Version of what is kept, by key of these items; empty when there are none."""


@runtime_checkable
class DeclaresExtent(Protocol):
    """A `ShardedSink` whose arguments say how far its dataset reaches, whatever items there are; optional."""

    def is_as_declared(self, output_path: str) -> bool:
        """Whether a published dataset reaches as far; otherwise it is published again, of the same items."""


@runtime_checkable
class SelectsItems(Protocol):
    """A `ShardedFilter` whose output is of the items of one split alone; optional."""

    def check_split(self, rule: SplitRule | None) -> None:
        """Raise `ConfigError` where the rule of the pipeline, if there is one, does not have what it selects."""

    def takes_in(self, key: str, split: str | None) -> bool:
        """Whether an item's shard is merged, given its split by the rule of the pipeline, if there is one."""


def is_taken_in(step: object, key: str, splits: Mapping[str, str] | None) -> bool:
    """Whether the shard of an item is merged by a filter, given the splits of all items if the pipeline has a rule."""
    return not isinstance(step, SelectsItems) or step.takes_in(key, None if splits is None else splits[key])
