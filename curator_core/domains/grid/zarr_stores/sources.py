"""Source of grids: a Zarr store, whole or by steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import xarray as xr

from curator_core.domains.grid.assembly import dataset_of, instants
from curator_core.domains.grid.decoding import DecodingError, require_room
from curator_core.domains.grid.selection import ReadsVariables, Selection, wanted_variables
from curator_core.domains.grid.times import calendar_of, label
from curator_core.domains.grid.zarr_stores.arrays import (
    Arrays,
    NoGroupError,
    arrays_of,
    groups_with_arrays,
    opened_group,
    stored_variables,
)
from curator_core.domains.grid.zarr_stores.fingerprints import Identities
from curator_core.domains.grid.zarr_stores.places import StorePlace
from curator_core.errors import ComponentError, ConfigError, CuratorError, EmptySourceError, IndexRangeError
from curator_core.pipeline.annotations import SECRET, UNRECORDED
from curator_core.pipeline.components import Source
from curator_core.storage.downloads import parsed_size
from curator_core.storage.objects.stores import without_public

if TYPE_CHECKING:
    import zarr


class ZarrSource(ReadsVariables, Source[xr.Dataset]):
    """Grids from a Zarr store of version 2 or 3, as xarray writes it: a folder, a zip file, or either by URL.

    An item is an ``xarray.Dataset`` in memory, decoded by itself as those of `NetCDFSource` are. A chunk that was never
    written fails its item, by name; Zarr itself reads the fill value there.

    Parameters
    ----------
    url
        Path or URL of the store: ``file://``, ``s3://``, ``gs://``, ``az://``, ``https://``, ``http://``; a zip file's
        ends in ``.zip``.
    item
        Number of steps of an item, by the one dimension that is cut: ``{"time": 24}``. Items are named after their
        first step, such as ``era5.zarr#2015-01-16T12:00:00``. By default the store is one item.
    variables
        Names of those that are read, with their coordinates; all of the group by default.
    group
        Path of the group that they are in; needed where other groups than the topmost have any.
    fill_values
        What stands for missing values, by name of the variable, in place of what the store says; ``None`` where nothing
        is missing.
    sparse
        Names of variables whose chunks were left out on purpose, where all values are the fill value, as Zarr does by
        default; ``True`` for all variables. What is not there is the fill value then, as if it were written.
    max_size
        Largest size of an item in memory, decoded; a larger one fails before it is read.
    storage_options
        Credentials and the like for a URL, by obstore's names; otherwise, those of the environment.
    cache_size
        How much is kept of zip files that were downloaded; see `CURATOR_DOWNLOAD_CACHE_SIZE`.

    Notes
    -----
    The fill value of version 2 is what is missing, as xarray has it, unless it is 0; of version 3 the attribute
    ``_FillValue`` alone is. Where version 2 has a fill value of 0 and values of 0, `fill_values` must say which of both
    is meant.

    The metadata of each array is read by itself: a consolidated copy can be that of a shorter array. Fingerprints
    are of the metadata and of the objects that hold the chunks of an item; over ``https://``, where those cannot be
    listed, of metadata and coordinates alone.
    """

    name: ClassVar[str] = "zarr"
    description: ClassVar[str] = "Grids from a Zarr store, whole or by steps"
    checks_arguments: ClassVar[bool] = True

    def __init__(
        self,
        url: str,
        item: Mapping[str, int] | None = None,
        variables: Sequence[str] | None = None,
        group: str | None = None,
        *,
        fill_values: Mapping[str, float | None] | None = None,
        sparse: Sequence[str] | bool = False,
        max_size: int | str = "4 GB",
        storage_options: Annotated[Mapping[str, str | bool | int] | None, SECRET] = None,
        cache_size: Annotated[int | str | None, UNRECORDED] = None,
    ) -> None:
        self._variables = wanted_variables(variables, self.name)
        if item is not None and (len(item) != 1 or min(item.values()) < 1):
            raise ConfigError(f"{self.name}: item must say how many steps of one dimension an item has, not {item!r}.")
        if not str(url).strip():
            raise ConfigError(f"{self.name}: url is empty text: give the path or URL of a store.")
        self._place = StorePlace(str(url), storage_options or {}, cache_size, self.name)
        self._along: str | None = next(iter(item)) if item else None
        self._n_steps = item[self._along] if item and self._along else 0
        self._group = (group or "").strip("/")
        self._has_group = group is not None
        self._fill_values = dict(fill_values or {})
        self._sparse = sparse is True or frozenset(sparse or ())
        self._max_size = parsed_size(max_size, "max_size")
        self._items: list[_Part] | None = None

    def check(self) -> None:
        """Raise `ConfigError` or `ComponentError` when the store cannot be opened, or divided into items."""
        if not self._listing():
            raise EmptySourceError(f"{self.name}: {self._place.url}: {self._along!r} has no steps, of which items are.")

    def __len__(self) -> int:
        return len(self._listing())

    def key(self, index: int) -> str:
        return self._item(index).key

    def fingerprint(self, index: int) -> str | None:
        return self._item(index).fingerprint

    def item_path(self, index: int) -> str:
        return self._place.url

    def is_input(self, path: str) -> bool:
        if not self._place.is_local:
            return path == self._place.url or path.startswith(f"{self._place.url}/")
        return Path(path).is_relative_to(Path(self._place.url).expanduser().resolve())

    def secret_values(self) -> list[str]:
        return without_public(super().secret_values(), (self._arguments or {}).get("storage_options"))

    def __getitem__(self, index: int) -> Generator[xr.Dataset, None, None]:
        """Read an item.

        Raises
        ------
        ComponentError
            It cannot be read, or a chunk of it was never written; raised while iterating.
        """
        return self._read(self._item(index))

    def _item(self, index: int) -> _Part:
        items = self._listing()
        if not 0 <= index < len(items):
            raise IndexRangeError(f"{self.name}: index {index} is out of range for {len(items)} items.")
        return items[index]

    def _read(self, item: _Part) -> Generator[xr.Dataset, None, None]:
        with self._explained("cannot be read", item.key), self._opened() as opened:
            selection = opened.selection
            part = {} if self._along is None else {self._along: slice(item.start, item.stop)}
            if self._along is not None and self._labels(selection)[item.start] != item.key.rpartition("#")[2]:
                raise DecodingError("its steps are others than when it was listed")
            require_room(selection.size(part), self._max_size, "fewer steps an item")
            stored = {name: variable.read(part) for name, variable in selection.variables.items()}
            dataset = dataset_of(selection, stored, opened.attributes)
            names = str(opened.attributes.get("coordinates", "")).split()  # as xarray writes those of no variable
            found = dataset.set_coords([name for name in names if name in dataset.data_vars])
        yield found

    def _listing(self) -> list[_Part]:
        if self._items is None:
            with self._explained("cannot be listed", None), self._opened() as opened:
                self._items = list(self._parts(opened))
        return self._items

    def _parts(self, opened: _Opened) -> Iterator[_Part]:
        selection = opened.selection
        dims = {name: variable.dims for name, variable in selection.variables.items()}
        arrays = {name: opened.arrays[name] for name in dims}
        prefix = next((array.path.rpartition("/")[0] for array in opened.arrays.values()), "")
        objects = self._place.identities("" if opened.is_nested else prefix)
        identities = Identities(arrays, dims, objects, selection.coordinates(), self._along)
        if self._along is None:
            yield _Part(self._place.name, identities.of(0, 0), 0, None)
            return
        labels = self._labels(selection)
        for name, times in Counter(labels).most_common(1):
            if times > 1:
                raise DecodingError(f"{self._along!r} has {name} {times} times")
        for start in range(0, len(labels), self._n_steps):
            stop = min(start + self._n_steps, len(labels))
            yield _Part(f"{self._place.name}#{labels[start]}", identities.of(start, stop), start, stop)

    def _labels(self, selection: Selection) -> list[str]:
        """Names of the steps of the dimension that is cut."""
        along = self._along or ""
        lengths = {dim: n for v in selection.variables.values() for dim, n in zip(v.dims, v.shape, strict=True)}
        if along not in lengths:
            known = ", ".join(map(repr, lengths)) or "none"
            raise DecodingError(f"no variable has the dimension {along!r} of item=; the dimensions are {known}")
        name = selection.dating(along)
        if name is not None:
            units, calendar = selection.times[name]
            times = instants(selection.variables[name], selection.variables[name].read({}), units, calendar)
            return [label(time, calendar_of(calendar)) for time in times.tolist()]
        if along in selection.variables and selection.variables[along].is_coordinate:
            return [str(value) for value in selection.variables[along].read({}).tolist()]
        return [str(step) for step in range(lengths[along])]

    @contextmanager
    def _opened(self) -> Iterator[_Opened]:
        """The arrays of the group, and which of them are wanted."""
        with self._place.opened() as (store, top):
            is_listed = not self._place.is_web or self._place.is_zip
            path = "/".join(filter(None, (top, self._group)))
            group = opened_group(store, path, is_listed=is_listed)
            own = arrays_of(group, is_listed=is_listed)
            if not own or (is_listed and not self._has_group):
                self._require_choice(group, own, is_listed=is_listed)
            inherited: Arrays = {}
            while self._group and path != top:
                path = path.rpartition("/")[0]
                with suppress(NoGroupError):  # of version 2, folders between groups need not be any
                    around = arrays_of(opened_group(store, path, is_listed=is_listed), is_listed=is_listed)
                    inherited = {**around, **inherited}
            known = {**inherited, **own}
            made = stored_variables(known, self._fill_values, self._sparse)
            selection = Selection({n: made[n] for n in own}, {n: made[n] for n in inherited}, self._variables)
            yield _Opened(known, selection, dict(group.attrs.asdict()), bool(inherited))

    def _require_choice(self, group: zarr.Group, own: Arrays, *, is_listed: bool) -> None:
        filled = groups_with_arrays(group) if is_listed else []
        if own and len(filled) <= 1:
            return
        listed = ", ".join(map(repr, filled)) or "no group"
        if filled and not self._has_group:
            raise DecodingError(f"several groups can hold variables: name one of {listed} with group=")
        raise DecodingError(f"its group {f'/{self._group}'!r} has no arrays; {listed} has")

    @contextmanager
    def _explained(self, what: str, key: str | None) -> Iterator[None]:
        try:
            yield
        except CuratorError:
            raise
        except Exception as exc:
            reason = str(exc) or type(exc).__name__
            url = self._place.url
            text = f"{self.name}: {url}: {what}: {reason}"
            raise ComponentError(text, component=self.name, key=key, file=url) from exc


@dataclass(frozen=True, slots=True)
class _Part:
    key: str
    fingerprint: str
    start: int
    stop: int | None


@dataclass(frozen=True, slots=True)
class _Opened:
    arrays: Arrays
    selection: Selection
    attributes: dict[str, Any]
    is_nested: bool
