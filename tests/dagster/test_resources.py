"""Pipelines that are built from Dagster's resources, in every place where one is built."""

import functools
import importlib
import traceback
from pathlib import Path

import pytest
from dagster import (
    AssetKey,
    AssetSelection,
    ConfigurableResource,
    DagsterInstance,
    DagsterInvalidDefinitionError,
    Definitions,
    build_sensor_context,
    evaluate_automation_conditions,
    in_process_executor,
)

from curator_core import Pipeline
from curator_core.cli import main
from curator_core.errors import CuratorError
from curator_core.testing.dummies import FileSource, JsonSink
from curator_dagster import Curation, CurationTranslator, build_curation_defs, dataset_path

HERE = Path(__file__).parent
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
TOKEN = "tok-5a6b7c8d9e0f"
DATASET = AssetKey(["numbers", "dataset"])


@pytest.fixture
def location(monkeypatch, tmp_path):
    """The location of a catalogue, imported without its environment, which is there from then on."""
    for name in ("CATALOGUE_FOLDER", "CATALOGUE_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NUMBERS_FOLDER", str(tmp_path))
    monkeypatch.syspath_prepend(HERE)
    found = importlib.import_module("catalogue_location")
    found.defs.get_repository_def()
    assert found.BUILT == []
    monkeypatch.setenv("CATALOGUE_FOLDER", str(tmp_path))
    monkeypatch.setenv("CATALOGUE_TOKEN", TOKEN)
    return found


def test_every_pipeline_is_built_from_the_resources(project, location, monkeypatch, capsys):
    """Importing builds none; sensor, command, automation, refresh, a run of partitions, dataset and checks do.

    The token stands nowhere: not in the metrics store, the event log, the run's output, though an error quotes it.
    """
    monkeypatch.setenv("DAGSTER_HOME", str(project.home))
    defs = location.defs
    assert main(["sync", "-m", "catalogue_location"]) == 0
    with project.instance() as instance:
        assert len(instance.get_dynamic_partitions("numbers")) == 4
        with build_sensor_context(instance, definitions=defs, resources=defs.resources) as context:
            (request,) = defs.resolve_sensor_def("numbers_new_data").evaluate_tick(context).run_requests
        assert request.tags["curator/items"] == "4 new"

        whole = defs.resolve_implicit_global_asset_job_def()
        samples = AssetKey(["numbers", "samples"])
        tags = {"dagster/asset_partition_range_start": "a.txt", "dagster/asset_partition_range_end": "d.txt"}
        assert whole.execute_in_process(
            instance=instance, asset_selection=[samples], tags=tags, run_config=QUIET
        ).success
        condition = AssetSelection.assets(DATASET)
        assert evaluate_automation_conditions(defs, instance, asset_selection=condition).total_requested == 1
        merged = whole.execute_in_process(instance=instance, asset_selection=[DATASET], run_config=QUIET)
        assert merged.success
        checks = {e.check_name: e.passed for e in merged.get_asset_check_evaluations()}
        assert checks == {"completeness": True, "failures": True, "finite_values": False}
        assert project.dataset() == {"a.txt": [1, 2], "b.txt": [3], "c.txt": [4, 5, 6], "d.txt": [7]}

        project.put(b="13")
        job = defs.resolve_job_def("numbers_refresh")
        refresh = job.execute_in_process(instance=instance, raise_on_error=False, run_config=QUIET)
        said = [e.event_specific_data.error_display_string for e in refresh.all_events if e.is_step_failure]
        assert "b.txt: failed: PermissionError: *** does not open it" in "".join(said)
    assert dataset_path(defs, "numbers") == str(project.folder / "output" / "numbers.json")
    assert set(location.BUILT) == {TOKEN}
    assert len(location.BUILT) >= 10
    held = [path for path in project.folder.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert held == []
    assert TOKEN not in "".join(capsys.readouterr())


def test_a_token_is_no_part_of_the_configuration(project, location, monkeypatch):
    """A rotated one makes nothing due."""
    with DagsterInstance.ephemeral() as instance:
        job = location.defs.resolve_job_def("numbers_refresh")
        assert job.execute_in_process(instance=instance, run_config=QUIET).success
        monkeypatch.setenv("CATALOGUE_TOKEN", "another")
        assert job.execute_in_process(instance=instance, run_config=QUIET).success
    assert location.BUILT[-1] == "another"
    assert set(project.invocations().values()) == {1}


@pytest.mark.campaign
def test_steps_in_processes_of_their_own_get_the_resources(project, location, monkeypatch):
    """Each sets up its own, from its environment."""
    environment = {"CATALOGUE_FOLDER": str(project.folder), "CATALOGUE_TOKEN": TOKEN}
    project.location = HERE / "catalogue_location.py"
    done = project.refresh("multiprocess", PYTHONPATH=str(HERE), **environment)
    assert done.returncode == 0, done.stderr
    assert len(project.dataset()) == 4


class Store(ConfigurableResource):
    where: str


def stored_pipeline(store: Store, other: int = 1) -> Pipeline:
    raise AssertionError(f"built from {store} and {other}")


def test_a_resource_that_is_missing_is_named_when_the_location_is_loaded():
    """With the factory, its parameter, the key, and what to write; whether or not others are there."""
    made = build_curation_defs("stored", stored_pipeline)
    with pytest.raises(DagsterInvalidDefinitionError) as refused:
        Definitions.validate_loadable(made)
    assert str(refused.value) == (
        f"The factory {__name__}.stored_pipeline of curation 'stored' takes a resource as its parameter 'store', "
        "and the definitions have none with the key 'store': merge them with Definitions(resources={'store': ...}). "
        "There are: none."
    )
    others = Definitions(resources={"stores": Store(where="there")})
    with pytest.raises(DagsterInvalidDefinitionError, match=r"'store': \.\.\.}\)\. There are: stores\.$"):
        Definitions.validate_loadable(Definitions.merge(made, others))
    Definitions.validate_loadable(Definitions.merge(made, Definitions(resources={"store": Store(where="there")})))
    bound = functools.partial(stored_pipeline, store=Store(where="there"))
    Definitions.validate_loadable(build_curation_defs("stored", bound))


def wants_a_path(path: str) -> Pipeline:
    raise AssertionError(path)


def by_position(store: Store, /) -> Pipeline:
    raise AssertionError(store)


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (wants_a_path, f"'path' of the factory {__name__}.wants_a_path has no default, and is not annotated"),
        (by_position, f"'store' of the factory {__name__}.by_position is given by its name, but is positional"),
    ],
)
def test_a_factory_that_needs_something_else_is_refused(factory, message):
    """With its definitions: nobody could give it that."""
    with pytest.raises(DagsterInvalidDefinitionError, match=f"Curation 'any': the parameter {message}"):
        build_curation_defs("any", factory)


