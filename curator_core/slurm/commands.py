"""The scheduler's commands: submit, look, cancel."""

from __future__ import annotations

import logging
import os
import subprocess
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import TypeVar

from curator_core.errors import ConfigError, CuratorError

_ADVICE = {
    "invalid partition": "Set `partition` of SlurmCluster to one that `sinfo` lists.",
    "partition not available": "Set `partition` of SlurmCluster to one that is up (`sinfo -o '%P %a'`).",
    "invalid account": "Set `account` of SlurmCluster to one of yours (`sacctmgr show associations user=$USER`).",
    "invalid job array": "Lower `max_array_size` of SlurmResources below the cluster's MaxArraySize "
    "(`scontrol show config | grep MaxArraySize`).",
    "submitjob": "Wait until some of your jobs are done, or lower `max_array_size` of SlurmResources.",
    "maxwall": "Lower `time` of SlurmResources to what your account or QOS allows.",
    "accounting/qos policy": "Ask for less in SlurmResources, or wait until some of your jobs are done: your account "
    "or QOS has limits (`sacctmgr show associations user=$USER`, `sacctmgr show qos`).",
    "time limit": "Lower `time` of SlurmResources to what the partition allows (`sinfo -o '%P %l'`).",
    "memory specification": "Lower `mem` of SlurmResources to what a node has (`sinfo -o '%n %m'`).",
    "cpu count": "Lower `cpus_per_task` of SlurmResources to what a node has (`sinfo -o '%n %c'`).",
    "more processors": "Lower `cpus_per_task` or `nodes` of SlurmResources to what there is (`sinfo -o '%n %c'`).",
    "(gres)": "Set `gres` in `extra_sbatch` of SlurmResources to what a node has (`sinfo -o '%n %G'`).",
    "node configuration": "Ask for less in SlurmResources: no node of the partition has that much.",
}
_AWAY = (
    *("unable to contact", "connection refused", "connection failure", "connection timed out", "socket timed out"),
    *("zero bytes were transmitted", "standby mode", "temporarily una"),
)
"""What the commands say while the scheduler is down, starts again, or has too much to do."""
OUTAGE_PAUSES_S = (2, 5, 10, 20, *(60,) * 10)
"""Between questions to a scheduler that does not answer, seconds."""

T = TypeVar("T")

logger = logging.getLogger("curator")


class SlurmError(CuratorError, RuntimeError):
    """The scheduler refused something; its own message, and what to change."""


class SlurmAwayError(SlurmError):
    """The scheduler does not answer now; it may have done what it was asked for, and will answer later."""


class ArrayState(Enum):
    """State of a job or of a task of an array, as far as SLURM still knows it."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMEOUT = "time limit"
    OUT_OF_MEMORY = "out of memory"
    NODE_FAIL = "node failure"

    @property
    def is_over(self) -> bool:
        """Whether it will do nothing any more."""
        return self not in (ArrayState.WAITING, ArrayState.RUNNING)


_STATES = {
    "PENDING": ArrayState.WAITING,
    "CONFIGURING": ArrayState.WAITING,
    "REQUEUED": ArrayState.WAITING,
    "REQUEUE_HOLD": ArrayState.WAITING,
    "REQUEUE_FED": ArrayState.WAITING,
    "RESV_DEL_HOLD": ArrayState.WAITING,
    "SPECIAL_EXIT": ArrayState.WAITING,
    "RUNNING": ArrayState.RUNNING,
    "COMPLETING": ArrayState.RUNNING,
    "RESIZING": ArrayState.RUNNING,
    "SIGNALING": ArrayState.RUNNING,
    "STAGE_OUT": ArrayState.RUNNING,
    "STOPPED": ArrayState.RUNNING,
    "SUSPENDED": ArrayState.RUNNING,
    "COMPLETED": ArrayState.COMPLETED,
    "CANCELLED": ArrayState.CANCELLED,
    "REVOKED": ArrayState.CANCELLED,
    "TIMEOUT": ArrayState.TIMEOUT,
    "DEADLINE": ArrayState.TIMEOUT,
    "OUT_OF_MEMORY": ArrayState.OUT_OF_MEMORY,
    "NODE_FAIL": ArrayState.NODE_FAIL,
    "BOOT_FAIL": ArrayState.NODE_FAIL,
    "PREEMPTED": ArrayState.NODE_FAIL,
    "FAILED": ArrayState.FAILED,
}


def submit(script: Path, *options: str) -> str:
    """Submit a script with one call of sbatch; the number of its job.

    Raises
    ------
    SlurmAwayError
        The scheduler does not answer; `find_job` finds later whether it took the job.
    SlurmError
        The scheduler refused it.
    ConfigError
        There is no SLURM here.
    """
    return run_command("sbatch", "--parsable", *options, str(script)).partition(";")[0].strip()


def try_out(script: str) -> None:
    """Ask the scheduler whether it would take a script; nothing is submitted.

    Raises
    ------
    SlurmError
        It would not.
    """
    run_command("sbatch", "--test-only", stdin=script)


def array_states(job_id: str) -> dict[int, ArrayState]:
    """State of every task of an array that SLURM still knows (it forgets tasks after some minutes).

    Raises
    ------
    SlurmAwayError
        The scheduler does not answer.
    """
    return {int(task): state for task, state in _states(job_id, "%K").items() if task.isdigit()}


def _states(job_id: str, name: str) -> dict[str, ArrayState]:
    try:
        said = run_command("squeue", "--noheader", "--array", "--states=all", f"--jobs={job_id}", f"--format={name}|%T")
    except SlurmError as exc:
        if "invalid job id" in str(exc).lower():  # forgotten
            return {}
        raise
    rows = (line.split("|") for line in said.splitlines())
    return {task: state_of(state) for task, state in rows}


def job_state(job_id: str) -> ArrayState | None:
    """State of a job that is no array, or of all tasks of one together; ``None`` once SLURM has forgotten it."""
    states = set(_states(job_id, "%i").values())
    return next((state for state in states if not state.is_over), next(iter(states), None))


def is_alive(job_id: str) -> bool:
    """Whether a job waits or runs."""
    state = job_state(job_id)
    return state is not None and not state.is_over


def wait_for(job_id: str, others: Sequence[str]) -> None:
    """Let a waiting job begin when all of the others are over.

    Raises
    ------
    SlurmError
        The scheduler does not know one of them.
    """
    run_command("scontrol", "update", f"JobId={job_id}", f"Dependency=afterany:{':'.join(others)}")


def waiting_reason(job_id: str) -> str | None:
    """Why the waiting tasks of an array wait, in SLURM's words, such as ``Resources``; ``None`` when none does."""
    said = run_command(
        "squeue", "--noheader", "--states=PENDING", "--format=%A|%r"
    )  # `--jobs` fails once it is forgotten
    rows = (line.partition("|") for line in said.splitlines())
    return next((reason for found, _, reason in rows if found == job_id), None)


