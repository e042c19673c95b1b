"""`curator status`: what is recorded of a run."""

from __future__ import annotations

import os
from dataclasses import asdict
from datetime import UTC, datetime

import click

from curator_core.cli.database import RunStatus, read_status
from curator_core.cli.loading import is_pipeline_file, load_pipeline, recorded_at
from curator_core.cli.options import CuratorCommand, json_option, recorded_argument, settings_of
from curator_core.cli.output import (
    counted,
    duration,
    local_time,
    moment_of,
    one_line,
    print_fields,
    print_json,
    print_table,
    say,
    size,
)
from curator_core.session.ungathered import recorded_stems
from curator_core.store import JobUsage, MetricsStore, RunRecord

MAX_SHOWN = 20
"""Failures and workers listed; JSON has all."""


@click.command(
    cls=CuratorCommand,
    examples=(
        "status atoms.yaml",
        "status ~/.cache/curator/0123456789abcdef.db --traceback",
        "status atoms.yaml --json",
    ),
)
@recorded_argument
@json_option
@click.pass_context
def status(ctx: click.Context, *, path: str, as_json: bool) -> None:
    """Show how the last run went, or is going.

    Counts, failures, times, and which item each worker is at since when, for a pipeline file or a metrics database.
    Nothing is changed, and the source is not looked at: `curator plan` compares it with what is recorded. With
    --traceback, each failure is shown with its traceback. The exit status is 0 even if items failed.
    """
    found = read_status(*recorded_at(path))
    to_gather = _to_gather(path, found)
    if as_json:
        print_json({**_as_data(found), "to_gather": to_gather})
        return
    print_fields([*_fields(found), *([("to gather", ", ".join(to_gather))] if to_gather else [])])
    _print_failures(found, show_traceback=settings_of(ctx).show_traceback)
    _print_workers(found)


def _to_gather(path: str, found: RunStatus) -> list[str]:
    """Outputs that wait for `curator gather`; a database alone has their names without the suffix."""
    if is_pipeline_file(path):
        return load_pipeline(path, db_file=os.fspath(found.db_path)).with_settings(resume=True).outputs_to_gather()
    with MetricsStore(found.db_path) as store:
        return recorded_stems(store, found.run.run_id)


def _as_data(found: RunStatus) -> dict[str, object]:
    return {
        "database": os.fspath(found.db_path),
        "config_hash": found.run.config_hash,
        "started_at": found.run.started_at,
        "last_result_at": found.last_result_at,
        "total": found.n_total,
        "completed": found.n_completed,
        "failed": len(found.failures),
        "remaining": found.n_total - found.n_completed,
        "vanished": found.n_vanished,
        "waiting_in_journals": found.n_waiting,
        "mean_time_ms": found.mean_time_ms,
        "work_s": found.completed_wall_time_ns / 1e9,
        "peak_memory_bytes": found.peak_memory_bytes,
        "cluster_jobs": None if found.jobs is None else {**asdict(found.jobs), "efficiency": found.jobs.efficiency},
        "failures": [
            {"index": f.index, "key": f.key, "error": f.error, "traceback": f.traceback} for f in found.failures
        ],
        "workers": [
            {
                "worker_id": worker.worker_id,
                "hostname": worker.hostname,
                "pid": worker.pid,
                "current_index": worker.current_index,
                "current_since": worker.current_since,
                "items": worker.n_items,
                "last_heartbeat": worker.last_heartbeat or None,
                "active": worker.is_active,
            }
            for worker in found.workers
        ],
    }


def _fields(found: RunStatus) -> list[tuple[str, str]]:
    n_open = found.n_total - found.n_completed - len(found.failures)
    counts = [f"{found.n_completed:,} completed", f"{len(found.failures):,} failed"]
    counts += [f"{n_open:,} not processed yet"] if n_open else []
    fields = [
        ("pipeline", _pipeline_text(found.run)),
        ("database", os.fspath(found.db_path)),
        ("items", f"{found.n_total:,}: {', '.join(counts)}"),
        ("started", local_time(found.run.started_at)),
        ("last result", _last_result(found.last_result_at)),
    ]
    if found.n_waiting:
        fields.append(("in journals", f"{found.n_waiting:,} of these, of a run in progress or stopped"))
    if found.n_vanished:
        fields.append(("vanished", f"{counted(found.n_vanished, 'recorded item')} no longer in the source"))
    if found.n_completed:
        spent = duration(found.completed_wall_time_ns / 1e9)
        fields.append(("work", f"{spent}, {duration(found.mean_time_ms / 1e3)} per item"))
    if found.peak_memory_bytes is not None:
        fields.append(("peak memory", size(found.peak_memory_bytes)))
    if found.jobs is not None:
        fields.append(("cluster jobs", _jobs_text(found.jobs)))
    n_working = sum(worker.current_index is not None for worker in found.workers)
    fields.append(("workers", f"{len(found.workers)} ({n_working} at work)"))
    return fields


def _pipeline_text(run: RunRecord) -> str:
    names = run.components
    return "unknown: the recorded configuration is damaged" if names is None else " → ".join(names)


def _jobs_text(jobs: JobUsage) -> str:
    used = f"CPU time {duration(jobs.cpu_s)}"
    if jobs.efficiency is not None:
        used += f" of {duration(jobs.allotted_s)} ({jobs.efficiency:.0%})"
    parts = [f"{jobs.n_jobs:,}", used]
    parts += [f"peak memory {size(jobs.peak_memory_bytes)}"] if jobs.peak_memory_bytes is not None else []
    return ", ".join(parts)


def _last_result(stamp: str | None) -> str:
    if stamp is None:
        return "never"
    return f"{local_time(stamp)} ({_since(stamp)} ago)"


def _since(stamp: str | None) -> str:
    """How long ago a recorded time was, empty without one."""
    moment = moment_of(stamp)
    if moment is None:
        return ""
    return duration(max((datetime.now(UTC) - moment).total_seconds(), 0.0))


def _print_failures(found: RunStatus, *, show_traceback: bool) -> None:
    if not found.failures:
        return
    say()
    shown = found.failures[:MAX_SHOWN]
    if show_traceback:
        for failure in shown:
            click.echo(click.style(f"{one_line(failure.key)} (index {failure.index})", bold=True))
            for line in (failure.traceback or failure.error).rstrip().splitlines():
                say(f"  {line}")
    else:
        print_table(("index", "failed item", "error"), [(f.index, f.key, f.error) for f in shown])
    if len(shown) < len(found.failures):
        say(f"… and {len(found.failures) - len(shown):,} more (--json lists all)")


def _print_workers(found: RunStatus) -> None:
    if not found.workers:
        return
    say()
    shown = sorted(found.workers, key=lambda w: (w.current_index is not None, w.last_heartbeat), reverse=True)
    shown = shown[:MAX_SHOWN]
    rows = [
        (
            *(f"{w.worker_id}"[:8], w.hostname, w.pid, "" if w.current_index is None else w.current_index),
            *(w.current_key or "", _since(w.current_since), w.n_items, local_time(w.last_heartbeat)),
        )
        for w in shown
    ]
    print_table(("worker", "host", "pid", "index", "item", "for", "items done", "last heard of"), rows)
    if len(shown) < len(found.workers):
        say(f"… and {len(found.workers) - len(shown):,} more (--json lists all)")
