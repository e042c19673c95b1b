"""``curator demo``: a real dataset, curated end to end through Dagster."""

from __future__ import annotations

import multiprocessing
import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from curator_core.errors import CuratorError, MissingDependencyError, OutputError, StoreBusyError
from curator_core.storage import ADVICE, exclusive_lock, location_of, make_folder, publish_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dagster import DagsterEvent, DagsterInstance

    from curator_core import Pipeline, Plan
    from curator_core.storage import OutputLocation

INTERRUPTED = 130
"""Exit status after Ctrl-C, as a shell has it."""
MAX_LISTED = 10
"""Failed files that are listed one by one."""
N_FILES = 12
"""Files that the demo's input is made of."""


@click.command("demo")
@click.option(
    "--directory", default="demo", show_default=True, type=click.Path(file_okay=False), help="Where everything goes."
)
@click.option(
    "--variants",
    default=54,
    show_default=True,
    type=click.IntRange(min=1),
    help="Rattled copies of each of the 81 molecules, when the input is made.",
)
def demo_command(directory: str, variants: int) -> int:
    """Curate 4,374 molecular structures into a Zarr dataset through Dagster, and show the result.

    The input is made once; after that, only what is new, changed or missing is processed. Add, change or
    delete .aselmdb files in DIRECTORY/input and run it again.
    """
    for package, extra in (("dagster", "dagster"), ("ase_db_backends", "atoms"), ("zarr", "atoms")):
        _require(package, extra)
    folder = Path(directory)
    os.environ["CURATOR_DEMO_DIR"] = directory  # read by the code location, here and in the steps' processes
    try:
        make_folder(folder)
        with exclusive_lock(folder / ".lock", timeout_s=0, holder="curator demo"):
            return _Demo(folder, variants).run()
    except StoreBusyError:
        raise click.ClickException(f"Another demo is running in {directory}; wait for it, or stop it.") from None
    except CuratorError:
        raise
    except Exception as exc:
        if not re.search("No space left on device|disk is full", str(exc)):
            raise
        # Neither LMDB nor Dagster's storage names a file, or raises an OSError.
        raise OutputError(f"There is no room in {directory}: {exc}. {ADVICE} It goes on.", file=directory) from exc


