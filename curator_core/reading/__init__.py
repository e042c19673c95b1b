"""Reading published datasets: what a training program imports. The names are loaded on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curator_core.moved import names_in

if TYPE_CHECKING:
    from curator_core.reading.opening import open_dataset as open_dataset
    from curator_core.reading.opening import register_opener as register_opener
    from curator_core.reading.readers import DatasetOpener as DatasetOpener
    from curator_core.reading.readers import RaggedBatch as RaggedBatch
    from curator_core.reading.readers import SampleReader as SampleReader

_HOME = {
    "DatasetOpener": "curator_core.reading.readers",
    "RaggedBatch": "curator_core.reading.readers",
    "SampleReader": "curator_core.reading.readers",
    "open_dataset": "curator_core.reading.opening",
    "register_opener": "curator_core.reading.opening",
}

__all__ = sorted(_HOME)  # noqa: PLE0605 - derived, so that the two cannot differ
__getattr__ = names_in(__name__, _HOME)


def __dir__() -> list[str]:
    return __all__
