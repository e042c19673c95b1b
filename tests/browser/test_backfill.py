"""A day with Dagster's UI: backfill, a failed item, its repair, the dataset, new data, ten thousand partitions."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.xdist_group("browser")]

NUMBERS = Path(__file__).parents[1] / "dagster" / "numbers_location.py"
MANY = Path(__file__).with_name("many_location.py")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six files, one of them bad; an instance as ``curator dagster init`` makes it."""
    made = tmp_path_factory.mktemp("backfill")
    (made / "input").mkdir()
    for name in "abcdef":
        (made / "input" / f"{name}.txt").write_text("x" if name == "c" else "1 2")
    curator = str(Path(sys.executable).with_name("curator"))
    subprocess.run([curator, "dagster", "init", str(made / "home")], check=True, capture_output=True)
    return made


@pytest.fixture(scope="module")
def environment(folder):
    return {
        "DAGSTER_HOME": str(folder / "home"),
        "NUMBERS_FOLDER": str(folder),
        "NUMBERS_EXECUTOR": "in_process",
        "NUMBERS_WATCH": "1",
    }


@pytest.fixture(scope="module")
def ui(folder, environment, dagster_dev):
    curator = str(Path(sys.executable).with_name("curator"))
    settings = os.environ | environment
    subprocess.run([curator, "sync", "-f", str(NUMBERS)], env=settings, check=True, capture_output=True)
    refresh = [sys.executable, "-m", "dagster", "job", "execute", "-f", str(MANY), "-j", "many_refresh"]
    subprocess.run(refresh, env=settings, check=True, capture_output=True)
    with dagster_dev(folder, "-f", str(NUMBERS), "-f", str(MANY), **environment) as address:
        yield address


def partitions(page, ui):
    page.goto(f"{ui}/assets/numbers/samples?view=partitions")


def materialize(page, what):
    page.get_by_role("button", name="Materialize…").first.click()
    page.get_by_role("button", name=what, exact=True).click()
    page.get_by_role("button", name="Launch").last.click()


def test_a_backfill_over_all_partitions_and_the_repair_of_what_failed(folder, ui, page, picture):
    """Launched from the partitions dialog; the failed item tells its error; one click processes it alone."""
    partitions(page, ui)
    page.get_by_text("Missing (6)").wait_for()
    materialize(page, "All")
    page.get_by_text("Materialized (5)").wait_for()
    page.get_by_text("Failed (1)").wait_for()
    page.get_by_text("c.txt").first.click()
    page.get_by_text("failed, and did not materialize this asset").wait_for()
    picture("failed-partition")
    page.get_by_role("button", name="View all historical events").click()
    page.get_by_text("Historical events for c.txt").wait_for()
    page.locator("table").get_by_text("c.txt").click()
    page.get_by_text("curator/traceback").wait_for()
    assert page.get_by_text("invalid literal for int() with base 10: 'x'").count()
    picture("failed-item")
    page.get_by_role("button", name="OK").click()
    (folder / "input" / "c.txt").write_text("5")
    materialize(page, "Failed and missing")
    page.get_by_text("Materialized (6)").wait_for()
    assert sorted((folder / "invocations.txt").read_text().split()) == sorted(
        [*(f"{name}.txt" for name in "abcdef"), "c.txt"]
    )


def test_the_dataset_is_materialized_and_shows_what_is_in_it(folder, ui, page, picture):
    """With one click, once its samples are there."""
    page.goto(f"{ui}/assets/numbers/dataset")
    page.get_by_role("button", name="Materialize").first.click()
    page.get_by_text("ago", exact=False).first.wait_for()
    page.reload()
    page.get_by_text("curator/n_items").first.wait_for()
    assert (folder / "output" / "numbers.json").exists()


def test_the_sensor_is_turned_on_and_sees_a_new_file_arrive(folder, ui, page, picture):
    """Only the new file is processed, and the dataset holds it."""
    page.goto(f"{ui}/automation")
    row = page.locator("div", has_text="numbers_new_data").locator("input[type=checkbox]").last
    row.click(force=True)
    (folder / "input" / "g.txt").write_text("7")
    partitions(page, ui)
    page.get_by_text("Materialized (7)").wait_for()
    picture("new-file")
    assert (folder / "invocations.txt").read_text().count("g.txt") == 1


def test_ten_thousand_partitions_are_a_page_one_can_use(ui, page, picture):
    """Counts, search and an item's metadata come up."""
    page.goto(f"{ui}/assets/many/samples?view=partitions")
    page.get_by_text("Materialized (10,000)").wait_for()
    page.get_by_placeholder("Filter by name…").fill("009876")
    page.get_by_text("009876").first.click()
    page.get_by_text("curator/wall_time_s", exact=True).wait_for()
    picture("ten-thousand")
