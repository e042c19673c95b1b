"""`curator workflow`: run a workflow, write its scripts, show how far it is."""

# numpy and what follows are slow to load, and every command is loaded to list them: hence the imports in functions.
# ruff: noqa: PLC0415

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from curator_core.cli.commands.run import backend_option, quiet_option
from curator_core.cli.exitcodes import ExitCode
from curator_core.cli.options import CuratorCommand, json_option, settings_of
from curator_core.cli.output import one_line, print_json, say

workflow_argument = click.argument("given", metavar="FILE")
job_option = click.option("--job", metavar="NAME", help="Name of the job's folder; the time by default.")
rootdir_option = click.option(
    "--rootdir",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of jobs; what the file says, else the current one.",
)
cluster_option = click.option(
    "--cluster",
    "cluster_file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML file with the settings of SlurmCluster, in place of the workflow's own.",
)


@click.group(
    epilog="\b\nExamples:\n  curator workflow run study.yaml --job first\n"
    "  curator workflow status first\n  curator workflow scripts study.yaml --out scripts"
)
def workflow() -> None:
    """Carry out steps and loops over experiments.

    FILE is a YAML file, or a Python file with a Workflow in it: study.yaml, study.py, study.py:name, or module:name.
    Every run has a folder of its own, its job; one that stopped or failed resumes.
    """


@workflow.command(
    "run",
    cls=CuratorCommand,
    examples=(
        "workflow run study.yaml",
        "workflow run study.py:workflow --job first -j 8",
        "workflow run study.yaml --job first --from-step evaluate",
        "workflow run study.yaml --mode slurm --wait",
    ),
)
@workflow_argument
@click.option(
    "--mode",
    type=click.Choice(["local", "slurm"]),
    default="local",
    show_default=True,
    help="On this machine, or as jobs of a cluster.",
)
@job_option
@rootdir_option
@click.option("--from-step", metavar="NAME|N", help="Go on from this step, in the folder of --job; N counts from 0.")
@click.option(
    "-j",
    "--jobs",
    "n_jobs",
    metavar="N",
    type=int,
    default=-1,
    show_default=True,
    help="Number of workers of parallel steps; -1 for all CPUs, -2 for all but one.",
)
@backend_option
@cluster_option
@click.option("--wait", is_flag=True, help="On a cluster: follow the workflow until it ends.")
@quiet_option
@click.pass_context
def run_workflow(
    ctx: click.Context,
    *,
    given: str,
    mode: Literal["local", "slurm"],
    job: str | None,
    rootdir: Path | None,
    from_step: str | None,
    n_jobs: int,
    backend: str,
    cluster_file: Path | None,
    wait: bool,
    quiet: bool,
) -> ExitCode:
    """Carry out the workflow in FILE.

    A new job, or with --job one that there is: it resumes. Experiments that fail are errors of their
    table and stop nothing; the exit status is then 1, as for a step that fails, which ends the workflow. Ctrl-C stops
    cleanly, and the command to go on with is shown. On a cluster, jobs are submitted and the command returns.
    """
    from curator_core.cli.workflow.run import Request, execute

    request = Request(given, mode, job, rootdir, from_step, n_jobs, backend, cluster_file, wait, quiet)
    return execute(request, show_traceback=settings_of(ctx).show_traceback)


@workflow.command(
    "scripts",
    cls=CuratorCommand,
    examples=("workflow scripts study.yaml", "workflow scripts study.yaml --out scripts --job first"),
)
@workflow_argument
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write each script to a file in this folder, in place of printing them.",
)
@click.option(
    "--job", metavar="NAME", default="PLACEHOLDER", show_default=True, help="Name of the job's folder in the scripts."
)
@rootdir_option
@cluster_option
def write_scripts(*, given: str, out: Path | None, job: str, rootdir: Path | None, cluster_file: Path | None) -> None:
    """Show the scripts that FILE would be submitted with.

    Nothing is submitted.
    """
    from curator_core.cli.workflow.run import scripts_of
    from curator_core.storage.disk import make_folder
    from curator_core.storage.private import write_private

    scripts = scripts_of(given, job=job, rootdir=rootdir, cluster_file=cluster_file)
    for label, text in scripts.items():
        if out is None:
            say(f"##### {one_line(label)}\n{text}")
            continue
        make_folder(out)
        path = out / f"{label.replace('/', '_')}.sh"
        write_private(path, text.encode())  # variables may be secrets
        say(path)


@workflow.command("status", cls=CuratorCommand, examples=("workflow status first", "workflow status jobs/first --json"))
@click.argument("job_dir", metavar="JOBDIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@json_option
def show_status(*, job_dir: Path, as_json: bool) -> None:
    """Show how far the workflow of a job is.

    JOBDIR is the folder that the run printed. The steps, the experiments of every table by status with the first
    errors, why it failed, and what to do next. Nothing is changed, and the exit status is 0 even if it failed.
    """
    from curator_core.cli.workflow.status import JobState, print_state

    found = JobState.read(job_dir)
    if as_json:
        print_json(found.to_json())
    else:
        print_state(found)
