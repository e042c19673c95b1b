"""Published datasets: what is in them, their versions, and segments that are written once and linked from then on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curator_core.moved import names_in

if TYPE_CHECKING:
    from curator_core.datasets.contents import Changes as Changes
    from curator_core.datasets.history import VersionRecord as VersionRecord
    from curator_core.datasets.history import was_restored as was_restored
    from curator_core.datasets.manifest import Manifest as Manifest
    from curator_core.datasets.manifest import said_of as said_of
    from curator_core.datasets.versions import DatasetVersion as DatasetVersion
    from curator_core.datasets.versions import diff_versions as diff_versions
    from curator_core.datasets.versions import expire_versions as expire_versions
    from curator_core.datasets.versions import list_versions as list_versions
    from curator_core.datasets.versions import locate_version as locate_version
    from curator_core.datasets.versions import restore_version as restore_version
    from curator_core.datasets.versions import tag_version as tag_version
    from curator_core.datasets.versions import untag_version as untag_version
    from curator_core.datasets.workers import Encode as Encode

_VERSIONS = "curator_core.datasets.versions"
_HOME = {
    "Changes": "curator_core.datasets.contents",
    "DatasetVersion": _VERSIONS,
    "Encode": "curator_core.datasets.workers",
    "Manifest": "curator_core.datasets.manifest",
    "VersionRecord": "curator_core.datasets.history",
    "diff_versions": _VERSIONS,
    "expire_versions": _VERSIONS,
    "list_versions": _VERSIONS,
    "locate_version": _VERSIONS,
    "restore_version": _VERSIONS,
    "said_of": "curator_core.datasets.manifest",
    "tag_version": _VERSIONS,
    "untag_version": _VERSIONS,
    "was_restored": "curator_core.datasets.history",
}

__all__ = sorted(_HOME)  # noqa: PLE0605 - derived, so that the two cannot differ
__getattr__ = names_in(__name__, _HOME)