class Reads(CurationTranslator):
    def get_asset_spec(self, props):
        return super().get_asset_spec(props).replace_attributes(description=str(props.pipeline))


def test_what_is_shown_cannot_come_from_resources():
    """A translator that reads the pipeline is told that there are none when definitions are made."""
    with pytest.raises(DagsterInvalidDefinitionError, match=r"'stored' cannot be built here: .* the resource 'store'"):
        build_curation_defs("stored", stored_pipeline, translator=Reads(), executor=in_process_executor)


def test_a_variable_that_is_not_set_is_named(project, location, monkeypatch, capsys):
    """By the command, in one sentence, with the curation and its resources."""
    monkeypatch.delenv("CATALOGUE_TOKEN")
    monkeypatch.setenv("DAGSTER_HOME", str(project.home))
    assert location.BUILT == []
    assert main(["sync", "-m", "catalogue_location"]) == 2
    said = capsys.readouterr().err
    assert "Curation 'numbers': its resources (catalogue, suffix) cannot be set up" in said
    assert 'the environment variable "CATALOGUE_TOKEN" which is not set' in said


class Login(ConfigurableResource):
    password: str


class Vault(ConfigurableResource):
    where: str
    api_key: str
    login: Login


VAULT = Vault(where="/data/numbers", api_key="k-123456", login=Login(password="open sesame"))


def refused_pipeline(vault: Vault) -> Pipeline:
    raise LookupError(f"{vault.where} does not know {vault.login.password!r}, nor {vault.api_key}")


def recorded_pipeline(vault: Vault) -> Pipeline:
    return Pipeline(FileSource(f"{vault.where}?key={vault.api_key}"), sink=JsonSink(vault.where))


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (refused_pipeline, "LookupError: /data/numbers does not know ***, nor ***"),
        (recorded_pipeline, "(folder=…) is given 'api_key' of the resource 'vault', which is a secret by its name"),
    ],
)
def test_secrets_of_resources_leave_no_factory(factory, message):
    """An error that quotes one is shown without it; a parameter that is not marked is refused before it is recorded."""
    curation = Curation.of("kept", factory).with_resources({"vault": VAULT})
    with pytest.raises(CuratorError) as refused:
        curation.open_pipeline()
    assert message in str(refused.value)
    shown = "".join(traceback.format_exception(refused.value))
    assert not any(secret in shown or secret in repr(curation) for secret in ("k-123456", "open sesame"))
