"""What the demos share: make the input, refresh through Dagster, show what came out."""

from __future__ import annotations

import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from curator_core.storage import location_of
from curator_dagster.cli.demo.dagster_runs import (
    LAUNCHED_BY,
    demo_instance,
    end_dead_runs,
    noted_interrupts,
    start_fork_server,
)

if TYPE_CHECKING:
    from dagster import DagsterEvent, DagsterInstance, JobDefinition

    from curator_core import Pipeline, Plan
    from curator_core.session import PlannedItem
    from curator_core.storage import OutputLocation

INTERRUPTED = 130
"""Exit status after Ctrl-C, as a shell has it."""
MAX_LISTED = 10
"""Failed files that are listed one by one."""


@dataclass(frozen=True)
class Part:
    """One of the curations of a demo."""

    name: str
    """Of the curation."""
    definitions: ModuleType
    """The code location: its ``PRELOAD`` is what steps find loaded."""
    pipeline: Callable[[], Pipeline[Any]]
    refresh: Callable[[], JobDefinition]
    """Gives the job, by a name that Dagster can import."""
    dataset: str
    """Path or URL of what is published."""
    refused: frozenset[str] = frozenset()
    """Keys of the files that are refused, as they should be."""


@dataclass(frozen=True)
class Refreshed:
    """How a part stands after its refresh."""

    part: Part
    pipeline: Pipeline[Any]
    plan: Plan
    is_failed: bool = False
    """Whether the run failed, for more than the files that are refused as they should be."""

    @property
    def dataset(self) -> OutputLocation:
        """Where it is published."""
        return location_of(self.part.dataset)

    @property
    def left(self) -> list[PlannedItem]:
        """Files that should be curated, and are not."""
        return [item for item in self.plan.due if item.key not in self.part.refused]

    @property
    def refused(self) -> dict[str, str]:
        """Rows for the files that are refused, and why."""
        found = [item for item in self.plan.due if item.key in self.part.refused]
        return {f"refused {number}": f"{item.key}: {item.detail}" for number, item in enumerate(found, 1)}

    @property
    def progress(self) -> str:
        """How many files are curated, of how many."""
        return f"{len(self.plan.items) - len(self.plan.due)} of {len(self.plan.items)}"


class InterruptedRefreshError(Exception):
    """Ctrl-C came during a refresh."""


