"""`Pipeline`: source, filters and sink, put together without side effects."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, Generic, Self, TypeVar

from curator_core.errors import ConfigError, IndexRangeError
from curator_core.pipeline.abilities import SelectsItems
from curator_core.pipeline.annotations import resolved_hints
from curator_core.pipeline.components import Component, Filter, Sink, Source, required_sink
from curator_core.pipeline.config import (
    CONFIG_FORMAT,
    build_component,
    component_config,
    component_entry,
    config_hash,
)
from curator_core.pipeline.description import DatasetDescription, dataset_description
from curator_core.pipeline.fitting import fitted
from curator_core.pipeline.mapping_files import read_mapping, write_mapping
from curator_core.pipeline.queries import QueryAPI
from curator_core.pipeline.splits import SplitRule, split_rule
from curator_core.printable import shortened
from curator_core.records import TrackMemory, position
from curator_core.storage.kept import KEEP_VERSIONS, checked_keep_versions

T = TypeVar("T")

_FILE_VERSION = 1
_SETTINGS = (
    *("track_metrics", "track_memory", "track_gpu", "db_dir", "db_file", "resume", "keep_versions"),
    *("split", "dataset"),
)


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
    keep_versions
        Versions of a merged dataset that are kept, the newest counted, at least 1; one with a tag always is.
    split
        How the items of a merged dataset are divided into splits: a rule, or the entry of a pipeline file that
        describes it. It changes no configuration hash: under another rule no item is processed again, and what is
        published next is a new version.
    dataset
        What people say of a merged dataset, such as its licence, for its Croissant record: a `DatasetDescription`, or
        the entry of a pipeline file. It changes no configuration hash, and makes no new version.
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
        keep_versions: int = KEEP_VERSIONS,
        split: SplitRule | Mapping[str, Any] | None = None,
        dataset: DatasetDescription | Mapping[str, Any] | None = None,
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
        self.keep_versions = checked_keep_versions(keep_versions)
        self.split = split_rule(split, where="split")
        self.dataset = dataset_description(dataset, where="dataset")
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
        return self.records.process(self._checked_index(index))

    def _checked_index(self, index: int) -> int:
        """An index of a pipeline that can process it, counted from 0; negative ones count from the end.

        Raises
        ------
        IndexRangeError
            Out of range.
        ConfigError
            The index is no integer.
        PipelineStateError
            There is no sink.
        """
        required_sink(self.sink)
        n_items, given = len(self), position(index)
        if not -n_items <= given < n_items:
            raise IndexRangeError(f"Index {given} is out of range for {n_items} items.")
        return given % n_items

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

    def check(self) -> None:
        """Raise `ConfigError` when the pipeline cannot work as configured; reads no item."""
        if self.sink is not None:
            self.sink.set_source(self.source)  # it may have been told another pipeline's meanwhile
        self.records.check_outputs()
        for component in self.components:
            component.check()
            if isinstance(component, SelectsItems):
                component.check_split(self.split)

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
        data["settings"]["split"] = None if self.split is None else self.split.described()
        data["settings"]["dataset"] = None if self.dataset is None else self.dataset.described()
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
        rule = split_rule(settings.get("split"), where=f"{where}: settings.split")
        words = dataset_description(settings.get("dataset"), where=f"{where}: settings.dataset")
        settings = {
            name: fitted(value, hints[name], where=f"{where}: settings.{name}")
            for name, value in settings.items()
            if name not in {"split", "dataset"}
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
            split=rule,
            dataset=words,
            **settings,
        )

    def __repr__(self) -> str:
        return f"<Pipeline {' → '.join(part.component_name() for part in self.components)}>"

    @property
    def components(self) -> list[Component]:
        """Source, filters and sink, in order."""
        return [self.source, *self.filters, *([self.sink] if self.sink is not None else [])]
