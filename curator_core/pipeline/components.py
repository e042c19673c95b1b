"""The three kinds of component that a user writes: `Source`, `Filter` and `Sink`."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, Self, TypeGuard, TypeVar, cast, runtime_checkable

from curator_core.errors import ConfigError
from curator_core.pipeline.annotations import secret_fields
from curator_core.pipeline.calls import bind_arguments, call_arguments, collecting
from curator_core.pipeline.fitting import fitted
from curator_core.pipeline.params import Param, derive_params, hints_of, secret_names
from curator_core.storage.locations import location_of
from curator_core.storage.places import places_among

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from curator_core.pipeline.pipeline import Pipeline

T = TypeVar("T")


class Component:
    """What sources, filters and sinks share: a name, parameters, captured constructor arguments."""

    name: ClassVar[str] = ""
    """Name in configuration files and metrics; the class name when empty."""
    description: ClassVar[str] = ""
    """One sentence for listings."""
    version: ClassVar[str] = ""
    """Raised when the code computes something else, so that what it computed before is not taken for the same."""

    checks_arguments: ClassVar[bool] = False
    """Whether the constructor's arguments are compared with its annotations before it is called."""

    _arguments: Mapping[str, object] | None

    def __new__(cls, /, *args: object, **kwargs: object) -> Self:
        """Capture the constructor's arguments before `__init__` can change them."""
        self = super().__new__(cls)
        object.__setattr__(self, "_arguments", bind_arguments(cls, args, kwargs))  # a dataclass may be frozen
        if cls.checks_arguments:
            cls._check_arguments(self._arguments or {})
        return self

    @classmethod
    def params(cls) -> list[Param]:
        """The configurable parameters, by default derived from the constructor."""
        return derive_params(cls)

    @classmethod
    def component_name(cls) -> str:
        """The `name`, or the class name when there is none."""
        return cls.name or cls.__name__

    def __getnewargs_ex__(self) -> tuple[tuple[object, ...], dict[str, object]]:
        """Keep the captured arguments when pickled, also where a subclass chooses its own state."""
        args, kwargs = call_arguments(type(self), self._arguments or {})
        return tuple(args), kwargs

    @classmethod
    def _check_arguments(cls, given: Mapping[str, object]) -> None:
        hints, secret = hints_of(cls), cls.secret_parameters(given)
        for name, value in given.items():
            where = f"{cls.component_name()}: {name}"
            hint = hints.get(name, hints.get("**", Any))
            fitted(value, hint, where=where, is_secret=name in secret, from_file=False)

    @property
    def arguments(self) -> Mapping[str, object]:
        """Constructor arguments by name, defaults included.

        Raises
        ------
        ConfigError
            They were not captured: a subclass bypasses `Component.__new__`.
        """
        captured = getattr(self, "_arguments", None)
        if captured is None:
            raise ConfigError(
                f"{type(self).__qualname__}: its constructor arguments are not known. Do not override __new__ or "
                "__reduce__ in a component, and accept what __init__ is called with."
            )
        return cast("Mapping[str, object]", captured)

    def secret_values(self) -> list[str]:
        """Texts in the values of the secret parameters, also of components within, to keep them out of messages."""
        given = self._arguments or {}
        secret = self.secret_parameters(given)
        return [text for name, value in given.items() for text in _secret_texts(value, is_secret=name in secret)]

    @classmethod
    def secret_parameters(cls, given: Iterable[str] = ()) -> set[str]:
        """Names of the parameters that are secret, by their annotations or by `params`.

        Parameters
        ----------
        given
            Names of arguments: those that ``**values`` collects are as secret as it is.
        """
        params = cls.params()
        secret = {param.name for param in params if param.secret} | secret_names(cls)
        if collecting(cls).get("**") in secret:
            secret |= set(given) - {param.name for param in params}
        return secret

    def check(self) -> None:
        """Raise `ConfigError` when the component cannot work as configured.

        Called once in the coordinating process before any item is processed. The default accepts.
        """


def _secret_texts(value: object, *, is_secret: bool) -> Iterator[str]:
    if isinstance(value, Component):
        yield from value.secret_values()
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        secret = secret_fields(type(value))
        for field in dataclasses.fields(value):
            yield from _secret_texts(getattr(value, field.name), is_secret=is_secret or field.name in secret)
    elif isinstance(value, Mapping):
        for member in value.values():
            yield from _secret_texts(member, is_secret=is_secret)
    elif isinstance(value, list | tuple | set | frozenset):
        for member in value:
            yield from _secret_texts(member, is_secret=is_secret)
    elif is_secret and isinstance(value, bytes):
        yield value.decode(errors="backslashreplace")
    elif is_secret and isinstance(value, str | int | Path) and not isinstance(value, bool):
        yield str(value)


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
        """Be told whose items it writes, before the first of them and in every worker, to name files after them.

        The default does nothing.
        """

    def output_places(self) -> Iterable[str]:
        """Local folders and files that it writes to, so that two runs at once do not write the same files there.

        By default the paths among its constructor arguments. A sink without such an argument names them; one whose
        files never have the same names in two runs has none.
        """
        return places_among(self._arguments or {})

    def partition_indices(self, indices: Sequence[int]) -> list[list[int]] | None:
        """Group indices that one worker must process in order; ``None`` for no constraint."""
        return None


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

    def merge_contents(self, contents: Iterable[bytes], output_path: str) -> None:
        """Merge the contents of shards, read one by one in index order; the same file as from `merge`.

        Optional. Where a filter has it, no shard needs to be put into a file of its own to be merged.
        """
        raise NotImplementedError


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


class ShardedSink(Sink[T]):
    """A sink that writes one shard per index, merged later into one dataset.

    The dataset itself retains every item, so that adding, changing or removing one needs the shards of
    the changed items alone.
    """

    shard_suffix: ClassVar[str] = ""
    """Suffix of shard files; that of `output_path` when empty."""

    @property
    @abstractmethod
    def output_path(self) -> str:
        """The merged dataset, a file or a folder."""

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

    def values(self, output_path: str, names: Collection[str]) -> Iterator[tuple[str, str, npt.NDArray[np.generic]]]:
        """Read some variables of a published dataset: key of an item, name of a variable, its values there.

        Optional. Values come piece by piece, any number of pieces for an item, and missing ones are left out.
        """
        raise NotImplementedError


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
