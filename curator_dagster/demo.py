"""``curator demo``: a real dataset, curated end to end through Dagster."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from curator_core.atomic import exclusive_lock
from curator_core.errors import MissingDependencyError, StoreBusyError

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from curator_core import Pipeline
    from curator_core.plan import Plan

N_FILES = 12
N_VARIANTS = 54
"""Of each of the 81 molecules: 4,374 structures."""


@click.command("demo")
@click.option(
    "--directory", default="demo", show_default=True, type=click.Path(file_okay=False), help="Where everything goes."
)
def demo_command(directory: str) -> None:
    """Curate 4,374 molecules into a Zarr dataset through Dagster, and show the result.

    The input is made once; after that, only what is new, changed or missing is processed. Add, change or
    delete .aselmdb files in DIRECTORY/input and run it again.
    """
    for package, extra in (("dagster", "dagster"), ("ase_db_backends", "atoms"), ("zarr", "atoms")):
        _require(package, extra)
    folder = Path(directory)
    os.environ["CURATOR_DEMO_DIR"] = directory  # read by the code location, here and in the steps' processes
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive_lock(folder / ".lock", timeout_s=0, holder="curator demo"):
            raise SystemExit(_Demo(folder).run())
    except StoreBusyError:
        raise click.ClickException(f"Another demo is running in {directory}; wait for it, or stop it.") from None


def _require(package: str, extra: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise MissingDependencyError.of(package, extra, "The demo")


class _Demo:
    """One run of the demo in its folder."""

    def __init__(self, folder: Path) -> None:
        from rich.console import Console

        self.folder = folder
        self.input = folder / "input"
        self.console = Console(highlight=False, soft_wrap=True)

    def run(self) -> int:
        """Make the input if need be, refresh, report; returns the exit status."""
        started = time.monotonic()
        self._make_input()
        from curator_dagster.demo_definitions import molecules_pipeline
        from curator_dagster.planning import settle

        pipeline = molecules_pipeline()
        with _instance(self.folder) as instance:
            _end_dead_runs(instance)
            plan = settle(pipeline, Listing.of(pipeline.source))
            if _is_current(instance, pipeline, plan):
                self.console.print(f"Everything is up to date: {len(plan.items)} files, nothing to do.")
            else:
                counts = ", ".join(f"{n} {reason}" for reason, n in plan.counts().items())
                self.console.print(f"Refreshing through Dagster: {counts or 'no files'}")
                self._refresh(instance, pipeline, len(plan.due))
        return self._report(time.monotonic() - started)

    def _make_input(self) -> None:
        if self.input.exists():
            return
        self.console.print(f"Making the input: the G2 molecules with EMT energies and forces, {N_FILES} files …")
        from curator_core.domains.atoms.g2 import write_g2_emt

        unfinished = self.folder / ".input-unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        write_g2_emt(unfinished, n_files=N_FILES, n_variants=N_VARIANTS)
        unfinished.rename(self.input)

    def _refresh(self, instance: DagsterInstance, pipeline: Pipeline[Any], n_due: int) -> None:
        from dagster import execute_job, reconstructable

        from curator_dagster import demo_definitions
        from curator_dagster.follow import following

        with following(pipeline, n_due):
            execute_job(
                reconstructable(demo_definitions.molecules_refresh),
                instance=instance,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                tags={LAUNCHED_BY: "demo"},
            )

    def _report(self, elapsed_s: float) -> int:
        from rich.table import Table

        from curator_dagster.dataset import described
        from curator_dagster.demo_definitions import molecules_pipeline

        pipeline = molecules_pipeline()
        plan = pipeline.plan()
        facts = described(pipeline)
        table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
        rows = {
            "files": f"{len(plan.items) - len(plan.due)} of {len(plan.items)} curated",
            "structures": f"{facts.get('n_systems', 0):,}",
            "atoms": f"{facts.get('n_atoms', 0):,}",
            "seconds": f"{elapsed_s:.1f}",
            "dataset": str(self.folder / "output" / "molecules.zarr"),
            "statistics": str(self.folder / "output" / "statistics.parquet"),
            "metrics": str(pipeline.db_path),
        }
        for name, value in rows.items():
            table.add_row(f"[bold]{name}[/bold]", value)
        self.console.print(table)
        for item in plan.due:
            self.console.print(f"[red]failed[/red] {item.key}: {item.detail or item.reason}", markup=True)
        dataset = self.folder / "output" / "molecules.zarr"
        self.console.print(
            "\nGo on with:\n  make ui        the partitions and their history in Dagster\n"
            '  python -c "from curator_core.domains.atoms import AtomicDataset; '
            f"print(AtomicDataset('{dataset}')[0])\"",
            markup=False,
        )
        return 1 if plan.due else 0


LAUNCHED_BY = "curator/launched_by"
"""Tag of the demo's runs."""


def _instance(folder: Path) -> DagsterInstance:
    """The Dagster instance under the demo's folder: SQLite, nothing to install or start."""
    from dagster import DagsterInstance

    home = (folder / "dagster_home").absolute()
    home.mkdir(exist_ok=True)
    config = home / "dagster.yaml"
    if not config.exists():
        config.write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
    os.environ["DAGSTER_HOME"] = str(home)
    return DagsterInstance.get()


def _end_dead_runs(instance: DagsterInstance) -> None:
    """Mark unfinished runs of earlier demos as failed: the lock says that their processes are gone."""
    from dagster import DagsterRunStatus, RunsFilter

    from curator_dagster._compat import report_run_dead

    unfinished = [
        DagsterRunStatus.NOT_STARTED,
        DagsterRunStatus.STARTING,
        DagsterRunStatus.STARTED,
        DagsterRunStatus.CANCELING,
    ]
    for run in instance.get_runs(RunsFilter(statuses=unfinished, tags={LAUNCHED_BY: "demo"})):
        report_run_dead(instance, run, "The process of this run was killed.")


def _is_current(instance: DagsterInstance, pipeline: Pipeline[Any], plan: Plan) -> bool:
    """Whether a refresh would change nothing: not in the outputs, nor in Dagster."""
    from curator_dagster.curation import Curation
    from curator_dagster.dataset import is_published
    from curator_dagster.demo_definitions import CURATION, molecules_pipeline
    from curator_dagster.partitions import partition_key
    from curator_dagster.planning import unmirrored

    curation = Curation(CURATION, molecules_pipeline)
    keys = {partition_key(item.key) for item in plan.items}
    return (
        not plan.due
        and keys == set(instance.get_dynamic_partitions(CURATION))
        and not unmirrored(instance, curation, pipeline, plan)
        and is_published(instance, curation, pipeline, plan)
    )
