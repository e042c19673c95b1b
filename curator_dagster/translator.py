"""What Dagster shows of a curation: its assets, and the metadata of their materializations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from dagster import AssetDep, AssetKey, AssetSpec

from curator_dagster.metadata.item import block_metadata, sample_metadata

if TYPE_CHECKING:
    from dagster import AutomationCondition

    from curator_core import IndexResult, Pipeline
    from curator_core.merge import DatasetFacts, PublishedDataset

_DESCRIPTIONS = {
    "samples": "One partition per item of the source; each is processed on its own and recorded as it completes.",
    "dataset": "All completed samples, merged and published atomically.",
}


@dataclass(frozen=True, kw_only=True)
class CurationAssetProps:
    """One of the two assets of a curation, as the curation has it."""

    asset: Literal["samples", "dataset"]
    """Which of the two."""
    name: str
    """Name of the curation."""
    group_name: str | None
    """Asset group: the one that the curation was given, or its name."""
    deps: Sequence[AssetDep]
    """What is upstream: of the samples, what the curation was given; of the dataset, the samples."""
    automation_condition: AutomationCondition[AssetKey] | None
    """When the dataset is merged by itself."""
    refreshed_by: str
    """What keeps it up to date: the refresh job, and the sensor and schedule that request it."""
    build_pipeline: Callable[[], Pipeline[Any]]
    """Builds the pipeline."""
    key_prefix: Sequence[str] = ()
    """What stands before the name of the curation in the asset's key."""

    @cached_property
    def pipeline(self) -> Pipeline[Any]:
        """The pipeline, built when it is asked for: a code location is loaded in every process of a run."""
        return self.build_pipeline()


class CurationTranslator:
    """Translates a curation into what Dagster shows of it; this one gives the names and metadata that are documented.

    Subclass it, override what shall differ, and give an object of the subclass to `build_curation_defs`.
    """

    def get_asset_spec(self, props: CurationAssetProps) -> AssetSpec:
        """All that Dagster knows of an asset: its key, group, owners, tags, kinds, description, metadata and more.

        An override takes what ``super().get_asset_spec(props)`` returns and replaces or merges attributes. A new key
        holds everywhere. Partitions are the curation's own.

        Parameters
        ----------
        props
            The asset.
        """
        return AssetSpec(
            AssetKey([*props.key_prefix, props.name, props.asset]),
            deps=props.deps,
            description=f"{_DESCRIPTIONS[props.asset]}\n\n{props.refreshed_by}",
            group_name=props.group_name,
            automation_condition=props.automation_condition,
        )

    def item_metadata(self, result: IndexResult, config_hash: str) -> Mapping[str, Any]:
        """Metadata of the materialization of one item, for every item of a run: be quick.

        Texts, numbers and lists of texts are recorded ten times as fast as Dagster's own metadata values.

        Parameters
        ----------
        result
            What is recorded of the item; its paths are those that last, in full, and `item_path` is the item's own.
        config_hash
            Hash of the pipeline's configuration.
        """
        return sample_metadata(result)

    def block_metadata(self, results: Sequence[IndexResult], n_items: int, config_hash: str) -> Mapping[str, Any]:
        """Metadata of the materialization of a block of items, where ``partition_size`` is above 1.

        Parameters
        ----------
        results
            Results of the items that were processed.
        n_items
            Number of items in the block.
        config_hash
            Hash of the pipeline's configuration.
        """
        return block_metadata(results, n_items)

    def dataset_metadata(self, published: PublishedDataset, facts: DatasetFacts) -> Mapping[str, Any]:
        """Metadata of the materialization of the dataset.

        Parameters
        ----------
        published
            What was published, and what is missing from it.
        facts
            What the pipeline's components know of it.
        """
        from curator_dagster.metadata.dataset import published_metadata  # noqa: PLC0415 - a code location needs no NumPy

        return published_metadata(published, facts)
