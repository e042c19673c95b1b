"""What Dagster adds per index, on every storage, and against Dagster used plainly.

``python -m benchmarks.dagster WHAT N`` makes one measurement in this process and prints it as JSON.
"""

# No deferred annotations here: Dagster reads those of assets as they are.
import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml
from dagster import (
    AssetExecutionContext,
    AssetMaterialization,
    AssetsDefinition,
    BackfillPolicy,
    DagsterInstance,
    DynamicPartitionsDefinition,
    JobDefinition,
    MaterializeResult,
    asset,
    define_asset_job,
    in_process_executor,
)
from dagster import Definitions as Defs

from benchmarks.rows import RowsSink
from benchmarks.servers import postgres_server
from benchmarks.timing import Row
from benchmarks.workload import Nowhere, Numbers
from curator_core import IndexResult, MetricsStore, Pipeline, gather_pipeline, run_pipeline
from curator_dagster import build_curation_defs
from curator_dagster._compat.events.serialized import as_metadata  # noqa: PLC2701 - what ours are written as
from curator_dagster.metadata.item import sample_metadata

Storage = Mapping[str, Any]
Made = tuple[float, int]
"""Seconds per index, and bytes of the event log per index."""


def _batched_sqlite(home: str) -> Storage:
    config = {"base_dir": f"{home}/history/runs"}
    where = {"module": "curator_dagster", "class": "BatchedSqliteEventLogStorage", "config": config}
    return {"event_log_storage": where}


def _default(_: str) -> Storage:
    return {}


def _postgres(stack: ExitStack) -> Callable[[str], Storage]:
    config = {"postgres_url": stack.enter_context(postgres_server())}
    return lambda _: {"storage": {"postgres": config}}


def _batched_postgres(stack: ExitStack) -> Callable[[str], Storage]:
    config = {"postgres_url": stack.enter_context(postgres_server())}
    classes = {
        "event_log_storage": ("curator_dagster", "BatchedPostgresEventLogStorage"),
        "run_storage": ("dagster_postgres.run_storage", "PostgresRunStorage"),
        "schedule_storage": ("dagster_postgres.schedule_storage", "PostgresScheduleStorage"),
    }
    return lambda _: {
        part: {"module": module, "class": name, "config": config} for part, (module, name) in classes.items()
    }


STORAGES: dict[str, Callable[[ExitStack], Callable[[str], Storage]]] = {
    "batched": lambda _: _batched_sqlite,
    "default": lambda _: _default,
    "postgres": _postgres,
    "batched_postgres": _batched_postgres,
}
"""What `_instance` takes, for a folder; servers live as long as the stack."""


