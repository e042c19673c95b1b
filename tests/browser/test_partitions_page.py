"""Dagster's UI in a real browser, on the finished demo: what a person sees after ``make demo`` and ``make ui``.

With ``CURATOR_SCREENSHOTS=DIR`` the pictures of the documentation are made.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.xdist_group("browser")]

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory):
    """A folder in which the demo has run."""
    folder = tmp_path_factory.mktemp("ui")
    curator = str(Path(sys.executable).with_name("curator"))
    done = subprocess.run(
        [curator, "demo", "--variants", "2"], cwd=folder, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return folder


@pytest.fixture(scope="module")
def ui(demo_folder):
    """Address of the UI that ``make ui`` opens."""
    port = free_port()
    workspace = Path(__file__).parents[2] / "workspace.yaml"
    command = [sys.executable, "-m", "dagster", "dev", "-w", str(workspace), "--host", "127.0.0.1", "--port", str(port)]
    environment = os.environ | {"DAGSTER_HOME": str(demo_folder / "demo" / "dagster_home")}
    with Path(demo_folder / "ui.log").open("w") as log:
        running = subprocess.Popen(command, cwd=demo_folder, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 90
    while True:
        try:
            with urllib.request.urlopen(f"{address}/server_info", timeout=2):
                break
        except OSError:
            assert running.poll() is None, (demo_folder / "ui.log").read_text()
            assert time.monotonic() < deadline, "the UI did not come up"
            time.sleep(0.2)
    yield address
    running.terminate()
    running.wait(timeout=60)


@pytest.fixture
def page(tmp_path):
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        opened = browser.new_page(viewport={"width": 1400, "height": 860})
        yield opened
        browser.close()


def test_the_partitions_page_is_all_green_and_shows_what_an_item_cost(ui, page):
    """Twelve partitions, all materialized; one click shows the item's metadata."""
    page.goto(f"{ui}/assets/molecules/samples?view=partitions")
    page.get_by_text("Skip", exact=True).click(timeout=60_000)  # Dagster's invitation to its community
    page.get_by_text("Materialized (12)").wait_for(timeout=60_000)
    assert page.get_by_text("Failed (0)").is_visible()
    assert page.get_by_text("Missing (0)").is_visible()
    page.get_by_text("g2_emt_004.aselmdb").first.click()
    page.get_by_text("curator/wall_time_s", exact=True).wait_for(timeout=60_000)
    text = page.inner_text("body")
    assert re.search(r"curator/key\s+g2_emt_004.aselmdb", text)
    assert "curator/peak_memory_bytes" in text
    if folder := os.environ.get("CURATOR_SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / "partitions.png"))


def test_the_datasets_page_tells_what_is_in_it_and_that_it_was_checked(ui, page):
    """Tables of variables and statistics, a picture, and three checks that passed."""
    page.goto(f"{ui}/assets/molecules/dataset?view=events")
    for name in ("plot", "statistics", "schema"):
        page.get_by_text(f"curator/{name}", exact=True).wait_for(timeout=60_000)
    assert page.get_by_text("energy_per_atom", exact=True).count() == 1
    page.goto(f"{ui}/assets/molecules/dataset?view=checks")
    page.get_by_text("All 12 items are in the dataset.").wait_for(timeout=60_000)
    assert page.get_by_text("Succeeded", exact=True).count() == 3
