"""Dagster's UI in a real browser, on the finished demo: what a person sees after ``make demo`` and ``make ui``."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def ui(tmp_path_factory, dagster_dev):
    """Address of the UI that ``make ui`` opens, where the demo has run."""
    folder = tmp_path_factory.mktemp("ui")
    curator = str(Path(sys.executable).with_name("curator"))
    done = subprocess.run(
        [curator, "demo", "--variants", "2"], cwd=folder, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    workspace = Path(__file__).parents[2] / "workspace.yaml"
    with dagster_dev(folder, "-w", str(workspace), DAGSTER_HOME=str(folder / "demo" / "dagster_home")) as address:
        yield address


@pytest.mark.campaign
def test_the_partitions_page_is_all_green_and_shows_what_an_item_cost(ui, page, picture):
    """Twelve partitions, all materialized; one click shows the item's metadata."""
    page.goto(f"{ui}/assets/molecules/samples?view=partitions")
    page.get_by_text("Materialized (12)").wait_for()
    assert page.get_by_text("Failed (0)").is_visible()
    assert page.get_by_text("Missing (0)").is_visible()
    page.get_by_text("g2_emt_004.aselmdb").first.click()
    page.get_by_text("curator/wall_time_s", exact=True).wait_for()
    text = page.inner_text("body")
    assert re.search(r"curator/key\s+g2_emt_004.aselmdb", text)
    assert "curator/peak_memory_mib" in text
    assert re.search(r"curator/path\s+/.+/g2_emt_004.aselmdb", text)
    picture("partitions")


@pytest.mark.campaign
def test_the_datasets_page_tells_what_is_in_it_and_that_it_was_checked(ui, page):
    """Tables of variables and statistics, a picture, and three checks that passed."""
    page.goto(f"{ui}/assets/molecules/dataset?view=events")
    for name in ("plot", "statistics", "schema"):
        page.get_by_text(f"curator/{name}", exact=True).wait_for()
    assert page.get_by_text("energy_per_atom", exact=True).count() == 1
    page.goto(f"{ui}/assets/molecules/dataset?view=checks")
    page.get_by_text("All 12 items are in the dataset.").wait_for()
    assert page.get_by_text("Succeeded", exact=True).count() == 3
