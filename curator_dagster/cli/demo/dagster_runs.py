"""The Dagster instance of a demo, and runs on it in this process."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver
from pathlib import Path
from typing import TYPE_CHECKING

from curator_core.storage import make_folder, publish_text

if TYPE_CHECKING:
    from dagster import DagsterInstance

LAUNCHED_BY = "curator/launched_by"
"""Tag of the demo's runs."""


@contextmanager
def noted_interrupts() -> Iterator[Callable[[], bool]]:
    """Function that says whether Ctrl-C came meanwhile.

    Dagster handles it, and ends the run as canceled or as failed, depending on which process got it first.
    """
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

    def came() -> bool:
        try:
            return signal.SIGINT in os.read(reader, 4096)
        except BlockingIOError:  # no signal at all
            return False

    try:
        yield came
    finally:
        signal.set_wakeup_fd(before)
        os.close(reader)
        os.close(writer)


def start_fork_server(log: Path, preload: Sequence[str]) -> None:
    """Start the server that the steps are forked from, what they print going to a file.

    Dagster would start it a moment later, with this process's standard error, and every step says there
    that it started.
    """
    from curator_dagster.definitions import preload_modules

    multiprocessing.get_context("forkserver").set_forkserver_preload(preload_modules(preload))
    terminal = os.dup(2)
    with Path(log).open("ab") as file:
        os.dup2(file.fileno(), 2)
        try:
            forkserver.ensure_running()
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


def demo_instance(folder: Path) -> DagsterInstance:
    """The Dagster instance under the demo's folder: SQLite, nothing to install or start."""
    from dagster import DagsterInstance

    home = (folder / "dagster_home").absolute()
    make_folder(home)
    config = home / "dagster.yaml"
    if not config.exists():
        publish_text("telemetry:\n  enabled: false\n", config)
    os.environ["DAGSTER_HOME"] = str(home)
    return DagsterInstance.get()


def end_dead_runs(instance: DagsterInstance) -> None:
    """Mark unfinished runs of earlier demos as failed: the lock says that their processes are gone."""
    from dagster import DagsterRunStatus, RunsFilter

    from curator_dagster._compat.runs import report_run_dead

    unfinished = [
        DagsterRunStatus.NOT_STARTED,
        DagsterRunStatus.STARTING,
        DagsterRunStatus.STARTED,
        DagsterRunStatus.CANCELING,
    ]
    for run in instance.get_runs(RunsFilter(statuses=unfinished, tags={LAUNCHED_BY: "demo"})):
        report_run_dead(instance, run, "The process of this run was killed.")
