"""What of a dataset of slots is there: variable by variable, period by period, state by state."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from curator_core.datasets.aligned.slots import Status
from curator_core.datasets.versions import NEWEST, PathOrURL, read_version
from curator_core.errors import ComponentError
from curator_core.formats.arrays import TEXT
from curator_core.formats.described import METADATA
from curator_core.storage.base import OutputLocation
from curator_core.storage.locations import location_of

if TYPE_CHECKING:
    from curator_core.datasets.aligned.published import PublishedAligned

_BATCH_BYTES: Final = 64 << 20
MAX_PERIODS: Final = 60
"""Of more slots, as many to a period as it takes."""


@dataclass(frozen=True)
class Availability:
    """How many slots of each variable are in which state, by period."""

    dim: str
    """The dimension of the slots."""
    variables: list[str]
    """Names of the variables, without coordinates."""
    periods: list[str]
    """First slot of each period."""
    n_slots: npt.NDArray[np.int64]
    """Number of slots in each period."""
    counts: npt.NDArray[np.int64]
    """Number of slots, ``(n_variables, n_periods, n_states)``, in the order of `states`."""
    shares: npt.NDArray[np.float64]
    """Share of the values that sources gave, ``(n_variables, n_periods)``: also of slots that have some of them."""

    @property
    def states(self) -> list[str]:
        """Names of the states."""
        return [status.name.lower() for status in Status]

    def totals(self) -> list[dict[str, str | int | float]]:
        """A row for each variable: slots by state, and the share of values in per cent, of the whole axis."""
        whole = (self.shares * self.n_slots).sum(axis=1) / max(1, int(self.n_slots.sum()))
        columns = zip(self.variables, self.counts.sum(axis=1).tolist(), whole.tolist(), strict=True)
        return [
            {"variable": name, **dict(zip(self.states, counts, strict=True)), "values_percent": round(100 * share, 2)}
            for name, counts, share in columns
        ]


@runtime_checkable
class HasAvailability(Protocol):
    """A `ShardedSink` whose dataset has a place for what is not there; optional."""

    def availability(self, output_path: str) -> Availability:
        """What of a published dataset is there."""


@dataclass(frozen=True)
class Finalised:
    """What became final since the version before."""

    n_provisional: int
    """Steps of variables that will be replaced, now."""
    n_final: int
    """Steps of variables that were provisional in the version before, and are final."""
    changes: dict[str, float]
    """Largest difference of their values, by variable; those whose values differ nowhere have 0."""


@dataclass(frozen=True)
class Replacements:
    """Which items of a version are provisional, and which of them are final since another one."""

    provisional: tuple[str, ...]
    """Keys of the items that gave values which will be replaced."""
    final: tuple[str, ...]
    """Keys of the items whose values stand where the other version has provisional ones."""


def finalised(found: PublishedAligned, location: OutputLocation) -> Finalised:
    """What of a published dataset is provisional, and what became final since the version before, where that is kept.

    Values of the steps that became final are read, some at a time.
    """
    late = int(_are_provisional(found).sum())
    before = _before(found, location)
    n_final, changes = 0, {}
    for name, positions in [] if before is None else _became_final(found, before):
        n_final += len(positions)
        if before is not None and found.arrays[name].row_shape == before.arrays[name].row_shape:
            changes[name] = _largest_change(name, positions, found, before)
    return Finalised(late, n_final, changes)


def replacements(dataset: PathOrURL, version: str = NEWEST, former: str = "") -> Replacements | None:
    """Which items of a version of a dataset are provisional, and which became final; ``None`` where it has no slots.

    Parameters
    ----------
    dataset
        The sink's output.
    version
        The version, by id, by the beginning of one, or by tag; the newest by default.
    former
        The one before it, likewise; none, where it is empty.

    Raises
    ------
    ConfigError
        No version is meant by one of the names, or by more than one.
    DatasetExpiredError
        One is not kept any more.
    ComponentError
        One has slots, and they cannot be read.
    """
    location = location_of(dataset, "the dataset")
    found = _opened(read_version(location, version)[0])
    if found is None:
        return None
    before = _opened(read_version(location, former)[0]) if former else None
    owners = found.slots.owner
    late = owners[:, _data_columns(found)][_are_provisional(found)]
    final = [owners[p, found.names.index(name)] for name, p in _became_final(found, before)] if before else []
    keys = np.array(found.keys, object)
    return Replacements(tuple(keys[np.unique(late)]), tuple(keys[np.unique(np.concatenate([late[:0], *final]))]))


def _data_columns(found: PublishedAligned) -> list[int]:
    """Columns of the variables that are shown."""
    return [n for n, name in enumerate(found.names) if not found.arrays[name].is_coordinate and name not in found.aside]


def _are_provisional(found: PublishedAligned) -> npt.NDArray[np.bool_]:
    """Whether values will be replaced, ``(n_slots, n_variables)``, without coordinates."""
    return np.asarray(found.status[:, _data_columns(found)] == Status.PROVISIONAL)


def _became_final(found: PublishedAligned, before: PublishedAligned) -> Iterator[tuple[str, npt.NDArray[np.int64]]]:
    """Variables, and positions of their steps that are final, and were provisional."""
    if not found.axis.has_same_slots(before.axis):
        return
    n_slots = min(found.n_slots, before.n_slots)
    for column in _data_columns(found):
        name = found.names[column]
        if name in before.names:
            was = before.status[:n_slots, before.names.index(name)] == Status.PROVISIONAL
            positions = np.flatnonzero(was & (found.status[:n_slots, column] == Status.PRESENT))
            if len(positions):
                yield name, positions


def _before(found: PublishedAligned, location: OutputLocation) -> PublishedAligned | None:
    from curator_core.datasets.aligned.published import PublishedAligned  # noqa: PLC0415 - needs Zarr's libraries
    from curator_core.datasets.history import History  # noqa: PLC0415 - as above

    record = History.read(location).find(found.content_hash)
    if record is None or record.former not in location.kept_versions():
        return None
    return PublishedAligned(location.kept_version(record.former), found.format_name)


def _largest_change(
    name: str, positions: npt.NDArray[np.int64], found: PublishedAligned, before: PublishedAligned
) -> float:
    size = max(1, _BATCH_BYTES // max(1, found.arrays[name].row_bytes))
    largest = 0.0
    if found.arrays[name].dtype == TEXT:
        return largest
    for first in range(0, len(positions), size):
        some = positions[first : first + size]
        one, other = (each.rows_at(name, some).astype(np.float64) for each in (found, before))
        difference = np.abs(one - other)
        largest = max(largest, float(np.nanmax(difference, initial=0.0)))
    return largest


def availability_at(path: str) -> Availability | None:
    """What is there of the dataset at a place; ``None`` where there is none, or one that has no slots.

    Raises
    ------
    ComponentError
        It has slots, and they cannot be read.
    """
    found = _opened(location_of(path))
    return None if found is None else availability_of(found)


def _opened(location: OutputLocation) -> PublishedAligned | None:
    try:
        about = json.loads(location.read(METADATA))["attributes"]
        name = about["format"] if "n_slots" in about["curator"] else None
    except (FileNotFoundError, NotADirectoryError, LookupError, RecursionError, TypeError, ValueError):
        return None
    except OSError as exc:
        raise ComponentError(f"{location.path} cannot be read: {exc}", file=location.path) from exc
    if name is None:
        return None
    from curator_core.datasets.aligned.published import PublishedAligned  # noqa: PLC0415 - needs zarr

    return PublishedAligned(location, name)


def availability_of(found: PublishedAligned) -> Availability:
    """What of a published dataset is there, in up to `MAX_PERIODS` periods.

    Raises
    ------
    ComponentError
        Its tables cannot be read.
    """
    arrays = found.arrays
    chosen = _data_columns(found)
    starts = np.arange(0, found.n_slots, -(-found.n_slots // MAX_PERIODS) or 1)
    n_slots = np.diff(np.append(starts, found.n_slots))
    status, n_cells = found.status[:, chosen], found.slots.n_cells[:, chosen]
    counts = [np.add.reduceat(status == state, starts, axis=0, dtype=np.int64) for state in Status]
    whole = np.array([arrays[found.names[column]].n_cells for column in chosen])
    shares = np.add.reduceat(n_cells / np.maximum(whole, 1), starts, axis=0) / n_slots[:, None]
    return Availability(
        found.axis.name,
        [found.names[column] for column in chosen],
        [found.axis.label(start) for start in starts.tolist()],
        n_slots,
        np.stack(counts, axis=-1).transpose(1, 0, 2),
        shares.T,
    )