def find_job(comment: str, *, is_waiting: bool = False) -> str | None:
    """The number of one's job with that comment, waiting or running, or only waiting."""
    return next(iter(find_jobs({comment}, is_waiting=is_waiting)), None)


def find_jobs(comments: Container[str], *, is_waiting: bool = False) -> list[str]:
    """Numbers of one's jobs with one of these comments, waiting or running, or only waiting."""
    states = ("--states=PENDING",) if is_waiting else ()
    said = run_command("squeue", "--noheader", "--me", "--format=%A|%k", *states)
    listed = (line.partition("|") for line in said.splitlines())
    return list(dict.fromkeys(job_id for job_id, _, comment in listed if comment in comments))


def patiently(act: Callable[[], T], pauses_s: Iterable[float] = OUTAGE_PAUSES_S) -> T:
    """Do it again while the scheduler does not answer, as when it is started anew.

    Parameters
    ----------
    act
        What is to be done.
    pauses_s
        Between attempts, seconds.

    Raises
    ------
    SlurmAwayError
        It does not answer after the last pause either.
    """
    for pause_s in pauses_s:
        try:
            return act()
        except SlurmAwayError as exc:
            logger.warning("The scheduler cannot be asked; trying again in %g s: %s", pause_s, exc)
            time.sleep(pause_s)
    return act()


def cancel(*job_ids: str) -> None:
    """End jobs, arrays or tasks of arrays, such as ``"12_3"``, where they are not over yet."""
    run_command("scancel", "--quiet", *job_ids)


def state_of(text: str) -> ArrayState:
    """The state in the output of a command of SLURM, such as ``CANCELLED by 0``."""
    return _STATES.get(text.partition(" ")[0], ArrayState.RUNNING)


def run_command(program: str, *arguments: str, stdin: str | None = None, timeout_s: float | None = None) -> str:
    """What a command of SLURM prints.

    Raises
    ------
    SlurmAwayError
        It cannot reach who should answer, or not in time.
    SlurmError
        It failed.
    ConfigError
        There is no such command here.
    """
    try:
        done = subprocess.run(
            [program, *arguments],
            env=_environment(os.environ),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        raise SlurmAwayError(f"{program} did not answer within {timeout_s:.0f} s.") from None
    except FileNotFoundError:
        raise ConfigError(
            f"There is no {program!r} here: run this on a node of the cluster from which jobs are submitted."
        ) from None
    if done.returncode != 0:
        message = " ".join((done.stderr or done.stdout).split()) or f"exit status {done.returncode}"
        lower = message.lower()
        if any(part in lower for part in _AWAY):
            raise SlurmAwayError(f"{message}. The scheduler does not answer; `sdiag` or your administrators tell why.")
        advice = next((text for part, text in _ADVICE.items() if part in lower), "")
        raise SlurmError(f"{message}. {advice}".rstrip())
    return done.stdout


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Without what describes the job that this may run in: it would be taken for options of the next one."""
    return {
        name: value
        for name, value in variables.items()
        if name == "SLURM_CONF" or not name.startswith(("SLURM_", "SBATCH_", "SLURMD_"))
    }
