"""The three kinds of component that a user writes: `Source`, `Filter` and `Sink`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeGuard, TypeVar, runtime_checkable

from curator_core.errors import ConfigError, OutputError, PipelineStateError
from curator_core.pipeline.component import Component as Component  # noqa: PLC0414 - others import it from here
from curator_core.storage.atomic import written_shard
from curator_core.storage.locations import location_of
from curator_core.storage.places import places_among

if TYPE_CHECKING:
    from curator_core.pipeline.pipeline import Pipeline

T = TypeVar("T")


class Source(Component, ABC, Generic[T]):
    """An indexed collection of items."""

    @abstractmethod
    def __len__(self) -> int:
        """Count the items."""

    @abstractmethod
    def __getitem__(self, index: int) -> Generator[T, None, None]:
        """Read item `index`: one or more values of type ``T``."""

    def key(self, index: int) -> str:
        """Stable, unique identity of item `index`; the zero-padded index unless overridden."""
        return f"{index:06d}"

    def fingerprint(self, index: int) -> str | None:
        """Cheap content identity of item `index`; ``None`` when there is none."""
        return None

    def item_path(self, index: int) -> str | None:
        """Path or URL of item `index`, of a part the file that it is in, for people to open; ``None`` without one."""
        return None

    def partition_indices(self, indices: Sequence[int]) -> list[list[int]] | None:
        """Group indices that one worker must process in order; ``None`` for no constraint."""
        return None

    def is_input(self, path: str) -> bool:
        """Whether a file at `path`, an absolute path without links, is or would be one of the items.

        A pipeline that writes there is refused. The default knows no files.
        """
        return False

    def filter(self, step: Filter[T]) -> Pipeline[T]:
        """Start a pipeline that passes this source's items through `step`."""
        from curator_core.pipeline.pipeline import Pipeline  # noqa: PLC0415 - a pipeline is made of components

        return Pipeline(self, [step])

    def write(self, sink: Sink[T]) -> Pipeline[T]:
        """Start a pipeline that writes this source's items to `sink`."""
        from curator_core.pipeline.pipeline import Pipeline  # noqa: PLC0415 - as above

        return Pipeline(self, sink=sink)


class Filter(Component, ABC, Generic[T]):
    """A generator step: it may pass items through, change, drop or add some."""

    @abstractmethod
    def __call__(self, items: Generator[T, None, None]) -> Generator[T, None, None]:
        """Process the items of one index."""

    def artifacts(self) -> list[str]:
        """Files written since the last call."""
        return []


class Sink(Component, ABC, Generic[T]):
    """Writes the items of one index."""

    appends: ClassVar[bool] = False
    """Whether several items add to one file on purpose; otherwise an item that returns another's path fails.

    A sink with `partition_indices` need not say so.
    """

    @abstractmethod
    def __call__(self, items: Iterator[T], index: int) -> list[str]:
        """Write the items and return the paths written."""

    def set_source(self, source: Source[Any]) -> None:
        """Take the source of its items, before the first of them and in every worker, to name files after them.

        The default does nothing.
        """

    def set_config_hash(self, config_hash: str) -> None:
        """Take the hash of the pipeline's configuration, before the first item and in every worker.

        What a published dataset holds of another configuration says nothing of these items. The default does nothing.
        """

    def notes(self) -> list[str]:
        """Sentences on what a run would change beside items, such as the length of an axis, for people to read.

        Nothing of an item is read for them, and nothing is written. None unless overridden.
        """
        return []

    def output_places(self) -> Iterable[str]:
        """Local folders and files that it writes to, so that two runs at once do not write the same files there.

        By default the paths among its constructor arguments. A sink without such an argument names them; one whose
        files never have the same names in two runs has none.
        """
        return places_among(self._arguments or {})

    def partition_indices(self, indices: Sequence[int]) -> list[list[int]] | None:
        """Group indices that one worker must process in order; ``None`` for no constraint."""
        return None


def required_sink(sink: Sink[T] | None) -> Sink[T]:
    """The sink of a pipeline that is to process items.

    Raises
    ------
    PipelineStateError
        The pipeline has none.
    """
    if sink is None:
        raise PipelineStateError("The pipeline has no sink: finish it with .write(sink) before running it.")
    return sink


class ShardedFilter(Filter[T]):
    """A filter that accumulates one shard per index, merged later into one output.

    While it passes the items of one index on, it accumulates; when the index is done, the engine calls
    `write_shard`. What an index left behind must be forgotten when the next one starts: begin
    `__call__` with fresh state.
    """

    shard_suffix: ClassVar[str] = ""
    """Suffix of shard files; that of `output_path` when empty."""

    @property
    @abstractmethod
    def output_path(self) -> str:
        """The merged output."""

    @abstractmethod
    def write_shard(self, path: str) -> None:
        """Write what the last index accumulated to `path`; the engine publishes it atomically."""

    @abstractmethod
    def merge(self, shard_paths: Sequence[str], output_path: str) -> None:
        """Merge shards, given in index order, into a new file `output_path`."""


