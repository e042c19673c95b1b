"""The batched event log answers every question as Dagster's own does."""

import logging
import math
import random
import subprocess
import sys
import time
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetKey,
    AssetMaterialization,
    AssetObservation,
    AssetRecordsFilter,
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    EventLogEntry,
    EventRecordsFilter,
)
from dagster._core.events import (  # noqa: PLC2701 - what Dagster itself logs
    AssetMaterializationPlannedData,
    AssetObservationData,
    StepMaterializationData,
)
from dagster._core.storage.event_log import SqliteEventLogStorage  # noqa: PLC2701 - what ours is compared with
from dagster_postgres import PostgresEventLogStorage
from dagster_shared.serdes import deserialize_value, serialize_value

from curator_dagster import BatchedPostgresEventLogStorage, BatchedSqliteEventLogStorage
from curator_dagster._compat.events import serialized  # noqa: PLC2701 - what is tested
from curator_dagster._compat.events.serialized import (  # noqa: PLC2701 - what is tested
    PartitionMaterialized,
    PartitionPlanned,
    PartitionTexts,
    PathText,
    Time,
    UrlText,
)

WRITER = Path(__file__).with_name("event_writer.py")
ASSETS = [AssetKey(["numbers", "samples"]), AssetKey("other")]
RUNS = ["run-a", "run-b"]


def entry(run_id, timestamp, event, message=""):
    kind = event.event_type_value if event is not None else None
    return EventLogEntry(
        error_info=None,
        level=logging.INFO,
        user_message=message or str(kind),
        run_id=run_id,
        timestamp=timestamp,
        step_key="step",
        job_name="job",
        dagster_event=event,
    )


def of_kind(kind, data=None):
    return DagsterEvent(event_type_value=kind.value, job_name="job", event_specific_data=data, step_key="step")


def any_event(chance):
    """One of what runs log: of assets, of the run's state, a check, a message."""
    asset, partition = chance.choice(ASSETS), chance.choice([None, "a", "b", "c"])
    tags = {"dagster/data_version": str(chance.randint(0, 9))} if partition else {}
    value = {"n": chance.randint(0, 99)}
    check = AssetCheckEvaluation(asset_key=asset, check_name="finite", passed=chance.random() < 0.5, metadata={})
    makers = [
        lambda: of_kind(
            DagsterEventType.ASSET_MATERIALIZATION_PLANNED, AssetMaterializationPlannedData(asset, partition=partition)
        ),
        lambda: of_kind(
            DagsterEventType.ASSET_MATERIALIZATION,
            StepMaterializationData(AssetMaterialization(asset, partition=partition, tags=tags, metadata=value)),
        ),
        lambda: of_kind(
            DagsterEventType.ASSET_OBSERVATION,
            AssetObservationData(AssetObservation(asset, partition=partition, tags=tags, metadata=value)),
        ),
        lambda: of_kind(DagsterEventType.ASSET_CHECK_EVALUATION, check),
        lambda: of_kind(DagsterEventType.RUN_START),
        lambda: of_kind(DagsterEventType.STEP_START),
        lambda: None,
    ]
    return chance.choices(makers, weights=[4, 8, 3, 1, 1, 2, 2])[0]()


def history(seed, n=120):
    """Events of two runs at a time, in the order in which they happened."""
    chance = random.Random(seed)
    return [entry(chance.choice(RUNS), 1.7e9 + k, any_event(chance), f"event {k}") for k in range(n)]


def answers(storage):
    """What Dagster's web server and daemon ask."""
    found: dict[object, Any] = {}
    for run_id in RUNS:
        found[run_id] = storage.get_records_for_run(run_id).records
        found[run_id, "stats"] = storage.get_stats_for_run(run_id)
    for asset in ASSETS:
        for kind in (DagsterEventType.ASSET_MATERIALIZATION, DagsterEventType.ASSET_OBSERVATION):
            found[asset, kind] = storage.get_event_records(EventRecordsFilter(kind, asset_key=asset))
            found[asset, kind, "ids"] = storage.get_latest_storage_id_by_partition(asset, kind)
        found[asset, "b"] = storage.fetch_materializations(
            AssetRecordsFilter(asset, asset_partitions=["b"]), limit=100
        ).records
        found[asset, "partitions"] = storage.get_materialized_partitions(asset)
        found[asset, "tags"] = storage.get_event_tags_for_asset(asset)
        found[asset, "latest tags"] = storage.get_latest_tags_by_partition(
            asset, DagsterEventType.ASSET_MATERIALIZATION, ["dagster/data_version"]
        )
        found[asset, "open"] = storage.get_latest_asset_partition_materialization_attempts_without_materializations(
            asset
        )
        found[asset, "planned"] = storage.get_latest_planned_materialization_info(asset)
        found[asset, "record"] = [
            (
                r.asset_entry.last_materialization_record,
                r.asset_entry.last_run_id,
                r.asset_entry.last_planned_materialization_run_id,
            )
            for r in storage.get_asset_records([asset])
        ]
    found["assets"] = set(storage.all_asset_keys())
    return found


