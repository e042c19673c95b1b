"""Webserver, daemon and code server, each a process of its own; the first two know nothing of curator."""

import pytest
from dagster import AssetKey

SAMPLES, DATASET = AssetKey(["numbers", "samples"]), AssetKey(["numbers", "dataset"])
BACKFILL = """mutation($given: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $given) {
    ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } __typename } }"""
START = "mutation($selector: SensorSelector!) { startSensor(sensorSelector: $selector) { __typename } }"
TICKS = """query($selector: SensorSelector!) { sensorOrError(sensorSelector: $selector) { ... on Sensor {
    sensorState { ticks(limit: 5) { status skipReason error { message } runIds } } } } }"""
RELOAD = """mutation($name: String!) { reloadRepositoryLocation(repositoryLocationName: $name) {
    ... on WorkspaceLocationEntry { loadStatus } __typename } }"""
TERMINATE = """mutation($id: String!) { terminateRun(runId: $id) { __typename } }"""

pytestmark = [pytest.mark.campaign, pytest.mark.xdist_group("postgres")]


@pytest.fixture
def production(project, deployment, new_database):
    """An instance on PostgreSQL, with a queue that lets one run of a curation go at a time."""
    (project.home / "dagster.yaml").write_text(f"""
telemetry: {{enabled: false}}
storage: {{postgres: {{postgres_url: "{new_database()}"}}}}
concurrency:
  runs:
    max_concurrent_runs: 4
    tag_concurrency_limits:
      - {{key: curator/curation, value: {{applyLimitPerUniqueValue: true}}, limit: 1}}
run_queue: {{dequeue_interval_seconds: 1}}
run_monitoring: {{enabled: true, poll_interval_seconds: 1, start_timeout_seconds: 120}}
run_retries: {{enabled: true, max_retries: 2, retry_on_asset_or_op_failure: false}}
""")
    deployment.settings = {
        "NUMBERS_FOLDER": str(project.folder),
        "NUMBERS_EXECUTOR": "in_process",
        "NUMBERS_PRUNE": "1",
        "NUMBERS_SETTINGS": '{"watch": 1}',
    }
    deployment.start_code(project.location, **deployment.settings)
    deployment.start_daemon()
    deployment.start_webserver()
    return deployment


def start_sensor(production, name):
    found = production.ask(START, selector=production.selector(sensorName=name))["startSensor"]
    assert found["__typename"] == "Sensor"


def await_tick(production, name, said):
    """Wait until a sensor's last tick said something."""

    def last():
        found = production.ask(TICKS, selector=production.selector(sensorName=name))
        return found["sensorOrError"]["sensorState"]["ticks"][:1]

    production.wait_for(lambda: any(said in str(tick["skipReason"]) for tick in last()), lambda: str(last()))


@pytest.fixture
def events(project):
    """The instance of all this, to read what is recorded."""
    with project.instance() as found:
        yield found


def test_refresh_backfill_and_automation(project, production, events):
    """From the launchpad, the partitions dialog and by the sensors: each ends green, and nothing is done twice."""
    assert production.await_end(production.launch("numbers_refresh")) == "SUCCESS"
    assert events.get_materialized_partitions(SAMPLES) == {"a.txt", "b.txt", "c.txt", "d.txt"}
    project.put(a="10", c="40", e="8")
    chosen = {"assetSelection": [{"path": SAMPLES.path}], "partitionNames": ["a.txt", "c.txt"]}
    backfill = production.ask(BACKFILL, given=chosen)["launchPartitionBackfill"]
    assert production.await_backfill(backfill["backfillId"]) == "COMPLETED_SUCCESS"
    start_sensor(production, "numbers_automation")
    start_sensor(production, "numbers_new_data")
    await_tick(production, "numbers_new_data", "5 items, nothing changed.")
    assert project.dataset() == {"a.txt": [10], "b.txt": [3], "c.txt": [40], "d.txt": [7], "e.txt": [8]}
    assert project.invocations() == {"a.txt": 2, "b.txt": 1, "c.txt": 2, "d.txt": 1, "e.txt": 1}
    assert {run.status.value for run in events.get_runs()} == {"SUCCESS"}


def test_terminated_and_reloaded_in_the_middle(project, production, events):
    """A reload leaves a refresh alone; one that is terminated is canceled, and the next does what is left, once."""
    production.restart("numbers", NUMBERS_SLEEP="1")
    run_id = production.launch("numbers_refresh")
    production.wait_for(project.invocations, "the first item")
    assert production.ask(RELOAD, name="numbers")["reloadRepositoryLocation"]["loadStatus"] == "LOADED"
    production.ask(TERMINATE, id=run_id)
    assert production.await_end(run_id) == "CANCELED"
    n_begun = sum(project.invocations().values())
    assert 0 < n_begun < 4
    assert production.await_end(production.launch("numbers_refresh")) == "SUCCESS"
    assert sum(project.invocations().values()) - 4 <= 1
    assert project.dataset() == {"a.txt": [1, 2], "b.txt": [3], "c.txt": [4, 5, 6], "d.txt": [7]}
