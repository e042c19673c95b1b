"""`verify_sources`: whether what a dataset holds of each item is what its source gives now."""

from __future__ import annotations

import filecmp
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from curator_core.datasets.contents import Damage
from curator_core.datasets.manifest import Manifest
from curator_core.datasets.versions import NEWEST, read_version
from curator_core.engine.failure import describe
from curator_core.engine.reading import ItemReader
from curator_core.errors import ConfigError, DatasetReplacedError
from curator_core.interruption import is_interruption
from curator_core.merge.archive import ShardedOutput, sharded_outputs
from curator_core.pipeline.components import MergeItem, ShardedSink, overrides, shard_path
from curator_core.pipeline.current import PROCESSED
from curator_core.pipeline.pipeline import Pipeline
from curator_core.records import Item
from curator_core.redaction import Redactor
from curator_core.storage.base import OutputLocation


def verify_sources(pipeline: Pipeline[Any], *, version: str = NEWEST) -> Iterator[Damage]:
    """Process every item of a dataset again, and compare what comes of it with what was published, byte by byte.

    Items are processed one after the other in this process; nothing that is published or recorded changes. Filters with
    outputs of their own see the items, and write nothing. A component that gives other values each time differs, too.

    Parameters
    ----------
    pipeline
        The pipeline that made the dataset.
    version
        The version that is compared, by id, by the beginning of one, or by tag.

    Yields
    ------
    Damage
        For every item that differs, cannot be read, changed in its source, or is not there any more.

    Raises
    ------
    ConfigError
        The pipeline publishes no dataset, made it in another configuration, or has a sink whose parts cannot be written
        elsewhere; or there is no dataset.
    DatasetReplacedError
        Another version was published meanwhile.
    """
    output = _dataset_of(pipeline)
    place, manifest = read_version(output.location, version)
    if manifest.config_hash != pipeline.config_hash:
        raise ConfigError(
            f"{place.path} was made by another configuration ({manifest.config_hash[:16]}) than this pipeline has "
            f"({pipeline.config_hash[:16]}), so its values may differ for that alone. Give the pipeline that made it, "
            "or run and gather this one first."
        )
    pipeline.check()
    yield from _Comparison(pipeline, output, place, manifest).damages()
    if read_version(output.location, version)[1].data_version != manifest.data_version:
        raise DatasetReplacedError(
            f"{place.path} was published again while it was compared with its sources: compare it once more.",
            file=place.path,
        )


def _dataset_of(pipeline: Pipeline[Any]) -> ShardedOutput:
    found = [output for output in sharded_outputs(pipeline) if output.kind == "sink"]
    if not found:
        raise ConfigError("The sink of the pipeline publishes no dataset that could be compared with its sources.")
    (output,) = found
    if not overrides(output.component, ShardedSink.write_shard):
        raise ConfigError(
            f"{output.component.component_name()} writes its parts itself, to one place: its dataset cannot be "
            "compared with its sources. Give the sink write_shard(items, path)."
        )
    return output


class _Comparison:
    """Compares the items of one dataset."""

    def __init__(
        self, pipeline: Pipeline[Any], output: ShardedOutput, place: OutputLocation, manifest: Manifest
    ) -> None:
        self._pipeline, self._output, self._place, self._manifest = pipeline, output, place, manifest
        source = pipeline.source
        self._positions = {source.key(index): index for index in range(len(source))}
        self._reader = ItemReader(source)
        self._redacted = Redactor(value for part in pipeline.components for value in part.secret_values())

    def damages(self) -> Iterator[Damage]:
        for key, fingerprint in self._manifest.fingerprints.items():
            what = self._difference(key, fingerprint)
            if what:
                yield Damage(what, items=(key,))

    def _difference(self, key: str, fingerprint: str | None) -> str:
        """What is wrong with an item; empty where it is what its source gives."""
        if key not in self._positions:
            return "is in the dataset, and the source has it no more"
        item = Item(self._positions[key], key, fingerprint)
        if self._pipeline.source.fingerprint(item.index) != fingerprint:
            return "has another fingerprint in the source now than when it was processed: it changed since"
        with self._output.location.scratch() as folder:
            try:
                part = self._processed(item, folder)
            except BaseException as exc:  # the components' own code: the item's failure, as in a run
                if is_interruption(exc):
                    raise
                return f"cannot be processed again: {self._redacted(describe(exc))}"
            return self._compared(item, part, folder)

    def _processed(self, item: Item, folder: Path) -> Path:
        """Write the part of an item anew."""
        sink, opened = self._output.component, list[Generator[Any, None, None]]()
        name = self._output.location.work_path.name
        path = Path(shard_path(folder / name, item.index, sink.shard_suffix))
        token = PROCESSED.set(item)
        try:
            items: Any = self._reader.read(item, opened)
            for step in self._pipeline.filters:
                items = step(items)
            sink.write_shard(iter(items), str(path))
        finally:
            PROCESSED.reset(token)
            for generator in reversed(opened):
                generator.close()
        return path

    def _compared(self, item: Item, part: Path, folder: Path) -> str:
        """Compare two datasets of the item alone: one of its new part, one of what was published."""
        version = self._manifest.versions[item.key]
        new, held = targets = [folder / name / self._output.location.work_path.name for name in ("new", "held")]
        for target, shard, previous in zip(targets, (part, None), (None, self._place.readable_path), strict=True):
            target.parent.mkdir()
            alone = MergeItem(0, item.key, item.fingerprint, version, shard)
            self._output.component.merge_items([alone], previous, str(target))
        self._place.fetch_kept(held)
        names = sorted({*_files(new), *_files(held)})
        differing = {_shown(name) for name in names if not _is_same(new / name, held / name)}
        where = ", ".join(sorted(filter(None, differing)))
        return f"is not what its source gives now{f': {where} differ' if where else ''}" if differing else ""


def _files(path: Path) -> list[str]:
    """Files of a dataset by name; of one that is a file its own, by the empty name."""
    if path.is_file():
        return [""]
    return [file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()]


def _is_same(new: Path, held: Path) -> bool:
    return new.is_file() and held.is_file() and filecmp.cmp(new, held, shallow=False)


def _shown(name: str) -> str:
    """The array that an object is of, where it is a chunk of one; empty for what only describes arrays."""
    array, found, _ = name.partition("/c/")
    if name.endswith("zarr.json") or array.startswith(("items/", "segments/")):
        return ""
    return array if found else name
