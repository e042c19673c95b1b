"""What a run would process, and why: data, computed without touching an item."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, compress
from pathlib import Path
from typing import Literal, get_args, overload

from curator_core.garbage import gc_paused
from curator_core.merge.archive import ShardedOutput
from curator_core.merge.retained import Retained, RetainedItems
from curator_core.records import Item
from curator_core.session.listing import Listing
from curator_core.storage.missing import altered_paths
from curator_core.storage.written import is_as_written
from curator_core.store import MetricsStore
from curator_core.store.reader import RecordedRow, RunRecord

Reason = Literal["up to date", "new", "failed", "changed", "moved", "outputs missing", "config changed"]

_REASONS: tuple[Reason, ...] = get_args(Reason)
UP_TO_DATE, NEW, FAILED, CHANGED, MOVED, OUTPUTS_MISSING, CONFIG_CHANGED = range(len(_REASONS))
"""Positions of the reasons: a plan keeps one byte per item."""


@dataclass(frozen=True, slots=True)
class PlannedItem:
    """One item of a plan."""

    index: int
    """Position in the source."""
    key: str
    """Key of the item."""
    reason: Reason
    """Why it would run, or ``up to date``."""
    fingerprint: str | None
    """Present fingerprint."""
    recorded_fingerprint: str | None = None
    """Fingerprint when it was last processed."""
    detail: str = ""
    """More: the recorded error, the former key, the missing path."""

    @property
    def is_due(self) -> bool:
        """Whether it would run."""
        return self.reason != "up to date"

    @property
    def item(self) -> Item:
        """The item itself."""
        return Item(self.index, self.key, self.fingerprint)


@dataclass
class Comparison:
    """What is recorded, compared with what a source lists now, before any output is looked at."""

    reasons: bytearray
    """By index: ``UP_TO_DATE``, ``NEW``, ``FAILED`` or ``CHANGED``."""
    details: dict[int, str | None] = field(default_factory=dict)
    """By index: the error of a failed item, the recorded fingerprint of a changed one."""
    vanished: dict[str, str | None] = field(default_factory=dict)
    """Recorded fingerprint by key, of the items that are no longer listed."""
    displaced: dict[int, int] = field(default_factory=dict)
    """Index by recorded position, where the two differ; -1 for an item that is no longer listed."""

    def indices(self, reason: int) -> Iterator[int]:
        """Indices of the items with one of the reasons."""
        return (index for index, code in enumerate(self.reasons) if code == reason)

    @property
    def errors(self) -> dict[int, str]:
        """Error by index of the failed items."""
        return {index: self.details[index] or "" for index in self.indices(FAILED)}

    @property
    def is_in_place(self) -> bool:
        """Whether all items are recorded at their indices, and those that are no longer listed are retired."""
        return all(position < 0 and index < 0 for position, index in self.displaced.items())


def compare(listing: Listing, recorded: Iterable[RecordedRow]) -> Comparison:
    """Compare in one pass, without an object per item."""
    keys, fingerprints, n_items = listing.keys, listing.fingerprints, len(listing)
    found = Comparison(bytearray([NEW]) * n_items)
    reasons = found.reasons
    for position, key, fingerprint, error in recorded:
        index = position
        if not 0 <= position < n_items or keys[position] != key:
            index = found.displaced[position] = listing.positions.get(key, -1)
        if index < 0:
            found.vanished[key] = fingerprint
        elif fingerprint != fingerprints[index]:
            reasons[index] = CHANGED
            found.details[index] = fingerprint
        elif error is not None:
            reasons[index] = FAILED
            found.details[index] = error
        else:
            reasons[index] = UP_TO_DATE
    return found


@dataclass(frozen=True)
class Plan:
    """What would run and why, for every item of the source."""

    listing: Listing
    """The source's listing."""
    reasons: bytearray
    """By index, the position of its reason in `Reason`: 0 is ``up to date``."""
    details: dict[int, str | None]
    """More, by index: the error, the former key, the missing path; the recorded fingerprint of a changed item."""
    vanished: list[str]
    """Keys that are recorded but no longer listed."""
    recorded_paths: list[list[str] | None]
    """By index: the sink's paths of an item that is up to date, ``None`` of one that is due."""
    is_in_place: bool = True
    """Whether all items are recorded at their present indices."""

    @property
    def items(self) -> PlannedItems:
        """All items, in index order."""
        return PlannedItems(self, range(len(self.reasons)))

    @cached_property
    def due(self) -> PlannedItems:
        """The items that would run."""
        return PlannedItems(self, array("q", compress(range(len(self.reasons)), self.reasons)))

    @property
    def up_to_date(self) -> dict[str, str | None]:
        """Fingerprint by key of the items that are up to date, in index order."""
        listed = zip(self.listing.keys, self.listing.fingerprints, self.reasons, strict=True)
        return {key: fingerprint for key, fingerprint, code in listed if code == UP_TO_DATE}

    @property
    def missing(self) -> dict[str, str]:
        """Why by key, of the items that a dataset made of the others lacks."""
        return {item.key: f"{item.reason}: {item.detail}" if item.detail else item.reason for item in self.due}

    def counts(self) -> dict[str, int]:
        """Number of items by reason, in the order in which the reasons appear."""
        present = [code for code in range(len(_REASONS)) if code in self.reasons]
        return {_REASONS[code]: self.reasons.count(code) for code in sorted(present, key=self.reasons.index)}

    def item(self, index: int) -> PlannedItem:
        """The item at `index`."""
        code, detail = self.reasons[index], self.details.get(index)
        key, fingerprint = self.listing.keys[index], self.listing.fingerprints[index]
        before = fingerprint if code in _RECORDED_AS_IS else None
        if code == CHANGED:
            before, detail = detail, f"{detail} → {fingerprint}"
        return PlannedItem(index, key, _REASONS[code], fingerprint, before, detail or "")


