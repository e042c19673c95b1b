"""A refresh whose instance's disk gets full at some item, and the one after it: alone in a mount namespace.

``python dagster_home.py FOLDER {own,batched} N_BLOCKS ITEM`` prints one object in JSON.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, ClassVar

from dagster import AssetKey, DagsterInstance, in_process_executor
from disk import SmallDisk
from sqlalchemy.exc import DBAPIError

from curator_core import Pipeline, Source
from curator_core.testing import DatasetSink
from curator_dagster import build_curation_defs

N_ITEMS = 200
SAMPLES, DATASET = AssetKey(["numbers", "samples"]), AssetKey(["numbers", "dataset"])
read: Counter[int] = Counter()


class Numbers(Source[int]):
    """Calls `fill` before it gives an item."""

    fill: ClassVar[Callable[[int], None]]

    def __len__(self) -> int:
        return N_ITEMS

    def fingerprint(self, index: int) -> str:
        return "same"

    def __getitem__(self, index: int) -> Generator[int, None, None]:
        type(self).fill(index)
        read[index] += 1
        yield index


def refresh(home: Path, job: Any) -> tuple[bool, list[str]]:
    """Whether it was green, and what a person finds about it in Dagster."""
    with DagsterInstance.from_config(str(home)) as instance:
        try:
            found = job.execute_in_process(instance=instance, raise_on_error=False)
        except DBAPIError:  # Dagster cannot record how it ended
            return False, []
        failures = [event.step_failure_data for event in found.all_events if event.is_step_failure]
        return found.success, [failure.error_display_string for failure in failures]


def main(folder: Path, storage: str, n_blocks: int, at: int) -> None:
    home = folder / "home"
    home.mkdir()
    disk = SmallDisk(home)
    place = f"{{base_dir: {home}/history/runs}}"
    ours = f"event_log_storage: {{module: curator_dagster, class: BatchedSqliteEventLogStorage, config: {place}}}\n"
    (home / "dagster.yaml").write_text(f"telemetry: {{enabled: false}}\n{ours if storage == 'batched' else ''}")

    Numbers.fill = lambda index: disk.leave("blocks", n_blocks) if index == at else None

    def numbers() -> Pipeline[Any]:
        return Pipeline(Numbers(), [], DatasetSink(str(folder / "numbers.json")), db_file=folder / "metrics.db")

    defs = build_curation_defs("numbers", numbers, executor=in_process_executor, batch_size=N_ITEMS)
    job = defs.resolve_job_def("numbers_refresh")
    is_green, recorded = refresh(home, job)
    disk.lift()
    with DagsterInstance.from_config(str(home)) as instance:
        tags = dict(instance.get_runs()[0].tags)
    is_green_then, _ = refresh(home, job)
    with DagsterInstance.from_config(str(home)) as instance:
        materialized = instance.get_materialized_partitions(SAMPLES)
        is_published = instance.get_latest_materialization_event(DATASET) is not None
    found = {
        "green": [is_green, is_green_then],
        "recorded": [*recorded, tags.get("curator/failed", "")],
        "materialized": len(materialized),
        "published": is_published,
        "read": [len(read), max(read.values())],
    }
    sys.stdout.write(json.dumps(found) + "\n")
    disk.close()


main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