@dataclass(frozen=True, slots=True)
class MergeItem:
    """One item of a dataset that is put together anew."""

    index: int
    """Current position in the source: the order of the dataset."""
    key: str
    """Key of the item."""
    fingerprint: str | None
    """Fingerprint of the item."""
    version: str
    """Hash of key, fingerprint and configuration."""
    shard: Path | None
    """The item's shard; ``None`` when the previous output holds the item unchanged."""
    split: str = ""
    """The split that the item is in; empty for none."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One array of a published dataset, or one column of a table."""

    name: str
    """Its name."""
    dtype: str
    """Type of its values, such as ``float64`` or ``string``."""
    dims: tuple[str, ...]
    """Names of its dimensions; the columns of a table share their only one."""
    shape: tuple[int, ...]
    """Its length along each of them."""
    chunks: tuple[int, ...] = ()
    """Shape of what a reader loads at once; empty where it is not cut."""
    unit: str = ""
    """Unit of its values."""
    description: str = ""
    """What it means."""


class _Upstream(Generic[T]):
    """Items on their way to a sink, and the error that came in place of one."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self.failure: OSError | None = None

    def __iter__(self) -> Iterator[T]:
        try:
            yield from self._items
        except OSError as exc:
            self.failure = exc
            raise


class ShardedSink(Sink[T]):
    """A sink that writes one shard per index, merged later into one dataset.

    The dataset itself retains every item, so that adding, changing or removing one needs the shards of
    the changed items alone. Write `write_shard`; where that does not suffice, override `__call__`, which publishes
    what it writes.
    """

    shard_suffix: ClassVar[str] = ""
    """Suffix of shard files; that of `output_path` when empty."""

    @property
    @abstractmethod
    def output_path(self) -> str:
        """The merged dataset, a file or a folder."""

    def check(self) -> None:
        """Raise `ConfigError` when the sink has no way to write a shard."""
        if not overrides(self, ShardedSink.write_shard) and not overrides(self, ShardedSink.__call__):
            raise ConfigError(f"{self.component_name()} writes no shards: give it write_shard(items, path).")

    def __call__(self, items: Iterator[T], index: int) -> list[str]:
        """Write the shard of an index and publish it: it is there whole, or not at all.

        Raises
        ------
        OutputError
            The disk is full.
        ComponentError
            Nothing was written.
        """
        path = shard_path(self.output_path, index, self.shard_suffix)
        read = _Upstream(items)
        try:
            with written_shard(path, self.component_name()) as temporary:
                self.write_shard(iter(read), str(temporary))
        except OutputError as exc:
            if read.failure is not None and exc.__cause__ is read.failure:  # the full disk is another one
                raise read.failure from read.failure.__cause__
            raise
        return [path]

    def write_shard(self, items: Iterator[T], path: str) -> None:
        """Write the values of one item to a new file at `path`, a temporary one with the suffix of shards.

        Its name says nothing of the item; `merge_items` gets the item with its shard.
        """
        raise NotImplementedError(f"{type(self).__name__} has no write_shard(items, path).")

    @abstractmethod
    def retained_items(self, output_path: str) -> dict[str, str]:
        """Item version by key, in order, of what a published dataset holds; empty when there is none.

        A dataset that holds an item twice is an error.
        """

    @abstractmethod
    def merge_items(self, items: Sequence[MergeItem], previous: str | None, output_path: str) -> None:
        """Write a new dataset `output_path` from shards and, where an item has none, from `previous`.

        The result must depend on the items alone, not on which of them came from where.
        """

    def describe(self, output_path: str) -> dict[str, int | float | str]:
        """Facts about a published dataset for people to read, such as the number of samples."""
        return {}

    def schema(self, output_path: str) -> list[Variable]:
        """The variables of a published dataset; none unless overridden."""
        return []

    def n_rows(self, output_path: str) -> int | None:
        """Number of samples of a published dataset; ``None``: as many as its table has rows, or as it has items."""
        return None


def overrides(component: object, default: Callable[..., object]) -> bool:
    """Whether a component has a form of its own of an optional method, such as `Sink.set_source`.

    Parameters
    ----------
    component
        The component.
    default
        The method of the base class, which works for components without one.
    """
    name = default.__name__
    return getattr(type(component), name) is not default or name in vars(component)


@runtime_checkable
class FlushingFilter(Protocol):
    """Accumulating filter of other packages: `flush()` writes to ``_output_path``, `merge()` joins.

    It is flushed after every index, into a shard that is not there yet, then asked for its `artifacts()`, and then
    brought back to the state it had before its first item.
    """

    _output_path: Any

    def flush(self) -> object:
        """Write what was accumulated to ``_output_path``."""

    def merge(self, shard_paths: list[str], output_path: str) -> object:
        """Merge shards into one file."""


def is_flushing(step: object) -> TypeGuard[FlushingFilter]:
    """Whether a filter accumulates as those of other packages do, and has an output."""
    return (
        isinstance(step, FlushingFilter) and not isinstance(step, ShardedFilter) and step._output_path is not None  # noqa: SLF001
    )


def shard_path(output_path: str | Path, index: int, suffix: str = "") -> str:
    """Path of the shard of `index`: ``{stem}_shard_{index:06d}{suffix}`` beside the output.

    Shards of an output that a URL names lie at its place's `OutputLocation.work_path`.
    """
    output = Path(output_path)
    if "://" in str(output_path):
        output = location_of(output_path).work_path
    return str(output.with_name(f"{output.stem}_shard_{index:06d}{suffix or output.suffix}"))
