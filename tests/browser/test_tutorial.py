"""The tutorial's steps in Dagster's UI, one after the other; beside them a curation of ten thousand items.

``pytest -rP`` prints how long each step took.
"""

import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.docs import pages

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.campaign, pytest.mark.xdist_group("browser")]

PAGE = pages.ROOT / "docs" / "tutorial-dagster.md"
SECTIONS = list(dict.fromkeys(block.section for block in pages.blocks(PAGE)))
MANY = Path(__file__).with_name("many_location.py")


class Times:
    """How long the steps took, in their order."""

    def __init__(self):
        self.seconds = {}

    @contextmanager
    def of(self, step):
        """Measure a step; one that was measured before goes on."""
        began = time.monotonic()
        yield
        self.seconds[step] = self.seconds.get(step, 0.0) + time.monotonic() - began

    def __str__(self):
        rows = [*self.seconds.items(), ("all", sum(self.seconds.values()))]
        return "\n".join(f"{seconds:6.1f} s  {step}" for step, seconds in rows)


@pytest.fixture(scope="module")
def times():
    return Times()


@pytest.fixture(scope="module")
def reader(tmp_path_factory, times):
    """Somebody who has followed the page until Dagster's page is to be opened."""
    for module in ("pandas", "pyarrow", "datasketches", "matplotlib"):
        pytest.importorskip(module)
    found = pages.Reader(tmp_path_factory.mktemp("tutorial"))
    found.environment["NUMBERS_FOLDER"] = str(found.folder)
    for section in SECTIONS[: SECTIONS.index("Open the page")]:
        with times.of(section or "Before"):
            found.follow(PAGE, sections=(section,))
    return found


@pytest.fixture(scope="module")
def ui(reader, dagster_dev, times):
    """Address of the page that the tutorial's command opens."""
    refresh = [sys.executable, "-m", "dagster", "job", "execute", "-f", str(MANY), "-j", "many_refresh"]
    subprocess.run(refresh, env=reader.environment, check=True, capture_output=True)
    (shown,) = (block.text for block in pages.blocks(PAGE) if block.section == "Open the page")
    command = shown.splitlines()[-1].split()
    assert command[:2] == ["dagster", "dev"]
    with ExitStack() as opened:
        with times.of("Open the page"):
            dev = dagster_dev(reader.folder, *command[2:], "-f", str(MANY), **reader.environment)
            address = opened.enter_context(dev)
        yield address


def launch(page, what, button, before=lambda: None):
    """Materialize some partitions, from their dialog."""
    page.get_by_role("button", name="Materialize…").first.click()
    page.get_by_role("button", name=what, exact=True).click()
    found = page.get_by_role("button", name=button, exact=True)
    expect(found).to_be_enabled()
    before()
    found.click()


def turn_on(page, name):
    """A sensor, on the page of automations."""
    page.get_by_role("link", name="Automation").click()
    switch = page.locator("[data-index]", has_text=name).locator("label[class*=formatSwitch]")
    expect(switch.locator("input")).to_be_enabled(timeout=30_000)
    switch.click()
    expect(switch.locator("input")).to_be_checked(timeout=30_000)
    expect(switch.locator("input")).to_be_enabled(timeout=30_000)


def see_the_first_dataset(ui, page):
    page.goto(ui)
    page.get_by_role("link", name="Catalog").click()
    page.get_by_role("link", name="casts / samples").first.click()
    page.get_by_text("Partitions", exact=True).click()
    page.get_by_text("Materialized (30)").wait_for()


