"""`Pipeline`: source, filters and sink, put together without side effects."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from curator_core.engine import process_index
from curator_core.engine.failure import shortened
from curator_core.engine.measure import TrackMemory
from curator_core.errors import ConfigError, IndexRangeError, PipelineStateError
from curator_core.merge.archive import sharded_outputs
from curator_core.pipeline.annotations import resolved_hints
from curator_core.pipeline.components import Component, Filter, Sink, Source
from curator_core.pipeline.config import (
    CONFIG_FORMAT,
    build_component,
    canonical_json,
    component_config,
    component_entry,
    config_hash,
)
from curator_core.pipeline.fitting import fitted
from curator_core.pipeline.former_formats import tell_former_database, tell_former_runs
from curator_core.pipeline.mapping_files import read_mapping, write_mapping
from curator_core.records import IndexResult, Item
from curator_core.session.claims import claimed_outputs
from curator_core.session.compaction import follow_moves
from curator_core.session.listing import Listing, listed_item, position
from curator_core.session.live import live_outputs
from curator_core.session.lookup import is_in_place, look_up
from curator_core.session.output_names import check_output_names
from curator_core.session.overwriting import OwnersByHand
from curator_core.session.plan import Plan, make_plan
from curator_core.session.queries import QueryAPI
from curator_core.session.returning import ReturnPath, return_result, worker_id
from curator_core.session.ungathered import outputs_to_gather
from curator_core.store import MetricsStore, StoreWriter, database_path

T = TypeVar("T")

_FILE_VERSION = 1
_SETTINGS = ("track_metrics", "track_memory", "track_gpu", "db_dir", "db_file", "resume")


class Pipeline(QueryAPI, Generic[T]):
    """An indexed source, the filters its items pass, and the sink that writes them.

    Building is pure: `filter` and `write` return new pipelines, nothing runs until an index is asked for.

    Parameters
    ----------
    source
        Where items come from.
    filters
        Steps, in order.
    sink
        Where items go.
    track_metrics
        Record results and their cost in a metrics database.
    track_memory
        Measure the peak memory of every index; ``"tracemalloc"`` for Python allocations only (slow).
    track_gpu
        Measure GPU memory where torch or CuPy is in use.
    db_dir
        Folder of the metrics database; ``$CURATOR_CACHE_DIR`` or the user's cache folder by default.
    db_file
        The metrics database itself.
    resume
        Go on where an earlier run of the same configuration stopped.
    """

    def __init__(  # noqa: PLR0917 - the public contract allows them by position
        self,
        source: Source[T],
        filters: Iterable[Filter[T]] = (),
        sink: Sink[T] | None = None,
        track_metrics: bool = True,  # noqa: FBT001, FBT002 - the public contract's order
        track_memory: TrackMemory = True,  # noqa: FBT002
        track_gpu: bool = False,  # noqa: FBT001, FBT002
        db_dir: str | os.PathLike[str] | None = None,
        db_file: str | os.PathLike[str] | None = None,
        resume: bool = False,  # noqa: FBT001, FBT002
    ) -> None:
        self.source = source
        self.filters = tuple(filters)
        self.sink = sink
        self.track_metrics = track_metrics
        self.track_memory = track_memory
        self.track_gpu = track_gpu
        self.db_dir = db_dir
        self.db_file = db_file
        self.resume = resume
        self._db_path: Path | None = None
        self._run_id: int | None = None
        self._recorder: Callable[[IndexResult], None] | None = None
        self._returns_to: ReturnPath | None = None
        self._owners = OwnersByHand()
        for role, part, kind in [("source", source, Source), *[("filter", f, Filter) for f in self.filters]]:
            if not isinstance(part, kind):
                raise ConfigError(f"The {role} must be a {kind.__name__}, got {part!r}.")
        if sink is not None and not isinstance(sink, Sink):
            raise ConfigError(f"The sink must be a Sink, got {sink!r}.")
        if sink is not None:
            sink.set_source(source)

    def with_settings(
        self,
        **changes: Any,  # noqa: ANN401 - the settings have types of their own
    ) -> Pipeline[T]:
        """A copy with other filters, sink or settings (the constructor's names).

        Raises
        ------
        ConfigError
            There is no such setting.
        """
        now: dict[str, Any] = {"source": self.source, "filters": self.filters, "sink": self.sink}
        now |= {name: getattr(self, name) for name in _SETTINGS}
        for name in changes:
            if name not in now:
                raise ConfigError(f"A pipeline has no setting {name!r}. Known: {', '.join(now)}.")
        return type(self)(**(now | changes))

    def filter(self, step: Filter[T]) -> Pipeline[T]:
        """A new pipeline with one more step."""
        return self.with_settings(filters=(*self.filters, step))

    def write(self, sink: Sink[T]) -> Pipeline[T]:
        """A new pipeline that writes to `sink`."""
        return self.with_settings(sink=sink)

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> list[str]:
        """Process one index in this process, record it, and return the sink's paths.

        Raises
        ------
        IndexRangeError
            Out of range.
        ConfigError
            The index is no integer.
        PipelineStateError
            There is no sink.
        Exception
            Whatever the index failed with, once that is recorded.
        """
        if self.sink is None:
            raise PipelineStateError("The pipeline has no sink: finish it with .write(sink) before running it.")
        n_items, given = len(self), position(index)
        if not -n_items <= given < n_items:
            raise IndexRangeError(f"Index {given} is out of range for {n_items} items.")
        if self._recorder is None and self._returns_to is None:
            return self._process_and_record(given % n_items)
        result = process_index(self, listed_item(self.source, given % n_items), worker_id=worker_id())
        if self._recorder is not None:  # run_pipeline drives a simple backend: it raises at the end, not here
            self._recorder(result)
        elif self._returns_to is not None:
            return_result(self._returns_to, result)
        return list(result.output_paths)

    def _process_and_record(self, index: int) -> list[str]:
        check_output_names(self)
        if not self.track_metrics:
            with live_outputs(self, None, [index], self.source.key):
                result = self._owned(process_index(self, listed_item(self.source, index)), None)
        else:
            item = listed_item(self.source, index)
            if self.resume and (recorded := self._recorded_paths(item)) is not None:
                return recorded
            with (
                claimed_outputs(self, self.db_path),
                live_outputs(self, self.db_path, [index], self.source.key),
                self.open_writer(len(self), resume=self.resume or self._run_id is not None) as writer,
            ):
                follow_moves(self, writer, None if is_in_place(item, writer) else Listing.of(self.source))
                result = self._owned(process_index(self, item), writer)
                writer.write(result)
        if result.exception is not None:
            raise result.exception
        return list(result.output_paths)

    def _owned(self, result: IndexResult, writer: StoreWriter | None) -> IndexResult:
        return result if self.sink is None else self._owners.checked(result, self.sink, writer)

    def _recorded_paths(self, item: Item) -> list[str] | None:
        """The sink's paths of an item that is up to date; ``None`` of one that is due."""
        with self._resumed() as (store, digest):
            found = look_up(self, item, store, digest)
        return self.plan().recorded_paths[item.index] if found is None else found.recorded_paths[0]

    @property
    def config(self) -> dict[str, Any]:
        """Canonical configuration: what is computed, not where it is recorded.

        Raises
        ------
        ConfigError
            A component has an argument without a stable representation.
        """
        return {
            "format": CONFIG_FORMAT,
            "source": component_config(self.source),
            "filters": [component_config(step) for step in self.filters],
            "sink": component_config(self.sink) if self.sink is not None else None,
        }

    @property
    def config_hash(self) -> str:
        """SHA-256 of the canonical configuration."""
        return config_hash(self.config)

    def _database(self) -> Path:
        if self._db_path is None:
            self._db_path = database_path(
                self.config_hash, db_file=self.db_file, db_dir=self.db_dir, resume=self.resume
            )
        return self._db_path

    def begin_run(self, *, resume: bool, db_dir: str | os.PathLike[str] | None = None) -> None:
        """Choose the database of the next run: the same one when resuming, else a fresh one."""
        if not resume or db_dir is not None or self._db_path is None:
            self._db_path = database_path(
                self.config_hash, db_file=self.db_file, db_dir=db_dir or self.db_dir, resume=resume
            )
        self._run_id = None

    def open_writer(self, total_indices: int | None = None, *, resume: bool = True) -> StoreWriter:
        """The database, opened for writing.

        Parameters
        ----------
        total_indices
            Number of items of the source, to be recorded.
        resume
            Go on with the latest run of this configuration; otherwise begin a new one.

        Raises
        ------
        StoreBusyError
            Another process is writing it.
        """
        config = self.config
        writer = StoreWriter(
            self._database(),
            config_hash=config_hash(config),
            config_json=canonical_json(config),
            resume=resume,
            total_indices=total_indices,
        )
        self._run_id = writer.run_id
        return writer

    def plan(self, listing: Listing | None = None) -> Plan:
        """What a run would process and why, without touching an item.

        Without tracking, or when every run starts afresh (``resume=False``), all items are new.

        Parameters
        ----------
        listing
            The source's listing where it is known already.
        """
        listing = Listing.of(self.source) if listing is None else listing
        with self._resumed() as (store, digest):
            return make_plan(listing, store, digest, sharded_outputs(self), len(self.filters) + 2)

    @contextmanager
    def _resumed(self) -> Iterator[tuple[MetricsStore | None, str]]:
        """The database that a run would go on with, if there is one, and the configuration's hash."""
        if not (self.track_metrics and self.resume and self._database().exists()):
            if self.track_metrics and self.resume and self.db_file is None:
                tell_former_database(self._database().parent, self._parts)
            yield None, ""
            return
        with MetricsStore(self._database()) as store:
            digest = self.config_hash
            tell_former_runs(store, digest)
            yield store, digest

    def check(self) -> None:
        """Raise `ConfigError` when the pipeline cannot work as configured; reads no item."""
        if self.sink is not None:
            self.sink.set_source(self.source)  # it may have been told another pipeline's meanwhile
        check_output_names(self)
        for component in (self.source, *self.filters, self.sink):
            if component is not None:
                component.check()

    def outputs_to_gather(self) -> list[str]:
        """The merged outputs that `gather_pipeline` would change: shards of completed items wait for it.

        Raises
        ------
        PipelineStateError
            Tracking is off.
        """
        return self._asked(lambda store, run_id: outputs_to_gather(self, store, run_id)) or []

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the pipeline as YAML or JSON, by extension.

        Raises
        ------
        ConfigError
            Unknown extension, or an argument without a stable representation.
        """
        settings, where = {name: getattr(self, name) for name in _SETTINGS}, os.fspath(path)
        data: dict[str, Any] = {
            "curator": _FILE_VERSION,
            "source": component_entry(self.source, where=f"{where}: source"),
        }
        data["filters"] = [component_entry(step, where=f"{where}: filters[{i}]") for i, step in enumerate(self.filters)]
        data["sink"] = component_entry(self.sink, where=f"{where}: sink") if self.sink is not None else None
        data["settings"] = {k: os.fspath(v) if isinstance(v, os.PathLike) else v for k, v in settings.items()}
        write_mapping(path, data)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Build the pipeline that a YAML or JSON file describes.

        Raises
        ------
        ConfigError
            The file cannot be read, or describes no pipeline.
        """
        return cls.from_mapping(read_mapping(path), where=os.fspath(path))

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any], *, where: str) -> Self:
        """Build the pipeline that a mapping with the entries of a pipeline file describes.

        Parameters
        ----------
        data
            The entries.
        where
            Where they stand, for messages.

        Raises
        ------
        ConfigError
            It describes no pipeline.
        """
        unknown = set(data) - {"curator", "source", "filters", "sink", "settings"}
        settings = data.get("settings") or {}
        if unknown or not isinstance(settings, dict) or set(settings) - set(_SETTINGS):
            names = sorted(map(str, unknown or (set(settings) - set(_SETTINGS) if isinstance(settings, dict) else ())))
            raise ConfigError(f"{where}: unknown entry {shortened(', '.join(names) or 'settings', 200)}.")
        if data.get("curator", _FILE_VERSION) != _FILE_VERSION:
            raise ConfigError(f"{where}: file version {data['curator']!r}, this curator reads {_FILE_VERSION}.")
        hints = resolved_hints(cls.__init__)
        settings = {
            name: fitted(value, hints[name], where=f"{where}: settings.{name}") for name, value in settings.items()
        }
        if "source" not in data:
            raise ConfigError(f"{where}: a pipeline needs a source.")
        steps = data.get("filters") or []
        if not isinstance(steps, list):
            raise ConfigError(f"{where}: 'filters' must be a list, got {steps!r}.")
        return cls(
            build_component(data["source"], Source, where=f"{where}: source"),
            [build_component(step, Filter, where=f"{where}: filters[{i}]") for i, step in enumerate(steps)],
            build_component(data["sink"], Sink, where=f"{where}: sink") if data.get("sink") else None,
            **settings,
        )

    def recorded_by(self, recorder: Callable[[IndexResult], None], returns_to: ReturnPath) -> Pipeline[T]:
        """A copy whose indices go to `recorder` instead of the database; those of its pickles to `returns_to`."""
        copy = self.with_settings()
        copy._recorder, copy._returns_to = recorder, returns_to  # noqa: SLF001 - another pipeline
        return copy

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state.update(_recorder=None, _owners=OwnersByHand())
        return state | {"_run_id": None}

    def __repr__(self) -> str:
        return f"<Pipeline {' → '.join(part.component_name() for part in self._parts)}>"

    @property
    def _parts(self) -> list[Component]:
        return [self.source, *self.filters, *([self.sink] if self.sink is not None else [])]
