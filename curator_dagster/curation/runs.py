"""Runs of a curation whose process is gone: a killed one cannot say itself that it ended."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from dagster import DagsterInstance, DagsterRunStatus, OpExecutionContext, RunsFilter

from curator_dagster._compat.runs import report_run_dead, run_process
from curator_dagster.curation.curation import Curation

CURATION_TAG = "curator/curation"
"""Run tag: name of the curation."""
HOST_TAG = "curator/host"
"""Run tag: where its steps are planned."""

CLOCK_TOLERANCE_S = 5.0
"""By how much the system's boot time may be wrong, seconds."""


def begin_run(context: OpExecutionContext, curation: Curation) -> None:
    """Tag the run, and mark runs of the curation that were killed on this host as failed.

    Until then their partitions would show as in progress. Runs elsewhere are left to the run monitoring of
    Dagster's daemon.
    """
    context.instance.add_run_tags(context.run_id, {CURATION_TAG: curation.name, HOST_TAG: socket.gethostname()})
    for run_id in fail_dead_runs(context.instance, curation.name):
        context.log.warning("Run %s was killed; it is marked as failed now. This run goes on where it ended.", run_id)


def fail_dead_runs(instance: DagsterInstance, name: str) -> list[str]:
    """Mark the killed runs of one curation as failed; returns their ids."""
    here = {CURATION_TAG: name, HOST_TAG: socket.gethostname()}
    unfinished = RunsFilter(tags=here, statuses=[DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING])
    dead = []
    for run in instance.get_runs(unfinished):
        process = run_process(instance, run)
        if process is not None and not _is_alive(*process):
            report_run_dead(instance, run, f"Its process ({process[0]} on {here[HOST_TAG]}) is gone: it was killed.")
            dead.append(run.run_id)
    return dead


def _is_alive(pid: int, since: float) -> bool:
    """Whether a process that was there at a time still is; another may have got its id, after a reboot for one."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        pass
    started = _start_time(pid)
    return started is None or started <= since + CLOCK_TOLERANCE_S


def _start_time(pid: int) -> float | None:
    """Seconds since 1970, ``None`` where the system does not say. Linux: proc(5), ``starttime`` and ``btime``."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        (boot,) = (line for line in Path("/proc/stat").read_text(encoding="utf-8").splitlines() if line[:6] == "btime ")
    except OSError:
        return None
    return float(boot.split()[1]) + int(fields[19]) / os.sysconf("SC_CLK_TCK")
