"""Datasets of your own: items whose arrays are always the same, and have other numbers of rows in each item."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curator_core.moved import names_in

if TYPE_CHECKING:
    from curator_core.datasets.layout import Axis as Axis
    from curator_core.datasets.layout import Rows as Rows
    from curator_core.domains.ragged.dataset import RaggedDataset as RaggedDataset
    from curator_core.domains.ragged.sinks import RaggedSink as RaggedSink
    from curator_core.formats.arrays import ArraySpec as ArraySpec

_HOME = {
    "ArraySpec": "curator_core.formats.arrays",
    "Axis": "curator_core.datasets.layout",
    "RaggedDataset": "curator_core.domains.ragged.dataset",
    "RaggedSink": "curator_core.domains.ragged.sinks",
    "Rows": "curator_core.datasets.layout",
}

__all__ = sorted(_HOME)  # noqa: PLE0605 - derived, so that the two cannot differ
__getattr__ = names_in(__name__, _HOME)
