"""Green partitions are processed again from Dagster's UI: from a refresh's launchpad, and from a backfill's dialog."""

import time
from collections import Counter
from pathlib import Path

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.campaign, pytest.mark.xdist_group("browser")]

LOCATION = Path(__file__).parents[1] / "dagster" / "numbers_location.py"
REFRESH = "ops: {numbers_plan: {config: {keys: [n1.txt], force: true}}}"
SELECTED = "ops: {numbers_samples: {ops: {numbers_plan_selected: {config: {force: true}}}}}"
ONCE = dict.fromkeys(["n0.txt", "n1.txt", "n2.txt", "n3.txt"], 1)


@pytest.fixture
def ui(tmp_path, dagster_dev):
    """Address of the UI over four items; nothing has run."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "dagster.yaml").write_text("telemetry: {enabled: false}\nnux: {enabled: false}\n")
    (tmp_path / "input").mkdir()
    for name in ONCE:
        (tmp_path / "input" / name).write_text("1")
    settings = {
        "DAGSTER_HOME": str(tmp_path / "home"),
        "NUMBERS_FOLDER": str(tmp_path),
        "NUMBERS_EXECUTOR": "in_process",
    }
    with dagster_dev(tmp_path, "-f", str(LOCATION), **settings) as address:
        yield address


def await_readings(folder, expected, timeout_s=120.0):
    """Wait until each item was read as often as that."""
    path, deadline = folder / "invocations.txt", time.monotonic() + timeout_s
    while (found := Counter(path.read_text().split()) if path.exists() else {}) != expected:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def type_config(page, text):
    """Replace what is in the editor of config, and wait until it is checked."""
    page.locator(".CodeMirror").first.click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(text)
    page.get_by_text("No errors").wait_for()


@pytest.mark.timeout(600)
def test_green_partitions_are_processed_again(ui, page, tmp_path):
    """One item by its key, then all that are selected; what is not is left as it is."""
    launchpad = f"{ui}/locations/{LOCATION.name}/jobs/numbers_refresh/playground"
    page.goto(launchpad)
    page.get_by_role("button", name="Launch run").click()
    await_readings(tmp_path, ONCE)
    page.get_by_text("RUN_SUCCESS").wait_for()
    page.goto(launchpad)
    type_config(page, REFRESH)
    page.get_by_role("button", name="Launch run").click()
    await_readings(tmp_path, ONCE | {"n1.txt": 2})
    page.get_by_text("RUN_SUCCESS").wait_for()
    page.goto(f"{ui}/assets/numbers/samples?view=partitions")
    page.get_by_text("Materialized (4)").wait_for()
    page.get_by_role("button", name="Materialize…").first.click()
    page.get_by_role("button", name="All", exact=True).click()
    page.get_by_text("Config", exact=True).first.click()
    page.get_by_role("button", name="Add config").click()
    type_config(page, SELECTED)
    page.get_by_role("button", name="Save config").click()
    page.get_by_text("Config saved").wait_for()
    launch = page.get_by_role("button", name="Launch backfill")
    expect(launch).to_be_enabled()
    launch.click()
    await_readings(tmp_path, {"n0.txt": 2, "n1.txt": 3, "n2.txt": 2, "n3.txt": 2})
