"""What Dagster's event logs with batches share, whatever the database."""

from __future__ import annotations

import os
from abc import abstractmethod
from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar

from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, EVENT_TYPE_TO_PIPELINE_RUN_STATUS
from dagster._core.storage.event_log import SqlEventLogStorage
from dagster._core.storage.event_log.schema import AssetEventTagsTable

from curator_dagster._compat.events.serialized import PartitionMaterialized

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dagster import EventLogEntry
    from sqlalchemy import Connection, Table

    from curator_dagster._compat.events.serialized import PartitionEvent, PartitionTexts

    Row = dict[str, Any]
    """A row of a table of Dagster's."""

EVENT_BATCH_SIZE = 1000
"""Events that Dagster gives an event log with batches at once, unless ``DAGSTER_EVENT_BATCH_SIZE`` is set."""


class BatchedEventLogStorage(SqlEventLogStorage):
    """Stores the events of a batch in as few statements as the database allows.

    Whatever is asked gives what Dagster's own storage gives. Publicly there is no storage to build upon.
    """

    has_copies: ClassVar[bool]
    """Whether the log of a run has copies of events of assets, which are kept for all runs besides."""

    @classmethod
    def ask_for_batches(cls) -> None:
        """Let Dagster give its own events (one for each partition that a run is going to materialize) in batches.

        It does so only where its environment says so, and only its environment can.
        """
        os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(EVENT_BATCH_SIZE))

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events, in order."""
        for (run_id, is_plain), group in groupby(events, key=lambda event: (event.run_id, _is_plain(event))):
            if is_plain:
                self._store_plain(run_id, list(group))
            else:
                for event in group:
                    self.store_event(event)

    def store_partition_events(
        self, events: Sequence[PartitionEvent], texts: PartitionTexts, last: EventLogEntry, n_whole: int
    ) -> None:
        """Store events of partitions, of one kind and one step.

        Parameters
        ----------
        events
            The events, in order.
        texts
            Serializes them.
        last
            The last one, as Dagster has it.
        n_whole
            Number of the first of them that a run's own log has as they are, where it has a copy of its own: the
            materializations after them are without metadata there, and of what is planned there is no more.
        """
        like = self._event_to_row(last)
        rows = [like | self._row_of(event, texts) for event in events]
        of_run = rows
        if self.has_copies:
            of_run = rows[:n_whole] + [
                row | {"event": texts.text(event.brief())}
                for row, event in zip(rows[n_whole:], events[n_whole:], strict=True)
                if isinstance(event, PartitionMaterialized)
            ]
        indexed = self.get_asset_tags_to_index({name for event in events for name in event.tags})

        def finish(index: Connection, ids: Sequence[int]) -> None:
            tags = [
                {
                    "event_id": event_id,
                    "asset_key": row["asset_key"],
                    "key": name,
                    "value": event.tags[name],
                    "event_timestamp": row["timestamp"],
                }
                for event_id, row, event in zip(ids, rows, events, strict=True)
                for name in event.tags
                if name in indexed
            ]
            if tags and self.has_table(AssetEventTagsTable.name):
                self.insert(index, AssetEventTagsTable, tags)
            self._store_asset_event(index, last, ids[-1])

        self.store_rows(last.run_id, of_run, rows, finish)

    def _row_of(self, event: PartitionEvent, texts: PartitionTexts) -> Row:
        return {
            "event": self.fitting(texts.text(event)),
            "timestamp": self.time(event.timestamp),
            "partition": event.partition,
        }

    def _store_plain(self, run_id: str, events: list[EventLogEntry]) -> None:
        rows = [self._event_to_row(event) | {"timestamp": self.time(event.timestamp)} for event in events]
        pairs = [(event, row) for event, row in zip(events, rows, strict=True) if _is_of_asset(event)]
        of_assets = [event for event, _ in pairs]

        def finish(index: Connection, ids: Sequence[int]) -> None:
            self._store_asset_event_tags(index, of_assets, ids)
            # Of each kind of event, an asset's row tells the last.
            last = {(e.get_dagster_event().asset_key, e.dagster_event_type): n for n, e in enumerate(of_assets)}
            for position in sorted(last.values()):
                self._store_asset_event(index, of_assets[position], ids[position])

        self.store_rows(run_id, rows, [row for _, row in pairs], finish)

    @abstractmethod
    def store_rows(
        self,
        run_id: str,
        rows: Sequence[Row],
        of_assets: Sequence[Row],
        finish: Callable[[Connection, Sequence[int]], None],
    ) -> None:
        """Store events, and then what is known of assets.

        Parameters
        ----------
        run_id
            Run of all of them.
        rows
            The events.
        of_assets
            Those that say something of an asset, the same objects.
        finish
            Called in one transaction with their ids, if there are any.
        """

    @staticmethod
    def fitting(text: str) -> str:
        """A serialized event as it takes the least room in the database."""
        return text

    @staticmethod
    @abstractmethod
    def insert(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
        """Insert rows that have the same columns."""

    @staticmethod
    @abstractmethod
    def time(timestamp: float) -> object:
        """Seconds since 1970 as `insert` takes a time."""


def _is_of_asset(event: EventLogEntry) -> bool:
    return event.is_dagster_event and event.dagster_event_type in ASSET_EVENTS


def _is_plain(event: EventLogEntry) -> bool:
    """Whether it changes no state of a run or of a check, which Dagster mirrors in ways of their own."""
    kind = event.dagster_event_type if event.is_dagster_event else None
    return kind not in ASSET_CHECK_EVENTS and kind not in EVENT_TYPE_TO_PIPELINE_RUN_STATUS
