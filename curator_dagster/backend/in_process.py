"""The Dagster run of ``run_pipeline(backend="dagster")``: ``python -m curator_dagster.backend.in_process FOLDER``."""

# No deferred annotations here: Dagster reads those of ops as they are.
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from dagster import (
    DagsterExecutionInterruptedError,
    DagsterInstance,
    DynamicOut,
    DynamicOutput,
    JobDefinition,
    OpExecutionContext,
    build_reconstructable_job,
    execute_job,
    graph,
    in_process_executor,
    op,
)

from curator_core import IndexResult
from curator_core.errors import ConfigError
from curator_core.run import Worker, exit_with_parent
from curator_core.storage import append_whole
from curator_dagster.executors.choice import named_executor
from curator_dagster.steps.spool import Spool

_HOME = """\
telemetry:
  enabled: false
"""


def spooled_job(folder: str) -> JobDefinition:
    """The job whose pipeline, batches and executor lie in `folder`; rebuilt in every step's process."""
    spool = Spool.found(Path(folder))
    name, config = spool.executor

    @op(out=DynamicOut(int), description="Divide the items into batches.")
    def plan() -> Iterator[DynamicOutput[int]]:
        for number in range(spool.n_batches):
            yield DynamicOutput(number, mapping_key=str(number))

    @op(description="Process one batch of items.")
    def process(context: OpExecutionContext, number: int) -> int:
        n_failed, n_items = process_batch(spool, number)
        context.log.info("Batch %d: %d items, %d failed", number + 1, n_items, n_failed)
        return n_failed

    @op(description="Say how it went.")
    def collect(context: OpExecutionContext, failed: list[int]) -> None:
        context.log.info("%d items failed", sum(failed))

    @graph(name="curator")
    def curate() -> None:
        collect(plan().map(process).collect())

    return curate.to_job(name="curator_run", executor_def=named_executor(name, config))


def process_batch(spool: Spool, number: int) -> tuple[int, int]:
    """Process a batch, handing results over about twenty times a second; how many items failed, of how many."""
    exit_with_parent()
    setup, groups = spool.setup(), spool.batch(number)
    with (spool.folder / f"{number}-{os.getpid()}.results").open("ab", buffering=0) as file:

        def hand_over(handed: list[IndexResult] | ConfigError) -> None:
            append_whole(file, spool.frame(handed))

        try:
            worker = Worker(setup)
        except ConfigError as exc:
            hand_over(exc)
            raise
        n_failed = n_items = 0
        try:
            while groups:
                results, interrupt = _without_interrupt(worker.process(groups))
                hand_over(results)
                if interrupt is not None:
                    raise interrupt  # noqa: TRY301 - as Dagster raises it elsewhere
                n_items += len(results)
                n_failed += sum(not result.is_completed for result in results)
                done = {result.index for result in results}
                groups = [group for group in groups if group[0].index not in done]
        except BaseException:
            worker.save()  # the coordinator may have died
            raise
        finally:
            worker.close()
    return n_failed, n_items


def _without_interrupt(results: list[IndexResult]) -> tuple[list[IndexResult], BaseException | None]:
    """Results without that of an item that Dagster interrupted, which did not fail; and the interrupt."""
    stopped = [result for result in results if isinstance(result.exception, DagsterExecutionInterruptedError)]
    kept = [result for result in results if result not in stopped]
    return kept, stopped[0].exception if stopped else None


def _interrupt_at_end_of_input() -> None:
    """The coordinator wants this to end, or is gone: Dagster ends the steps and marks the run as canceled."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGINT)


def main(folder: str) -> int:
    """Execute the run; the exit status."""
    threading.Thread(target=_interrupt_at_end_of_input, name="curator-coordinator-watch", daemon=True).start()
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    if not os.environ.get("DAGSTER_HOME"):
        job = spooled_job(folder)
        if job.executor_def is in_process_executor:  # nobody else needs an instance, which takes seconds to make
            return 0 if job.execute_in_process(run_config=quiet, raise_on_error=False).success else 1
        home = Path(folder) / "home"
        home.mkdir()
        (home / "dagster.yaml").write_text(_HOME, encoding="utf-8")
        os.environ["DAGSTER_HOME"] = str(home)
    again = build_reconstructable_job("curator_dagster.backend.in_process", "spooled_job", (folder,))
    with DagsterInstance.get() as instance:
        return 0 if execute_job(again, instance=instance, run_config=quiet).success else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