ON_POSTGRES = pytest.param("postgres", marks=pytest.mark.xdist_group("postgres"))


@pytest.fixture(params=["sqlite", ON_POSTGRES])
def stores(tmp_path, request):
    """Dagster's own and ours on the same kind of database, each with an instance of its own."""
    own: Any
    ours: Any
    if request.param == "sqlite":
        own, ours = SqliteEventLogStorage(str(tmp_path / "own")), BatchedSqliteEventLogStorage(str(tmp_path / "ours"))
    else:
        new_database = request.getfixturevalue("new_database")
        own, ours = PostgresEventLogStorage(new_database()), BatchedPostgresEventLogStorage(new_database())
    with DagsterInstance.ephemeral() as first, DagsterInstance.ephemeral() as second:
        own.register_instance(first)
        ours.register_instance(second)
        yield own, ours


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.campaign) for seed in (1, 2))])
def test_any_batches_give_what_single_events_give(stores, seed):
    """However a history is cut into batches, every question has the same answer, ids included."""
    own, ours = stores
    events = history(seed)
    for event in events:
        own.store_event(event)
    chance = random.Random(seed)
    while events:
        n = chance.choice([1, 2, 5, 40])
        ours.store_event_batch(events[:n])
        events = events[n:]
    expected, found = answers(own), answers(ours)
    for question, answer in expected.items():
        assert found[question] == answer, question


TEXTS = [
    "plain",
    'quo"ted\\',
    "ünïcode \N{SNOWMAN} \N{GRINNING FACE}",
    "curator-mark-0000",
    "7310000000000001",
    "",
    "\n\t",
]
NAMES = ["curator/key", "curator/n", 'stage/"x"_s']


def any_materialized(chance, timestamp):
    """A partition with metadata of some shape, and with values that look like anything."""
    values = [
        lambda: chance.choice(TEXTS) + str(chance.randint(0, 9)),
        lambda: chance.choice([0, -1, 2**40, chance.randint(0, 10**6)]),
        lambda: chance.choice([0.0, 1e-300, 1e22, -2.5, chance.random()]),
        lambda: [chance.choice(TEXTS) for _ in range(chance.randint(0, 3))],
        lambda: PathText(f"/data/{chance.choice(TEXTS)}"),
        lambda: UrlText(f"https://host/{chance.choice(TEXTS)}"),
        lambda: Time(1.7e9 + chance.random()),
    ]
    metadata = {name: chance.choice(values)() for name in NAMES[: chance.randint(0, 3)]}
    tags = {"dagster/data_version": chance.choice(TEXTS)} if chance.random() < 0.8 else {}
    message = f"{chance.choice(TEXTS)}: 1 s"
    return PartitionMaterialized(ASSETS[0], chance.choice(TEXTS[:4]), metadata, tags, timestamp, message)


def entry_of(event):
    data = StepMaterializationData(event.materialization())
    kind = of_kind(DagsterEventType.ASSET_MATERIALIZATION, data)
    return entry(RUNS[0], event.timestamp, kind, event.message)


@pytest.mark.parametrize("seed", range(3))
def test_a_text_is_the_event_in_fewer_bytes(seed):
    """Whatever the values, and also those that look like the marks of a template."""
    chance, texts = random.Random(seed), PartitionTexts(entry_of)
    for k in range(300):
        event = any_materialized(chance, 1.7e9 + k / 7)
        text, entry = texts.text(event), entry_of(event)
        assert deserialize_value(text, EventLogEntry) == entry
        assert len(text) < len(serialize_value(entry))


