"""Writes 200 materializations in batches: ``event_writer.py FOLDER RUN_ID BATCH_SIZE [N]``."""

import logging
import sys
import time

from dagster import AssetKey, AssetMaterialization, DagsterEvent, DagsterEventType, EventLogEntry
from dagster._core.events import StepMaterializationData  # noqa: PLC2701 - what Dagster itself logs

from curator_dagster import BatchedSqliteEventLogStorage

folder, run_id, size, total = [*sys.argv[1:], "200"][:4]
storage = BatchedSqliteEventLogStorage(folder)
for start in range(0, int(total), int(size)):
    events = []
    for k in range(start, start + int(size)):
        data = StepMaterializationData(AssetMaterialization(AssetKey("numbers"), partition=str(k)))
        event = DagsterEvent(DagsterEventType.ASSET_MATERIALIZATION.value, "job", event_specific_data=data)
        events.append(EventLogEntry(None, logging.INFO, "", run_id, time.time(), "step", "job", event))
    storage.store_event_batch(events)
