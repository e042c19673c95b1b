"""Source of grids: folders of GRIB files."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, ClassVar, Literal, Self

import xarray as xr

from curator_core.domains.grid.decoding import DecodingError, require_room
from curator_core.domains.grid.grib.datasets import blocks_of, chosen, dataset_of, headers_of
from curator_core.domains.grid.grib.grids import Grid
from curator_core.domains.grid.grib.headers import Header
from curator_core.domains.grid.grib.messages import Field, FileContent, fields
from curator_core.domains.grid.times import label
from curator_core.errors import ConfigError
from curator_core.pipeline.annotations import SECRET, UNRECORDED
from curator_core.sources.files import FileItem, FileSource
from curator_core.storage.downloads import parsed_size

Key = str | int | float


class GRIBSource(FileSource[xr.Dataset]):
    """Grids from GRIB files of edition 1 and 2.

    A field belongs to a variable by its parameter, kind of level, kind of step and grid, whatever else is in the file.
    Names are those of ecCodes (``t2m``, ``msl``), with the level where it is none of the surface: ``t_isobaricInhPa``,
    ``u_80m``.

    An item gives one ``xarray.Dataset`` or several: each has a value of the file at every one of its places, so that
    nothing between sparse fields is invented. Dimensions are ``number`` (the member), ``time`` (the reference time),
    ``lead_time`` where there are several, the level, numbers of directions and frequencies of spectra, and those of the
    grid: ``latitude`` and ``longitude``, ``y`` and ``x`` with latitudes and longitudes of every point, or ``values``.
    Of cells whose places are in no message, ``grid`` says which grid it is. Times are ``int64``, as those of
    `NetCDFSource`.

    Parameters
    ----------
    root
        Folder to search, sub-folders included; a path, or a URL: ``file://``, ``s3://``, ``gs://``, ``az://``,
        ``https://``, ``http://``.
    pattern
        Glob pattern of the file names.
    variables
        Names of those that are decoded; all by default.
    keys
        Values, or lists of values, that keys of ecCodes must have, such as ``typeOfLevel``; other fields are passed
        over.
    item
        ``file``: every file is an item. ``time``: every reference time in it is one, named after it. Remote files are
        downloaded to be listed then.
    padding
        Multiple of bytes that messages are padded to with zeros. As many zeros or more between two messages, or behind
        the last one, are no padding, but a block of the disk that is lost, or was never written: the item fails. That
        of MARS is 120.
    max_size
        Largest size of a dataset in memory; a larger one fails before it is decoded.
    storage_options
        Credentials and the like for a URL, by obstore's names; otherwise, those of the environment.
    cache_size
        How much is kept of what was downloaded, such as ``20 GB``; see `CURATOR_DOWNLOAD_CACHE_SIZE`.

    Notes
    -----
    Values are float32, and float64 where more than 24 bits are packed. What a message's bitmap leaves out is NaN.
    A message that is damaged or cut off, two fields for one place, and bytes between messages that are none fail the
    item, with the numbers of the messages, from 1.
    """

    name: ClassVar[str] = "grib"
    description: ClassVar[str] = "Grids from GRIB files, by variable and level"
    checks_arguments: ClassVar[bool] = True

    def __init__(
        self,
        root: str,
        pattern: str = "*.gr*b*",
        variables: Sequence[str] | None = None,
        keys: Mapping[str, Key | Sequence[Key]] | None = None,
        item: Literal["file", "time"] = "file",
        *,
        padding: int = 120,
        max_size: int | str = "4 GB",
        storage_options: Annotated[Mapping[str, str | bool | int] | None, SECRET] = None,
        cache_size: Annotated[int | str | None, UNRECORDED] = None,
    ) -> None:
        super().__init__(root, pattern, storage_options=storage_options, cache_size=cache_size)
        self._variables = None if variables is None else tuple(variables)
        self._fields: tuple[str, ...] | None = None
        self._keys = {key: _texts(values) for key, values in (keys or {}).items()}
        self._by_time = item == "time"
        if padding < 1:
            raise ConfigError(f"padding: {padding} is no number of bytes: 1 says that there is no padding.")
        self._padding = padding
        self._max_size = parsed_size(max_size, "max_size")

    def reading(self, fields: Sequence[str]) -> Self:
        """A source of the same items, of which these variables alone are decoded."""
        narrowed = copy.copy(self)
        narrowed._fields = tuple(fields)
        return narrowed

    def splits(self) -> bool:
        return self._by_time

    def split(self, file: FileItem) -> Iterable[FileItem]:
        """The reference times of a file, where they are asked for."""
        if not self._by_time:
            return [file]
        with file.path.open("rb") as content:
            headers = self._headers(list(fields(FileContent(content), self._padding)))
        times = sorted({header.time for header in headers})
        return [file.part(label(time, "standard"), step, step + 1) for step, time in enumerate(times)]

    def read(self, item: FileItem) -> Iterator[xr.Dataset]:
        """Yield the datasets of a file, or of one of its times."""
        with item.path.open("rb") as content:
            found = list(fields(FileContent(content), self._padding))
        headers = self._headers(found)
        if self._by_time:
            name = item.key.rpartition("#")[2]
            headers = [header for header in headers if label(header.time, "standard") == name]
            if not headers:
                raise DecodingError("its times are others than when it was listed")
        grids: dict[bytes, Grid] = {}
        for blocks in blocks_of(list(chosen(headers, self._fields))):
            require_room(sum(block.size for block in blocks), self._max_size)
            yield dataset_of(blocks, found, grids)

    def _headers(self, found: list[Field]) -> list[Header]:
        return list(chosen(headers_of(found, self._keys), self._variables))


def _texts(values: Key | Sequence[Key]) -> frozenset[str]:
    return frozenset({str(values)} if isinstance(values, Key) else map(str, values))