def test_numbers_that_are_none_can_be_read_again():
    """Also after the first of a shape, where they stand in a text that was made for it."""
    texts = PartitionTexts(entry_of)
    for value in (0.5, math.nan, math.inf, -math.inf, -0.0):
        event = PartitionMaterialized(ASSETS[0], "a", {"f": value}, {"v": "1"}, 7.0, "a")
        found = deserialize_value(texts.text(event), EventLogEntry).asset_materialization
        assert repr(found.metadata["f"].value) == repr(value)
        assert repr(found) == repr(entry_of(event).asset_materialization)


def test_most_texts_are_made_without_the_serializer(monkeypatch):
    """It is asked for the first event of each shape alone."""
    texts, asked = PartitionTexts(entry_of), []
    serialize = serialize_value
    monkeypatch.setattr(serialized, "serialize_value", lambda value: asked.append(value) or serialize(value))
    for k in range(50):
        texts.text(
            PartitionMaterialized(
                ASSETS[0], str(k), {"n": k, "t": "x", "f": k / 3, "l": []}, {"v": "1"}, float(k), f"{k}: 1 s"
            )
        )
    assert len(asked) == 2


@pytest.mark.parametrize("seed", range(2))
def test_materializations_with_texts_give_what_single_events_give(stores, seed):
    """Every question has the same answer as after Dagster's own way."""
    own, ours = stores
    chance, texts = random.Random(seed), PartitionTexts(entry_of)
    events = [any_materialized(chance, 1.7e9 + k / 7) for k in range(90)]
    for event in events:
        own.store_event(entry_of(event))
    for start in (0, 40, 41):
        part = events[start : {0: 40, 40: 41, 41: 90}[start]]
        ours.store_partition_events(part, texts, entry_of(part[-1]), len(part))
    expected, found = answers(own), answers(ours)
    for question, answer in expected.items():
        assert found[question] == answer, question


def planned_or_done(event):
    if isinstance(event, PartitionMaterialized):
        return entry_of(event)
    data = AssetMaterializationPlannedData(event.asset, event.partition)
    return entry(
        RUNS[0], event.timestamp, of_kind(DagsterEventType.ASSET_MATERIALIZATION_PLANNED, data), "Means to materialize."
    )


def test_a_run_has_few_copies_and_the_asset_has_everything(tmp_path):
    """Of many events of partitions, as Dagster's own class reads them; beyond the first ones without metadata."""
    texts, keys = PartitionTexts(planned_or_done), [f"{k:02d}" for k in range(20)]
    planned = [PartitionPlanned(ASSETS[0], key, 1.7e9) for key in keys]
    done = [PartitionMaterialized(ASSETS[0], key, {"n": k}, {"v": key}, 1.7e9 + k, key) for k, key in enumerate(keys)]
    ours = BatchedSqliteEventLogStorage(str(tmp_path))
    for part in (planned[:12], planned[12:], done[:12], done[12:]):
        ours.store_partition_events(part, texts, planned_or_done(part[-1]), 5 if part[0].partition == "00" else 0)
    own = SqliteEventLogStorage(str(tmp_path))
    with DagsterInstance.ephemeral() as instance:
        own.register_instance(instance)
        of_run = [record.event_log_entry for record in own.get_records_for_run(RUNS[0]).records]
        materialized = own.fetch_materializations(ASSETS[0], limit=50, ascending=True).records
        assert [record.event_log_entry for record in materialized] == [entry_of(event) for event in done]
        assert len(own.get_event_records(EventRecordsFilter(DagsterEventType.ASSET_MATERIALIZATION_PLANNED))) == 20
        assert own.get_latest_asset_partition_materialization_attempts_without_materializations(ASSETS[0]) == {}
    expected = [*planned[:5], *done[:5], *(event.brief() for event in done[5:])]
    assert of_run == [planned_or_done(event) for event in expected]


def test_a_new_index_wastes_little_room(tmp_path):
    """Pages of SQLite's own size hold one event of a partition, and are half empty."""
    with BatchedSqliteEventLogStorage(str(tmp_path)).index_connection() as connection:
        assert connection.exec_driver_sql("PRAGMA page_size").scalar_one() == 8192


