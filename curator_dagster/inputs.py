"""What an asset downstream gets of a curation: its dataset, or items of it, in the version that was materialized."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_origin
from urllib.parse import urlsplit
from urllib.request import url2pathname

from dagster import (
    AssetKey,
    AssetMaterialization,
    AssetRecordsFilter,
    DagsterInstance,
    InputContext,
    IOManager,
    MetadataValue,
    OutputContext,
    io_manager,
)

from curator_core import CuratedDataset, CuratedItem
from curator_core.errors import ConfigError
from curator_dagster._compat.events.asset_events import DATA_VERSION_TAG
from curator_dagster.curation.failing import failing_clearly
from curator_dagster.metadata.item import PREFIX, URI

INPUTS_KEY = "curator_io_manager"
"""Key of `curation_inputs` among the resources of a curation's assets."""
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
        with failing_clearly():
            if not context.has_asset_partitions:
                return _dataset(context.instance, context.asset_key)
            keys = context.asset_partition_keys
            found = _items(context.instance, context.asset_key, keys)
            wanted = context.dagster_type.typing_type
            is_mapping = (get_origin(wanted) or wanted) in (dict, Mapping)
            return found if len(keys) != 1 or is_mapping else found[keys[0]]


@io_manager(description="The dataset and the samples of curations, for assets downstream.")
def curation_inputs() -> CurationInputs:
    """Input manager of the datasets and samples of curations; their assets have it, other code locations name it."""
    return CurationInputs()


def _dataset(instance: DagsterInstance, asset: AssetKey) -> CuratedDataset:
    records = instance.fetch_materializations(asset, limit=1).records
    name = asset.to_user_string()
    if not records:
        raise ConfigError(f"{name} was never materialized on this instance: refresh its curation first.")
    published = records[0].asset_materialization
    uri = None if published is None else _text(published.metadata.get(URI))
    if published is None or uri is None:
        raise ConfigError(
            f"The latest materialization of {name} has no {URI}: its sink merges no dataset, or the curation's "
            "translator leaves it out. Depend on it by deps, and open what you need yourself."
        )
    path = url2pathname(urlsplit(uri).path) if uri.startswith("file://") else uri
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