def _require(package: str, extra: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise MissingDependencyError.of(package, extra, "The demo")


class _Demo:
    """One run of the demo in its folder."""

    def __init__(self, folder: Path, variants: int) -> None:
        from rich.console import Console

        self.folder = folder
        self.input = folder / "input"
        self.variants = variants
        self.is_interrupted = False
        self.is_failed = False
        self.console = Console(highlight=False, soft_wrap=True)

    def run(self) -> int:
        """Make the input if need be, refresh, report; returns the exit status."""
        started = time.monotonic()
        self._make_input()
        from curator_core.session import Session
        from curator_dagster.curation.curation import Curation
        from curator_dagster.demo_definitions import CURATION, molecules_pipeline
        from curator_dagster.steps.dataset import is_current

        curation = Curation.of(CURATION, molecules_pipeline, prune=True)
        pipeline = curation.open_pipeline()
        listing = curation.list_source(pipeline)  # before anything is made beside an input that is of no use
        with _instance(self.folder) as instance:
            _end_dead_runs(instance)
            with Session(pipeline, listing=listing) as session:
                session.take_over()
                plan, is_done = session.plan, is_current(instance, curation, session)
            if is_done:
                self.console.print(f"Everything is up to date: {len(plan.items)} files, nothing to do.")
            else:
                counts = ", ".join(f"{n} {reason}" for reason, n in plan.counts().items())
                self.console.print(f"Refreshing through Dagster: {counts}")
                self._refresh(instance, pipeline, len(plan.due))
                pipeline = curation.open_pipeline()
                with Session(pipeline) as session:
                    session.take_over()  # the journal of a killed step, too
                    plan = session.plan
        return self._report(pipeline, plan, time.monotonic() - started)

    def _make_input(self) -> None:
        if self.input.exists():
            return
        self.console.print(f"Making the input: the G2 molecules with EMT energies and forces, {N_FILES} files …")
        from curator_core.domains.atoms import write_g2_emt

        unfinished = self.folder / ".input-unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            write_g2_emt(unfinished, n_files=N_FILES, n_variants=self.variants)
            unfinished.rename(self.input)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)  # on a full disk, it would take what becomes free

    def _refresh(self, instance: DagsterInstance, pipeline: Pipeline[Any], n_due: int) -> None:
        from dagster import execute_job, reconstructable

        from curator_dagster import demo_definitions
        from curator_dagster.cli.follow import following

        log = self.folder / "refresh.log"
        _start_fork_server(log)
        with _noted_interrupts() as was_interrupted, following(pipeline, n_due):
            result = execute_job(
                reconstructable(demo_definitions.molecules_refresh),
                instance=instance,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                tags={LAUNCHED_BY: "demo"},
            )
            self.is_interrupted = was_interrupted()
        self.is_failed = not result.success
        if self.is_failed and not self.is_interrupted:
            self._explain(result.all_events, log)

    def _explain(self, events: Sequence[DagsterEvent], log: Path) -> None:
        from rich.markup import escape

        for event in events:
            if event.is_step_failure:
                reported = event.step_failure_data
                said = reported.user_failure_data.description if reported.user_failure_data else None
                why = said or (reported.error.message if reported.error else event.message)
                self.console.print(f"[red]{event.step_key}[/red] {escape(str(why).strip())}")
        self.console.print(f"The run failed; what its steps said is in {log}, the rest in make ui.")

    def _report(self, pipeline: Pipeline[Any], plan: Plan, elapsed_s: float) -> int:
        if self.is_interrupted:
            n_done = len(plan.items) - len(plan.due)
            self.console.print(f"Interrupted: {n_done} of {len(plan.items)} files are done; run it again to go on.")
            return INTERRUPTED
        from curator_dagster.demo_definitions import demo_dataset

        dataset = location_of(demo_dataset())
        self._show_result(pipeline, plan, dataset, elapsed_s)
        if not dataset.exists():
            return 1
        self.console.print(
            "\nGo on with:\n  make ui        the partitions and their history in Dagster\n"
            '  python -c "from curator_core.domains.atoms import AtomicDataset; '
            f"print(AtomicDataset('{dataset.path}')[0])\"",
            markup=False,
        )
        return 1 if plan.due or self.is_failed else 0

    def _show_result(self, pipeline: Pipeline[Any], plan: Plan, dataset: OutputLocation, elapsed_s: float) -> None:
        from rich.markup import escape
        from rich.table import Table

        from curator_core.merge import DatasetFacts

        facts = DatasetFacts(pipeline).description
        state = "" if not (self.is_failed or plan.due) else " (as the last good refresh left it)"
        table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
        rows = {
            "files": f"{len(plan.items) - len(plan.due)} of {len(plan.items)} curated",
            "structures": f"{facts.get('n_systems', 0):,}",
            "atoms": f"{facts.get('n_atoms', 0):,}",
            "seconds": f"{elapsed_s:.1f}",
            "dataset": f"{dataset.path}{state}" if dataset.exists() else "not published yet",
            "statistics": dataset.beside("statistics.parquet").path,
            "metrics": str(pipeline.db_path),
        }
        for name, value in rows.items():
            table.add_row(f"[bold]{name}[/bold]", value)
        self.console.print(table)
        for item in plan.due[:MAX_LISTED]:
            what = "failed" if item.reason == "failed" else "not done"
            self.console.print(f"[red]{what}[/red] {escape(item.key)}: {escape(item.detail or item.reason)}")
        if len(plan.due) > MAX_LISTED:
            self.console.print(f"and {len(plan.due) - MAX_LISTED} more")


@contextmanager
def _noted_interrupts() -> Iterator[Callable[[], bool]]:
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


def _start_fork_server(log: Path) -> None:
    """Start the server that the steps are forked from, what they print going to a file.

    Dagster would start it a moment later, with this process's standard error, and every step says there
    that it started.
    """
    from curator_dagster.definitions import preload_modules
    from curator_dagster.demo_definitions import PRELOAD

    multiprocessing.get_context("forkserver").set_forkserver_preload(preload_modules(PRELOAD))
    terminal = os.dup(2)
    with Path(log).open("ab") as file:
        os.dup2(file.fileno(), 2)
        try:
            forkserver.ensure_running()
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


LAUNCHED_BY = "curator/launched_by"
"""Tag of the demo's runs."""


def _instance(folder: Path) -> DagsterInstance:
    """The Dagster instance under the demo's folder: SQLite, nothing to install or start."""
    from dagster import DagsterInstance

    home = (folder / "dagster_home").absolute()
    make_folder(home)
    config = home / "dagster.yaml"
    if not config.exists():
        publish_text("telemetry:\n  enabled: false\n", config)
    os.environ["DAGSTER_HOME"] = str(home)
    return DagsterInstance.get()


def _end_dead_runs(instance: DagsterInstance) -> None:
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
