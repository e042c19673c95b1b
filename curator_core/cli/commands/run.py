"""`curator run`: process a pipeline's items."""

from __future__ import annotations

import logging
import shlex
import sys
import time
from dataclasses import dataclass
from typing import Any

import click

from curator_core.cli.database import Moment, count_since
from curator_core.cli.exitcodes import ExitCode
from curator_core.cli.indices import IndexRanges, expanded
from curator_core.cli.loading import load_pipeline
from curator_core.cli.logs import DUE_LOGGER, PROGRESS_LOGGER
from curator_core.cli.options import CuratorCommand, database_option, pipeline_argument
from curator_core.cli.output import counted, duration, one_line, say
from curator_core.engine.accumulating import check_accumulating
from curator_core.errors import PipelineStateError, RunFailed
from curator_core.merge.archive import sharded_outputs
from curator_core.pipeline.pipeline import Pipeline
from curator_core.run import run_pipeline
from curator_core.run.base import backends

MAX_FAILURES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Request:
    """The command line of `curator run`, or of `curator retry`."""

    path: str
    n_jobs: int
    backend: str
    resume: bool | None
    indices: tuple[range, ...] | None
    db_file: str | None
    quiet: bool
    is_retry: bool = False
    gather: bool = False

    def to_resume(self, pipeline: Pipeline[Any]) -> str:
        """The command line that resumes this one."""
        words = ["curator", "retry" if self.is_retry else "run", self.path]
        words += ["-j", str(self.n_jobs)] if self.n_jobs != 1 else []
        words += ["--backend", self.backend] if self.backend != "auto" else []
        if self.is_retry:
            return shlex.join([*words, *(["--db", self.db_file] if self.db_file is not None else [])])
        if self.indices is not None:
            parts = [f"{part.start}-{part.stop - 1}" if len(part) > 1 else f"{part.start}" for part in self.indices]
            words += ["--indices", ",".join(parts)]
        words += ["--gather"] if self.gather else []
        words.append("--resume")
        # A run that did not resume has a database of its own, which --resume alone would not look for.
        is_own = self.db_file is None and pipeline.db_file is None and not self.is_resumed(pipeline)
        words += ["--db", str(pipeline.db_path)] if is_own else []
        words += ["--db", self.db_file] if self.db_file is not None else []
        return shlex.join(words)

    def is_resumed(self, pipeline: Pipeline[Any]) -> bool:
        """Whether what is complete is skipped."""
        return pipeline.resume if self.resume is None else self.resume


def _complete_backend(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in ("auto", *backends.names()) if name.startswith(incomplete)]


jobs_option = click.option(
    "-j",
    "--jobs",
    "n_jobs",
    metavar="N",
    type=int,
    default=1,
    show_default=True,
    help="Number of workers; -1 for all CPUs, -2 for all but one.",
)
backend_option = click.option(
    "--backend",
    metavar="NAME",
    default="auto",
    show_default=True,
    shell_complete=_complete_backend,
    help="How items are spread over workers; `curator backends` lists them.",
)
quiet_option = click.option("-q", "--quiet", is_flag=True, help="No progress, no summary; failures are still listed.")


@click.command(
    cls=CuratorCommand,
    examples=("run atoms.yaml", "run atoms.yaml -j 8 --resume", "run atoms.yaml --indices 0,5-9 --quiet"),
)
@pipeline_argument
@jobs_option
@backend_option
@click.option(
    "--resume/--no-resume",
    default=None,
    help="Skip what is complete and unchanged, or process everything anew into a fresh database. "
    "By default what the pipeline file says, else --no-resume.",
)
@click.option(
    "--indices",
    metavar="RANGES",
    type=IndexRanges(),
    help="Only these items, counted from 0, such as 0,5-9 (both ends included).",
)
@click.option("--gather", is_flag=True, help="Merge shards into the final files at the end, as `curator gather` does.")
@database_option
@quiet_option
def run(
    *,
    path: str,
    n_jobs: int,
    backend: str,
    resume: bool | None,
    indices: tuple[range, ...] | None,
    gather: bool,
    db_file: str | None,
    quiet: bool,
) -> ExitCode:
    """Process the items of PIPELINE.

    How each item went is recorded in a metrics database. One bad item never stops the others:
    all are tried, failures are listed at the end, and the exit status is then 1. Ctrl-C stops cleanly: what is
    complete is recorded, and the command to go on with is shown.
    """
    request = Request(path, n_jobs, backend, resume, indices, db_file, quiet, gather=gather)
    return process(load_pipeline(path, db_file=db_file), request)


