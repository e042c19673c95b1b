"""What an asset downstream gets of a curation: its dataset, or items of it, in the version that was materialized."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from dagster import (
    AssetKey,
    AssetMaterialization,
    AssetRecordsFilter,
    DagsterInstance,
    Failure,
    InputContext,
    IOManager,
    MetadataValue,
    OutputContext,
    io_manager,
)

from curator_core import CuratedDataset, CuratedItem
from curator_core.errors import ConfigError, CuratorError
from curator_dagster._compat.events.asset_events import DATA_VERSION_TAG
from curator_dagster.metadata.item import PREFIX

INPUTS_KEY = "curator_io_manager"
"""Key of the resource that gives the dataset and the samples of every curation to assets downstream."""
DATASET_PATH = f"{PREFIX}dataset"
"""Metadata of a dataset's materialization: where it lies, whatever a translator says besides."""
_MAX_PARTITIONS = 1000
"""Partitions that are asked for at once."""


class CurationInputs(IOManager):
    """Gives what the latest materialization published: `CuratedDataset`, or a `CuratedItem` for a partition.

    It keeps no outputs: the curation's own steps wrote them.
    """

    def handle_output(self, context: OutputContext, obj: object) -> None:
        """Nothing is to be kept."""

    def load_input(self, context: InputContext) -> CuratedDataset | CuratedItem | dict[str, CuratedItem]:
        """The dataset; for the samples, the item of the partition, or of each partition by its key.

        Raises
        ------
        Failure
            There is none, or another version lies there.
        """
        try:
            if not context.has_asset_partitions:
                return _dataset(context.instance, context.asset_key)
            keys = context.asset_partition_keys
            found = _items(context.instance, context.asset_key, keys)
            is_one = len(keys) == 1 and context.dagster_type.typing_type is not dict
            return found[keys[0]] if is_one else found
        except CuratorError as exc:
            raise Failure(f"{type(exc).__name__}: {exc}", allow_retries=False) from exc


@io_manager(description="The dataset and the samples of curations, for assets downstream.")
def curation_inputs() -> CurationInputs:
    """The resource under the key `INPUTS_KEY`; one object, so that definitions can be merged."""
    return CurationInputs()


def _dataset(instance: DagsterInstance, asset: AssetKey) -> CuratedDataset:
    records = instance.fetch_materializations(asset, limit=1).records
    name = asset.to_user_string()
    if not records:
        raise ConfigError(f"{name} was never materialized on this instance: refresh its curation first.")
    published = records[0].asset_materialization
    path = None if published is None else _text(published.metadata.get(DATASET_PATH))
    if published is None or path is None:
        raise ConfigError(
            f"The latest materialization of {name} names no dataset: its sink merges none, or another asset has this "
            "key. Depend on it by deps, and open what you need yourself."
        )
    return CuratedDataset.open(path, data_version=(published.tags or {}).get(DATA_VERSION_TAG))


def _items(instance: DagsterInstance, asset: AssetKey, partitions: Sequence[str]) -> dict[str, CuratedItem]:
    found: dict[str, CuratedItem] = {}
    for begin in range(0, len(partitions), _MAX_PARTITIONS):
        wanted = partitions[begin : begin + _MAX_PARTITIONS]
        for published in _latest(instance, asset, wanted):
            partition = str(published.partition)
            found.setdefault(partition, _item(asset, published))
    missing = [key for key in partitions if key not in found]
    if missing:
        raise ConfigError(
            f"{len(missing)} partitions of {asset.to_user_string()} were never materialized, such as {missing[0]!r}: "
            "process them first."
        )
    return {key: found[key] for key in partitions}


def _latest(instance: DagsterInstance, asset: AssetKey, partitions: Sequence[str]) -> Iterator[AssetMaterialization]:
    """Materializations of partitions, newest first, until each had one."""
    wanted, cursor = set(partitions), None
    asked = AssetRecordsFilter(asset, asset_partitions=list(partitions))
    while wanted:
        page = instance.fetch_materializations(asked, limit=_MAX_PARTITIONS, cursor=cursor)
        for record in page.records:
            if record.asset_materialization is not None:
                wanted.discard(str(record.asset_materialization.partition))
                yield record.asset_materialization
        if not page.has_more:
            return
        cursor = page.cursor


def _item(asset: AssetKey, published: AssetMaterialization) -> CuratedItem:
    metadata = published.metadata
    key, outputs = _text(metadata.get(f"{PREFIX}key")), _texts(metadata.get(f"{PREFIX}outputs"))
    if key is None or outputs is None:
        raise ConfigError(
            f"Partition {published.partition!r} of {asset.to_user_string()} is recorded without key and outputs: it "
            "is a block of items, or the curation's translator leaves them out. MetricsStoreResource has all items."
        )
    version = (published.tags or {}).get(DATA_VERSION_TAG, "")
    return CuratedItem(key, outputs, version, _text(metadata.get(f"{PREFIX}fingerprint")))


def _text(entry: MetadataValue[Any] | None) -> str | None:
    return None if entry is None else str(entry.value)


def _texts(entry: MetadataValue[Any] | None) -> tuple[str, ...] | None:
    if entry is None:
        return None
    return tuple(map(str, entry.value)) if isinstance(entry.value, list) else (str(entry.value),)