def test_files_are_interchangeable(tmp_path):
    """Ours goes on with the files of Dagster's own, and the other way round."""
    events = history(7, 60)
    with DagsterInstance.ephemeral() as instance:
        for part, cls in enumerate((SqliteEventLogStorage, BatchedSqliteEventLogStorage, SqliteEventLogStorage)):
            storage = cls(str(tmp_path / "log"))
            storage.register_instance(instance)
            storage.store_event_batch(events[20 * part : 20 * (part + 1)])
        assert sum(len(storage.get_records_for_run(run_id).records) for run_id in RUNS) == 60


def test_processes_write_side_by_side(tmp_path):
    """Batches and single events of several processes all arrive; no batch is torn in the index."""
    storage = BatchedSqliteEventLogStorage(str(tmp_path / "log"))
    command = [sys.executable, str(WRITER), str(tmp_path / "log")]
    writers = [subprocess.Popen([*command, f"run-{k}", size]) for k, size in enumerate(["50", "50", "1"])]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0, 0]
    with DagsterInstance.ephemeral() as instance:
        storage.register_instance(instance)
        records = storage.get_event_records(EventRecordsFilter(DagsterEventType.ASSET_MATERIALIZATION))
        by_run = {f"run-{k}": [r.storage_id for r in records if r.run_id == f"run-{k}"][::-1] for k in range(3)}
    assert [len(ids) for ids in by_run.values()] == [200, 200, 200]
    for run_id in ("run-0", "run-1"):
        for start in range(0, 200, 50):
            ids = by_run[run_id][start : start + 50]
            assert ids == list(range(ids[0], ids[0] + 50))


def test_a_killed_writer_leaves_whole_batches(tmp_path):
    """Kill -9 in the middle: in a run's log and in the index there are whole batches only."""
    command = [sys.executable, str(WRITER), str(tmp_path / "log"), "run-0", "20", "100000"]
    writer = subprocess.Popen(command)
    storage = BatchedSqliteEventLogStorage(str(tmp_path / "log"))
    with DagsterInstance.ephemeral() as instance:
        storage.register_instance(instance)
        deadline = time.monotonic() + 60
        while len(storage.get_records_for_run("run-0").records) < 100:
            assert time.monotonic() < deadline
        writer.kill()
        writer.wait()
        in_run = len(storage.get_records_for_run("run-0").records)
        in_index = len(storage.get_event_records(EventRecordsFilter(DagsterEventType.ASSET_MATERIALIZATION)))
    assert in_run % 20 == 0
    assert in_index % 20 == 0
    assert in_index in (in_run, in_run - 20)


@pytest.mark.parametrize("batch_size", ["0", "50"])
def test_it_is_named_in_dagster_yaml(project, batch_size):
    """A refresh on an instance with this event log does as on the default one."""
    (project.home / "dagster.yaml").write_text(
        "telemetry:\n  enabled: false\n"
        "event_log_storage:\n  module: curator_dagster\n  class: BatchedSqliteEventLogStorage\n"
        f"  config:\n    base_dir: {project.home / 'history' / 'runs'}\n"
    )
    done = project.refresh(DAGSTER_EVENT_BATCH_SIZE=batch_size)
    assert done.returncode == 0, done.stderr[-3000:]
    with project.instance() as instance:
        assert type(instance.event_log_storage) is BatchedSqliteEventLogStorage
        samples = AssetKey(["numbers", "samples"])
        assert instance.get_materialized_partitions(samples) == {"a.txt", "b.txt", "c.txt", "d.txt"}
        (run,) = instance.get_runs()
        assert run.status == DagsterRunStatus.SUCCESS


def test_the_classes_need_nothing_but_dagster():
    """An image of the webserver or the daemon takes them without the dependencies of curator."""
    needs = [
        requirement.split(">")[0] for requirement in requires("curator-dagster") or () if "extra" not in requirement
    ]
    missing = "".join(f"sys.modules[{name!r}] = None; " for name in needs if name in {"cloudpickle", "numpy"})
    assert missing.count("None") == 2  # Dagster needs the others, too
    names = "BatchedPostgresEventLogStorage, BatchedSqliteEventLogStorage"
    code = f"import sys; {missing}from curator_dagster import {names}"
    subprocess.run([sys.executable, "-c", code], check=True)
