"""The folder of a published dataset of segments, as readers of domains open it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from curator_core.datasets.layout import FORMAT_VERSION, Layout
from curator_core.datasets.tables import Tables
from curator_core.errors import ConfigError
from curator_core.formats.dataset_files import DatasetFiles
from curator_core.formats.description import require_version
from curator_core.reading.addresses import SegmentAddresses
from curator_core.reading.pinned import Edition


class SegmentedFolder:
    """A dataset of segments that is read while others may publish it anew.

    Parameters
    ----------
    path
        Folder of the dataset.
    cache_bytes
        Bytes of decoded chunks that are kept.

    Raises
    ------
    ComponentError
        There is no such dataset, it is damaged, or was written by a newer version.
    """

    samples: ClassVar[str]
    """What its samples are called."""

    def __init__(self, path: Path, cache_bytes: int) -> None:
        self._path = path.absolute()
        self._edition = Edition(self._path)
        self._files = DatasetFiles(self._path, require_same=self.require_same, cache_bytes=cache_bytes)
        attributes = self._files.attributes
        require_version(str(self._path), attributes.get("format_version"), FORMAT_VERSION)
        with self._describing():
            self.layout = Layout.from_description(attributes)
            self._names = [str(name) for name in attributes["arrays"]]
            self._addresses = SegmentAddresses(self._files, self.layout, self._names)

    @contextmanager
    def _describing(self) -> Iterator[None]:
        """Within, a description that is not understood is damage."""
        try:
            yield
        except (LookupError, TypeError, ValueError, ConfigError) as exc:
            raise self._files.damaged(f"its description cannot be read: {exc}") from exc

    def require_same(self) -> None:
        """Make sure that the folder still holds the dataset that was opened.

        Raises
        ------
        DatasetReplacedError
            Another version was published there meanwhile, or it was removed.
        """
        self._edition.require(self.samples)

    @cached_property
    def _tables(self) -> Tables:
        try:
            return self._addresses.tables()
        except ValueError as exc:
            raise self._files.damaged(str(exc)) from exc

    def split_names(self) -> list[str]:
        """The splits that items are in."""
        return sorted(self._files.attributes.get("splits", ()))

    def positions_of_split(self, name: str) -> npt.NDArray[np.int64]:
        """Positions of the samples of a split, ascending."""
        wanted = np.array([split == name for split in self._tables.splits], bool)
        return np.flatnonzero(np.repeat(wanted, self._tables.rows[self.layout.main.name]))
