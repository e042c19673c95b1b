"""A run is terminated by the button in Dagster's UI: its work stops, and nothing that was done is lost."""

import time
from collections import Counter
from pathlib import Path

import pytest
from dagster import AssetKey, DagsterInstance, DagsterRunStatus

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.campaign, pytest.mark.xdist_group("browser")]

LOCATION = Path(__file__).parents[1] / "dagster" / "numbers_location.py"
SAMPLES = AssetKey(["numbers", "samples"])
N_ITEMS = 60


@pytest.fixture(params=["multiprocess", "dask"])
def executor(request):
    return request.param


@pytest.fixture
def ui(tmp_path, dagster_dev, executor):
    """Address of the UI over sixty items of a second each; nothing has run."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "dagster.yaml").write_text("telemetry: {enabled: false}\nnux: {enabled: false}\n")
    (tmp_path / "input").mkdir()
    for number in range(N_ITEMS):
        (tmp_path / "input" / f"n{number:02d}.txt").write_text(str(number))
    settings = {
        "DAGSTER_HOME": str(tmp_path / "home"),
        "NUMBERS_FOLDER": str(tmp_path),
        "NUMBERS_EXECUTOR": executor,
        "NUMBERS_SLEEP": "1",
    }
    with dagster_dev(tmp_path, "-f", str(LOCATION), **settings) as address:
        yield address


def tried(folder):
    """How often each item was read."""
    path = folder / "invocations.txt"
    return Counter(path.read_text().split()) if path.exists() else Counter()


def wait_until(claim, timeout_s=60.0):
    deadline = time.monotonic() + timeout_s
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.timeout(300)
def test_the_button_stops_the_work(ui, page, tmp_path):
    """The run is canceled within seconds, no item goes on or counts as failed; what was done stays done."""
    page.goto(f"{ui}/locations/{LOCATION.name}/jobs/numbers_refresh/playground")
    page.get_by_role("button", name="Launch run").click()
    wait_until(lambda: len(tried(tmp_path)) >= 6)
    page.get_by_role("button", name="Terminate").first.click()
    page.get_by_role("button", name="Terminate 1 run").click()
    with DagsterInstance.from_config(str(tmp_path / "home")) as instance:
        wait_until(lambda: instance.get_runs()[0].status == DagsterRunStatus.CANCELED)
        at_end = tried(tmp_path)
        assert len(at_end) < N_ITEMS
        done = set(instance.get_materialized_partitions(SAMPLES))
        assert not instance.fetch_observations(SAMPLES, limit=10).records
    assert len(done) >= 2
    time.sleep(2.5)  # nothing may happen; longer than an item takes
    assert tried(tmp_path) == at_end
    page.goto(f"{ui}/runs")
    page.get_by_text("Canceled").first.wait_for()
