"""What is put together: shards and their archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curator_core.moved import names_in

if TYPE_CHECKING:
    from curator_core.datasets.aligned.availability import Availability as Availability
    from curator_core.merge.archive import content_signature as content_signature
    from curator_core.merge.archive import item_version as item_version
    from curator_core.merge.curated import CuratedDataset as CuratedDataset
    from curator_core.merge.curated import CuratedItem as CuratedItem
    from curator_core.merge.facts import DatasetFacts as DatasetFacts
    from curator_core.merge.facts import size_bytes as size_bytes
    from curator_core.merge.nonfinite import NonFinite as NonFinite
    from curator_core.merge.publication import Changes as Changes
    from curator_core.merge.publication import Manifest as Manifest
    from curator_core.merge.publication import PublishedDataset as PublishedDataset
    from curator_core.merge.publication import Tolerance as Tolerance
    from curator_core.merge.publication import manifest_location as manifest_location
    from curator_core.merge.sources import verify_sources as verify_sources
    from curator_core.merge.verify import count_nonfinite as count_nonfinite
    from curator_core.merge.verify import verify_dataset as verify_dataset

_HOME = {
    "Availability": "curator_core.datasets.aligned.availability",
    "content_signature": "curator_core.merge.archive",
    "item_version": "curator_core.merge.archive",
    "CuratedDataset": "curator_core.merge.curated",
    "CuratedItem": "curator_core.merge.curated",
    "DatasetFacts": "curator_core.merge.facts",
    "size_bytes": "curator_core.merge.facts",
    "NonFinite": "curator_core.merge.nonfinite",
    "Changes": "curator_core.merge.publication",
    "Manifest": "curator_core.merge.publication",
    "PublishedDataset": "curator_core.merge.publication",
    "Tolerance": "curator_core.merge.publication",
    "manifest_location": "curator_core.merge.publication",
    "count_nonfinite": "curator_core.merge.verify",
    "verify_dataset": "curator_core.merge.verify",
    "verify_sources": "curator_core.merge.sources",
}

__all__ = sorted(_HOME)  # noqa: PLE0605 - derived, so that the two cannot differ
__getattr__ = names_in(__name__, _HOME)
