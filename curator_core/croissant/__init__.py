"""Croissant records: what a published dataset says of itself to the tools of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curator_core.moved import names_in

if TYPE_CHECKING:
    from curator_core.croissant.reading import dataset_record as dataset_record

_HOME = {"dataset_record": "curator_core.croissant.reading"}

__all__ = sorted(_HOME)  # noqa: PLE0605 - derived, so that the two cannot differ
__getattr__ = names_in(__name__, _HOME)
