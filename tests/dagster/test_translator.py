"""What Dagster shows of a curation, said by a translator: keys, specs and metadata hold wherever they are used."""

import inspect
from datetime import timedelta
from typing import Any

import pytest
from dagster import (
    AssetKey,
    AssetSelection,
    AssetSpec,
    DagsterInvalidDefinitionError,
    FreshnessPolicy,
    MetadataValue,
    StaticPartitionsDefinition,
    evaluate_automation_conditions,
)

from curator_core import Pipeline
from curator_dagster import CurationSettings, CurationTranslator, build_curation_defs
from curator_dagster.curation.curation import Curation

SAMPLES, DATASET = AssetKey(["lab", "numbers", "items"]), AssetKey(["lab", "numbers"])


def never() -> Pipeline[Any]:
    """A factory that must not be called."""
    raise AssertionError


class Lab(CurationTranslator):
    """Renames both assets, and says all that Dagster can show."""

    def get_asset_spec(self, props):
        spec = super().get_asset_spec(props)
        return spec.replace_attributes(
            key=SAMPLES if props.asset == "samples" else DATASET,
            group_name="weather",
            owners=["team:lab"],
            kinds={"zarr"},
            tags={"asset": props.asset},
            description=f"{props.asset} of {type(props.pipeline.source).__name__}",
            code_version=props.pipeline.config_hash[:8],
            freshness_policy=FreshnessPolicy.time_window(fail_window=timedelta(days=1)),
        ).merge_attributes(metadata={"by": props.name})


class Telling(CurationTranslator):
    """Adds metadata of all kinds."""

    def item_metadata(self, result, config_hash):
        link = MetadataValue.url(f"https://example.org/{result.key}")
        return {**super().item_metadata(result, config_hash), "link": link, "is_odd": bool(result.index % 2)}

    def block_metadata(self, results, n_items, config_hash):
        return {"keys": [result.key for result in results]}

    def dataset_metadata(self, published, facts):
        return {"held": list(published.manifest.versions), "n_numbers": facts.description["n_numbers"]}


class Failing(CurationTranslator):
    """Gives metadata that Dagster does not take, and none of the dataset."""

    def item_metadata(self, result, config_hash):
        return {"result": result}

    def dataset_metadata(self, published, facts):
        raise LookupError("no such table")


def materialized(instance, key):
    records = instance.fetch_materializations(key, limit=10).records
    return {record.partition_key: record.asset_materialization.metadata for record in records}


def test_everything_follows_renamed_assets(watched):
    """Recording, publication, checks, what is up to date, partitions and automation use the translator's keys."""
    watched.settings = {"translator": Lab()}
    defs, instance = watched.defs, watched.instance
    refreshed = defs.resolve_job_def("numbers_refresh").execute_in_process(instance=instance)
    assert {evaluation.asset_key for evaluation in refreshed.get_asset_check_evaluations()} == {DATASET}
    assert sorted(instance.get_materialized_partitions(SAMPLES)) == ["a.txt", "b.txt", "c.txt", "d.txt"]
    assert instance.get_latest_materialization_event(DATASET) is not None
    assert set(instance.all_asset_keys()) == {SAMPLES, DATASET}
    done = watched.project.invocations()
    assert watched.refresh()
    assert watched.project.invocations() == done
    assert len(instance.fetch_materializations(SAMPLES, limit=10).records) == 4
    job = defs.resolve_implicit_global_asset_job_def()
    assert job.execute_in_process(instance=instance, asset_selection=[DATASET]).success
    assert {key.asset_key for key in defs.resolve_asset_graph().asset_check_keys} == {DATASET}
    selected = AssetSelection.assets(DATASET)
    assert evaluate_automation_conditions(defs, instance, asset_selection=selected).total_requested == 0


def test_a_translator_gives_whole_specs(watched):
    """All attributes of both assets are its own; the partitions and what depends on what stay the curation's."""
    watched.settings = {"translator": Lab(), "deps": ["raw"]}
    samples, dataset = (spec for asset in watched.defs.assets for spec in asset.specs)
    assert [dep.asset_key for dep in samples.deps] == [AssetKey("raw")]
    assert [dep.asset_key for dep in dataset.deps] == [SAMPLES]
    assert samples.partitions_def.name == "numbers"
    assert dataset.automation_condition is not None
    for spec, asset in ((samples, "samples"), (dataset, "dataset")):
        assert (spec.group_name, spec.owners, spec.kinds) == ("weather", ["team:lab"], {"zarr"})
        assert spec.tags == {"asset": asset, "dagster/kind/zarr": ""}
        assert spec.description == f"{asset} of NumberFiles"
        assert spec.metadata["by"] == "numbers"
        assert spec.code_version == watched.pipeline().config_hash[:8]
        assert spec.freshness_policy is not None


def test_by_default_an_asset_is_named_after_its_curation(watched):
    """And its pipeline is not built."""
    defs = build_curation_defs("any", never, group_name="group")
    samples, dataset = (spec for asset in defs.assets for spec in asset.specs)
    assert (samples.key, dataset.key) == (AssetKey(["any", "samples"]), AssetKey(["any", "dataset"]))
    assert [dep.asset_key for dep in dataset.deps] == [samples.key]
    for spec in (samples, dataset):
        assert (spec.group_name, spec.owners, spec.tags, spec.metadata, spec.code_version) == (
            "group",
            [],
            {},
            {},
            None,
        )


