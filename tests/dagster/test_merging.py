"""Curations and other definitions as one code location: what clashes is named, with the curations' names."""

import dagster as dg
import pytest

from curator_core.workflow import Step, Workflow
from curator_dagster import CurationTranslator, build_curation_defs, build_workflow_defs, merge_definitions


def never():
    """A factory that must not be called."""
    raise AssertionError


class SameTable(CurationTranslator):
    def get_asset_spec(self, props):
        spec = super().get_asset_spec(props)
        return spec.replace_attributes(key="table") if props.asset == "dataset" else spec


@dg.asset(name="table")
def table() -> None:
    """As `SameTable` calls a dataset."""


def reported(project_dir):
    """A step."""


def curation(name, **settings):
    return build_curation_defs(name, never, **settings)


def workflow(tmp_path, name="study"):
    return build_workflow_defs(name, Workflow("study", [Step(reported)]), rootdir=tmp_path)


@dg.sensor(name="rain_new_data")
def watcher() -> None:
    """As that of a curation."""


IN, MULTI, OTHER = dg.in_process_executor, dg.multiprocess_executor, dg.multiprocess_executor.configured({})


def test_what_does_not_clash_is_one_location(tmp_path):
    """Curations, a workflow, an asset that both know, resources and executors that are the same object."""
    shared = {"store": object()}
    parts = [
        curation("rain"),
        curation("snow", executor=IN, executor_for="jobs"),
        workflow(tmp_path),
        dg.Definitions(assets=[table], resources=shared),
        dg.Definitions(assets=[table], resources=shared),
    ]
    merged = merge_definitions(*parts)
    dg.Definitions.validate_loadable(merged)
    assert merged.executor is parts[0].executor
    assert len(merged.resolve_asset_graph().get_all_asset_keys()) == 7


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            [curation("rain", executor=IN), curation("snow", executor=MULTI)],
            "^'rain' and 'snow' have different executors, .*executor_for=\"jobs\" for those that differ",
        ),
        (
            [curation(name, executor=executor) for name, executor in zip("abcd", (IN, MULTI, IN, OTHER), strict=True)],
            "^'a', 'b' and 2 more have different executors",
        ),
        (
            [curation("rain", executor=IN), dg.Definitions(executor=MULTI, assets=[table])],
            r"^'rain' and argument 2 \(with 'table'\) have different executors",
        ),
        (
            [curation(name, translator=SameTable()) for name in ("rain", "snow")],
            "^'rain' and 'snow' both define the asset 'table', .* Give one of them a key_prefix",
        ),
        (
            [dg.Definitions(assets=[dg.AssetSpec(["rain", "dataset"])]), curation("rain")],
            r"^argument 1 \(with 'rain/dataset'\) and 'rain' both define the asset 'rain/dataset'",
        ),
        (
            [curation("rain"), curation("rain", key_prefix="lake")],
            "^'rain' and 'rain' both define the partitions 'rain', .* another name",
        ),
        (
            [curation("rain"), dg.Definitions(sensors=[watcher])],
            r"^'rain' and argument 2 \(with 'rain_new_data'\) both define the sensor or schedule 'rain_new_data'",
        ),
        (
            [dg.Definitions(resources={"store": 1}), curation("rain"), dg.Definitions(resources={"store": 2})],
            "^argument 1 and argument 3 both define the resource 'store', .* the same object",
        ),
    ],
)
def test_what_clashes_is_said_at_once(parts, message):
    """What it is, whose, and what to do."""
    with pytest.raises(dg.DagsterInvalidDefinitionError, match=message):
        merge_definitions(*parts)
    with pytest.raises(dg.DagsterError):  # nothing is refused that Dagster would take
        dg.Definitions.validate_loadable(dg.Definitions.merge(*parts))


def test_a_workflow_and_a_curation_of_one_name(tmp_path):
    """They share the name of their partitions, which nothing else would notice."""
    with pytest.raises(dg.DagsterInvalidDefinitionError, match=r"^'rain' and 'rain' both define the partitions 'rain'"):
        merge_definitions(curation("rain", watch=False), workflow(tmp_path, name="rain"))