def _instance(home: str, storage: Storage) -> DagsterInstance:
    settings = {"telemetry": {"enabled": False}, "python_logs": {"python_log_level": "WARNING"}, **storage}
    (Path(home) / "dagster.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return DagsterInstance.from_config(home)


def _pipeline(folder: str, n: int) -> Pipeline[Any]:
    return Pipeline(Numbers(n), [], Nowhere(), db_dir=folder)


def _log_bytes(home: str) -> int:
    return sum(path.stat().st_size for path in (Path(home) / "history" / "runs").glob("*.db*"))


def core(folder: str, n: int, storage: Callable[[str], Storage]) -> Made:
    """The engine alone, sequential and tracked."""
    del storage
    return _seconds(lambda: run_pipeline(_pipeline(folder, n), progress=False)) / n, 0


def refresh(folder: str, n: int, storage: Callable[[str], Storage]) -> Made:
    """The refresh job, which registers the partitions, too."""
    defs = build_curation_defs("numbers", lambda: _pipeline(folder, n), executor=in_process_executor)
    return _measured(defs.resolve_job_def("numbers_refresh"), folder, n, storage(folder))


def _dataset_pipeline(folder: str, n: int) -> Pipeline[Any]:
    return Pipeline(Numbers(n), [], RowsSink(f"{folder}/out/rows.zarr"), db_dir=folder, resume=True)


def core_dataset(folder: str, n: int, storage: Callable[[str], Storage]) -> Made:
    """The engine alone, with a dataset that is published."""
    del storage

    def work() -> None:
        run_pipeline(_dataset_pipeline(folder, n), progress=False)
        gather_pipeline(_dataset_pipeline(folder, n))

    return _seconds(work) / n, 0


def refresh_dataset(folder: str, n: int, storage: Callable[[str], Storage]) -> Made:
    """The refresh job, with a dataset that is published."""
    defs = build_curation_defs("numbers", lambda: _dataset_pipeline(folder, n), executor=in_process_executor)
    return _measured(defs.resolve_job_def("numbers_refresh"), folder, n, storage(folder))


def samples(folder: str, n: int, storage: Callable[[str], Storage]) -> Made:
    """The samples asset over all partitions, as a backfill runs it."""
    defs = build_curation_defs("numbers", lambda: _pipeline(folder, n), executor=in_process_executor)
    pick = define_asset_job("pick", selection=["numbers/samples"])
    job = Defs.merge(defs, Defs(jobs=[pick])).resolve_job_def("pick")
    return _over_all_partitions(job, folder, n, storage(folder))


def _metadata(result: IndexResult) -> dict[str, Any]:
    """What is recorded of an item, for Dagster's own events."""
    return {name: as_metadata(value) for name, value in sample_metadata(result).items()}


def plain_single_run(folder: str, n: int, storage: Callable[[str], Storage]) -> Made:
    """A partitioned asset as Dagster's documentation has it, one run over all partitions, the same metadata."""

    @asset(partitions_def=DynamicPartitionsDefinition(name="numbers"), backfill_policy=BackfillPolicy.single_run())
    def plain(context: AssetExecutionContext) -> None:
        for result, key in zip(_results(folder, n), context.partition_keys, strict=True):
            metadata = _metadata(result)
            context.log_event(AssetMaterialization(context.asset_key, partition=key, metadata=metadata))

    return _over_all_partitions(_job_of(plain), folder, n, storage(folder))


def plain_run_each(folder: str, n: int, storage: Callable[[str], Storage]) -> Made:
    """The same with one run per partition, Dagster's default, in a warm process: without the start of one for each."""

    @asset(partitions_def=DynamicPartitionsDefinition(name="numbers"))
    def plain() -> MaterializeResult[None]:
        result = next(_results(folder, n))
        return MaterializeResult(metadata=_metadata(result))

    job = _job_of(plain)
    keys = [f"{index:06d}" for index in range(n)]
    with _instance(folder, storage(folder)) as instance:
        instance.add_dynamic_partitions("numbers", keys)
        job.execute_in_process(instance=instance, partition_key=keys[0])
        before = _log_bytes(folder)
        taken = _seconds(lambda: [job.execute_in_process(instance=instance, partition_key=key) for key in keys])
    return taken / n, (_log_bytes(folder) - before) // n


def _results(folder: str, n: int) -> Iterator[IndexResult]:
    """Recorded results of `n` items."""
    pipeline = _pipeline(folder, n)
    run_pipeline(pipeline, progress=False)
    assert pipeline.db_path is not None
    with MetricsStore(pipeline.db_path) as store:
        yield from store.results(store.run().run_id)


def _job_of(definition: AssetsDefinition) -> JobDefinition:
    pick = define_asset_job("pick", selection=[definition.key], executor_def=in_process_executor)
    return Defs(assets=[definition], jobs=[pick]).resolve_job_def("pick")


def _over_all_partitions(job: JobDefinition, folder: str, n: int, storage: Storage) -> Made:
    with _instance(folder, storage) as instance:
        keys = [f"{index:0{max(6, len(str(n - 1)))}d}" for index in range(n)]
        for start in range(0, n, 10_000):
            instance.add_dynamic_partitions("numbers", keys[start : start + 10_000])
    tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
    return _measured(job, folder, n, storage, tags)


def _measured(job: JobDefinition, folder: str, n: int, storage: Storage, tags: Mapping[str, str] | None = None) -> Made:
    with _instance(folder, storage) as instance:
        before = _log_bytes(folder)
        taken = _seconds(lambda: job.execute_in_process(instance=instance, tags=dict(tags or {})))
    return taken / n, (_log_bytes(folder) - before) // n


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


WORK: dict[str, Callable[[str, int, Callable[[str], Storage]], Made]] = {
    function.__name__: function
    for function in (core, refresh, core_dataset, refresh_dataset, samples, plain_single_run, plain_run_each)
}


def measure(what: str, n: int, storage: str) -> Made:
    """One measurement in this process, after a short one of the same that loads what it needs."""
    logging.disable(logging.CRITICAL)
    with ExitStack() as stack:
        on = STORAGES[storage](stack)
        folders = [stack.enter_context(tempfile.TemporaryDirectory()) for _ in range(2)]
        WORK[what](folders[0], 2, on)
        return WORK[what](folders[1], n, on)


def apart(what: str, n: int, storage: str = "batched", *, n_rounds: int = 1) -> Made:
    """The shortest of several, each in a process of its own."""
    command = [sys.executable, "-m", __name__, what, str(n), storage]
    found = []
    for _ in range(n_rounds):
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        found.append(tuple(json.loads(done.stdout.splitlines()[-1])))
    return min(found)


def event_rows(n: int = 10_000, n_plain: int = 1_000) -> Iterator[Row]:
    """Cost per index in Dagster, over the engine alone where nothing else is said.

    Parameters
    ----------
    n
        Number of indices; five times as many to see whether the cost is flat.
    n_plain
        The same, for what takes minutes otherwise.
    """
    rounds = 3 if n >= 1_000 else 1  # noqa: PLR2004 - a quick look
    engine, _ = apart("core", n, n_rounds=rounds)
    yield Row("the engine alone", f"{engine * 1e6:.0f} µs")
    few, size = apart("refresh", n, n_rounds=rounds)
    yield _cost_row(f"refresh job, batched SQLite, {n:,} indices, over the engine", few - engine, 0.35)
    many, _ = apart("refresh", 5 * n, n_rounds=rounds)
    ratio = (many - engine) / (few - engine)
    yield Row(f"the same, {5 * n:,} indices", f"{(many - engine) * 1e3:.2f} ms", "flat", ratio <= FLAT)
    backfill, _ = apart("samples", n, n_rounds=rounds)
    yield Row("samples asset over all partitions, batched SQLite", f"{(backfill - engine) * 1e3:.2f} ms")
    for storage, name in (("batched_postgres", "batched PostgreSQL"), ("postgres", "PostgreSQL as Dagster sets it up")):
        postgres, _ = apart("refresh", n, storage, n_rounds=rounds)
        yield _cost_row(f"refresh job, {name}", postgres - engine, 1.0)
        backfill, _ = apart("samples", n_plain, storage)
        yield Row(f"samples asset, {name}, {n_plain:,} indices", f"{(backfill - engine) * 1e3:.2f} ms")
    plain, plain_size = apart("plain_single_run", n_plain, "default")
    yield Row(f"plain asset in a single run, default SQLite, {n_plain:,} indices", f"{plain * 1e3:.1f} ms")
    for what, name in (("refresh", "refresh job"), ("samples", "samples asset")):
        ours, _ = apart(what, n_plain, "default")
        ratio = plain / ours
        yield Row(f"{name}, default SQLite, against that", f"{ratio:.1f} times as fast", "≥ 3", ratio >= 3)  # noqa: PLR2004
    each, each_size = apart("plain_run_each", 20, "default")
    yield Row("plain asset, a run per partition, default SQLite, 20 partitions", f"{each * 1e3:.0f} ms")
    sizes = ", ".join(f"{found / 1e3:.1f} kB" for found in (size, plain_size, each_size))
    yield Row("event log per index: refresh job, plain asset in a single run, in a run each", sizes)


FLAT = 1.2
"""How much more the cost per index may be with five times as many, to be called flat."""


def _cost_row(measure: str, cost_s: float, target_ms: float) -> Row:
    return Row(measure, f"{cost_s * 1e3:.2f} ms", f"≤ {target_ms:g} ms", cost_s * 1e3 <= target_ms)


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), sys.argv[3])))