def test_events_carry_what_the_translator_says(watched):
    """Metadata of items and of the dataset, Dagster's own kinds of values included."""
    watched.settings = {"translator": Telling()}
    assert watched.refresh()
    items = materialized(watched.instance, AssetKey(["numbers", "samples"]))
    assert items["b.txt"]["link"] == MetadataValue.url("https://example.org/b.txt")
    assert [items[key]["is_odd"].value for key in sorted(items)] == [False, True, False, True]
    assert items["b.txt"]["curator/key"].value == "b.txt"
    (dataset,) = materialized(watched.instance, AssetKey(["numbers", "dataset"])).values()
    assert {name: found.value for name, found in dataset.items()} == {"held": sorted(items), "n_numbers": 7}


def test_blocks_carry_what_the_translator_says(watched):
    """Where a partition stands for several items."""
    watched.settings = {"translator": Telling(), "partition_size": 3}
    assert watched.refresh()
    blocks = materialized(watched.instance, AssetKey(["numbers", "samples"]))
    assert sorted(found["keys"].value for found in blocks.values()) == [["a.txt", "b.txt", "c.txt"], ["d.txt"]]


def test_metadata_that_fail_lose_nothing(watched):
    """The items are recorded and the dataset published with the usual metadata; the run's log says why, once each."""
    watched.settings = {"translator": Failing()}
    done = watched.defs.resolve_job_def("numbers_refresh").execute_in_process(instance=watched.instance)
    items = materialized(watched.instance, AssetKey(["numbers", "samples"]))
    assert [items[key]["curator/key"].value for key in sorted(items)] == ["a.txt", "b.txt", "c.txt", "d.txt"]
    (dataset,) = materialized(watched.instance, AssetKey(["numbers", "dataset"])).values()
    assert dataset["curator/n_items"].value == 4
    said = [
        entry.user_message
        for entry in watched.instance.all_logs(done.run_id)
        if "gives no metadata" in entry.user_message
    ]
    assert len(said) == 2
    assert "Failing gives no metadata of a.txt" in said[0]
    assert "LookupError: no such table" in said[1]


@pytest.mark.parametrize(
    ("given", "message"), [(None, "are a mapping, not None"), ({7: "seven"}, "name 7 of a metadata entry is no text")]
)
def test_metadata_that_are_none_lose_nothing(watched, given, message):
    """Where Dagster would stop at a name that is no text, or there is nothing at all."""

    class Odd(CurationTranslator):
        def item_metadata(self, result, config_hash):
            return given

    watched.settings = {"translator": Odd()}
    done = watched.defs.resolve_job_def("numbers_refresh").execute_in_process(instance=watched.instance)
    assert len(materialized(watched.instance, AssetKey(["numbers", "samples"]))) == 4
    said = [e.user_message for e in watched.instance.all_logs(done.run_id) if "gives no metadata" in e.user_message]
    assert len(said) == 1
    assert message in said[0]


def specs(**changes):
    """A translator that replaces attributes of both assets."""

    class Changed(CurationTranslator):
        def get_asset_spec(self, props):
            return super().get_asset_spec(props).replace_attributes(**changes)

    return Changed()


class Forgetful(CurationTranslator):
    def get_asset_spec(self, props):
        return AssetSpec(["lab", props.asset])


class Silent(CurationTranslator):
    def get_asset_spec(self, props):
        return None


@pytest.mark.parametrize(
    ("translator", "message"),
    [
        (specs(key="same"), "samples and dataset both get the key same"),
        (specs(partitions_def=StaticPartitionsDefinition(["a"])), "sets a partitions_def"),
        (specs(skippable=True), "skippable"),
        (Forgetful(), r"leaves out that lab/dataset depends on lab/samples: pass props\.deps on"),
        (Silent(), r"Silent\.get_asset_spec returned None for samples"),
        (CurationTranslator, "must be an object of CurationTranslator"),
    ],
    ids=["key", "partitions", "skippable", "deps", "no spec", "class"],
)
def test_what_a_translator_cannot_say_is_refused(translator, message):
    """With the definitions, and with the curation's name."""
    with pytest.raises(DagsterInvalidDefinitionError, match=f"Curation 'any'.*{message}"):
        build_curation_defs("any", never, translator=translator)


def test_settings_are_declared_once():
    """Their names, defaults and types are those of the record; what it does not have is refused by name."""
    taken = inspect.signature(build_curation_defs).parameters
    declared = inspect.signature(CurationSettings).parameters
    assert list(taken) == ["name", "pipeline", *declared]
    assert all(taken[name] == parameter for name, parameter in declared.items())
    assert all(parameter.kind is inspect.Parameter.KEYWORD_ONLY for parameter in declared.values())
    with pytest.raises(TypeError, match="'prun'"):
        build_curation_defs("any", never, prun=True)  # type: ignore[call-arg]
    curation = Curation.of("any", never, prune=True)
    assert curation.prune
    with pytest.raises(AttributeError, match="cannot assign"):
        curation.prune = False  # type: ignore[misc]
