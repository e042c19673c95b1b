"""Dagster's UI with its daemon, and a headless Chromium to look at it.

With ``CURATOR_SCREENSHOTS=DIR`` the pictures of the documentation are made.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

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


@pytest.fixture(scope="session")
def dagster_dev():
    """Function that runs ``dagster dev`` while its ``with`` block lasts, and gives the UI's address."""

    @contextlib.contextmanager
    def run(folder, *locations, **environment):
        port = free_port()
        command = [sys.executable, "-m", "dagster", "dev", *locations, "--host", "127.0.0.1", "--port", str(port)]
        with Path(folder / "ui.log").open("w") as log:
            running = subprocess.Popen(command, cwd=folder, env=os.environ | environment, stdout=log, stderr=log)
        try:
            yield _address(running, port, folder / "ui.log")
        finally:
            running.send_signal(signal.SIGINT)
            running.wait(timeout=60)

    return run


def _address(running, port, log):
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(f"{address}/server_info", timeout=2):
                return address
        except OSError:
            assert running.poll() is None, log.read_text()
            assert time.monotonic() < deadline, "the UI did not come up"
            time.sleep(0.2)


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield found
        found.close()


@pytest.fixture
def page(browser):
    opened = browser.new_page(viewport={"width": 1400, "height": 860})
    opened.set_default_timeout(90_000)
    invitation = opened.get_by_text("Skip", exact=True)  # to Dagster's community, on the first visit
    opened.add_locator_handler(invitation, invitation.click)
    yield opened
    opened.close()


@pytest.fixture
def picture(page):
    """Function that makes a picture of the documentation, when these are asked for; of the page's upper part."""

    def take(name, height=860):
        if folder := os.environ.get("CURATOR_SCREENSHOTS"):
            clip = {"x": 0, "y": 0, "width": 1400, "height": height}
            page.screenshot(path=str(Path(folder) / f"{name}.png"), clip=clip)

    return take
