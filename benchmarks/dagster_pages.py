"""Pages of Dagster's UI over many items, in a headless Chromium: until a person can read what they came for."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.timing import Row

LOCATION = """
from dagster import in_process_executor
from curator_core import Pipeline, Source
from benchmarks.workload import Nowhere
from curator_dagster import build_curation_defs

class Numbers(Source[int]):
    def __len__(self):
        return {n}

    def key(self, index):
        return f"{{index:06d}}"

    def __getitem__(self, index):
        if index == 3:
            raise ValueError("three is no number")
        yield index

def pipeline():
    return Pipeline(Numbers(), [], Nowhere(), db_file="{folder}/many.db")

defs = build_curation_defs("many", pipeline, executor=in_process_executor, watch=False)
"""
LIMIT_S = 600.0
"""Longest time that anything may take, seconds."""


def page_rows(n: int = 100_000) -> Iterator[Row]:
    """The pages of a refresh of `n` items, of which one failed; each in a browser of its own, if there is one."""
    if shutil.which("chromium") is None:
        return
    from dagster import DagsterInstance  # noqa: PLC0415 - the other measurements need none

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "location.py").write_text(LOCATION.format(n=n, folder=folder))
        environment = os.environ | {
            "DAGSTER_HOME": f"{folder}/home",
            "PYTHONPATH": os.pathsep.join([folder, *sys.path]),
        }
        curator = str(Path(sys.executable).with_name("curator"))
        subprocess.run([curator, "dagster", "init", f"{folder}/home"], check=True, stdout=subprocess.DEVNULL)
        refresh = [sys.executable, "-m", "dagster", "job", "execute", "-m", "location", "-j", "many_refresh"]
        subprocess.run(refresh, env=environment, cwd=folder, check=False, capture_output=True)
        with DagsterInstance.from_config(f"{folder}/home") as instance:
            run_id = instance.get_runs()[0].run_id
        with _webserver(folder, environment) as address:
            yield from _rows(address, run_id, n)


def _rows(address: str, run_id: str, n: int) -> Iterator[Row]:
    def until(path: str, *texts: str, click: str | None = None) -> float:
        return _seconds(f"{address}{path}", lambda page: _read(page, texts, click))

    for when in ("for the first time", "again"):  # Dagster keeps what it found the first time
        taken = until("/assets/many/samples?view=partitions", f"Materialized ({n - 1})", "Failed (1)")
        yield Row(f"partitions page of {n:,} items, {when}", f"{taken:.1f} s", "≤ 6 s", taken <= 6)  # noqa: PLR2004
    summary = "1 of "
    yield Row("list of runs, until it says what failed", f"{until('/runs', summary):.1f} s")
    taken = until(f"/runs/{run_id}", summary, click="View tags and config")
    yield Row(f"run of {n:,} items, until its tags say what failed", f"{taken:.1f} s")


def _read(page: Any, texts: tuple[str, ...], click: str | None) -> None:
    if click is not None:
        page.get_by_text(click).first.click()
    for text in texts:
        page.get_by_text(text).first.wait_for()


def _seconds(address: str, read: Callable[[Any], None]) -> float:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - the other measurements need none

    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        page = browser.new_page(viewport={"width": 1400, "height": 860})
        page.set_default_timeout(LIMIT_S * 1000)
        began = time.perf_counter()
        page.goto(address)
        read(page)
        taken = time.perf_counter() - began
        browser.close()
    return taken


@contextmanager
def _webserver(folder: str, environment: dict[str, str]) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "dagster_webserver", "-m", "location", "-h", "127.0.0.1", "-p", str(port)]
    with Path(folder, "ui.log").open("w") as log:
        running = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
    try:
        while not _answers(f"http://127.0.0.1:{port}/server_info"):
            assert running.poll() is None, Path(folder, "ui.log").read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        running.send_signal(signal.SIGINT)
        running.wait()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2):  # noqa: S310 - of this machine
            return True
    except OSError:
        return False