def process_a_broken_file(reader, page, picture):
    reader.follow(PAGE, sections=("New casts, one of them broken",))
    page.reload()
    page.get_by_text("Missing (10)").wait_for()
    launch(page, "All", "Launch backfill", before=lambda: picture("tutorial-backfill"))
    page.get_by_text("Materialized (39)").wait_for()
    page.get_by_text("Failed (1)").wait_for()
    assert "30 of 40 partitions are up to date" in (reader.folder / "ui.log").read_text()
    page.get_by_placeholder("Filter by name…").fill("036")
    page.get_by_text("cast_036.csv").first.click()
    page.get_by_text("failed, and did not materialize this asset").wait_for()
    page.get_by_role("button", name="View all historical events").click()
    page.locator("table").get_by_text("cast_036.csv").click()
    page.get_by_text("curator/traceback").wait_for()
    assert page.get_by_text("column 'temperature' holds text (string) here, and numbers (double) in 39 others").count()
    picture("tutorial-failed")
    page.get_by_text("Show Markdown").click()
    page.get_by_text("Traceback (most recent call last)").wait_for()


def publish_without_it(ui, page, picture):
    page.goto(f"{ui}/assets/casts/dataset")
    page.get_by_text("Unsynced").first.wait_for()
    page.get_by_role("button", name="Materialize").first.click()
    page.get_by_text("Launched run").wait_for()
    page.get_by_text("Checks", exact=True).click()
    page.get_by_text("1 of 40 items are not in the dataset: cast_036.csv").wait_for()
    page.reload()
    expect(page.get_by_text("Failed", exact=True)).to_have_count(3, timeout=30_000)  # two in the list, one beside it
    picture("tutorial-checks", height=770)


def repair(reader, ui, page):
    reader.follow(PAGE, sections=("Repair",))
    page.goto(f"{ui}/assets/casts/samples?view=partitions")
    launch(page, "Failed and missing", "Launch 1 run")
    page.get_by_text("Materialized (40)").wait_for()


def let_dagster_do_it(reader, ui, page, picture):
    turn_on(page, "casts_automation")
    picture("tutorial-automation", height=354)
    page.goto(f"{ui}/assets/casts/dataset?view=checks")
    page.get_by_text("All 40 items are in the dataset.").wait_for()
    turn_on(page, "casts_new_data")
    reader.follow(PAGE, sections=("Let Dagster do it",))
    page.goto(f"{ui}/assets/casts/dataset?view=checks")
    page.get_by_text("All 41 items are in the dataset.").wait_for()
    page.goto(f"{ui}/assets/casts/dataset?view=events")
    for name in ("plot", "statistics"):
        page.get_by_text(f"curator/{name}", exact=True).wait_for()
    page.get_by_role("link", name="Runs").click()
    page.get_by_text("40 up to date, 1 new").wait_for()
    picture("tutorial-runs", height=669)


@pytest.mark.timeout(900)
def test_the_tutorial_does_what_it_says(reader, ui, page, picture, times):
    """Backfill with a broken file, a dataset without it, its repair, sensors, a new file: as the page tells it."""
    steps = {
        "Open the page": lambda: see_the_first_dataset(ui, page),
        "New casts, one of them broken": lambda: process_a_broken_file(reader, page, picture),
        "A dataset without it": lambda: publish_without_it(ui, page, picture),
        "Repair": lambda: repair(reader, ui, page),
        "Let Dagster do it": lambda: let_dagster_do_it(reader, ui, page, picture),
    }
    assert [step for step in steps if step in SECTIONS] == SECTIONS[SECTIONS.index("Open the page") :]
    for section, follow in steps.items():
        with times.of(section):
            follow()
    sys.stdout.write(f"{times}\n")
    look = subprocess.run([sys.executable, "look.py"], cwd=reader.folder, capture_output=True, text=True, check=True)
    assert look.stdout.splitlines()[-1].startswith("cast_041.csv")


def test_ten_thousand_partitions_are_a_page_one_can_use(ui, page):
    """Counts, search and an item's metadata come up."""
    page.goto(f"{ui}/assets/many/samples?view=partitions")
    page.get_by_text("Materialized (10000)").wait_for()
    page.get_by_placeholder("Filter by name…").fill("009876")
    page.get_by_text("009876").first.click()
    page.get_by_text("curator/wall_time_s", exact=True).wait_for()