class Tour(ABC):
    """One run of a demo in its folder."""

    def __init__(self, folder: Path) -> None:
        from rich.console import Console

        self.folder = folder
        self.console = Console(highlight=False, soft_wrap=True)

    @abstractmethod
    def follow(self) -> Sequence[Refreshed]:
        """Make the input and refresh; how each part stands then."""

    @abstractmethod
    def rows(self, refreshed: Refreshed) -> Mapping[str, str]:
        """What is shown of a part that is published, by name."""

    @abstractmethod
    def next_steps(self) -> Sequence[str]:
        """Commands that may be wanted next."""

    def run(self) -> int:
        """Follow the tour and show what came out; returns the exit status."""
        started = time.monotonic()
        try:
            parts = self.follow()
        except InterruptedRefreshError as interrupted:
            self.console.print(str(interrupted))
            return INTERRUPTED
        for refreshed in parts:
            self._show(refreshed)
        self.console.print(f"[bold]seconds[/bold]      {time.monotonic() - started:.1f}")
        if not all(refreshed.dataset.exists() for refreshed in parts):
            return 1
        self.console.print("\nGo on with:", *(f"  {line}" for line in self.next_steps()), sep="\n", markup=False)
        return 1 if any(refreshed.is_failed or refreshed.left for refreshed in parts) else 0

    def make_input(self, target: Path, what: str, write: Callable[[Path], object]) -> None:
        """Write input files, where there are none."""
        if target.exists():
            return
        self.console.print(f"Making the input: {what} …")
        unfinished = target.with_name(f".{target.name}-unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            write(unfinished)
            unfinished.rename(target)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)  # on a full disk, it would take what becomes free

    def refresh(self, part: Part) -> Refreshed:
        """Process what is due and publish, through Dagster.

        Raises
        ------
        InterruptedRefreshError
            Ctrl-C came; the message says how far it is.
        """
        from curator_core.session import Session
        from curator_dagster.curation.curation import Curation
        from curator_dagster.steps.dataset import is_up_to_date

        curation = Curation.of(part.name, part.pipeline, prune=True, max_missing=len(part.refused))
        pipeline = curation.open_pipeline()
        listing = curation.list_source(pipeline)  # before anything is made beside an input that is of no use
        with demo_instance(self.folder) as instance:
            end_dead_runs(instance)
            with Session(pipeline, listing=listing) as session:
                session.take_over()
                before = Refreshed(part, pipeline, session.plan)
                if not before.left and is_up_to_date(instance, curation, session):
                    self.console.print(f"Everything is up to date: {len(before.plan.items)} files, nothing to do.")
                    return before
            counts = ", ".join(f"{n} {reason}" for reason, n in before.plan.counts().items())
            self.console.print(f"Refreshing through Dagster: {counts}")
            events, is_interrupted = self._execute(instance, before)
            pipeline = curation.open_pipeline()
            with Session(pipeline) as session:
                session.take_over()  # the journal of a killed step, too
                plan = session.plan
                is_good = events is None or (bool(part.refused) and is_up_to_date(instance, curation, session))
        after = Refreshed(part, pipeline, plan, is_failed=not is_good)
        if is_interrupted:
            raise InterruptedRefreshError(f"Interrupted: {after.progress} files are done; run it again to go on.")
        if events is not None and after.is_failed:
            self._explain(events)
        return after

    @property
    def _log(self) -> Path:
        return self.folder / "refresh.log"

    def _execute(self, instance: DagsterInstance, before: Refreshed) -> tuple[Sequence[DagsterEvent] | None, bool]:
        """Events of a run that failed, and whether Ctrl-C came."""
        from dagster import execute_job, reconstructable

        from curator_dagster.cli.follow import following

        start_fork_server(self._log, before.part.definitions.PRELOAD)
        with noted_interrupts() as was_interrupted, following(before.pipeline, len(before.plan.due)):
            result = execute_job(
                reconstructable(before.part.refresh),
                instance=instance,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                tags={LAUNCHED_BY: "demo"},
            )
            return None if result.success else result.all_events, was_interrupted()

    def _explain(self, events: Sequence[DagsterEvent]) -> None:
        from rich.markup import escape

        for event in events:
            if event.is_step_failure:
                reported = event.step_failure_data
                said = reported.user_failure_data.description if reported.user_failure_data else None
                why = said or (reported.error.message if reported.error else event.message)
                self.console.print(f"[red]{event.step_key}[/red] {escape(str(why).strip())}")
        self.console.print(f"The run failed; what its steps said is in {self._log}, the rest in make ui.")

    def _show(self, refreshed: Refreshed) -> None:
        from rich.markup import escape
        from rich.table import Table

        dataset, is_whole = refreshed.dataset, not (refreshed.is_failed or refreshed.left)
        state = "" if is_whole else " (as the last good refresh left it)"
        table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
        rows = {
            "files": f"{refreshed.progress} curated",
            "dataset": f"{dataset.path}{state}" if dataset.exists() else "not published yet",
            **(self.rows(refreshed) if dataset.exists() else {}),
            "metrics": str(refreshed.pipeline.db_path),
        }
        for name, value in rows.items():
            table.add_row(f"[bold]{name:11}[/bold]", escape(value))
        self.console.print(table)
        left = refreshed.left
        for item in left[:MAX_LISTED]:
            what = "failed" if item.reason == "failed" else "not done"
            self.console.print(f"[red]{what}[/red] {escape(item.key)}: {escape(item.detail or item.reason)}")
        if len(left) > MAX_LISTED:
            self.console.print(f"and {len(left) - MAX_LISTED} more")
