"""The dataset and the samples of a curation as parameters of assets downstream."""

import json
from pathlib import Path

import pytest
from dagster import AssetIn, AssetKey, AssetSpec, Definitions, DynamicPartitionsDefinition, asset

from curator_core import CuratedDataset, CuratedItem, run_pipeline
from curator_core.errors import UnknownNameError
from curator_dagster import build_curation_defs, curation_inputs, dataset_path

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
DATASET, SAMPLES = AssetKey(["numbers", "dataset"]), AssetKey(["numbers", "samples"])
GOT = []


@asset(ins={"dataset": AssetIn(DATASET)})
def total(dataset: CuratedDataset) -> None:
    numbers = json.loads(Path(dataset.path).read_text())
    GOT.append((dataset, sum(sum(item["numbers"]) for item in numbers)))
    dataset.check()


@asset(ins={"sample": AssetIn(SAMPLES)}, partitions_def=DynamicPartitionsDefinition(name="numbers"))
def name_of(sample: CuratedItem) -> None:
    GOT.append(sample)


class Downstream:
    """The numbers' curation with assets downstream, on one instance."""

    def __init__(self, watched):
        self.instance = watched.instance
        self.watched = watched
        self.defs = Definitions.merge(watched.defs, Definitions([total, name_of]))

    def materialize(self, *assets, **options):
        GOT.clear()
        job = self.defs.resolve_implicit_job_def_def_for_assets(list(assets))
        run = job.execute_in_process(
            instance=self.instance, asset_selection=list(assets), raise_on_error=False, run_config=QUIET, **options
        )
        return "\n".join(e.event_specific_data.error_display_string for e in run.all_events if e.is_step_failure)

    def version(self):
        latest = self.instance.get_latest_materialization_event(DATASET)
        return latest.asset_materialization.tags["dagster/data_version"]


@pytest.fixture
def downstream(watched):
    return Downstream(watched)


def test_an_asset_gets_the_dataset_that_was_materialized(downstream, watched, project):
    """In a run of its own and in one with the dataset, also where another was published; one that expired says so."""
    assert "numbers/dataset was never materialized on this instance" in downstream.materialize(total.key)
    assert watched.refresh()
    assert downstream.materialize(total.key) == ""
    ((dataset, found),) = GOT
    assert (found, dataset.n_items, dataset.data_version) == (28, 4, downstream.version())
    assert dataset.path == str(project.folder / "output" / "numbers.json") == dataset_path(downstream.defs, "numbers")
    with pytest.raises(UnknownNameError, match=r"Unknown curation 'others'.*numbers"):
        dataset_path(downstream.defs, "others")

    project.put(a="10")
    assert watched.run_samples("a.txt")
    assert downstream.materialize(DATASET, total.key) == ""
    assert GOT[0][1] == 35
    assert GOT[0][0].data_version == downstream.version() != dataset.data_version
    assert (downstream.defs.load_asset_value(DATASET, instance=downstream.instance)).n_items == 4

    for b, said in (("100", ""), ("1000", f"DatasetExpiredError: Version {downstream.version()[:16]} of the dataset")):
        project.put(b=b)
        run_pipeline(watched.pipeline().with_settings(resume=True), gather=True, progress=False)
        found = downstream.materialize(total.key)
        assert said in found
        assert [(result, dataset.data_version) for dataset, result in GOT] == [(35, downstream.version())][: not found]


def test_an_asset_gets_the_item_of_its_partition(downstream, watched, project):
    """As it was recorded; of several partitions, each by its key; one that was never processed is named."""
    assert watched.refresh()
    assert downstream.materialize(name_of.key, partition_key="b.txt") == ""
    (item,) = GOT
    assert (item.key, item.outputs) == ("b.txt", (str(project.folder / "output" / "numbers.json"),))
    assert item.fingerprint.startswith("1-")
    watched.instance.add_dynamic_partitions("numbers", ["new.txt"])
    said = downstream.materialize(name_of.key, partition_key="new.txt")
    assert "1 partitions of numbers/samples were never materialized, such as 'new.txt'" in said
    found = downstream.defs.load_asset_value(SAMPLES, instance=watched.instance, partition_key="a.txt")
    assert found.key == "a.txt"
    several = downstream.defs.load_asset_value(
        SAMPLES, instance=watched.instance, partition_key="a.txt", python_type=dict[str, CuratedItem]
    )
    assert several == {"a.txt": found}


@asset(ins={"samples": AssetIn(SAMPLES)})
def names(samples: dict[str, CuratedItem]) -> None:
    GOT.append(samples)


@asset(ins={"dataset": AssetIn(DATASET, input_manager_key="curations")})
def elsewhere(dataset: CuratedDataset) -> None:
    GOT.append(dataset)


def test_definitions_need_nothing_else(watched):
    """Neither those that are put together from parts, nor several curations, nor another location.

    An asset without partitions gets all items.
    """
    assert watched.refresh()
    made = watched.defs
    parts = Definitions([*made.assets, total], jobs=made.jobs, sensors=made.sensors, executor=made.executor)
    others = build_curation_defs("others", watched.pipeline, executor=made.executor)
    several = Definitions.merge(made, others, Definitions([total, names]))
    for defs, reader in ((parts, total), (several, total), (several, names)):
        GOT.clear()
        job = defs.resolve_implicit_job_def_def_for_assets([reader.key])
        assert job.execute_in_process(instance=watched.instance, asset_selection=[reader.key], run_config=QUIET).success
        assert len(GOT) == 1
    assert list(GOT[0]) == ["a.txt", "b.txt", "c.txt", "d.txt"]
    GOT.clear()
    other = Definitions([elsewhere, AssetSpec(DATASET)], resources={"curations": curation_inputs})
    job = other.resolve_implicit_global_asset_job_def()
    assert job.execute_in_process(instance=watched.instance, run_config=QUIET).success
    assert GOT[0].n_items == 4