def process(pipeline: Pipeline[Any], request: Request) -> ExitCode:
    """Process what is requested, and print how it went."""
    if pipeline.sink is None:
        raise PipelineStateError(f"{request.path} has no sink, so its items would go nowhere: add a 'sink:'.")
    check_accumulating(pipeline.filters, "this process")
    if not request.quiet and not sys.stderr.isatty():
        logging.getLogger(PROGRESS_LOGGER).setLevel(logging.INFO)
    if pipeline.track_metrics:
        logging.getLogger(DUE_LOGGER).setLevel(logging.ERROR)  # the summary says it in words of the command line
    started = Moment.of(pipeline.with_settings(resume=request.is_resumed(pipeline)).db_path)
    try:
        outcome = _execute(pipeline, request, started)
    except KeyboardInterrupt:
        echoed = "\n" if sys.stderr.isatty() else ""  # ends the line with the terminal's ^C
        say(f"{echoed}{_interrupted(pipeline, request, started)}", err=True)
        return ExitCode.INTERRUPTED
    if not request.quiet:
        _print_summary(pipeline, request, outcome)
    if outcome.failures:
        _print_failures(pipeline, request, outcome.failures)
    return ExitCode.ITEMS_FAILED if outcome.failures else ExitCode.OK


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How a run went."""

    n_wanted: int
    """Items asked for."""
    n_skipped: int
    """Those that were up to date."""
    failures: dict[int, str]
    """``"ErrorType: message"`` by index."""
    seconds: float
    """Duration of the run."""


def _execute(pipeline: Pipeline[Any], request: Request, started: Moment) -> _Outcome:
    wanted = None if request.indices is None else expanded(request.indices, len(pipeline))
    clock = time.monotonic()
    failures: dict[int, str] = {}
    try:
        results = run_pipeline(
            pipeline,
            n_jobs=request.n_jobs,
            backend=request.backend,
            indices=wanted,
            progress=not request.quiet,
            resume=request.resume,
            gather=request.gather,
        )
    except RunFailed as exc:
        failures, results = exc.failures, exc.results
    n_good = len(results) - len(failures)
    n_done = n_good
    if request.is_resumed(pipeline) and pipeline.track_metrics:
        n_done = min(n_good, _n_recorded(pipeline, since=started))
    return _Outcome(len(results), n_good - n_done, failures, time.monotonic() - clock)


def _n_recorded(pipeline: Pipeline[Any], *, since: Moment | None) -> int:
    path = pipeline.db_path
    return count_since(path, pipeline.config_hash, since) if path is not None and path.exists() else 0


def _print_summary(pipeline: Pipeline[Any], request: Request, outcome: _Outcome) -> None:
    n_failed = len(outcome.failures)
    if outcome.n_wanted == 0:
        say("Nothing to do: the source lists no items.")
        return
    if outcome.n_skipped == outcome.n_wanted:
        say(f"Nothing to do: {counted(outcome.n_wanted, 'item')} up to date.")
    else:
        counts = [f"{outcome.n_wanted - n_failed - outcome.n_skipped:,} done", f"{n_failed:,} failed"]
        counts += [f"{outcome.n_skipped:,} skipped (up to date)"] if outcome.n_skipped else []
        say(f"{counted(outcome.n_wanted, 'item')}: {', '.join(counts)}. Took {duration(outcome.seconds)}.")
    if pipeline.db_path is not None:
        say(f"recorded in {one_line(pipeline.db_path)}")
    if request.gather and not n_failed:
        for output in sharded_outputs(pipeline):
            say(f"published {one_line(output.path)}")
    elif pipeline.track_metrics and pipeline.outputs_to_gather():
        say(f"merge the outputs: {shlex.join(['curator', 'gather', request.path])}")


def _print_failures(pipeline: Pipeline[Any], request: Request, failures: dict[int, str]) -> None:
    say(f"error: {counted(len(failures), 'item')} failed:", err=True)
    for index in sorted(failures)[:MAX_FAILURES_SHOWN]:
        say(f"  {one_line(pipeline.source.key(index))}: {one_line(failures[index])}", err=True)
    if len(failures) > MAX_FAILURES_SHOWN:
        say(f"  and {len(failures) - MAX_FAILURES_SHOWN} more", err=True)
    if pipeline.db_path is not None:
        say(f"tracebacks:  {shlex.join(['curator', 'status', str(pipeline.db_path), '--traceback'])}", err=True)
        say(f"try again:   {request.to_resume(pipeline)}", err=True)


def _interrupted(pipeline: Pipeline[Any], request: Request, started: Moment) -> str:
    if pipeline.db_path is None:
        return "Interrupted: nothing is recorded (track_metrics: false)."
    n_recorded = counted(_n_recorded(pipeline, since=None if request.is_resumed(pipeline) else started), "item")
    verb = "is" if n_recorded.startswith("1 ") else "are"
    return f"Interrupted: {n_recorded} {verb} recorded; continue with: {request.to_resume(pipeline)}"