_RECORDED_AS_IS = (UP_TO_DATE, FAILED, OUTPUTS_MISSING)


class PlannedItems(Sequence[PlannedItem]):
    """Items of a plan, each made when it is asked for: a million of them take no memory."""

    def __init__(self, plan: Plan, indices: Sequence[int]) -> None:
        self._plan = plan
        self._indices = indices

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, position: int) -> PlannedItem: ...
    @overload
    def __getitem__(self, position: slice) -> PlannedItems: ...
    def __getitem__(self, position: int | slice) -> PlannedItem | PlannedItems:
        if isinstance(position, slice):
            return PlannedItems(self._plan, self._indices[position])
        return self._plan.item(self._indices[position])

    def __iter__(self) -> Iterator[PlannedItem]:
        return map(self._plan.item, self._indices)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(mine == its for mine, its in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))


def make_plan(
    listing: Listing,
    found: Comparison,
    store: MetricsStore | None,
    config_hash: str,
    *,
    outputs: list[ShardedOutput],
    n_stages: int,
    has_own_files: bool = False,
) -> Plan:
    """See whether the outputs are there, and why items are new.

    Parameters
    ----------
    listing
        The source's present listing.
    found
        The listing, compared with what is recorded; becomes part of the plan.
    store
        The database, ``None`` when there is none yet.
    config_hash
        The pipeline's configuration.
    outputs
        Its merged outputs, which retain items without a file of their own.
    n_stages
        Number of stages, the sink included.
    has_own_files
        Whether no two items of the sink share a file.
    """
    run = store.latest_run(config_hash) if store is not None else None
    if store is not None and NEW in found.reasons:
        _explain_new(found, listing, store.keys_of_other_configs(config_hash))
    paths: list[list[str] | None] = [None] * len(listing)
    if store is not None and run is not None:
        retained = Retained(listing.keys, listing.fingerprints, outputs, config_hash)
        paths = _with_files(found, store, run.run_id, retained, sink_order=n_stages - 1, has_own_files=has_own_files)
    return Plan(listing, found.reasons, found.details, sorted(found.vanished), paths, found.is_in_place)


def plan_recorded(
    item: Item,
    position: int,
    store: MetricsStore,
    run: RunRecord,
    *,
    outputs: list[ShardedOutput],
    n_stages: int,
    retained: RetainedItems,
) -> Plan:
    """The plan of one item that is recorded, by the same rules, as the only one of a listing.

    What other items wrote at the same paths is not looked at.

    Parameters
    ----------
    item
        The item.
    position
        Where it is recorded, which need not be where it is listed.
    store
        The database.
    run
        The latest run of the pipeline's configuration.
    outputs
        The pipeline's merged outputs.
    n_stages
        Number of stages, the sink included.
    retained
        What was seen in the merged outputs before.
    """
    listing = Listing([item.key], [item.fingerprint])
    found = compare(listing, store.recorded(run.run_id, position))
    inside = Retained(listing.keys, listing.fingerprints, outputs, run.config_hash, retained.of)
    paths = _with_files(found, store, run.run_id, inside, sink_order=n_stages - 1, position=position)
    return Plan(listing, found.reasons, found.details, [], paths, is_in_place=position == item.index)


