"""NetCDF files, opened one at a time: the library may not be used by two threads of a process at once."""

from __future__ import annotations

import os
import shutil
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import netCDF4
import numpy as np

from curator_core.domains.grid.decoding import UNWRITTEN, UNWRITTEN_BYTES, Array, DecodingError
from curator_core.domains.grid.stored import FillValues, StoredVariable, distinct, with_fill_value
from curator_core.formats.netcdf_classic import require_whole

_MOST_OPEN = 4
"""Files that are read at once: each keeps some MB of what was read last of a variable."""

_left_open: set[tuple[int, int]] = set()
"""Device and number of files that could not be opened, in this process."""

_lock = threading.Lock()
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The file, open, of the group at its root; no other thread of this process reads one meanwhile.

    Raises
    ------
    DecodingError
        It is no NetCDF or HDF5 file, or damaged; or it was written to meanwhile, so that values can be of both.
    """
    begun = path.stat()
    require_whole(path)
    with _lock, _unheld(path) as readable:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # of variables that the library leaves out
                dataset = netCDF4.Dataset(readable)
        except (OSError, RuntimeError, UserWarning, UnicodeDecodeError) as exc:
            _left_open.add(_identity(readable))
            with path.open("rb") as file:
                start = file.read(8)
            reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
            raise DecodingError(f"it cannot be opened: {reason} (its first bytes are {start!r})") from exc
        try:
            dataset.set_auto_maskandscale(False)
            dataset.set_auto_chartostring(False)
            yield dataset
        finally:
            dataset.close()
    if _is_written_over(path, begun):
        raise DecodingError("it was written to while it was read, so that values can be old and new: run again")


def _is_written_over(path: Path, begun: os.stat_result) -> bool:
    """Whether a file has other content than when it was opened; one that took its place is another file."""
    try:
        ended = path.stat()
    except OSError:
        return False
    is_same = (ended.st_size, ended.st_mtime_ns) == (begun.st_size, begun.st_mtime_ns)
    return ended.st_ino == begun.st_ino and not is_same


@contextmanager
def _unheld(path: Path) -> Iterator[Path]:
    """The file; a copy of one that the library failed to open, and keeps open, with its former content.

    HDF5 knows a file by its device and number, which one that is mended in its place has kept.
    """
    if _identity(path) not in _left_open:
        yield path
        return
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.nc"
        shutil.copyfile(path, copy)
        yield copy


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


@contextmanager
def created(path: Path) -> Iterator[Any]:
    """A new NetCDF-4 file, which takes values as they are stored; no other thread uses the library meanwhile."""
    with _lock:
        dataset = netCDF4.Dataset(path, "w", format="NETCDF4", clobber=True)
        try:
            dataset.set_auto_maskandscale(False)
            yield dataset
        finally:
            dataset.close()


class OpenFiles:
    """NetCDF files that are read while another one is written; the least recently used is closed for the next one."""

    def __init__(self) -> None:
        self._open: dict[Path, Any] = {}

    def __call__(self, path: Path) -> Any:  # noqa: ANN401 - netCDF4's
        """The file, open, with values as they are stored."""
        found = self._open.pop(path, None)
        if found is None:
            if len(self._open) >= _MOST_OPEN:
                self._open.pop(next(iter(self._open))).close()
            require_whole(path)
            found = netCDF4.Dataset(path)
            found.set_auto_maskandscale(False)
            found.set_auto_chartostring(False)
        self._open[path] = found
        return found

    def close(self) -> None:
        """Close all of them."""
        while self._open:
            self._open.popitem()[1].close()


@contextmanager
def created_from_others(path: Path) -> Iterator[tuple[Any, OpenFiles]]:
    """A new NetCDF-4 file, and what opens those that its values come from."""
    others = OpenFiles()
    with created(path) as dataset:
        try:
            yield dataset, others
        finally:
            others.close()


def chosen_group(root: Any, path: str | None) -> Any:  # noqa: ANN401 - netCDF4's
    """The group at a path; without one, the root, if no other group has variables.

    Raises
    ------
    DecodingError
        There is no such group, or it has no variables, or others would be left out.
    """
    filled = [group.path for group in _groups(root) if group.variables]
    if path is None:
        if filled in ([], ["/"]):
            return _with_variables(root, filled)
        raise DecodingError(f"several groups can hold variables: name one of {_listed(filled)} with group=")
    try:
        group = root if path.strip("/") == "" else root[path.strip("/")]
    except IndexError:
        group = None
    if not isinstance(group, netCDF4.Dataset):
        raise DecodingError(f"it has no group {path!r}; variables are in {_listed(filled)}")
    return _with_variables(group, filled)


def _with_variables(group: Any, filled: list[str]) -> Any:  # noqa: ANN401 - as above
    if not group.variables:
        raise DecodingError(f"its group {group.path!r} has no variables; {_listed(filled)} has")
    return group


def _listed(groups: list[str]) -> str:
    return ", ".join(map(repr, groups)) or "no group"


def _groups(group: Any) -> Iterator[Any]:  # noqa: ANN401 - as above
    yield group
    for child in group.groups.values():
        yield from _groups(child)


def stored_variables(group: Any, fill_values: FillValues) -> dict[str, StoredVariable]:  # noqa: ANN401 - as above
    """Variables of a group by name, in its order."""
    return {name: _stored(name, found, fill_values) for name, found in group.variables.items()}


def inherited_variables(group: Any, fill_values: FillValues) -> dict[str, StoredVariable]:  # noqa: ANN401 - as above
    """Variables of the groups around one, the nearest first."""
    found: dict[str, StoredVariable] = {}
    while group.parent is not None:
        group = group.parent
        found = {**stored_variables(group, fill_values), **found}
    return found


def attributes_of(found: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
    """Attributes of a variable or group."""
    attributes = {}
    for name in found.ncattrs():
        try:
            attributes[name] = found.getncattr(name)
        except (AttributeError, KeyError, RuntimeError, ValueError) as exc:
            raise DecodingError(f"attribute {name!r} of {found.name!r} cannot be read: {exc}") from exc
    return attributes


def _stored(name: str, found: Any, fill_values: FillValues) -> StoredVariable:  # noqa: ANN401 - as above
    attributes = attributes_of(found)
    dtype = np.dtype(object) if found.dtype is str else np.dtype(found.dtype)
    unwritten = UNWRITTEN.get(dtype.str[1:])
    if name in fill_values:
        attributes, unwritten = with_fill_value(attributes, fill_values[name]), None
    is_enum = isinstance(found.datatype, netCDF4.EnumType)
    may_be_unwritten = not is_enum and not {"_FillValue", "missing_value"} & set(attributes) and name not in fill_values
    if is_enum:
        values = found.datatype.enum_dict
        attributes.setdefault("flag_values", np.array(list(values.values()), dtype))
        attributes.setdefault("flag_meanings", " ".join(values))
    chunks = found.chunking()
    return StoredVariable(
        name=name,
        dims=distinct(found.dimensions),
        shape=tuple(found.shape),
        dtype=dtype,
        attributes=attributes,
        values=lambda index: _read(name, found, index, may_be_unwritten=may_be_unwritten),
        encoding={"chunksizes": tuple(chunks)} if isinstance(chunks, list) else {},
        unwritten=unwritten,
    )


def _read(
    name: str,
    found: Any,  # noqa: ANN401 - as above
    index: tuple[slice, ...],
    *,
    may_be_unwritten: bool,
) -> Array:
    if isinstance(found.datatype, netCDF4.CompoundType | netCDF4.VLType) and found.dtype is not str:
        raise DecodingError(f"variable {name!r} is of a compound or ragged type: leave it out with variables=")
    try:
        values = np.asarray(found[index or ...])
    except (RuntimeError, OSError, LookupError, ValueError) as exc:
        raise DecodingError(f"variable {name!r} cannot be read: {exc}") from exc
    if may_be_unwritten:
        _require_written(name, values)
    return values


def _require_written(name: str, values: Array) -> None:
    """Raise `DecodingError` where a whole step of bytes, or one of signed bytes alone, is as NetCDF leaves it."""
    default = UNWRITTEN_BYTES.get(values.dtype.str[1:])
    if default is None or not values.ndim or not values.size:
        return
    are_default = (values == default).reshape(len(values), -1).all(axis=1)
    n_steps = int(are_default.sum())
    if n_steps and (values.ndim > 1 or values.dtype.kind == "i" or n_steps == len(values)):
        raise DecodingError(
            f"variable {name!r}: {n_steps:,} of {len(values):,} steps have no other value than {default}, which NetCDF "
            "leaves where nothing was written, and the variable has no _FillValue. Leave it out with variables=, or "
            f"say what is missing with fill_values={{{name!r}: {default}}}, or that nothing is, with None"
        )
