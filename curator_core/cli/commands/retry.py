"""`curator retry`: process the failed items again."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from curator_core.cli.commands.run import Request, backend_option, jobs_option, process, quiet_option
from curator_core.cli.exitcodes import ExitCode
from curator_core.cli.loading import existing_database, load_pipeline
from curator_core.cli.options import CuratorCommand, database_option, pipeline_argument
from curator_core.cli.output import counted, say
from curator_core.errors import StoreError
from curator_core.pipeline.pipeline import Pipeline
from curator_core.session.session import Session


@click.command(cls=CuratorCommand, examples=("retry atoms.yaml", "retry atoms.yaml -j 8"))
@pipeline_argument
@jobs_option
@backend_option
@database_option
@quiet_option
def retry(*, path: str, n_jobs: int, backend: str, db_file: str | None, quiet: bool) -> ExitCode:
    """Process the failed items of PIPELINE again.

    These are the items whose last processing failed, in the last run of the pipeline; all others are left as they
    are, also those that have not been processed yet. What succeeds now is complete as if it had never failed.
    """
    pipeline = load_pipeline(path, db_file=db_file)
    pipeline = pipeline.with_settings(db_file=existing_database(pipeline, path))
    failed, n_vanished, n_open = _failed(pipeline)
    if n_vanished:
        say(f"{counted(n_vanished, 'failed item')} no longer in the source.", err=True)
    if not failed:
        if not quiet:
            _say_nothing_failed(path, str(pipeline.db_file), n_open)
        return ExitCode.OK
    request = Request(
        path=path,
        n_jobs=n_jobs,
        backend=backend,
        resume=True,
        indices=tuple(range(index, index + 1) for index in failed),
        db_file=db_file,
        quiet=quiet,
        is_retry=True,
    )
    return process(pipeline, request)


def _say_nothing_failed(path: str, db_file: str, n_open: int) -> None:
    say("Nothing to do: no item is recorded as failed.")
    if n_open:
        command = shlex.join(["curator", "run", path, "--resume", "--db", db_file])
        say(f"{counted(n_open, 'item')} not processed yet: {command}")


def _failed(pipeline: Pipeline[Any]) -> tuple[list[int], int, int]:
    """Indices of the failed items; the numbers of failed items that vanished, and of items without a result."""
    path = Path(str(pipeline.db_file))
    with Session(pipeline, resume=True) as session:
        if session.run_id is None:
            raise StoreError(f"{path} holds no run of this configuration, so there is nothing to try again.")
        session.writer.fold()  # what an interrupted run left in journals may have failed, or succeeded, too
        recorded = session.store.items(session.writer.run_id)
        session.rest()
        listing = session.listing
    failed = [record.key for record in recorded.values() if record.status == "error"]
    present = sorted(listing.positions[key] for key in failed if key in listing.positions)
    return present, len(failed) - len(present), sum(key not in recorded for key in listing.keys)