def _with_files(
    found: Comparison,
    store: MetricsStore,
    run_id: int,
    retained: Retained,
    *,
    sink_order: int,
    position: int | None = None,
    has_own_files: bool = False,
) -> list[list[str] | None]:
    """The sink's paths of every item that is up to date, with what it wrote; the others are marked."""
    paths: list[list[str] | None] = [None] * len(found.reasons)
    files = _Files(found, has_own_files=has_own_files)
    with gc_paused():
        files.add_of_sink(store.sink_files(run_id, position), paths)
    files.add_of_filters(store.artifact_files(run_id, position))
    _mark_missing(files, paths, sink_order, retained)
    return paths


def _explain_new(found: Comparison, listing: Listing, other_keys: set[str]) -> None:
    """Give new items another reason where their content, or their key under another configuration, is known."""
    former = {fingerprint: key for key, fingerprint in found.vanished.items() if fingerprint is not None}
    if not former and not other_keys:
        return
    for index, (key, fingerprint, code) in enumerate(
        zip(listing.keys, listing.fingerprints, bytes(found.reasons), strict=True)
    ):
        if code == NEW and fingerprint in former:
            found.reasons[index] = MOVED
            found.details[index] = f"was {former[fingerprint]}"
        elif code == NEW and key in other_keys:
            found.reasons[index] = CONFIG_CHANGED


class _Files:
    """The files of the items that are up to date, as far as that was compared."""

    def __init__(self, found: Comparison, *, has_own_files: bool) -> None:
        self.found = found
        self._has_own_files = has_own_files
        self._contested: set[str] = set()
        self.of_filters: list[tuple[int, int, str]] = []
        """Index, stage and path of what filters wrote."""
        self._marks: dict[str, int | None] = {}
        self._other_marks: dict[str, set[int | None]] = {}

    def add_of_sink(self, files: Iterable[tuple[int, str, int | None]], paths: list[list[str] | None]) -> None:
        """Take the sink's files in, and set the `paths` of every item."""
        reasons, displaced, marks = self.found.reasons, self.found.displaced, self._marks
        for index, code in enumerate(reasons):
            if code == UP_TO_DATE:
                paths[index] = []
        for position, path, mark in files:
            index = displaced.get(position, position) if displaced else position
            if index >= 0 and (of_item := paths[index]) is not None:
                if path in marks:
                    self._add_other_mark(path, mark)
                    if self._has_own_files and path not in of_item:
                        self._contested.add(path)  # two items wrote it: whose it is, is unsure
                else:
                    marks[path] = mark
                of_item.append(path)

    def add_of_filters(self, files: Iterable[tuple[int, int, str, int | None]]) -> None:
        """Take the filters' files in."""
        for position, order, path, mark in files:
            index = self.found.displaced.get(position, position)
            if index >= 0 and self.found.reasons[index] == UP_TO_DATE:
                self.of_filters.append((index, order, path))
                if self._marks.setdefault(path, mark) != mark:
                    self._add_other_mark(path, mark)

    def _add_other_mark(self, path: str, mark: int | None) -> None:
        """A file that grows with every item has the mark of the last of them."""
        self._other_marks.setdefault(path, set()).add(mark)

    def altered(self) -> set[str]:
        """Paths at which there is nothing, or something else than what was written."""
        altered = altered_paths(self._marks)
        others = self._other_marks
        gone = {p for p in altered if p not in others or not any(is_as_written(p, mark) for mark in others[p])}
        return gone | self._contested

    def what_became_of(self, path: str) -> str:
        """Why what was written at a path counts no longer."""
        if not os.path.exists(path):  # noqa: PTH110 - names no file can have
            return path
        return f"{path} was written {'for another item, too' if path in self._contested else 'over'}"


def absent_from(path: str, key: str) -> str:
    """What a plan says of an item that is not in the merged output where it was."""
    return f"{Path(path).name} without {key}"


def _mark_missing(files: _Files, paths: list[list[str] | None], sink_order: int, retained: Retained) -> None:
    """Mark the items of which something is neither a file of its own, as written, nor inside a merged output."""
    altered = files.altered() | retained.gone()
    if not altered and not retained.outputs:
        return
    reasons, details = files.found.reasons, files.found.details
    own_files = ((index, sink_order, path) for index, of_item in enumerate(paths) for path in of_item or ())
    for index, order, path in chain(own_files, files.of_filters):
        if reasons[index] != UP_TO_DATE:
            continue
        if path in altered:
            detail = files.what_became_of(path)
        elif retained.lacks(index, order, path):
            detail = absent_from(path, retained.keys[index])
        else:
            continue
        reasons[index], details[index], paths[index] = OUTPUTS_MISSING, detail, None
