"""Partitions that lie apart: failures tried again from the dialog by Dagster's daemon, and many that are removed."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.timing import Row, seconds
from curator_dagster._compat.dynamic_partitions import delete_dynamic_partitions  # noqa: PLC2701 - it is measured

LOCATION = """
from dagster import AssetKey, BackfillPolicy, Definitions, DynamicPartitionsDefinition, asset
from curator_core import Pipeline
from curator_core.testing import DatasetSink, FileSource
from curator_dagster import build_curation_defs

def pipeline():
    return Pipeline(FileSource("{folder}/raw"), [], DatasetSink("{folder}/out/texts.json"), db_file="{folder}/m.db")

@asset(partitions_def=DynamicPartitionsDefinition(name="texts"), backfill_policy=BackfillPolicy.single_run())
def plain(context):
    for key in context.partition_keys:
        with open(f"{folder}/raw/" + key) as file:
            int(file.read())

defs = Definitions.merge(build_curation_defs("texts", pipeline, watch=False), Definitions(assets=[plain]))
"""
BACKFILL = """
import sys, time
from dagster import AssetKey, DagsterInstance
from dagster._core.execution.backfill import PartitionBackfill
from location import defs

name, *path = sys.argv[1:]
with DagsterInstance.get() as instance:
    instance.add_backfill(PartitionBackfill.from_asset_partitions(
        backfill_id=name, asset_graph=defs.resolve_asset_graph(), asset_selection=[AssetKey(path)],
        partition_names=instance.get_dynamic_partitions("texts")[::2], backfill_timestamp=time.time(), tags={},
        dynamic_partitions_store=instance, all_partitions=False, title=None, description=None, run_config=None))
    while instance.get_backfill(name).status.value == "REQUESTED":
        time.sleep(1)
    from dagster import RunsFilter
    runs = instance.get_run_records(RunsFilter(tags={"dagster/backfill": name}))
    taken = max(run.end_time for run in runs) - min(run.create_timestamp.timestamp() for run in runs)
    import json
    print(json.dumps([taken, len(runs), sum(run.start_time is not None for run in runs)]))
"""


def prune_rows(n: int = 5_000) -> Iterator[Row]:
    """Partitions removed from an instance as Dagster makes it."""
    from dagster import DagsterInstance  # noqa: PLC0415 - the other measurements need none

    with tempfile.TemporaryDirectory() as folder, DagsterInstance.local_temp(folder) as instance:
        keys = [f"{index:06d}" for index in range(n + 100)]
        instance.add_dynamic_partitions("things", keys)
        taken = seconds(lambda: delete_dynamic_partitions(instance, "things", keys[:n]))
        alone = seconds(lambda: [instance.delete_dynamic_partition("things", key) for key in keys[n:]]) / 100
    yield Row(f"{n:,} partitions removed", f"{taken:.2f} s", "≤ 2 s", taken <= 2)  # noqa: PLR2004
    yield Row("one after another, as Dagster's interface has it", f"{alone * n:.0f} s")


def retry_rows(n: int = 49) -> Iterator[Row]:
    """Every second of 2 `n` items failed, and was repaired; from the first run's creation to the last run's end."""
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder, "raw")
        raw.mkdir()
        for index in range(2 * n):
            (raw / f"{index:03d}.txt").write_text("x" if index % 2 == 0 else "1")
        Path(folder, "location.py").write_text(LOCATION.format(folder=folder))
        environment = os.environ | {
            "DAGSTER_HOME": f"{folder}/home",
            "PYTHONPATH": os.pathsep.join([folder, *sys.path]),
        }
        curator = str(Path(sys.executable).with_name("curator"))
        subprocess.run([curator, "dagster", "init", f"{folder}/home"], check=True, stdout=subprocess.DEVNULL)

        def dagster(*words: str) -> list[str]:
            return [sys.executable, "-m", *words, "-m", "location"]

        def run(*words: str) -> str:
            return subprocess.run(
                words, env=environment, cwd=folder, check=False, capture_output=True, text=True
            ).stdout

        run(*dagster("dagster", "job", "execute"), "-j", "texts_refresh")
        for path in raw.iterdir():
            path.write_text("1")
        daemon = subprocess.Popen(
            dagster("dagster._daemon", "run"),
            env=environment,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            found = [
                json.loads(run(sys.executable, "-c", BACKFILL, *words).splitlines()[-1])
                for words in (("curated", "texts", "samples"), ("plain", "plain"))
            ]
        finally:
            os.killpg(daemon.pid, signal.SIGTERM)
            daemon.wait()
    for name, (taken, n_runs, n_begun), target in zip(("", ", plain asset"), found, (60, None), strict=True):
        measure = f"{n} scattered failures tried again from the dialog{name}: {n_begun} of {n_runs} runs begin"
        yield Row(measure, f"{taken:.0f} s", f"≤ {target} s" if target else "", taken <= target if target else None)
